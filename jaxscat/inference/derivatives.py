"""Derivatives of mean summaries by the parameters of a simulator, with their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxscat.inference.convergence import share_of_length, warn_of_derivatives
from jaxscat.inference.sources import check_drawn, check_seeds, check_simulator
from jaxscat.inference.summaries import (
    SummaryFunction,
    as_vector,
    check_summary,
    hiding_mask,
    summarize,
    summary_names,
)
from jaxscat.maps import describe, is_integer, to_numpy
from jaxscat.operators.batching import fill_rows, map_in_groups
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.reasons import reason_of

Method = Literal["forward", "differences"]


class Jacobian(NamedTuple):
    """Derivatives of the mean of a summary by parameters, as `jacobian` returns them, in float64.

    Attributes:
        values: mean over the seeds, in the unit of a coefficient over that of a parameter.
        errors: standard errors of the mean.
        each: derivatives of every seed.
        names: of the coefficients.
        seeds: of the simulations.
        noise: of every parameter, the share of the squared length of its derivative that is noise
            of the mean; lengths are in standard deviations of the coefficients. Zero of a parameter
            without effect.
        step_change: of differences, how much halving the step changes every derivative, as a share
            of its length; None of forward derivatives.

    Source: `docs/inference.md`, "Derivatives".
    """

    values: Float[np.ndarray, "coefficient parameter"]
    errors: Float[np.ndarray, "coefficient parameter"]
    each: Float[np.ndarray, "seed coefficient parameter"]
    names: tuple[str, ...]
    seeds: Int[np.ndarray, " seed"]
    noise: Float[np.ndarray, " parameter"]
    step_change: Float[np.ndarray, " parameter"] | None = None


def jacobian(
    simulator: Callable[..., Any],
    parameters: ArrayLike,
    pyramid: Pyramid,
    *,
    seeds: int | Iterable[int] = 128,
    method: Method = "forward",
    steps: ArrayLike | None = None,
    summary: SummaryFunction | None = None,
    chunk_size: int = 16,
) -> Jacobian:
    """Estimate the derivatives of the mean of a summary by the parameters of a simulator.

    Warns of parameters without any effect, and of those whose derivative is not converged in seeds
    (noise is more than 5 % of its squared length) or in steps (halving them changes it by more than
    5 %).

    Args:
        simulator: function of parameters `[parameter]` and an integer seed that returns a NESTED
            map; the same seed gives the same random numbers for all parameters. For "forward" it
            is written in JAX (of `jax.random` and `jax.numpy`), and the seed is an array.
        parameters: where the derivatives are taken.
        pyramid: operators for the nside of the maps.
        seeds: integers from 0 up, or n for 0 to n - 1; two or more.
        method: "forward" differentiates through simulator and summary. "differences" calls the
            simulator, written in whatever way, at both sides of the parameters, at the steps and
            at half of them, and takes the differences of half the steps of the same seed.
        steps: of "differences": the largest distance from the parameters, of each or of all.
        summary: as for `measure_many`.
        chunk_size: number of seeds that are computed at once.

    Raises:
        ValueError: bad arguments, a simulator that JAX cannot trace ("forward") or that returns no
            map of the pyramid, or derivatives that are not finite.

    Examples:
        >>> import jax, jax.numpy as jnp, jaxscat
        >>> from jaxscat.inference import jacobian
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> def simulator(parameters, seed):
        ...     return parameters[0] * jax.random.normal(jax.random.key(seed), (192,))
        >>> def summary(map, pyramid):  # as simple as can be; by default it is Summary()
        ...     return jnp.stack([jnp.var(map), jnp.mean(jnp.abs(map))])
        >>> found = jacobian(simulator, [2.0], pyramid, summary=summary)
        >>> found.values.round().tolist()  # 2 sigma, and the root of 2 / pi
        [[4.0], [1.0]]

    Source: `docs/inference.md`, "Derivatives".
    """
    check_pyramid(pyramid)
    check_simulator(simulator, 2, "simulator")
    at = check_point(parameters)
    chosen, summary = check_seeds(seeds), check_summary(summary)
    if chosen.size < 2:
        raise ValueError("seeds: got one, expected two or more, whose scatter is the error")
    if method not in get_args(Method):
        raise ValueError(f"method: got {method!r}, expected 'forward' or 'differences'")
    if not is_integer(chunk_size) or chunk_size < 1:
        raise ValueError(f"chunk_size: got {chunk_size!r}, expected an integer from 1 up")
    size = min(int(chunk_size), chosen.size)
    names = summary_names(summary, pyramid)
    coarse = None
    if method == "forward":
        if steps is not None:
            raise ValueError("steps: got some for method 'forward', expected None")
        check_traceable(simulator, at, pyramid)
        vectors, each = _forward(simulator, at, pyramid, chosen, summary, size)
    else:
        widths = _check_steps(steps, at)
        vectors, each, coarse = _differences(simulator, at, widths, pyramid, chosen, summary, size)
    bad = np.flatnonzero(~np.isfinite(each).all(axis=(0, 1)))
    if bad.size:
        raise ValueError(
            f"simulator: got derivatives by parameter {bad[0]} that are not finite, expected a "
            "smooth function of it"
        )
    values, errors = each.mean(0), each.std(0, ddof=1) / np.sqrt(chosen.size)
    spread = vectors.std(0, ddof=1)
    noise = share_of_length(errors, values, spread) ** 2
    change = None if coarse is None else share_of_length(values - coarse.mean(0), values, spread)
    warn_of_derivatives(each, noise, change)
    return Jacobian(values, errors, each, names, chosen, noise, change)


def check_point(parameters: Any) -> Float[np.ndarray, " parameter"]:
    """Return parameters as a vector of float64.

    Raises:
        ValueError: they are no finite real numbers of shape (parameter,).
    """
    at = to_numpy(parameters, name="parameters")
    if at.dtype.kind not in "iuf" or at.ndim != 1 or not at.size:
        raise ValueError(
            f"parameters: got {describe(at)}, expected real numbers of shape (parameter,)"
        )
    if not np.isfinite(at).all():
        raise ValueError("parameters: got some that are not finite, expected numbers")
    return at.astype(np.float64)


def check_traceable(simulator: Callable[..., Any], at: np.ndarray, pyramid: Pyramid) -> None:
    """Refuse a simulator that JAX cannot trace, or that returns no map, with a `ValueError`."""
    spec = pyramid.spec
    point = jax.ShapeDtypeStruct(at.shape, spec.dtype)
    try:
        found = eqx.filter_eval_shape(simulator, point, jax.ShapeDtypeStruct((), np.int32))
    except (TypeError, jax.errors.JAXTypeError) as error:  # NumPy's answer to a tracer
        raise ValueError(
            f"simulator: got one that JAX cannot trace ({reason_of(error)}), expected "
            "functions of jax.numpy and jax.random alone, or method 'differences'"
        ) from error
    shape = getattr(found, "shape", None)
    if shape != (spec.npix,):
        got = type(found).__name__ if shape is None else f"an array of shape {shape}"
        raise ValueError(f"simulator: got {got} from it, expected a map of {spec.npix} pixels")


def _forward(
    simulator: Callable[..., Any],
    at: Float[np.ndarray, " parameter"],
    pyramid: Pyramid,
    seeds: Int[np.ndarray, " seed"],
    summary: SummaryFunction,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and derivatives of every seed."""
    found = []
    point = jnp.asarray(at, pyramid.spec.dtype)
    for start in range(0, seeds.size, size):
        some = seeds[start : start + size]
        full = jnp.asarray(fill_rows(some, size).astype(np.int32))
        pair = _forward_chunk((simulator, summary), full, point, pyramid)
        found.append([np.asarray(part, np.float64)[: some.size] for part in pair])
    vectors, slopes = zip(*found, strict=True)
    return np.concatenate(vectors), np.concatenate(slopes)


