"""The files and datasets that maps and masks are read from, and how they are read together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.agreement import check_same_frame, check_same_unit
from jaxscat.io.formats import check_order
from jaxscat.io.maps import read_map, read_weights
from jaxscat.io.masks import joint_coverage, joint_mask
from jaxscat.io.requests import Reading
from jaxscat.io.sky import Sky
from jaxscat.io.units import same_unit
from jaxscat.maps import cover_hidden, npix_to_nside


@dataclass(frozen=True)
class MapSources:
    """The files and datasets of a measurement, and how they are read.

    Attributes:
        map, second: a dataset, or the path of a file (see `load_map`); `second` may be None.
        mask: path of a file of one mask or of several, or None.
        nside: working nside; None keeps that of the map.
        order: "RING" or "NESTED", for the map; for a second map and a mask where their files state
            none and they have no order of their own.
        second_order, mask_order: those of the second map and of the mask, or None.
        field, hdu: column (or variable) and table of the map, by number or by name.
        second_field, second_hdu: those of the second map; None takes those of the map.
        mask_field, mask_hdu: those of the mask.
        unseen: "refuse" pixels without data, or give them weight zero in the "mask".
        hidden: what becomes of pixels without weight; unless they are to be "include"d, what stands
            there is replaced by the mean of the others.
        unit, bad_data, zero_hits, select: as for `load_sky`, for both maps; `bad_data` for the mask
            as well.
        downgrade_second: average a second map of a larger nside to that of the map, where it would
            be refused otherwise.
        section: prefix of the options `second` and `mask` in messages.
    """

    map: str | Path
    second: str | Path | None = None
    mask: Path | None = None
    nside: int | None = None
    order: str | None = None
    second_order: str | None = None
    mask_order: str | None = None
    field: int | str | None = None
    hdu: int | str | None = None
    second_field: int | str | None = None
    second_hdu: int | str | None = None
    mask_field: int | str | None = None
    mask_hdu: int | str | None = None
    unseen: str = "refuse"
    hidden: str = "exclude"
    unit: str | None = None
    bad_data: float | None = None
    zero_hits: Any = "data"
    select: Mapping[str, Any] | None = None
    downgrade_second: bool = False
    section: str = ""


@dataclass(frozen=True)
class MapPlace:
    """Where a map was found in its file: order, column or variable, table.

    They are None where there is none; a dataset has none of them.
    """

    order: str | None = None
    field: str | None = None
    hdu: int | None = None


NO_PLACE = MapPlace()


@dataclass(frozen=True)
class Maps:
    """One map [p] or two, and the mask [p] or [M p] or None; float64, NESTED.

    `unit` and `frame` are those that the file of the (first) map states, or None; `place` is where
    in its file it stands.
    """

    map: np.ndarray
    second: np.ndarray | None
    mask: np.ndarray | None
    unit: str | None = None
    frame: str | None = None
    place: MapPlace = NO_PLACE


def read_maps(sources: MapSources) -> Maps:
    """Read maps and masks at the working nside; what is missing in any of them is masked.

    Warns where two maps lack different pixels.

    Raises `ValueError` for all that `load_map` and `load_mask` refuse, for a second map or a mask
    of another number of pixels or another frame than the map, a second map in another unit of the
    same quantity, and where no pixel with weight is left. Units of different quantities are warned
    about.
    """
    sky, mask = read_source(sources.map, sources, sources.nside)
    map = sky.map
    second = None
    if sources.second is not None:
        name = f"{sources.section}second"
        own = npix_to_nside(map.size) if sources.downgrade_second else sources.nside
        other, present = read_source(sources.second, sources, own, first=False)
        second = other.map
        check_same_frame(sky.frame, other.frame, f"{name}: got {other.name}")
        check_same_unit(sky.unit, other.unit, f"{name}: got {other.name}")
        if second.size != map.size:
            raise ValueError(
                f"{name}: got {str(sources.second)!r} of nside {npix_to_nside(second.size)}, "
                f"expected nside {npix_to_nside(map.size)} as the first map has (or a common "
                "working nside)"
            )
        if not _hide_alike(mask, present):
            warnings.warn(
                f"{name}: lacks other pixels than the first map; those that both have are used",
                stacklevel=2,
            )
        mask = joint_coverage(mask, present, name)
    missing = 0 if mask is None else int(np.sum(mask == 0))
    if sources.mask is not None:
        name = f"{sources.section}mask"
        order = check_order(sources.mask_order or sources.order)
        how = Reading(sources.mask_hdu, order, bad_data=sources.bad_data, header_first=True)
        given, frame = read_weights(
            sources.mask,
            sources.nside,
            sources.mask_field,
            how,
            unseen="zero" if sources.unseen == "mask" else "refuse",
        )
        check_same_frame(sky.frame, frame, f"{name}: got {str(sources.mask)!r}")
        if given.shape[-1] != map.size:
            raise ValueError(
                f"{name}: got {str(sources.mask)!r} of {given.shape[-1]} pixels, expected "
                f"{map.size} as the map has"
            )
        mask = joint_mask(mask, given, name)
    if missing and sources.hidden == "include":
        option = f"{sources.section}hidden"
        raise ValueError(
            f"{option}: got 'include' for maps with {missing} pixels without data, which cannot be "
            "read, expected 'exclude', 'interior' or 'patch'"
        )
    if mask is not None and sources.hidden != "include":
        map = cover_hidden(map, mask)
        second = None if second is None else cover_hidden(second, mask)
    return Maps(map, second, mask, sky.unit, sky.frame, find_place(sources.map, sky))


def find_place(source: str | Path, sky: Sky) -> MapPlace:
    """Return where a single map was found in its file."""
    if source in dataset_names():
        return NO_PLACE
    named = not str(source).lower().endswith(".npy")  # which is one array without a name
    return MapPlace(sky.order, next(iter(sky.maps)) if named else None, sky.hdu)


@dataclass(frozen=True)
class Beside:
    """What a map must have in common with the one that it goes with.

    Attributes:
        sources: how files are read.
        nside: of the map.
        unit, frame: of the map, or None where its file does not state them.
    """

    sources: MapSources
    nside: int
    unit: str | None
    frame: str | None


def read_beside(
    source: str | Path,
    beside: Beside,
    option: str,
    *,
    field: int | str | None = None,
    hdu: int | str | None = None,
    same_quantity: bool = True,
    average: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a map that goes with another one, and the mask of its pixels with data.

    Args:
        source: a dataset, or the path of a file, which is read as the other one is.
        beside: the other one.
        option: name of the setting, for messages.
        field, hdu: its own column and table, or None for those of the other.
        same_quantity: refuse another unit, as far as both are stated.
        average: average a map of a larger nside.

    Returns:
        float64 NESTED map [p], and its mask, or None where no pixel is missing.

    Raises:
        ValueError: it is of a smaller nside, of another frame or unit, or cannot be read.
    """
    how = replace(beside.sources, second_field=field, second_hdu=hdu, section="target.")
    sky, present = read_source(source, how, None, first=False)
    said = f"{option}: got {sky.name}"
    if sky.nside < beside.nside or (sky.nside > beside.nside and not average):
        larger = " or larger" if average else ""
        raise ValueError(
            f"{said} of nside {sky.nside}, expected nside {beside.nside}{larger} as the data have"
        )
    if sky.nside > beside.nside:
        sky, present = read_source(source, how, beside.nside, first=False)
    check_same_frame(beside.frame, sky.frame, said)
    if same_quantity and not same_unit(beside.unit, sky.unit):
        raise ValueError(
            f"{said} in {sky.unit!r}, expected {beside.unit!r} as the data (data.unit converts K, "
            "mK and uK)"
        )
    return sky.map, present


