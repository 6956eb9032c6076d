"""Maps of the whole sphere brought to a lower nside through their harmonic coefficients."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Complex, Float

# With ring weights, E leaves 4e-13 of its power in B and maps are right to 3e-6 of their spread.
ITERATIONS = 2


def degrade_scalar(
    map: Float[np.ndarray, " p"],
    nside: int,
    *,
    lmax: int | None = None,
    iterations: int = ITERATIONS,
) -> Float[np.ndarray, " q"]:
    """Return a NESTED map at a lower or the same nside, with its multipoles up to `lmax` only.

    Args:
        map: float64 map without missing pixels.
        nside: nside of the result.
        lmax: last multipole that is kept, by default 2 nside.
        iterations: how often the coefficients are corrected by those of what they leave.

    Coefficients up to at least twice the nside of `map` are determined together and then cut:
    those of the cut range alone would take in what lies beyond. Nothing else is changed: the beam
    and the pixel window of `map` stay, and no pixel window of the new nside is added.

    Source: `docs/map-files.md`, "Resolution".
    """
    import healpy  # loads matplotlib, so not at import

    ring, mean = healpy.reorder(map, n2r=True), map.mean()
    ring -= mean  # exact without a transform; errors of a large mean would leak to all l
    own = math.isqrt(ring.size // 12)
    fitted, lmax = _band_limits(own, nside, lmax)
    harmonics = healpy.map2alm(ring, lmax=fitted, iter=iterations, use_weights=own > 1, pol=False)
    lower = healpy.alm2map(_cut(harmonics, fitted, lmax), nside, lmax=lmax)
    return healpy.reorder(lower, r2n=True) + mean


def degrade_polarization(
    maps: Iterable[Float[np.ndarray, " p"]],
    nside: int,
    *,
    lmax: int | None = None,
    iterations: int = ITERATIONS,
) -> list[Float[np.ndarray, " q"]]:
    """Return NESTED I, Q and U, or Q and U, at a lower or the same nside.

    Multipoles of E stay in E and those of B in B, which no average over pixels achieves. The maps
    are read one after the other and not kept. Other arguments are those of `degrade_scalar`.

    Source: `docs/map-files.md`, "Resolution".
    """
    import healpy

    ring = [healpy.reorder(map, n2r=True) for map in maps]
    count, mean = len(ring), ring[0].mean()
    if count == 2:
        ring.insert(0, np.zeros(ring[0].size))  # healpy iterates all three only
        mean = 0.0
    ring[0] -= mean
    own = math.isqrt(ring[0].size // 12)
    fitted, lmax = _band_limits(own, nside, lmax)
    harmonics = healpy.map2alm(ring, lmax=fitted, iter=iterations, use_weights=own > 1, pol=True)
    del ring
    kept = [_cut(one, fitted, lmax) for one in harmonics]
    lower = healpy.alm2map(kept, nside, lmax=lmax, pol=True)
    lower[0] += mean
    return [healpy.reorder(one, r2n=True) for one in lower[-count:]]


def _band_limits(own: int, nside: int, lmax: int | None) -> tuple[int, int]:
    """Return the multipoles up to which coefficients are determined, and kept."""
    lmax = 2 * nside if lmax is None else lmax
    return max(2 * own, lmax), lmax


def _cut(harmonics: Complex[np.ndarray, " n"], lmax: int, lower: int) -> Complex[np.ndarray, " m"]:
    """Return the coefficients up to a lower multipole, in healpy's order."""
    import healpy

    return np.asarray(healpy.resize_alm(harmonics, lmax, lmax, lower, lower))
