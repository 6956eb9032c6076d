"""Writing of maps to HEALPix FITS files, zarr stores and netCDF files."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxscat.io.archive import new_file
from jaxscat.io.column_names import is_odd_in_u, stokes_of
from jaxscat.io.polarization import name_stokes_columns
from jaxscat.io.xarray_writing import write_xarray
from jaxscat.maps import (
    UNSEEN,
    check_flag,
    check_kind,
    check_path,
    npix_to_nside,
    to_real,
    unseen_pixels,
)

_SUFFIXES = (".fits", ".fits.gz", ".zarr", ".nc")
_OWN = {
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP"),
    *("END", "GROUPS", "BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "ZTABLE", "ZIMAGE"),
    *("PIXTYPE", "ORDERING", "NSIDE", "FIRSTPIX", "LASTPIX", "INDXSCHM", "OBJECT", "GRAIN"),
    *("BAD_DATA", "COORDSYS", "POLCCONV", "POLAR", "EXTNAME", "OBS_NPIX"),
}
_OWN_NUMBERED = re.compile(r"(NAXIS|T(TYPE|FORM|UNIT|SCAL|ZERO|NULL|DISP|DIM|BCOL))\d+")


def save_maps(
    path: str | os.PathLike[str],
    maps: Mapping[str, ArrayLike],
    *,
    units: str | Mapping[str, str | None] | None = None,
    header: Mapping[str, str | int | float] | None = None,
    overwrite: bool = False,
    frame: str | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    polarization: Literal["COSMO"] | None = None,
) -> Path:
    """Write maps as the columns of one HEALPix FITS file, NESTED, atomically.

    A path that ends in `.zarr` or `.nc` gives a zarr store or a netCDF file with the variables on
    HEALPix cells (needs `jaxscat[xarray]`).

    Args:
        path: file to write, ending in `.fits`, `.fits.gz`, `.zarr` or `.nc`.
        maps: NESTED maps of shape (npix,) by column name, all of one nside. Pixels that are NaN,
            UNSEEN or masked (`numpy.ma`) have no data: they are written as UNSEEN, or as NaN to
            zarr and netCDF. Q and U are COSMO, and the header says so.
        units: unit of all columns, or of some by name.
        header: further keywords of the table, or attributes.
        overwrite: replace a file that is there.
        frame: "G", "C" or "E" for COORDSYS, or None to say nothing.
        dtype: float32 or float64.
        polarization: "COSMO" to write one Q, one U and, if it is there, one I, whatever they are
            called ("T", "TEMPERATURE", ...), as the first columns I_STOKES, Q_STOKES and U_STOKES
            of a polarized map (POLAR).

    Returns:
        The path.

    Raises:
        ValueError: another suffix, a missing folder, an existing file (unless `overwrite`), no
            maps, column names that are empty or differ only in case, maps that are not real, differ
            in length, are infinite or too large for the `dtype`, units of other columns, an unknown
            frame, keywords that the format sets itself, and with `polarization` no Q or U, several
            of one Stokes parameter, or different units of them.

    Source: `docs/map-files.md`, "Writing".
    """
    check_path(path)
    check_kind(maps, Mapping, "maps", "maps by name, as in {'original': map}")
    check_kind(units, str | Mapping | None, "units", "text, texts by name, or None")
    check_kind(header, Mapping | None, "header", "a dictionary, or None")
    check_flag(overwrite, "overwrite")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'float32' or 'float64'")
    path = Path(path)
    _check_path(path, overwrite)
    names = list(maps)
    texts = all(isinstance(name, str) and name for name in names)
    if not names or not texts or len({name.lower() for name in names}) != len(names):
        raise ValueError(f"maps: got the names {names}, expected one or more different ones")
    columns = {name: _prepare(values, dtype, f"maps[{name!r}]") for name, values in maps.items()}
    first = columns[names[0]]
    for name, column in columns.items():
        if column.shape != first.shape:
            raise ValueError(
                f"maps[{name!r}]: got shape {column.shape}, expected one map of "
                f"{first.size} pixels as the first"
            )
    npix_to_nside(first.size, name=f"maps[{names[0]!r}]")
    if frame not in (None, "G", "C", "E"):
        raise ValueError(f"frame: got {frame!r}, expected 'G', 'C' or 'E'")
    given = units if isinstance(units, Mapping) else dict.fromkeys(names, units)
    if set(given) - set(names):
        raise ValueError(f"units: got units of {', '.join(set(given) - set(names))}, no columns")
    for name, unit in given.items():
        if not isinstance(unit, str | None):
            raise ValueError(f"units: got {unit!r} for {name}, expected text or None")
    _check_header(header or {})
    if polarization not in (None, "COSMO"):
        raise ValueError(f"polarization: got {polarization!r}, expected 'COSMO' or None")
    if polarization is not None:
        renamed = name_stokes_columns(names, given)
        columns = {new: columns[old] for old, new in renamed.items()}
        given = {new: given.get(old) for old, new in renamed.items()}
    if path.name.lower().endswith((".zarr", ".nc")):
        known = {"COORDSYS": frame} if frame else {}
        write_xarray(path, columns, given, {**(header or {}), **known})
    else:
        _check_texts([*columns, *given.values(), *(header or {}), *(header or {}).values()])
        with new_file(path) as file:
            _write_fits(file, path, columns, given, dict(header or {}), frame, polarization)
    return path


def _check_path(path: Path, overwrite: bool) -> None:
    if not path.name.lower().endswith(_SUFFIXES):
        raise ValueError(
            f"path: got {str(path)!r}, expected a name that ends in {', '.join(_SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise ValueError(f"path: got {str(path)!r}, but there is no folder {str(path.parent)!r}")
    if path.is_dir() and not path.name.lower().endswith(".zarr"):
        raise ValueError(f"path: got {str(path)!r}, which is a folder, expected a file")
    if path.exists() and not overwrite:
        raise ValueError(f"path: {str(path)!r} exists, expected a new file (or overwrite=True)")


def _prepare(values: ArrayLike, dtype: str, name: str) -> Float[np.ndarray, " p"]:
    """Return a map in its type on disk, NaN where it has no data."""
    bad = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else False
    real = to_real(np.ma.getdata(values) if np.ma.isMaskedArray(values) else values, name=name)
    if real.ndim != 1:
        raise ValueError(f"{name}: got shape {real.shape}, expected one map of shape (npix,)")
    bad = bad | unseen_pixels(real)
    if (np.isinf(real) & ~bad).any():
        raise ValueError(f"{name}: got {np.isinf(real).sum()} pixels infinite, expected numbers")
    with np.errstate(over="ignore"):
        column = np.where(bad, np.nan, real).astype(dtype)
    if np.isinf(column).any():
        raise ValueError(f"{name}: got values up to {np.nanmax(np.abs(real)):.3g}, beyond {dtype}")
    return column


def _check_header(header: Mapping[str, Any]) -> None:
    for key, value in header.items():
        if not isinstance(key, str) or not isinstance(value, str | int | float | np.number | None):
            raise ValueError(f"header: got {key!r} = {value!r}, expected text and text or a number")
        plain = key.strip().upper().removeprefix("HIERARCH").strip()
        if plain in _OWN or _OWN_NUMBERED.fullmatch(plain):
            raise ValueError(
                f"header: got {key!r}, which the format sets itself, expected other keywords "
                "(units and frame are arguments)"
            )


def _to_ascii(unit: str | None) -> str | None:
    """Return a unit as FITS writes it: micro is u."""
    return unit and unit.replace("µ", "u").replace("μ", "u")


def _check_texts(texts: Iterable[object]) -> None:
    """Refuse names, units and keywords that do not fit into a line of a FITS header."""
    for text in texts:
        plain = _to_ascii(text) if isinstance(text, str) else None
        if plain is not None and (
            not plain.isascii() or not plain.isprintable() or len(plain) > 60
        ):
            raise ValueError(
                f"maps, units, header: got {text!r}, expected up to 60 printable ASCII characters"
            )


def _write_fits(
    file: IO[bytes],
    path: Path,
    columns: Mapping[str, np.ndarray],
    units: Mapping[str, str | None],
    header: dict[str, str | int | float],
    frame: str | None,
    polarization: str | None,
) -> None:
    from astropy.io import fits

    size = next(iter(columns.values())).size
    incomplete = any(np.isnan(column).any() for column in columns.values())
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name,
                "E" if column.dtype == np.float32 else "D",
                unit=_to_ascii(units.get(name)),
                array=np.where(np.isnan(column), UNSEEN, column),
            )
            for name, column in columns.items()
        ]
    )
    own = {
        "PIXTYPE": ("HEALPIX", "HEALPix pixels"),
        "ORDERING": ("NESTED", "order of the pixels"),
        "NSIDE": (npix_to_nside(size), "resolution"),
        "FIRSTPIX": (0, "first pixel, from 0"),
        "LASTPIX": (size - 1, "last pixel, from 0"),
        "INDXSCHM": ("IMPLICIT", "all pixels in order"),
        "OBJECT": ("FULLSKY", "coverage"),
        "EXTNAME": ("MAPS", "name of this table"),
    }
    if incomplete:
        own["BAD_DATA"] = (UNSEEN, "value of pixels without data")
    if frame is not None:
        own["COORDSYS"] = (frame, "galactic G, celestial C, ecliptic E")
    if any(is_odd_in_u(name) or stokes_of(name) == "Q" for name in columns):
        own["POLCCONV"] = ("COSMO", "convention of the sign of U")
    if polarization is not None:
        own["POLAR"] = (True, "the columns begin with Stokes parameters")
    table.header.update(cast(Any, own) | header)
    units_of_file = fits.HDUList([fits.PrimaryHDU(), table])
    with ExitStack() as stack:
        if path.name.lower().endswith(".gz"):
            # No time and no name inside, so that equal maps make equal files.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast(IO[bytes], stack.enter_context(packed))
        units_of_file.writeto(_Stream(file))


class _Stream:
    """An open file as astropy writes to it, in whatever mode it was opened."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write, self.flush, self.tell = file.write, file.flush, file.tell
