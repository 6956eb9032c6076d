"""Wavelet coefficients, convolved moduli and masks of maps, scale by scale.

Fields are folded, `[channel, sector, row]`; `docs/conventions.md`, "Sectors".
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.resolution import downsample, upsample
from jaxscat.operators.stencil import convolve, counts_by_sector
from jaxscat.operators.symmetry import fold, turn_orientations, unfold
from jaxscat.statistics.moments import gram, modulus, products

Field = Float[Array, "channels sectors rows"]


class Weights(NamedTuple):
    """Masks of one scale, or None; `total` is the sum of each mask, or the number of pixels."""

    rows: Float[Array, "M sectors rows"] | None
    total: Float[Array, " M"]

    def mean(self, field: Float[Array, "*rest sectors rows"]) -> Float[Array, "M *rest sectors"]:
        """Return weighted sums over rows, divided by the total weight of all sectors."""
        if self.rows is None:
            return field.sum(-1)[None] / self.total[0]
        sums = jnp.einsum("msr,...sr->m...s", self.rows, field, precision="highest")
        return sums / self.divisor(sums)

    def products(
        self,
        left: Float[Array, "L sectors X rows"],
        right: Float[Array, "L sectors Y rows"] | None = None,
        *,
        sums: Callable[..., Array] | None = None,
    ) -> Float[Array, "M L sectors X Y"]:
        """Return the weighted sums of the products of every `left` with every `right`, normalized.

        Args:
            left, right: fields; without `right`, the pairs are those of the fields of `left`.
            sums: another of the functions of `moments`, where one is preferred to `products`.
        """

        def sum_pairs(weights: Array | None) -> Array:
            if right is None and sums is None:
                return gram(left, weights)
            return (sums or products)(left, left if right is None else right, weights)

        found = sum_pairs(None)[None] if self.rows is None else jax.vmap(sum_pairs)(self.rows)
        return found / self.divisor(found)

    def of_one_sector(self) -> "Weights":
        """Return the weights of fields whose sectors are joined to one."""
        rows = None if self.rows is None else self.rows.reshape(self.rows.shape[0], 1, -1)
        return Weights(rows, self.total)

    def divisor(self, array: Float[Array, "M *rest"]) -> Array:
        """Return the total weights, reshaped to divide an array."""
        return self.total.reshape(-1, *[1] * (array.ndim - 1))


class ScaleWeights(NamedTuple):
    """Masks of one scale: for S1 and S2, and for S3 and S4."""

    weights: Weights
    pair_weights: Weights


class Scale(NamedTuple):
    """The fields of one scale of `m` maps, whose means are the coefficients.

    Orientations are those of each sector; where they are those of the sphere, all sectors are
    joined to one.

    Attributes:
        weights: masks of the scale, for S1 and S2.
        pair_weights: masks of the scale, for S3 and S4.
        coefficients: wavelet coefficients of the maps, real and imaginary parts.
        newest: moduli of the coefficients.
        convolved: wavelet coefficients of every map and of all its moduli of finer scales; real
            parts, then imaginary parts.
    """

    weights: Weights
    pair_weights: Weights
    coefficients: Float[Array, "L sectors 2 m rows"]
    newest: Float[Array, "m L sectors rows"]
    convolved: Float[Array, "m L sectors 2X rows"]


def enter(maps: Float[Array, "m p"], pyramid: Pyramid) -> Field:
    """Convert maps to fields of the finest scale: sort, fold, and upsample for large kernels."""
    if pyramid.order is not None:
        maps = maps[:, pyramid.order]
    field = fold(maps, pyramid.spec.sectors, pyramid.spec.row_major)
    if not pyramid.spec.upsampled:
        return field
    finest = pyramid.levels[0]
    assert finest.downsampling is not None
    return upsample(field, finest.downsampling)


def enter_flat(maps: Float[Array, "m p"], pyramid: Pyramid) -> Float[Array, "m q"]:
    """Convert maps to maps of ascending pixels at the finest scale, not folded."""
    return unfold(enter(maps, pyramid), pyramid.spec.row_major)


def standardization(maps: Float[Array, "m p"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Return the offset and the scale (a power of two) that standardize each map.

    The offset is the mean if that exceeds the standard deviation, else zero: wavelets are
    insensitive to the mean, but a large one costs digits, while subtracting a small one rounds
    the map. The scale makes the floor of the modulus small compared with the map; it is the power
    of two nearest the standard deviation, so that dividing by it is exact, and one for a constant
    map. Both are constants under differentiation, and both are NaN for a map that is not finite
    everywhere, so that all its coefficients are.

    Source: `docs/conventions.md`, "Modulus".
    """
    maps = jax.lax.stop_gradient(maps)
    # Scaled first: squares of very large or small numbers overflow or underflow.
    largest = jnp.max(jnp.abs(maps), axis=1)
    coarse = _power_of_two_near(largest)
    scaled = maps / coarse[:, None]
    # The rounded mean of a constant map may differ from its pixels; the floor of the modulus would
    # turn that difference into coefficients.
    low, high = jnp.min(scaled, axis=1), jnp.max(scaled, axis=1)
    centre = jnp.clip(jnp.mean(scaled, axis=1), low, high)
    spread = jnp.where(high == low, 0.0, jnp.std(scaled, axis=1))
    centre = jnp.where(jnp.abs(centre) <= spread, 0.0, centre)
    unit = jnp.where(spread == 0, 1.0, coarse * _power_of_two_near(spread))
    return coarse * centre, unit


