"""Panels of curves that compare estimates of a map: power, correlation, values, coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.spectra import smooth_spectrum
from jaxscat.plotting.losses import COLOURS
from jaxscat.plotting.saving import as_label
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.validation.recovery import Recovery
from jaxscat.validation.scattering import by_scale

Map = Float[np.ndarray, " p"]

_DASH_DOT = (0, (6, 1.5, 1, 1.5))
# Colours of the colour-blind safe Okabe-Ito set; the same name has the same style everywhere.
_STYLES: Mapping[str, Mapping[str, Any]] = {
    "truth": {"color": "#000000", "linewidth": 2.0},
    "target": {"color": "#000000", "linewidth": 1.2, "linestyle": (0, (1, 1.5))},
    "data": {"color": "#999999", "linewidth": 1.4},
    "wiener": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    "square-root wiener": {
        "color": "#009E73",
        "linewidth": 1.4,
        "linestyle": (0, (6, 1.5, 1, 1.5)),
    },
    "diffusive": {"color": "#56B4E9", "linewidth": 1.4, "linestyle": (0, (2, 1.5))},
    "gaussian mean": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (4, 2))},
    "gaussian realization": {"color": "#009E73", "linewidth": 1.4, "linestyle": _DASH_DOT},
    "reconstruction": {"color": "#D55E00", "linewidth": 2.0},
    "mean": {"color": "#CC79A7", "linewidth": 1.6, "linestyle": (0, (3, 1))},
}
_OTHERS = ("#E69F00", "#56B4E9", "#B2A100", "#7F3C8D")
_LABELS: Mapping[str, str] = {
    "wiener": "Wiener filter",
    "square-root wiener": "square-root Wiener filter",
    "diffusive": "diffusive fill",
    "gaussian mean": "Gaussian mean",
    "gaussian realization": "Gaussian realization",
    "mean": "mean map of the seeds",
}
_TITLE = 13
# Ratios beyond are drawn at the edge.
_LEAST_RATIO, _LARGEST_RATIO = 0.05, 20.0


def styles_of(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the style of every estimate: its own, or for other names the next free one."""
    free = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {
        name: dict(_STYLES[name])
        if name in _STYLES
        else {"color": next(free), "linewidth": 1.4, "linestyle": (0, (8, 2))}
        for name in names
    }


def label_of(name: str) -> str:
    """Return the name of an estimate as legends and titles show it."""
    return _LABELS.get(name, as_label(name))


def draw_power(upper: Any, lower: Any, recovery: Recovery, unit: str) -> None:
    """Plot l (l + 1) C_l / 2 pi, and in bins its ratio to that of the truth.

    Curves are running means over a quarter of an octave.
    """
    styles = styles_of(_in_order(recovery))
    for name in _in_order(recovery):
        smooth = smooth_spectrum(recovery.spectra[name])
        multipole = np.arange(2, smooth.size)
        factor = multipole * (multipole + 1.0) / (2.0 * np.pi)
        power = factor * smooth[2:]
        upper.plot(multipole, np.where(power > 0, power, np.nan), **styles[name])
    upper.set_yscale("log")
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    upper.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [{squared}]")
    upper.set_title("angular power spectrum", fontsize=_TITLE)
    upper.tick_params(labelbottom=False)
    set_multipoles(upper, recovery.bins)
    ratios = {name: recovery.rows[name]["power_ratio"] for name in recovery.names}
    known = {name: of for name, of in ratios.items() if of is not None}
    if known:
        lower.axhline(1.0, **styles_of(["truth"])["truth"])
    for name, of in known.items():
        lower.plot(_middles(recovery.bins), _clipped(of), marker="o", markersize=4, **styles[name])
    _ratio_axis(lower, [value for of in known.values() for value in of])
    set_multipoles(lower, recovery.bins)
    lower.set_ylabel("over the truth's" if recovery.truth is not None else "over the expected")
    lower.set_xlabel(r"multipole $\ell$")


def draw_correlations(axis: Any, recovery: Recovery) -> None:
    """Plot the correlation with the truth in bins of multipoles, over what chance gives."""
    styles = styles_of(_in_order(recovery))
    middles = _middles(recovery.bins)
    if recovery.chance is not None:
        chance = np.asarray(recovery.chance)
        axis.fill_between(middles, -chance, chance, color="0.87", linewidth=0, zorder=0.5)
    axis.axhline(0.0, color="0.4", linewidth=0.8, zorder=0.8)
    values = []
    for name in recovery.names:
        row = recovery.rows[name]
        axis.plot(middles, row["correlation"], marker="o", markersize=4, **styles[name])
        scatter = (row.get("scatter") or {}).get("correlation")
        if scatter is not None:
            low, high = (np.add(row["correlation"], sign * np.array(scatter)) for sign in (-1, 1))
            axis.fill_between(
                middles, low, high, color=styles[name]["color"], alpha=0.2, linewidth=0
            )
        values += row["correlation"]
    finite = np.array([value for value in values if np.isfinite(value)])
    least = finite.min(initial=1.0)
    low = least - 0.15 * (1.0 - least) - 0.003
    axis.set_ylim(low, 1.0 + 0.03 * (1.0 - low))
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


