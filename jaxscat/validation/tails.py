"""The tails of a histogram, and how far it reaches beyond that of the original."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# The fraction of the sky that is called its brightest (or faintest) pixels, and the least number.
_FRACTION, _LEAST = 1e-3, 10


def tail_means(
    map: Float[np.ndarray, " p"], weights: Float[np.ndarray, " p"] | None = None
) -> tuple[float, float]:
    """Return the mean of the faintest and of the brightest pixels of a map, in its unit.

    They are a thousandth of the pixels with weight, and at least ten (or all that there are).

    Source: `docs/conventions.md`, "Validation".
    """
    seen = np.asarray(map, np.float64)
    seen = seen if weights is None else seen[np.asarray(weights) > 0]
    count = min(max(int(np.ceil(_FRACTION * seen.size)), _LEAST), seen.size)
    ordered = np.sort(seen)
    return float(ordered[:count].mean()), float(ordered[-count:].mean())


def fractions_beyond(
    map: Float[np.ndarray, " p"],
    low: float,
    high: float,
    weights: Float[np.ndarray, " p"] | None = None,
) -> tuple[float, float]:
    """Return the fractions of the weight of pixels below `low` and above `high`.

    Source: `docs/conventions.md`, "Validation".
    """
    map = np.asarray(map, np.float64)
    return (
        float(np.average(map < low, weights=weights)),
        float(np.average(map > high, weights=weights)),
    )
