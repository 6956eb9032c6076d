"""E and B of Q and U on the whole sphere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def eb_from_qu(
    q: Float[np.ndarray, " p"], u: Float[np.ndarray, " p"], *, lmax: int | None = None
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Return the maps E and B, NESTED, of Q and U (COSMO) up to `lmax`, by default 2 nside."""
    import healpy  # loads matplotlib, so not at import

    nside = healpy.npix2nside(q.size)
    lmax = 2 * nside if lmax is None else lmax
    ring = [np.zeros(q.size), healpy.reorder(q, n2r=True), healpy.reorder(u, n2r=True)]
    _, e, b = healpy.map2alm(ring, lmax=lmax, pol=True, iter=10)
    e, b = (healpy.reorder(healpy.alm2map(one, nside, lmax=lmax), r2n=True) for one in (e, b))
    return e, b
