"""Panels of the spectra of T, E and B, or T, Q and U, and of the correlations between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.cross_spectra import correlation
from jaxscat.harmonics.spectra import multipole_bins, running_windows
from jaxscat.plotting.axes import set_multipoles, set_plain_logarithmic
from jaxscat.plotting.summary import STYLES
from jaxscat.validation.curves import PERCENTILES

Spectra = Mapping[str, Float[np.ndarray, " l"]]
Rows = Float[np.ndarray, "maps places"]

_TITLE, _LABEL = 15, 13
_SHADE = 0.3
# Between these, numbers are written without powers of ten.
_PLAIN = (1e-3, 1e4)
_BEYOND = {"color": "0.9", "linewidth": 0.0, "zorder": 0.4}
_CHANCE = {"color": "0.87", "linewidth": 0.0, "zorder": 0.5}


class PolarizedCurves(NamedTuple):
    """Spectra of the original, of new maps and of controls, and where they are compared.

    Attributes:
        groups: spectra of each map of a group, from back to front, by the names of `STYLES`:
            "Gaussian control" if there is one, "original" and "synthesized".
        bins: inclusive ranges of multipoles of the correlations.
        band: last multipole of E and B.
        last: last multipole of all spectra.
        sky: share of the modes of the whole sky that a footprint leaves.
    """

    groups: Mapping[str, Sequence[Spectra]]
    bins: Sequence[tuple[int, int]]
    band: int
    last: int
    sky: float = 1.0

    @property
    def pairs(self) -> list[str]:
        """The pairs of maps that have spectra."""
        return list(self.groups["original"][0])


def polarized_curves(
    groups: Mapping[str, Sequence[Spectra]],
    *,
    nside: int,
    lmax: int | None,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> PolarizedCurves:
    """Collect spectra for the panels, with bins up to the band limit of E and B, if any.

    Under a `footprint` of weights, fewer modes are independent.
    """
    last = 3 * nside - 1
    band = last if lmax is None else lmax
    bins = [(low, min(high, band)) for low, high in multipole_bins(nside) if low <= band]
    sky = 1.0 if footprint is None else np.mean(footprint**2) ** 2 / np.mean(footprint**4)
    return PolarizedCurves(groups, bins, band, last, float(sky))


def draw_power(axis: Any, curves: PolarizedCurves, pair: str, unit: str) -> None:
    """Plot l (l + 1) C_l / 2 pi of a pair such as "TT", as means over a quarter octave.

    E and B are drawn up to their band limit.
    """
    last = curves.last if pair == "TT" else curves.band
    multipole = np.arange(2, last + 1)
    factor = multipole * (multipole + 1.0) / (2.0 * np.pi)
    seen = []
    for name, group in curves.groups.items():
        rows = factor * np.stack([running_mean(one[pair][: last + 1])[2:] for one in group])
        rows = np.where(rows > 0, rows, np.nan)
        shown = _draw_group(axis, name, multipole, rows)
        seen.append(shown[:, multipole <= curves.band].ravel())
    numbers = np.concatenate(seen)
    numbers = numbers[np.isfinite(numbers)]
    axis.set_yscale("log")
    if numbers.size:
        axis.set_ylim(0.7 * numbers.min(), 1.5 * numbers.max())
    else:
        axis.set_yticks([])
        axis.set_yticks([], minor=True)
        axis.text(0.5, 0.5, "no power", transform=axis.transAxes, ha="center", fontsize=_LABEL)
    low, high = axis.get_ylim()
    if numbers.size and _PLAIN[0] < low and high < _PLAIN[1]:
        set_plain_logarithmic(axis)
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [{squared}]", fontsize=_LABEL)
    _finish(axis, curves, pair)


def draw_pair_correlation(axis: Any, curves: PolarizedCurves, pair: str) -> None:
    """Plot the correlation of two different maps in bins of multipoles, from -1 to 1.

    The grey band is the standard deviation by chance of two independent maps, one over the root of
    the number of modes, of those that the footprint leaves.

    Source: `docs/conventions.md`, "Validation".
    """
    middles = np.array([np.sqrt(low * high) for low, high in curves.bins])
    edges = np.array([*(low for low, _ in curves.bins), curves.band + 1]) - 0.5
    modes = np.array([(high + 1) ** 2 - low**2 for low, high in curves.bins])
    chance = np.minimum((curves.sky * modes) ** -0.5, 1.0)
    axis.stairs(chance, edges, baseline=-chance, fill=True, **_CHANCE)
    axis.axhline(0.0, color="0.35", linewidth=0.8, zorder=0.8)
    for name, group in curves.groups.items():
        rows = np.stack([correlation(one, pair, curves.bins) for one in group])
        _draw_group(axis, name, middles, rows, marker="o", markersize=4)
    axis.set_ylim(-1.05, 1.05)
    axis.set_yticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    first, second = pair
    powers = rf"\sqrt{{C_\ell^{{{2 * first}}}\,C_\ell^{{{2 * second}}}}}"
    axis.set_ylabel(rf"$C_\ell^{{{pair}}}\,/\,{powers}$", fontsize=_LABEL)
    _finish(axis, curves, pair)


def legend_of(curves: PolarizedCurves) -> tuple[list[Any], list[str]]:
    """Return handles and labels of all groups, the original first."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    labels = []
    for name in ("original", "synthesized", "Gaussian control"):
        if name not in curves.groups:
            continue
        line, count = Line2D([], [], **STYLES[name]), len(curves.groups[name])
        band = Patch(color=STYLES[name]["color"], alpha=_SHADE, linewidth=0.0)
        handles.append((band, line) if count > 1 else line)
        label = "new map" if name == "synthesized" else name
        labels.append(f"{label}s, {count} seeds: median and 16 to 84 %" if count > 1 else label)
    return [*handles, Patch(color=_CHANCE["color"])], [*labels, "correlation by chance"]


