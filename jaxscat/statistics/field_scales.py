"""S0 to S4 of several fields of one sky, alone and in pairs, of which each is convolved once."""

from functools import partial

import jax
from jaxtyping import Array, Float

from jaxscat.operators.shard import is_shared
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.groups import ScaleGroups, cut_products, gather_scales
from jaxscat.statistics.measurement import Measurement
from jaxscat.statistics.moments import products_at_once, products_in_steps
from jaxscat.statistics.scales import choose
from jaxscat.statistics.scattering import (
    common_unit,
    mean_and_error,
    newest_modulus,
    real_product,
)
from jaxscat.statistics.sectors import combine_orientations, combine_products
from jaxscat.statistics.weights import Weights

Places = tuple[int, ...]  # of one map, or of two


@partial(jax.jit, static_argnames=("covariances", "together"))
def measure_together(
    maps: Float[Array, "m p"],
    measurement: Measurement,
    covariances: int,
    together: tuple[Places, ...],
    offsets: Float[Array, " m"] | None = None,
) -> tuple[ScatteringCovariance, ...]:
    """Measure several maps, alone and two at a time, without checks.

    All products of convolved fields are one matrix product, which takes less time than those that
    are wanted would one by one.

    Args:
        maps: from `stack_maps`.
        measurement: how they are measured.
        covariances: number of scales, from the finest, at which S3 and S4 are measured.
        together: the places of every map, or two maps, that are measured.
        offsets: large means that were taken off the maps; they count in S0 only.

    Returns:
        for each of `together`, coefficients with a leading axis of masks (of length one without a
        mask).
    """
    sums = None
    if is_shared(measurement.pyramid):
        sums = products_at_once
    elif measurement.pyramid.spec.row_major:
        sums = products_in_steps
    s1: list[list[Array]] = [[] for _ in together]
    groups: list[list[ScaleGroups]] = [[] for _ in together]
    for scale in measurement.walk(maps, covariances):
        products = combine_products(scale.convolved.sum(partial(_sum_all, sums=sums)))
        fields = products.shape[-1] // maps.shape[0]
        for places, its_s1, its_groups in zip(together, s1, groups, strict=True):
            part = scale.of_maps(places)
            its_s1.append(combine_orientations(part.weights.mean(newest_modulus(part))))
            first, second = (
                slice(at * fields, (at + 1) * fields) for at in (places[0], places[-1])
            )
            exchanged = None
            if len(places) == 2:
                exchanged = products[..., second, first][..., :1, :]
            cut = cut_products(
                products[..., first, second],
                exchanged,
                measurement.both_triangles and len(places) == 2,
                len(its_groups) < covariances,
            )
            if measurement.hidden == "interior":
                cut["s2"] = combine_orientations(part.weights.mean(real_product(part)))
            its_groups.append(cut)
    found = []
    for places, its_s1, its_groups in zip(together, s1, groups, strict=True):
        some = choose(maps, places)
        weights = measurement.finest_weights()
        its_offsets = None if offsets is None else choose(offsets, places)
        s0 = mean_and_error(some, measurement.pyramid, weights, its_offsets)
        triangles = measurement.both_triangles and len(places) == 2
        found.append(gather_scales(s0, its_s1, its_groups, triangles, common_unit(some)))
    return tuple(found)


def _sum_all(
    fields: Float[Array, "m L sectors 2X rows"], weights: Weights, sums=None
) -> Float[Array, "M L sectors 2mX 2mX"]:
    """Return the mean products of all fields of all maps; real parts of all before imaginary."""
    maps, orientations, sectors, parts, rows = fields.shape
    split = fields.reshape(maps, orientations, sectors, 2, parts // 2, rows)
    # Axes L, sectors, part, map, field, row.
    together = split.transpose(1, 2, 3, 0, 4, 5)
    return weights.products(together.reshape(orientations, sectors, -1, rows), sums=sums)
