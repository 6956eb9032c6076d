"""How maps are measured: the operators, and all that a measurement needs beside the map."""

import warnings
from collections.abc import Iterator

import equinox as eqx
import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import check_flag
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.alignment import Alignment, walk_aligned
from jaxscat.statistics.checks import (
    PreparedMap,
    is_known,
    prepare_mask,
    prepare_threshold,
    stack_maps,
)
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import Hidden, check_hidden, prepare_shown
from jaxscat.statistics.interior import LEAST_LEFT, coverage, walk_weights
from jaxscat.statistics.scales import Scale, enter, standardize, walk_masks, walk_scales
from jaxscat.statistics.weights import Weights

Mask = Float[Array, " p"] | Float[Array, "M p"]
MaskLike = Float[ArrayLike, " p"] | Float[ArrayLike, "M p"]  # of NumPy, too


class Measurement(eqx.Module):
    """How a map is measured; a pytree, so that it is an operand of jitted functions.

    Attributes:
        pyramid: operators for the nside of the maps.
        mask: weights of the pixels in all means, or several masks; None for equal weights.
        hidden: what becomes of pixels of weight zero (see `jaxscat.measure`).
        mask_threshold: threshold of the weights at every scale, or None.
        second: the map together with which maps are measured; None measures a map alone.
        second_offset: a large mean that was taken off the second map, or None.
        alignment: turns of the orientations, or None.
        both_triangles: whether S4 of two maps is measured for j1 > j2 too.
        pair_scales: number of scales, from the finest, at which the mask leaves enough for S3 and
            S4; None for all.
        constant_mask: whether derivatives by the mask are never taken, which is faster.
    """

    pyramid: Pyramid
    mask: Mask | None = None
    mask_threshold: Float[Array, " J"] | None = None
    second: Float[Array, " p"] | None = None
    alignment: Alignment | None = None
    both_triangles: bool = eqx.field(static=True, default=False)
    hidden: Hidden = eqx.field(static=True, default="exclude")
    pair_scales: int | None = eqx.field(static=True, default=None)
    second_offset: Float[Array, ""] | None = None
    constant_mask: bool = eqx.field(static=True, default=False)

    @property
    def covariances(self) -> int:
        """Number of scales, from the finest, at which S3 and S4 are measured."""
        return self.pyramid.spec.scales if self.pair_scales is None else self.pair_scales

    def prepare(self, map: ArrayLike, *, name: str = "map") -> PreparedMap:
        """Check a map, bring it into the type of the pyramid, and keep its hidden pixels out.

        Under a transformation of JAX only shape and type are known and checked.

        Raises:
            ValueError: as `jaxscat.measure` says.
        """
        spec = check_pyramid(self.pyramid)
        return prepare_shown(map, self.mask, spec, self.hidden, name=name)

    def stack(self, map: ArrayLike) -> tuple[Float[Array, "m p"], Float[Array, " m"] | None]:
        """Check a map, and put the second map beside it.

        Under a transformation of JAX only shape and type are known and checked.

        Returns:
            the maps, and the means that were taken off them (None if there are none).

        Raises:
            ValueError: as `jaxscat.measure` says.
        """
        maps = [self.prepare(map)]
        if self.second is not None:
            maps.append(PreparedMap(self.second, self.second_offset))
        return stack_maps(maps)

    def walk(self, maps: Float[Array, "m p"], covariances: int) -> Iterator[Scale]:
        """Walk down the scales of maps, each without its mean and in its own unit.

        Args:
            maps: one map or two, from `stack`.
            covariances: number of scales, from the finest, at which S3 and S4 are wanted.
        """
        masks = walk_weights(self.mask, self.pyramid, self.mask_threshold, self.hidden)
        if self.alignment is not None:
            return walk_aligned(maps, self.pyramid, masks, covariances, self.alignment)
        field = enter(standardize(maps), self.pyramid)
        return walk_scales(field, self.pyramid, masks, covariances, weigh=self.constant_mask)

    def finest_weights(self) -> Weights:
        """Return the weights of the pixels at the finest scale."""
        return next(walk_masks(self.mask, self.pyramid, self.mask_threshold))

    def squeeze(self, statistics: ScatteringCovariance) -> ScatteringCovariance:
        """Drop the axis of masks unless several masks were given."""
        if self.mask is not None and self.mask.ndim == 2:
            return statistics
        return _of_first_mask(statistics)


