"""Synthesis of one map: chunks of steps on the device, a history and a status on the host."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.angular import Reduction
from jaxscat.statistics.inputs import check_map_of
from jaxscat.synthesis.lbfgs import NOT_FINITE, RUNNING, STATUS, advance, evaluate_start

STEP_LIMIT, INTERRUPTED = "step limit", "interrupted"


class Progress(NamedTuple):
    """How far a synthesis has come.

    Attributes:
        step: steps made.
        max_steps: steps asked for.
        loss: lowest loss so far.
        evaluations: values and gradients computed.
        seconds: time spent on the steps, compilation excluded.
    """

    step: int
    max_steps: int
    loss: float
    evaluations: int
    seconds: float


class SynthesisResult(NamedTuple):
    """A synthesized map and how it came about.

    Attributes:
        map: the map with the lowest loss that was met; always finite.
        loss: its loss.
        losses: loss before every step and after the last; `losses[0]` is the start's.
        evaluations: values and gradients computed up to each of these losses.
        status: "converged" (the gradient has vanished), "step limit", "no progress" (line
            searches lowered the loss no more), "not finite" or "interrupted".
        steps: steps made.
        compile_seconds: time to trace and compile and to evaluate the start; little when compiled
            before.
        run_seconds: time of the steps.
    """

    map: Float[np.ndarray, " p"]
    loss: float
    losses: Float[np.ndarray, " steps_and_one"]
    evaluations: Int[np.ndarray, " steps_and_one"]
    status: str
    steps: int
    compile_seconds: float
    run_seconds: float


def synthesize(
    target: Target,
    pyramid: Pyramid,
    start: Float[Array, " p"],
    *,
    max_steps: int = 300,
    memory: int = 50,
    gradient_tolerance: float = 1e-6,
    chunk_steps: int = 10,
    reduction: Reduction | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SynthesisResult:
    """Change a map by L-BFGS until its coefficients are those of the target.

    Args:
        target: coefficients, their sigma and the mask under which maps are measured.
        pyramid: operators of the target.
        start: real NESTED map to start from, usually noise; may be constant.
        max_steps: number of steps after which to stop.
        memory: number of corrections that L-BFGS keeps, `2 * memory * npix` numbers.
        gradient_tolerance: "converged" once the norm of the gradient has fallen to this fraction
            of its first value.
        chunk_steps: steps made on the device between two looks from the host.
        reduction: combination of orientations, short for `target.reduced(reduction)`.
        callback: called after every chunk. A KeyboardInterrupt, in it or during the steps, ends
            the run with status "interrupted" and the best map so far; one during compilation
            is not caught, since there is no map yet.

    Returns:
        result whose arrays are NumPy's, in the type of the pyramid.

    Raises:
        ValueError: a bad start map, a target that is not of this pyramid, or a limit below one.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Synthesis".
    """
    for name, value in (("max_steps", max_steps), ("memory", memory), ("chunk_steps", chunk_steps)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}: got {value!r}, expected an integer of at least 1")
    if not 0 <= gradient_tolerance < 1:
        raise ValueError(f"gradient_tolerance: got {gradient_tolerance!r}, expected 0 up to 1")
    spec = pyramid.spec
    checked = check_map_of(start, spec, name="start")
    _check_target(target, pyramid)
    if reduction is not None:
        target = target.reduced(reduction)
    # A chunk cannot be longer than the run, and one length serves all chunks: one compilation.
    chunk = min(chunk_steps, max_steps)
    # NumPy's numbers: arithmetic with JAX's would be compiled, one small program after another.
    real = np.dtype(spec.dtype).type
    tolerance, unit = real(gradient_tolerance), real(_unit(target, pyramid))

    def run(state, steps):
        return advance(state, pyramid, target, unit, np.int32(steps), tolerance, memory, chunk)

    began = time.perf_counter()
    start_in_unit = jnp.asarray(checked.astype(spec.dtype) / unit)
    state = evaluate_start(start_in_unit, pyramid, target, unit, memory, chunk)
    jax.block_until_ready(state)
    compile_seconds = time.perf_counter() - began

    began = time.perf_counter()
    losses, evaluations, status = [], [], STEP_LIMIT
    latest = _Snapshot.of(state, unit)
    try:
        while latest.step < max_steps and latest.code == RUNNING:
            steps = min(chunk, max_steps - latest.step)
            state, chunk_losses, chunk_evaluations = run(state, steps)
            made = int(state.step) - latest.step
            losses += np.asarray(chunk_losses)[:made].tolist()
            evaluations += np.asarray(chunk_evaluations)[:made].tolist()
            latest = _Snapshot.of(state, unit)
            if callback is not None:
                seconds = time.perf_counter() - began
                callback(Progress(latest.step, max_steps, latest.loss, latest.evaluations, seconds))
        status = STATUS.get(latest.code, STEP_LIMIT)
    except KeyboardInterrupt:
        status = INTERRUPTED
        losses, evaluations = losses[: latest.step], evaluations[: latest.step]
    losses.append(latest.present_loss)
    evaluations.append(latest.evaluations)
    if latest.code == NOT_FINITE or not np.isfinite(latest.map).all():
        status = STATUS[NOT_FINITE] if status != INTERRUPTED else status
    return SynthesisResult(
        map=latest.map,
        loss=latest.loss,
        losses=np.asarray(losses, dtype=spec.dtype),
        evaluations=np.asarray(evaluations),
        status=status,
        steps=latest.step,
        compile_seconds=compile_seconds,
        run_seconds=time.perf_counter() - began,
    )


class _Snapshot(NamedTuple):
    """What the host keeps of a state, whose own buffers the next chunk reuses."""

    map: np.ndarray
    step: int
    code: int
    loss: float
    present_loss: float
    evaluations: int

    @classmethod
    def of(cls, state, unit: np.floating) -> "_Snapshot":
        return cls(
            map=np.array(state.best_map) * unit,
            step=int(state.step),
            code=int(state.status),
            loss=float(state.best_loss),
            present_loss=float(state.loss),
            evaluations=int(state.evaluations),
        )


def _unit(target: Target, pyramid: Pyramid) -> float:
    """Return the power of two next to the standard deviation of the map that the target is of."""
    weight = pyramid.spec.npix if target.mask is None else np.sum(np.asarray(target.mask), axis=-1)
    spread = float(np.max(np.asarray(target.mean.s0)[..., 1] * np.sqrt(weight)))
    if target.second is not None:  # S0 has the unit of the root of the product of both maps
        spread = spread**2 / float(np.std(np.asarray(target.second)))
    return 2.0 ** round(np.log2(spread)) if np.isfinite(spread) and spread > 0 else 1.0


def _check_target(target: Target, pyramid: Pyramid) -> None:
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
