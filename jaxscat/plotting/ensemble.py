"""Figure of the maps of several seeds and of their correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.maps import Map, draw_maps
from jaxscat.validation.ensemble import largest_correlation, largest_with_first

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAXIMUM_MAPS, _MAXIMUM_ROWS = 8, 3
# Maximum number of rows of the matrix with a label each, and with numbers written in the cells.
_MAXIMUM_LABELS, _MAXIMUM_NUMBERS = 24, 9


def plot_ensemble(
    original: Map,
    maps: Mapping[int, Map],
    correlations: Float[np.ndarray, "maps maps"],
    *,
    footprint: Map | None = None,
    title: str = "",
    unit: str = "map units",
) -> Figure:
    """Plot the correlation matrix of the maps of two or more seeds, and the first maps.

    `maps` holds the NESTED map [p] of every seed, `correlations` is the matrix of the original and
    these maps (see `correlation_matrix`). The colour scale of the matrix ends at the maximum
    magnitude off the diagonal, and the diagonal is grey. Up to eight maps are drawn beside the
    original, on its colour scale; pixels of zero weight in the `footprint` are blank. Returns a
    figure without a window. Raises `ValueError` for fewer than two seeds or a matrix of another
    size.

    Source: `docs/conventions.md`, "Ensembles".
    """
    from jaxscat.plotting.layout import new_figure

    seeds = list(maps)
    if len(seeds) < 2 or correlations.shape != (len(seeds) + 1, len(seeds) + 1):
        raise ValueError(
            f"correlations: got shape {correlations.shape} for {len(seeds)} maps, expected two "
            "maps or more, and a row for each of them and for the original"
        )
    shown = {"original": original}
    shown |= {f"seed {seed}": maps[seed] for seed in seeds[:_MAXIMUM_MAPS]}
    columns = -(-len(shown) // _MAXIMUM_ROWS)
    widths = [6.4, 3.5 * columns]
    figure = new_figure(sum(widths), 6.4)
    if title:
        figure.suptitle(title, fontsize=13)
    grid = figure.add_gridspec(1, 2, width_ratios=widths)
    left, right = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_matrix(left, seeds, correlations)
    rows = -(-len(shown) // columns)
    axes = right.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    bar = {"orientation": "horizontal", "fraction": 0.04, "aspect": 35, "pad": 0.02}
    bar["shrink"] = 0.9 if columns == 1 else 0.6
    draw_maps(
        right,
        axes[: len(shown)],
        shown,
        footprint=footprint,
        unit=unit,
        bar=bar,
        title_size=11,
    )
    return figure


def _draw_matrix(figure: Any, seeds: list[int], correlations: np.ndarray) -> None:
    import matplotlib

    pair = largest_correlation(correlations[1:, 1:])
    off = np.where(np.eye(len(correlations), dtype=bool), np.nan, correlations)
    magnitudes = np.abs(off[np.isfinite(off)])
    limit = magnitudes.max(initial=0.0) or 1.0
    axis = figure.subplots()
    image = axis.imshow(
        off,
        vmin=-limit,
        vmax=limit,
        cmap=matplotlib.colormaps["RdBu_r"].with_extremes(bad="0.8"),
        interpolation="nearest",
    )
    axis.axhline(0.5, color="black", linewidth=1.0)
    axis.axvline(0.5, color="black", linewidth=1.0)
    names = ["original", *map(str, seeds)]
    ticks = range(0, len(names), -(-len(names) // _MAXIMUM_LABELS))
    axis.set_xticks(ticks, [names[tick] for tick in ticks], rotation=90, fontsize=9)
    axis.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=9)
    axis.set_xlabel("seed")
    axis.set_ylabel("seed")
    if len(names) <= _MAXIMUM_NUMBERS:
        for row, column in np.argwhere(np.isfinite(off)):
            value = off[row, column]
            dark = abs(value) > 0.5 * limit
            axis.text(
                column,
                row,
                f"{value:+.3f}",
                ha="center",
                va="center",
                fontsize=12 if len(names) < 6 else 9,
                color="white" if dark else "black",
            )
    with_original = largest_with_first(correlations)
    figure.suptitle(
        "correlation between the pixels of two maps; largest\n"
        f"of two seeds {pair.correlation:+.3f} ({seeds[pair.first]} and {seeds[pair.second]}), "
        f"with the original {with_original.correlation:+.3f} "
        f"(seed {seeds[with_original.second - 1]})",
        fontsize=11,
    )
    bar = axis.inset_axes((1.03, 0.0, 0.04, 1.0))
    figure.colorbar(image, cax=bar).set_label("correlation coefficient $r$")
