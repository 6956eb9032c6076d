"""Reading of single maps and masks, at a working nside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from jaxscat.io.degrade import average_children
from jaxscat.io.fields import Field, mark_bad_pixels
from jaxscat.io.formats import check_order, find_file, read_fields, read_npy, to_nested
from jaxscat.io.pixel_order import warn_of_other_order
from jaxscat.io.requests import FieldRequest, Reading
from jaxscat.io.sky import Sky, read_sky, working_nside
from jaxscat.io.writing import save_maps as save_maps
from jaxscat.maps import check_map, check_mask, to_real


def load_map(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str | None = None,
    unseen: Literal["refuse", "mean"] = "refuse",
    hdu: int | str | None = None,
    unit: str | None = None,
    bad_data: float | None = None,
    zero_hits: Literal["data", "bad"] = "data",
    select: Mapping[str, Any] | None = None,
) -> Float[np.ndarray, " p"]:
    """Read one map from a file or a dataset, at a working nside.

    Args:
        source: a `.npy` file of shape (npix,), a HEALPix FITS file, a zarr store or netCDF file, or
            one of `dataset_names()`.
        nside: working nside, a power of two up to that of the map; pixels are averaged as by
            `healpy.ud_grade`. The default is the nside of the map.
        order: pixel order of the file, "RING" or "NESTED". It must agree with the header of a
            FITS file, if that states one. `.npy` files do not, and are read as NESTED (the order
            of FOSCAT) by default; a warning says so if the map is much smoother as RING. For
            arrays there is `from_healpy`.
        field: column of a FITS file or variable of a dataset, by index from 0 or by name, or a
            Stokes parameter; by default the first column, or the only variable.
        unseen: treatment of pixels without data (UNSEEN, NaN, ...): "refuse" raises an error,
            "mean" sets them to the mean of the others; `load_map_and_mask` masks them instead.
        hdu, unit, bad_data, zero_hits, select: as for `load_sky`, which also returns what the file
            says of its maps.

    Returns:
        float64 NESTED map of `12 nside^2` pixels, in the unit of the file or in `unit`.

    Raises:
        ValueError: a file that is missing, empty, damaged, pickled or of an unknown kind; an
            order that is unknown, missing or contradicts the header; a working nside above that
            of the map; or an invalid map (see `check_map`); and as `load_sky`. Integer maps are
            converted with a UserWarning.

    Examples:
        >>> import jaxscat, numpy as np
        >>> np.save("map.npy", np.random.default_rng(0).normal(size=768))
        >>> map = jaxscat.load_map("map.npy", nside=4, order="RING")
        >>> map.shape, map.dtype.name
        ((192,), 'float64')

        Some maps have a name, for example `jaxscat.load_map("cosmic-web")`:

        >>> jaxscat.dataset_names()
        ('cosmic-web', 'polarized-dust', 'lss')
    """
    if unseen not in ("refuse", "mean"):
        raise ValueError(
            f"unseen: got {unseen!r}, expected 'refuse' or 'mean' (a mask of the pixels without "
            "data comes from jaxscat.load_map_and_mask)"
        )
    how = Reading(hdu, check_order(order), zero_hits, select, unit, bad_data)
    sky = read_map(source, nside, field, how)
    if sky.bad_pixels and unseen == "refuse":
        raise ValueError(
            f"{sky.name}: got {sky.describe_bad_pixels()}, expected none; load_map_and_mask "
            "gives them weight zero in its mask, and unseen='mean' of load_map fills them"
        )
    return sky.map


def load_map_and_mask(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str | None = None,
    hdu: int | str | None = None,
    unit: str | None = None,
    bad_data: float | None = None,
    zero_hits: Literal["data", "bad"] = "data",
    select: Mapping[str, Any] | None = None,
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Read one map, with a mask of its pixels without data (UNSEEN, NaN, ...).

    Arguments and errors are those of `load_map`. Returns map and mask, both float64, NESTED, of
    shape (12 nside^2,). The mask is one where there are data and zero elsewhere. At a working
    nside below that of the map, the mask is the fraction of pixels with data and the map is their
    mean. Where the mask is zero, the map is the mean of all pixels with data, to avoid a step at
    the edge of the mask.
    """
    how = Reading(hdu, check_order(order), zero_hits, select, unit, bad_data)
    sky = read_map(source, nside, field, how)
    return sky.map, sky.coverage


