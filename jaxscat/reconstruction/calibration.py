"""What noise does to the quantities of a map: their bias, their scatter, and the target left."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.fields.noise import Noise
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.target import floored
from jaxscat.operators.batching import map_in_groups
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.reduction import ReducedCovariance

# Least sigma of a coefficient, over the root mean square of its group and scales.
_FLOOR = 0.01
# Least sigma of the mean of a map, over its error if pixels were independent: some noise has no
# mean at all, and nothing else would count beside that of the map.
_LEAST_OF_MEAN = 0.1


class Calibration(NamedTuple):
    """The targets of a map; all fields are quantities by the names of the terms, on the host.

    Attributes:
        mean: those that the map should have.
        sigma: their scatter from one realization of the noise to the next.
        map: those that it has.
        data: those of the data.
    """

    mean: dict[str, Any]
    sigma: dict[str, Any]
    map: dict[str, Any]
    data: dict[str, Any]


def calibrate(
    terms: Mapping[str, CalibratedTerm],
    data: Float[np.ndarray, " p"],
    map: Float[np.ndarray, " p"],
    noise: Noise,
    seed: int,
    realizations: int,
) -> Calibration:
    """Measure the bias b = <Phi(u + n)> - Phi(u) at a map u, for the target Phi(d) - b.

    Args:
        terms: measure the quantities Phi.
        data: map d of signal and noise.
        map: the present map u.
        noise: realizations n are drawn from it, a few at a time; none is kept.
        seed: names the set of realizations.
        realizations: number of them.

    Raises:
        ValueError: a scatter that is zero or not finite.

    Source: `docs/reconstruction.md`, "Calibration".
    """
    of_data, of_map, noisy, scatter = _named(terms, data, map, noise, seed, realizations)
    bias = jax.tree.map(np.subtract, noisy, of_map)
    mean = jax.tree.map(np.subtract, of_data, bias)
    return Calibration(mean, _checked(scatter, noisy), of_map, of_data)


def calibrate_noise(
    terms: Mapping[str, CalibratedTerm],
    map: Float[np.ndarray, " p"],
    noise: Noise,
    seed: int,
    realizations: int,
) -> Calibration:
    """Measure the quantities <Phi(n)> of noise alone, as the target of a residual.

    Args:
        terms, noise, seed, realizations: as for `calibrate`.
        map: the residual.
    """
    zero = np.zeros_like(map)
    of_map, _, noisy, scatter = _named(terms, map, zero, noise, seed, realizations)
    return Calibration(noisy, _checked(scatter, noisy), of_map, of_map)


def join_calibrations(first: Calibration, second: Calibration) -> Calibration:
    """Return the targets of the terms of both."""
    return Calibration(*[one | other for one, other in zip(first, second, strict=True)])


def _named(
    terms: Mapping[str, CalibratedTerm],
    data: Float[np.ndarray, " p"],
    map: Float[np.ndarray, " p"],
    noise: Noise,
    seed: int,
    realizations: int,
) -> list[dict[str, Any]]:
    """Return what `_measure` does by the names of the terms, on the host."""
    # Not by names inside: terms of the residual share the program of those of the map.
    found = _measure(tuple(terms.values()), data, map, noise, np.uint32(seed), realizations)
    return [dict(zip(terms, jax.tree.map(np.asarray, of), strict=True)) for of in found]


@partial(jax.jit, static_argnames="realizations")
def _measure(
    terms: tuple[CalibratedTerm, ...],
    data: Float[Array, " p"],
    map: Float[Array, " p"],
    noise: Noise,
    seed: Array,
    realizations: int,
) -> tuple[tuple[Any, ...], ...]:
    """Return the quantities of the data and of a map, and their mean and scatter with noise."""

    def measured(number: Array, operands: Any) -> tuple[Any, ...]:
        terms, data, map, noise, seed = operands
        added = noise.draw(seed, jnp.maximum(number - 2, 0)).astype(map.dtype)
        # One loop for all of them: their program is long.
        seen = jnp.where(number == 0, data, map + jnp.where(number < 2, 0, added))
        return tuple(term.measure(seen) for term in terms)

    operands = (terms, data, map, noise, seed)
    each = map_in_groups(measured, jnp.arange(realizations + 2), operands, npix=map.shape[-1])
    of_data, of_map = (jax.tree.map(lambda of, at=at: of[at], each) for at in (0, 1))
    noisy = jax.tree.map(lambda of: of[2:], each)
    mean = jax.tree.map(lambda of: jnp.mean(of, axis=0), noisy)

    def scatter(values: Array, centre: Array) -> Array:
        away = jnp.abs(values - centre)
        # Scaled first: squares of weak coefficients leave the range of float32.
        largest = jnp.max(away, axis=0)
        scaled = away / jnp.where(largest > 0, largest, 1)
        return largest * jnp.sqrt(jnp.sum(scaled**2, axis=0) / (realizations - 1))

    return of_data, of_map, mean, jax.tree.map(scatter, noisy, mean)


def _checked(scatter: Mapping[str, Any], noisy: Mapping[str, Any]) -> dict[str, Any]:
    """Return scatters that can be divided by: positive, and not small beside others.

    Args:
        scatter: by the names of the terms.
        noisy: mean quantities with noise.
    """
    found = {}
    for name, of in scatter.items():
        coefficients = isinstance(of, ScatteringCovariance | ReducedCovariance)
        if coefficients:
            mean, error = np.moveaxis(of.s0, -1, 0)
            mean = np.maximum(mean, _LEAST_OF_MEAN * np.abs(noisy[name].s0[..., 1]))
            of = replace(of, s0=np.stack([mean, error], axis=-1))
        _refuse_constant(name, of)
        found[name] = jax.tree.map(np.asarray, floored(of, _FLOOR)) if coefficients else of
    return found


def _refuse_constant(name: str, scatter: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(scatter):
        group = f"{name!r}{jax.tree_util.keystr(path)}"
        bad = int(np.sum(~np.isfinite(leaf)))
        if bad:
            raise ValueError(
                f"data, noise: got maps of which {bad} of {leaf.size} numbers of {group} are "
                f"beyond the range of {leaf.dtype}, expected another unit"
            )
        bad = int(np.sum(leaf <= 0))
        if bad:
            raise ValueError(
                f"noise: got realizations under which {bad} of {leaf.size} numbers of {group} do "
                "not vary, expected different ones that vary in all pixels"
            )
