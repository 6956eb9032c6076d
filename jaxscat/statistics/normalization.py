"""Normalization of coefficients by the power of a reference map."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import to_numpy
from jaxscat.statistics.coefficients import ScatteringCovariance, check_statistics


def normalize(
    statistics: ScatteringCovariance,
    power: Float[ArrayLike, "*#masks J L"],
    second_power: Float[ArrayLike, "*#masks J L"] | None = None,
) -> ScatteringCovariance:
    """Normalize S1 to S4 by the power of a reference map at the same scales and orientations.

    Args:
        statistics: coefficients, or their standard errors (the reference is taken as exact).
        power: S2 of the reference of the first map; without an axis of masks, it is used for all
            masks.
        second_power: two maps only: S2 of the reference of the second map.

    Returns:
        dimensionless S1 to S4, and S0 unchanged. The S2 of the reference itself becomes one.
        Under transformations of JAX, power that is not positive is not detected and gives NaN or
        infinity.

    Raises:
        ValueError: wrong shape or type, power that is not positive and finite, a second power for
            one map or none for two, or reduced coefficients.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map = np.random.default_rng(0).normal(size=192)
        >>> statistics = jaxscat.measure(map, pyramid)
        >>> normalized = jaxscat.normalize(statistics, statistics.s2)
        >>> bool(np.allclose(normalized.s2, 1))
        True

        The unit of the map no longer matters:

        >>> scaled = jaxscat.measure(1000 * map, pyramid)
        >>> same = jaxscat.normalize(scaled, scaled.s2)
        >>> bool(np.allclose(same.s3, normalized.s3, atol=1e-5))
        True

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Normalization".
    """
    check_statistics(statistics, "statistics")
    power = _prepare_power(power, statistics, "power")
    if statistics.kind == "auto":
        if second_power is not None:
            raise ValueError(
                "second_power: got an array, expected None for coefficients of one map"
            )
        second_power = power
    else:
        if second_power is None:
            raise ValueError(
                "second_power: got None, expected S2 of a second reference for two maps"
            )
        second_power = _prepare_power(second_power, statistics, "second_power")
    return _divide(statistics, power, second_power)


@jax.jit
def _divide(
    statistics: ScatteringCovariance, power: Array, second_power: Array
) -> ScatteringCovariance:
    """Divide S1 to S4 by the powers of both references; for one map they are the same."""
    # Without an axis of masks, a reference is that of all.
    power, second_power = (
        one if one.ndim == statistics.s2.ndim else one[None] for one in (power, second_power)
    )
    first, second = jnp.sqrt(power), jnp.sqrt(second_power)
    product = power if statistics.kind == "auto" else first * second
    j2, j3 = np.array(statistics.pairs, dtype=int).reshape(-1, 2).T
    of_modulus, of_map = (..., j2, slice(None), None), (..., j3, None, slice(None))

    def quotient(group: Array, by: Array) -> Array:
        return group / by.astype(group.dtype)

    i1, i2, _ = np.array(statistics.triples, dtype=int).reshape(-1, 3).T
    return replace(
        statistics,
        s1=statistics.s1 / jnp.sqrt(product),
        s2=statistics.s2 / product,
        s3=quotient(statistics.s3, second[of_modulus] * first[of_map]),
        s3p=None
        if statistics.s3p is None
        else quotient(statistics.s3p, first[of_modulus] * second[of_map]),
        # The axes of S4 are l2, l1, l3.
        s4=quotient(statistics.s4, (second[..., i2, :, None] * first[..., i1, None, :])[..., None]),
    )


def _prepare_power(given: ArrayLike, statistics: ScatteringCovariance, name: str) -> Array:
    """Validate a power (values only if they are concrete) and convert it to the type of S2."""
    power = given if isinstance(given, Tracer) else to_numpy(given, name=name)
    shapes = list(dict.fromkeys([statistics.s2.shape, statistics.s2.shape[-2:]]))
    if power.dtype.kind not in "fiu" or power.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"{name}: got {power.dtype} of shape {power.shape}, expected real numbers of shape "
            f"{expected}"
        )
    power = power.astype(statistics.s2.dtype)
    # Checked in NumPy: under a transformation, JAX would trace even a constant's check.
    if isinstance(power, np.ndarray):
        bad = ~((power > 0) & np.isfinite(power))
        if bad.any():
            raise ValueError(
                f"{name}: got {bad.sum()} of {bad.size} numbers that are not positive or not "
                "finite, expected positive finite numbers"
            )
    return jnp.asarray(power)
