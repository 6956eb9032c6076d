"""Maps of polarization: segments over an intensity, their zooms, and E and B, or Q and U."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.segments import Segments, patch_segments, sky_segments
from jaxscat.plotting.sky_row import (
    Picture,
    Scale,
    difference_scale,
    draw_patch,
    draw_sky,
    few_ticks,
    value_scale,
)
from jaxscat.plotting.zoom import Patch, zoom_patch

Map = Float[np.ndarray, " p"]
Fields = Mapping[str, Map]

_TITLE, _ROW, _LABEL, _NOTE = 17, 15, 13, 11.5
# Segments of at least the strength of this percentile of the original's are of full length.
_LONGEST = 85.0
_EACH = "P is strongest in each map"
# Widths of the columns over the height of a row.
_WIDTHS = {"sky": 2.06, "zoom": 1.03, "E": 2.06, "B": 2.06, "Q": 2.06, "U": 2.06}


def columns_of(names: frozenset[str]) -> list[str]:
    """Return the columns of maps that are drawn for fields of given names."""
    sky = ["sky"] if "T" in names or "Q" in names else []
    zoom = ["zoom"] if "Q" in names else []
    return [*sky, *zoom, *scalars_of(names)]


def scalars_of(names: Collection[str]) -> tuple[str, str]:
    """Return the scalar maps of polarization that are shown: E and B, or without them Q and U."""
    return ("E", "B") if "E" in names else ("Q", "U")


def skies_height(width: float, names: frozenset[str], rows: int) -> float:
    """Return the height in inches that `draw_polarized_skies` takes for a width."""
    across = sum(_WIDTHS[column] for column in columns_of(names))
    zooms = 0.25 if "Q" in names else 0.0
    return rows * ((width - 1.1) / across + zooms) + (2.1 if "Q" in names else 1.6)


def draw_polarized_skies(
    figure: Any, rows: Mapping[str, Fields], unit: str, *, same_patch: bool = False
) -> None:
    """Draw a row of maps for every sky: intensity with segments, a zoom, E and B, or Q and U.

    The first sky sets the colours of every column, and the length of the segments. Intensity is T,
    or without it the polarized intensity P. The zoom is where the mean of P is largest, in every
    sky for itself. Pixels that are NaN are grey, and have no segments.

    Args:
        figure: figure or a part of one.
        rows: NESTED maps "E" and "B", or "Q" and "U", or all of them, of every sky, by its title,
            and perhaps "T"; all skies have the same. U has the sign of COSMO.
        unit: unit of the maps, as shown.
        same_patch: zoom to the same place in all skies, that of the first.
    """
    first = next(iter(rows.values()))
    columns = columns_of(frozenset(first))
    axes = figure.subplots(
        len(rows), len(columns), squeeze=False, width_ratios=[_WIDTHS[name] for name in columns]
    )
    scales = _scales(first, unit)
    titles = _titles(first)
    longest: dict[str, float] = {}
    degrees: dict[str, float] = {}
    images: dict[str, Any] = {}
    for row, (name, fields) in enumerate(rows.items()):
        patch = _strongest(first if same_patch else fields) if "zoom" in columns else None
        for column, kind in enumerate(columns):
            axis = axes[row, column]
            scale = scales["sky" if kind == "zoom" else kind]
            picture = Picture(titles[kind] if row == 0 else "", _shown(fields, kind), scale)
            segments = None
            if kind == "zoom":
                assert patch is not None
                _draw_zoom(axis, picture, patch)
                segments = patch_segments(fields["Q"], fields["U"], patch)
            else:
                images[kind] = draw_sky(axis, picture, title_size=_TITLE)
                if kind == "sky" and "Q" in fields:
                    segments = sky_segments(fields["Q"], fields["U"])
            if segments is not None:
                seen = segments.strengths
                strongest = float(np.percentile(seen, _LONGEST)) if seen.size else 0.0
                longest.setdefault(kind, strongest)
                degrees[kind] = segments.degrees
                draw_segments(axis, segments, longest[kind])
        axes[row, 0].text(
            -0.03,
            0.5,
            name,
            transform=axes[row, 0].transAxes,
            rotation=90,
            fontsize=_ROW,
            ha="right",
            va="center",
        )
    for kind, image in images.items():
        under = ["sky", "zoom"] if kind == "sky" else [kind]
        at = [columns.index(one) for one in under if one in columns]
        _draw_bar(figure, image, axes[:, at].ravel().tolist(), scales[kind].label, len(at))
    notes = []
    if longest:
        where = f"P is strongest in the {next(iter(rows))}" if same_patch else _EACH
        notes = [_note(longest, degrees, _strongest(first).size_degrees, unit, where)]
    if any(np.isnan(map).any() for map in first.values()):
        notes.append("grey: pixels without data")
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=_NOTE, color="0.3")


def draw_segments(axis: Any, segments: Segments, longest: float) -> None:
    """Draw headless segments, those of the strength `longest` and more at full length."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import Normal, Stroke

    lines = LineCollection(
        list(segments.lines(longest)), colors="white", linewidths=1.1, capstyle="butt", zorder=3
    )
    lines.set_path_effects(
        [Stroke(linewidth=2.3, foreground="black", capstyle="projecting"), Normal()]
    )
    axis.add_collection(lines, autolim=False)


