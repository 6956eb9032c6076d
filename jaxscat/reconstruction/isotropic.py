"""Isotropic filters and covariances of maps, given by levels."""

import numpy as np
from jaxtyping import Float


def filter_map(
    map: Float[np.ndarray, " p"], gains: Float[np.ndarray, " l"]
) -> Float[np.ndarray, " p"]:
    """Multiply the harmonic coefficients of a NESTED map by gains, and the rest by the last one.

    Args:
        map: real NESTED map `[p]`.
        gains: for l = 0 to 3 nside - 1, and last for what these multipoles do not describe.

    Returns:
        NESTED map; its mean is that of `map` times the first gain.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    import healpy  # loads matplotlib, so not at import

    mean = map.mean()
    ringed = healpy.reorder(map - mean, n2r=True)
    harmonics = healpy.almxfl(healpy.map2alm(ringed, iter=3), gains[:-1] - gains[-1])
    nside = healpy.npix2nside(map.size)
    filtered = healpy.alm2map(harmonics, nside, lmax=gains.size - 2) + gains[-1] * ringed
    return healpy.reorder(filtered - filtered.mean(), r2n=True) + gains[0] * mean


def symmetric_filter(
    map: Float[np.ndarray, " p"], gains: Float[np.ndarray, " l"]
) -> Float[np.ndarray, " p"]:
    """Filter a RING map by a symmetric matrix: without the iterations that make it more exact.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    import healpy

    if np.ptp(gains) == 0:
        return gains[-1] * map
    harmonics = healpy.almxfl(healpy.map2alm(map, iter=0), gains[:-1] - gains[-1])
    nside = healpy.npix2nside(map.size)
    return healpy.alm2map(harmonics, nside, lmax=gains.size - 2) + gains[-1] * map


def covariance_product(
    levels: Float[np.ndarray, " l"], map: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """Multiply a RING map by the covariance of the pixels of a field with given levels.

    The monopole is no concern of it: maps should have no mean.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    gains = levels * map.size / (4 * np.pi)
    if _is_sum(levels):
        return symmetric_filter(map, gains)
    root = np.sqrt(gains)
    return symmetric_filter(symmetric_filter(map, root), root)


def draw_field(
    levels: Float[np.ndarray, " l"], generator: np.random.Generator
) -> Float[np.ndarray, " p"]:
    """Draw a Gaussian field with the covariance of `covariance_product`, as a RING map.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    import healpy

    last = levels.size - 2
    nside = (last + 1) // 3
    white = generator.standard_normal(12 * nside**2)
    root = np.sqrt(levels * white.size / (4 * np.pi))
    if not _is_sum(levels):
        return symmetric_filter(white, root)
    shape = (2, healpy.Alm.getsize(last))
    real, imaginary = generator.standard_normal(shape) / np.sqrt(2)
    harmonics = real + 1j * imaginary
    harmonics[: last + 1] = np.sqrt(2) * real[: last + 1]  # of order zero they are real
    harmonics = healpy.almxfl(harmonics, np.sqrt(np.maximum(levels[:-1] - levels[-1], 0)))
    return healpy.alm2map(harmonics, nside, lmax=last) + root[-1] * white


def _is_sum(levels: Float[np.ndarray, " l"]) -> bool:
    """Return whether the field is the sum of harmonics and of white noise of the level beyond."""
    return bool((levels[1:-1] >= levels[-1]).all())
