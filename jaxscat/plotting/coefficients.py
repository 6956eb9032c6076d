"""Figure that compares the coefficients of several maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscat.maps import check_kind
from jaxscat.plotting.axes import FREE
from jaxscat.plotting.panels import Blocks, Panel, build_panels
from jaxscat.plotting.summary import STYLES
from jaxscat.statistics.coefficients import ScatteringCovariance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More styles of the colour set of STYLES, with different line styles for prints without colour.
_MORE_STYLES: list[dict[str, Any]] = [
    {"color": "#000000", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": (0, (4, 2))},
    {"color": "#009E73", "linestyle": (0, (6, 1.5, 1, 1.5))},
    {"color": "#CC79A7", "linestyle": (0, (1.5, 1.2))},
    {"color": "#E69F00", "linestyle": (0, (8, 2))},
    {"color": "#56B4E9", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
]


def plot_coefficients(
    statistics: Mapping[str, ScatteringCovariance],
    *,
    errors: ScatteringCovariance | None = None,
    title: str = "",
    unit: str = "map units",
    imposed: int | None = None,
) -> Figure:
    """Plot the coefficients S1 to S4 of several maps against scale and orientation.

    S1 and S2 are plotted against the scale, the magnitudes of S3 and S4 against pairs and triples
    of scales, and their real parts at the finest scales against the angle between orientations.
    Lines are means over orientations, bands are their 16th to 84th percentiles. With `errors`,
    lower panels show the differences from the first map, as root mean squares over orientations of
    |difference| / error.

    Args:
        statistics: coefficients by map name, at most seven, all of one kind and shape.
        errors: standard errors of the first map.
        title: title of the figure.
        unit: unit of the maps.
        imposed: number of scales, from the finest, at which a synthesis had S3 and S4 imposed;
            others are hatched.

    Returns:
        figure without a window.

    Raises:
        ValueError: no or too many maps, several masks, or coefficients of different shapes.
    """
    from jaxscat.plotting.layout import new_figure

    _check(statistics, errors)
    check_kind(title, str, "title", "text")
    check_kind(unit, str, "unit", "text")
    first = next(iter(statistics.values()))
    rows = build_panels(first)
    below = errors if len(statistics) > 1 else None
    heights = [2.6 if below is None else 3.7] * len(rows)
    heights[0] += 0.3  # the legend
    figure = new_figure(13.0, sum(heights) + 0.5)
    if title:
        figure.suptitle(title, fontsize=13)
    caption = _caption(first, below is not None)
    caption += "" if imposed is None else "; hatched: not imposed"
    figure.supxlabel(caption, fontsize=9, color="0.3")
    styles = _styles(statistics)
    parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, panels in zip(parts, rows, strict=True):
        axes = _axes(part, panels, below is not None)
        for column, panel in enumerate(panels):
            _draw(axes[0, column], panel, statistics, styles, unit)
            if below is not None:
                _draw_differences(axes[1, column], panel, statistics, below, styles)
                axes[0, column].set_xlabel("")
                axes[0, column].tick_params(labelbottom=False)
            for axis in axes[:, column]:
                _hatch_free(axis, panel.axis, imposed)
    handles, labels = parts[0].axes[0].get_legend_handles_labels()
    parts[0].legend(
        handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False
    )
    return figure


def _hatch_free(axis: Any, blocks: Blocks, imposed: int | None) -> None:
    """Hatch the blocks of j3 from `imposed` on."""
    for first, last in [] if imposed is None else blocks.blocks[imposed:]:
        axis.axvspan(first - 0.7, last + 0.7, zorder=0.6, **FREE)


def _check(
    statistics: Mapping[str, ScatteringCovariance], errors: ScatteringCovariance | None
) -> None:
    check_kind(statistics, Mapping, "statistics", "coefficients by name, as in {'map': statistics}")
    if not 1 <= len(statistics) <= len(_MORE_STYLES):
        raise ValueError(
            f"statistics: got {len(statistics)} maps, expected 1 to {len(_MORE_STYLES)}"
        )
    named = {f"statistics[{name!r}]": one for name, one in statistics.items()}
    reference = next(iter(named))
    for name, one in {**named, "errors": errors}.items():
        if one is None:
            continue
        if not isinstance(one, ScatteringCovariance):
            raise ValueError(f"{name}: got {type(one).__name__}, expected a ScatteringCovariance")
        if one.masks is not None:
            raise ValueError(
                f"{name}: got coefficients of {one.masks} masks, expected those of one: select "
                "it first, as in jax.tree.map(lambda group: group[0], statistics)"
            )
        if _layout(one) != _layout(named[reference]):
            raise ValueError(
                f"{name}: got {_layout(one)}, expected {_layout(named[reference])} as {reference}"
            )
    if errors is not None and any(np.iscomplexobj(group) for group in errors.groups().values()):
        raise ValueError("errors: got complex numbers, expected real standard errors")


def _layout(one: ScatteringCovariance) -> str:
    shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in one.groups().items())
    return f"{one.kind} coefficients {shapes}" + (", both triangles" * one.both_triangles)


def _caption(statistics: ScatteringCovariance, differences: bool) -> str:
    caption = "one orientation"
    if statistics.orientations > 1:
        caption = "lines: mean over orientations; bands: their 16 to 84 percentile"
    if differences:
        caption += r"; lower panels: rms of |difference to the first| / $\sigma$, line at 1"
    return caption


def _styles(names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Assign a style to every map: that of its role in a run, or the next unused one."""
    roles = {name: dict(STYLES[name]) for name in names if name in STYLES}
    taken = {style["color"] for style in roles.values()}
    free = [style for style in _MORE_STYLES if style["color"] not in taken]
    others = [name for name in names if name not in roles]
    return {**roles, **dict(zip(others, free, strict=False))}


