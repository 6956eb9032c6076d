"""Counts of local maxima above, and local minima below, thresholds."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxscat.maps import npix_to_nside
from jaxscat.operators.healpix import parents_with_neighbours

# Thresholds relative to the mean of the original, in its standard deviations; few peaks are higher.
PEAK_LEVELS = np.arange(-0.5, 2.01, 0.5)
MINIMUM_LEVELS = 0.0 - PEAK_LEVELS


@lru_cache(maxsize=4)
def _neighbours(nside: int) -> Int[np.ndarray, "8 p"]:
    """Return the neighbours of every pixel (NESTED, int32, read-only), repeated if missing."""
    table = parents_with_neighbours(nside, np.arange(12 * nside**2))
    neighbours = np.ascontiguousarray(table[:, 1:].T, dtype=np.int32)
    neighbours.setflags(write=False)
    return neighbours


def local_maxima(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Bool[np.ndarray, " p"]:
    """Find the pixels of a NESTED map that are strictly above all their neighbours.

    The neighbours of a pixel are the eight or seven (six at nside 1) that share an edge or a
    vertex with it. With a `footprint` (weights >= 0), the pixel and all its neighbours must have
    positive weight.

    Source: `docs/conventions.md`, "Validation".
    """
    map = np.asarray(map)
    inside = None if footprint is None else np.asarray(footprint) > 0
    found = np.ones(map.size, dtype=bool) if inside is None else inside.copy()
    for neighbour in _neighbours(npix_to_nside(map.size)):
        found &= map > map[neighbour]
        if inside is not None:
            found &= inside[neighbour]
    return found


def peak_counts(
    map: Float[np.ndarray, " p"],
    thresholds: Float[np.ndarray, " thresholds"],
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Int[np.ndarray, " thresholds"]:
    """Count the local maxima strictly above each threshold (map units), see `local_maxima`.

    Source: `docs/conventions.md`, "Validation".
    """
    peaks = np.sort(np.asarray(map, np.float64)[local_maxima(map, footprint)])
    return len(peaks) - np.searchsorted(peaks, thresholds, side="right")


def minimum_counts(
    map: Float[np.ndarray, " p"],
    thresholds: Float[np.ndarray, " thresholds"],
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Int[np.ndarray, " thresholds"]:
    """Count the local minima strictly below each threshold (map units), as `peak_counts`.

    Source: `docs/conventions.md`, "Validation".
    """
    return peak_counts(-np.asarray(map), -np.asarray(thresholds), footprint)


def count_difference(
    counts: Int[np.ndarray, " thresholds"],
    reference: Int[np.ndarray, " thresholds"],
    minimum: int = 40,
) -> float:
    """Return the maximum of |counts - reference| / reference over thresholds.

    Thresholds where the reference is below `minimum` scatter too much and are ignored; NaN if no
    threshold remains.

    Source: `docs/conventions.md`, "Validation".
    """
    counts, reference = np.asarray(counts, np.float64), np.asarray(reference, np.float64)
    enough = reference >= max(minimum, 1)
    if not enough.any():
        return float("nan")
    return float(np.max(np.abs(counts - reference)[enough] / reference[enough]))
