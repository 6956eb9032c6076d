"""Several fields of one sky: checked, and measured on the host, alone and in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import Pair
from jaxscat.maps import check_map, cover_hidden, describe
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.fields import measure_pairs, prepare_fields
from jaxscat.statistics.measurement import Measurement
from jaxscat.validation.pairs import Spectra, spectra_of_pairs

Map = Float[np.ndarray, " p"]
Fields = Mapping[str, Map]


def measure_skies(
    skies: Iterable[tuple[str, Fields]],
    measurement: Measurement,
    pairs: tuple[Pair, ...],
    scales: int,
    footprint: Map | None = None,
) -> tuple[dict[str, list[FieldCovariances]], dict[str, list[Spectra]]]:
    """Measure the coefficients and the spectra of skies, one after the other.

    Args:
        skies: names of groups, and NESTED maps of the whole sphere by field.
        measurement, pairs, scales: as for `measure_sky`.
        footprint: weights of the pixels in spectra.

    Returns:
        coefficients and spectra of every sky of a group, by the names of the groups.
    """
    statistics: dict[str, list[FieldCovariances]] = {}
    spectra: dict[str, list[Spectra]] = {}
    for group, maps in skies:
        found = measure_sky(maps, measurement, pairs, scales)
        statistics.setdefault(group, []).append(found)
        spectra.setdefault(group, []).append(spectra_of_pairs(maps, footprint))
    return statistics, spectra


def measure_sky(
    maps: Fields, measurement: Measurement, pairs: tuple[Pair, ...], scales: int
) -> FieldCovariances:
    """Measure fields of the whole sphere, returned as NumPy arrays; of a patch, its pixels count.

    Args:
        maps: NESTED maps by field.
        measurement: how they are measured.
        pairs: from `check_pairs`.
        scales: number of scales of S3 and S4, of those that the mask leaves.
    """
    pyramid = measurement.pyramid
    if pyramid.spec.cell_count is not None:
        pixels = pyramid.pixels(pyramid.spec.own_scale)
        maps = {field: map[pixels] for field, map in maps.items()}
    prepared = prepare_fields(maps, measurement)
    covariances = min(scales, measurement.covariances)
    return jax.tree.map(np.asarray, measure_pairs(prepared, measurement, pairs, covariances))


def check_sky(
    maps: Any, fields: Sequence[str], name: str, spec: PyramidSpec, mask: Any
) -> dict[str, Map]:
    """Return the checked maps of all fields, with the mean in hidden pixels."""
    if not isinstance(maps, Mapping) or any(field not in maps for field in fields):
        got = ", ".join(map(str, maps)) if isinstance(maps, Mapping) else describe(maps)
        raise ValueError(f"{name}: got {got}, expected maps of the fields {', '.join(fields)}")
    found = {}
    for field in fields:
        label, values = f"{name}[{field!r}]", maps[field]
        if mask is not None:
            values = cover_hidden(values, mask, name=label)
        found[field] = check_map(values, name=label, nside=spec.nside, allow_constant=True)
    return found
