"""Coupling of scales: third moments across bands of multipoles."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float


def octave_bands(nside: int, count: int = 5) -> list[tuple[int, int]]:
    """Return inclusive multipole bands [l_min, l_max] of one octave, the last up to 2 nside - 1.

    There are `count` bands, or fewer if they would start below l = 2; none at nside 1. `nside` is
    a power of two.

    Source: `docs/conventions.md`, "Validation".
    """
    lows = [nside // 2**octave for octave in range(count)]
    return [(low, 2 * low - 1) for low in reversed(lows) if low >= 2]


def band_maps(
    harmonics: Complex[np.ndarray, " lm"], nside: int, bands: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "bands p"]:
    """Return the NESTED band-pass maps of a map, in map units.

    `harmonics` extend to l = 3 nside - 1 in healpy's order (see `harmonic_coefficients`); `bands`
    are inclusive.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy  # loads matplotlib, so not at import

    top = 3 * nside - 1
    maps = np.empty((len(bands), 12 * nside**2))
    for row, (low, high) in enumerate(bands):
        window = np.zeros(top + 1)
        window[low : high + 1] = 1.0
        ring = healpy.alm2map(healpy.almxfl(harmonics, window), nside, lmax=top)
        maps[row] = healpy.reorder(ring, r2n=True)
    return maps


def cross_skewness(
    bands: Float[np.ndarray, "b p"], weights: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, "b b"]:
    """Return the third moments <b_i^2 b_j> / (<b_i^2> <b_j^2>^(1/2)) of all pairs of band maps.

    Entry [i, j] is positive if scale i is stronger in the peaks of scale j than in its troughs;
    all entries are zero on average for a Gaussian map. Averages are over pixels, with `weights`
    (>= 0) if given. Dimensionless.

    Source: `docs/conventions.md`, "Validation".
    """
    bands = np.asarray(bands, dtype=np.float64)
    weights = np.ones(bands.shape[1]) if weights is None else np.asarray(weights, np.float64)
    squares = bands**2 * (weights / weights.sum())
    power = squares.sum(axis=1)
    return squares @ bands.T / (power[:, None] * np.sqrt(power))


def coupling_difference(
    first: Float[np.ndarray, "b b"], reference: Float[np.ndarray, "b b"]
) -> float:
    """Return the rms difference of two `cross_skewness` matrices over all pairs; NaN if empty.

    Source: `docs/conventions.md`, "Validation".
    """
    if np.size(reference) == 0:
        return float("nan")
    return float(np.sqrt(np.mean(np.square(np.asarray(first) - np.asarray(reference)))))
