"""The tables of a HEALPix FITS file: which of them hold maps, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxscat.io.column_names import PIXEL, are_numbered, stokes_of
from jaxscat.maps import npix_to_nside

_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")
_TYPES = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_BYTES = {"A": 1, "C": 8, "M": 16, "P": 8, "Q": 16}
KINDS = {"C": "complex", "M": "complex", "A": "text", "X": "bits", "P": "lists", "Q": "lists"}
# Keywords that only tables of maps have.
_SIGNS = ("PIXTYPE", "ORDERING", "NSIDE")


class Refused(ValueError):
    """A valid file without the requested contents."""


@dataclass(frozen=True)
class TableColumn:
    """A column of a FITS table, as its header describes it.

    Attributes:
        name: TTYPE, or empty.
        letter: type code of TFORM.
        repeat: elements in each row.
        offset: bytes from the beginning of a row.
        unit, scale, zero, null: TUNIT, TSCAL, TZERO and TNULL; None where there is none.
    """

    name: str
    letter: str
    repeat: int
    offset: int
    unit: str | None
    scale: float | None
    zero: float | None
    null: int | float | None

    @property
    def dtype(self) -> np.dtype:
        """The numbers of one row."""
        return np.dtype((_TYPES[self.letter], (self.repeat,)))


class Table:
    """A binary table of a FITS file (an HDU of astropy) as a table of maps."""

    def __init__(self, hdu: Any, number: int, primary: Any) -> None:
        self.hdu, self.number, self.header, self.primary = hdu, number, hdu.header, primary
        self.rows, self.row_bytes = int(self.header["NAXIS2"]), int(self.header["NAXIS1"])
        self.columns = _read_columns(self.header)

    @property
    def name(self) -> str:
        """EXTNAME, or empty."""
        return str(self.header.get("EXTNAME", "")).strip()

    @cached_property
    def pixel(self) -> TableColumn | None:
        """The column of pixel numbers, of a table that lists its pixels; else None.

        A column named PIXEL is that, wherever it stands; otherwise the first one, if the header
        says that pixels are listed (INDXSCHM, or without it OBJECT).
        """
        for column in self.columns:
            if column.name.strip().upper() == PIXEL:
                return column
        scheme = str(self.header.get("INDXSCHM", "")).strip().upper()
        partial = "PARTIAL" in str(self.header.get("OBJECT", "")).upper()
        listed = scheme.startswith("EXPLICIT") or (not scheme and partial)
        return self.columns[0] if listed and self.columns else None

    @cached_property
    def maps(self) -> list[TableColumn]:
        """All columns but that of pixel numbers."""
        return [column for column in self.columns if column is not self.pixel]

    @property
    def pixels_per_row(self) -> int:
        """Pixels of a map in every row: the elements of the first column of numbers."""
        numbers = (one.repeat for one in (self.pixel, *self.maps) if one and one.letter in _TYPES)
        return next(numbers, 1)

    def find_nside(self, name: str) -> int:
        """Return the nside; `Refused` for a table without maps or that contradicts its header."""
        ordering = str(self.header.get("ORDERING", "")).strip().upper()
        unique = any(column.name.strip().upper() == "UNIQ" for column in self.columns)
        if ordering == "NUNIQ" or unique:
            raise Refused(
                f"{name}: the header says ORDERING {ordering or 'NUNIQ'!r}, expected RING or "
                "NESTED; maps of several resolutions must be brought to one nside first"
            )
        if not self.maps:
            raise Refused(f"{name}: table {self.label} has no column of values")
        stated, found = self.header.get("NSIDE"), self.rows * self.pixels_per_row
        if stated is None:
            if self.pixel is not None:
                raise Refused(
                    f"{name}: table {self.label} lists its pixels, but its header has no NSIDE, "
                    "expected one"
                )
            return npix_to_nside(found, name=name)
        if isinstance(stated, bool) or not isinstance(stated, int | float) or stated != int(stated):
            raise Refused(f"{name}: the header says NSIDE {stated!r}, expected a power of two")
        nside = npix_to_nside(12 * int(stated) ** 2, name=name)
        if self.pixel is None and found != 12 * nside**2:
            raise Refused(
                f"{name}: the header says NSIDE {nside}, which means {12 * nside**2} pixels, but "
                f"table {self.label} has {found}"
            )
        if self.pixel is not None and found > 12 * nside**2:
            raise Refused(
                f"{name}: the header says NSIDE {nside}, which means at most {12 * nside**2} "
                f"pixels, but table {self.label} lists {found}"
            )
        return nside

    def state(self, *keys: str) -> Any:
        """Return what the header, or else the primary header, states under one of the keywords."""
        for header in (self.header, self.primary):
            for key in keys:
                if str(header.get(key, "")).strip():
                    return header[key]
        return None

    @property
    def holds_maps(self) -> bool:
        """Whether there is an nside that fits the table."""
        try:
            return self.find_nside("") > 0
        except ValueError:
            return False

    @property
    def is_cut_sky(self) -> bool:
        """Whether it is a table of one Stokes parameter: pixel numbers and their SIGNAL."""
        return self.pixel is not None and self.maps[0].name.upper() == "SIGNAL"

    @property
    def has_signs(self) -> bool:
        """Whether the header has keywords that only maps have."""
        return any(key in self.header for key in _SIGNS)

    @property
    def label(self) -> str:
        """Number and name of the table."""
        return f"{self.number} {self.name!r}" if self.name else str(self.number)

    def describe(self) -> str:
        """Number, name, length and columns, for messages."""
        names = [column.name or f"column {i}" for i, column in enumerate(self.columns)]
        shown = ", ".join(names[:6] + ["..."] * (len(names) > 6))
        return f"{self.label} ({self.rows} rows: {shown})"


def _read_columns(header: Any) -> tuple[TableColumn, ...]:
    columns, offset = [], 0
    for number in range(1, int(header["TFIELDS"]) + 1):
        found = _FORMAT.match(str(header[f"TFORM{number}"]).strip())
        if found is None:
            raise Refused(f"TFORM{number}: got {header[f'TFORM{number}']!r}, expected a FITS type")
        letter, repeat = found.group(2), int(found.group(1) or 1)
        unit = str(header.get(f"TUNIT{number}", "")).strip() or None
        columns.append(
            TableColumn(
                str(header.get(f"TTYPE{number}", "")).strip(),
                letter,
                repeat,
                offset,
                unit,
                *(header.get(f"{key}{number}") for key in ("TSCAL", "TZERO", "TNULL")),
            )
        )
        size = _BYTES.get(letter) or np.dtype(_TYPES.get(letter, "u1")).itemsize
        offset += (repeat + 7) // 8 if letter == "X" else repeat * size
    return tuple(columns)


def choose_table(
    tables: Sequence[Table], hdu: int | str | None, column: object, name: str
) -> Table:
    """Choose the table that is meant by `hdu`, or without it the only one that holds maps.

    A `column` that is a name helps to tell several apart. `Refused` where none or several are left.
    """
    listed = "; ".join(table.describe() for table in tables) or "none"
    if isinstance(hdu, bool) or not isinstance(hdu, int | str | None):
        raise Refused(f"hdu: got {hdu!r}, expected a number or a name")
    if hdu is not None:
        found = [table for table in tables if hdu == table.number]
        if isinstance(hdu, str):
            found = [table for table in tables if table.name.lower() == hdu.strip().lower()]
        if len(found) != 1:
            raise Refused(
                f"hdu: got {hdu!r}, {'which several are' if found else 'expected one'} of the "
                f"tables of {name}: {listed}"
            )
        return found[0]
    maps = map_tables(tables)
    if len(maps) > 1 and isinstance(column, str):
        having = [t for t in maps if column.lower() in (c.name.lower() for c in t.maps)]
        maps = having or maps
    if len(maps) == 1:
        return maps[0]
    if not maps and len(tables) == 1:
        return tables[0]  # what is wrong with it is said when it is read
    if not tables:
        raise Refused(f"{name}: expected a HEALPix table in an extension, got none")
    what = "has several tables of maps" if maps else "has no table of 12 nside^2 rows"
    raise Refused(f"hdu: {name} {what}, state one by number or by name: {listed}")


def map_tables(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that hold maps; those that say so, if any does."""
    maps = [table for table in tables if table.holds_maps]
    return [table for table in maps if table.has_signs] or maps


