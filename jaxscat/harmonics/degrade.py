"""Maps of the whole sphere brought to a lower nside through their harmonic coefficients."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Complex, Float

# Leaves 2e-11 of the power of E in B at l <= 2 nside; each iteration takes two transforms.
ITERATIONS = 3


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

    fitted, lmax = _band_limits(map.size, nside, lmax)
    mean = map.mean()  # exact without a transform; errors of a large mean would leak to all l
    ring = healpy.reorder(map, n2r=True)
    del map  # the caller may have given it away
    ring -= mean
    harmonics = healpy.map2alm(ring, lmax=fitted, iter=iterations, pol=False)
    del ring
    lower = healpy.alm2map(_cut(harmonics, fitted, lmax), nside, lmax=lmax)
    return healpy.reorder(lower, r2n=True) + mean


def degrade_polarization(
    q: Float[np.ndarray, " p"],
    u: Float[np.ndarray, " p"],
    nside: int,
    *,
    lmax: int | None = None,
    iterations: int = ITERATIONS,
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Return NESTED Q and U at a lower or the same nside, with E and B up to `lmax` only.

    Multipoles of E stay in E and those of B in B, which no average over pixels achieves. Arguments
    are those of `degrade_scalar`.

    Source: `docs/map-files.md`, "Resolution".
    """
    import healpy

    fitted, lmax = _band_limits(q.size, nside, lmax)
    q = healpy.reorder(q, n2r=True)
    u = healpy.reorder(u, n2r=True)
    own = math.isqrt(q.size // 12)
    harmonics = healpy.map2alm_spin([q, u], 2, fitted)
    # healpy iterates I, Q and U together only, which takes half as much memory and time again.
    for _ in range(iterations):
        left = healpy.alm2map_spin(harmonics, own, 2, fitted)
        for total, part in zip((q, u), left, strict=True):
            np.subtract(total, part, out=part)
        for one, correction in zip(harmonics, healpy.map2alm_spin(left, 2, fitted), strict=True):
            one += correction
        del left
    del q, u
    kept = [_cut(one, fitted, lmax) for one in harmonics]
    lower_q, lower_u = healpy.alm2map_spin(kept, nside, 2, lmax)
    return healpy.reorder(lower_q, r2n=True), healpy.reorder(lower_u, r2n=True)


def _band_limits(npix: int, nside: int, lmax: int | None) -> tuple[int, int]:
    """Return the multipoles up to which coefficients are determined, and kept."""
    lmax = 2 * nside if lmax is None else lmax
    return max(2 * math.isqrt(npix // 12), lmax), lmax


def _cut(harmonics: Complex[np.ndarray, " n"], lmax: int, lower: int) -> Complex[np.ndarray, " m"]:
    """Return the coefficients up to a lower multipole, in healpy's order."""
    import healpy

    return np.asarray(healpy.resize_alm(harmonics, lmax, lmax, lower, lower))
