"""What noise does to the quantities of a map: their bias, their scatter, and the target left."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.fields.noise import Noise
from jaxscat.objectives.calibrated import CalibratedTerm, Residual
from jaxscat.objectives.target import floored, positive
from jaxscat.operators.batching import map_in_groups
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.reduction import ReducedCovariance

Terms = dict[str, CalibratedTerm]
# Least sigma of a coefficient, over the root mean square of its group and scales.
_FLOOR = 0.01


class Calibration(NamedTuple):
    """The targets of one map under realizations of the noise.

    Attributes:
        mean: quantities that the map should have, by the names of the terms.
        sigma: their scatter from one realization to the next.
    """

    mean: dict[str, Any]
    sigma: dict[str, Any]


def calibrate(
    terms: Terms,
    data: dict[str, Any],
    map: Float[np.ndarray, " p"],
    noise: Noise,
    seed: int,
    realizations: int,
) -> Calibration:
    """Measure the bias b = <Phi(u + n)> - Phi(u) at a map, and return t = Phi(d) - b and sigma.

    Args:
        terms: measure Phi.
        data: Phi(d), from `measure_terms`.
        map: the present map u.
        noise: realizations are drawn from it, a few at a time; none is kept.
        seed: names the set of realizations.
        realizations: number of them.

    Raises:
        ValueError: a scatter that is zero or not finite.

    Source: `docs/reconstruction.md`, "Calibration".
    """
    bias, scatter = _bias_and_scatter(terms, map, noise, np.uint32(seed), realizations)
    mean = jax.tree.map(lambda measured, shift: measured - np.asarray(shift), data, bias)
    return Calibration(mean, {name: _checked(of, name) for name, of in scatter.items()})


def calibrate_residual(terms: Terms, noise: Noise, seed: int, realizations: int) -> Calibration:
    """Return the mean of the quantities of noise alone, and their scatter.

    Args:
        terms, noise, seed, realizations: as for `calibrate`.
    """
    zero = np.zeros(noise.npix, np.float32)
    mean, scatter = _mean_and_scatter(terms, zero, noise, np.uint32(seed), realizations)
    return Calibration(
        jax.tree.map(np.asarray, mean),
        {name: _checked(of, name) for name, of in scatter.items()},
    )


@jax.jit
def measure_terms(terms: Terms, map: Float[Array, " p"]) -> dict[str, Any]:
    """Return the quantities Phi of a map by the names of the terms."""
    return {name: term.measure(map) for name, term in terms.items()}


@jax.jit
def distances(terms: dict[str, Any], map: Float[Array, " p"]) -> dict[str, Float[Array, ""]]:
    """Return the value of every term for a map."""
    return {name: term(map) for name, term in terms.items()}


@partial(jax.jit, static_argnames="realizations")
def _bias_and_scatter(
    terms: Terms, map: Float[Array, " p"], noise: Noise, seed: Array, realizations: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    mean, scatter = _mean_and_scatter(terms, map, noise, seed, realizations)
    bias = jax.tree.map(lambda noisy, alone: noisy - alone, mean, measure_terms(terms, map))
    return bias, scatter


@partial(jax.jit, static_argnames="realizations")
def _mean_and_scatter(
    terms: Terms, map: Float[Array, " p"], noise: Noise, seed: Array, realizations: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return mean and standard deviation of the quantities of a map with noise added."""

    def noisy(number: Array, terms: Terms, map: Array, noise: Noise) -> dict[str, Any]:
        added = noise.draw(seed, number).astype(map.dtype)
        return measure_terms(terms, map + added)

    numbers = jnp.arange(realizations)
    each = map_in_groups(noisy, numbers, terms, map, noise, npix=map.shape[-1])
    mean = jax.tree.map(lambda values: jnp.mean(values, axis=0), each)

    def scatter(values: Array, centre: Array) -> Array:
        away = jnp.abs(values - centre)
        # Scaled first: squares of weak coefficients leave the range of float32.
        largest = jnp.max(away, axis=0)
        scaled = away / jnp.where(largest > 0, largest, 1)
        return largest * jnp.sqrt(jnp.sum(scaled**2, axis=0) / (realizations - 1))

    return mean, jax.tree.map(scatter, each, mean)


def _checked(scatter: Any, name: str) -> Any:
    if isinstance(scatter, ScatteringCovariance | ReducedCovariance):
        found = floored(positive(scatter), _FLOOR)
        return jax.tree.map(np.asarray, found)
    values = np.asarray(scatter)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"noise: got realizations under which {name!r} does not vary, expected different ones"
        )
    return values


def split_residual(terms: dict[str, Any]) -> tuple[Terms, Terms]:
    """Return the terms of the map, and those inside of terms of the residual."""
    own = {name: term for name, term in terms.items() if isinstance(term, CalibratedTerm)}
    left = {name: term.term for name, term in terms.items() if isinstance(term, Residual)}
    return own, left
