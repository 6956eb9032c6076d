"""The fields of one file brought together: convention, units, missing pixels, resolution."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.harmonics.degrade import degrade_polarization, degrade_scalar
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
    polarized = [one for one in found if one.odd_in_u or one.stokes in ("Q", "U")]
    odd = [one for one in polarized if one.odd_in_u]
    if not odd:
        return "COSMO" if polarized else None
    stated = sorted({one.convention for one in polarized if one.convention is not None})
    for convention in stated:
        if convention not in ("COSMO", "IAU"):
            raise ValueError(
                f"{name}: the header says POLCCONV {convention!r}, expected COSMO or IAU"
            )
    if len(stated) > 1:
        raise ValueError(f"{name}: the headers say POLCCONV COSMO and IAU, expected one of them")
    if stated == ["IAU"]:
        for one in odd:
            np.negative(one.values, out=one.values, where=~one.missing)
        notes.append("U is turned from the convention IAU to COSMO: its sign is changed")
        _warn(f"{name}: {notes[-1]}")
    if not stated:
        notes.append("the header has no POLCCONV: the sign of U is taken as that of COSMO")
        _warn(f"{name}: {notes[-1]}")
    return "COSMO"


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
    for one, other in combinations(stokes, 2):
        if not same_unit(one.unit, other.unit):
            raise ValueError(
                f"{name}: got {one.stokes} in {one.unit!r} and {other.stokes} in "
                f"{other.unit!r}, expected one unit (unit= converts K, mK and uK)"
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


def lower_fields(
    named: Mapping[str, Field],
    coverage: Float[np.ndarray, " p"],
    nside: int,
    notes: list[str],
    name: str,
) -> tuple[dict[str, Float[np.ndarray, " p"]], int | None]:
    """Bring fields, whose missing pixels are zero, to a lower nside; fill those without data.

    Q and U with data everywhere, and I beside them, are brought there through their harmonic
    coefficients; the multipole up to which these are kept is returned, too. All else is averaged.
    Fields that are transformed give up their values.
    """
    pairs = pair_polarization(named, name)
    finer = [key for key, one in named.items() if one.nside > nside and one.stokes is not None]
    maps, lmax = {}, None
    if pairs and finer and (coverage == 1).all():
        lmax = 2 * nside
        maps = _degrade_fields({key: named[key] for key in finer}, pairs, nside)
        notes.append(
            f"{_listed(finer)} brought to nside {nside} through harmonic coefficients up to "
            f"l = {lmax}: beam and pixel window are still those of the file"
        )
    elif pairs and finer:
        notes.append(
            f"{_listed(finer)} averaged over pixels, as some lack data and harmonic coefficients "
            "need the whole sphere: E and B are mixed at small scales"
        )
    rest = {key: one for key, one in named.items() if key not in maps}
    maps |= _average_fields(
        rest, [pair for pair in pairs if pair[0] in rest], coverage, nside, notes
    )
    return {key: maps[key] for key in named}, lmax


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _degrade_fields(
    named: Mapping[str, Field], pairs: Sequence[tuple[str, str]], nside: int
) -> dict[str, Float[np.ndarray, " p"]]:
    maps: dict[str, np.ndarray] = {}
    scalars = [key for key, one in named.items() if one.stokes == "I"]
    for pair in [pair for pair in pairs if pair[0] in named]:
        beside = [key for key in scalars if named[key].nside == named[pair[0]].nside][:1]
        scalars = [key for key in scalars if key not in beside]  # takes no more time with a pair
        keys = (*beside, *pair)
        given = (named[key].take_values() for key in keys)
        maps |= dict(zip(keys, degrade_polarization(given, nside), strict=True))
    return maps | {key: degrade_scalar(named[key].take_values(), nside) for key in scalars}


def _average_fields(
    named: Mapping[str, Field],
    pairs: Sequence[tuple[str, str]],
    coverage: Float[np.ndarray, " p"],
    nside: int,
    notes: list[str],
) -> dict[str, Float[np.ndarray, " p"]]:
    fill = {key: one.values.sum() / np.count_nonzero(~one.missing) for key, one in named.items()}
    maps: dict[str, np.ndarray] = {}
    for q, u in pairs:
        maps[q], maps[u] = average_polarization(
            named[q].values, named[u].values, named[q].missing, nside
        )
    alone = [one for key, one in named.items() if one.stokes in ("Q", "U") and key not in maps]
    if any(one.nside > nside for one in alone):
        notes.append(
            "Q or U is averaged without the other: meridians of the pixels are not aligned"
        )
        _warn(notes[-1])
    for key, one in named.items():
        if key not in maps:
            maps[key] = average_children(one.values, one.missing, nside)
        maps[key][coverage == 0] = fill[key]
    return maps


def pair_polarization(named: Mapping[str, Field], name: str) -> list[tuple[str, str]]:
    """Return the names of every Q with its U: the first with the first, and so on.

    Nothing if there are not as many of both. Raises ValueError if they differ in nside.
    """
    qs, us = ([key for key, one in named.items() if one.stokes == letter] for letter in "QU")
    if len(qs) != len(us):
        return []
    pairs = list(zip(qs, us, strict=True))
    for q, u in pairs:
        if named[q].nside != named[u].nside:
            raise ValueError(
                f"{name}: got {q} at nside {named[q].nside} and {u} at nside {named[u].nside}, "
                "expected one nside of Q and U"
            )
    return pairs
