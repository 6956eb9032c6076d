"""L-BFGS for one lane: every evaluation ends its line search, or narrows the bracket of the step.

Without branches: under `jax.vmap` no lane waits for the line search of another.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxscat.maps import plain_integer
from jaxscat.minimization.lane import (
    CONVERGED,
    NO_PROGRESS,
    NOT_FINITE,
    RUNNING,
    STAGNATED,
    Lane,
    Limits,
    Minimizer,
    check_count,
    check_fraction,
    first_ending,
    fresh_lane,
    limit_endings,
)

# More corrections are longer than any minimization.
MOST_CORRECTIONS = 10_000
# Conditions of Wolfe, with the customary constants for quasi-Newton steps.
_SUFFICIENT_DECREASE, _CURVATURE = 1e-4, 0.9
# Where only rounding is left of a decrease, slopes decide (Hager & Zhang 2006).
_ROUNDING = 1e-6
# Maximum number of trials of a line search; then it starts anew along the gradient, or gives up.
_MAX_TRIALS = 20
# Number of successive steps without a lower loss that ends a lane.
_FRUITLESS_STEPS = 3
# Number of steps between two looks at stagnation, each of which compares with the one before.
STAGNATION_STEPS = 25


class Search(Lane):
    """A lane of L-BFGS.

    Attributes:
        memory: state of optax's L-BFGS: the present point (`params`), its gradient (`updates`),
            and the corrections.
        direction: direction of the line search.
        slope: derivative of the loss along it, at the present point.
        length: trial step, in units of the direction.
        shortest: lower end of the bracket of the step.
        longest: upper end, infinite while it is not known.
        trials: number of evaluations of this line search that have not ended it.
        first_gradient: norm of the gradient at the start.
        fruitless: number of successive steps that did not lower the loss.
        earlier_loss: loss at the last look at stagnation, that of the start first; infinite before
            and without a limit.
    """

    memory: Any
    direction: Float[Array, " n"]
    slope: Float[Array, ""]
    length: Float[Array, ""]
    shortest: Float[Array, ""]
    longest: Float[Array, ""]
    trials: Int[Array, ""]
    first_gradient: Float[Array, ""]
    fruitless: Int[Array, ""]
    earlier_loss: Float[Array, ""]

    @property
    def point(self) -> Float[Array, " n"]:
        """Present parameters."""
        return self.memory.params

    @property
    def gradient(self) -> Float[Array, " n"]:
        """Gradient of the loss at the present parameters."""
        return self.memory.updates


class _Trial(NamedTuple):
    """A trial with its loss and gradient, and what follows from them alone."""

    point: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    norm: Float[Array, ""]
    finite: Bool[Array, ""]


class _Verdict(NamedTuple):
    """What a trial means for the line search."""

    running: Bool[Array, ""]
    starting: Bool[Array, ""]
    lower: Bool[Array, ""]
    stepped: Bool[Array, ""]
    failed: Bool[Array, ""]
    trials: Int[Array, ""]
    exhausted: Bool[Array, ""]
    steepest: Bool[Array, ""]
    restarted: Bool[Array, ""]


def _as_float(value: Any) -> Any:
    """Make any real number a float: one program serves all of them."""
    numbers = int | float | np.integer | np.floating
    return float(value) if isinstance(value, numbers) and not isinstance(value, bool) else value


class LBFGS(Minimizer):
    """Limited-memory BFGS with a bracketing line search.

    Attributes:
        gradient_tolerance: "converged" once the norm of the gradient has fallen to this fraction of
            its first value.
        stagnation: "stagnated" once 25 steps, counted from the start without overlap, have lowered
            the loss by less than this fraction of it, such as 0.01; None for never, which is not
            compiled either.
        memory: number of corrections up to 10000, `2 * memory * n` numbers.

    Raises:
        ValueError: a number out of its range.

    Source: `optax.scale_by_lbfgs` for the directions (Nocedal & Wright 2006, algorithm 7.4); the
    bracket of Lewis & Overton 2013, algorithm 2.6, for the steps; `docs/conventions.md`,
    "Synthesis".
    """

    gradient_tolerance: Any = eqx.field(converter=_as_float, default=1e-6)
    stagnation: Any = eqx.field(converter=_as_float, default=None)
    memory: int = eqx.field(static=True, converter=plain_integer, default=50)

    def __check_init__(self) -> None:
        check_count("memory", self.memory, MOST_CORRECTIONS)
        check_fraction("gradient_tolerance", self.gradient_tolerance)
        if self.stagnation is not None:
            check_fraction("stagnation", self.stagnation, ", or None")

    def init(self, start: Float[Array, " n"]) -> Search:
        """Return a lane whose first trial is the start."""
        real = start.dtype
        # optax mixes types and ranks.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            state: Any = optax.scale_by_lbfgs(self.memory).init(start)
        state = state._replace(params=start, weights_memory=state.weights_memory.astype(real))
        zero, infinite = jnp.zeros((), real), jnp.full((), jnp.inf, real)
        none = jnp.zeros((), jnp.int32)
        # From an infinite loss, the trial with a step of length zero is always taken.
        return Search(
            **vars(fresh_lane(start)),
            memory=state,
            direction=jnp.zeros_like(start),
            slope=zero,
            length=zero,
            shortest=zero,
            longest=infinite,
            trials=none,
            first_gradient=zero,
            fruitless=none,
            earlier_loss=infinite,
        )

    def trial(self, lane: Search) -> Float[Array, " n"]:
        """Return the parameters of the next step of the line search."""
        return lane.point + lane.length * lane.direction

    def update(
        self,
        lane: Search,
        trial: Float[Array, " n"],
        value: Float[Array, ""],
        gradient: Float[Array, " n"],
        limits: Limits,
    ) -> tuple[Search, Bool[Array, ""]]:
        """Make the step to a trial if it is good enough, or narrow the bracket of the step."""
        norm = jnp.sqrt(_dot(gradient, gradient))
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        tried = _Trial(trial, value, gradient, norm, finite)
        verdict = _judge(lane, tried)
        stepped, failed, starting = verdict.stepped, verdict.failed, verdict.starting
        memory, direction = _new_direction(lane, tried, verdict)
        length, shortest, longest = _new_bracket(lane, tried, verdict)
        first = jnp.where(stepped & starting, norm, lane.first_gradient)
        step = lane.step + stepped.astype(jnp.int32)
        evaluations = lane.evaluations + verdict.running.astype(jnp.int32)
        fruitless = jnp.where(value < lane.loss, 0, lane.fruitless + 1)
        fruitless = jnp.where(stepped, fruitless, lane.fruitless)
        gave_up = verdict.exhausted & verdict.steepest
        endings = {
            NOT_FINITE: failed & ~finite & (starting | gave_up),
            CONVERGED: stepped & (norm <= self.gradient_tolerance * first),
            NO_PROGRESS: gave_up | (stepped & (fruitless >= _FRUITLESS_STEPS)),
        }
        earlier_loss = lane.earlier_loss
        if self.stagnation is not None:
            looked = stepped & (step % STAGNATION_STEPS == 0)
            # At the start, infinity minus the loss is not less than infinity.
            fallen = lane.earlier_loss - value
            endings[STAGNATED] = looked & (fallen < self.stagnation * lane.earlier_loss)
            earlier_loss = jnp.where(looked, value, lane.earlier_loss)
        endings |= limit_endings(lane, stepped, step, evaluations, limits)
        failed_start = failed & starting
        better = stepped & (value < lane.best_loss)
        after = Search(
            loss=jnp.where(stepped | failed_start, value, lane.loss),
            best=jnp.where(better, trial, lane.best),
            best_loss=jnp.where(better | failed_start, value, lane.best_loss),
            step=jnp.where(failed_start, 0, step),
            evaluations=evaluations,
            status=first_ending(endings, lane.status),
            memory=memory,
            direction=direction,
            slope=_dot(memory.updates, direction),
            length=length,
            shortest=shortest,
            longest=longest,
            trials=jnp.where(
                verdict.restarted, 0, jnp.where(verdict.running, verdict.trials, lane.trials)
            ),
            first_gradient=first,
            fruitless=fruitless,
            earlier_loss=earlier_loss,
        )
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, lane)
        return after, stepped | failed_start


def _dot(left: Array, right: Array) -> Float[Array, ""]:
    return jnp.sum(left * right)


def _judge(lane: Search, tried: _Trial) -> _Verdict:
    """Say whether a trial is a step, and what becomes of a line search that has no end."""
    running, starting = lane.status == RUNNING, lane.step < 0
    slope = _dot(tried.gradient, lane.direction)
    lower = tried.value <= lane.loss + _SUFFICIENT_DECREASE * lane.length * lane.slope
    rounded = tried.value <= lane.loss + _ROUNDING * jnp.abs(lane.loss)
    lower |= rounded & (slope <= (2 * _SUFFICIENT_DECREASE - 1) * lane.slope)
    flat = slope >= _CURVATURE * lane.slope
    stepped = running & tried.finite & (starting | (lower & flat))
    failed = running & ~stepped
    # A search without end goes on along the gradient; there it ends the lane.
    trials = jnp.where(stepped, 0, lane.trials + 1)
    exhausted = failed & (trials >= _MAX_TRIALS)
    steepest = lane.memory.count <= 1
    restarted = exhausted & ~steepest
    return _Verdict(
        running, starting, lower, stepped, failed, trials, exhausted, steepest, restarted
    )


def _new_bracket(
    lane: Search, tried: _Trial, verdict: _Verdict
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return the next trial step and the bracket: a new one after a step, else a narrower one."""
    lower = verdict.lower & tried.finite
    longest = jnp.where(lower, lane.longest, lane.length)
    shortest = jnp.where(lower, lane.length, lane.shortest)
    # The parabola through both losses and the slope, as long as the lower end is the present point.
    rise = tried.value - lane.loss - lane.length * lane.slope
    parabola = -lane.slope * lane.length**2 / (2 * rise)
    usable = (lane.shortest == 0) & jnp.isfinite(parabola) & (longest == lane.length)
    inside = jnp.clip(parabola, 0.1 * lane.length, 0.5 * lane.length)
    middle = jnp.where(usable, inside, (shortest + longest) / 2)
    narrowed = jnp.where(jnp.isinf(longest), 2 * lane.length, middle)
    renewed, failed = verdict.stepped | verdict.restarted, verdict.failed
    one, zero = jnp.ones_like(tried.value), jnp.zeros_like(tried.value)
    return (
        jnp.where(renewed, one, jnp.where(failed, narrowed, lane.length)),
        jnp.where(renewed, zero, jnp.where(failed, shortest, lane.shortest)),
        jnp.where(renewed, jnp.inf, jnp.where(failed, longest, lane.longest)),
    )


def _new_direction(
    lane: Search, tried: _Trial, verdict: _Verdict
) -> tuple[Any, Float[Array, " n"]]:
    """Return memory and direction after a step; without one the lane keeps its own."""
    old = lane.memory
    point = jnp.where(verdict.stepped, tried.point, old.params)
    gradient = jnp.where(verdict.stepped, tried.gradient, old.updates)
    forgotten = jnp.where(verdict.restarted, 0.0, old.weights_memory).astype(point.dtype)
    asked = old._replace(count=jnp.where(verdict.restarted, 0, old.count), weights_memory=forgotten)
    # A lane without a step overwrites the correction that its next step overwrites anyhow, with
    # zeros: choosing among whole memories would copy all of them at every evaluation.
    update: Any = optax.scale_by_lbfgs(old.weights_memory.shape[0]).update
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        preconditioned, new = update(gradient, asked, point)
    renewed = verdict.stepped | verdict.restarted
    memory = new._replace(count=jnp.where(renewed, new.count, old.count))
    return memory, jnp.where(renewed, -preconditioned, lane.direction)
