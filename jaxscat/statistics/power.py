"""The wavelet power of one map: S2 alone, at little cost."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.scales import standardization
from jaxscat.statistics.scattering import Mask, prepare, walk_in_own_units
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
    maps, weights, threshold = prepare(map, pyramid, None, mask, mask_threshold, False, alignment)
    power = _power_of_scales(maps, pyramid, weights, threshold, alignment)
    return power if weights is not None and weights.ndim == 2 else power[0]


@jax.jit
def _power_of_scales(
    maps: Float[Array, "1 p"],
    pyramid: Pyramid,
    mask: Mask | None,
    threshold: Array | None,
    alignment: Alignment | None,
) -> Float[Array, "M J L"]:
    powers = []
    for scale in walk_in_own_units(maps, pyramid, mask, threshold, 0, alignment):
        power = jnp.sum(scale.coefficients[:, :, :, 0] ** 2, axis=1)
        powers.append(combine_orientations(scale.weights.mean(power)))
    _, unit = standardization(maps)
    return unit[0] ** 2 * jnp.stack(powers, axis=1)
