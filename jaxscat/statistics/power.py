"""The wavelet power of one map: S2 alone, at little cost."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.checks import prepare_map, stack_maps
from jaxscat.statistics.measurement import Mask, Measurement, build_measurement
from jaxscat.statistics.scales import standardization
from jaxscat.statistics.sectors import combine_orientations


def wavelet_power(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    *,
    mask: Mask | None = None,
    mask_threshold: float | Float[Array, " J"] | None = None,
    alignment: Alignment | None = None,
) -> Float[Array, "*masks J L"]:
    """Measure S2 of one map, the reference by which coefficients can be normalized.

    Args:
        map, pyramid, mask, mask_threshold, alignment: as for `measure`.

    Returns:
        mean squared modulus of the wavelet coefficients, in the square of the map's unit.

    Raises:
        ValueError: as `measure`.

    Source: `docs/conventions.md`, "Normalization".
    """
    measurement = build_measurement(
        pyramid, mask=mask, mask_threshold=mask_threshold, alignment=alignment
    )
    return measure_power(map, measurement)


def measure_power(map: Float[Array, " p"], measurement: Measurement) -> Float[Array, "*masks J L"]:
    """Return S2 of a map alone under a checked measurement, whose second map does not count."""
    spec = check_pyramid(measurement.pyramid)
    prepared = prepare_map(map, spec, mask=measurement.mask)
    power = _power_of_scales(stack_maps([prepared])[0], measurement)
    return power if measurement.mask is not None and measurement.mask.ndim == 2 else power[0]


@jax.jit
def _power_of_scales(maps: Float[Array, "1 p"], measurement: Measurement) -> Float[Array, "M J L"]:
    powers = []
    for scale in measurement.walk(maps, 0):
        power = jnp.sum(scale.coefficients[:, :, :, 0] ** 2, axis=1)
        powers.append(combine_orientations(scale.weights.mean(power)))
    _, unit = standardization(maps)
    return unit[0] ** 2 * jnp.stack(powers, axis=1)