def draw_renewals(
    axis: Any, chi2: Mapping[str, Float[np.ndarray, "*seeds renewals"]], *, level: str
) -> None:
    """Plot the value of every term right after each renewal, and what `level` one means."""
    from matplotlib.ticker import MaxNLocator

    finite = np.concatenate([np.ravel(of) for of in chi2.values()] or [np.array([])])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    axis.set_title(r"$\chi^2$ after every renewal", fontsize=_TITLE)
    if not finite.size:
        axis.text(0.5, 0.5, "none", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    for number, (name, of) in enumerate(chi2.items()):
        colour = _STYLES["reconstruction"]["color"] if number == 0 else COLOURS[number - 1]
        rows = np.atleast_2d(np.asarray(of, np.float64))
        for at, row in enumerate(rows):
            label = as_label(name) if at == 0 else None
            axis.plot(
                np.arange(row.size),
                row,
                marker="o",
                markersize=5,
                color=colour,
                linewidth=1.8 if len(rows) == 1 else 1.0,
                alpha=1.0 if len(rows) == 1 else 0.7,
                label=label,
            )
    axis.axhline(1.0, color="0.3", linewidth=1.0, linestyle=(0, (4, 2)))
    axis.set_yscale("log")
    axis.set_ylim(0.7 * min(1.0, finite.min()), 1.4 * max(1.0, finite.max()))
    _plain_logarithmic(axis)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(f"renewal ({level})")
    axis.grid(alpha=0.3, linewidth=0.5)
    if len(chi2) > 1:
        axis.legend(frameon=False, fontsize=10)


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
                values = _clipped(values)
            axis.plot(np.arange(values.size), values, marker="o", markersize=4, **styles[key])
            shown += values.tolist()
        if of is None:
            axis.set_yscale("log")
        else:
            axis.axhline(1.0, zorder=1.5, **styles_of([of])[of])
            _ratio_axis(axis, shown)
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
    if recovery.chance is not None:
        handles, texts = [*handles, Patch(color="0.87")], [*texts, "by chance"]
    return handles, texts


def _in_order(recovery: Recovery) -> list[str]:
    """Return the names of all curves from back to front."""
    truth = ["truth"] if recovery.truth is not None else []
    ours = [name for name in ("mean", "reconstruction") if name in recovery.names]
    return [*(name for name in recovery.names if name not in ours), *ours, *truth]


def _middles(bins: Sequence[tuple[int, int]]) -> Float[np.ndarray, " bins"]:
    return np.array([np.sqrt(low * high) for low, high in bins])


def _clipped(values: Any) -> Float[np.ndarray, " n"]:
    """Return ratios within what is drawn; NaN (a gap of the line) where undefined."""
    ratios = np.asarray(values, np.float64)
    return np.where(np.isfinite(ratios), np.clip(ratios, _LEAST_RATIO, _LARGEST_RATIO), np.nan)


def _ratio_axis(axis: Any, values: Sequence[float]) -> None:
    """Set a logarithmic axis around one, with plain numbers."""
    finite = _clipped(values)
    finite = finite[np.isfinite(finite)]
    axis.set_yscale("log")
    axis.set_ylim(min(0.8, 0.9 * finite.min(initial=1.0)), max(1.25, 1.1 * finite.max(initial=1.0)))
    _plain_logarithmic(axis)
    axis.grid(alpha=0.3, linewidth=0.5)


def _plain_logarithmic(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers, few enough not to touch."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    low, high = axis.get_ylim()
    decades = np.log10(high / low)
    if decades > 0.6:
        steps = (1.0,) if decades > 3 else (1.0, 2.0, 5.0)
        ticks = [10.0**power * step for power in range(-9, 10) for step in steps]
    else:
        ticks = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0]
    inside = [tick for tick in ticks if low <= tick <= high]
    axis.yaxis.set_major_locator(FixedLocator(inside))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def set_multipoles(axis: Any, bins: Sequence[tuple[int, int]]) -> None:
    """Set a logarithmic axis of multipoles, with ticks at powers of two (or four, if many)."""
    low, high = 0.9 * bins[0][0], 1.05 * bins[-1][1]
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    powers = range(int(np.ceil(np.log2(low))), int(np.log2(high)) + 1)
    ticks = [2**power for power in powers if power % (1 if len(powers) < 8 else 2) == 0]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3, linewidth=0.5)
