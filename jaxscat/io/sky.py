"""Maps of the sky with what their file says of them: missing pixels, units, frame, convention."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.degrade import average_children, average_polarization
from jaxscat.io.fields import Field, mark_bad_pixels
from jaxscat.io.formats import check_order, read_fields
from jaxscat.io.requests import FieldRequest, Fields, Reading, requested_fields
from jaxscat.io.units import conversion_factor, same_unit
from jaxscat.maps import check_nside, npix_to_nside


@dataclass(frozen=True)
class Sky:
    """One or several maps of one file or dataset, at one nside, NESTED.

    Attributes:
        maps: float64 maps [p] by name. Where `coverage` is zero, a map is the mean of its pixels
            with data, to avoid a step at the edge.
        coverage: fraction [p] of the pixels of the file that have data, in every map: a pixel that
            is bad in one of them is bad in all. One everywhere if the file has data everywhere.
        units: unit of every map, as it is written in the file or as it was asked for; None where
            none is stated.
        frame: "G" (galactic), "C" (celestial, equatorial), "E" (ecliptic), or None if not stated.
        polarization: "COSMO" if one of the maps depends on the sign of U, else None. The sign of
            U in a file that states IAU has been changed.
        beam: what the headers say about the beam, by keyword (FWHM, ...), "HDU" for an extension.
        file_nside: nside of every map in the file.
        bad_pixels: how many pixels of the file have no data, by their marks ("UNSEEN", "NaN", "not
            listed", ...); of several maps the largest number.
        name: the file or dataset, for messages.
        notes: what is unusual about the file or was changed, in sentences.
    """

    maps: dict[str, Float[np.ndarray, " p"]]
    coverage: Float[np.ndarray, " p"]
    units: dict[str, str | None]
    name: str
    frame: str | None = None
    polarization: str | None = None
    beam: dict[str, str | int | float] = field(default_factory=dict)
    file_nside: dict[str, int] = field(default_factory=dict)
    bad_pixels: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def nside(self) -> int:
        """The nside of the maps."""
        return npix_to_nside(self.coverage.size)

    @property
    def map(self) -> Float[np.ndarray, " p"]:
        """The map, if there is one only; ValueError for several."""
        return self.maps[self._only]

    @property
    def unit(self) -> str | None:
        """The unit of the map, if there is one only; ValueError for several."""
        return self.units[self._only]

    @property
    def _only(self) -> str:
        if len(self.maps) > 1:
            raise ValueError(f"{self.name}: has the maps {', '.join(self.maps)}, expected one only")
        return next(iter(self.maps))

    def describe_bad_pixels(self) -> str:
        """Say how many pixels of the file have no data and how they are marked."""
        pixels = 12 * max(self.file_nside.values()) ** 2
        marks = " and ".join(
            f"{count} of {pixels} pixels {m}" for m, count in self.bad_pixels.items()
        )
        return f"{marks} (without data)"


def load_sky(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    fields: Fields | None = None,
    hdu: int | str | None = None,
    order: str | None = None,
    unit: str | None = None,
    bad_data: float | None = None,
    zero_hits: Literal["data", "bad"] = "data",
    select: Mapping[str, Any] | None = None,
) -> Sky:
    """Read maps of a file with their missing pixels, units, frame and polarization convention.

    Args:
        source: a `.npy` file of shape (npix,), a HEALPix FITS file, a zarr store or netCDF file
            with HEALPix cells (needs `jaxscat[xarray]`), or one of `dataset_names()`.
        nside: working nside, a power of two up to that of the maps, whose pixels with data are
            averaged; Q and U together are carried to the meridian of the coarser pixel first. By
            default that of the maps, the lowest if they differ.
        fields: columns or variables by number from 0 or by name, or Stokes parameters "I", "Q" and
            "U", which are found whatever the file calls them. A mapping gives them names, and
            takes (hdu, column) as well. By default I, Q and U if the file has polarization,
            otherwise its first column.
        hdu: table of a FITS file by number or name. Without it, the only one that holds maps.
        order: pixel order of the file, "RING" or "NESTED", as for `load_map`.
        unit: convert K, mK and uK into another of them, from the unit that the file states.
        bad_data: a further value that marks pixels without data. They are known by UNSEEN, NaN,
            and the BAD_DATA and TNULL of a header. `nan` allows NaN and others in one map.
        zero_hits: "bad" if pixels with zero in the column of hits (HITS, N_OBS, ...) have no data.
        select: place on every other dimension of a variable, such as `{"time": 0}`; numbers count
            from 0, text is a coordinate.

    Raises:
        ValueError: a file, order, field or nside as for `load_map`; several tables of maps without
            `hdu`; a header that contradicts its table; pixel numbers that are none; infinite
            values; NaN together with another mark of missing pixels; no pixel with data; fields of
            different frames or of Stokes parameters in different units; a unit that is not stated
            or not known.

    Warns:
        UserWarning: integers are converted, U is turned from IAU to COSMO, POLCCONV is not stated.

    Examples:
        >>> import jaxscat
        >>> sky = jaxscat.load_sky("cosmic-web", 16)
        >>> sky.map.shape, sky.unit, sky.frame, float(sky.coverage.min())
        ((3072,), None, None, 1.0)

    Source: `docs/map-files.md`.
    """
    how = Reading(hdu, check_order(order), zero_hits, select)
    return read_sky(source, nside, requested_fields(fields), how, unit=unit, bad_data=bad_data)


def read_sky(
    source: str | os.PathLike[str],
    nside: int | None,
    requests: Sequence[FieldRequest] | None,
    how: Reading,
    *,
    unit: str | None = None,
    bad_data: float | None = None,
) -> Sky:
    """Read maps as `load_sky`, with all that is asked of the file in the form that readers take."""
    if unit is not None and not isinstance(unit, str):
        raise ValueError(f"unit: got {unit!r}, expected text or None")
    if isinstance(bad_data, bool) or not isinstance(bad_data, int | float | np.number | None):
        raise ValueError(f"bad_data: got {bad_data!r}, expected a number or None")
    dataset = isinstance(source, str) and source in dataset_names()
    name = f"{'dataset' if dataset else 'map'} {str(source)!r}"
    found = read_fields(source, requests, how, name=name)
    for one in found:
        _check_kind(one, name)
        mark_bad_pixels(one, bad_data=bad_data, name=name)
    named = _name_fields(found)
    notes = list(dict.fromkeys(note for one in found for note in one.notes))
    polarization = _to_cosmo(found, notes, name)
    units = _convert_units(named, unit, name)
    frames = {one.frame for one in found if one.frame is not None}
    if len(frames) > 1:
        raise ValueError(
            f"{name}: got maps of the frames {', '.join(sorted(frames))}, expected one"
        )
    file_nside = {key: one.nside for key, one in named.items()}
    working = working_nside(nside, min(file_nside.values()), name)
    bad: dict[str, int] = {}
    for one in found:
        bad |= {key: max(count, bad.get(key, 0)) for key, count in one.marks.items()}
    present = _unite_missing(found, notes, name)
    coverage = present.reshape(12 * working**2, -1).mean(axis=1)
    return Sky(
        _average(named, coverage, working, notes),
        coverage,
        units,
        name,
        next(iter(frames), None),
        polarization,
        found[0].beam,
        file_nside,
        bad,
        tuple(notes),
    )


def _check_kind(one: Field, name: str) -> None:
    if one.kind == "bool":
        raise ValueError(
            f"{name}: got boolean values (bool), expected real numbers; a mask is read by "
            "jaxscat.load_mask (target.mask, --mask)"
        )
    if one.kind.startswith(("int", "uint")):
        _warn(f"{name}: integer values ({one.kind}) are converted to float64")


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)


def _name_fields(found: Sequence[Field]) -> dict[str, Field]:
    names = [one.name or ("map" if len(found) == 1 else str(i)) for i, one in enumerate(found)]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    return dict(zip(names, found, strict=True))


def _to_cosmo(found: Sequence[Field], notes: list[str], name: str) -> str | None:
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


def _convert_units(
    named: Mapping[str, Field], unit: str | None, name: str
) -> dict[str, str | None]:
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


def _unite_missing(found: Sequence[Field], notes: list[str], name: str) -> np.ndarray:
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


def _average(
    named: Mapping[str, Field], coverage: np.ndarray, nside: int, notes: list[str]
) -> dict[str, np.ndarray]:
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


def working_nside(nside: int | None, own: int, name: str) -> int:
    """Return the working nside for maps of nside `own`; ValueError if it is above that."""
    if nside is None:
        return own
    if check_nside(nside) > own:
        raise ValueError(f"nside: got {nside}, expected at most {own} as {name} has")
    return math.floor(nside)
