"""Maps in float32, without losing digits to a large mean."""

import numpy as np
from jaxtyping import Float

# A mean of this many standard deviations costs float32 as much as its other rounding.
_LARGE_MEAN = 16


def large_mean(map: Float[np.ndarray, " p"]) -> float:
    """Return the mean of a map, rounded to float32, if float32 would lose digits to it, else zero.

    It would if the magnitude of the mean is more than 16 standard deviations.

    Source: `docs/conventions.md`, "Modulus".
    """
    largest = float(np.abs(map).max())
    # Scaled first: squares of large numbers overflow.
    scaled = map / largest if largest > 0 else map
    mean = float(scaled.mean())
    if not abs(mean) > _LARGE_MEAN * float(scaled.std()):
        return 0.0
    with np.errstate(over="ignore"):
        offset = float(np.float32(largest * mean))
    return offset if np.isfinite(offset) else 0.0


def in_precision(map: np.ndarray, precision: str, name: str) -> np.ndarray:
    """Convert a map [p] to a floating-point type, unless a large mean would cost float32 digits.

    Such a map stays as it is; what measures it takes the mean off (see `large_mean`).

    Raises `ValueError`, which begins with `name`, for values that overflow.
    """
    with np.errstate(over="ignore"):
        rounded = map.astype(precision)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"{name}: got values up to {np.abs(map).max():.3g}, which {precision} cannot hold, "
            "expected smaller ones or precision float64"
        )
    return map if rounded.dtype == np.float32 and large_mean(map) else rounded
