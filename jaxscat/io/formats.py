"""Maps as they stand in files of every format: `.npy`, HEALPix FITS, zarr, netCDF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from jaxscat.datasets.registry import dataset_names, find_dataset, load_dataset
from jaxscat.io.column_names import stokes_of
from jaxscat.io.fields import Field
from jaxscat.io.fits_maps import read_fits
from jaxscat.io.requests import FieldRequest, Reading
from jaxscat.io.xarray_maps import read_xarray
from jaxscat.maps import npix_to_nside, to_real
from jaxscat.reasons import kind_and_reason, reason_of

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
XARRAY_SUFFIXES = (".zarr", ".nc", ".nc4")


def map_suffixes() -> tuple[str, ...]:
    """Return how the names of files of maps end."""
    return (".npy", *FITS_SUFFIXES, *XARRAY_SUFFIXES)


def check_order(order: str | None) -> str | None:
    """Normalize a pixel order to "RING", "NESTED" or None; ValueError for anything else."""
    if order is None:
        return None
    if not isinstance(order, str) or order.upper() not in ("RING", "NESTED"):
        raise ValueError(f"order: got {order!r}, expected 'RING' or 'NESTED'")
    return order.upper()


def read_fields(
    source: str | os.PathLike[str],
    requests: Sequence[FieldRequest] | None,
    how: Reading,
    *,
    name: str,
) -> list[Field]:
    """Read maps of a dataset or a file, NESTED, each at its own nside.

    Raises ValueError, which begins with `name` or an argument, for a file that is missing, empty,
    damaged, pickled or of another kind, whose maps do not fit into memory (a list of a few pixels
    may be of any nside), and for requests that do not match it.
    """
    try:
        return _read_fields(source, requests, how, name)
    except MemoryError as error:
        raise ValueError(f"{name}: its maps do not fit into memory ({reason_of(error)})") from error


def _read_fields(
    source: str | os.PathLike[str],
    requests: Sequence[FieldRequest] | None,
    how: Reading,
    name: str,
) -> list[Field]:
    if isinstance(source, str) and source in dataset_names():
        if how.order == "RING":
            raise ValueError(f"order: got 'RING', expected 'NESTED' for dataset {source!r}")
        if find_dataset(source).stokes:
            return _read_stokes(source, requests, how)
        _check_single(requests, how, f"dataset {source!r} is one map")
        return [_array_field(load_dataset(source), requests)]
    path = find_file(source, name)
    if path.name.lower().endswith(".npy"):
        _check_single(requests, how, "a .npy file has no columns")
        values = read_npy(path, name)
        if values.ndim != 1:
            raise ValueError(
                f"{name}: got an array of shape {values.shape}, expected one map of shape (npix,)"
            )
        nested = to_nested(_as_numbers(values, name), how.order, name)
        return [replace(_array_field(nested, requests), order=how.order or "NESTED")]
    if path.name.lower().endswith(FITS_SUFFIXES):
        if how.select:
            raise ValueError(f"select: got {dict(how.select)!r}, but {name} has no dimensions")
        return read_fits(path, requests, how, name)
    return read_xarray(path, requests, how, name)


def find_file(source: Any, name: str) -> Path:
    """Return the path of a file of maps; ValueError if it is missing, empty or of another kind."""
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"source: got {type(source).__name__}, expected a file name or a dataset name"
        )
    path = Path(source)
    known = map_suffixes()
    if not path.name.lower().endswith(known):
        raise ValueError(
            f"source: got {str(source)!r}, expected a file that ends in {', '.join(known)} "
            f"or a dataset ({', '.join(dataset_names())})"
        )
    if path.name.lower().endswith(".zarr") and path.is_dir():
        return path
    if not path.is_file():
        raise ValueError(f"{name}: there is no such file")
    if path.stat().st_size == 0:
        raise ValueError(f"{name}: the file is empty")
    return path


def read_npy(path: Path, name: str) -> Shaped[np.ndarray, "*shape"]:
    """Read the array of a `.npy` file; ValueError if it is damaged, pickled or an archive."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(
            f"{name}: cannot be read, expected a whole .npy file of numbers, not pickled "
            f"({kind_and_reason(error)})"
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{name}: got a .npz archive, expected one .npy array")
    return array


def to_nested(
    values: Shaped[np.ndarray, "*M p"], order: str | None, name: str
) -> Shaped[np.ndarray, "*M p"]:
    """Reorder full-sky arrays of a file without a header: NESTED, unless `order` says RING."""
    nside = npix_to_nside(values.shape[-1], name=name)
    if order != "RING":
        return values
    import healpy  # here, because importing it loads matplotlib

    return values[..., healpy.nest2ring(nside, np.arange(12 * nside**2))]


def _read_stokes(source: str, requests: Sequence[FieldRequest] | None, how: Reading) -> list[Field]:
    """Read Stokes parameters of a dataset by name or number; the first where none is named."""
    names = find_dataset(source).stokes
    reason = f"dataset {source!r} has no tables or dimensions"
    _check_plain(how, reason)
    if requests is None:
        requests = [FieldRequest(None, name) for name in names]
    rows = []
    for request in requests:
        row: Any = 0 if request.column is None else request.column
        if isinstance(row, str):
            letter = stokes_of(row)
            row = names.index(letter) if letter in names else row
        _check_plain(replace(how, hdu=request.hdu), reason)
        if isinstance(row, bool) or row not in range(len(names)):
            raise ValueError(
                f"field: got {request.column!r}, expected {', '.join(names)} or a number from 0 to "
                f"{len(names) - 1} for dataset {source!r}"
            )
        rows.append(row)
    maps = load_dataset(source)
    fields = []
    for request, row in zip(requests, rows, strict=True):
        field = _array_field(maps[row], [request])
        field.name, field.stokes = request.name or names[row], names[row]
        field.convention, field.odd_in_u = "COSMO", names[row] == "U"
        fields.append(field)
    return fields


def _as_numbers(values: np.ndarray, name: str) -> np.ndarray:
    return values if values.dtype.kind == "b" else to_real(values, name=name)


def _array_field(values: np.ndarray, requests: Sequence[FieldRequest] | None) -> Field:
    name = requests[0].name if requests else None
    return Field(
        name or "map",
        values.astype(np.float64),
        np.zeros(values.size, dtype=bool),
        "bool" if values.dtype.kind == "b" else "float64",
    )


def _check_single(requests: Sequence[FieldRequest] | None, how: Reading, reason: str) -> None:
    """Refuse options that choose among several maps for a file of one."""
    for request in requests or ():
        if request.column not in (0, None):
            raise ValueError(f"field: got {request.column!r}, expected 0: {reason}")
    if len(requests or ()) > 1:
        raise ValueError(f"fields: got {len(requests or ())} of them, expected one: {reason}")
    _check_plain(how, reason)


def _check_plain(how: Reading, reason: str) -> None:
    """Refuse options about tables, dimensions and hits of a file that has none."""
    for option, value in (("hdu", how.hdu), ("select", how.select)):
        if value not in (None, {}):
            raise ValueError(f"{option}: got {value!r}, expected none: {reason}")
    if how.zero_hits != "data":
        raise ValueError(f"zero_hits: got {how.zero_hits!r}, expected 'data': {reason}")
