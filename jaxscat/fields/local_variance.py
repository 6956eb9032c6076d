"""How the variance of noise differs over the sky, where there are data."""

import numpy as np
from jaxtyping import Bool, Float

# Pixels of a difference map whose mean square is a local variance, known to a tenth of itself.
_PIXELS_OF_A_VARIANCE = 256


def local_variance(
    maps: Float[np.ndarray, "n p"], nside: int, seen: Bool[np.ndarray, " p"] | None
) -> Float[np.ndarray, " p"]:
    """Return the local variance of maps of noise over that of the seen pixels, smoothly.

    Far from them it is one.

    Args:
        maps: NESTED maps `[n p]`, zero where they are not seen.
        nside: of the maps.
        seen: pixels `[p]` with data, or None for all.

    Source: `docs/reconstruction.md`, "Noise".
    """
    import healpy  # loads matplotlib, so not at import

    share = np.ones(maps.shape[1]) if seen is None else seen.astype(np.float64)
    # An offset between half missions says nothing of how their noise differs over the sky.
    centres = np.average(maps, axis=1, weights=share)
    square = np.mean((maps - centres[:, None]) ** 2, axis=0) * share
    side = max(1, nside // int(np.sqrt(_PIXELS_OF_A_VARIANCE)))
    theta, phi = healpy.pix2ang(nside, np.arange(square.size), nest=True)
    sums, shares = (
        healpy.get_interp_val(of.reshape(12 * side**2, -1).mean(axis=1), theta, phi, nest=True)
        for of in (square, share)
    )
    # Where less than a tenth of the pixels around has data, they do not tell.
    added = np.maximum(0.1 - shares, 0)
    smooth = (sums + added * square.sum() / share.sum()) / (shares + added)
    return smooth / np.average(smooth, weights=share)
