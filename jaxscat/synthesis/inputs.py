"""What a synthesis is asked for, checked before anything is compiled."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.starts import check_seed
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


def spread_of(target: Target, pyramid: Pyramid) -> float:
    """Return the standard deviation of the map that the target is of, from the error in S0."""
    weight = pyramid.spec.npix if target.mask is None else np.sum(np.asarray(target.mask), axis=-1)
    spread = float(np.max(np.asarray(target.mean.s0)[..., 1] * np.sqrt(weight)))
    if target.second is not None:  # S0 has the unit of the root of the product of both maps
        spread = spread**2 / float(np.std(np.asarray(target.second)))
    return spread


def unit_of(target: Target, pyramid: Pyramid) -> np.floating:
    """Return the power of two next to the standard deviation of the map that the target is of."""
    spread = spread_of(target, pyramid)
    usable = np.isfinite(spread) and spread > 0
    return np.dtype(pyramid.spec.dtype).type(2.0 ** round(np.log2(spread)) if usable else 1.0)


def _check_stagnation(value: object) -> None:
    if value is None:
        return
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"stagnation: got {value!r}, expected a number from 0 up to 1, or None")


def check_target(target: Target, pyramid: Pyramid) -> None:
    """Refuse a target that is not of a pyramid with a `ValueError`."""
    spec = pyramid.spec
    found = (target.mean.scales, target.mean.orientations)
    if found != (spec.scales, spec.orientations):
        raise ValueError(
            f"target: got {found[0]} scales and {found[1]} orientations, expected "
            f"{spec.scales} and {spec.orientations} as in the pyramid"
        )
    for name, pixels in (("mask", target.mask), ("second map", target.second)):
        if pixels is not None and pixels.shape[-1] != spec.npix:
            raise ValueError(
                f"target: got a {name} of {pixels.shape[-1]} pixels, expected {spec.npix} as in "
                "the pyramid"
            )
    if target.mean.s1.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"target: got {target.mean.s1.dtype} coefficients, expected {spec.dtype} as in the "
            "pyramid"
        )
