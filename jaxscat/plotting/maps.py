"""Mollweide images of full-sky maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.maps import describe, is_integer, npix_to_nside, to_real

Map = Float[np.ndarray, " p"]


def mollweide_image(map: Map, *, width: int = 800) -> Float[np.ndarray, "h w"]:
    """Project a NESTED map to a Mollweide image, [width / 2, width], NaN outside the ellipse.

    Longitude zero is in the centre and longitude increases to the left, as seen from inside; the
    first row is at the north pole. Raises `ValueError` for other than one real map, in which NaN
    may be, and for a width that is no positive integer.
    """
    import healpy  # loads matplotlib, so not at import

    map = to_real(map)
    if map.ndim != 1:
        raise ValueError(f"map: got shape {map.shape}, expected one map of shape (npix,)")
    nside = npix_to_nside(map.size)
    if not is_integer(width) or width < 2:
        raise ValueError(f"width: got {describe(width)}, expected an integer of at least 2")
    x, y = np.meshgrid(
        2.0 * (np.arange(width) + 0.5) / width - 1.0,
        1.0 - 2.0 * (np.arange(width // 2) + 0.5) / (width // 2),
    )
    inside = x**2 + y**2 < 1.0
    auxiliary = np.arcsin(y[inside])
    latitude = np.arcsin((2.0 * auxiliary + np.sin(2.0 * auxiliary)) / np.pi)
    longitude = -np.pi * x[inside] / np.cos(auxiliary)
    pixels = healpy.ang2pix(nside, np.pi / 2.0 - latitude, longitude, nest=True)
    image = np.full(x.shape, np.nan)
    image[inside] = np.asarray(map, dtype=np.float64)[pixels]
    return image


def draw_maps(
    figure: Any,
    axes: Sequence[Any],
    maps: Mapping[str, Map],
    *,
    footprint: Map | None = None,
    unit: str = "map units",
    bar: Mapping[str, Any],
    width: int = 800,
    title_size: float = 12,
) -> None:
    """Draw NESTED maps [p] into axes of a figure, titled by name, with one colour bar.

    The colour scale spans the 0.5 to 99.5 percentiles of the first map. Pixels of zero weight in
    the `footprint` are blank. `bar` holds the options of the colour bar; `width` is the width of
    each image in pixels.
    """
    from matplotlib.patches import Ellipse

    first = next(iter(maps.values()))
    inside = np.ones(len(first), bool) if footprint is None else footprint > 0
    low, high = np.percentile(first[inside], [0.5, 99.5])
    image = None
    for axis, (name, map) in zip(axes, maps.items(), strict=True):
        image = axis.imshow(
            mollweide_image(np.where(inside, map, np.nan), width=width),
            extent=(-2.0, 2.0, -1.0, 1.0),
            vmin=low,
            vmax=high,
            cmap="inferno",
            interpolation="nearest",
        )
        axis.add_patch(Ellipse((0, 0), 4.0, 2.0, fill=False, linewidth=1.0, color="0.2"))
        axis.set_axis_off()
        axis.set_xlim(-2.03, 2.03)
        axis.set_ylim(-1.03, 1.03)
        axis.set_title(name, fontsize=title_size)
    figure.colorbar(image, ax=axes, extend="both", **bar).set_label(unit)