def _scales(fields: Fields, unit: str) -> dict[str, Scale]:
    """Return the colour scales of all columns, from the fields of the first sky."""
    found = {
        name: difference_scale(fields[name], f"{name} [{unit}]") for name in scalars_of(fields)
    }
    if "T" in fields:
        found["sky"] = value_scale(fields["T"], f"T [{unit}]")
    elif "Q" in fields:
        found["sky"] = value_scale(_shown(fields, "sky"), f"P [{unit}]")._replace(low=0.0)
    return found


def _titles(fields: Fields) -> dict[str, str]:
    name = "T" if "T" in fields else "P"
    sky = f"{name} and orientation of polarization" if "Q" in fields else "T"
    return {"sky": sky, "zoom": "zoom", **{one: one for one in scalars_of(fields)}}


def _shown(fields: Fields, kind: str) -> Map:
    """Return the map behind the panel of a column."""
    if kind in scalars_of(fields):
        return fields[kind]
    return fields["T"] if "T" in fields else np.hypot(fields["Q"], fields["U"])


def _strongest(fields: Fields) -> Patch:
    """Return the patch with the largest mean of P, which is none where there are no data."""
    import healpy

    strength = np.hypot(fields["Q"], fields["U"])
    seen = ~np.isnan(strength)
    weights = np.where(seen, strength, 0.0)
    return zoom_patch(healpy.npix2nside(strength.size), weights if weights.any() else 1.0 * seen)


def _draw_zoom(axis: Any, picture: Picture, patch: Patch) -> None:
    draw_patch(axis, picture, patch)
    axis.set_title(picture.title, fontsize=_TITLE, pad=9)
    axis.set_xlabel(f"lon {patch.lon:.3g}°, lat {patch.lat:.3g}°", fontsize=_NOTE, color="0.3")


def _draw_bar(figure: Any, image: Any, axes: list[Any], label: str, count: int) -> None:
    bar = figure.colorbar(
        image,
        ax=axes,
        orientation="horizontal",
        extend="both",
        fraction=0.04,
        pad=0.02,
        aspect=28 * count,
        shrink=0.85,
    )
    bar.set_label(label, fontsize=_LABEL)
    bar.ax.tick_params(labelsize=_LABEL - 1)
    bar.locator = few_ticks(4)
    bar.update_ticks()


def _note(
    longest: Mapping[str, float],
    degrees: Mapping[str, float],
    size: float,
    unit: str,
    where: str,
) -> str:
    """Say what the segments and the zooms are."""
    sky, zoom = (
        f"means over {degrees[kind]:.2g}°, of full length from P = {longest[kind]:.2g} {unit} up"
        for kind in ("sky", "zoom")
    )
    return f"segments: {sky}; in the zooms: {zoom}\nzooms: {size:.3g}° across, where {where}"
