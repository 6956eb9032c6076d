"""Minkowski functionals: area, boundary and Euler characteristic of excursion sets."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxscat.maps import check_nside, npix_to_nside
from jaxscat.operators.healpix import parents_with_neighbours

# Thresholds relative to the mean of the original, in its standard deviations.
LEVELS = np.arange(-2, 3.01, 0.5)


class PixelComplex(NamedTuple):
    """The sphere as a complex of pixels, edges and vertices; NESTED indices.

    - `edges`: the two pixels of each of the 24 nside^2 edges.
    - `vertices`: the pixels around each of the 12 nside^2 + 2 vertices; at the eight vertices where
      only three pixels meet, one of them is repeated.
    """

    edges: Int[np.ndarray, "edges 2"]
    vertices: Int[np.ndarray, "vertices 4"]


class Minkowski(NamedTuple):
    """The three Minkowski functionals of a map at every threshold; float64.

    - `area`: V0, the fraction of the area (of the footprint's weight) above the threshold.
    - `boundary`: V1, the fraction of edges with exactly one of their pixels above the threshold.
    - `euler`: V2, the Euler characteristic, pixels minus edges plus vertices: 1 for a disk minus
      its number of holes, summed over connected components; 2 for the whole sphere. Components
      that touch only in a vertex count as half connected.
    """

    area: Float[np.ndarray, " thresholds"]
    boundary: Float[np.ndarray, " thresholds"]
    euler: Float[np.ndarray, " thresholds"]


@lru_cache(maxsize=4)
def pixel_complex(nside: int) -> PixelComplex:
    """Return the pixels around each edge and each vertex of the HEALPix sphere.

    The arrays are read-only int32, and cached for the last few values of nside. Raises `ValueError`
    unless `nside` is a power of two.

    Source: `docs/conventions.md`, "Validation".
    """
    nside = check_nside(nside)
    table = parents_with_neighbours(nside, np.arange(12 * nside**2)).astype(np.int32)
    pixel, south_west, west, north_west, north, north_east, east, south_east, south = table.T
    sides = (south_west, north_west, north_east, south_east)
    edges = np.concatenate([np.stack([pixel, side], axis=1) for side in sides])
    corners = (
        (pixel, north_west, north, north_east),
        (pixel, north_east, east, south_east),
        (pixel, south_east, south, south_west),
        (pixel, south_west, west, north_west),
    )
    vertices = np.concatenate([np.stack(corner, axis=1) for corner in corners])
    # Every edge and vertex occurs once per pixel: keep that of the lowest pixel.
    edges = edges[edges[:, 0] < edges[:, 1]]
    vertices = vertices[vertices[:, 0] == vertices.min(axis=1)]
    for array in (edges, vertices):
        array.setflags(write=False)
    return PixelComplex(edges, vertices)


def minkowski_functionals(
    map: Float[np.ndarray, " p"],
    thresholds: Float[np.ndarray, " thresholds"],
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Minkowski:
    """Return the Minkowski functionals of the excursion sets of a NESTED map.

    An excursion set is the pixels strictly above a threshold (map units, any order). Its Euler
    characteristic is the mean of that of the closed set, with all edges and vertices of its
    pixels, and that of the open set, with the edges and vertices surrounded by its pixels: their
    biases where pixels touch in a vertex have opposite signs. With a `footprint` (weights >= 0),
    pixels of zero weight belong to no set, the area weights the pixels, and the boundary is over
    edges between two pixels of positive weight (NaN if there are none).

    Source: Schmalzing & Gorski 1998, MNRAS 297, 355; `docs/conventions.md`, "Validation".
    """
    map = np.asarray(map, dtype=np.float64)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    order, count = np.argsort(thresholds), len(thresholds)
    # The level of a pixel is the number of thresholds below its value.
    levels = np.searchsorted(thresholds[order], map, side="left")
    weights = np.ones(map.size) if footprint is None else np.asarray(footprint, np.float64)
    levels[weights == 0] = 0

    edges, vertices = pixel_complex(npix_to_nside(map.size))
    first, second = levels[edges.T]
    either, both = np.maximum(first, second), np.minimum(first, second)
    around = levels[vertices.T]
    area = _above(levels, count, weights) / weights.sum()
    faces = _above(levels, count)
    closed = faces - _above(either, count) + _above(around.max(axis=0), count)
    opened = faces - _above(both, count) + _above(around.min(axis=0), count)
    if footprint is not None:
        within = (weights > 0)[edges].all(axis=1)
        either, both = either[within], both[within]
    with np.errstate(invalid="ignore"):
        boundary = (_above(either, count) - _above(both, count)) / np.float64(len(either))

    place = np.argsort(order)
    return Minkowski(area[place], boundary[place], (closed + opened)[place] / 2.0)


def _above(
    levels: Int[np.ndarray, " parts"],
    count: int,
    weights: Float[np.ndarray, " parts"] | None = None,
) -> np.ndarray:
    """Return the number (or weight) of elements above each of `count` ascending thresholds."""
    found = np.bincount(levels, weights, minlength=count + 1)
    return np.cumsum(found[::-1])[::-1][1:]
