"""Enlarged images of a patch of several maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Map = Float[np.ndarray, " p"]

_PIXELS_ACROSS, _LARGEST_DEGREES = 60, 60.0
# Nside of the candidate centres of the patch, and width of the images that weigh them, in pixels.
_CENTRES_NSIDE, _SEARCH_PIXELS = 8, 24


class Patch(NamedTuple):
    """A square patch of the sky around a tangent point.

    Attributes:
        lon: longitude of the centre, degrees.
        lat: latitude of the centre, degrees.
        size_degrees: angle between the midpoints of opposite sides, degrees.
    """

    lon: float
    lat: float
    size_degrees: float


def gnomonic_image(
    map: Map, lon: float, lat: float, *, size_degrees: float, pixels: int = 200
) -> Float[np.ndarray, "pixels pixels"]:
    """Project a square patch of a NESTED map to a gnomonic image.

    Every pixel of the image has the value of the map at its centre (nearest pixel). Longitude
    increases to the left, as seen from inside; the first row is the northernmost. Raises
    `ValueError` unless the patch is wider than 0 and narrower than 180 degrees.
    """
    import healpy  # loads matplotlib, so not at import

    if not 0.0 < size_degrees < 180.0:
        raise ValueError(f"size_degrees: got {size_degrees}, expected more than 0 and below 180")
    half = np.tan(np.radians(size_degrees) / 2.0)
    steps = half * (2.0 * (np.arange(pixels) + 0.5) / pixels - 1.0)
    west, north = np.meshgrid(steps, -steps)
    longitude, latitude = np.radians([lon, lat])
    towards = np.array(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ]
    )
    to_west = np.array([np.sin(longitude), -np.cos(longitude), 0.0])
    to_north = np.cross(to_west, towards)
    x, y, z = np.moveaxis(towards + west[..., None] * to_west + north[..., None] * to_north, -1, 0)
    values = np.asarray(map, dtype=np.float64)
    return values[healpy.vec2pix(healpy.npix2nside(values.size), x, y, z, nest=True)]


def zoom_patch(nside: int, footprint: Map | None = None) -> Patch:
    """Choose the default patch for a given nside: about 60 pixels and at most 60 degrees wide.

    Its centre is at longitude and latitude zero, whatever the map: a patch chosen for its content
    would be unusual. With a `footprint` (weights [p] >= 0), the centre moves to the pixel of
    nside 8 whose patch has the maximum weight, if that is larger.
    """
    import healpy

    pixel = float(np.degrees(healpy.nside2resol(nside)))
    size = min(_LARGEST_DEGREES, _PIXELS_ACROSS * pixel)
    if footprint is None:
        return Patch(0.0, 0.0, size)
    coarse = min(nside, _CENTRES_NSIDE)
    middles = healpy.pix2ang(coarse, np.arange(12 * coarse**2), nest=True, lonlat=True)
    candidates = [(0.0, 0.0), *zip(*middles, strict=True)]
    weights = [
        gnomonic_image(footprint, lon, lat, size_degrees=size, pixels=_SEARCH_PIXELS).mean()
        for lon, lat in candidates
    ]
    lon, lat = candidates[int(np.argmax(weights))]
    return Patch(float(lon), float(lat), size)


def draw_zooms(
    figure: Any,
    axes: Sequence[Any],
    maps: Mapping[str, Map],
    *,
    patch: Patch | None = None,
    footprint: Map | None = None,
    unit: str = "map units",
    bar: Mapping[str, Any] | None = None,
    pixels: int = 400,
    title_size: float = 12,
) -> None:
    """Draw one patch of NESTED maps [p] into axes of a figure, titled by name.

    The colour scale is that of `draw_maps`: the 0.5 to 99.5 percentiles of the first full map.
    Pixels of zero weight in the `footprint` are blank. The default `patch` is that of
    `zoom_patch`; its position is written below the images. `bar` holds the options of the colour
    bar (no bar by default); `pixels` is the width of each image.
    """
    import healpy

    first = next(iter(maps.values()))
    inside = np.ones(len(first), bool) if footprint is None else footprint > 0
    low, high = np.percentile(first[inside], [0.5, 99.5])
    lon, lat, size = patch or zoom_patch(healpy.npix2nside(len(first)), footprint)
    image = None
    for axis, (name, map) in zip(axes, maps.items(), strict=True):
        shown = np.where(inside, map, np.nan)
        image = axis.imshow(
            gnomonic_image(shown, lon, lat, size_degrees=size, pixels=pixels),
            vmin=low,
            vmax=high,
            cmap="inferno",
            interpolation="nearest",
        )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(name, fontsize=title_size)
    if bar is not None:
        figure.colorbar(image, ax=axes, extend="both", **bar).set_label(unit)
    figure.supxlabel(
        f"patch {size:.3g}° across around longitude {lon:.4g}°, latitude {lat:.4g}°",
        fontsize=10,
        color="0.3",
    )
