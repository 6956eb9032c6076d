"""Lanes side by side: how they begin, advance, and give way to others."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxscat.minimization.lane import RUNNING, STEP_LIMIT, Lane, Minimizer
from jaxscat.minimization.problem import Problem


class Records(NamedTuple):
    """Numbers of every evaluation of a chunk, for every lane.

    Attributes:
        losses: loss of the present point after the evaluation.
        evaluations: number of evaluations of the lane; zero if this one has made no step.
        terms: values of the terms at the trial, which is the present point if it was a step.
    """

    losses: Float[Array, "chunk B"]
    evaluations: Int[Array, "chunk B"]
    terms: dict[str, Float[Array, "chunk B"]]


@jax.jit
def begin(
    starts: Float[Array, "B n"], used: Bool[Array, " B"] | None, minimizer: Minimizer
) -> Lane:
    """Return lanes whose first evaluation is that of their start.

    Args:
        starts: parameters of every lane.
        used: lanes that have work to do, None for all; the others count as ended.
        minimizer: has `init`.

    Returns:
        lanes in the type of the starts, none of them evaluated; the leading axis counts lanes.

    Source: `docs/conventions.md`, "Synthesis".
    """
    lanes = jax.vmap(minimizer.init)(starts)
    if used is None:
        return lanes
    status = jnp.where(used, RUNNING, STEP_LIMIT + jnp.zeros(starts.shape[0], jnp.int32))
    return eqx.tree_at(lambda lanes: lanes.status, lanes, status.astype(jnp.int32))


@partial(jax.jit, static_argnames="chunk", donate_argnames="lanes")
def advance(
    lanes: Lane, problem: Problem, count: Int[Array, ""], chunk: int
) -> tuple[Lane, Records]:
    """Evaluate all lanes up to `count` times, fewer when all have ended.

    Args:
        lanes: lanes to advance; their buffers are reused. Those that have ended stay as they are.
        problem: the loss, the unknowns, the minimizer and its limits.
        count: number of evaluations, at most `chunk`.
        chunk: length of the records.

    Returns:
        the new lanes, and a record of every evaluation.

    Source: `docs/conventions.md`, "Synthesis".
    """
    minimizer, limits = problem.minimizer, problem.limits
    update = jax.vmap(partial(minimizer.update, limits=limits))

    def going(carry: tuple[Lane, Array, Records]) -> Bool[Array, ""]:
        lanes, row, _ = carry
        return (row < count) & jnp.any(lanes.status == RUNNING)

    def evaluate(carry: tuple[Lane, Array, Records]) -> tuple[Lane, Array, Records]:
        before, row, records = carry
        trial = jax.vmap(minimizer.trial)(before)
        (value, terms), gradient = problem.losses_and_gradients(trial)
        after, stepped = update(before, trial, value, gradient)
        records = Records(
            records.losses.at[row].set(after.loss),
            records.evaluations.at[row].set(jnp.where(stepped, after.evaluations, 0)),
            {name: records.terms[name].at[row].set(terms[name]) for name in records.terms},
        )
        return after, row + 1, records

    shape, real = (chunk, lanes.loss.shape[0]), lanes.loss.dtype
    records = Records(
        jnp.zeros(shape, real),
        jnp.zeros(shape, jnp.int32),
        {name: jnp.zeros(shape, real) for name in problem.objective.terms},
    )
    lanes, _, records = jax.lax.while_loop(
        going, evaluate, (lanes, jnp.zeros((), jnp.int32), records)
    )
    return lanes, records


@partial(jax.jit, donate_argnames="lanes")
def replace_lanes(
    lanes: Lane, chosen: Bool[Array, " B"], starts: Float[Array, "B n"], minimizer: Minimizer
) -> Lane:
    """Let other minimizations begin in some of the lanes.

    Args:
        lanes: all lanes; their buffers are reused.
        chosen: lanes to replace.
        starts: parameters for all lanes, of which those of the chosen count.
        minimizer: has `init`.
    """
    fresh = begin(starts, chosen, minimizer)

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, lanes)


@jax.jit
def take_lanes(lanes: Lane, indices: Int[Array, " K"]) -> Lane:
    """Return a batch of some of the lanes."""
    return jax.tree.map(lambda leaf: leaf[indices], lanes)
