"""Reading and writing of maps, with conversion of pixel order, missing pixels and resolution."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxscat.datasets.registry import dataset_names, load_dataset
from jaxscat.io.formats import check_order, read_map_file
from jaxscat.maps import (
    UNSEEN,
    check_finite,
    check_flag,
    check_kind,
    check_map,
    check_mask,
    check_nside,
    check_path,
    large_mean,
    npix_to_nside,
    to_real,
    unseen_pixels,
)


def load_map(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str = 0,
    unseen: Literal["refuse", "mean"] = "refuse",
) -> Float[np.ndarray, " p"]:
    """Read one map from a file or a dataset, at a working nside.

    Args:
        source: a `.npy` file of shape (npix,), a HEALPix FITS file, or one of `dataset_names()`.
        nside: working nside, a power of two up to that of the map; pixels are averaged by
            `healpy.ud_grade`. The default is the nside of the map.
        order: pixel order of the file, "RING" or "NESTED". It must agree with the header of a
            FITS file, if that states one. `.npy` files do not, and are read as NESTED (the order
            of FOSCAT) by default.
        field: column of a FITS file, by index from 0 or by name.
        unseen: treatment of pixels without data (UNSEEN): "refuse" raises an error, "mean" sets
            them to the mean of the others. Use `load_map_and_mask` to mask them instead.

    Returns:
        float64 NESTED map of `12 nside^2` pixels, in the unit of the file.

    Raises:
        ValueError: a file that is missing, empty, damaged, pickled or of an unknown kind; an
            order that is unknown, missing or contradicts the header; a working nside above that
            of the map; or an invalid map (see `check_map`). Integer maps are converted with a
            UserWarning.

    Examples:
        >>> import jaxscat, numpy as np
        >>> np.save("map.npy", np.random.default_rng(0).normal(size=768))
        >>> map = jaxscat.load_map("map.npy", nside=4, order="RING")
        >>> map.shape, map.dtype.name
        ((192,), 'float64')

        Some maps have a name, for example `jaxscat.load_map("cosmic-web")`:

        >>> jaxscat.dataset_names()
        ('cosmic-web', 'lss')
    """
    if unseen not in ("refuse", "mean"):
        raise ValueError(
            f"unseen: got {unseen!r}, expected 'refuse' or 'mean' (a mask of the pixels without "
            "data comes from jaxscat.load_map_and_mask)"
        )
    values, name = _read(source, order, field)
    missing = int(unseen_pixels(values).sum())
    if missing and unseen == "refuse":
        raise ValueError(
            f"{name}: got {missing} of {values.size} pixels UNSEEN (without data), expected none; "
            "unseen = 'mask' (in Python load_map_and_mask) makes zeros of the mask of them, and "
            "unseen='mean' of load_map fills them"
        )
    return _grade(values, name, nside)[0]


def load_map_and_mask(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str = 0,
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Read one map, with a mask of its pixels without data (UNSEEN).

    Arguments and errors are those of `load_map`. Returns map and mask, both float64, NESTED, of
    shape (12 nside^2,). The mask is one where there are data and zero elsewhere. At a working
    nside below that of the map, the mask is the fraction of pixels with data and the map is their
    mean. Where the mask is zero, the map is the mean of all pixels with data, to avoid a step at
    the edge of the mask.
    """
    values, name = _read(source, order, field)
    return _grade(values, name, nside)


def load_mask(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str = 0,
) -> Float[np.ndarray, "*M p"]:
    """Read the weights of one mask, or of several from a `.npy` file of shape (masks, npix).

    Arguments are those of `load_map`, but datasets are not accepted. At a working nside below that
    of the mask, the weights are averaged. Returns float64 NESTED weights of shape (12 nside^2,) or
    (masks, 12 nside^2). Raises ValueError for files, orders and working nsides as `load_map`, and
    for an invalid mask (see `check_mask`).
    """
    name = f"mask {str(source)!r}"
    raw, found_order = read_map_file(source, check_order(order), field, name=name)
    weights = check_mask(raw, name=name).astype(np.float64)
    if found_order == "RING":
        weights = weights[..., _ring_pixels(npix_to_nside(weights.shape[-1]))]
    target = _working_nside(nside, weights.shape[-1], name)
    graded = np.stack([_ud_grade(one, target) for one in np.atleast_2d(weights)])
    return check_mask(graded.reshape(*weights.shape[:-1], -1), name=name)


