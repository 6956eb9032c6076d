"""Coefficients in units of the power of a reference, scale by scale."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxscat.statistics.coefficients import ScatteringCovariance


def normalize(
    statistics: ScatteringCovariance,
    power: Float[Array, "*#masks J L"],
    second_power: Float[Array, "*#masks J L"] | None = None,
) -> ScatteringCovariance:
    """Divide S1 to S4 by the power that a reference map has at the same scales and orientations.

    Args:
        statistics: coefficients, or standard errors of such: the reference counts as a constant.
        power: S2 of the reference for the first map; without an axis of masks it serves all.
        second_power: two maps only: S2 of the reference for the second map.

    Returns:
        S1 to S4 without unit; S0 as it was. For the reference itself S2 is one. Power that is
        not positive goes unnoticed under transformations of JAX, and gives NaN or infinities.

    Raises:
        ValueError: a wrong shape or type, power that is not positive and finite, a second power
            for one map or none for two, or coefficients that are reduced.

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Normalization".
    """
    if not isinstance(statistics, ScatteringCovariance):
        raise ValueError(
            f"statistics: got {type(statistics).__name__}, expected a ScatteringCovariance that "
            "is not reduced"
        )
    power = _prepare_power(power, statistics, "power")
    if statistics.kind == "auto":
        if second_power is not None:
            raise ValueError(
                "second_power: got an array, expected None for coefficients of one map"
            )
        product = power
        first = second = jnp.sqrt(power)
    else:
        if second_power is None:
            raise ValueError(
                "second_power: got None, expected S2 of a second reference for two maps"
            )
        second_power = _prepare_power(second_power, statistics, "second_power")
        first, second = jnp.sqrt(power), jnp.sqrt(second_power)
        product = first * second
    j2, j3 = np.array(statistics.pairs, dtype=int).reshape(-1, 2).T
    of_modulus, of_map = (..., j2, slice(None), None), (..., j3, None, slice(None))
    i1, i2, _ = np.array(statistics.triples, dtype=int).reshape(-1, 3).T
    return replace(
        statistics,
        s1=statistics.s1 / jnp.sqrt(product),
        s2=statistics.s2 / product,
        s3=statistics.s3 / (second[of_modulus] * first[of_map]),
        s3p=None
        if statistics.s3p is None
        else statistics.s3p / (first[of_modulus] * second[of_map]),
        # The axes of S4 are l2, l1, l3.
        s4=statistics.s4 / (second[..., i2, :, None] * first[..., i1, None, :])[..., None],
    )


def _prepare_power(power: Array | np.ndarray, statistics: ScatteringCovariance, name: str) -> Array:
    """Check a power as far as its values are known, and give it the type of S2."""
    if not isinstance(power, Tracer):
        power = np.asarray(power)
    shapes = list(dict.fromkeys([statistics.s2.shape, statistics.s2.shape[-2:]]))
    if power.dtype.kind not in "fiu" or power.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"{name}: got {power.dtype} of shape {power.shape}, expected real numbers of shape "
            f"{expected}"
        )
    power = power.astype(statistics.s2.dtype)
    # Checked by NumPy: under a transformation JAX would trace the check of a constant.
    if isinstance(power, np.ndarray):
        bad = ~((power > 0) & np.isfinite(power))
        if bad.any():
            raise ValueError(
                f"{name}: got {bad.sum()} of {bad.size} numbers that are not positive or not "
                "finite, expected positive finite numbers"
            )
    return jnp.asarray(power)
