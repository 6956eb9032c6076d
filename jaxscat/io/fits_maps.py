"""Maps of HEALPix FITS files, whichever tables and columns they are in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.column_names import is_hits, is_odd_in_u, read_frame, stokes_of
from jaxscat.io.fields import Field
from jaxscat.io.fits_columns import describe_kind, read_numbers
from jaxscat.io.fits_tables import (
    Refused,
    Table,
    TableColumn,
    choose_column,
    choose_table,
    find_stokes,
)
from jaxscat.io.requests import FieldRequest, Reading
from jaxscat.reasons import kind_and_reason

_BEAM_KEYWORDS = ("FWHM", "BEAM", "BEAM_FWHM", "FWHM_ARC", "BEAMSIZE", "BEAMTYPE", "BEAMFILE")
_Chosen = tuple[Table, TableColumn, str | None, str]

# Stokes parameters by the names that fields are given.
_STOKES_NAMES = {"I": "I", "T": "I", "Q": "Q", "U": "U"}


def read_fits(
    path: Path, requests: Sequence[FieldRequest] | None, how: Reading, name: str
) -> list[Field]:
    """Read maps of a FITS file; without requests I, Q and U, or the first column if it has none.

    Raises ValueError, which begins with `name` or an argument, for a file that is damaged or no
    HEALPix file, and for requests that do not match it.
    """
    from astropy.io import fits

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", message=".*truncated.*")
        try:
            with fits.open(path, memmap=False, lazy_load_hdus=True) as units:
                primary: Any = units[0].header  # pyright: ignore[reportAttributeAccessIssue]
                tables = [
                    Table(unit, number, primary)
                    for number, unit in enumerate(_forwards(units))
                    if isinstance(unit, fits.BinTableHDU)
                ]
                _check_end(units)
                if not tables and any("corrupted" in str(warning.message) for warning in caught):
                    raise EOFError("what follows its first header is damaged or cut off")
                chosen = _choose(tables, requests, how, name)
                fields = _read_chosen(chosen, how, name)
                beam = _describe_beam(units)
        except (Refused, MemoryError):
            raise
        except ValueError as error:
            if str(error).startswith(name):
                raise
            raise _unreadable(name, error) from error
        except Exception as error:  # a damaged file can fail in any way
            raise _unreadable(name, error) from error
    notes = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    for field in fields:
        field.beam, field.notes = beam, (*field.notes, *notes)
    return fields


def _forwards(units: Any) -> Iterator[Any]:
    """Yield the units of a file; `EOFError` where a header sends astropy back, without an end."""
    for unit in units:
        if unit.fileinfo()["datSpan"] < 0:
            raise EOFError("a header says that its data have a size below zero")
        yield unit


def _check_end(units: Any) -> None:
    """Raise EOFError for a compressed file that goes on where astropy has silently given up."""
    place = units[-1].fileinfo()
    if getattr(place["file"], "compression", None):
        place["file"].seek(place["datLoc"] + place["datSpan"])
        if place["file"].read(1):
            raise EOFError("the file is truncated or damaged")


def _unreadable(name: str, error: BaseException) -> ValueError:
    return ValueError(
        f"{name}: cannot be read, expected a whole HEALPix FITS file ({kind_and_reason(error)})"
    )


def _choose(
    tables: list[Table], requests: Sequence[FieldRequest] | None, how: Reading, name: str
) -> list[_Chosen]:
    """Choose table and column of every request, with its Stokes parameter and its name."""
    if requests is None:
        within = tables if how.hdu is None else [choose_table(tables, how.hdu, None, name)]
        stokes = {key: find_stokes(within, key, name, unnamed=False) for key in "IQU"}
        if stokes["Q"] and stokes["U"]:
            return [(*found, key, key) for key, found in stokes.items() if found is not None]
        requests = [FieldRequest(None, 0)]
    return [_choose_one(tables, request, how, name) for request in requests]


def _choose_one(tables: list[Table], request: FieldRequest, how: Reading, name: str) -> _Chosen:
    hdu = how.hdu if request.hdu is None else request.hdu
    column = 0 if request.column is None else request.column
    within = tables if hdu is None else [choose_table(tables, hdu, column, name)]
    literal = isinstance(column, str) and any(
        column.lower() == one.name.lower() for table in within for one in table.maps
    )
    if isinstance(column, str) and not literal and stokes_of(column) is not None:
        letter = stokes_of(column) or ""
        if (found := find_stokes(within, letter, name)) is not None:
            return *found, letter, request.name or column
    table = choose_table(tables, hdu, column, name)
    if request.column is None and request.only and len(table.maps) > 1:
        raise Refused(
            f"field: {name} has {len(table.maps)} columns "
            f"({', '.join(one.name for one in table.maps)}), state one by name or by number from 0"
        )
    table.find_nside(name)
    one = choose_column(table, column, name)
    letter = stokes_of(one.name) or _STOKES_NAMES.get(request.name or "")
    return table, one, letter, request.name or one.name


def _read_chosen(chosen: list[_Chosen], how: Reading, name: str) -> list[Field]:
    fields: dict[int, Field] = {}
    for table in {id(table): table for table, *_ in chosen}.values():
        here = [(index, *entry[1:]) for index, entry in enumerate(chosen) if entry[0] is table]
        nside = table.find_nside(name)
        order = _header_order(table.header.get("ORDERING"), how, name)
        columns = [column for _, column, *_ in here]
        hits = [] if how.zero_hits == "data" else [_hits_column(table, name)]
        numbers, listed = read_numbers(table, [*columns, *hits], nside, order, name=name)
        for (index, column, letter, key), found in zip(here, numbers, strict=False):
            field = _describe(table, column, letter, key)
            field.values, field.missing = found.values, found.missing
            field.order, field.hdu = order, table.number
            if field.missing.any():
                field.marks["TNULL"] = int(field.missing.sum())
            if hits:
                counts = numbers[-1]
                none = (counts.missing | ~(counts.values > 0)) & ~field.missing
                field.missing |= none
                none &= True if listed is None else listed
                field.marks |= {"zero hits": int(none.sum())} if none.any() else {}
            if listed is not None:
                field.unlisted = ~listed
                field.missing |= field.unlisted
                field.marks |= {"not listed": int((~listed).sum())} if not listed.all() else {}
            fields[index] = field
    return [fields[index] for index in range(len(chosen))]


def _describe(table: Table, column: TableColumn, letter: str | None, key: str) -> Field:
    """Return a field without its numbers: what the header says of it."""
    header, notes = table.header, []
    stated = table.state("COORDSYS")
    frame = None if stated is None else read_frame(stated)
    if stated is not None and frame is None:
        notes.append(f"COORDSYS {str(stated).strip()!r} is no frame that is known (G, C or E)")
    convention = table.state("POLCCONV", "POLCONV")
    nothing = np.zeros(0)
    return Field(
        name=key,
        values=nothing,
        missing=nothing.astype(bool),
        kind=describe_kind(column),
        unit=column.unit,
        sentinel=_number(header.get("BAD_DATA")),
        frame=frame,
        convention=None if convention is None else str(convention).strip().upper() or None,
        stokes=letter,
        odd_in_u=letter == "U" or is_odd_in_u(column.name),
        notes=tuple(notes),
    )


def _hits_column(table: Table, name: str) -> TableColumn:
    found = [column for column in table.maps if is_hits(column.name)]
    if len(found) != 1:
        raise Refused(
            f"zero_hits: got 'bad', but table {table.label} of {name} has "
            f"{'several columns' if found else 'no column'} of hits "
            f"({', '.join(column.name for column in found or table.maps)})"
        )
    return found[0]


def _header_order(stated: object, how: Reading, name: str) -> str:
    if stated is None:
        if how.order is None:
            raise Refused(f"order: the header of {name} has no ORDERING, state RING or NESTED")
        return how.order
    found = {"RING": "RING", "NESTED": "NESTED", "NEST": "NESTED"}.get(str(stated).strip().upper())
    if found is None:
        raise Refused(f"{name}: the header says ORDERING {stated!r}, expected RING or NESTED")
    if not how.agrees_with(found):
        raise Refused(f"order: got {how.order!r}, but the header of {name} says {found!r}")
    return found


def _describe_beam(units: Any) -> dict[str, str | int | float]:
    """Collect keywords of a beam from all headers, and the names of extensions of one."""
    found: dict[str, str | int | float] = {}
    for unit in units:
        found |= {key: unit.header[key] for key in _BEAM_KEYWORDS if key in unit.header}
        name = str(unit.header.get("EXTNAME", ""))
        if "BEAM" in name.upper() or "WINDOW" in name.upper():
            found["HDU"] = name
    return found


def _number(stated: object) -> float | None:
    try:
        return None if stated is None else float(str(stated))
    except ValueError:
        return None
