"""The weighted distance between coefficients and a target."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.objectives.target import Target, finest_covariances
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.scattering import measure_scales, prepare, squeeze_masks


def chi_square(statistics: ScatteringCovariance, target: Target) -> Float[Array, ""]:
    """Return the mean over all coefficients of the squared distance in units of sigma.

    A complex coefficient counts once, with its squared modulus. S3 and S4 of scales that the
    target leaves out do not count.

    Args:
        statistics: coefficients of a map, with the target's masks.
        target: what they are compared with.

    Returns:
        real scalar.

    Raises:
        ValueError: numbers of scales, orientations or masks differ.

    Source: FOSCAT's loss; `docs/conventions.md`, "Objective".
    """
    statistics = finest_covariances(statistics, target.covariance_scales)
    total, count = jnp.zeros((), target.mean.s1.dtype), 0
    groups = zip(
        statistics.groups().items(),
        target.mean.groups().values(),
        target.sigma.groups().values(),
        strict=True,
    )
    for (name, group), mean, sigma in groups:
        if group.shape != mean.shape:
            raise ValueError(
                f"statistics: got {name} of shape {group.shape}, expected {mean.shape} as in the "
                "target"
            )
        # Divided first: squares of weak coefficients leave the range of float32.
        scaled = (group - mean) / sigma
        total = total + jnp.sum(jnp.real(scaled) ** 2 + jnp.imag(scaled) ** 2)
        count += group.size
    return total / count


def map_loss(map: Float[Array, " p"], pyramid: Pyramid, target: Target) -> Float[Array, ""]:
    """Return the chi-square of a map, without computing what the target does not use.

    Args:
        map: real NESTED map.
        pyramid: operators for its nside.
        target: what its coefficients are compared with.

    Returns:
        real scalar.

    Raises:
        ValueError: as `measure`.

    Source: `docs/conventions.md`, "Objective".
    """
    map, mask = prepare(map, target.mask, pyramid.spec)
    statistics = measure_scales(map, pyramid, mask, target.covariance_scales)
    return chi_square(squeeze_masks(statistics, mask), target)
