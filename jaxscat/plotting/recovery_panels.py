"""Panels of curves that compare estimates of a map: power, correlation, values, coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.spectra import smooth_spectrum
from jaxscat.plotting.axes import clipped, set_multipoles, set_ratio
from jaxscat.plotting.saving import as_label
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.validation.recovery import Recovery
from jaxscat.validation.recovery_words import LABELS
from jaxscat.validation.scattering import by_scale

Map = Float[np.ndarray, " p"]

_DASH_DOT, _LONG_DASHES = (0, (6, 1.5, 1, 1.5)), (0, (8, 2))
# Colours of the colour-blind safe Okabe-Ito set; the same name has the same style everywhere.
_STYLES: Mapping[str, Mapping[str, Any]] = {
    "truth": {"color": "#000000", "linewidth": 2.0},
    "target": {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
    "data": {"color": "#999999", "linewidth": 1.4},
    "wiener": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    "square-root wiener": {
        "color": "#009E73",
        "linewidth": 1.4,
        "linestyle": _DASH_DOT,
    },
    "wiener, true spectra": {"color": "#56B4E9", "linewidth": 1.4, "linestyle": _LONG_DASHES},
    "square-root wiener, true spectra": {
        "color": "#E69F00",
        "linewidth": 1.4,
        "linestyle": _LONG_DASHES,
    },
    "noise": {"color": "#999999", "linewidth": 1.4, "linestyle": (0, (1, 1.5))},
    "wiener with T": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    "square-root wiener with T": {
        "color": "#009E73",
        "linewidth": 1.4,
        "linestyle": _DASH_DOT,
    },
    "diffusive": {"color": "#56B4E9", "linewidth": 1.4, "linestyle": (0, (2, 1.5))},
    "gaussian mean": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    "gaussian realization": {"color": "#009E73", "linewidth": 1.4, "linestyle": _DASH_DOT},
    "reconstruction": {"color": "#D55E00", "linewidth": 2.0},
    "mean": {"color": "#CC79A7", "linewidth": 1.6, "linestyle": (0, (3, 1))},
}
_OTHERS = ("#B2A100", "#7F3C8D", "#8C564B", "#4D4D99")
_TITLE = 13


def styles_of(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the style of every estimate: its own, or for other names a free one.

    Whatever their order, the same names have the same styles.
    """
    others = sorted(set(names) - set(_STYLES))
    free = dict(zip(others, _OTHERS * (1 + len(others) // len(_OTHERS)), strict=False))
    return {
        name: dict(_STYLES[name])
        if name in _STYLES
        else {"color": free[name], "linewidth": 1.4, "linestyle": _LONG_DASHES}
        for name in names
    }


def label_of(name: str) -> str:
    """Return the name of an estimate as legends and titles show it."""
    return LABELS.get(name, as_label(name))


def draw_power(axis: Any, recovery: Recovery, unit: str) -> None:
    """Plot l (l + 1) C_l / 2 pi, as running means over a quarter of an octave."""
    styles = styles_of(_in_order(recovery))
    for name in _in_order(recovery):
        smooth = smooth_spectrum(recovery.spectra[name])
        multipole = np.arange(2, smooth.size)
        factor = multipole * (multipole + 1.0) / (2.0 * np.pi)
        power = factor * smooth[2:]
        axis.plot(multipole, np.where(power > 0, power, np.nan), **styles[name])
    axis.set_yscale("log")
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [{squared}]")
    axis.set_title("angular power spectrum", fontsize=_TITLE)
    set_multipoles(axis, recovery.bins)
    axis.set_xlabel(r"multipole $\ell$")


def has_ratios(recovery: Recovery) -> bool:
    """Return whether power is compared with that of a truth, or with an expected one."""
    return recovery.rows["reconstruction"]["power_ratio"] is not None


def draw_ratios(axis: Any, recovery: Recovery) -> None:
    """Plot power over that of the truth (or over what is expected) in bins of multipoles."""
    styles = styles_of(_in_order(recovery))
    ratios = {name: recovery.rows[name]["power_ratio"] for name in recovery.names}
    known = {name: of for name, of in ratios.items() if of is not None}
    axis.axhline(1.0, **styles_of(["truth"])["truth"])
    for name, of in known.items():
        axis.plot(_middles(recovery.bins), clipped(of), marker="o", markersize=4, **styles[name])
    set_ratio(axis, [value for of in known.values() for value in of])
    set_multipoles(axis, recovery.bins)
    axis.set_ylabel("over the truth's" if recovery.truth is not None else "over the expected")
    axis.set_xlabel(r"multipole $\ell$")


def draw_correlations(axis: Any, recovery: Recovery) -> None:
    """Plot the correlation with the truth in bins of multipoles, over what chance gives."""
    styles = styles_of(_in_order(recovery))
    middles = _middles(recovery.bins)
    if recovery.chance is not None:
        chance = np.asarray(recovery.chance)
        axis.fill_between(middles, -chance, chance, color="0.87", linewidth=0, zorder=0.5)
    axis.axhline(0.0, color="0.4", linewidth=0.8, zorder=0.8)
    for name in recovery.names:
        row = recovery.rows[name]
        axis.plot(middles, row["correlation"], marker="o", markersize=4, **styles[name])
        scatter = (row.get("scatter") or {}).get("correlation")
        if scatter is not None:
            low, high = (np.add(row["correlation"], sign * np.array(scatter)) for sign in (-1, 1))
            axis.fill_between(
                middles, low, high, color=styles[name]["color"], alpha=0.2, linewidth=0
            )
    axis.set_ylim(*_correlation_limits(recovery))
    set_multipoles(axis, recovery.bins)
    axis.set_xlabel(r"multipole $\ell$")
    axis.set_title("correlation with the truth", fontsize=_TITLE)


def draw_values(axis: Any, maps: Mapping[str, Sequence[Map]], unit: str) -> None:
    """Plot the histogram of pixel values, with a logarithmic axis; several maps are averaged.

    The range is that of the truth, or without one of the reconstruction.
    """
    styles = styles_of(list(maps))
    reference = np.concatenate(maps["truth" if "truth" in maps else "reconstruction"])
    low, high = reference.min(), reference.max()
    around = 0.1 * (high - low) or 1.0
    edges = np.linspace(low - around, high + around, 51)
    least = np.inf
    for name, several in maps.items():
        share = np.mean([np.histogram(map, edges)[0] / map.size for map in several], axis=0)
        density = share / np.diff(edges)
        axis.stairs(density, edges, **styles[name])
        least = min(least, density[density > 0].min(initial=np.inf))
    if np.isfinite(least):
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.5 * least)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel(f"pixel value [{unit}]")
    axis.set_title("probability density of pixel values", fontsize=_TITLE)
    axis.grid(alpha=0.3, linewidth=0.5)


def draw_coefficients(
    axes: Sequence[Any],
    recovery: Recovery,
    target: ScatteringCovariance | None,
) -> None:
    """Plot S1 to S4 against the scale, over those of the truth (or without one of the target).

    Args:
        axes: four panels.
        recovery: with the coefficients of all estimates.
        target: what the reconstruction was made to have, if known.
    """
    from matplotlib.ticker import MaxNLocator

    found = dict(recovery.coefficients)
    if target is not None:
        found = {"target": target, **found}
    of = next((name for name in ("truth", "target") if name in found), None)
    styles = styles_of([*_in_order(recovery), "target"])
    for axis, name in zip(axes, ("S1", "S2", "S3", "S4"), strict=True):
        curves = {key: by_scale(one, name) for key, one in found.items()}
        shown = []
        for key in ["target", *_in_order(recovery)]:
            if key not in curves or key == of:
                continue
            values = curves[key]
            if of is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    values = values / curves[of][: values.size]
                values = clipped(values)
            axis.plot(np.arange(values.size), values, marker="o", markersize=4, **styles[key])
            shown += values.tolist()
        if of is None:
            axis.set_yscale("log")
        else:
            axis.axhline(1.0, zorder=1.5, **styles_of([of])[of])
            set_ratio(axis, shown)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("scale $j$ (0 is the finest)")
        axis.grid(alpha=0.3, linewidth=0.5)
        over = {None: "", "truth": " over the truth's", "target": " over the target's"}[of]
        axis.set_title(f"{name}{over}", fontsize=_TITLE)


def legend_of(recovery: Recovery, *, target: bool) -> tuple[list[Any], list[str]]:
    """Return handles and labels of all estimates, the truth first."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = list(reversed(_in_order(recovery)))
    names += ["target"] if target else []
    styles = styles_of(names)
    labels = {name: label_of(name) for name in names}
    if target:
        labels["target"] = "target from the data"
    if recovery.rows["reconstruction"].get("scatter"):
        labels["reconstruction"] = "reconstruction (average of seeds)"
    handles: list[Any] = [Line2D([], [], **styles[name]) for name in names]
    texts = [labels[name] for name in names]
    if recovery.chance is not None and _correlation_limits(recovery)[0] < max(recovery.chance):
        handles, texts = [*handles, Patch(color="0.87")], [*texts, "by chance"]
    return handles, texts


def _in_order(recovery: Recovery) -> list[str]:
    """Return the names of all curves from back to front."""
    truth = ["truth"] if recovery.truth is not None else []
    ours = [name for name in ("mean", "reconstruction") if name in recovery.names]
    return [*(name for name in recovery.names if name not in ours), *ours, *truth]


def _correlation_limits(recovery: Recovery) -> tuple[float, float]:
    """Return the ends of the axis of correlations: one, and a little below the least of them."""
    all_ = np.array([recovery.rows[name]["correlation"] for name in recovery.names], np.float64)
    least = all_[np.isfinite(all_)].min(initial=1.0)
    low = least - 0.15 * (1.0 - least) - 0.003
    return low, 1.0 + 0.03 * (1.0 - low)


def _middles(bins: Sequence[tuple[int, int]]) -> Float[np.ndarray, " bins"]:
    return np.array([np.sqrt(low * high) for low, high in bins])
