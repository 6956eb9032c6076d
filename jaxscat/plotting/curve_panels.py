"""Panels of the validation figures: one quantity each, of the original, new maps and controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.axes import FREE, fit_vertical
from jaxscat.plotting.losses import draw_terms, label_loss
from jaxscat.plotting.summary import STYLES
from jaxscat.validation.curves import PERCENTILES, Curve

Curves = Mapping[str, Curve]
Rows = Float[np.ndarray, "*maps places"]


class GroupStyle(NamedTuple):
    """Style of a group of maps.

    Attributes:
        label: name in the legend.
        counted: noun for several maps in the legend.
        line: options of the line.
        shade: opacity of the band.
    """

    label: str
    counted: str
    line: Mapping[str, Any]
    shade: float


# By the names of `Curve.groups`, from back to front, with colours of the set of STYLES.
GROUPS: Mapping[str, GroupStyle] = {
    "start": GroupStyle("start", "seeds", STYLES["start"], 0.0),
    "gaussian": GroupStyle("Gaussian control", "maps", STYLES["Gaussian control"], 0.17),
    "filtered": GroupStyle(
        "filtered-noise control",
        "maps",
        {"color": "#009E73", "linewidth": 1.2, "linestyle": (0, (6, 1.5, 1, 1.5))},
        0.17,
    ),
    "synthesized": GroupStyle("synthesized", "seeds", STYLES["synthesized"], 0.3),
}
_TITLE = 11
_GREY = {"color": "0.87", "linewidth": 0.0}

# Titles and labels of the quantities drawn with the difference from the original below.
SHAPES: Mapping[str, tuple[str, str]] = {
    "V0": ("V0, area above", "fraction of the sky"),
    "V1": ("V1, contours", "fraction of the edges"),
    "V2": ("V2, Euler characteristic", "islands less holes"),
    "peaks": ("peaks above", "number"),
    "minima": ("minima below", "number"),
}
SCATTERING: Mapping[str, str] = {
    "S1": "S1, mean modulus",
    "S2": "S2, power",
    "S3": "S3, rms modulus",
    "S4": "S4, rms modulus",
}


def draw_spectrum(axis: Any, curves: Curves, unit: str) -> None:
    """Plot l (l + 1) C_l / 2 pi against l."""
    curve = curves["power_spectrum"]
    factor = curve.places * (curve.places + 1.0) / (2.0 * np.pi)
    axis.set_yscale("log")
    _multipoles(axis, curve)
    _draw_curve(axis, curve, lambda rows: rows * factor)
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    break_line = "\n" if len(unit) > 12 else "  "
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi${break_line}[{squared}]")
    _name(axis, "angular power spectrum", r"multipole $\ell$")


def draw_ratio(axis: Any, curves: Curves) -> None:
    """Plot the ratio of power to the original's in bins of l."""
    _multipoles(axis, curves["power_ratio"])
    _draw_curve(axis, curves["power_ratio"], level=1.0, marker="o")
    axis.set_ylabel("ratio")
    _name(axis, "power over the original's, in bins", r"multipole $\ell$")


def draw_correlation(axis: Any, curves: Curves, chance: Sequence[float | None]) -> None:
    """Plot the correlation with the original in ranges of l, over the chance level of one map.

    `chance` is the standard deviation by chance in every range, None if undefined.
    """
    curve = curves["correlation"]
    spread = np.array([np.nan if one is None else one for one in chance], dtype=np.float64)
    axis.stairs(spread, curve.edges, baseline=-spread, fill=True, zorder=0.5, **_GREY)
    axis.axhline(0.0, color="0.35", linewidth=0.8, zorder=0.8)
    _multipoles(axis, curve)
    _draw_curve(axis, curve, marker="o")
    axis.set_ylabel("correlation coefficient")
    _name(axis, "correlation with the original", r"multipole $\ell$")


