"""One map, scale by scale: its coefficients, its moduli convolved again, and the masks.

Inside, fields are folded, `[row, field, orientation, sector]`; `docs/conventions.md`, "Sectors".
"""

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Level, Pyramid
from jaxscat.operators.resolution import downsample
from jaxscat.operators.stencil import convolve
from jaxscat.operators.symmetry import fold
from jaxscat.statistics.moments import gram, modulus

# The number of rows is 3, 6 or 12 times a power of four.
_BLOCK_ROWS = 48


class Weights(NamedTuple):
    """Masks of one level, or their absence; `total` is the sum of each, or the number of pixels."""

    rows: Float[Array, "M sectors rows"] | None
    total: Float[Array, " M"]

    def mean(self, field: Float[Array, "rows *rest sectors"]) -> Float[Array, "M *rest sectors"]:
        """Sum over rows divided by the total weight; the mean once sectors are summed."""
        if self.rows is None:
            return field.sum(0)[None] / self.total[0]
        field = jnp.moveaxis(field, (-1, 0), (0, 1))
        sums = jnp.einsum("msr,sr...->m...s", self.rows, field, precision="highest")
        return sums / self.divisor(sums)

    def products(
        self, fields: Float[Array, "L sectors *blocks rows X"]
    ) -> Float[Array, "M L sectors *blocks X X"]:
        """Sum the products of all pairs of fields and divide by the total weight."""
        if self.rows is None:
            sums = gram(fields, None)[None]
        else:
            sums = jax.vmap(gram, in_axes=(None, 0))(fields, self.rows)
        return sums / self.divisor(sums)

    def precise_products(
        self, fields: Float[Array, "L sectors rows X"]
    ) -> Float[Array, "M L sectors X X"]:
        """Return `products`, summed in blocks of rows: float32 loses fewer digits."""
        orientations, sectors, count, size = fields.shape
        block = gcd(count, _BLOCK_ROWS)
        rows = None if self.rows is None else self.rows.reshape(-1, sectors, count // block, block)
        fields = fields.reshape(orientations, sectors, count // block, block, size)
        return Weights(rows, self.total).products(fields).sum(3)

    def divisor(self, array: Float[Array, "M *rest"]) -> Array:
        """Return the total weights with axes of length one, to divide an array by them."""
        return self.total.reshape(-1, *[1] * (array.ndim - 1))


def in_own_unit(map: Float[Array, " p"]) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    """Return a map without a large mean, in a unit near its standard deviation, and that unit.

    Wavelets do not see the mean, but a mean above the standard deviation costs digits; a smaller
    one is left, since taking it off rounds too. The floor of the modulus has to be small beside
    the map. The unit is a power of two, which rounds nothing; it is one for a constant map. Both
    are constants of derivatives.

    Source: `docs/conventions.md`, "Modulus".
    """
    centre, spread = jax.lax.stop_gradient((jnp.mean(map), jnp.std(map)))
    centre = jnp.where(jnp.abs(centre) > spread, centre, 0.0)
    usable = jnp.isfinite(spread) & (spread > 0)
    exponent = jnp.round(jnp.log2(jnp.where(usable, spread, 1.0)))
    unit = jnp.ldexp(jnp.ones_like(spread), exponent.astype(jnp.int32))
    return (map - centre) / unit, unit


def _level_weights(masks: Float[Array, "rows M 1 sectors"] | None, level: Level, dtype) -> Weights:
    if masks is None:
        return Weights(None, jnp.full((1,), 12.0 * level.nside**2, dtype))
    rows = masks[:, :, 0, :].transpose(1, 2, 0)
    return Weights(rows, rows.sum((1, 2)))


class Scale(NamedTuple):
    """What one scale of a map contributes before means are taken."""

    weights: Weights
    newest: Float[Array, "rows L sectors"]  # modulus of the coefficients of this scale
    convolved: Float[Array, "L sectors rows 2X"]  # of the map and all finer moduli; Re, then Im


def walk_scales(
    map: Array, pyramid: Pyramid, mask: Array | None, covariances: int
) -> Iterator[Scale]:
    """Walk down the pyramid; moduli are convolved again at the finest `covariances` scales only.

    Args:
        map: NESTED map `[p]`.
        pyramid: operators.
        mask: weights `[p]` or `[M p]`, or None.
        covariances: number of scales at which S3 and S4 are wanted.

    Source: `docs/conventions.md`, "Statistics".
    """
    spec = pyramid.spec
    field = fold(map, spec.sectors)[:, None, None, :]
    masks = None if mask is None else fold(mask.reshape(-1, spec.npix), spec.sectors)
    if masks is not None:
        masks = masks.transpose(1, 0, 2)[:, :, None, :]
    moduli = jnp.zeros((field.shape[0], 0, spec.orientations, spec.sectors), map.dtype)
    for scale, level in enumerate(pyramid.levels):
        coefficients = convolve(field, level.stencil)[:, :, :, 0]
        newest = modulus(coefficients[:, 0, :, 0], coefficients[:, 1, :, 0])
        convolved = coefficients
        if scale < covariances:
            moduli = jnp.concatenate([moduli, newest[:, None]], axis=1)
            again = convolve(moduli, level.stencil)
            again = again.reshape(*again.shape[:3], -1, spec.sectors)
            convolved = jnp.concatenate([coefficients, again], axis=3)
        # Pixels by fields is what matrix products want; without the barrier that layout would
        # spread back into the gathers of the convolution.
        convolved = convolved.transpose(2, 4, 0, 1, 3)
        convolved = convolved.reshape(*convolved.shape[:3], -1)
        convolved = jax.lax.optimization_barrier(convolved)
        yield Scale(_level_weights(masks, level, map.dtype), newest, convolved)
        if level.downsampling is not None:
            field = downsample(field, level.downsampling)
            if scale + 1 < covariances:
                moduli = downsample(moduli, level.downsampling)
            if masks is not None:
                masks = downsample(masks, level.downsampling)