@jax.jit
def _of_first_mask(statistics: ScatteringCovariance) -> ScatteringCovariance:
    return jax.tree.map(lambda group: group[0], statistics)


def build_measurement(
    pyramid: Pyramid,
    *,
    second: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    mask_threshold: ArrayLike | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
    alignment: Alignment | None = None,
) -> Measurement:
    """Check how maps are to be measured, and bring it into the type of the pyramid.

    Under a transformation of JAX only shapes and types are known and checked.

    Args:
        pyramid, second, mask, mask_threshold, hidden, both_triangles, alignment: as for
            `jaxscat.measure`.

    Raises:
        ValueError: as `jaxscat.measure` says.
    """
    spec = check_pyramid(pyramid)
    check_flag(both_triangles, "both_triangles")
    if both_triangles and second is None:
        raise ValueError(
            "both_triangles: got True for one map, whose S4 is Hermitian; expected a second map"
        )
    if not isinstance(alignment, Alignment | None):
        raise ValueError(
            f"alignment: got {alignment!r}, expected what align_orientations returns, or None"
        )
    weights = prepare_mask(mask, spec)
    check_hidden(hidden, mask)
    threshold = prepare_threshold(mask_threshold, weights, spec)
    pair_scales = None
    if hidden == "interior" and mask is not None and is_known((mask, pyramid)):
        # Known masks are known inside a jitted function, too.
        with jax.ensure_compile_time_eval():
            pyramid, pair_scales = _kept_scales(mask, pyramid)
        alignment = alignment and alignment.finest(len(pyramid.levels))
    if weights is not None and threshold is not None and is_known(weights, threshold):
        _check_weight_of_scales(weights, pyramid, threshold)
    other = None
    if second is not None:
        other = prepare_shown(second, weights, spec, hidden, name="second")
    return Measurement(
        pyramid=pyramid,
        mask=weights,
        mask_threshold=threshold,
        second=None if other is None else other.pixels,
        alignment=alignment,
        both_triangles=both_triangles,
        hidden=hidden,
        pair_scales=pair_scales,
        second_offset=None if other is None else other.offset,
    )


def _kept_scales(mask: ArrayLike, pyramid: Pyramid) -> tuple[Pyramid, int]:
    """Return the scales of which a mask leaves enough, and at how many of them S3 and S4.

    Warns of those that are left out.

    Raises:
        ValueError: nothing is left, or nothing of S3 and S4.
    """
    left = coverage(mask, pyramid)
    scales, pairs = left.kept()
    if pairs == 0:
        raise ValueError(
            f"mask: got one that leaves {100 * np.min(left.pairs[..., 0]):.2g} % of the finest "
            f"scale (nside {left.nsides[0]}) undisturbed by hidden pixels for S3 and S4, expected "
            f"{LEAST_LEFT} pixels or more (hidden='exclude' measures what there is)"
        )
    lost = {"S3 and S4": left.nsides[pairs:scales], "S1 to S4": left.nsides[scales:]}
    named = " and ".join(
        f"{groups} at nside {', '.join(map(str, of))}" for groups, of in lost.items() if of
    )
    if named:
        warnings.warn(
            f"mask: {named} left out, where hidden pixels leave fewer "
            f"than {LEAST_LEFT} pixels undisturbed",
            stacklevel=4,
        )
    return pyramid.finest(scales), pairs


def _check_weight_of_scales(mask: Array, pyramid: Pyramid, threshold: Array) -> None:
    """Refuse masks that lose all weight; only a threshold can do that, coarse weights are means."""
    for scale, totals in enumerate(_total_weights(mask, pyramid, threshold)):
        lost = [str(index) for index, total in enumerate(totals.tolist()) if total == 0]
        if lost:
            which = "the mask" if mask.ndim == 1 else f"mask {', '.join(lost)}"
            raise ValueError(
                f"mask_threshold: got {float(threshold[scale]):g}, which leaves {which} without "
                f"weight at scale {scale} (nside {pyramid.levels[scale].nside}), expected less"
            )


@jax.jit
def _total_weights(mask: Array, pyramid: Pyramid, threshold: Array) -> list[Float[Array, " M"]]:
    return [weights.total for weights in walk_masks(mask, pyramid, threshold)]
