"""One minimization, a lane of a batch: what every minimizer keeps of it, and why it ends."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

RUNNING, CONVERGED, NO_PROGRESS, NOT_FINITE, STEP_LIMIT, STAGNATED, EVALUATION_LIMIT = range(7)


class Limits(eqx.Module):
    """Limits of one minimization, which hold for any minimizer.

    Attributes:
        max_steps: maximum number of steps.
        max_evaluations: maximum number of values and gradients; None for no limit, which is not
            compiled either.
    """

    max_steps: Int[Array, ""]
    max_evaluations: Int[Array, ""] | None = None


def build_limits(max_steps: int, max_evaluations: int | None = None) -> Limits:
    """Check limits, and make them numbers of the device.

    Raises:
        ValueError: a limit that is no positive integer.
    """
    check_count("max_steps", max_steps)
    if max_evaluations is not None:
        check_count("max_evaluations", max_evaluations)
    numbers: Any = [
        None if limit is None else np.int32(min(limit, np.iinfo(np.int32).max))
        for limit in (max_steps, max_evaluations)
    ]
    return Limits(*numbers)


def check_count(name: str, value: Any, largest: int | None = None) -> None:
    """Refuse a number that is no positive integer, or above the largest, with a `ValueError`."""
    integer = hasattr(value, "__index__") and not isinstance(value, bool)
    if not integer or int(value) < 1 or (largest is not None and int(value) > largest):
        expected = "of at least 1" if largest is None else f"from 1 to {largest}"
        raise ValueError(f"{name}: got {value!r}, expected an integer {expected}")


def check_fraction(name: str, value: Any, more: str = "") -> None:
    """Refuse a number that is not from 0 up to 1 with a `ValueError`; traced ones pass."""
    if isinstance(value, Tracer):
        return
    try:
        inside = not isinstance(value, bool) and 0 <= value < 1
    except (TypeError, ValueError):
        inside = False
    if not inside:
        raise ValueError(f"{name}: got {value!r}, expected a number from 0 up to 1{more}")


class Lane(eqx.Module):
    """The state of one minimization, as far as all minimizers share it.

    Attributes:
        loss: loss at the present point; infinite before the start is evaluated.
        best: the parameters with the lowest loss so far.
        best_loss: their loss.
        step: number of steps made; -1 before the start is evaluated.
        evaluations: number of values and gradients computed.
        status: `RUNNING`, or why the lane has ended.
    """

    loss: Float[Array, ""]
    best: Float[Array, " n"]
    best_loss: Float[Array, ""]
    step: Int[Array, ""]
    evaluations: Int[Array, ""]
    status: Int[Array, ""]


class Minimizer(eqx.Module):
    """A way to minimize, written for one lane; the batch vectorizes it with `jax.vmap`.

    Its fields are arrays or numbers, which are operands, or static. A new one is a subclass with
    the three methods below, and a subclass of `Lane` for what it carries.

    Source: `docs/conventions.md`, "Synthesis".
    """

    @abstractmethod
    def init(self, start: Float[Array, " n"]) -> Lane:
        """Return a lane whose first trial is the start."""

    @abstractmethod
    def trial(self, lane: Lane) -> Float[Array, " n"]:
        """Return the parameters to evaluate next."""

    @abstractmethod
    def update(
        self,
        lane: Lane,
        trial: Float[Array, " n"],
        value: Float[Array, ""],
        gradient: Float[Array, " n"],
        limits: Limits,
    ) -> tuple[Lane, Bool[Array, ""]]:
        """Judge a trial by its loss and gradient.

        Returns:
            the lane (unchanged if it has ended), and whether it has made a step; the evaluation of
            the start counts as one.
        """


def fresh_lane(start: Float[Array, " n"]) -> Lane:
    """Return what all minimizers carry before the start is evaluated."""
    none, infinite = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, start.dtype)
    return Lane(infinite, start, infinite, none - 1, none, none + RUNNING)


def first_ending(endings: dict[int, Bool[Array, ""]], status: Int[Array, ""]) -> Int[Array, ""]:
    """Return the first status whose condition holds, or the present one.

    Args:
        endings: conditions in the order of precedence.
        status: present status.
    """
    return jnp.select(list(endings.values()), list(endings), status)


def limit_endings(
    lane: Lane,
    stepped: Bool[Array, ""],
    step: Int[Array, ""],
    evaluations: Int[Array, ""],
    limits: Limits,
) -> dict[int, Bool[Array, ""]]:
    """Return the endings that the limits bring, last in the order of precedence.

    Args:
        lane: before the update.
        stepped: whether it has made a step.
        step, evaluations: numbers after the update.
        limits: of the minimization.
    """
    endings = {STEP_LIMIT: stepped & (step >= limits.max_steps)}
    if limits.max_evaluations is not None:
        running = lane.status == RUNNING
        endings[EVALUATION_LIMIT] = running & (evaluations >= limits.max_evaluations)
    return endings