def choose_column(table: Table, column: int | str, name: str) -> TableColumn:
    """Choose a column of maps by number from 0 or by name; `Refused` if there is none."""
    names = [one.name for one in table.maps]
    expected = (
        f"expected a name or a number from 0 of the {len(names)} columns of {name} "
        f"({', '.join(names)})"
    )
    if isinstance(column, str):
        found = [one for one in table.maps if one.name.lower() == column.strip().lower() != ""]
        if len(found) > 1:
            raise Refused(f"field: got {column!r}, which several columns are named; {expected}")
        if found:
            return found[0]
    elif type(column) is int and 0 <= column < len(names):
        return table.maps[column]
    raise Refused(f"field: got {column!r}, {expected}")


def find_stokes(
    tables: Sequence[Table], letter: str, name: str, *, unnamed: bool = True
) -> tuple[Table, TableColumn] | None:
    """Find the column of the Stokes parameter "I", "Q" or "U" in the tables of maps, or None.

    It is known by the name of the column; as the SIGNAL of a cut-sky file, by the name of its table
    or the order of the three; or, if columns may be `unnamed`, by its place in a table of three or
    more without names. `Refused` where several columns are.
    """
    maps = map_tables(tables)
    found = [(t, c) for t in maps for c in t.maps if stokes_of(c.name) == letter]
    if not found and any(stokes_of(table.name) for table in maps):
        found = [(t, t.maps[0]) for t in maps if stokes_of(t.name) == letter and t.is_cut_sky]
    elif not found and len(maps) == 3 and all(table.is_cut_sky for table in maps):
        table = maps["IQU".index(letter)]
        found = [(table, table.maps[0])]
    elif unnamed and not found and len(maps) == 1 and len(maps[0].maps) >= 3:
        table = maps[0]
        if are_numbered([column.name for column in table.maps]):
            found = [(table, table.maps["IQU".index(letter)])]
    if len(found) > 1:
        places = ", ".join(f"{column.name} in table {table.label}" for table, column in found)
        raise Refused(f"field: got {letter!r}, which {name} has several times ({places})")
    return found[0] if found else None
