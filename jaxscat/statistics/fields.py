"""Scattering covariances of several fields of one sky: of each alone, and of pairs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.pairs import Pair, check_fields, check_pairs
from jaxscat.maps import check_flag
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.checks import PreparedMap, stack_maps
from jaxscat.statistics.errors import ERROR_FORMULAS, measure_errors
from jaxscat.statistics.field_covariances import Coefficients, FieldCovariances
from jaxscat.statistics.field_scales import measure_together
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import MaskLike, Measurement, build_measurement
from jaxscat.statistics.moments import ErrorFormula


def measure_fields(
    maps: Mapping[str, Float[ArrayLike, " p"]],
    pyramid: Pyramid,
    *,
    pairs: Sequence[str | Pair] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
) -> FieldCovariances:
    """Measure several fields of one sky: each of them alone, and pairs of them together.

    Every field is convolved once, whatever the number of pairs. The function is pure and works
    under the transformations of JAX like `measure`, whose numbers it returns for every pair.

    Args:
        maps: real NESTED maps by field, such as `{"T": t, "E": e, "B": b}`, or `{"Q": q, "U": u}`
            as scalars. B, U and V change their sign in a mirror.
        pyramid: operators for their nside.
        pairs: names of the pairs such as `["TT", "EE", "TE"]`, or tuples of fields; None for every
            field alone and every two together.
        mask, mask_threshold, hidden: as for `measure`, the same for all fields.
        both_triangles: S4 of two different fields also for j1 > j2.

    Returns:
        coefficients by pair, in the unit of the fields as `measure` says.

    Raises:
        ValueError: as `measure`, with the field named; fields without names; pairs that are
            unknown or named twice.

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/polarization.md`, "Statistics".
    """
    chosen = check_pairs(pairs, check_fields(maps))
    measurement = _measurement(pyramid, mask, mask_threshold, hidden, both_triangles)
    prepared = prepare_fields(maps, measurement)
    return measure_pairs(prepared, measurement, chosen)


def fields_standard_error(
    maps: Mapping[str, Float[ArrayLike, " p"]],
    pyramid: Pyramid,
    *,
    pairs: Sequence[str | Pair] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
    formula: ErrorFormula = "pixels",
) -> FieldCovariances:
    """Return the standard errors of the coefficients of `measure_fields`.

    Pixels are taken as independent, as by `standard_error`.

    Args:
        maps, pyramid, pairs, mask, mask_threshold, hidden, both_triangles: as for
            `measure_fields`.
        formula: as for `standard_error`.

    Raises:
        ValueError: as `measure_fields`, or the formula is unknown.

    Source: `docs/conventions.md`, "Standard errors"; `docs/polarization.md`, "Statistics".
    """
    if formula not in ERROR_FORMULAS:
        raise ValueError(f"formula: got {formula!r}, expected one of {list(ERROR_FORMULAS)}")
    chosen = check_pairs(pairs, check_fields(maps))
    measurement = _measurement(pyramid, mask, mask_threshold, hidden, both_triangles)
    prepared = prepare_fields(maps, measurement)
    return measure_pair_errors(prepared, measurement, chosen, formula)


def _measurement(
    pyramid: Pyramid,
    mask: MaskLike | None,
    mask_threshold: float | Float[ArrayLike, " J"] | None,
    hidden: Hidden,
    both_triangles: bool,
) -> Measurement:
    """Check how fields are measured; fields alone have one triangle of S4 whatever is asked for."""
    check_flag(both_triangles, "both_triangles")
    found = build_measurement(pyramid, mask=mask, mask_threshold=mask_threshold, hidden=hidden)
    return replace(found, both_triangles=bool(both_triangles))


def prepare_fields(
    maps: Mapping[str, ArrayLike], measurement: Measurement
) -> dict[str, PreparedMap]:
    """Check the map of every field, and bring it into the type of the pyramid.

    Raises:
        ValueError: as `jaxscat.measure` says, with the field named.
    """
    fields = check_fields(maps)
    return {field: measurement.prepare(maps[field], name=f"maps[{field!r}]") for field in fields}


def measure_pairs(
    prepared: Mapping[str, PreparedMap],
    measurement: Measurement,
    pairs: tuple[Pair, ...],
    covariances: int | None = None,
) -> FieldCovariances:
    """Measure checked fields under a checked measurement (see `measure_fields`).

    Args:
        prepared: from `prepare_fields`.
        measurement: how they are measured.
        pairs: from `check_pairs`.
        covariances: number of scales, from the finest, at which S3 and S4 are measured; None for
            all that the mask leaves.
    """
    covariances = measurement.covariances if covariances is None else covariances
    used = [field for field in prepared if any(field in pair for pair in pairs)]
    maps, offsets = stack_maps([prepared[field] for field in used])
    together = tuple(tuple(map(used.index, dict.fromkeys(pair))) for pair in pairs)
    found = measure_together(maps, measurement, covariances, together, offsets)
    return FieldCovariances(tuple(map(measurement.squeeze, found)), pairs)


def measure_pair_errors(
    prepared: Mapping[str, PreparedMap],
    measurement: Measurement,
    pairs: tuple[Pair, ...],
    formula: ErrorFormula,
) -> FieldCovariances:
    """Return the standard errors of checked fields (see `fields_standard_error`)."""

    def of_pair(pair: Pair) -> Coefficients:
        first, second = (prepared[field] for field in pair)
        alone = pair[0] == pair[1]
        its_measurement = replace(
            measurement,
            second=None if alone else second.pixels,
            second_offset=None if alone else second.offset,
            both_triangles=measurement.both_triangles and not alone,
        )
        return measure_errors(_whole(first), its_measurement, formula)

    return FieldCovariances(tuple(map(of_pair, pairs)), pairs)


def _whole(map: PreparedMap) -> Array | np.ndarray:
    """Return a map with the mean that was taken off."""
    if map.offset is None:
        return map.pixels
    return np.asarray(map.pixels, np.float64) + np.float64(map.offset)
