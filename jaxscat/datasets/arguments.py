"""Checks of the arguments that simulated datasets have in common."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_arguments(nside: Any, seed: Any, largest: int, reason: str) -> tuple[int, int]:
    """Check the nside and the seed of a simulated dataset and return them as Python integers.

    Raises ValueError unless `nside` is a power of two up to `largest` (`reason` says why there is
    a limit) and `seed` is an integer from 0 up.
    """
    if (
        isinstance(nside, bool)
        or not isinstance(nside, int | np.integer)
        or not 1 <= nside <= largest
        or nside & (nside - 1)
    ):
        raise ValueError(
            f"nside: got {nside!r}, expected a power of two from 1 to {largest} ({reason})"
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: got {seed!r}, expected a whole number from 0")
    return int(nside), int(seed)
