"""Maps on HEALPix cells in zarr stores and netCDF files, read through xarray."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.column_names import is_hits, is_odd_in_u, read_frame, stokes_of
from jaxscat.io.fields import Field, listed_pixels
from jaxscat.io.fits_tables import Refused
from jaxscat.io.healpix_cells import Cells, find_cells
from jaxscat.io.requests import FieldRequest, Reading
from jaxscat.reasons import kind_and_reason

EXTRA = "needs xarray with zarr or h5netcdf: pip install 'jaxscat[xarray]'"


def read_xarray(
    path: Path, requests: Sequence[FieldRequest] | None, how: Reading, name: str
) -> list[Field]:
    """Read variables of a dataset on HEALPix cells; without requests its only one.

    Raises ValueError, which begins with `name` or an argument, for a file that cannot be read or
    has no HEALPix cells, and for requests that do not match it, and without xarray.
    """
    if how.hdu is not None or any(request.hdu is not None for request in requests or ()):
        raise ValueError(f"hdu: got one, but {name} has no tables, expected none")
    try:
        import xarray
    except ImportError as error:
        raise ValueError(f"{name}: {EXTRA}") from error
    engine = "zarr" if path.name.lower().endswith(".zarr") else None
    with warnings.catch_warnings():
        # Stores without consolidated metadata are read as well.
        warnings.filterwarnings("ignore", message=".*consolidated", category=RuntimeWarning)
        try:
            opened = xarray.open_dataset(path, engine=engine, decode_timedelta=False)
        except Exception as error:  # a damaged file can fail in any way
            if isinstance(error, ImportError) or "may not be installed" in str(error):
                raise ValueError(f"{name}: {EXTRA}") from error
            raise _unreadable(name, error) from error
        with opened as dataset:
            try:
                return _read_dataset(dataset, requests, how, name)
            except (Refused, MemoryError):
                raise
            except ValueError as error:
                if str(error).startswith((name, "order:", "select:")):
                    raise
                raise _unreadable(name, error) from error
            except Exception as error:
                raise _unreadable(name, error) from error


def _unreadable(name: str, error: BaseException) -> ValueError:
    return ValueError(
        f"{name}: cannot be read, expected a zarr store or netCDF file on HEALPix cells "
        f"({kind_and_reason(error)})"
    )


def _read_dataset(
    dataset: Any, requests: Sequence[FieldRequest] | None, how: Reading, name: str
) -> list[Field]:
    cells = find_cells(dataset, how, name)
    # Sorted, as stores list them in any order.
    variables = sorted(
        str(key)
        for key, variable in dataset.data_vars.items()
        if cells.dimension in variable.dims and variable.dtype.kind in "biufc"
    )
    if requests is None:
        polarized = {"Q", "U"} <= {stokes_of(key) for key in variables}
        known = [key for key in variables if stokes_of(key)]
        wanted = sorted(known, key=lambda key: stokes_of(key) or "") if polarized else [None]
        requests = [FieldRequest(key and stokes_of(key), key) for key in wanted]
    chosen = [_choose(variables, request, name) for request in requests]
    places, listed = _places(cells, name)
    hits = None
    if how.zero_hits == "bad":
        found = [key for key in variables if is_hits(key)]
        if len(found) != 1:
            raise Refused(f"zero_hits: got 'bad', but {name} has no variable of hits ({variables})")
        hits = _one_step(dataset[found[0]], cells.dimension, how.select, name)
    fields = []
    for key, wanted in chosen:
        variable = dataset[key]
        values = np.zeros(12 * cells.nside**2)
        values[places] = _one_step(variable, cells.dimension, how.select, name)
        missing = ~listed
        marks = {} if listed.all() else {"not listed": int(missing.sum())}
        if hits is not None:
            none = np.zeros(listed.size, dtype=bool)
            none[places] = ~(hits > 0)
            missing |= none
            marks |= {"zero hits": int(none.sum())} if none.any() else {}
        stokes = stokes_of(key)
        fields.append(
            Field(
                wanted or key,
                values,
                missing,
                _kind(variable),
                str(variable.attrs.get("units", "")).strip() or None,
                marks,
                None if listed.all() else ~listed,
                frame=read_frame(dataset.attrs.get("COORDSYS")),
                convention=_text(dataset.attrs.get("POLCCONV")),
                stokes=stokes,
                odd_in_u=is_odd_in_u(key),
                notes=cells.notes,
                order=cells.order,
            )
        )
    return fields


def _places(cells: Cells, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the NESTED pixel of every cell of the file, and which pixels [p] are listed."""
    npix = 12 * cells.nside**2
    listed = np.zeros(npix, dtype=bool)
    numbers = np.arange(npix) if cells.numbers is None else cells.numbers
    places = listed_pixels(numbers, listed, name=name)
    if cells.order == "NESTED":
        return places, listed
    import healpy  # here, because importing it loads matplotlib

    places = healpy.ring2nest(cells.nside, places)
    listed = np.zeros(npix, dtype=bool)
    listed[places] = True
    return places, listed


def _choose(variables: list[str], request: FieldRequest, name: str) -> tuple[str, str | None]:
    column = request.column
    expected = f"{name} has the variables {', '.join(variables)}"
    if not variables:
        raise Refused(f"{name}: got no variable of numbers on HEALPix cells, expected one")
    if column is None and len(variables) == 1:
        return variables[0], request.name
    if isinstance(column, str):
        if column in variables:
            return column, request.name
        alike = [key for key in variables if stokes_of(column) == stokes_of(key) is not None]
        if len(alike) == 1:
            return alike[0], request.name
    elif type(column) is int and 0 <= column < len(variables):
        return variables[column], request.name
    if column is None:
        raise Refused(f"field: {expected}, state one by name or by number from 0")
    raise Refused(f"field: got {column!r}, but {expected}")


def _one_step(
    variable: Any, dimension: str, select: Mapping[str, Any] | None, name: str
) -> np.ndarray:
    """Return a variable [n] over its cells, float64, at one place of all other dimensions."""
    for key, place in (select or {}).items():
        if key not in variable.dims or key == dimension:
            others = [str(other) for other in variable.dims if other != dimension]
            raise Refused(
                f"select: got {key!r}, expected one of the other dimensions of {variable.name!r} "
                f"({', '.join(others) or 'none'})"
            )
        try:
            number = isinstance(place, int) and not isinstance(place, bool)
            variable = variable.isel({key: place}) if number else variable.sel({key: place})
        except Exception as error:
            raise Refused(
                f"select: got {key} = {place!r}, expected a number from 0 to "
                f"{variable.sizes[key] - 1} or a coordinate"
            ) from error
    if variable.dtype.kind == "c":
        raise Refused(f"{name}: got complex values in {variable.name!r}, expected real numbers")
    left = {str(key): size for key, size in variable.sizes.items() if key != dimension}
    for key, size in left.items():
        if size != 1:
            raise Refused(
                f"select: {variable.name!r} of {name} has {size} steps of {key!r}, state one, such "
                f"as select = {{{key!r}: 0}} (--select {key}=0)"
            )
    return variable.squeeze(list(left)).to_numpy().astype(np.float64)


def _kind(variable: Any) -> str:
    """Name the type of the numbers; integers that xarray has scaled or masked are floats here."""
    return "bool" if variable.dtype.kind == "b" else str(variable.dtype)


def _text(stated: object) -> str | None:
    return None if stated is None else str(stated).strip().upper() or None