def _draw_group(axis: Any, name: str, places: Any, rows: Rows, **marker: Any) -> Rows:
    """Draw the median of a group of maps in a band from the 16th to the 84th percentile.

    Returns what is drawn, [3 places].
    """
    shown = np.percentile(rows, PERCENTILES, axis=0)
    low, middle, high = shown
    if len(rows) > 1:
        colour = STYLES[name]["color"]
        axis.fill_between(places, low, high, color=colour, alpha=_SHADE, linewidth=0.0, zorder=1.0)
    axis.plot(places, middle, **marker, **STYLES[name])
    return shown


def running_mean(spectrum: Float[np.ndarray, " l"]) -> Float[np.ndarray, " l"]:
    """Return the mean over all modes within a quarter of an octave, cut where the spectrum ends."""
    low, high = running_windows(spectrum.size)
    modes = 2.0 * np.arange(spectrum.size) + 1.0
    sums, totals = (np.append(0.0, np.cumsum(one)) for one in (modes * spectrum, modes))
    return (sums[high] - sums[low]) / (totals[high] - totals[low])


def _finish(axis: Any, curves: PolarizedCurves, pair: str) -> None:
    set_multipoles(axis, [(2, curves.last)])
    axis.set_title(pair, fontsize=_TITLE)
    axis.set_xlabel(r"multipole $\ell$", fontsize=_LABEL)
    axis.tick_params(labelsize=_LABEL - 2)
    if pair == "TT" or curves.band == curves.last:
        return
    end = axis.get_xlim()[1]
    axis.axvspan(curves.band + 0.5, end, **_BEYOND)
    axis.text(
        np.sqrt((curves.band + 0.5) * end),
        0.5,
        rf"band limit, $\ell = {curves.band}$",
        transform=axis.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="center",
        fontsize=_LABEL - 2,
        color="0.3",
    )