def draw_density(axis: Any, curves: Curves, unit: str) -> None:
    """Plot the histogram of the pixel values."""
    curve = curves["density"]
    axis.set_yscale("log")
    _draw_curve(axis, curve, steps=True)
    shown = [rows for name, rows in curve.groups.items() if name != "start"]
    numbers = np.vstack([rows for rows in (curve.original, *shown) if rows is not None])
    # Empty bins are off a logarithmic axis: it starts below the smallest other bin.
    axis.set_ylim(bottom=0.5 * numbers[numbers > 0].min())
    axis.set_ylabel("probability density")
    _name(axis, "pixel values", f"pixel value [{unit}]")


def draw_shape(upper: Any, lower: Any, curves: Curves, name: str) -> None:
    """Plot one of `SHAPES` against the threshold, and the difference from the original below.

    Differences are in percent of the maximum magnitude of the original.
    """
    curve = curves[name]
    title, label = SHAPES[name]
    original = curve.original
    assert original is not None
    largest = np.abs(original).max()
    _draw_curve(upper, curve, marker="o")
    _draw_curve(
        lower, curve, lambda rows: 100.0 * (rows - original) / largest, level=0.0, marker="o"
    )
    upper.set_ylabel(label)
    upper.tick_params(labelbottom=False)
    upper.set_title(title, fontsize=_TITLE)
    lower.set_ylabel("difference [%]")
    _name(lower, "", r"threshold [$\sigma$ of the original]")
    if name == "minima":
        lower.set_xlim(lower.get_xlim()[::-1])  # descending counts, as for peaks