@eqx.filter_jit
def _forward_chunk(
    functions: tuple[Callable[..., Any], SummaryFunction],
    seeds: Int[Array, " seed"],
    at: Float[Array, " parameter"],
    pyramid: Pyramid,
) -> tuple[Array, Array]:
    arrays, rest = eqx.partition(functions, eqx.is_array)

    def derive(seed: Array, arrays: Any, at: Array, pyramid: Pyramid) -> tuple[Array, Array]:
        simulator, summary = eqx.combine(arrays, rest)

        def vector(at: Array) -> tuple[Array, Array]:
            found = as_vector(summary(simulator(at, seed), pyramid))
            return found, found

        slopes, value = jax.jacfwd(vector, has_aux=True)(at)
        return value, slopes

    npix = pyramid.spec.npix * (1 + at.size)
    return map_in_groups(derive, seeds, arrays, at, pyramid, npix=npix)


def _differences(
    simulator: Callable[..., Any],
    at: Float[np.ndarray, " parameter"],
    steps: Float[np.ndarray, " parameter"],
    pyramid: Pyramid,
    seeds: Int[np.ndarray, " seed"],
    summary: SummaryFunction,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors, and differences of half the steps and of the steps, of every seed."""
    points = np.stack(
        [
            at + factor * np.eye(at.size)[parameter] * steps
            for parameter in range(at.size)
            for factor in (0.5, -0.5, 1.0, -1.0)
        ]
    )

    def draw() -> Iterator[np.ndarray]:
        for seed in seeds:
            for point in points:
                name = f"simulator: the map of seed {seed} at {point}"
                yield check_drawn(simulator(point, int(seed)), pyramid.spec, name, mask)

    maps, found, mask = draw(), [], hiding_mask(summary)
    for start in range(0, seeds.size, size):
        some = min(size, seeds.size - start)
        chunk = np.stack([next(maps) for _ in range(some * len(points))])
        full = jnp.asarray(fill_rows(chunk, size * len(points)))
        vectors = summarize(summary, full, pyramid)
        found.append(np.asarray(vectors, np.float64)[: len(chunk)])
    sides = np.concatenate(found).reshape(seeds.size, at.size, 4, -1)
    fine = (sides[:, :, 0] - sides[:, :, 1]) / steps[:, None]
    coarse = (sides[:, :, 2] - sides[:, :, 3]) / (2 * steps[:, None])
    return sides[:, 0, :2].mean(1), fine.swapaxes(1, 2), coarse.swapaxes(1, 2)


def _check_steps(steps: Any, at: np.ndarray) -> Float[np.ndarray, " parameter"]:
    if steps is None:
        raise ValueError("steps: got None, expected the steps of the parameters for 'differences'")
    widths = to_numpy(steps, name="steps")
    if widths.dtype.kind not in "iuf" or widths.shape not in ((), at.shape):
        raise ValueError(
            f"steps: got {describe(widths)}, expected one number, or {at.size} for the parameters"
        )
    if not (np.isfinite(widths).all() and (widths > 0).all()):
        raise ValueError(f"steps: got {steps!r}, expected positive numbers")
    return np.broadcast_to(widths, at.shape).astype(np.float64)
