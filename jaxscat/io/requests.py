"""What is asked of a file of maps: which fields, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

Hdu = int | str
Column = int | str
Fields = Column | Sequence[Column] | Mapping[str, Column | tuple[Hdu, Column]]


class FieldRequest(NamedTuple):
    """One field of a file.

    Attributes:
        name: its name in the result; None for that in the file.
        column: number or name in the file, or a Stokes parameter; None for the only or first one.
        hdu: table of a FITS file, or None.
        only: whether there must be a single column where none is named.
    """

    name: str | None
    column: Column | None
    hdu: Hdu | None = None
    only: bool = False


@dataclass(frozen=True)
class Reading:
    """How a file of maps is read (see `load_sky`).

    With `header_first`, `order` is only used for files that do not state one, for an option that is
    meant for several files.
    """

    hdu: Hdu | None = None
    order: str | None = None
    zero_hits: Literal["data", "bad"] = "data"
    select: Mapping[str, Any] | None = None
    unit: str | None = None
    bad_data: float | None = None
    header_first: bool = False

    def agrees_with(self, order: str) -> bool:
        """Return whether a file may be in this order, as it states."""
        return self.header_first or self.order in (None, order)

    def __post_init__(self) -> None:
        if self.zero_hits not in ("data", "bad"):
            raise ValueError(f"zero_hits: got {self.zero_hits!r}, expected 'data' or 'bad'")
        if not isinstance(self.unit, str | None):
            raise ValueError(f"unit: got {self.unit!r}, expected text or None")
        real = isinstance(self.bad_data, int | float | np.number | None)
        if isinstance(self.bad_data, bool) or not real:
            raise ValueError(f"bad_data: got {self.bad_data!r}, expected a number or None")


def requested_fields(fields: Fields | None) -> list[FieldRequest] | None:
    """Return what `fields` of `load_sky` asks for; None for what the file has.

    Raises ValueError for anything but columns, distinct ones, and (table, column) by name.
    """
    if fields is None:
        return None
    if isinstance(fields, Mapping):
        found = []
        for name, place in fields.items():
            hdu, column = place if isinstance(place, tuple) and len(place) == 2 else (None, place)
            found.append(FieldRequest(_checked(name, "a name"), _checked(column), hdu))
        columns = [(request.hdu, request.column) for request in found]
    else:
        columns: Sequence[Any] = [fields]
        if isinstance(fields, Iterable) and not isinstance(fields, str):
            columns = list(fields)
        found = [FieldRequest(c if isinstance(c, str) else None, _checked(c)) for c in columns]
    if not found or len(set(columns)) != len(columns):
        raise ValueError(f"fields: got {fields!r}, expected one or more different columns")
    return found


def _checked(value: Any, expected: str = "a number from 0 or a name") -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"fields: got {value!r}, expected {expected} of a column")
    return value
