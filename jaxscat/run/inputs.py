"""The maps and masks of a run or a measurement, read from files and datasets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.datasets.registry import dataset_names, dataset_path
from jaxscat.io.agreement import check_same_frame, check_same_unit
from jaxscat.io.formats import check_order
from jaxscat.io.maps import read_map, read_weights
from jaxscat.io.masks import build_footprint, joint_mask
from jaxscat.io.precision import in_precision
from jaxscat.io.requests import Reading
from jaxscat.io.sky import Sky
from jaxscat.maps import cover_hidden, npix_to_nside
from jaxscat.run.config import Config
from jaxscat.run.provenance import array_sha256, file_sha256


@dataclass(frozen=True)
class MapSources:
    """The files and datasets of a measurement, and how they are read.

    Attributes:
        map, second: a dataset, or the path of a file (see `load_map`); `second` may be None.
        mask: path of a file of one mask or of several, or None.
        nside: working nside; None keeps that of the map.
        order: "RING" or "NESTED", for the map; for a second map and a mask where their files state
            none.
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
class Maps:
    """One map [p] or two, and the mask [p] or [M p] or None; float64, NESTED.

    `unit` and `frame` are those that the file of the (first) map states, or None.
    """

    map: np.ndarray
    second: np.ndarray | None
    mask: np.ndarray | None
    unit: str | None = None
    frame: str | None = None


def read_maps(sources: MapSources) -> Maps:
    """Read maps and masks at the working nside; what is missing in any of them is masked.

    Warns where two maps lack different pixels.

    Raises `ValueError` for all that `load_map` and `load_mask` refuse, for a second map or a mask
    of another number of pixels or another frame than the map, a second map in another unit of the
    same quantity, and where no pixel with weight is left. Units of different quantities are warned
    about.
    """
    sky, mask = _read_map(sources.map, sources, sources.nside)
    map = sky.map
    second = None
    if sources.second is not None:
        name = f"{sources.section}second"
        own = npix_to_nside(map.size) if sources.downgrade_second else sources.nside
        other, present = _read_map(sources.second, sources, own, first=False)
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
        mask = joint_mask(mask, present, name)
    missing = 0 if mask is None else int(np.sum(mask == 0))
    if sources.mask is not None:
        name = f"{sources.section}mask"
        order = check_order(sources.order)
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
    return Maps(map, second, mask, sky.unit, sky.frame)


def _hide_alike(mask: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Say whether two masks [p] hide the same pixels; None hides none."""
    first, second = ([] if one is None else np.flatnonzero(one == 0) for one in (mask, other))
    return np.array_equal(first, second)


@dataclass(frozen=True)
class Inputs:
    """The maps of a run and where they come from.

    Attributes:
        original: the original map [p], NESTED.
        mask: the mask [p] or masks [M p], or None.
        source: the dataset or the file of the original.
        checksums: SHA-256 of maps and files, by name.
        second: the map [p] together with which every map is measured, or None.
        unit: the unit of the original, or None if its file does not state it.
        frame: its coordinate frame "G", "C" or "E", or None likewise.
    """

    original: np.ndarray
    mask: np.ndarray | None
    source: str
    checksums: dict[str, str] = field(default_factory=dict)
    second: np.ndarray | None = None
    unit: str | None = None
    frame: str | None = None

    def in_precision(self, precision: str) -> Inputs:
        """Convert maps and masks to a floating-point type.

        Raises `ValueError` for values that the type cannot hold.
        """
        second = self.second
        return Inputs(
            in_precision(self.original, precision, "data"),
            None if self.mask is None else self.mask.astype(precision),
            self.source,
            self.checksums,
            None if second is None else in_precision(second, precision, "target.second"),
            self.unit,
            self.frame,
        )


def read_inputs(config: Config) -> Inputs:
    """Read the maps and the mask of a config, float64, NESTED, at the working nside.

    With `data.unseen` "mask" the mask leaves out what is missing in either map. The second map is
    taken to the original's resolution; what `[data]` says of the file holds for its file, too.

    Raises `ValueError` as `read_maps`, and for a map that `data.transform` cannot standardise.
    """
    data, target = config.data, config.target
    source = data.dataset or data.path
    assert source is not None  # the config has exactly one of the two
    sources = MapSources(
        # A path is made a Path, so that it is never taken for the name of a dataset.
        data.dataset or Path(source),
        target.second if target.second is None else _dataset_or_path(target.second),
        None if target.mask is None else Path(target.mask),
        nside=data.nside,
        order=data.order,
        field=data.field,
        hdu=data.hdu,
        second_field=target.second_field,
        second_hdu=target.second_hdu,
        mask_field=target.mask_field,
        mask_hdu=target.mask_hdu,
        unseen=data.unseen,
        hidden=target.hidden,
        unit=data.unit,
        bad_data=data.bad_data,
        zero_hits=data.zero_hits,
        select=data.select,
        downgrade_second=True,
        section="target.",
    )
    maps = read_maps(sources)
    original, second = maps.map, maps.second
    checksums = _checksums(sources, maps)
    if data.transform != "none":
        weights = build_footprint(maps.mask)
        original = _transform(original, data.transform, weights)
        second = None if second is None else _transform(second, data.transform, weights)
    unit = maps.unit if data.transform == "none" else None
    return Inputs(original, maps.mask, source, checksums, second, unit, maps.frame)


def _dataset_or_path(name: str) -> str | Path:
    return name if name in dataset_names() else Path(name)


def _read_map(
    source: str | Path, how: MapSources, nside: int | None, *, first: bool = True
) -> tuple[Sky, np.ndarray | None]:
    """Read a map [p] and the mask of the pixels with data, None where none is missing."""
    if not first and source in dataset_names():
        # It has an order of its own, and no marks or units.
        reading, column = Reading(), None
    else:
        column, hdu = how.field, how.hdu
        zero_hits, select = how.zero_hits, how.select
        if not first:
            if str(source).lower().endswith(".npy"):  # it is one array
                column, hdu, zero_hits, select = None, None, "data", None
            column = column if how.second_field is None else how.second_field
            hdu = hdu if how.second_hdu is None else how.second_hdu
        order = check_order(how.order)
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


def _checksums(sources: MapSources, maps: Maps) -> dict[str, str]:
    """Compute SHA-256 of the maps as they are read, and of all files."""
    found = {"map": array_sha256(maps.map)} | _file_checksum("map_file", sources.map)
    if sources.second is not None and maps.second is not None:
        found["second"] = array_sha256(maps.second)
        found |= _file_checksum("second_file", sources.second)
    if sources.mask is not None:
        found["mask_file"] = file_sha256(sources.mask)
    return found


def _file_checksum(name: str, place: str | Path) -> dict[str, str]:
    """Return the checksum of a map's file under a name; nothing for a map that is computed."""
    file = place if isinstance(place, Path) else dataset_path(place)
    return {} if file is None else {name: file_sha256(file)}


def _transform(map: np.ndarray, transform: str, weights: np.ndarray | None) -> np.ndarray:
    """Return a map [p] in units of its standard deviation, or the exponential of that."""
    mean = np.average(map, weights=weights)
    spread = np.sqrt(np.average((map - mean) ** 2, weights=weights))
    if not spread > 0:
        raise ValueError(
            f"data.transform: got {transform!r} for a map with one value in all pixels that have "
            "weight, expected a map that varies"
        )
    standardised = (map - mean) / spread
    if transform != "exp":
        return standardised
    # What a mask hides may be anything; its exponential could not be held.
    seen = standardised if weights is None else standardised[weights > 0]
    return np.exp(np.clip(standardised, seen.min(), seen.max()))
