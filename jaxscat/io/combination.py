"""The fields of one file brought together: convention, units, missing pixels, resolution."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.io.degrade import average_children, average_polarization
from jaxscat.io.fields import Field
from jaxscat.io.units import conversion_factor, same_unit


def check_kind(one: Field, name: str) -> None:
    """Check that a field holds numbers; ValueError for logical values, a warning for integers."""
    if one.kind == "bool":
        raise ValueError(
            f"{name}: got boolean values (bool), expected real numbers; a mask is read by "
            "jaxscat.load_mask (target.mask, --mask)"
        )
    if one.kind.startswith(("int", "uint")):
        _warn(f"{name}: integer values ({one.kind}) are converted to float64")


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)


def name_fields(found: Sequence[Field]) -> dict[str, Field]:
    """Give every field a name of its own."""
    names = [one.name or ("map" if len(found) == 1 else str(i)) for i, one in enumerate(found)]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    return dict(zip(names, found, strict=True))


def to_cosmo(found: Sequence[Field], notes: list[str], name: str) -> str | None:
    """Turn fields that depend on the sign of U to the convention COSMO, in place; name it."""
    odd = [one for one in found if one.odd_in_u]
    for one in odd:
        if one.convention not in (None, "COSMO", "IAU"):
            raise ValueError(
                f"{name}: the header says POLCCONV {one.convention!r}, expected COSMO or IAU"
            )
        if one.convention == "IAU":
            np.negative(one.values, out=one.values, where=~one.missing)
    if any(one.convention == "IAU" for one in odd):
        notes.append("U is turned from the convention IAU to COSMO: its sign is changed")
        _warn(f"{name}: {notes[-1]}")
    if any(one.convention is None for one in odd):
        notes.append("the header has no POLCCONV: the sign of U is taken as that of COSMO")
        _warn(f"{name}: {notes[-1]}")
    polarized = odd or any(one.stokes in ("Q", "U") for one in found)
    return "COSMO" if polarized else None


def convert_units(named: Mapping[str, Field], unit: str | None, name: str) -> dict[str, str | None]:
    """Convert fields to a unit, in place, and return their units."""
    if unit is not None:
        for key, one in named.items():
            stated = f"{key} of {name}" if len(named) > 1 else name
            factor = conversion_factor(one.unit, unit, name=stated)
            if factor != 1.0:
                np.multiply(one.values, factor, out=one.values, where=~one.missing)
        return dict.fromkeys(named, unit)
    stokes = [one for one in named.values() if one.stokes is not None]
    for one in stokes[1:]:
        if not same_unit(one.unit, stokes[0].unit):
            raise ValueError(
                f"{name}: got {stokes[0].stokes} in {stokes[0].unit!r} and {one.stokes} in "
                f"{one.unit!r}, expected one unit (unit= converts K, mK and uK)"
            )
    return {key: one.unit for key, one in named.items()}


def unite_missing(found: Sequence[Field], notes: list[str], name: str) -> Bool[np.ndarray, " p"]:
    """Leave out of all fields what one of them lacks; return where there are data at the finest."""
    finest = max(one.values.size for one in found)
    missing = np.zeros(finest, dtype=bool)
    for one in found:
        missing |= np.repeat(one.missing, finest // one.missing.size)
    marks = sorted({mark for one in found for mark in one.marks})
    if missing.all():
        raise ValueError(
            f"{name}: got {', '.join(marks)} (without data) in every pixel, expected a map"
        )
    lacking = {int(one.missing.sum()) * (finest // one.missing.size) for one in found}
    if len(found) > 1 and lacking != {int(missing.sum())}:
        notes.append(f"{int(missing.sum())} of {finest} pixels lack data in one map at least")
    for one in found:
        one.missing = np.all(missing.reshape(one.missing.size, -1), axis=1, keepdims=True)[:, 0]
        one.values[one.missing] = 0.0
    return np.logical_not(missing, out=missing)


def average_fields(
    named: Mapping[str, Field], coverage: Float[np.ndarray, " p"], nside: int, notes: list[str]
) -> dict[str, Float[np.ndarray, " p"]]:
    """Average fields, whose missing pixels are zero, to a lower nside; fill those without data."""
    fill = {key: one.values.sum() / np.count_nonzero(~one.missing) for key, one in named.items()}
    stokes = {one.stokes: key for key, one in named.items() if one.stokes in ("Q", "U")}
    maps: dict[str, np.ndarray] = {}
    if len(stokes) == 2 and len({named[key].nside for key in stokes.values()}) == 1:
        q, u = named[stokes["Q"]], named[stokes["U"]]
        pair = average_polarization(q.values, u.values, q.missing, nside)
        maps = dict(zip((stokes["Q"], stokes["U"]), pair, strict=True))
    elif any(named[key].nside > nside for key in stokes.values()):
        notes.append(
            "Q or U is averaged without the other: meridians of the pixels are not aligned"
        )
        _warn(notes[-1])
    for key, one in named.items():
        if key not in maps:
            maps[key] = average_children(one.values, one.missing, nside)
        maps[key][coverage == 0] = fill[key]
    return {key: maps[key] for key in named}
