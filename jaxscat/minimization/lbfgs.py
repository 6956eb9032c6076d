"""L-BFGS for a batch of independent lanes: one evaluation of all at a time, none waits for another.

Every lane carries its own trial step. An evaluation either ends a lane's line search, and its next
direction begins with the next evaluation, or it narrows the lane's bracket.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxscat.minimization.lanes import (
    CONVERGED,
    EVALUATION_LIMIT,
    NO_PROGRESS,
    NOT_FINITE,
    RUNNING,
    STAGNATED,
    STEP_LIMIT,
    Lanes,
    choose,
)
from jaxscat.objectives.chi_square import map_loss, mean_loss
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.form import Form, map_of

# Conditions of Wolfe, with the customary constants for quasi-Newton steps.
_SUFFICIENT_DECREASE, _CURVATURE = 1e-4, 0.9
# Where only rounding is left of a decrease, slopes decide (Hager & Zhang 2006).
_ROUNDING = 1e-6
# A line search that has not ended by then starts anew along the gradient, or ends the lane.
_MOST_TRIALS = 20
# So many steps in a row that lower nothing end a lane.
_FRUITLESS_STEPS = 3
# A look at stagnation, after so many steps each, compares the loss with that of the look before.
STAGNATION_STEPS = 25


class _Limits(NamedTuple):
    """When lanes end, as in `advance`."""

    max_steps: Int[Array, ""]
    gradient_tolerance: Float[Array, ""]
    stagnation: Float[Array, ""] | None
    max_evaluations: Int[Array, ""] | None


def _dot(left: Float[Array, "B *shape"], right: Float[Array, "B *shape"]) -> Float[Array, " B"]:
    return jnp.sum(left * right, axis=tuple(range(1, left.ndim)))


def losses_and_gradients(
    maps: Float[Array, "B *shape"],
    pyramid: Pyramid,
    target: Target,
    unit: Float[Array, ""],
    form: Form | None = None,
) -> tuple[Float[Array, " B"], Float[Array, "B *shape"]]:
    """Return loss and gradient of every lane.

    Args:
        maps: one map for each lane, or `[n p]`, whose loss is that of their mean coefficients;
            fields where there is a form.
        pyramid, target, unit, form: as for `advance`.

    Source: `docs/conventions.md`, "Objective" and "Ensembles".
    """

    def loss(maps: Array) -> Array:
        maps = maps if form is None else map_of(maps, form)
        return (map_loss if maps.ndim == 1 else mean_loss)(unit * maps, pyramid, target)

    return jax.vmap(jax.value_and_grad(loss))(maps)


@partial(jax.jit, static_argnames="chunk", donate_argnames="lanes")
def advance(
    lanes: Lanes,
    pyramid: Pyramid,
    target: Target,
    unit: Float[Array, ""],
    count: Int[Array, ""],
    max_steps: Int[Array, ""],
    gradient_tolerance: Float[Array, ""],
    chunk: int,
    form: Form | None = None,
    stagnation: Float[Array, ""] | None = None,
    max_evaluations: Int[Array, ""] | None = None,
) -> tuple[Lanes, Float[Array, "chunk B"], Int[Array, "chunk B"]]:
    """Evaluate all lanes up to `count` times, fewer when all have ended.

    Args:
        lanes: where to go on from; their buffers are reused. One that has ended stays as it is.
        pyramid, target: the objective.
        unit: what the maps of the lanes are multiplied with, a power of two.
        count: number of evaluations, at most `chunk`.
        max_steps: a lane ends after so many steps.
        gradient_tolerance: a lane has converged once the norm of its gradient has fallen to this
            fraction of its first value.
        chunk: length of the records.
        form: makes the maps of the lanes from what they hold; None where they hold maps.
        stagnation: a lane has stagnated once `STAGNATION_STEPS` steps, counted from the start
            without overlap, have lowered its loss by less than this fraction; None is never.
        max_evaluations: a lane ends after so many evaluations, in a line search too; None is
            never.

    Returns:
        the new lanes; after each evaluation, loss of every lane and its number of evaluations,
        which is zero where the evaluation has made no step.

    Source: `optax.scale_by_lbfgs` for the directions (Nocedal & Wright 2006, algorithm 7.4); the
    bracket of Lewis & Overton 2013, algorithm 2.6, for the steps; `docs/conventions.md`,
    "Synthesis".
    """

    limits = _Limits(max_steps, gradient_tolerance, stagnation, max_evaluations)

    def going(carry: tuple[Lanes, Array, Array, Array]) -> Bool[Array, ""]:
        lanes, row, *_ = carry
        return (row < count) & jnp.any(lanes.status == RUNNING)

    def evaluate(carry: tuple[Lanes, Array, Array, Array]) -> tuple:
        before, row, losses, evaluations = carry
        trial = before.map + _scaled(before.length, before.direction)
        value, gradient = losses_and_gradients(trial, pyramid, target, unit, form)
        after, stepped = _proceed(before, trial, value, gradient, limits)
        losses = losses.at[row].set(after.loss)
        evaluations = evaluations.at[row].set(jnp.where(stepped, after.evaluations, 0))
        return after, row + 1, losses, evaluations

    shape = (chunk, lanes.loss.shape[0])
    records = jnp.zeros(shape, lanes.loss.dtype), jnp.zeros(shape, jnp.int32)
    lanes, _, losses, evaluations = jax.lax.while_loop(
        going, evaluate, (lanes, jnp.zeros((), jnp.int32), *records)
    )
    return lanes, losses, evaluations


def _scaled(length: Float[Array, " B"], direction: Float[Array, "B *shape"]) -> Array:
    return length.reshape(-1, *[1] * (direction.ndim - 1)) * direction


def _proceed(
    lanes: Lanes,
    trial: Float[Array, "B *shape"],
    value: Float[Array, " B"],
    gradient: Float[Array, "B *shape"],
    limits: _Limits,
) -> tuple[Lanes, Bool[Array, " B"]]:
    """Judge the trial of every lane; also return which lanes have made a step (or their start)."""
    running = lanes.status == RUNNING
    starting = lanes.step < 0
    norm = jnp.sqrt(_dot(gradient, gradient))
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    slope = _dot(gradient, lanes.direction)
    lower, flat = _wolfe(lanes, value, slope)
    stepped = running & finite & (starting | (lower & flat))
    failed = running & ~stepped

    # A search without end goes on along the gradient; there it ends the lane.
    trials = jnp.where(stepped, 0, lanes.trials + 1)
    exhausted = failed & (trials >= _MOST_TRIALS)
    steepest = lanes.memory.count <= 1
    restarted = exhausted & ~steepest
    memory, direction = _direct(lanes, trial, gradient, stepped, restarted)

    renewed = stepped | restarted
    longest = jnp.where(lower & finite, lanes.longest, lanes.length)
    shortest = jnp.where(lower & finite, lanes.length, lanes.shortest)
    narrowed = _narrowed(lanes, value, shortest, longest)
    one, zero = jnp.ones_like(value), jnp.zeros_like(value)
    first = jnp.where(stepped & starting, norm, lanes.first_gradient)
    loss = jnp.where(stepped, value, lanes.loss)
    step = lanes.step + stepped
    fruitless = jnp.where(value < lanes.loss, 0, lanes.fruitless + 1)
    fruitless = jnp.where(stepped, fruitless, lanes.fruitless)
    evaluations = lanes.evaluations + running
    endings = {
        NOT_FINITE: failed & ~finite & (starting | (exhausted & steepest)),
        CONVERGED: stepped & (norm <= limits.gradient_tolerance * first),
        NO_PROGRESS: (exhausted & steepest) | (stepped & (fruitless >= _FRUITLESS_STEPS)),
    }
    earlier_loss = lanes.earlier_loss
    if limits.stagnation is not None:
        looked = stepped & (step % STAGNATION_STEPS == 0)
        # At the start, infinity minus the loss is not less than infinity.
        fallen = lanes.earlier_loss - value
        endings[STAGNATED] = looked & (fallen < limits.stagnation * lanes.earlier_loss)
        earlier_loss = jnp.where(looked, value, lanes.earlier_loss)
    endings[STEP_LIMIT] = stepped & (step >= limits.max_steps)
    if limits.max_evaluations is not None:
        endings[EVALUATION_LIMIT] = running & (evaluations >= limits.max_evaluations)
    # The first that applies.
    status = jnp.select(list(endings.values()), list(endings), lanes.status)
    better = stepped & (value < lanes.best_loss)
    after = Lanes(
        memory=memory,
        loss=jnp.where(failed & starting, value, loss),
        best_map=choose(better, trial, lanes.best_map),
        best_loss=jnp.where(better | (failed & starting), value, lanes.best_loss),
        direction=direction,
        slope=_dot(memory.updates, direction),
        length=jnp.where(renewed, one, jnp.where(failed, narrowed, lanes.length)),
        shortest=jnp.where(renewed, zero, jnp.where(failed, shortest, lanes.shortest)),
        longest=jnp.where(renewed, jnp.inf, jnp.where(failed, longest, lanes.longest)),
        trials=jnp.where(restarted, 0, jnp.where(running, trials, lanes.trials)),
        first_gradient=first,
        step=jnp.where(failed & starting, 0, step),
        evaluations=evaluations,
        fruitless=fruitless,
        earlier_loss=earlier_loss,
        status=status,
    )
    after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, lanes)
    return after, stepped | (failed & starting)


def _wolfe(
    lanes: Lanes, value: Float[Array, " B"], slope: Float[Array, " B"]
) -> tuple[Bool[Array, " B"], Bool[Array, " B"]]:
    """Say whether the loss has fallen enough, and whether the slope has become flat enough."""
    lower = value <= lanes.loss + _SUFFICIENT_DECREASE * lanes.length * lanes.slope
    rounded = value <= lanes.loss + _ROUNDING * jnp.abs(lanes.loss)
    lower |= rounded & (slope <= (2 * _SUFFICIENT_DECREASE - 1) * lanes.slope)
    return lower, slope >= _CURVATURE * lanes.slope


def _narrowed(
    lanes: Lanes,
    value: Float[Array, " B"],
    shortest: Float[Array, " B"],
    longest: Float[Array, " B"],
) -> Float[Array, " B"]:
    """Return the next trial step inside a bracket; twice the last one where it has no upper end."""
    # The parabola through both losses and the slope, as long as the lower end is the present map.
    rise = value - lanes.loss - lanes.length * lanes.slope
    parabola = -lanes.slope * lanes.length**2 / (2 * rise)
    usable = (lanes.shortest == 0) & jnp.isfinite(parabola) & (longest == lanes.length)
    inside = jnp.clip(parabola, 0.1 * lanes.length, 0.5 * lanes.length)
    middle = jnp.where(usable, inside, (shortest + longest) / 2)
    return jnp.where(jnp.isinf(longest), 2 * lanes.length, middle)


def _direct(
    lanes: Lanes,
    trial: Float[Array, "B *shape"],
    gradient: Float[Array, "B *shape"],
    stepped: Bool[Array, " B"],
    restarted: Bool[Array, " B"],
) -> tuple[Any, Float[Array, "B *shape"]]:
    """Return memory and direction after the steps; lanes without a step keep theirs."""
    old = lanes.memory
    map, slopes = choose(stepped, trial, old.params), choose(stepped, gradient, old.updates)
    forgotten = restarted[:, None]
    asked = old._replace(
        count=jnp.where(restarted, 0, old.count),
        weights_memory=jnp.where(forgotten, 0.0, old.weights_memory).astype(map.dtype),
    )
    # A lane without a step overwrites the correction that its next step overwrites anyhow, with
    # zeros: choosing among whole memories would copy all of them at every evaluation.
    update: Any = optax.scale_by_lbfgs(old.weights_memory.shape[1]).update
    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        preconditioned, new = jax.vmap(update)(slopes, asked, map)
    renewed = stepped | restarted
    memory = new._replace(count=jnp.where(renewed, new.count, old.count))
    return memory, choose(renewed, -preconditioned, lanes.direction)
