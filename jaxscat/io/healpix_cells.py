"""The HEALPix cells of a dataset of xarray, in the ways in which attributes describe them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxscat.io.fits_tables import Refused
from jaxscat.io.requests import Reading
from jaxscat.maps import is_nside

_COORDINATES = ("cell_ids", "cell_id", "healpix_index", "cell", "cells", "pix", "pixel", "ipix")
_DIMENSIONS = ("cells", "cell", "cell_ids", "healpix", "pix", "pixel", "ncells", "values")
_LEVELS = ("level", "refinement_level", "depth", "order", "resolution", "healpix_level")
_NSIDES = ("nside", "healpix_nside")
_SCHEMES = ("indexing_scheme", "healpix_order", "healpix_scheme", "ordering")


@dataclass(frozen=True)
class Cells:
    """The cells of a dataset.

    Attributes:
        dimension: the dimension that counts them.
        numbers: the pixel number [n] of every cell, or None if all pixels are there in order.
        nside: their resolution.
        order: "RING" or "NESTED".
        notes: what is unusual about them, in sentences.
    """

    dimension: str
    numbers: np.ndarray | None
    nside: int
    order: str
    notes: tuple[str, ...] = ()


def find_cells(dataset: Any, how: Reading, name: str) -> Cells:
    """Find the cells of a dataset by its attributes.

    These are looked for on the coordinate of pixel numbers (xdggs), on a grid mapping (CF and
    easy.gems) and in "dggs" of the dataset (the DGGS convention of zarr). Without a level, it
    follows from the number of cells, if all are there.

    Raises `Refused` where the cells, their resolution or their order cannot be told.
    """
    described = _describe(dataset, name)
    if described.get("compression") not in (None, "none"):
        raise Refused(
            f"{name}: got pixel numbers compressed by {described['compression']!r}, expected "
            "one for every cell"
        )
    coordinate = _find_coordinate(dataset, described)
    dimension = _find_dimension(dataset, described, coordinate, name)
    numbers = None if coordinate is None else np.asarray(dataset[coordinate].values)
    scheme = _find_order(described, how, name)
    count = int(dataset.sizes[dimension])
    nside = _find_nside(described, name)
    if nside is None:
        nside = math.isqrt(count // 12)
        whole = count == 12 * nside**2 and (numbers is None or numbers.max() < count)
        if not whole or not is_nside(nside):
            raise Refused(
                f"{name}: got {count} cells and no level, expected one or 12 nside^2 cells with "
                "nside a power of two"
            )
    if not is_nside(nside):
        raise Refused(f"{name}: got nside {nside}, expected a power of two")
    if numbers is None and count != 12 * nside**2:
        raise Refused(
            f"{name}: got {count} cells without pixel numbers (cell_ids), expected {12 * nside**2} "
            f"as nside {nside} means"
        )
    if numbers is not None and numbers.dtype.kind not in "iuf":
        raise Refused(f"{name}: got pixel numbers {coordinate!r} of {numbers.dtype}, no numbers")
    return Cells(dimension, numbers, nside, scheme, _note_ellipsoid(described))


def _describe(dataset: Any, name: str) -> dict[str, Any]:
    """Collect what all attributes say of the cells, by their names in any of the dialects."""
    found: dict[str, Any] = {}
    for key, variable in dataset.variables.items():
        attributes = variable.attrs
        grid = str(attributes.get("grid_name", "healpix"))
        if grid.lower() != "healpix":
            raise Refused(f"{name}: got cells {key!r} of the grid {grid!r}, expected healpix")
        if str(attributes.get("grid_name", "")).lower() == "healpix":
            found |= attributes | {"coordinate": str(key)}
            nest = attributes.get("nest")
            found.setdefault(
                "indexing_scheme", "ring" if str(nest) in ("False", "0", "false") else "nested"
            )
        elif str(attributes.get("grid_mapping_name", "")).lower() == "healpix":
            found |= attributes
        if attributes.get("standard_name") == "healpix_index":
            found["coordinate"] = str(key)
    stated = dataset.attrs.get("dggs")
    if isinstance(stated, Mapping):
        if stated.get("name", "healpix") != "healpix":
            raise Refused(f"{name}: got the grid {stated['name']!r}, expected healpix")
        found |= {key: value for key, value in stated.items() if key != "name"}
    return found


def _find_coordinate(dataset: Any, described: Mapping[str, Any]) -> str | None:
    stated = described.get("coordinate")
    for key in (stated, *_COORDINATES):
        if isinstance(key, str) and key in dataset.variables and dataset[key].ndim == 1:
            return key
    return None


def _find_dimension(
    dataset: Any, described: Mapping[str, Any], coordinate: str | None, name: str
) -> str:
    if coordinate is not None:
        return str(dataset[coordinate].dims[0])
    for key in (described.get("spatial_dimension"), *_DIMENSIONS):
        if key in dataset.sizes:
            return str(key)
    whole = [str(key) for key, size in dataset.sizes.items() if size % 12 == 0]
    whole = [key for key in whole if is_nside(math.isqrt(dataset.sizes[key] // 12))]
    whole = [
        key for key in whole if 12 * math.isqrt(dataset.sizes[key] // 12) ** 2 == dataset.sizes[key]
    ]
    if len(whole) == 1:
        return whole[0]
    raise Refused(
        f"{name}: got the dimensions {dict(dataset.sizes)}, expected one of HEALPix cells (cells, "
        "with a coordinate cell_ids); maps on a grid of latitude and longitude must be regridded"
    )


def _find_order(described: Mapping[str, Any], how: Reading, name: str) -> str:
    stated = next((described[key] for key in _SCHEMES if isinstance(described.get(key), str)), None)
    if stated is None:
        if how.order is None:
            raise Refused(
                f"order: the attributes of {name} have no indexing_scheme, state RING or NESTED"
            )
        return how.order
    known = {"ring": "RING", "nested": "NESTED", "nest": "NESTED"}
    found = known.get(stated.strip().lower())
    if found is None:
        raise Refused(
            f"{name}: the attributes say indexing_scheme {stated!r}, expected ring or nested; "
            "unique numbers (zuniq, nuniq) must be converted to nested ones first"
        )
    if not how.agrees_with(found):
        raise Refused(f"order: got {how.order!r}, but the attributes of {name} say {found!r}")
    return found


def _find_nside(described: Mapping[str, Any], name: str) -> int | None:
    for key, power in (*((k, True) for k in _LEVELS), *((k, False) for k in _NSIDES)):
        value = described.get(key)
        if value is None or isinstance(value, str):
            continue
        number = np.asarray(value)
        if (
            number.size != 1
            or number.item() != int(number.item())
            or not 0 <= number.item() < 2**30
        ):
            raise Refused(f"{name}: the attributes say {key} {value!r}, expected a whole number")
        whole = int(number.item())
        if power and whole > 29:
            raise Refused(f"{name}: the attributes say {key} {whole}, expected 0 to 29")
        return 2**whole if power else whole
    return None


def _note_ellipsoid(described: Mapping[str, Any]) -> tuple[str, ...]:
    """Say that cells are on an ellipsoid, which areas do not show, but shapes do a little."""
    stated = described.get("ellipsoid")
    shape = stated if isinstance(stated, Mapping) else {**described, "name": stated}
    name = str(shape.get("name") or described.get("reference_ellipsoid_name") or "")
    major = shape.get("semimajor_axis", shape.get("semi_major_axis"))
    minor = shape.get("semiminor_axis", shape.get("semi_minor_axis"))
    flattened = bool(shape.get("inverse_flattening"))
    differ = major is not None and minor is not None and float(major) != float(minor)
    named = bool(name) and name.lower() not in ("sphere", "unitsphere", "healpix", "none")
    if not (differ or flattened or (named and major == minor)):
        return ()
    return (
        f"the cells are on an ellipsoid ({name or 'not a sphere'}): pixels are taken as "
        "they are, of equal area by the authalic latitude; its difference from the geodetic one, "
        "up to 0.13 degrees, is not corrected",
    )
