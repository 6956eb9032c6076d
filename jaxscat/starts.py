"""Maps from which a synthesis starts."""

import numpy as np
from jaxtyping import Float

from jaxscat.maps import check_map, check_mask


def white_noise(
    original: Float[np.ndarray, " p"],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Float[np.ndarray, " p"]:
    """White noise with the mean and the standard deviation of a map.

    All arithmetic is in float32 and the generator is NumPy's legacy one, so that the numbers are
    those of `np.random.seed(seed)` in the reference experiment; the global generator is untouched.

    Args:
        original: map (or patch of one) in any unit, which the result shares.
        seed: integer from 0 to 2^32 - 1.
        footprint: weights of the pixels in mean and standard deviation, such as a mask.

    Returns:
        float32 map.

    Raises:
        ValueError: `original` is no map (see `check_map`), the seed is out of range, or the
            footprint is no mask of the map.

    Source: `docs/conventions.md`, "Synthesis".
    """
    # The pixels may be those of a patch, whose number only its pyramid knows.
    original = check_map(original, name="original", cells=np.size(original), allow_constant=True)
    original = original.astype(np.float32)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: got {seed!r}, expected an integer from 0 to {2**32 - 1}")
    noise = np.random.RandomState(seed).randn(1, original.size).astype(np.float32)[0]
    if footprint is None:
        return noise * original.std() + original.mean()
    weights = check_mask(footprint, original.size, name="footprint", patch=True)
    mean = np.average(original, weights=weights)
    spread = np.sqrt(np.average((original - mean) ** 2, weights=weights))
    return (noise * spread + mean).astype(np.float32)
