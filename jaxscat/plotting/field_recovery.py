"""The figure of denoised polarization: its skies, spectra, and how near they are to the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.axes import set_multipoles, set_plain_logarithmic
from jaxscat.plotting.losses import draw_renewals
from jaxscat.plotting.polarization_sky import draw_polarized_skies, skies_height
from jaxscat.plotting.polarization_spectra import running_mean
from jaxscat.plotting.recovery_panels import (
    draw_correlations,
    draw_ratios,
    label_of,
    styles_of,
)
from jaxscat.plotting.saving import as_label
from jaxscat.validation.field_recovery import FieldRecovery
from jaxscat.validation.recovery import ERRORS, Recovery

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Fields = Mapping[str, Float[np.ndarray, " p"]]

_WIDTH = 16.0
_TITLE, _LABEL = 15, 13


def curves_of(names: Sequence[str]) -> list[str]:
    """Choose the estimates that are drawn, from back to front: linear filters with T if any."""
    filters = [
        f"{name} with T" if f"{name} with T" in names else name
        for name in ("wiener", "square-root wiener")
    ]
    return [name for name in ("data", *filters, "mean", "reconstruction") if name in names]


def plot_field_recovery(
    skies: Mapping[str, Fields],
    recovery: FieldRecovery,
    chi2: Mapping[str, Float[np.ndarray, "*seeds renewals"]],
    *,
    pairs: Sequence[str],
    title: str = "",
    unit: str = "map units",
) -> Figure:
    """Plot denoised E and B beside data, baselines and truth: maps, spectra, and errors.

    Above are the skies, with one zoom for all of them. Below are the spectra of E and of B and
    their cross spectrum (with T if it is known, that of T and E), up to the band limit; then the
    correlation with the truth (without one the power over that of the data less the noise) and the
    values of the term; and with a truth the errors of the coefficients of every pair.

    Args:
        skies: NESTED maps "E", "B", "Q" and "U", and perhaps "T", by the titles of rows; the first
            sets the colours.
        recovery: from `assess_fields`, with a row "reconstruction".
        chi2: values of the term after every renewal, as `FieldReconstruction.chi2`.
        pairs: names of the pairs that were imposed.
        title: title of the figure.
        unit: unit of the maps.

    Returns:
        figure without a window.
    """
    from jaxscat.plotting.layout import new_figure

    unit = as_label(unit)
    names = frozenset(next(iter(skies.values())))
    heights = [skies_height(_WIDTH, names, len(skies)), 4.9, 4.0]
    heights += [4.0] if recovery.has_truth else []
    figure: Any = new_figure(_WIDTH, sum(heights) + 0.6)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.1)
    if title:
        figure.suptitle(as_label(title), fontsize=18)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights)
    draw_polarized_skies(parts[0], skies, unit, same_patch=True)
    shown = curves_of(recovery.names)
    cross = "TE" if "TE" in recovery.pairs else "EB"
    for axis, pair in zip(parts[1].subplots(1, 3), ("EE", "BB", cross), strict=True):
        draw_spectrum(axis, recovery, pair, shown, unit)
    _draw_legend(parts[1], recovery, shown)
    axes = parts[2].subplots(1, 3)
    for axis, (field, one) in zip(axes, recovery.fields.items(), strict=False):
        kept = _only(one, shown)
        if recovery.has_truth:
            draw_correlations(axis, kept)
            axis.set_title(
                f"{field}: correlation with the truth (grey: by chance)", fontsize=_TITLE
            )
        else:
            draw_ratios(axis, kept)
            axis.set_title(f"power of {field} over that expected", fontsize=_TITLE)
            axis.set_ylabel("over data less noise")
    draw_renewals(axes[-1], chi2, level="dashed: as near as noise allows")
    axes[-1].title.set_fontsize(_TITLE)
    if recovery.has_truth:
        axis = parts[3].subplots()
        draw_errors(axis, recovery, shown, pairs)
        parts[3].legend(
            *axis.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=len(shown),
            frameon=False,
            fontsize=_LABEL,
        )
    return figure


def draw_spectrum(
    axis: Any, recovery: FieldRecovery, pair: str, names: Sequence[str], unit: str
) -> None:
    """Plot l (l + 1) C_l / 2 pi of a pair, as means over a quarter octave, up to the band limit.

    The axis of a power is logarithmic, that of a cross spectrum linear.
    """
    power = pair[0] == pair[1]
    behind = ["noise"] if power and "noise" in recovery.spectra else []
    before = ["truth"] if recovery.has_truth else []
    drawn = [*behind, *names, *before]
    styles = styles_of(drawn)
    multipole = np.arange(2, recovery.lmax + 1)
    factor = multipole * (multipole + 1.0) / (2.0 * np.pi)
    rows = []
    for name in drawn:
        values = factor * running_mean(recovery.spectra[name][pair][: recovery.lmax + 1])[2:]
        if power:
            values = np.where(values > 0, values, np.nan)
        axis.plot(multipole, values, **styles[name])
        if name in ("noise", "data", "reconstruction", "truth"):
            rows.append(values)
    finite = np.concatenate(rows)
    finite = finite[np.isfinite(finite)]
    if power:
        axis.set_yscale("log")
        if finite.size:
            axis.set_ylim(0.3 * finite.min(), 1.5 * finite.max())
    else:
        axis.axhline(0.0, color="0.4", linewidth=0.8, zorder=0.8)
        axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [{squared}]", fontsize=_LABEL)
    set_multipoles(axis, [(2, recovery.lmax)])
    axis.set_xlabel(r"multipole $\ell$", fontsize=_LABEL)
    axis.set_title(pair, fontsize=_TITLE)
    axis.tick_params(labelsize=_LABEL - 2)


def draw_errors(
    axis: Any, recovery: FieldRecovery, names: Sequence[str], pairs: Sequence[str]
) -> None:
    """Plot the relative errors of S1 to S4 of every pair, a marker for every estimate."""
    styles = styles_of(names)
    markers = dict(zip(names, ("s", "^", "v", "D", "o"), strict=False))
    ticks, labels = [], []
    for number, (pair, one) in enumerate(recovery.pairs.items()):
        places = number * (len(ERRORS) + 0.8) + np.arange(len(ERRORS))
        ticks += places.tolist()
        labels += list(ERRORS)
        for at, name in enumerate(names):
            spread = (at - 0.5 * (len(names) - 1)) * 0.13
            axis.plot(
                places + spread,
                [one.rows[name][key] for key in ERRORS],
                linestyle="none",
                marker=markers.get(name, "o"),
                markersize=9 if name == "reconstruction" else 7,
                color=styles[name]["color"],
                label=None if number else label_of(name),
            )
        free = "" if pair in pairs else " (not imposed)"
        axis.text(
            places.mean(),
            1.02,
            f"{pair}{free}",
            transform=axis.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=_LABEL,
        )
        if number:
            axis.axvline(places[0] - 0.9, color="0.8", linewidth=0.8)
    axis.axhline(1.0, color="0.4", linewidth=0.8, linestyle=(0, (4, 2)), zorder=0.8)
    axis.set_yscale("log")
    set_plain_logarithmic(axis)
    axis.set_xticks(ticks, labels)
    axis.set_xlim(ticks[0] - 0.9, ticks[-1] + 0.9)
    axis.tick_params(labelsize=_LABEL - 2)
    axis.grid(axis="y", alpha=0.3, linewidth=0.5)
    axis.set_ylabel("relative error", fontsize=_LABEL)
    axis.set_title("errors of the coefficients, over the truth's", fontsize=_TITLE, pad=28)


def _draw_legend(figure: Any, recovery: FieldRecovery, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    first = ["truth"] if recovery.has_truth else []
    drawn = [*first, *reversed(names), *(["noise"] if "noise" in recovery.spectra else [])]
    styles = styles_of(drawn)
    handles: list[Any] = [Line2D([], [], **styles[name]) for name in drawn]
    labels = [label_of(name) for name in drawn]
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=min(len(labels), 4),
        frameon=False,
        fontsize=_LABEL,
    )


def _only(recovery: Recovery, names: Sequence[str]) -> Recovery:
    """Return the rows of some estimates."""
    return replace(
        recovery,
        names=list(names),
        rows={name: recovery.rows[name] for name in names},
        coefficients={},
    )
