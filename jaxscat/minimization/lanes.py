"""Syntheses side by side: what is carried for each, how they begin, and who is among them."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

RUNNING, CONVERGED, NO_PROGRESS, NOT_FINITE, STEP_LIMIT, STAGNATED, EVALUATION_LIMIT = range(7)


class Lanes(eqx.Module):
    """Syntheses side by side, each with its own line search; the leading axis counts lanes.

    Attributes:
        memory: state of optax's L-BFGS, with the present map (`params`), its gradient
            (`updates`), and the corrections.
        loss: loss of the present map; infinite before the start is evaluated.
        best_map: the map with the lowest loss so far.
        best_loss: its loss.
        direction: where the line search goes.
        slope: derivative of the loss along it, at the present map.
        length: trial step, in units of the direction.
        shortest: bracket of the step: lower end.
        longest: upper end, infinite while it is not known.
        trials: evaluations of this line search that have not ended it.
        first_gradient: norm of the gradient at the start.
        step: steps made; -1 before the start is evaluated.
        evaluations: values and gradients computed.
        fruitless: steps in a row that did not lower the loss.
        earlier_loss: loss at the last look at stagnation, that of the start first; infinite before,
            and where nobody looks.
        status: `RUNNING`, or why the lane has ended.
    """

    memory: Any
    loss: Float[Array, " B"]
    best_map: Float[Array, "B *shape"]
    best_loss: Float[Array, " B"]
    direction: Float[Array, "B *shape"]
    slope: Float[Array, " B"]
    length: Float[Array, " B"]
    shortest: Float[Array, " B"]
    longest: Float[Array, " B"]
    trials: Int[Array, " B"]
    first_gradient: Float[Array, " B"]
    step: Int[Array, " B"]
    evaluations: Int[Array, " B"]
    fruitless: Int[Array, " B"]
    earlier_loss: Float[Array, " B"]
    status: Int[Array, " B"]

    @property
    def map(self) -> Float[Array, "B *shape"]:
        """Present maps."""
        return self.memory.params

    @property
    def gradient(self) -> Float[Array, "B *shape"]:
        """Gradients of the loss at the present maps."""
        return self.memory.updates


@partial(jax.jit, static_argnames="memory")
def begin(starts: Float[Array, "B *shape"], used: Bool[Array, " B"], memory: int) -> Lanes:
    """Return lanes whose first evaluation is that of their start.

    Args:
        starts: one start for each lane, in the unit of `advance`.
        used: lanes that have something to do, None for all; the others count as ended.
        memory: number of corrections of L-BFGS.

    Returns:
        lanes in the type of the starts, none of them evaluated.

    Source: `docs/conventions.md`, "Synthesis".
    """
    lanes, real = starts.shape[0], starts.dtype
    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        state: Any = jax.vmap(optax.scale_by_lbfgs(memory).init)(starts)
    state = state._replace(params=starts, weights_memory=state.weights_memory.astype(real))
    none, zero = jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, real)
    # From an infinite loss, the trial with a step of length zero is always taken.
    return Lanes(
        memory=state,
        loss=jnp.full(lanes, jnp.inf, real),
        best_map=starts,
        best_loss=jnp.full(lanes, jnp.inf, real),
        direction=jnp.zeros_like(starts),
        slope=zero,
        length=zero,
        shortest=zero,
        longest=jnp.full(lanes, jnp.inf, real),
        trials=none,
        first_gradient=zero,
        step=none - 1,
        evaluations=none,
        fruitless=none,
        earlier_loss=jnp.full(lanes, jnp.inf, real),
        status=none + RUNNING if used is None else jnp.where(used, RUNNING, STEP_LIMIT + none),
    )


@partial(jax.jit, donate_argnames="lanes")
def replace_lanes(
    lanes: Lanes, chosen: Bool[Array, " B"], starts: Float[Array, "B *shape"]
) -> Lanes:
    """Let other syntheses begin in some of the lanes.

    Args:
        lanes: all lanes; their buffers are reused.
        chosen: which of them are replaced.
        starts: maps for all lanes, of which those of the chosen count.
    """
    fresh = begin(starts, chosen, lanes.memory.weights_memory.shape[1])
    return jax.tree.map(partial(choose, chosen), fresh, lanes)


@jax.jit
def take_lanes(lanes: Lanes, indices: Int[Array, " K"]) -> Lanes:
    """Return a batch of some of the lanes."""
    return jax.tree.map(lambda leaf: leaf[indices], lanes)


def choose(condition: Bool[Array, " B"], yes: Array, no: Array) -> Array:
    """Return the entries of one array for the lanes of a condition, and of another elsewhere."""
    return jnp.where(condition.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)
