"""Where a reconstruction of several fields begins: linear estimates of every field."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.reconstruction.observed_fields import ObservedFields
from jaxscat.reconstruction.starts import build_baselines, build_starts, given_starts
from jaxscat.reconstruction.template_filter import template_wiener_filter

# Seeds of the fields of one start are so far from each other.
_NEXT_FIELD = 0x9E3779B9
# Of the data, where a field has no power above its noise: a map of zero could not change.
_FAINT = 0.01


def build_field_baselines(
    observed: ObservedFields, signals: Sequence[Float[np.ndarray, " l"]], noise: FieldNoise
) -> dict[str, Float[np.ndarray, "f p"]]:
    """Return the data and their linear filters, without the mean, by the names of starts.

    With templates there is "template wiener", which uses what a field has in common with them.

    Args:
        observed: the data.
        signals: levels of every field.
        noise: of the data.
    """
    found: dict[str, list[np.ndarray]] = {}
    for field, one, signal in zip(observed.fields, observed.each, signals, strict=True):
        its_noise = noise.of_field(field)
        estimates = build_baselines(one, signal, its_noise)
        if observed.known:
            known = np.stack(list(observed.known.values()))
            estimates["template wiener"] = template_wiener_filter(
                one.values, signal, its_noise, known
            )
        for name, map in estimates.items():
            found.setdefault(name, []).append(map)
    return {name: np.stack(maps) for name, maps in found.items()}


def build_field_starts(
    start: Any,
    observed: ObservedFields,
    signals: Sequence[Float[np.ndarray, " l"]],
    noise: FieldNoise,
    seeds: Sequence[int] | None,
) -> Float[np.ndarray, "B f p"]:
    """Return the start of every seed, without the mean, in the type of the data.

    Args:
        start: a name, or a dictionary of maps `[p]` or `[B, p]` in the unit of the data.
        observed, signals, noise: as for `build_field_baselines`.
        seeds: as given, or None.

    Raises:
        ValueError: an unknown name, maps of other fields or shapes, or with bad values.
    """
    listed = (0,) if seeds is None else tuple(seeds)
    each = zip(observed.fields, observed.each, signals, strict=True)
    if isinstance(start, Mapping):
        missing = [field for field in observed.fields if field not in start]
        if missing:
            raise ValueError(
                f"start: got maps of {', '.join(map(str, start)) or 'no field'}, expected those of "
                f"the fields {', '.join(observed.fields)}"
            )
        maps = [
            given_starts(
                start[field], one, len(listed), seeds is not None, name=f"start[{field!r}]"
            )
            for field, one, _ in each
        ]
        return np.stack(maps, axis=1)
    if not isinstance(start, str):
        raise ValueError(
            f"start: got {type(start).__name__}, expected a name or a dictionary of maps by field"
        )
    if start == "template wiener" and observed.known:
        filtered = build_field_baselines(observed, signals, noise)[start]
        return np.tile(filtered.astype(observed.each[0].values.dtype), (len(listed), 1, 1))
    maps = []
    for place, (field, one, signal) in enumerate(each):
        # Of other seeds than those of other fields.
        own = None if seeds is None else [(seed + _NEXT_FIELD * place) % 2**32 for seed in listed]
        found = build_starts(start, one, signal, noise.of_field(field), own)
        faint = ~found.any(axis=1, keepdims=True)
        maps.append(np.where(faint, one.values.dtype.type(_FAINT) * one.values, found))
    return np.stack(maps, axis=1)
