"""What several fields of one sky are asked to satisfy, alone and in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.maps import check_kind, describe
from jaxscat.objectives.make_target import check_choices, check_varying, left_scales
from jaxscat.objectives.target import (
    GroupWeights,
    covariance_scales,
    finest_covariances,
    floored,
    positive,
)
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.checks import prepare_mask
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.fields import (
    FieldCovariances,
    measure_pair_errors,
    measure_pairs,
    prepare_fields,
)
from jaxscat.statistics.hidden import Hidden, check_hidden
from jaxscat.statistics.indices import covariance_scales as scales_of_pairs
from jaxscat.statistics.measurement import Mask, Measurement, build_measurement
from jaxscat.statistics.moments import ERROR_FORMULAS, ErrorFormula
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.pairs import Pair, check_fields, check_pairs
from jaxscat.statistics.parity import even_errors, even_part, joined_errors
from jaxscat.statistics.power import measure_power
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
        return _in_form(measured, self.parity, self.powers, self.reduction)

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


def make_field_target(
    maps: Mapping[str, Float[Array, " p"]],
    pyramid: Pyramid,
    *,
    pairs: Sequence[str | Pair] | None = None,
    parity: Parity = "all",
    mask: Mask | None = None,
    mask_threshold: float | Float[Array, " J"] | None = None,
    hidden: Hidden = "exclude",
    sigma: ErrorFormula = "pixels",
    sigma_floor: float = 0.01,
    coarsest_nside: int | None = None,
    weights: GroupWeights = "balanced",
    normalization: Literal["target"] | None = None,
) -> FieldTarget:
    """Make the target of a synthesis of several fields together from one sky.

    Args:
        maps: real NESTED maps by field, none constant, such as `{"T": t, "E": e, "B": b}`.
        pyramid: operators for their nside.
        pairs: as for `measure_fields`: names such as `["TT", "EE", "BB", "TE"]`; None for every
            field alone and every two together. Each pair has the same share of the loss.
        parity: "even" leaves out the parts of coefficients that a mirror changes: TB and EB of the
            power, and all handedness of the textures. A sky of which they are noise gives new maps
            without that noise. The mean of B, U and V then counts as zero.
        mask, mask_threshold, hidden, sigma_floor, coarsest_nside, weights: as for `make_target`.
        sigma: "pixels" or "foscat", as for `make_target`.
        normalization: "target" divides coefficients, and sigma, by the power of the fields.

    Returns:
        target in the type of the pyramid.

    Raises:
        ValueError: as `make_target` and `measure_fields`, with the field named.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(16)
        >>> t, e, b = np.random.default_rng(0).gamma(2.0, size=(3, 3072))  # any NESTED maps
        >>> target = jaxscat.make_field_target({"T": t, "E": e, "B": b}, pyramid, parity="even")
        >>> target.mean.names(), target.covariance_scales
        (('TT', 'EE', 'BB', 'TE', 'TB', 'EB'), 2)

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/polarization.md`, "Loss".
    """
    check_choices(sigma, sigma_floor, weights, None, ERROR_FORMULAS)
    if parity not in get_args(Parity):
        raise ValueError(f"parity: got {parity!r}, expected one of {list(get_args(Parity))}")
    if normalization is not None and not _is_text(normalization, "target"):
        raise ValueError(f"normalization: got {describe(normalization)}, expected 'target' or None")
    spec = check_pyramid(pyramid)
    scales = covariance_scales(spec, coarsest_nside)
    fields = check_fields(maps)
    chosen = check_pairs(pairs, fields)
    seen = prepare_mask(mask, spec)
    check_hidden(hidden, seen)
    shown = None if hidden == "include" else seen
    checked = {
        field: check_varying(maps[field], spec, f"maps[{field!r}]", shown) for field in fields
    }
    measurement = build_measurement(
        pyramid, mask=mask, mask_threshold=mask_threshold, hidden=hidden
    )
    scales = left_scales(scales, measurement, coarsest_nside)
    prepared = prepare_fields(checked, measurement)
    # As the loss does, to the last bit.
    constant = replace(measurement, constant_mask=True)
    mean = measure_pairs(prepared, constant, chosen, scales)
    spread = measure_pair_errors(prepared, measurement, chosen, sigma)
    spread = _by_pair(
        lambda pair, errors: positive(finest_covariances(errors, scales), _name(pair)), spread
    )
    powers = None
    if normalization == "target":
        powers = {
            field: _even_power(measure_power(checked[field], measurement), parity)
            for field in fields
        }
    errors = _in_form(spread, parity, powers, None, errors=True)
    return FieldTarget(
        mean=_in_form(mean, parity, powers, None),
        sigma=_by_pair(lambda _, group: floored(group, sigma_floor), errors),
        levels={field: _level(checked[field], shown, spec.dtype) for field in fields},
        mask=measurement.mask,
        mask_threshold=measurement.mask_threshold,
        powers=powers,
        parity=parity,
        weights=weights,
        hidden=hidden,
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


def _in_form(
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

    return _by_pair(formed, measured)


def _by_pair(function: Any, statistics: FieldCovariances) -> FieldCovariances:
    each = zip(statistics.pairs, statistics.statistics, strict=True)
    return replace(statistics, statistics=tuple(function(pair, one) for pair, one in each))


def _reduced_errors(
    sigma: FieldCovariances, parity: Parity, reduction: Reduction
) -> FieldCovariances:
    def reduced(pair: Pair, errors: ScatteringCovariance) -> Any:
        errors = joined_errors(errors) if parity == "even" else errors
        return positive(reduction.sigma(errors), _name(pair))

    return _by_pair(reduced, sigma)


def _name(pair: Pair) -> str:
    return ", ".join(f"maps[{field!r}]" for field in dict.fromkeys(pair))


def _is_text(value: object, text: str) -> bool:
    return isinstance(value, str) and value == text


def _even_power(power: Float[Array, "*masks J L"], parity: Parity) -> Float[Array, "*masks J L"]:
    if parity == "all":
        return power
    image = -np.arange(power.shape[-1]) % power.shape[-1]
    return (power + power[..., image]) / 2


def _level(map: np.ndarray, mask: Mask | None, dtype: str) -> Float[Array, 2]:
    """Return mean and standard deviation of a map where there is weight."""
    weights = None
    if mask is not None:
        weights = np.asarray(mask, np.float64)
        weights = weights if weights.ndim == 1 else weights.max(axis=0)
    mean = np.average(map.astype(np.float64), weights=weights)
    variance = np.average((map - mean) ** 2, weights=weights)
    return jnp.asarray([mean, np.sqrt(variance)], dtype)