def _axes(part: Any, panels: list[Panel], differences: bool) -> np.ndarray:
    widths = [2.0 if len(panel.axis.blocks) > 1 and len(panels) == 3 else 1.0 for panel in panels]
    return part.subplots(
        2 if differences else 1,
        len(panels),
        squeeze=False,
        sharex="col",
        width_ratios=widths,
        height_ratios=[2.2, 1.0] if differences else [1.0],
    )


def _draw(
    axis: Any,
    panel: Panel,
    statistics: Mapping[str, ScatteringCovariance],
    styles: Mapping[str, Mapping[str, Any]],
    unit: str,
) -> None:
    means, tops = [], []
    for name, one in statistics.items():
        values = panel.shown(panel.values(one)).astype(np.float64)
        low, high = np.percentile(values, [16, 84], axis=1)
        mean = values.mean(axis=1)
        style = styles[name]
        _line(axis, panel.axis, mean, name, style)
        for stretch in _stretches(panel.axis):
            axis.fill_between(
                panel.axis.places[stretch],
                low[stretch],
                high[stretch],
                color=style["color"],
                alpha=0.16,
                linewidth=0,
            )
        means.append(mean)
        tops.append(np.maximum(mean, high))
    _scale(axis, panel, np.concatenate(means), np.concatenate(tops))
    _mark(axis, panel)
    axis.set_title(panel.title, fontsize=11)
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    axis.set_ylabel(f"{panel.ylabel}  [{squared if panel.power == 2 else unit}]")
    axis.set_xlabel(panel.xlabel)


