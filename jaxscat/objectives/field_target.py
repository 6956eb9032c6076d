"""What several fields of one sky are asked to satisfy, alone and in pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from jaxscat.fields.pairs import Pair, check_fields
from jaxscat.maps import check_kind
from jaxscat.objectives.target import (
    GroupWeights,
    positive,
)
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.indices import covariance_scales as scales_of_pairs
from jaxscat.statistics.measurement import Mask, Measurement
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.parity import even_errors, even_part, joined_errors
from jaxscat.statistics.reduction import Reduction

Parity = Literal["all", "even"]
Powers = dict[str, Float[Array, "*masks J L"]]


class FieldTarget(eqx.Module):
    """Coefficients that several fields should have, alone and in pairs, and how they are measured.

    Attributes:
        mean: the coefficients of every pair, without parity-odd parts, normalized and reduced if
            that is asked for; S3 and S4 of the scales that count only.
        sigma: tolerance of every coefficient, real, all positive, of the same shapes.
        levels: mean and standard deviation of every field of the original.
        mask: weights of the pixels under which the fields are measured; None for the full sky.
        mask_threshold: threshold of the mask at every scale, or None.
        powers: S2 of every field by which coefficients are divided, or None.
        parity: "even" if the parts that a mirror changes are left out, else "all".
        reduction: how orientations are combined, or None.
        weights: how much the groups of a pair count, as for `make_target`.
        hidden: what becomes of pixels of weight zero (see `jaxscat.measure`).
    """

    mean: FieldCovariances
    sigma: FieldCovariances
    levels: dict[str, Float[Array, 2]]
    mask: Mask | None = None
    mask_threshold: Float[Array, " J"] | None = None
    powers: Powers | None = None
    parity: Parity = eqx.field(static=True, default="all")
    reduction: Reduction | None = eqx.field(static=True, default=None)
    weights: GroupWeights = eqx.field(static=True, default="balanced")
    hidden: Hidden = eqx.field(static=True, default="exclude")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in their order."""
        return check_fields(self.levels)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The fields of every pair."""
        return self.mean.pairs

    @property
    def covariance_scales(self) -> int:
        """Number of scales at which S3 and S4 count."""
        first: Any = self.mean.statistics[0]
        return scales_of_pairs(len(first.pairs))

    def measurement(self, pyramid: Pyramid) -> Measurement:
        """Return how fields are measured for this target, by the operators of their nside."""
        interior = self.hidden == "interior"
        scales = self.mean.statistics[0].s1.shape[0 if self.mask is None else self.mask.ndim - 1]
        return Measurement(
            pyramid=pyramid.finest(scales) if interior else pyramid,
            mask=self.mask,
            mask_threshold=self.mask_threshold,
            hidden=self.hidden,
            pair_scales=self.covariance_scales if interior else None,
            constant_mask=True,
        )

    def comparable(self, measured: FieldCovariances) -> FieldCovariances:
        """Bring measured coefficients to the form of `mean`."""
        return in_form(measured, self.parity, self.powers, self.reduction)

    def reduced(self, reduction: Reduction) -> FieldTarget:
        """Return the same target with combined orientations; errors are propagated.

        Raises:
            ValueError: this target is reduced already, or `reduction` is no Reduction.
        """
        check_kind(reduction, Reduction, "reduction", "a Reduction such as IsotropicMean()")
        if self.reduction is not None:
            raise ValueError("target: got reduced coefficients, expected those of all orientations")
        return replace(
            self,
            mean=self.mean.reduced(reduction),
            sigma=_reduced_errors(self.sigma, self.parity, reduction),
            reduction=reduction,
        )


def check_field_target(target: FieldTarget, pyramid: Pyramid) -> None:
    """Refuse a target of several fields that is not of a pyramid with a `ValueError`."""
    check_kind(target, FieldTarget, "target", "a FieldTarget from jaxscat.make_field_target")
    spec = check_pyramid(pyramid)
    first: Any = target.mean.statistics[0]
    found = (first.scales, first.orientations)
    scales = min(found[0], spec.scales) if target.hidden == "interior" else spec.scales
    if found != (scales, spec.orientations):
        raise ValueError(
            f"target: got {found[0]} scales and {found[1]} orientations, expected "
            f"{spec.scales} and {spec.orientations} as in the pyramid"
        )
    if target.mask is not None and target.mask.shape[-1] != spec.npix:
        raise ValueError(
            f"target: got a mask of {target.mask.shape[-1]} pixels, expected {spec.npix} as in "
            "the pyramid"
        )
    if first.s1.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"target: got {first.s1.dtype} coefficients, expected {spec.dtype} as in the pyramid"
        )


def in_form(
    measured: FieldCovariances,
    parity: Parity,
    powers: Powers | None,
    reduction: Reduction | None,
    *,
    errors: bool = False,
) -> FieldCovariances:
    """Return coefficients or errors without odd parts, normalized and reduced."""

    def formed(pair: Pair, statistics: ScatteringCovariance) -> Any:
        if parity == "even":
            statistics = even_errors(statistics) if errors else even_part(statistics, pair)
        if powers is not None:
            second = powers[pair[1]] if statistics.kind == "cross" else None
            statistics = normalize(statistics, powers[pair[0]], second)
        return statistics if reduction is None else reduction.mean(statistics)

    return by_pair(formed, measured)


def by_pair(function: Any, statistics: FieldCovariances) -> FieldCovariances:
    """Return what a function makes of every pair and its coefficients."""
    each = zip(statistics.pairs, statistics.statistics, strict=True)
    return replace(statistics, statistics=tuple(function(pair, one) for pair, one in each))


def _reduced_errors(
    sigma: FieldCovariances, parity: Parity, reduction: Reduction
) -> FieldCovariances:
    def reduced(pair: Pair, errors: ScatteringCovariance) -> Any:
        errors = joined_errors(errors) if parity == "even" else errors
        return positive(reduction.sigma(errors), name_maps(pair))

    return by_pair(reduced, sigma)


def name_maps(pair: Pair) -> str:
    """Return the maps of a pair as messages name them."""
    return ", ".join(f"maps[{field!r}]" for field in dict.fromkeys(pair))
