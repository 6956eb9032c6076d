"""S0 to S4 of one map, or of two."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.io.pixel_order import warn_of_ring
from jaxscat.operators.pyramid import Pyramid
from jaxscat.operators.shard import is_shared
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.checks import is_known
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.groups import cut_products, gather_scales
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import MaskLike, Measurement, build_measurement
from jaxscat.statistics.moments import (
    products_at_once,
    products_in_steps,
    safe_sqrt,
    signed_root,
    signed_root_change,
)
from jaxscat.statistics.scales import Field, Scale, enter, standardization
from jaxscat.statistics.sectors import combine_orientations, combine_products
from jaxscat.statistics.weights import Weights


def measure(
    map: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    *,
    second: Float[ArrayLike, " p"] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
    alignment: Alignment | None = None,
) -> ScatteringCovariance:
    """Measure the scattering covariance of one map, or of two together.

    The function is pure and works under `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap`; called
    on concrete arrays it compiles itself once per shape.

    Args:
        map: real NESTED map; on a patch, its pixels in the order of the pyramid's `cell_ids`. It
            is rounded to the type of the pyramid; a mean that is large beside its spread is taken
            off before, if the map is float64 and not traced (`docs/conventions.md`, "Modulus").
        pyramid: operators for its nside.
        second: another map; then the coefficients are those of both together ("cross").
        mask: weights of the pixels in all means, none negative; with a leading axis `M`, several
            masks whose results stand on a leading axis of every coefficient.
        mask_threshold: weights of a coarse pixel that are not above it become zero; one number
            for all scales but the finest, or one for each scale.
        hidden: what becomes of pixels of weight zero (in all masks). "exclude" keeps them out:
            they are replaced by the mean of the others, whatever they hold, NaN and UNSEEN
            included. "interior" also leaves out, scale by scale, the coefficients whose stencils
            reach them, and with a warning the scales of which too little is left (see
            `coverage`): for comparisons of maps with different masks. "include" lets the stencils
            read them, as FOSCAT does: for masks that only weight, of maps that are known there.
        both_triangles: cross only: S4 also for j1 > j2.
        alignment: from `align_orientations`; orientations are counted from the dominant ones.

    Returns:
        coefficients in the unit of the map (S0, S1) or its square (S2, S3, S4); S0[1] is the
        standard error of S0[0]. For two maps the unit is the root of the product of theirs.

    Raises:
        ValueError: wrong shape or type, masked arrays, values that are not finite where there is
            weight, a mask without weight (at any scale) or one that hides all but a few pixels,
            both triangles of one map, a pyramid of float64 while 64-bit mode is off. Values cannot
            be checked under transformations of JAX: there pixels in sight that are NaN, infinite
            or UNSEEN make all coefficients NaN.

    Warns:
        PixelOrderWarning: a NumPy array that is much smoother in RING order.

    Examples:
        >>> import jax, jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map = np.random.default_rng(0).normal(size=192)  # any NESTED map
        >>> statistics = jaxscat.measure(map, pyramid)
        >>> {name: group.shape for name, group in statistics.groups().items()}
        {'S0': (2,), 'S1': (3, 4), 'S2': (3, 4), 'S3': (6, 4, 4), 'S4': (10, 4, 4, 4)}
        >>> statistics.names()[2]
        'S1 j=0 l=0'

        Coefficients are differentiable functions of the map:

        >>> gradient = jax.grad(lambda map: jaxscat.measure(map, pyramid).s2.sum())(map)
        >>> gradient.shape
        (192,)

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Statistics",
    "Masks", "Hidden pixels" and "Two maps".
    """
    measurement = build_measurement(
        pyramid,
        second=second,
        mask=mask,
        mask_threshold=mask_threshold,
        hidden=hidden,
        both_triangles=both_triangles,
        alignment=alignment,
    )
    statistics = measure_coefficients(map, measurement)
    spec = pyramid.spec
    if isinstance(map, np.ndarray) and spec.cells is None and is_known(mask):
        weights = np.ones(1) if mask is None else np.asarray(mask)
        seen = np.isfinite(map) & np.any(weights.reshape(-1, weights.shape[-1]) > 0, axis=0)
        warn_of_ring(map, "map", seen)
    return statistics


def measure_coefficients(
    map: ArrayLike, measurement: Measurement, covariances: int | None = None
) -> ScatteringCovariance:
    """Measure a map under a checked measurement (see `measure`).

    Args:
        map: real NESTED map.
        measurement: how it is measured.
        covariances: number of scales, from the finest, at which S3 and S4 are measured; None for
            all that the mask leaves.
    """
    if covariances is None:
        covariances = measurement.covariances
    maps, offsets = measurement.stack(map)
    return measurement.squeeze(measure_scales(maps, measurement, covariances, offsets))


@partial(jax.jit, static_argnames="covariances")
def measure_scales(
    maps: Float[Array, "m p"],
    measurement: Measurement,
    covariances: int,
    offsets: Float[Array, " m"] | None = None,
) -> ScatteringCovariance:
    """Measure one map or two without checks, with S3 and S4 at the finest scales only.

    Args:
        maps: from `Measurement.stack`.
        measurement: how they are measured.
        covariances: number of scales, from the finest, at which S3 and S4 are measured.
        offsets: large means that were taken off the maps; they count in S0 only.

    Returns:
        coefficients with a leading axis of masks (of length one without a mask).
    """
    s1, groups = [], []
    both_triangles = measurement.both_triangles
    sums = None
    if is_shared(measurement.pyramid):
        sums = products_at_once
    elif measurement.pyramid.spec.row_major:
        sums = products_in_steps
    for scale in measurement.walk(maps, covariances):
        s1.append(combine_orientations(scale.weights.mean(newest_modulus(scale))))
        sums_of_pairs = scale.convolved.sum(partial(sum_pairs, sums=sums))
        pairs, exchanged = combine_pairs(sums_of_pairs)
        cut = cut_products(pairs, exchanged, both_triangles, len(groups) < covariances)
        if measurement.hidden == "interior":
            cut["s2"] = combine_orientations(scale.weights.mean(real_product(scale)))
        groups.append(cut)
    s0 = mean_and_error(maps, measurement.pyramid, measurement.finest_weights(), offsets)
    return gather_scales(s0, s1, groups, both_triangles, common_unit(maps))


def sum_pairs(
    fields: Float[Array, "m L sectors 2X rows"],
    weights: Weights,
    sums: Callable[..., Array] | None = None,
) -> tuple[Float[Array, "M L sectors Y Z"], ...]:
    """Return the mean products of all pairs of fields, for two maps of the first with the second.

    For two maps the products of the second map itself with the fields of the first come beside;
    they and their counterparts are summed alike, so that exchanging the maps exchanges them to
    the last bit.

    Args:
        fields: convolved fields of one map or two, real parts before imaginary parts.
        weights: masks of their rows.
        sums: as for `Weights.products`.

    Returns:
        of one map, the products of its fields; of two, those of the first map with the fields of
        the second, of the second map with the fields of the first, and of all pairs.
    """
    if fields.shape[0] == 1:
        return (weights.products(fields[0], sums=sums),)
    first, second = fields
    size = first.shape[-2] // 2
    return (
        weights.products(first[..., ::size, :], second, sums=sums),
        weights.products(second[..., ::size, :], first, sums=sums),
        weights.products(first, second, sums=sums),
    )


def combine_pairs(
    sums: tuple[Float[Array, "M L sectors Y Z"], ...],
) -> tuple[Float[Array, "M 2 L X X"], Float[Array, "M 2 L 1 X"] | None]:
    """Return the products of pairs of complex fields, and of two maps those of them exchanged.

    Args:
        sums: from `sum_pairs`.
    """
    if len(sums) == 1:
        return combine_products(sums[0]), None
    direct, exchanged, pairs = map(combine_products, sums)
    return jnp.concatenate([direct, pairs[..., 1:, :]], axis=-2), exchanged


def common_unit(maps: Float[Array, "m p"]) -> Float[Array, ""]:
    """Return the unit of S1: that of the map, or the root of the product of those of two."""
    _, units = standardization(maps)
    return units[0] if units.size == 1 else jnp.sqrt(units[0] * units[1])


def newest_modulus(scale: Scale) -> Float[Array, "L sectors rows"]:
    """Return the field whose mean is S1: the modulus, or for two maps the signed root.

    Source: `docs/conventions.md`, "Two maps".
    """
    if scale.newest.shape[0] == 1:
        return scale.newest[0]
    return signed_root(real_product(scale))


def real_product(scale: Scale) -> Float[Array, "L sectors rows"]:
    """Return the real part of the coefficients of one map times the conjugate of the other's.

    Of a single map it is the squared modulus.
    """
    product = scale.coefficients[:, :, :, 0] * scale.coefficients[:, :, :, -1]
    return product[:, :, 0] + product[:, :, 1]


def mean_and_error(
    maps: Float[Array, "m p"],
    pyramid: Pyramid,
    weights: Weights,
    offsets: Float[Array, " m"] | None = None,
) -> Float[Array, "M 2"]:
    """Return S0: the mean of the map (of the signed root of the product of two), and its error.

    Source: `docs/conventions.md`, "Statistics" and "Two maps".
    """
    field: Field = enter(maps, pyramid)
    base = None if offsets is None else offsets[0]
    if maps.shape[0] == 1:
        pixels = field[0]
    else:
        common, (_, unit) = common_unit(maps), standardization(maps)
        scaled = field / unit[:, None, None]
        first, second = scaled
        root = signed_root(first * second)
        if offsets is not None:
            one, other = offsets / unit
            base = common * signed_root(one * other)
            change = one * second + other * first + first * second
            root = signed_root_change(one * other, change)
        pixels = common * root
    mean = weights.mean(pixels).sum(-1)
    # Taken about the mean: the difference of two large squares would lose digits. And in units of
    # the map: squares of others leave the range of float32.
    unit = common_unit(maps)
    spread = jnp.stack(
        [weights.mean(((pixels - centre) / unit) ** 2).sum(-1)[m] for m, centre in enumerate(mean)]
    )
    if base is not None:
        mean = mean + base
    return jnp.stack([mean, unit * safe_sqrt(spread / weights.total)], axis=-1)