def _hide_alike(mask: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Say whether two masks [p] hide the same pixels; None hides none."""
    first, second = ([] if one is None else np.flatnonzero(one == 0) for one in (mask, other))
    return np.array_equal(first, second)


def read_source(
    source: str | Path, how: MapSources, nside: int | None, *, first: bool = True
) -> tuple[Sky, np.ndarray | None]:
    """Read a map [p] and the mask of the pixels with data, None where none is missing."""
    if not first and source in dataset_names():
        # It has an order of its own, and no marks or units.
        reading, column = Reading(), how.second_field
    else:
        column, hdu = how.field, how.hdu
        zero_hits, select = how.zero_hits, how.select
        if not first:
            if str(source).lower().endswith(".npy"):  # it is one array
                column, hdu, zero_hits, select = None, None, "data", None
            column = column if how.second_field is None else how.second_field
            hdu = hdu if how.second_hdu is None else how.second_hdu
        order = check_order(how.order if first else how.second_order or how.order)
        stated = order, zero_hits, select, how.unit, how.bad_data
        reading = Reading(hdu, *stated, header_first=not first)
    sky = read_map(source, nside, column, reading)
    if sky.bad_pixels and how.unseen == "refuse":
        option = "data.unseen = 'mask' (--data.unseen mask)" if how.section else "--unseen mask"
        raise ValueError(
            f"{sky.name}: got {sky.describe_bad_pixels()}, expected none; {option} gives "
            "them weight zero"
        )
    return sky, None if sky.coverage.min() == 1.0 else sky.coverage
