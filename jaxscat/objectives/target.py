"""What a map is asked to satisfy: coefficients, their tolerance, and how a map is measured."""

from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat import maps
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.parametrizations.pixels import power_of_two_near
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.arithmetic import Arithmetic
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.indices import covariance_scales as scales_of_pairs
from jaxscat.statistics.measurement import Mask, Measurement
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.reduction import ReducedCovariance, Reduction

Power = Float[Array, "*masks J L"]
PowerLike = Float[ArrayLike, "*masks J L"]  # of NumPy, too
Errors = TypeVar("Errors", ScatteringCovariance, ReducedCovariance)
GroupWeights = Literal["plain", "balanced"]

# S3 and S4 count at grids of this nside and finer: below, they determine the map itself.
COARSEST_NSIDE = 8


class Normalization(eqx.Module):
    """By which power the coefficients of a map are divided.

    Attributes:
        power: S2 of a reference; None takes the power of every map itself.
        second_power: for two maps: S2 of the reference of the second one.
    """

    power: Power | None
    second_power: Power | None = None


class Target(eqx.Module):
    """Coefficients that a map should have, and how they are measured.

    Attributes:
        mean: the coefficients, normalized and reduced if that is asked for; S3 and S4 of the
            scales that count only.
        sigma: tolerance of every coefficient, real, all positive, of the same shapes.
        mask: weights of the pixels under which a map is measured; None for the full sky.
        second: the map together with which a map is measured; None for the map alone.
        second_offset: a large mean that was taken off the second map, or None.
        mask_threshold: threshold of the mask at every scale, or None.
        hidden: what becomes of pixels of weight zero (see `jaxscat.measure`).
        normalization: what coefficients are divided by, or None.
        reduction: how orientations are combined, or None.
        alignment: turns of orientations, or None.
        weights: how much the groups count in the distance: "plain", every coefficient as much as
            any other; "balanced", every group a fixed share.
    """

    mean: ScatteringCovariance | ReducedCovariance
    sigma: ScatteringCovariance | ReducedCovariance
    mask: Mask | None = None
    second: Float[Array, " p"] | None = None
    mask_threshold: Float[Array, " J"] | None = None
    normalization: Normalization | None = None
    reduction: Reduction | None = eqx.field(static=True, default=None)
    alignment: Alignment | None = None
    weights: GroupWeights = eqx.field(static=True, default="plain")
    hidden: Hidden = eqx.field(static=True, default="exclude")
    second_offset: Float[Array, ""] | None = None

    def __check_init__(self) -> None:
        whole_or_reduced = ScatteringCovariance | ReducedCovariance
        for name, kind, expected in (
            ("mean", whole_or_reduced, "coefficients from measure"),
            ("sigma", whole_or_reduced, "errors from standard_error"),
            ("normalization", Normalization | None, "a Normalization, or None"),
            ("reduction", Reduction | None, "a Reduction such as IsotropicMean(), or None"),
            ("alignment", Alignment | None, "what align_orientations returns, or None"),
        ):
            maps.check_kind(getattr(self, name), kind, name, expected)

    @property
    def covariance_scales(self) -> int:
        """Number of scales at which S3 and S4 count."""
        return scales_of_pairs(len(self.mean.pairs))

    def measurement(self, pyramid: Pyramid) -> Measurement:
        """Return how maps are measured for this target, by the operators of its nside."""
        interior = self.hidden == "interior"
        return Measurement(
            pyramid=pyramid.finest(self.mean.scales) if interior else pyramid,
            mask=self.mask,
            mask_threshold=self.mask_threshold,
            second=self.second,
            alignment=self.alignment,
            both_triangles=self.mean.both_triangles,
            hidden=self.hidden,
            pair_scales=self.covariance_scales if interior else None,
            constant_mask=True,
            second_offset=self.second_offset,
        )

    def comparable(
        self, statistics: ScatteringCovariance, power: Power | None = None
    ) -> ScatteringCovariance | ReducedCovariance:
        """Bring measured coefficients (or their errors) to the form of `mean`.

        Args:
            statistics: as `measure` returns them.
            power: S2 of the map alone, where its own power normalizes; needed for two maps only.

        Raises:
            ValueError: two maps are normalized by their own power, which is not given.
        """
        statistics = finest_covariances(statistics, self.covariance_scales)
        if self.normalization is not None:
            reference = self.normalization.power
            if reference is None:
                reference = power if statistics.kind == "cross" else statistics.s2
            if reference is None:
                raise ValueError(
                    "statistics: got coefficients of two maps for a target with normalization "
                    "'own', which needs the power of the map; expected a call of map_loss"
                )
            statistics = normalize(statistics, reference, self.normalization.second_power)
        return statistics if self.reduction is None else self.reduction.mean(statistics)

    def reduced(self, reduction: Reduction) -> "Target":
        """Return the same target with combined orientations; errors are propagated.

        Raises:
            ValueError: this target is reduced already, or `reduction` is no Reduction.
        """
        maps.check_kind(reduction, Reduction, "reduction", "a Reduction such as IsotropicMean()")
        return replace(
            self,
            mean=reduction.mean(whole(self.mean)),
            sigma=positive(reduction.sigma(whole(self.sigma))),
            reduction=reduction,
        )


def whole(statistics: ScatteringCovariance | ReducedCovariance) -> ScatteringCovariance:
    """Return coefficients of all orientations as they are.

    Raises:
        ValueError: they are reduced.
    """
    if isinstance(statistics, ReducedCovariance):
        raise ValueError("target: got reduced coefficients, expected those of all orientations")
    return statistics


