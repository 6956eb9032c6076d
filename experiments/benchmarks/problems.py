"""What benchmarks measure: a map, its operators, its target, and the step of a synthesis."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxscat
from jaxscat.minimization.lane import build_limits
from jaxscat.minimization.problem import Problem, build_problem
from jaxscat.objectives.target import unit_of

Layout = Literal["auto", "rows", "faces"]
LAYOUTS = ("rows", "faces")
# The compiled program depends on the length of the chunks.
CHUNK = 10
Run = Callable[..., jaxscat.SynthesisResult]


def drawn_map(nside: int, seed: int = 0) -> np.ndarray:
    """Return a lognormal float32 map with structure at all scales: no file, and any nside.

    The four children of a NESTED pixel share the numbers of all coarser grids.
    """
    random = np.random.default_rng(seed)
    total, side = np.zeros(12), 1
    while True:
        total = total + 0.5 * random.standard_normal(total.size)
        if side == nside:
            return np.exp(total - total.mean()).astype(np.float32)
        total, side = np.repeat(total, 4), 2 * side


def problem(
    dataset: str | None, nside: int, layout: Layout = "auto", coarsest_nside: int | None = 1
) -> tuple[np.ndarray, jaxscat.Pyramid, jaxscat.Target]:
    """Return a map, the operators for its nside, and the target made from it.

    Args:
        dataset: dataset or map file; None for `drawn_map`.
        nside: resolution.
        layout: of the operators.
        coarsest_nside: as for `make_target`. The default takes all scales, as the figures of
            docs/performance.md; that of `make_target`, None, leaves some work out.
    """
    original = drawn_map(nside) if dataset is None else jaxscat.load_map(dataset, nside)
    pyramid = jaxscat.build_pyramid(nside, orientations=4, layout=layout)
    target = make_target(original, pyramid, coarsest_nside)
    return original, pyramid, target


def make_target(
    original: np.ndarray, pyramid: jaxscat.Pyramid, coarsest_nside: int | None = 1
) -> jaxscat.Target:
    """Return the target of `problem` from a map and its operators."""
    weights: Any = "balanced" if coarsest_nside is None else "plain"
    return jaxscat.make_target(
        jnp.asarray(original), pyramid, coarsest_nside=coarsest_nside, weights=weights
    )


def white_starts(original: np.ndarray, count: int) -> np.ndarray:
    """Return as many starts of white noise, or a single one without a leading axis."""
    if count == 1:
        return jaxscat.white_noise(original, 0)
    return np.stack([jaxscat.white_noise(original, seed) for seed in range(count)])


def value_and_grad_of(count: int) -> Callable[..., Any]:
    """Return value and gradient of `map_loss` for a single map, or for many on a leading axis."""
    both = jax.value_and_grad(jaxscat.map_loss)
    return jax.jit(both) if count == 1 else jaxscat.grouped_vmap(both)


def synthesizer(dataset: str | None, nside: int, layout: Layout = "auto") -> Run:
    """Return what makes the maps of some seeds on one device, each with all the steps."""
    _, pyramid, target = problem(dataset, nside, layout)
    settings = {"devices": jax.local_devices()[:1], "gradient_tolerance": 0.0, "chunk_steps": CHUNK}
    return partial(jaxscat.synthesize_many, target, pyramid, **settings)


def synthesis_problem(
    target: jaxscat.Target, pyramid: jaxscat.Pyramid, steps: int, memory: int = 50
) -> Problem:
    """Return the operand of the step that `synthesize` compiles, for float32 maps."""
    return build_problem(
        jaxscat.Objective({"scattering": jaxscat.Scattering.of(target, pyramid)}),
        jaxscat.Pixels(pyramid.spec.npix, unit_of(target, pyramid)),
        jaxscat.LBFGS(0.0, memory=memory),
        build_limits(steps),
        np.dtype(np.float32),
    )
