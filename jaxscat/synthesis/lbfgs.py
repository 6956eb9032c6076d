"""L-BFGS steps on the device: the state that is carried, one jitted run of steps, how it ends."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from jaxscat.objectives.chi_square import map_loss
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid

RUNNING, CONVERGED, NO_PROGRESS, NOT_FINITE = range(4)
STATUS = {CONVERGED: "converged", NO_PROGRESS: "no progress", NOT_FINITE: "not finite"}

# A line search that lowers nothing so many times in a row ends the run.
_FRUITLESS_STEPS = 3


class SynthesisState(eqx.Module):
    """What one step hands to the next.

    Attributes:
        map: the present map.
        best_map: the map with the lowest loss so far.
        best_loss: its loss.
        optimizer: state of optax's L-BFGS, with the present loss and gradient.
        first_gradient: norm of the gradient at the start.
        step: steps made.
        evaluations: values and gradients computed.
        fruitless: steps in a row that did not lower the loss.
        status: `RUNNING`, or why the run ended.
    """

    map: Float[Array, " p"]
    best_map: Float[Array, " p"]
    best_loss: Float[Array, ""]
    optimizer: Any
    first_gradient: Float[Array, ""]
    step: Int[Array, ""]
    evaluations: Int[Array, ""]
    fruitless: Int[Array, ""]
    status: Int[Array, ""]

    @property
    def loss(self) -> Float[Array, ""]:
        """Loss of the present map; infinite before the first evaluation."""
        return optax.tree.get(self.optimizer, "value")


# Jitted so that no two entries share a buffer: all of them are donated to the first step.
@partial(jax.jit, static_argnames="memory")
def initial_state(start: Float[Array, " p"], memory: int) -> SynthesisState:
    """Return the state before the first evaluation: its losses are infinite."""
    zero = jnp.zeros((), jnp.int32)
    infinite = jnp.full((), jnp.inf, start.dtype)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        optimizer = _optimizer(memory).init(start)
    state = SynthesisState(
        map=start,
        best_map=start,
        best_loss=infinite,
        optimizer=optimizer,
        first_gradient=infinite,
        step=zero,
        evaluations=zero,
        fruitless=zero,
        status=zero,
    )
    # Weak types, which optax leaves, would have the first call compile for nothing.
    return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), state)


def _optimizer(memory: int) -> optax.GradientTransformationExtraArgs:
    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")
    return optax.lbfgs(memory_size=memory, linesearch=search)


@partial(jax.jit, static_argnames=("memory", "chunk"), donate_argnames="state")
def advance(
    state: SynthesisState,
    pyramid: Pyramid,
    target: Target,
    steps: Int[Array, ""],
    gradient_tolerance: Float[Array, ""],
    memory: int,
    chunk: int,
) -> tuple[SynthesisState, Float[Array, " chunk"], Int[Array, " chunk"]]:
    """Make at most `steps` steps, fewer when the run ends.

    Args:
        state: where to go on from; its buffers are reused.
        pyramid, target: the objective.
        steps: number of steps, at most `chunk`.
        gradient_tolerance: the run has converged once the norm of the gradient has fallen to this
            fraction of its first value.
        memory: number of corrections of L-BFGS.
        chunk: length of the records.

    Returns:
        the new state, and loss and evaluations *before* each of the steps made.

    Source: `optax.lbfgs` (Nocedal & Wright 2006, algorithms 7.4, 3.5 and 3.6);
    `docs/conventions.md`, "Synthesis".
    """
    optimizer = _optimizer(memory)
    first = state.step

    def loss(map: Array) -> Array:
        return map_loss(map, pyramid, target)

    def going(carry: tuple[SynthesisState, Array, Array]) -> Bool[Array, ""]:
        state, *_ = carry
        return (state.step - first < steps) & (state.status == RUNNING)

    def step(carry: tuple[SynthesisState, Array, Array]) -> tuple:
        state, losses, evaluations = carry
        fresh = jnp.isinf(state.loss)
        value, gradient = optax.value_and_grad_from_state(loss)(state.map, state=state.optimizer)
        spent = state.evaluations + fresh
        updates, optimizer_state = optimizer.update(
            gradient, state.optimizer, state.map, value=value, grad=gradient, value_fn=loss
        )
        map = jax.tree.map(jnp.add, state.map, updates)
        new_value = optax.tree.get(optimizer_state, "value")
        new_gradient = optax.tree.get(optimizer_state, "grad")
        search = optax.tree.get(optimizer_state, "info")
        norm = jnp.linalg.norm(new_gradient)
        first_norm = jnp.where(fresh, jnp.linalg.norm(gradient), state.first_gradient)
        fruitless = jnp.where(new_value < value, 0, state.fruitless + 1)
        status = jnp.select(
            [
                ~(jnp.isfinite(new_value) & jnp.isfinite(norm)),
                norm <= gradient_tolerance * first_norm,
                fruitless >= _FRUITLESS_STEPS,
            ],
            [NOT_FINITE, CONVERGED, NO_PROGRESS],
            RUNNING,
        )
        better = new_value < jnp.minimum(state.best_loss, value)
        started_better = value < state.best_loss
        best_map = jnp.where(better, map, jnp.where(started_better, state.map, state.best_map))
        row = state.step - first
        state = SynthesisState(
            map=map,
            best_map=best_map,
            best_loss=jnp.minimum(state.best_loss, jnp.fmin(value, new_value)),
            optimizer=optimizer_state,
            first_gradient=first_norm,
            step=state.step + 1,
            evaluations=spent + search.num_linesearch_steps.astype(spent.dtype),
            fruitless=fruitless.astype(state.fruitless.dtype),
            status=status.astype(state.status.dtype),
        )
        return state, losses.at[row].set(value), evaluations.at[row].set(spent)

    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        records = jnp.zeros(chunk, state.map.dtype), jnp.zeros(chunk, jnp.int32)
        return jax.lax.while_loop(going, step, (state, *records))
