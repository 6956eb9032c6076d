"""A row of sky maps and a row of zooms below it, with a colour scale for each kind of map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.plotting.maps import mollweide_image
from jaxscat.plotting.zoom import Patch, gnomonic_image, zoom_patch

Map = Float[np.ndarray, " p"]

# Figures are read at a third of their size, too: titles of maps are large.
_TITLE, _LABEL = 19, 13
_GREY = "0.75"


class Scale(NamedTuple):
    """A colour scale, shared by neighbouring maps.

    Attributes:
        low, high: its ends.
        colours: name of the colour map.
        label: what the colour bar says.
    """

    low: float
    high: float
    colours: str
    label: str


class Picture(NamedTuple):
    """One map of the row.

    Attributes:
        title: short name above it.
        map: NESTED map; NaN is drawn grey.
        scale: its colours; the same object for maps that share a colour bar.
    """

    title: str
    map: Map
    scale: Scale


def value_scale(map: Map, label: str) -> Scale:
    """Return the scale of a map: its 0.5 to 99.5 percentiles, without NaN."""
    low, high = np.nanpercentile(map, [0.5, 99.5])
    return Scale(float(low), float(high), "inferno", label)


def difference_scale(map: Map, label: str) -> Scale:
    """Return a scale around zero for the 99.5 percentile of a map's magnitude, without NaN."""
    seen = np.abs(map[np.isfinite(map) & (map != 0)])
    high = float(np.percentile(seen, 99.5)) if seen.size else 1.0
    return Scale(-high, high, "RdBu_r", label)


def rows_height(width: float, count: int) -> float:
    """Return the height in inches that `draw_sky_rows` takes for maps of a total width."""
    return 1.5 * width / count + 1.65


def draw_sky_rows(
    figure: Any, pictures: Sequence[Picture], *, outlined: Bool[np.ndarray, " p"] | None = None
) -> None:
    """Draw Mollweide maps, and below them the same patch of each, larger.

    Args:
        figure: figure or a part of one; it gets colour bars and the position of the patch.
        pictures: maps, side by side; those that share a scale stand next to one another.
        outlined: pixels whose borders are drawn on all maps, such as gaps; the patch is where
            most of them are.
    """
    import healpy

    nside = healpy.npix2nside(pictures[0].map.size)
    weights = None if outlined is None else outlined.astype(np.float64)
    patch = zoom_patch(nside, weights)
    axes = figure.subplots(2, len(pictures), squeeze=False, height_ratios=[0.5, 1.0])
    for column, picture in enumerate(pictures):
        image = draw_sky(axes[0, column], picture, outlined=outlined)
        draw_patch(axes[1, column], picture, patch, outlined=outlined)
        together = [at for at, other in enumerate(pictures) if other.scale is picture.scale]
        if column == together[-1]:
            bar = figure.colorbar(
                image,
                ax=[axes[1, at] for at in together],
                orientation="horizontal",
                extend="both",
                fraction=0.05,
                pad=0.03,
                aspect=22 * len(together),
                shrink=0.92,
            )
            bar.set_label(picture.scale.label, fontsize=_LABEL)
            bar.ax.tick_params(labelsize=_LABEL - 1)
            bar.locator = few_ticks(6 if len(together) > 1 else 4)
            bar.update_ticks()


def few_ticks(count: int) -> Any:
    """Return a locator of at most so many intervals between ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count)


def _colours(name: str) -> Any:
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=_GREY)


def draw_sky(
    axis: Any,
    picture: Picture,
    *,
    outlined: Bool[np.ndarray, " p"] | None = None,
    title_size: float = _TITLE,
) -> Any:
    """Draw the Mollweide image of a map, from -2 to 2 and from -1 to 1, and return the image."""
    from matplotlib.patches import Ellipse

    low, high, colours, _ = picture.scale
    shown = mollweide_image(picture.map)
    extent = (-2.0, 2.0, -1.0, 1.0)
    image = axis.imshow(
        shown, extent=extent, vmin=low, vmax=high, cmap=_colours(colours), interpolation="nearest"
    )
    ellipse = Ellipse((0, 0), 4.0, 2.0, fill=False, linewidth=1.0, color="0.2")
    axis.add_patch(ellipse)
    image.set_clip_path(ellipse)
    if outlined is not None:
        borders = np.nan_to_num(mollweide_image(outlined.astype(np.float64)))
        _outline(axis, borders, extent, colours)
    axis.set_axis_off()
    axis.set_xlim(-2.03, 2.03)
    axis.set_ylim(-1.03, 1.03)
    if picture.title:
        axis.set_title(picture.title, fontsize=title_size, pad=9)
    return image


def draw_patch(
    axis: Any,
    picture: Picture,
    patch: Patch,
    *,
    outlined: Bool[np.ndarray, " p"] | None = None,
) -> None:
    """Draw the gnomonic image of a patch of a map, from -1 to 1 either way."""
    low, high, colours, _ = picture.scale
    lon, lat, size = patch
    extent = (-1.0, 1.0, -1.0, 1.0)
    axis.imshow(
        gnomonic_image(picture.map, lon, lat, size_degrees=size, pixels=400),
        extent=extent,
        vmin=low,
        vmax=high,
        cmap=_colours(colours),
        interpolation="nearest",
    )
    if outlined is not None:
        borders = gnomonic_image(outlined, lon, lat, size_degrees=size, pixels=400)
        _outline(axis, borders, extent, colours)
    axis.set_xticks([])
    axis.set_yticks([])


def _outline(axis: Any, borders: np.ndarray, extent: Any, colours: str) -> None:
    if borders.min() == borders.max():
        return
    colour = "#00C8FF" if colours == "inferno" else "0.25"
    axis.contour(
        borders, levels=[0.5], extent=extent, origin="upper", colors=colour, linewidths=0.9
    )


def describe_patch(nside: int, outlined: Bool[np.ndarray, " p"] | None = None) -> str:
    """Say where the patch of `draw_sky_rows` is."""
    weights = None if outlined is None else outlined.astype(np.float64)
    lon, lat, size = zoom_patch(nside, weights)
    return f"zooms: {size:.3g}° across around longitude {lon:.4g}°, latitude {lat:.4g}°"
