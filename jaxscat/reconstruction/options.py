"""Settings of a reconstruction: how targets are renewed, and how much each term counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from jaxscat.maps import check_callable, check_kind, describe
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.lane import check_count
from jaxscat.minimization.lbfgs import MOST_CORRECTIONS
from jaxscat.minimization.minimize import Batching

TermName = Literal["scattering", "cross", "power", "fidelity", "residual"]


@dataclass(frozen=True)
class Renewals:
    """How often targets are measured anew, from how much, and when that ends.

    Attributes:
        number: maximum number of renewals.
        steps: maximum number of steps of L-BFGS between two of them.
        realizations: number of realizations of the noise for each, at least 8; None for 64, or 32
            for each of the seeds, or as many as are given. Gaps have none.
        tolerance: a seed ends once no term is above its level by more than this fraction of it,
            right after a renewal. Gaps have no level.
        memory: number of corrections that L-BFGS keeps, up to 10000.

    Raises:
        ValueError: a number below one, a memory above 10000, or a tolerance that is not positive.

    Source: `docs/reconstruction.md`, "Renewals".
    """

    number: int = 5
    steps: int = 20
    realizations: int | None = None
    tolerance: float = 0.05
    memory: int = 20

    def __post_init__(self) -> None:
        for name in ("number", "steps"):
            check_count(name, getattr(self, name))
        check_count("memory", self.memory, MOST_CORRECTIONS)
        real = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not real or not 0 < self.tolerance < np.inf:
            raise ValueError(f"tolerance: got {self.tolerance!r}, expected a positive number")


@dataclass(frozen=True)
class TermOptions:
    """How much a term of a reconstruction counts, and when it is fulfilled.

    Attributes:
        weight: factor in the loss.
        level: below it nothing is gained: 1 is what the truth has on average; 0 is no level.
        template: of the term "cross": real NESTED map `[p]` together with which maps are measured.

    Raises:
        ValueError: a weight that is not positive, or a level that is negative.

    Source: `docs/reconstruction.md`, "Terms".
    """

    weight: float = 1.0
    level: float = 1.0
    template: Float[np.ndarray, " p"] | None = None

    def __post_init__(self) -> None:
        for name, least in (("weight", "above"), ("level", "from")):
            value = getattr(self, name)
            real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            good = real and np.isfinite(value) and (value > 0 or (value == 0 and least == "from"))
            if not good:
                raise ValueError(f"{name}: got {value!r}, expected a number {least} 0")


def check_settings(
    renewals: Any, batching: Any, checkpoints: Any, callback: Any, *, default: Renewals
) -> Renewals:
    """Refuse settings of wrong kinds before anything is computed; return those of renewals.

    Args:
        renewals, batching, checkpoints, callback: as for `jaxscat.denoise`.
        default: stands for renewals of None.

    Raises:
        ValueError: one of them is of another kind.
    """
    check_kind(renewals, Renewals | None, "renewals", "Renewals(), or None")
    check_kind(batching, Batching | None, "batching", "a Batching, or None")
    check_kind(checkpoints, Checkpoints | None, "checkpoints", "Checkpoints, or None")
    if callback is not None:
        check_callable(callback, 1, "callback", "a function of a Progress")
    return default if renewals is None else renewals


def check_terms(terms: Any, allowed: tuple[TermName, ...]) -> dict[str, TermOptions]:
    """Return terms by their names, each with its options.

    Args:
        terms: a dictionary of options, or names alone.
        allowed: names that make sense.

    Raises:
        ValueError: no terms, an unknown name, options that are none, a template where none is used,
            or none where one is.
    """
    known = get_args(TermName)
    names = list(terms) if isinstance(terms, Iterable) and not isinstance(terms, str) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"terms: got {describe(terms)}, expected names among {list(allowed)}")
    if len(set(names)) < len(names):
        raise ValueError(f"terms: got a name twice among {names}, expected different ones")
    given = dict(terms) if isinstance(terms, Mapping) else dict.fromkeys(names, TermOptions())
    for name, options in given.items():
        if name not in allowed:
            why = "which makes no sense here" if name in known else "which is unknown"
            raise ValueError(f"terms: got {name!r}, {why}; expected names among {list(allowed)}")
        if not isinstance(options, TermOptions):
            raise ValueError(f"terms[{name!r}]: got {options!r}, expected TermOptions()")
        if (name == "cross") != (options.template is not None):
            what = "no template" if name == "cross" else "a template"
            raise ValueError(
                f"terms[{name!r}]: got {what}, expected one for the term 'cross' and no other"
            )
    return dict(sorted(given.items()))