def covariance_scales(spec: PyramidSpec, coarsest_nside: int | None) -> int:
    """Return how many scales of a pyramid have a grid of at least `coarsest_nside`.

    None stands for `COARSEST_NSIDE`, and for the finest grid where that is coarser.

    Raises:
        ValueError: it is no power of two, or finer than the pyramid.

    Source: `docs/conventions.md`, "Objective".
    """
    if coarsest_nside is None:
        coarsest_nside = min(COARSEST_NSIDE, spec.finest_nside)
    coarsest_nside = maps.check_nside(coarsest_nside, name="coarsest_nside")
    if coarsest_nside > spec.finest_nside:
        raise ValueError(
            f"coarsest_nside: got {coarsest_nside}, expected at most the pyramid's "
            f"{spec.finest_nside}"
        )
    return sum(spec.finest_nside >> j >= coarsest_nside for j in range(spec.scales))


@partial(jax.jit, static_argnames="scales")
def finest_covariances(statistics: ScatteringCovariance, scales: int) -> ScatteringCovariance:
    """Drop S3 (S3P) and S4 of all but the finest `scales` scales."""
    return statistics.finest(statistics.scales, scales)


def positive(sigma: ScatteringCovariance | ReducedCovariance, map: str = "map") -> Any:
    """Return errors as they are, if a difference can be divided by all of them.

    Raises:
        ValueError: one of them is not finite, or not positive; it begins with `map`.
    """
    for name, group in sigma.groups().items():
        # In NumPy: nothing is compiled for a check of numbers that are known.
        group = np.asarray(group)
        bad = int(np.sum(~np.isfinite(group)))
        if bad:
            raise ValueError(
                f"{map}: got {bad} of {group.size} coefficients of {name} that {group.dtype} "
                "cannot hold, expected smaller numbers (a larger unit), their logarithm, or "
                "precision float64"
            )
        bad = int(np.sum(~(group > 0)))
        if bad:
            raise ValueError(
                f"{map}: got {bad} of {group.size} coefficients of {name} whose standard error is "
                "zero, expected a map (and a mask) that varies at every scale, in a unit whose "
                f"squares {group.dtype} can hold"
            )
    return sigma


def floored(sigma: Errors, floor: float) -> Errors:
    """Raise errors that are small beside the others of the same group and scales.

    Args:
        sigma: errors, all positive.
        floor: least error, in units of the root mean square over the orientations.

    Source: `docs/conventions.md`, "Objective".
    """
    if floor == 0:
        return sigma
    masks = sigma.s0.ndim - 1

    # In NumPy, as in `positive`.
    def raised(errors: Array) -> Array:
        group = np.asarray(errors)
        orientations = tuple(range(masks + 1, group.ndim))  # one axis names the scales
        # Scaled first: squares of weak coefficients leave the range of float32.
        largest = np.max(group, axis=orientations, keepdims=True)
        square = np.mean((group / largest) ** 2, axis=orientations, keepdims=True)
        return jnp.asarray(np.maximum(group, floor * largest * np.sqrt(square)))

    return replace(
        sigma,
        s1=raised(sigma.s1),
        s2=raised(sigma.s2),
        s3=raised(sigma.s3),
        s4=raised(sigma.s4),
        s3p=None if sigma.s3p is None else raised(sigma.s3p),
    )


def spread_of(target: Target, pyramid: Pyramid) -> float:
    """Return the standard deviation of the map that the target is of, from the error in S0."""
    weight = pyramid.spec.npix if target.mask is None else np.sum(np.asarray(target.mask), axis=-1)
    spread = float(np.max(np.asarray(target.mean.s0)[..., 1] * np.sqrt(weight)))
    if target.second is not None:  # S0 has the unit of the root of the product of both maps
        spread = spread**2 / float(np.std(np.asarray(target.second)))
    return spread


def unit_of(target: Target, pyramid: Pyramid) -> np.floating:
    """Return the power of two next to the standard deviation of the map that the target is of."""
    unit = power_of_two_near(spread_of(target, pyramid))
    return np.dtype(pyramid.spec.dtype).type(unit)


def check_is_target(target: object) -> None:
    """Refuse what is no target of one map or of two with a `ValueError`."""
    maker = "target_from_statistics" if isinstance(target, Arithmetic) else "make_target"
    maps.check_kind(target, Target, "target", f"a Target; jaxscat.{maker} makes one")


def check_target(target: Target, pyramid: Pyramid) -> None:
    """Refuse a target that is not of a pyramid with a `ValueError`."""
    check_is_target(target)
    spec = check_pyramid(pyramid)
    found = (target.mean.scales, target.mean.orientations)
    # Hidden pixels may have left the coarsest scales out.
    scales = min(found[0], spec.scales) if target.hidden == "interior" else spec.scales
    if found != (scales, spec.orientations):
        raise ValueError(
            f"target: got {found[0]} scales and {found[1]} orientations, expected "
            f"{spec.scales} and {spec.orientations} as in the pyramid"
        )
    for name, pixels in (("mask", target.mask), ("second map", target.second)):
        if pixels is not None and pixels.shape[-1] != spec.npix:
            raise ValueError(
                f"target: got a {name} of {pixels.shape[-1]} pixels, expected {spec.npix} as in "
                "the pyramid"
            )
    if target.mean.s1.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"target: got {target.mean.s1.dtype} coefficients, expected {spec.dtype} as in the "
            "pyramid"
        )
