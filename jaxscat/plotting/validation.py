"""The figures of a validation: all panels in one figure, or a figure for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.curve_panels import (
    SCATTERING,
    SHAPES,
    Curves,
    draw_correlation,
    draw_density,
    draw_losses,
    draw_ratio,
    draw_scattering,
    draw_shape,
    draw_spectrum,
    has_bands,
    legend_entries,
)
from jaxscat.plotting.maps import draw_maps
from jaxscat.plotting.zoom import draw_zooms
from jaxscat.validation.seeds import SeedValidation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]
Losses = Sequence[Sequence[float] | Float[np.ndarray, " steps"]]
Terms = Sequence[Mapping[str, Any]]

_MAP_BAR = {"orientation": "horizontal", "shrink": 0.35, "aspect": 35, "pad": 0.03}
# Width of a legend entry, inches.
_LEGEND_ENTRY = 2.6
# What is grey in a figure.
_GREYS = {
    "all": "tolerance (correlation: chance)",
    "spectrum": "tolerance",
    "copies": "chance, one map",
    "morphology": "tolerance",
    "scattering": "tolerance",
}
_ZOOM_BAR = {"shrink": 0.85, "aspect": 30, "pad": 0.02}


def plot_validation(
    validation: SeedValidation,
    original: Map,
    maps: Mapping[int, Map],
    control_map: Map,
    losses: Losses = (),
    *,
    footprint: Map | None = None,
    title: str = "",
    unit: str = "map units",
    terms: Terms = (),
    imposed: int | None = None,
) -> Figure:
    """Plot all quantities of a validation, with the seeds and the Gaussian controls.

    From top to bottom: Mollweide maps and one patch (see `zoom_patch`) of the original, the first
    of the `maps` (by seed) and a Gaussian control, all on the colour scale of the original; power
    spectrum, ratio of power, correlation with the original, and histogram of pixel values;
    Minkowski functionals and counts of peaks and minima, with differences from the original in
    percent of its maximum magnitude; scattering coefficients relative to the original, and the
    loss. Lines of several maps are medians, in bands from the 16th to the 84th percentile.

    Args:
        validation: quantities of the panels below the maps.
        original, maps, control_map: NESTED [p], all in one `unit`.
        losses: loss history of every map, starting with the start map; without any, the panel of
            the loss is empty.
        footprint: weights of the pixels [p]; pixels of zero weight are blank in the maps.
        title: title of the figure.
        unit: unit of the maps.
        terms: of every map, the values of the terms of its loss, drawn if there are several.
        imposed: number of scales at which S3 and S4 were imposed; others are hatched.

    Returns:
        figure without a window.

    Source: `docs/conventions.md`, "Validation".
    """
    from jaxscat.plotting.layout import new_figure

    curves, shown = validation.curves(), _shown(original, maps, control_map)
    heights = [3.1, 3.7, 3.3, 4.4, 2.9]
    figure: Any = new_figure(16.0, sum(heights) + 0.4)
    if title:
        figure.suptitle(title, fontsize=14)
    sky, patches, spectra, shapes, scattering = figure.subfigures(
        len(heights), 1, height_ratios=heights
    )
    _draw_sky(sky, shown, footprint, unit)
    draw_zooms(patches, patches.subplots(1, len(shown)), shown, footprint=footprint)
    axes = spectra.subplots(1, 4)
    draw_spectrum(axes[0], curves, unit)
    draw_ratio(axes[1], curves)
    draw_correlation(axes[2], curves, _chance(validation))
    draw_density(axes[3], curves, unit)
    _draw_legend(spectra, curves, grey=_GREYS["all"])
    _draw_shapes(shapes, curves)
    axes = scattering.subplots(1, len(SCATTERING) + 1)
    for axis, name in zip(axes, SCATTERING, strict=False):
        draw_scattering(axis, curves, name, imposed)
    draw_losses(axes[-1], losses, terms)
    return figure


def validation_figures(
    validation: SeedValidation,
    original: Map,
    maps: Mapping[int, Map],
    control_map: Map,
    losses: Losses = (),
    *,
    footprint: Map | None = None,
    title: str = "",
    unit: str = "map units",
    terms: Terms = (),
    imposed: int | None = None,
) -> dict[str, Figure]:
    """Plot the parts of `plot_validation` as separate figures, for a page.

    Their names are maps, zoom, spectrum, distribution, copies, morphology, scattering and, if
    there are losses, loss. The first figure has the `title`.
    """
    from jaxscat.plotting.layout import new_figure

    curves, shown = validation.curves(), _shown(original, maps, control_map)
    figures: dict[str, Any] = {
        "maps": new_figure(13.0, 3.1),
        "zoom": new_figure(13.0, 4.4),
        "spectrum": new_figure(13.0, 4.2),
        "distribution": new_figure(6.5, 5.0),
        "copies": new_figure(6.5, 5.0),
        "morphology": new_figure(15.0, 5.0),
        "scattering": new_figure(13.0, 3.8),
    }
    if title:
        figures["maps"].suptitle(title, fontsize=13)
    _draw_sky(figures["maps"], shown, footprint, unit)
    zoom = figures["zoom"]
    draw_zooms(
        zoom,
        zoom.subplots(1, len(shown)),
        shown,
        footprint=footprint,
        unit=unit,
        bar=_ZOOM_BAR,
    )
    axes = figures["spectrum"].subplots(1, 2)
    draw_spectrum(axes[0], curves, unit)
    draw_ratio(axes[1], curves)
    draw_density(figures["distribution"].subplots(), curves, unit)
    draw_correlation(figures["copies"].subplots(), curves, _chance(validation))
    _draw_shapes(figures["morphology"], curves)
    for axis, name in zip(
        figures["scattering"].subplots(1, len(SCATTERING)), SCATTERING, strict=True
    ):
        draw_scattering(axis, curves, name, imposed)
    for name in ("spectrum", "distribution", "copies", "morphology", "scattering"):
        _draw_legend(figures[name], curves, grey=_GREYS.get(name, ""))
    if losses:
        figures["loss"] = new_figure(13.0, 3.2)
        draw_losses(figures["loss"].subplots(), losses, terms)
    return figures


def _shown(original: Map, maps: Mapping[int, Map], control_map: Map) -> dict[str, Map]:
    """Return the maps to draw, by title."""
    seed, made = next(iter(maps.items()))
    return {
        "original": original,
        f"synthesized, seed {seed}": made,
        "Gaussian control": control_map,
    }


def _draw_sky(figure: Any, shown: Mapping[str, Map], footprint: Map | None, unit: str) -> None:
    axes = figure.subplots(1, len(shown))
    draw_maps(figure, axes, shown, footprint=footprint, unit=unit, bar=_MAP_BAR)


def _draw_shapes(figure: Any, curves: Curves) -> None:
    axes = figure.subplots(2, len(SHAPES), sharex="col", height_ratios=[1.5, 1.0])
    for column, name in enumerate(SHAPES):
        draw_shape(axes[0, column], axes[1, column], curves, name)
        if column:
            axes[1, column].set_ylabel("")


def _draw_legend(figure: Any, curves: Curves, *, grey: str) -> None:
    from matplotlib.legend_handler import HandlerTuple

    handles, labels = legend_entries(curves, grey=grey)
    width = figure.bbox.width / figure.dpi
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=min(len(labels), int(width / _LEGEND_ENTRY)),
        frameon=False,
        title="lines: medians; bands: 16 to 84 %" if has_bands(curves) else None,
        title_fontsize=9,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0.0)},
        handlelength=2.6,
    )


def _chance(validation: SeedValidation) -> list[float | None]:
    """Return the chance level of the correlation of one map with the original, per range."""
    report = next(iter(validation.reports.values()))
    return [entry["chance"] for entry in report["correlation_ranges"]]
