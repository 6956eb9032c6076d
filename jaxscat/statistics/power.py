"""The wavelet power of one map: S2 alone, at little cost."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.checks import stack_maps
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import MaskLike, Measurement, build_measurement
from jaxscat.statistics.scales import standardization
from jaxscat.statistics.sectors import combine_orientations


def wavelet_power(
    map: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    *,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    alignment: Alignment | None = None,
) -> Float[Array, "*masks J L"]:
    """Measure S2 of one map, the reference by which coefficients can be normalized.

    Args:
        map, pyramid, mask, mask_threshold, hidden, alignment: as for `measure`.

    Returns:
        mean squared modulus of the wavelet coefficients, in the square of the map's unit.

    Raises:
        ValueError: as `measure`.

    Source: `docs/conventions.md`, "Normalization".
    """
    measurement = build_measurement(
        pyramid, mask=mask, mask_threshold=mask_threshold, hidden=hidden, alignment=alignment
    )
    return measure_power(map, measurement)


def measure_power(map: ArrayLike, measurement: Measurement) -> Float[Array, "*masks J L"]:
    """Return S2 of a map alone under a checked measurement, whose second map does not count."""
    maps, _ = stack_maps([measurement.prepare(map)])
    power = _power_of_scales(maps, measurement)
    return power if measurement.mask is not None and measurement.mask.ndim == 2 else power[0]


@jax.jit
def _power_of_scales(maps: Float[Array, "1 p"], measurement: Measurement) -> Float[Array, "M J L"]:
    powers = []
    for scale in measurement.walk(maps, 0):
        power = jnp.sum(scale.coefficients[:, :, :, 0] ** 2, axis=2)
        powers.append(combine_orientations(scale.weights.mean(power)))
    _, unit = standardization(maps)
    return unit[0] ** 2 * jnp.stack(powers, axis=1)
