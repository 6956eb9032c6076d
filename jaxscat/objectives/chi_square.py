"""The weighted distance between coefficients and a target."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.objectives.target import GroupWeights, Power, Target, check_is_target
from jaxscat.statistics.abstract_coefficients import AbstractCoefficients
from jaxscat.statistics.coefficients import ScatteringCovariance, check_statistics
from jaxscat.statistics.reduction import ReducedCovariance

# Share of each group in a balanced distance; of two maps, S3 and S3P have half of S3 each.
SHARES = {"S0": 0.02, "S1": 0.2, "S2": 0.2, "S3": 0.28, "S4": 0.3}

Comparable = ScatteringCovariance | ReducedCovariance


def chi_square(statistics: ScatteringCovariance, target: Target) -> Float[Array, ""]:
    """Return the mean over all coefficients of the squared distance in units of sigma.

    A complex coefficient counts once, with its squared modulus. S3 (S3P) and S4 of scales that
    the target leaves out do not count. With `weights` "balanced" it is the mean over each group
    that counts, with a fixed share. The target's normalization and reduction are applied here.

    Args:
        statistics: coefficients of a map as `measure` returns them, with the target's masks,
            threshold, second map and alignment; that they were others cannot be seen here.
        target: what they are compared with.

    Returns:
        real scalar.

    Raises:
        ValueError: coefficients that are reduced already; other numbers of scales, orientations
            or masks; coefficients of one map for a target of two or the other way round; a target
            of two maps that are normalized by their own power, which coefficients of both do not
            tell (`map_loss` measures it).

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map, other = np.random.default_rng(0).gamma(2.0, size=(2, 192))  # any NESTED maps
        >>> target = jaxscat.make_target(map, pyramid)
        >>> float(jaxscat.chi_square(jaxscat.measure(map, pyramid), target))
        0.0
        >>> bool(jaxscat.chi_square(jaxscat.measure(other, pyramid), target) > 0)
        True

    Source: FOSCAT's loss; `docs/conventions.md`, "Objective".
    """
    check_is_target(target)
    return _compiled_distance(compare(statistics, target, None), target)


def compare(statistics: ScatteringCovariance, target: Target, power: Power | None) -> Comparable:
    """Check measured coefficients and bring them to the form of the target's.

    Args:
        statistics: coefficients as `measure` returns them, or of the scales that count only.
        target: coefficients to compare with.
        power: S2 of the map alone, for two maps that are normalized by their own power.

    Raises:
        ValueError: as `chi_square`.
    """
    expected = "a ScatteringCovariance as measure returns it (the target reduces it)"
    check_statistics(statistics, "statistics", expected)
    expected = (target.mean.kind, target.mean.both_triangles)
    if (statistics.kind, statistics.both_triangles) != expected:
        raise ValueError(
            f"statistics: got {_described(statistics)}, expected {_described(target.mean)} as in "
            "the target"
        )
    compared = target.comparable(statistics, power)
    means = target.mean.groups()
    for name, group in compared.groups().items():
        if group.shape != means[name].shape:
            raise ValueError(
                f"statistics: got {name} of shape {group.shape}, expected {means[name].shape} as "
                "in the target"
            )
    return compared


def weighted_distance(compared: Comparable, target: Target) -> Float[Array, ""]:
    """Return the mean squared distance of coefficients from `compare`, in units of sigma."""
    return mean_square_distance(compared, target.mean, target.sigma, target.weights)


def mean_square_distance(
    compared: Comparable, mean: Comparable, sigma: Comparable, weights: GroupWeights
) -> Float[Array, ""]:
    """Return the mean squared distance of coefficients from others, in units of sigma.

    Args:
        compared: coefficients in the form of `mean`.
        mean: what they are compared with.
        sigma: their uncertainties.
        weights: how much the groups count, as for `make_target`.
    """
    total, count = jnp.zeros((), mean.s1.dtype), 0
    means, sigmas = mean.groups(), sigma.groups()
    shares = _shares(compared)
    for name, group in compared.groups().items():
        # Divided first: squares of weak coefficients leave the range of float32.
        scaled = (group - means[name]) / sigmas[name].astype(group.dtype)
        square = jnp.sum(jnp.real(scaled) ** 2 + jnp.imag(scaled) ** 2)
        if weights == "balanced":
            total = total + shares[name] / group.size * square
        else:
            total, count = total + square, count + group.size
    return total if weights == "balanced" else total / count


def hinged_distance(compared: Comparable, mean: Comparable, sigma: Comparable) -> Float[Array, ""]:
    """Return the balanced mean squared distance, with one for each group that is below one.

    Source: `docs/polarization.md`, "Denoising".
    """
    total = jnp.zeros((), mean.s1.dtype)
    means, sigmas, shares = mean.groups(), sigma.groups(), _shares(compared)
    for name, group in compared.groups().items():
        scaled = (group - means[name]) / sigmas[name].astype(group.dtype)
        square = jnp.mean(jnp.real(scaled) ** 2 + jnp.imag(scaled) ** 2)
        total = total + shares[name] * jnp.maximum(square, 1)
    return total


# Inside of another jitted function, the plain one is compiled with the rest.
_compiled_distance = jax.jit(weighted_distance)


def _shares(compared: AbstractCoefficients) -> dict[str, float]:
    if compared.kind == "auto":
        return SHARES
    half = SHARES["S3"] / 2
    return {**SHARES, "S3": half, "S3P": half}


def _described(statistics: AbstractCoefficients) -> str:
    both = " with both triangles of S4" if statistics.both_triangles else ""
    return f"{statistics.kind} coefficients{both}"
