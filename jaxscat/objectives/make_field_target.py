"""The target of a synthesis of several fields from the coefficients of one sky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.pairs import Pair, check_fields, check_pairs, check_parity
from jaxscat.maps import describe
from jaxscat.objectives.field_target import FieldTarget, Parity, by_pair, in_form, name_maps
from jaxscat.objectives.target import (
    GroupWeights,
    covariance_scales,
    finest_covariances,
    floored,
    positive,
)
from jaxscat.objectives.target_checks import check_choices, check_varying, left_scales
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.checks import prepare_mask
from jaxscat.statistics.fields import measure_pair_errors, measure_pairs, prepare_fields
from jaxscat.statistics.hidden import Hidden, check_hidden
from jaxscat.statistics.measurement import Mask, MaskLike, build_measurement
from jaxscat.statistics.moments import ERROR_FORMULAS, ErrorFormula
from jaxscat.statistics.power import measure_power


def make_field_target(
    maps: Mapping[str, Float[ArrayLike, " p"]],
    pyramid: Pyramid,
    *,
    pairs: Sequence[str | Pair] | None = None,
    parity: Parity = "all",
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    sigma: ErrorFormula = "pixels",
    sigma_floor: float = 0.01,
    coarsest_nside: int | None = None,
    weights: GroupWeights = "balanced",
    normalization: Literal["target"] | None = None,
) -> FieldTarget:
    """Make the target of a synthesis of several fields together from one sky.

    Args:
        maps: real NESTED maps by field, none constant, such as `{"T": t, "E": e, "B": b}`; those of
            fields that are in no pair are left out.
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
        >>> target.mean.keys(), target.covariance_scales
        (('TT', 'EE', 'BB', 'TE', 'TB', 'EB'), 2)

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/polarization.md`, "Loss".
    """
    check_choices(sigma, sigma_floor, weights, None, ERROR_FORMULAS)
    if normalization is not None and not _is_text(normalization, "target"):
        raise ValueError(f"normalization: got {describe(normalization)}, expected 'target' or None")
    spec = check_pyramid(pyramid)
    scales = covariance_scales(spec, coarsest_nside)
    fields = check_fields(maps)
    chosen = check_pairs(pairs, fields)
    check_parity(parity, fields)
    fields = tuple(field for field in fields if any(field in pair for pair in chosen))
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
    spread = by_pair(
        lambda pair, errors: positive(finest_covariances(errors, scales), name_maps(pair)), spread
    )
    powers = None
    if normalization == "target":
        powers = {
            field: _even_power(measure_power(checked[field], measurement), parity)
            for field in fields
        }
    errors = in_form(spread, parity, powers, None, errors=True)
    return FieldTarget(
        mean=in_form(mean, parity, powers, None),
        sigma=by_pair(lambda _, group: floored(group, sigma_floor), errors),
        levels={field: _level(checked[field], shown, spec.dtype) for field in fields},
        mask=measurement.mask,
        mask_threshold=measurement.mask_threshold,
        powers=powers,
        parity=parity,
        weights=weights,
        hidden=hidden,
    )


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
