"""Reading of `.npy` and HEALPix FITS files, without conversions."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from jaxscat.datasets.registry import dataset_names

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")


def check_order(order: str | None) -> str | None:
    """Normalize a pixel order to "RING", "NESTED" or None; ValueError for anything else."""
    if order is None:
        return None
    if not isinstance(order, str) or order.upper() not in ("RING", "NESTED"):
        raise ValueError(f"order: got {order!r}, expected 'RING' or 'NESTED'")
    return order.upper()


def read_map_file(
    source: str | os.PathLike[str], order: str | None, field: int | str, *, name: str
) -> tuple[np.ndarray, str]:
    """Read the array of a `.npy` file or one column of a FITS file, and its pixel order.

    `order` is "RING", "NESTED" or None for that of the file (`.npy`: NESTED). The array has the
    dtype of the file and is not reordered. Raises ValueError, which begins with `name` or the
    argument, for a file that is missing, empty, damaged, pickled or of another kind, and for an
    `order` or `field` that does not match the file.
    """
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"source: got {type(source).__name__}, expected a file name or a dataset name"
        )
    path = Path(source)
    suffix = path.name.lower()
    if not suffix.endswith((".npy", *FITS_SUFFIXES)):
        raise ValueError(
            f"source: got {str(source)!r}, expected a file that ends in .npy, "
            f"{', '.join(FITS_SUFFIXES)} or a dataset ({', '.join(dataset_names())})"
        )
    if not path.is_file():
        raise ValueError(f"{name}: there is no such file")
    if path.stat().st_size == 0:
        raise ValueError(f"{name}: the file is empty")
    if suffix.endswith(".npy"):
        if field != 0:
            raise ValueError(f"field: got {field!r}, expected 0: a .npy file has no columns")
        return _read_npy(path, name), order or "NESTED"
    return _read_fits(path, order, field, name)


def _read_npy(path: Path, name: str) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(
            f"{name}: cannot be read, expected a whole .npy file of numbers, not pickled "
            f"({_reason(error)})"
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{name}: got a .npz archive, expected one .npy array")
    return array


def _read_fits(
    path: Path, order: str | None, field: int | str, name: str
) -> tuple[np.ndarray, str]:
    import healpy  # here, because importing it loads matplotlib
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*truncated.*")
        try:
            with fits.open(path, memmap=False) as units:
                table = units[1] if len(units) > 1 else None
                if not isinstance(table, fits.BinTableHDU):
                    raise _Refused(f"{name}: expected a HEALPix table in the first extension")
                header = table.header
                order = _header_order(header.get("ORDERING"), order, name)
                column = _column_number(field, _columns(table), name)
                values = healpy.read_map(units, field=column, nest=None)  # pyright: ignore
                return np.asarray(values), order
        except _Refused:
            raise
        except Exception as error:  # a damaged file can fail in any way
            raise ValueError(
                f"{name}: cannot be read, expected a whole HEALPix FITS file ({_reason(error)})"
            ) from error


class _Refused(ValueError):
    """A valid file without the requested contents."""


def _header_order(stated: object, order: str | None, name: str) -> str:
    if stated is None:
        if order is None:
            raise _Refused(f"order: the header of {name} has no ORDERING, state RING or NESTED")
        return order
    found = {"RING": "RING", "NESTED": "NESTED", "NEST": "NESTED"}.get(str(stated).strip().upper())
    if found is None:
        raise _Refused(f"{name}: the header says ORDERING {stated!r}, expected RING or NESTED")
    if order not in (None, found):
        raise _Refused(f"order: got {order!r}, but the header of {name} says {found!r}")
    return found


def _columns(table: object) -> list[str]:
    """Return the names of the map columns; the first column of partial skies is pixel indices."""
    header, names = table.header, list(table.columns.names)  # pyright: ignore
    partial = "PARTIAL" in str(header.get("OBJECT")) or "EXPLICIT" in str(header.get("INDXSCHM"))
    return names[1:] if partial else names


def _column_number(field: int | str, columns: list[str], name: str) -> int:
    lowered = [column.lower() for column in columns]  # FITS names are case-insensitive
    if isinstance(field, str) and field.lower() in lowered:
        return lowered.index(field.lower())
    if type(field) is int and 0 <= field < len(columns):
        return field
    raise _Refused(
        f"field: got {field!r}, expected a name or a number from 0 of the {len(columns)} "
        f"columns of {name} ({', '.join(columns)})"
    )


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
