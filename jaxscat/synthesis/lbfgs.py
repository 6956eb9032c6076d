"""L-BFGS steps on the device: the state that is carried, one jitted run of steps, how it ends."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
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
        map: the present map, in a unit near its standard deviation: L-BFGS begins with a step of
            at most that length.
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
        """Loss of the present map."""
        return optax.tree.get(self.optimizer, "value")

    @property
    def gradient(self) -> Float[Array, " p"]:
        """Gradient of the loss at the present map."""
        return optax.tree.get(self.optimizer, "grad")


def evaluate_start(
    start: Float[Array, " p"],
    pyramid: Pyramid,
    target: Target,
    unit: Float[Array, ""],
    memory: int,
    chunk: int,
) -> SynthesisState:
    """Return the state before the first step; on the way `advance` is compiled.

    Args:
        start: map to start from, in the unit.
        pyramid, target, unit, memory, chunk: as for `advance`.
    """
    # From an infinite loss with a vanishing gradient, the direction of a step is zero and its line
    # search does nothing but evaluate the start. An evaluation beside it would be compiled again.
    real, none = start.dtype.type, np.int32(0)
    unknown = _initial_state(start, real(np.inf), np.zeros_like(start), none, none, memory)
    probe, *_ = advance(unknown, pyramid, target, unit, np.int32(1), real(0), memory, chunk)
    status = np.int32(RUNNING if np.isfinite(probe.loss) else NOT_FINITE)
    return _initial_state(start, probe.loss, probe.gradient, probe.evaluations, status, memory)


# Jitted so that no two entries share a buffer: all of them are donated to the first step.
@partial(jax.jit, static_argnames="memory")
def _initial_state(
    start: Float[Array, " p"],
    loss: Float[Array, ""],
    gradient: Float[Array, " p"],
    evaluations: Int[Array, ""],
    status: Int[Array, ""],
    memory: int,
) -> SynthesisState:
    zero = jnp.zeros((), jnp.int32)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        optimizer = _optimizer(memory).init(start)
    optimizer = optax.tree.set(optimizer, value=loss, grad=gradient)
    state = SynthesisState(
        map=start,
        best_map=start,
        best_loss=loss,
        optimizer=optimizer,
        first_gradient=jnp.linalg.norm(gradient),
        step=zero,
        evaluations=evaluations,
        fruitless=zero,
        status=status,
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
    unit: Float[Array, ""],
    steps: Int[Array, ""],
    gradient_tolerance: Float[Array, ""],
    memory: int,
    chunk: int,
) -> tuple[SynthesisState, Float[Array, " chunk"], Int[Array, " chunk"]]:
    """Make at most `steps` steps, fewer when the run ends.

    Args:
        state: where to go on from; its buffers are reused.
        pyramid, target: the objective.
        unit: what the maps of the state are multiplied with, a power of two.
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
        return map_loss(unit * map, pyramid, target)

    def going(carry: tuple[SynthesisState, Array, Array]) -> Bool[Array, ""]:
        state, *_ = carry
        return (state.step - first < steps) & (state.status == RUNNING)

    def step(carry: tuple[SynthesisState, Array, Array]) -> tuple:
        state, losses, evaluations = carry
        updates, optimizer_state = optimizer.update(
            state.gradient,
            state.optimizer,
            state.map,
            value=state.loss,
            grad=state.gradient,
            value_fn=loss,
        )
        map = jax.tree.map(jnp.add, state.map, updates)
        value = optax.tree.get(optimizer_state, "value")
        norm = jnp.linalg.norm(optax.tree.get(optimizer_state, "grad"))
        search = optax.tree.get(optimizer_state, "info")
        fruitless = jnp.where(value < state.loss, 0, state.fruitless + 1)
        status = jnp.select(
            [
                ~(jnp.isfinite(value) & jnp.isfinite(norm)),
                norm <= gradient_tolerance * state.first_gradient,
                fruitless >= _FRUITLESS_STEPS,
            ],
            [NOT_FINITE, CONVERGED, NO_PROGRESS],
            RUNNING,
        )
        row = state.step - first
        losses = losses.at[row].set(state.loss)
        evaluations = evaluations.at[row].set(state.evaluations)
        spent = state.evaluations + search.num_linesearch_steps.astype(jnp.int32)
        state = SynthesisState(
            map=map,
            best_map=jnp.where(value < state.best_loss, map, state.best_map),
            best_loss=jnp.fmin(state.best_loss, value),
            optimizer=optimizer_state,
            first_gradient=state.first_gradient,
            step=state.step + 1,
            evaluations=spent,
            fruitless=fruitless.astype(state.fruitless.dtype),
            status=status.astype(state.status.dtype),
        )
        return state, losses, evaluations

    with jax.numpy_dtype_promotion("standard"):  # optax mixes types
        records = jnp.zeros(chunk, state.map.dtype), jnp.zeros(chunk, jnp.int32)
        return jax.lax.while_loop(going, step, (state, *records))