def read_map(
    source: str | os.PathLike[str],
    nside: int | None,
    field: int | str | None,
    how: Reading,
) -> Sky:
    """Read one map with all that its file says of it; ValueError as `load_map`."""
    request = FieldRequest(field if isinstance(field, str) else None, field)
    sky = read_sky(source, nside, [request], how)
    if np.ptp(sky.map) == 0:
        check_map(sky.map, name=sky.name)  # says so; what else it checks is so already
    return sky


def load_mask(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    order: str | None = None,
    field: int | str | None = None,
    hdu: int | str | None = None,
    unseen: Literal["refuse", "zero"] = "refuse",
    bad_data: float | None = None,
    select: Mapping[str, Any] | None = None,
) -> Float[np.ndarray, "*M p"]:
    """Read the weights of one mask, or of several from a `.npy` file of shape (masks, npix).

    Arguments are those of `load_map`, but datasets are not accepted, and of a file with several
    columns or variables one must be chosen by `field`. Boolean masks become 0 and 1. Pixels that
    a partial-sky file does not list have weight zero, and so have with `unseen` "zero" those
    without data. At a working nside below that of the mask, the weights are averaged. Returns
    float64 NESTED weights of shape (12 nside^2,) or (masks, 12 nside^2). Raises ValueError for
    files, orders, fields, tables and working nsides as `load_map`, and for an invalid mask (see
    `check_mask`).
    """
    how = Reading(hdu, check_order(order), "data", select, None, bad_data)
    return read_weights(source, nside, field, how, unseen=unseen)[0]


def read_weights(
    source: str | os.PathLike[str],
    nside: int | None,
    field: int | str | None,
    how: Reading,
    *,
    unseen: str = "refuse",
) -> tuple[Float[np.ndarray, "*M p"], str | None]:
    """Read the weights of masks as `load_mask`, and the frame that their file states, or None."""
    if unseen not in ("refuse", "zero"):
        raise ValueError(f"unseen: got {unseen!r}, expected 'refuse' or 'zero'")
    name, shape = f"mask {str(source)!r}", ()
    path = find_file(source, name)
    if path.name.lower().endswith(".npy"):
        found, shape = _read_npy_masks(source, field, how, name)
    else:
        found = read_fields(path, [FieldRequest(None, field, only=True)], how, name=name)
    weights = [_weigh(one, unseen, how.bad_data, name) for one in found]
    warn_of_other_order(found, name)
    target = working_nside(nside, found[0].nside, name)
    checked = check_mask(np.stack(weights).reshape(*shape, -1), name=name)
    graded = [
        average_children(one, np.zeros(one.size, bool), target) for one in np.atleast_2d(checked)
    ]
    return check_mask(np.stack(graded).reshape(*shape, -1), name=name), found[0].frame


def _read_npy_masks(
    source: str | os.PathLike[str], field: int | str | None, how: Reading, name: str
) -> tuple[list[Field], tuple[int, ...]]:
    """Read the masks of a `.npy` file, and the shape of what comes before their pixels."""
    if field not in (0, None):
        raise ValueError(f"field: got {field!r}, expected 0: a .npy file has no columns")
    if how.hdu is not None or how.select:
        raise ValueError(
            f"hdu, select: got {how.hdu or how.select!r}, but a .npy file is one array"
        )
    values = read_npy(find_file(source, name), name)
    # No warning: masks of 0 and 1 are exact as floats.
    values = values.astype(np.float64) if values.dtype.kind in "biu" else to_real(values, name=name)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(
            f"{name}: got an array of shape {values.shape}, expected (npix,) or (masks, npix)"
        )
    rows = np.atleast_2d(to_nested(values, how.order, name)).astype(np.float64)
    nothing = np.zeros(rows.shape[-1], dtype=bool)
    order = how.order or "NESTED"
    fields = [Field("", row, nothing.copy(), "float64", order=order) for row in rows]
    return fields, values.shape[:-1]


def _weigh(one: Field, unseen: str, bad_data: float | None, name: str) -> np.ndarray:
    """Return the weights [p] of a mask of a file, without data only where that is allowed."""
    mark_bad_pixels(one, bad_data=bad_data, name=name)
    marks = {key: count for key, count in one.marks.items() if key != "not listed"}
    if marks and unseen == "refuse":
        text = " and ".join(f"{n} of {one.values.size} pixels {mark}" for mark, n in marks.items())
        raise ValueError(
            f"{name}: got {text} (without data), expected finite values; unseen='zero' of "
            "load_mask (data.unseen = 'mask', --unseen mask) gives them no weight"
        )
    one.values[one.missing] = 0.0
    return one.values
