"""The numbers of FITS columns, read in blocks of rows.

A row-wise table keeps the numbers of one map far apart. Read as a whole, or through a memory map
of which every page is touched, all columns would have to be held for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.io.fields import listed_pixels
from jaxscat.io.fits_tables import KINDS, Refused, Table, TableColumn

_BLOCK_BYTES = 1 << 22


class Numbers:
    """The values of a column on the full sky, NESTED: float64 [p], and where there are none [p]."""

    def __init__(self, npix: int) -> None:
        self.values: Float[np.ndarray, " p"] = np.zeros(npix)
        self.missing: Bool[np.ndarray, " p"] = np.zeros(npix, dtype=bool)


def read_numbers(
    table: Table, columns: Sequence[TableColumn], nside: int, order: str, *, name: str
) -> tuple[list[Numbers], Bool[np.ndarray, " p"] | None]:
    """Read columns of a table in one pass; also which pixels it lists, None for all.

    Raises `Refused` for columns that are no numbers or of another length, ValueError for pixel
    numbers that are none, and EOFError for a file that ends too early.
    """
    npix, pixel = 12 * nside**2, table.pixel
    for column in columns:
        if column.letter in KINDS:
            raise Refused(
                f"{name}: got {KINDS[column.letter]} values in column {column.name!r}, expected "
                "real numbers"
            )
        if column.repeat != table.pixels_per_row:
            raise Refused(
                f"{name}: got {column.repeat} pixels in a row of column {column.name!r}, expected "
                f"{table.pixels_per_row} as in the others"
            )
    if pixel is not None and pixel.letter not in "BIJKED":
        raise Refused(f"{name}: got pixel numbers in column {pixel.name!r} that are no numbers")
    found = [Numbers(npix) for _ in columns]
    listed = None if pixel is None else np.zeros(npix, dtype=bool)
    for first, rows in _read_rows(table):
        if pixel is None or listed is None:
            places = np.arange(first * columns[0].repeat, (first + len(rows)) * columns[0].repeat)
        else:
            places = listed_pixels(_physical(rows, pixel)[0], listed, name=name)
        if order == "RING":
            places = _ring_to_nested(nside, places)
        for column, numbers in zip(columns, found, strict=True):
            values, missing = _physical(rows, column)
            numbers.values[places], numbers.missing[places] = values, missing
    if listed is not None and order == "RING":
        listed = listed[_nested_to_ring(nside)]
    return found, listed


def describe_kind(column: TableColumn) -> str:
    """Name the type of the numbers of a column: of NumPy, "bool", or "scaled" integers."""
    if column.letter == "L":
        return "bool"
    if column.letter in "ED":
        return "float32" if column.letter == "E" else "float64"
    if column.scale not in (None, 1) or column.zero not in (None, 0, *_UNSIGNED):
        return "scaled"
    sign = "int" if column.letter == "B" and column.zero == -128 else "uint"
    plain = column.letter != "B" and column.zero in (None, 0)
    return f"{'int' if plain else sign}{8 * column.dtype.base.itemsize}"


# TZERO by which FITS writes integers with the other sign.
_UNSIGNED = (-128, 2**15, 2**31, 2**63)


def _read_rows(table: Table) -> Iterator[tuple[int, np.ndarray]]:
    """Read blocks of rows as bytes [n row_bytes], each with the number of its first row."""
    place = table.hdu.fileinfo()
    file = place["file"]
    size = max(_BLOCK_BYTES // max(table.row_bytes, 1), 1)
    for first in range(0, table.rows, size):
        count = min(size, table.rows - first)
        file.seek(place["datLoc"] + first * table.row_bytes)
        data = file.read(count * table.row_bytes)
        if len(data) < count * table.row_bytes:
            raise EOFError("the file is truncated")
        yield first, np.frombuffer(data, np.uint8).reshape(count, table.row_bytes)


def _physical(rows: np.ndarray, column: TableColumn) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a column in some rows, float64 [n], and which of them are undefined."""
    width = column.dtype.itemsize
    part = np.ascontiguousarray(rows[:, column.offset : column.offset + width])
    raw = part.view(column.dtype.base).reshape(-1)
    if column.letter == "L":
        return (raw == ord("T")).astype(np.float64), (raw != ord("T")) & (raw != ord("F"))
    missing = np.zeros(raw.size, bool) if column.null is None else raw == column.null
    values = raw.astype(np.float64)
    if column.scale is not None:
        values *= column.scale
    if column.zero is not None:
        values += column.zero
    return values, missing


def _ring_to_nested(nside: int, pixels: np.ndarray) -> np.ndarray:
    import healpy  # here, because importing it loads matplotlib

    return healpy.ring2nest(nside, pixels)


def _nested_to_ring(nside: int) -> np.ndarray:
    import healpy

    return healpy.nest2ring(nside, np.arange(12 * nside**2))