def _draw_differences(
    axis: Any,
    panel: Panel,
    statistics: Mapping[str, ScatteringCovariance],
    errors: ScatteringCovariance,
    styles: Mapping[str, Mapping[str, Any]],
) -> None:
    names = list(statistics)
    original = panel.values(statistics[names[0]])
    sigma = panel.values(errors).astype(np.float64)
    known = np.where(sigma > 0, sigma, np.nan)
    maximum = 1.0
    for name in names[1:]:
        squares = np.abs((panel.values(statistics[name]) - original) / known) ** 2
        count = np.isfinite(squares).sum(axis=1)
        rms = np.full(len(squares), np.nan)  # a gap where no error is positive
        rms[count > 0] = np.sqrt(np.nansum(squares, axis=1)[count > 0] / count[count > 0])
        _line(axis, panel.axis, rms, name, styles[name])
        maximum = max([maximum, *rms[count > 0]])
    axis.axhline(1.0, color="0.4", linewidth=0.8)
    axis.set_yscale("symlog", linthresh=1.0)  # values range from zero to hundreds of errors
    axis.set_ylim(0.0, 2.0 * maximum)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylabel(r"rms |$\Delta$| / $\sigma$")
    axis.set_xlabel(panel.xlabel)
    _mark(axis, panel, top=False)


def _line(axis: Any, blocks: Blocks, heights: np.ndarray, name: str, style: Mapping) -> None:
    """Draw one curve, with gaps between blocks."""
    places = np.insert(blocks.places, blocks.starts[1:], np.nan)
    heights = np.insert(heights, blocks.starts[1:], np.nan)
    shown = {"linewidth": 1.4, **style}
    label = f" {name}" if name.startswith("_") else name  # matplotlib has no legend for "_..."
    axis.plot(places, heights, marker="o", markersize=2.5, label=label, **shown)


def _stretches(blocks: Blocks) -> list[slice]:
    return [
        slice(first, end)
        for first, end in zip(blocks.starts, [*blocks.starts[1:], len(blocks.places)], strict=True)
    ]


def _scale(axis: Any, panel: Panel, means: np.ndarray, tops: np.ndarray) -> None:
    """Set the vertical axis: logarithmic or symlog against scales, depending on signs."""
    if panel.shown is np.real and not _falls(panel):
        axis.axhline(0.0, color="0.4", linewidth=0.8)
        axis.ticklabel_format(axis="y", scilimits=(-3, 4))
        return
    maximum = np.abs(means).max()
    if maximum == 0:
        return
    if (means >= 0).all():
        positive = means[means > 0]
        axis.set_yscale("log")
        # Limited by the lines: bands can extend down to zero.
        minimum = max(positive.min(), 1e-9 * maximum)
        around = max(1.3, (maximum / minimum) ** 0.1)
        axis.set_ylim(minimum / around, tops.max() * around)
    else:
        # A power of ten, so that no label overlaps that of zero.
        axis.set_yscale("symlog", linthresh=10.0 ** np.ceil(np.log10(1e-2 * maximum)))
        axis.axhline(0.0, color="0.4", linewidth=0.8)


def _falls(panel: Panel) -> bool:
    return panel.xlabel.startswith("scale")


def _mark(axis: Any, panel: Panel, *, top: bool = True) -> None:
    """Label the entries below and the blocks of j3 above, and shade every other block."""
    ticks = panel.axis.ticks
    axis.set_xticks(list(ticks), list(ticks.values()))
    named = len(panel.axis.blocks) > 0
    if named and max(map(len, ticks.values())) > 1:
        axis.tick_params(axis="x", rotation=90)
    axis.tick_params(axis="both", which="both", labelsize=8)
    places = panel.axis.places
    around = 0.8 if named else 0.04 * max(np.ptp(places), 10.0)
    axis.set_xlim(places.min() - around, places.max() + around)
    axis.grid(axis="y", alpha=0.25, linewidth=0.5)
    for first, last in panel.axis.blocks[1::2]:
        axis.axvspan(first - 1.0, last + 1.0, color="0.5", alpha=0.1, linewidth=0)
    if named and top:
        upper = axis.secondary_xaxis("top")
        middles = [(first + last) / 2 for first, last in panel.axis.blocks]
        upper.set_xticks(middles, [str(j3) for j3 in range(len(middles))])
        upper.tick_params(length=0, labelsize=8, pad=1)
        upper.set_xlabel("coarsest scale $j_3$", fontsize=8)
