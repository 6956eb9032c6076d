"""Where a reconstruction of several fields begins: linear estimates of every field."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_noise import FieldNoise
from jaxscat.maps import describe
from jaxscat.reconstruction.channels import combine_channels
from jaxscat.reconstruction.observed import Observed
from jaxscat.reconstruction.observed_fields import ObservedFields
from jaxscat.reconstruction.spectra import estimate_spectrum
from jaxscat.reconstruction.starts import build_baselines, build_starts, given_starts
from jaxscat.reconstruction.template_filter import template_weights

# Seeds of the fields of one start are so far from each other.
_NEXT_FIELD = 0x9E3779B9
# Of the data, where a field has no power above its noise: a map of zero could not change.
_FAINT = 0.01


class Unexplained(NamedTuple):
    """What is estimated of a field: all of it, or what templates leave of it.

    Attributes:
        told: the part that templates tell, `[p]`, or zero.
        rest: the data without it.
        noise: levels of the data's noise; uneven noise in a band would have no inverse.
        signal: levels of what the rest has above the noise.
        cautious: the same less its standard error.
    """

    told: Any
    rest: Observed
    noise: Float[np.ndarray, " l"]
    signal: Float[np.ndarray, " l"]
    cautious: Float[np.ndarray, " l"]

    @classmethod
    def of(
        cls,
        observed: Observed,
        noise: Float[np.ndarray, " l"],
        known: Sequence[Float[np.ndarray, " p"]] = (),
    ) -> "Unexplained":
        """Take what templates tell off the data of a field, and estimate what is left."""
        told: Any = 0.0
        if known:
            templates = np.stack(known).astype(np.float64)
            told = combine_channels(templates, template_weights(observed.values, templates))
        rest = observed._replace(values=(observed.values - told).astype(observed.values.dtype))
        signal, cautious = (
            estimate_spectrum(rest.values, noise, cautious=careful) for careful in (False, True)
        )
        return cls(told, rest, noise, signal, cautious)

    def baselines(self) -> dict[str, Float[np.ndarray, " p"]]:
        """Return linear estimates of the field by the names of starts."""
        found = build_baselines(self.rest, self.signal, self.noise)
        return {name: self.told + map for name, map in found.items()}


def split_fields(
    observed: ObservedFields, noise: FieldNoise, *, alone: bool = False
) -> list[Unexplained]:
    """Return what is to be estimated of every field, with templates or (`alone`) without."""
    known = () if alone else tuple(observed.known.values())
    each = zip(observed.fields, observed.each, strict=True)
    return [Unexplained.of(one, noise.levels_of(field), known) for field, one in each]


def build_field_baselines(
    observed: ObservedFields, parts: Sequence[Unexplained], noise: FieldNoise
) -> dict[str, Float[np.ndarray, "f p"]]:
    """Return the data and their linear filters, without the mean, by the names of starts.

    With templates, those that use them are named so; the others do not.

    Args:
        observed: the data.
        parts: from `split_fields`.
        noise: of the data.
    """
    without = split_fields(observed, noise, alone=True) if observed.known else parts
    found = _stacked([part.baselines() for part in without])
    if observed.known:
        using = _stacked([part.baselines() for part in parts])
        found |= {f"{name} with templates": using[name] for name in using if name != "data"}
    return found


def build_field_starts(
    start: Any,
    observed: ObservedFields,
    parts: Sequence[Unexplained],
    seeds: Sequence[int] | None,
) -> Float[np.ndarray, "B f p"]:
    """Return the start of every seed, without the mean, in the type of the data.

    Args:
        start: a name, or a dictionary of maps `[p]` or `[B, p]` in the unit of the data.
        observed: the data.
        parts: from `split_fields`.
        seeds: as given, or None.

    Raises:
        ValueError: an unknown name, maps of other fields or shapes, or with bad values.
    """
    listed = (0,) if seeds is None else tuple(seeds)
    if isinstance(start, str):
        return np.stack(
            [_field_start(start, part, place, listed) for place, part in enumerate(parts)], axis=1
        )
    names = ", ".join(observed.fields)
    if not isinstance(start, Mapping) or any(field not in start for field in observed.fields):
        got = f"maps of {', '.join(str(of) for of in start)}" if isinstance(start, Mapping) else ""
        raise ValueError(
            f"start: got {got or describe(start)}, expected a name or a dictionary with maps of "
            f"the fields {names}"
        )
    maps = [
        given_starts(start[field], one, len(listed), seeds is not None, name=f"start[{field!r}]")
        for field, one in zip(observed.fields, observed.each, strict=True)
    ]
    return np.stack(maps, axis=1)


def _field_start(
    start: str, part: Unexplained, place: int, seeds: tuple[int, ...]
) -> Float[np.ndarray, "B p"]:
    # Of other seeds than those of other fields.
    own = [(seed + _NEXT_FIELD * place) % 2**32 for seed in seeds]
    # An excess of the noise that the start took for signal would stay in the map.
    found = part.told + build_starts(start, part.rest, part.cautious, part.noise, own)
    faint = ~found.any(axis=1, keepdims=True)
    return np.where(faint, _FAINT * part.rest.values, found).astype(part.rest.values.dtype)


def _stacked(
    each: Sequence[Mapping[str, Float[np.ndarray, " p"]]],
) -> dict[str, Float[np.ndarray, "f p"]]:
    return {name: np.stack([of[name] for of in each]) for name in each[0]}