def draw_scattering(axis: Any, curves: Curves, name: str, imposed: int | None = None) -> None:
    """Plot one of `SCATTERING`, relative to the original, against the scale.

    Of S3 and S4, scales from `imposed` on are hatched: they were left free.
    """
    from matplotlib.ticker import MaxNLocator

    curve = curves[name]
    _draw_curve(axis, curve, lambda rows: rows / curve.original, level=1.0, marker="o")
    last = curve.places.size
    if imposed is not None and imposed < last and name in ("S3", "S4"):
        axis.axvspan(imposed - 0.5, last - 0.5, zorder=0.6, **FREE)
        axis.text(
            last - 0.65,
            0.97,
            "not imposed",
            rotation=90,
            ha="right",
            va="top",
            color="0.45",
            fontsize=8,
            transform=axis.get_xaxis_transform(),
        )
    axis.set_xlim(-0.5, last - 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("over the original's")
    _name(axis, SCATTERING[name], "scale $j$ (0 is the finest)")


def draw_losses(axis: Any, losses: Sequence[Any], terms: Sequence[Mapping[str, Any]] = ()) -> None:
    """Plot the loss of every map against the iteration; leave the panel empty without losses.

    Args:
        axis: panel to draw on.
        losses: loss of every step of every map.
        terms: of every map, the value of each term of the loss by its name, like the losses; drawn
            if there are several.
    """
    if not losses:
        axis.set_axis_off()
        return
    style = dict(STYLES["synthesized"])
    if len(losses) > 1:
        style |= {"linewidth": 0.8, "alpha": max(0.25, 0.9 / len(losses) ** 0.3)}
    for one in losses:
        axis.plot(np.arange(len(one)), np.asarray(one, dtype=np.float64), **style)
    draw_terms(axis, terms, style)
    axis.set_yscale("log")
    axis.set_ylabel(label_loss(terms))
    _name(axis, "loss", "iteration")


def legend_entries(curves: Curves, *, grey: str = "") -> tuple[list[Any], list[str]]:
    """Return handles and labels of the legend; `grey` says what is grey, if anything is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Line2D([], [], **STYLES["original"])]
    labels = ["original"]
    groups = curves["density"].groups
    for name in [name for name in reversed(list(GROUPS)) if name in groups]:
        group, count = GROUPS[name], len(groups[name])
        line = Line2D([], [], **group.line)
        band = Patch(color=group.line["color"], alpha=group.shade, linewidth=0.0)
        handles.append((band, line) if count > 1 and group.shade else line)
        labels.append(group.label if count == 1 else f"{group.label}, {count} {group.counted}")
    if grey:
        handles, labels = [*handles, Patch(**_GREY)], [*labels, grey]
    return handles, labels


def has_bands(curves: Curves) -> bool:
    """Return whether any group has several maps."""
    return any(len(rows) > 1 for rows in curves["density"].groups.values())


def _draw_curve(
    axis: Any,
    curve: Curve,
    shown: Callable[[Rows], Rows] = lambda rows: rows,
    *,
    level: float | None = None,
    marker: str = "",
    steps: bool = False,
) -> None:
    """Draw a curve of the original and of every group of maps, transformed by `shown`.

    A group of several maps is drawn as its median, in a band from the 16th to the 84th percentile.
    Starts are drawn without a band, and are cut off where they are very far. The original is a
    horizontal line at `level`, if given, in the band of the tolerance, if there is one; the band
    does not extend the axes.
    """
    options: dict[str, Any] = {"marker": marker, "markersize": 3.5}
    options |= {"drawstyle": "steps-mid"} if steps else {}
    drawn: list[Rows] = []
    starts: list[Rows] = []
    if level is not None:
        axis.axhline(level, zorder=2.0, **STYLES["original"])
        drawn.append(np.array([level]))
    elif curve.original is not None:
        original = _numbers(shown, curve.original)
        axis.plot(curve.places, original, zorder=2.0, **options, **STYLES["original"])
        drawn.append(original)
    for name in sorted(set(curve.groups) & set(GROUPS), key=list(GROUPS).index):
        group, behind = GROUPS[name], 2.0 + 0.1 * (list(GROUPS).index(name) - 2.5)
        low, middle, high = np.percentile(_numbers(shown, curve.groups[name]), PERCENTILES, axis=0)
        (starts if name == "start" else drawn).append(middle)
        if len(curve.groups[name]) > 1 and group.shade:
            axis.fill_between(
                curve.places,
                low,
                high,
                step="mid" if steps else None,
                color=group.line["color"],
                alpha=group.shade,
                linewidth=0.0,
                zorder=1.0,
            )
            drawn += [low, high]
        axis.plot(curve.places, middle, zorder=behind, **options, **group.line)
    fit_vertical(axis, drawn, starts)
    _draw_tolerance(axis, curve, shown, level)


def _draw_tolerance(
    axis: Any, curve: Curve, shown: Callable[[Rows], Rows], level: float | None
) -> None:
    """Draw the tolerance around the original at a level; around a curve it is too narrow to see."""
    if curve.tolerance is None or level is None:
        return
    base = np.ones_like(curve.tolerance) if curve.original is None else curve.original
    low, high = (_numbers(shown, base + sign * curve.tolerance) for sign in (-1.0, 1.0))
    limits = axis.get_ylim()
    axis.fill_between(curve.places, low, high, zorder=0.5, **_GREY)
    axis.set_ylim(limits)


def _numbers(shown: Callable[[Rows], Rows], rows: Rows) -> Rows:
    """Transform rows by `shown`, with NaN (a gap of the line) where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.asarray(shown(rows), dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _multipoles(axis: Any, curve: Curve) -> None:
    """Set a logarithmic axis of multipoles, with ticks at powers of two (or four, if many)."""
    axis.set_xscale("log")
    ends = curve.places if curve.edges is None else curve.edges
    low, high = 0.93 * ends[0], 1.07 * ends[-1]
    axis.set_xlim(low, high)
    powers = range(int(np.ceil(np.log2(max(low, 1.0)))), int(np.log2(high)) + 1)
    ticks = [2**power for power in powers if power % (1 if len(powers) < 8 else 2) == 0]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)


def _name(axis: Any, title: str, xlabel: str) -> None:
    axis.set_xlabel(xlabel)
    axis.set_title(title, fontsize=_TITLE)
    axis.grid(alpha=0.3, linewidth=0.5)
