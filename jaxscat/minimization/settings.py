"""What a synthesis is asked for, checked before anything is compiled."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxscat.fields.noise import check_seed
from jaxscat.objectives.target import Target, check_target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.angular import Reduction

# More maps than memory holds; a number beyond it is a slip.
MOST_SEEDS = 1_000_000


class Settings(NamedTuple):
    """Limits of a synthesis (see `synthesize`); number of lanes on each device, if asked for."""

    max_steps: int
    memory: int
    gradient_tolerance: float
    chunk_steps: int
    batch_size: int | None = None
    stagnation: float | None = None
    max_evaluations: int | None = None

    @property
    def most_steps(self) -> int:
        """Steps that a synthesis can make: each takes an evaluation, as the start does."""
        budget = self.max_evaluations
        return self.max_steps if budget is None else max(1, min(self.max_steps, budget - 1))

    def plain(self) -> "Settings":
        """Return the same numbers as Python's own, which can be written down."""
        real = ("gradient_tolerance", "stagnation")
        numbers: dict[str, Any] = {
            name: None if value is None else (float if name in real else int)(value)
            for name, value in self._asdict().items()
        }
        return Settings(**numbers)


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that are meant; a number N means 0 to N - 1.

    Raises:
        ValueError: none, equal ones, too many, or one that is no integer from 0 to 2^32 - 1.
    """
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(f"seeds: got {seeds}, expected 1 up to {MOST_SEEDS} of them")
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


def check_count(name: str, value: object) -> None:
    """Refuse what is no positive integer with a `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: got {value!r}, expected an integer of at least 1")


def checked_target(
    target: Target, pyramid: Pyramid, reduction: Reduction | None, settings: Settings
) -> Target:
    """Check settings and target, and reduce the target if asked for."""
    for name in ("max_steps", "memory", "chunk_steps"):
        check_count(name, getattr(settings, name))
    tolerance = settings.gradient_tolerance
    if not 0 <= tolerance < 1:
        raise ValueError(f"gradient_tolerance: got {tolerance!r}, expected 0 up to 1")
    if settings.max_evaluations is not None:
        check_count("max_evaluations", settings.max_evaluations)
    _check_stagnation(settings.stagnation)
    check_target(target, pyramid)
    return target if reduction is None else target.reduced(reduction)


def _check_stagnation(value: object) -> None:
    if value is None:
        return
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"stagnation: got {value!r}, expected a number from 0 up to 1, or None")