def standardize(maps: Float[Array, "m p"]) -> Float[Array, "m p"]:
    """Return maps without their offset and in their own scale (see `standardization`).

    They are standardized before they are upsampled, which would round a large offset.
    """
    centre, unit = standardization(maps)
    return (maps - centre[:, None]) / unit[:, None]


def _power_of_two_near(numbers: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return the nearest powers of two: one for zero, NaN for numbers that are not finite."""
    finite = jnp.isfinite(numbers)
    exponent = jnp.round(jnp.log2(jnp.where(finite & (numbers > 0), numbers, 1.0)))
    power = jnp.ldexp(jnp.ones_like(numbers), exponent.astype(jnp.int32))
    return jnp.where(finite, power, jnp.nan)


def walk_masks(
    mask: Array | None, pyramid: Pyramid, threshold: Float[Array, " J"] | None
) -> Iterator[Weights]:
    """Yield the masks of every scale: downsampled, and set to zero below a threshold."""
    if mask is None:
        for level in pyramid.levels:
            yield Weights(None, jnp.full((1,), float(level.npix), pyramid.spec.dtype))
        return
    field = enter(mask.reshape(-1, mask.shape[-1]), pyramid)
    for scale, level in enumerate(pyramid.levels):
        if threshold is not None:
            field = jnp.where(field <= threshold[scale], 0.0, field)
        yield Weights(field, field.sum((1, 2)))
        if scale + 1 < len(pyramid.levels):
            assert level.downsampling is not None
            field = downsample(field, level.downsampling)


def walk_scales(
    field: Field,
    pyramid: Pyramid,
    masks: Iterator[ScaleWeights],
    covariances: int,
    *,
    weigh: bool = False,
) -> Iterator[Scale]:
    """Yield the fields of every scale, from fine to coarse.

    Args:
        field: maps at the finest scale, from `enter`.
        pyramid: operators.
        masks: masks of every scale.
        covariances: number of scales, from the finest, at which moduli are convolved for S3 and
            S4.
        weigh: multiply the convolved fields by the roots of the weights of a single mask, whose
            derivatives are lost: sums of products then need no weights, which saves a third of
            the time.
    """
    count = field.shape[0]

    def split(fields: Array) -> Array:
        return fields.reshape(*fields.shape[:-3], count, -1, *fields.shape[-2:])

    # Every map, followed by its moduli of finer scales.
    for scale, (level, weights) in enumerate(zip(pyramid.levels, masks, strict=True)):
        convolved = split(convolve(field, level.stencil))
        coefficients = convolved[:, :, :, 0]
        newest = modulus(coefficients[:, 0], coefficients[:, 1]).swapaxes(0, 1)
        by_sector = counts_by_sector(level.stencil)
        if scale < covariances:
            moduli = turn_orientations(newest) if by_sector else newest
            again = split(convolve(moduli.reshape(-1, *moduli.shape[2:]), level.stencil))
            convolved = jnp.concatenate([convolved, again], axis=3)
            each = field.reshape(count, -1, *field.shape[1:])
            field = jnp.concatenate([each, moduli], axis=1).reshape(-1, *field.shape[1:])
        if not by_sector:
            coefficients, newest, convolved = (
                fields.reshape(*fields.shape[:-2], 1, -1)
                for fields in (coefficients, newest, convolved)
            )
            weights = ScaleWeights(*(part.of_one_sector() for part in weights))
        coefficients = jnp.moveaxis(coefficients, -2, 1)
        convolved = convolved.transpose(2, 0, 4, 1, 3, 5)
        convolved = convolved.reshape(*convolved.shape[:3], -1, convolved.shape[-1])
        if weigh:
            weights, convolved = _weigh(weights, convolved)
        # Made once, in the order that matrix products want.
        convolved = jax.lax.optimization_barrier(convolved)
        yield Scale(*weights, coefficients, newest, convolved)
        if scale + 1 < len(pyramid.levels):
            if scale + 1 == covariances:
                field = field.reshape(count, -1, *field.shape[1:])[:, 0]
            assert level.downsampling is not None
            field = downsample(field, level.downsampling)


def _weigh(
    weights: ScaleWeights, convolved: Float[Array, "m L sectors X rows"]
) -> tuple[ScaleWeights, Float[Array, "m L sectors X rows"]]:
    """Move the weights of a single mask for S3 and S4 into the fields."""
    rows, total = weights.pair_weights
    if rows is None or rows.shape[0] > 1:
        return weights, convolved
    roots = jnp.sqrt(jax.lax.stop_gradient(rows[0]))
    return weights._replace(pair_weights=Weights(None, total)), convolved * roots[:, None, :]
