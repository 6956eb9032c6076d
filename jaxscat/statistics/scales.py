"""Wavelet coefficients, convolved moduli and masks of maps, scale by scale.

Fields are folded, `[channel, sector, row]`; `docs/conventions.md`, "Sectors".
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.resolution import downsample, upsample
from jaxscat.operators.rows import RowTable
from jaxscat.operators.stencil import convolve, counts_by_sector
from jaxscat.operators.symmetry import fold, turn_orientations, unfold
from jaxscat.statistics.convolved import (
    Convolved,
    FieldsInGroups,
    WholeFields,
    in_order,
    is_in_groups,
)
from jaxscat.statistics.moments import modulus
from jaxscat.statistics.weights import ScaleWeights, Weights

Field = Float[Array, "channels sectors rows"]


class Scale(NamedTuple):
    """The fields of one scale of `m` maps, whose means are the coefficients.

    Orientations are those of each sector; where they are those of the sphere, all sectors are
    joined to one.

    Attributes:
        weights: masks of the scale, for S1 and S2.
        coefficients: wavelet coefficients of the maps, real and imaginary parts.
        newest: moduli of the coefficients.
        convolved: wavelet coefficients of every map and of all its moduli of finer scales, under
            the masks for S3 and S4.
    """

    weights: Weights
    coefficients: Float[Array, "L sectors 2 m rows"]
    newest: Float[Array, "m L sectors rows"]
    convolved: Convolved

    def of_maps(self, places: tuple[int, ...]) -> "Scale":
        """Return the fields of some of the maps; those of `convolved` stay."""
        return self._replace(
            coefficients=choose(self.coefficients, places, axis=3),
            newest=choose(self.newest, places),
        )


def choose(fields: Array, places: tuple[int, ...], axis: int = 0) -> Array:
    """Return the places of an axis in an order; all of them in theirs are the array itself."""
    if places == tuple(range(fields.shape[axis])):
        return fields
    parts = [jax.lax.index_in_dim(fields, place, axis) for place in places]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis)


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

    orientations = pyramid.spec.orientations
    # Every map, followed by its moduli of finer scales.
    for scale, (level, weights) in enumerate(zip(pyramid.levels, masks, strict=True)):
        each = field.reshape(count, -1, *field.shape[1:])
        paired = scale < covariances
        number = count * (each.shape[1] + orientations)
        in_groups = paired and is_in_groups(level.stencil, number)
        convolved = split(convolve(each[:, 0] if in_groups else field, level.stencil))
        coefficients = convolved[:, :, :, 0]
        newest = modulus(coefficients[:, 0], coefficients[:, 1]).swapaxes(0, 1)
        by_sector = counts_by_sector(level.stencil)
        moduli = each[:, 1:]
        if paired:
            turned = turn_orientations(newest) if by_sector else newest
            moduli = jnp.concatenate([moduli, turned], axis=1)
            field = jnp.concatenate([each[:, :1], moduli], axis=1)
            field = field.reshape(-1, *field.shape[2:])
        if paired and not in_groups:
            again = split(convolve(turned.reshape(-1, *turned.shape[2:]), level.stencil))
            convolved = jnp.concatenate([convolved, again], axis=3)
        if not by_sector:
            coefficients, newest, convolved = (
                fields.reshape(*fields.shape[:-2], 1, -1)
                for fields in (coefficients, newest, convolved)
            )
            weights = ScaleWeights(*(part.of_one_sector() for part in weights))
        pair_weights, factors = _as_factors(weights.pair_weights, weigh)
        if in_groups:
            assert isinstance(level.stencil, RowTable)
            fields = FieldsInGroups(level.stencil, coefficients, moduli, pair_weights, factors)
        else:
            convolved = in_order(convolved)
            if factors is not None:
                convolved = convolved * factors[:, None, :]
            # Made once, in the order that matrix products want.
            convolved = jax.lax.optimization_barrier(convolved)
            fields = WholeFields(convolved, pair_weights)
        coefficients = jnp.moveaxis(coefficients, -2, 1)
        yield Scale(weights.weights, coefficients, newest, fields)
        if scale + 1 < len(pyramid.levels):
            if scale + 1 == covariances:
                field = field.reshape(count, -1, *field.shape[1:])[:, 0]
            assert level.downsampling is not None
            field = downsample(field, level.downsampling)


def _as_factors(
    weights: Weights, weigh: bool
) -> tuple[Weights, Float[Array, "sectors rows"] | None]:
    """Return the weights of a single mask as factors of the fields, and those that are left."""
    rows, total = weights
    if not weigh or rows is None or rows.shape[0] > 1:
        return weights, None
    return Weights(None, total), jnp.sqrt(jax.lax.stop_gradient(rows[0]))
