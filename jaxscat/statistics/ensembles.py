"""Ensemble statistics of the coefficients of several maps."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.reduction import ReducedCovariance

Coefficients = TypeVar("Coefficients", ScatteringCovariance, ReducedCovariance)


def mean_and_scatter(each: Sequence[Coefficients]) -> tuple[Coefficients, Coefficients]:
    """Return the mean and the standard deviation over maps of every coefficient.

    Args:
        each: coefficients of at least two maps, all of one kind and shape.

    Returns:
        mean, and real standard deviation of a single map (with n - 1 in the denominator; of
        complex coefficients, the root mean square of the modulus of the deviation).

    Source: `docs/conventions.md`, "Objective".
    """
    mean = jax.tree.map(lambda *groups: sum(groups) / len(groups), *each)

    def scatter(centre: Array, *groups: Array) -> Array:
        differences = jnp.stack([group - centre for group in groups])
        # Scaled first: squares of small or large coefficients overflow or underflow in float32.
        size = jnp.abs(differences)
        largest = jnp.max(size, axis=0)
        scaled = size / jnp.where(largest > 0, largest, 1)[None]
        return largest * jnp.sqrt(jnp.sum(scaled**2, axis=0) / (len(groups) - 1))

    return mean, jax.tree.map(scatter, mean, *each)


def root_mean_square(each: Sequence[Coefficients]) -> Coefficients:
    """Return the root mean square over maps of positive coefficients such as errors.

    Args:
        each: errors of at least one map, all of one kind and shape.

    Source: `docs/conventions.md`, "Objective".
    """

    def combine(*groups: Array) -> Array:
        stacked = jnp.stack(groups)
        largest = jnp.max(stacked, axis=0)
        return largest * jnp.sqrt(jnp.mean((stacked / largest[None]) ** 2, axis=0))

    return jax.tree.map(combine, *each)
