"""Seeds: numbers that name a random map."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxscat.maps import check_callable

# More maps than memory holds; a number beyond it is a slip.
MAX_SEEDS = 1_000_000


def check_seed(seed: object, *, name: str = "seed") -> None:
    """Refuse an object that is no seed.

    Raises:
        ValueError: it is no integer from 0 to 2^32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"{name}: got {seed!r}, expected an integer from 0 to {2**32 - 1}")


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Check seeds and return them one by one; a number N means 0 to N - 1.

    Raises:
        ValueError: none, equal ones, too many, or one that is no integer from 0 to 2^32 - 1.
    """
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MAX_SEEDS:
            raise ValueError(f"seeds: got {seeds}, expected 1 up to {MAX_SEEDS} of them")
        return tuple(range(int(seeds)))
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise ValueError(f"seeds: got {seeds!r}, expected a list of integers, or how many")
    listed = tuple(seeds)
    if not listed:
        raise ValueError("seeds: got none, expected at least one")
    for seed in listed:
        check_seed(seed, name="seeds")
    twice = sorted({seed for seed in listed if listed.count(seed) > 1})
    if twice:
        raise ValueError(f"seeds: got {', '.join(map(str, twice))} twice, expected different ones")
    return tuple(int(seed) for seed in listed)


def check_draw(draw: Any, *, name: str = "start") -> None:
    """Refuse a function that cannot be called with a seed alone with a `ValueError`."""
    example = "functools.partial(jaxscat.gaussian_noise, original)"
    check_callable(draw, 1, name, f"a function of a seed such as {example}")
