"""Counts of local maxima and minima above and below thresholds."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxscat.maps import npix_to_nside
from jaxscat.operators.healpix import parents_with_neighbours

# Thresholds in standard deviations of the original, from its mean. Beyond, few are left to count.
PEAK_LEVELS = np.arange(-0.5, 2.01, 0.5)
MINIMUM_LEVELS = 0.0 - PEAK_LEVELS


@lru_cache(maxsize=4)
def _neighbours(nside: int) -> Int[np.ndarray, "8 p"]:
    """Neighbours of every pixel (NESTED, int32, read-only); a missing one repeats another."""
    table = parents_with_neighbours(nside, np.arange(12 * nside**2))
    neighbours = np.ascontiguousarray(table[:, 1:].T, dtype=np.int32)
    neighbours.setflags(write=False)
    return neighbours


def local_maxima(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Bool[np.ndarray, " p"]:
    """Mark the pixels of a NESTED map that are strictly above all their neighbours.

    These are those that share an edge or a vertex, eight or seven (six at nside 1). With a
    `footprint` (weights >= 0) the pixel and all its neighbours must have weight.

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
    """The number of local maxima strictly above each threshold (map units), see `local_maxima`.

    Source: `docs/conventions.md`, "Validation".
    """
    peaks = np.sort(np.asarray(map, np.float64)[local_maxima(map, footprint)])
    return len(peaks) - np.searchsorted(peaks, thresholds, side="right")


def minimum_counts(
    map: Float[np.ndarray, " p"],
    thresholds: Float[np.ndarray, " thresholds"],
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Int[np.ndarray, " thresholds"]:
    """The number of local minima strictly below each threshold (map units), as `peak_counts`.

    Source: `docs/conventions.md`, "Validation".
    """
    return peak_counts(-np.asarray(map), -np.asarray(thresholds), footprint)


def count_difference(
    counts: Int[np.ndarray, " thresholds"],
    reference: Int[np.ndarray, " thresholds"],
    least: int = 40,
) -> float:
    """The largest of |counts - reference| / reference over the thresholds.

    Only where the reference has at least `least`, because fewer scatter too much; NaN if nowhere.

    Source: `docs/conventions.md`, "Validation".
    """
    counts, reference = np.asarray(counts, np.float64), np.asarray(reference, np.float64)
    enough = reference >= max(least, 1)
    if not enough.any():
        return float("nan")
    return float(np.max(np.abs(counts - reference)[enough] / reference[enough]))
