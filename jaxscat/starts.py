"""Maps from which a synthesis starts."""

import numpy as np
from jaxtyping import Float


def white_noise(original: Float[np.ndarray, " p"], seed: int) -> Float[np.ndarray, " p"]:
    """White noise with the mean and the standard deviation of a map.

    All arithmetic is in float32 and the generator is NumPy's legacy one, so that the numbers are
    those of `np.random.seed(seed)` in the reference experiment; the global generator is untouched.

    `original` has any units, which the result shares; the result is float32 [p].

    Source: `docs/conventions.md`, "Synthesis".
    """
    original = np.asarray(original, dtype=np.float32)
    noise = np.random.RandomState(seed).randn(1, original.size).astype(np.float32)[0]
    return noise * original.std() + original.mean()