def save_maps(
    path: str | os.PathLike[str],
    maps: Mapping[str, ArrayLike],
    *,
    units: str | None = None,
    header: Mapping[str, str | int | float] | None = None,
    overwrite: bool = False,
    dtype: Literal["float32", "float64"] = "float32",
) -> Path:
    """Write maps as the columns of one HEALPix FITS file, NESTED, atomically.

    `maps` holds NESTED maps of shape (npix,) by column name, all of one nside; `units` is the unit
    of every column, `header` holds keywords of the table, `dtype` is float32 or float64. Returns
    the path. Raises ValueError for a suffix other than `.fits` or `.fits.gz`, a missing folder, an
    existing file (unless `overwrite`), no maps, column names that are empty or differ only in case,
    and maps that are not real or differ in length.
    """
    import healpy  # here, because importing it loads matplotlib

    check_path(path)
    check_kind(maps, Mapping, "maps", "maps by name, as in {'original': map}")
    check_kind(units, str | None, "units", "text, or None")
    check_kind(header, Mapping | None, "header", "a dictionary, or None")
    check_flag(overwrite, "overwrite")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'float32' or 'float64'")
    path = Path(path)
    if not path.name.lower().endswith((".fits", ".fits.gz")):
        raise ValueError(f"path: got {str(path)!r}, expected a name that ends in .fits or .fits.gz")
    if not path.parent.is_dir():
        raise ValueError(f"path: got {str(path)!r}, but there is no folder {str(path.parent)!r}")
    if path.exists() and not overwrite:
        raise ValueError(f"path: {str(path)!r} exists, expected a new file (or overwrite=True)")
    names = list(maps)
    if not names or not all(names) or len({name.lower() for name in names}) != len(names):
        raise ValueError(f"maps: got the names {names}, expected one or more different ones")
    columns = [to_real(values, name=f"maps[{name!r}]") for name, values in maps.items()]
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1 or column.shape != columns[0].shape:
            raise ValueError(
                f"maps[{name!r}]: got shape {column.shape}, expected one map of "
                f"{columns[0].size} pixels as the first"
            )
    npix_to_nside(columns[0].size, name=f"maps[{names[0]!r}]")
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        healpy.write_map(
            partial,
            columns,
            nest=True,
            dtype=np.dtype(dtype),
            fits_IDL=False,
            column_names=names,
            column_units=units,
            extra_header=[(key, value) for key, value in (header or {}).items()],
            overwrite=True,
        )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _read(
    source: str | os.PathLike[str], order: str | None, field: int | str
) -> tuple[Float[np.ndarray, " p"], str]:
    """Read a float64 NESTED map, including UNSEEN pixels, and its name for error messages."""
    order = check_order(order)
    if isinstance(source, str) and source in dataset_names():
        if order == "RING":
            raise ValueError(f"order: got 'RING', expected 'NESTED' for dataset {source!r}")
        if field != 0:
            raise ValueError(f"field: got {field!r}, expected 0: dataset {source!r} is one map")
        return load_dataset(source), f"dataset {source!r}"
    name = f"map {str(source)!r}"
    raw, found_order = read_map_file(source, order, field, name=name)
    values = to_real(raw, name=name).astype(np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"{name}: got an array of shape {values.shape}, expected one map of shape (npix,)"
        )
    nside = npix_to_nside(values.size, name=name)
    check_finite(values, name=name, unseen=True)
    return values[_ring_pixels(nside)] if found_order == "RING" else values, name


def _grade(
    values: Float[np.ndarray, " p"], name: str, nside: int | None
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Return map and mask at the working nside; pixels without data are the mean of the others."""
    target = _working_nside(nside, values.size, name)
    missing = unseen_pixels(values)
    if missing.all():
        raise ValueError(f"{name}: got UNSEEN (without data) in every pixel, expected a map")
    graded = _ud_grade(np.where(missing, UNSEEN, values), target)
    mask = _ud_grade(np.where(missing, 0.0, 1.0), target)
    graded[mask == 0] = values[~missing].mean()
    return check_map(graded, name=name), mask


def _working_nside(nside: int | None, npix: int, name: str) -> int:
    own = npix_to_nside(npix, name=name)
    if nside is None:
        return own
    if check_nside(nside) > own:
        raise ValueError(f"nside: got {nside}, expected at most {own} as {name} has")
    return int(nside)


def _ud_grade(values: Float[np.ndarray, " p"], nside: int) -> Float[np.ndarray, " q"]:
    import healpy

    return healpy.ud_grade(values, nside, order_in="NESTED", order_out="NESTED")


def _ring_pixels(nside: int) -> np.ndarray:
    """Return the RING index of every NESTED pixel."""
    import healpy

    return healpy.nest2ring(nside, np.arange(12 * nside**2))


def in_precision(map: np.ndarray, precision: str, name: str) -> np.ndarray:
    """Convert a map [p] to a floating-point type, unless a large mean would cost float32 digits.

    Such a map stays as it is; what measures it takes the mean off (see `large_mean`).

    Raises `ValueError`, which begins with `name`, for values that overflow.
    """
    with np.errstate(over="ignore"):
        rounded = map.astype(precision)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"{name}: got values up to {np.abs(map).max():.3g}, which {precision} cannot hold, "
            "expected smaller ones or precision float64"
        )
    return map if rounded.dtype == np.float32 and large_mean(map) else rounded
