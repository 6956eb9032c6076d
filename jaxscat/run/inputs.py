"""The maps and masks of a run or a measurement, read from files and datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jaxscat.datasets.registry import dataset_names, dataset_path
from jaxscat.io.masks import build_footprint
from jaxscat.io.precision import in_precision
from jaxscat.run.config import Config
from jaxscat.run.map_sources import NO_PLACE, MapPlace, Maps, MapSources, read_maps
from jaxscat.run.provenance import array_sha256, file_sha256


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
        place: where in its file it stands.
    """

    original: np.ndarray
    mask: np.ndarray | None
    source: str
    checksums: dict[str, str] = field(default_factory=dict)
    second: np.ndarray | None = None
    unit: str | None = None
    frame: str | None = None
    place: MapPlace = NO_PLACE

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
            self.place,
        )


def read_inputs(config: Config) -> Inputs:
    """Read the maps and the mask of a config, float64, NESTED, at the working nside.

    With `data.unseen` "mask" the mask leaves out what is missing in either map. The second map is
    taken to the original's resolution; what `[data]` says of the file holds for its file, too.

    Raises `ValueError` as `read_maps`, and for a map that `data.transform` cannot standardise.
    """
    inputs = read_untransformed(config)
    return transform_inputs(config, inputs, build_footprint(inputs.mask))


def read_untransformed(config: Config) -> Inputs:
    """Read maps and mask as `read_inputs`, but in the values of their files.

    Raises `ValueError` as `read_maps`.
    """
    sources = find_sources(config)
    maps = read_maps(sources)
    return Inputs(
        maps.map,
        maps.mask,
        str(sources.map),
        _checksums(sources, maps),
        maps.second,
        maps.unit,
        maps.frame,
        maps.place,
    )


def transform_inputs(config: Config, inputs: Inputs, weights: np.ndarray | None) -> Inputs:
    """Transform maps as `data.transform` says, by mean and spread under weights [p] or None.

    Raises `ValueError` for a map that cannot be standardised, or has no logarithm.
    """
    transform, second = config.data.transform, inputs.second
    if transform == "log":
        # It is taken where new maps are made, and taken back there; refused at once.
        take_logarithm(inputs.original, "data.transform")
        if second is not None:
            take_logarithm(second, "target.second")
    if transform in ("none", "log"):
        return inputs
    return replace(
        inputs,
        original=_transform(inputs.original, transform, weights),
        second=None if second is None else _transform(second, transform, weights),
        unit=None,
    )


def find_sources(config: Config) -> MapSources:
    """Return the sources of a config: its map, or the first of the files that stand for it."""
    data, target = config.data, config.target
    first = data.dataset or data.path or next(iter(config.channels.paths or ()), config.noise.first)
    assert first is not None  # the config has one of them
    return MapSources(
        # A path is made a Path, so that it is never taken for the name of a dataset.
        data.dataset or Path(first),
        target.second if target.second is None else dataset_or_path(target.second),
        None if target.mask is None else Path(target.mask),
        nside=data.nside,
        order=data.order,
        second_order=target.second_order,
        mask_order=target.mask_order,
        field=config.channels.fields[0] if config.channels.fields else data.field,
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


def dataset_or_path(name: str) -> str | Path:
    """Return the name of a dataset as it is, and all else as a path."""
    return name if name in dataset_names() else Path(name)


def _checksums(sources: MapSources, maps: Maps) -> dict[str, str]:
    """Compute SHA-256 of the maps as they are read, and of all files."""
    found = {"map": array_sha256(maps.map)} | file_checksum("map_file", sources.map)
    if sources.second is not None and maps.second is not None:
        found["second"] = array_sha256(maps.second)
        found |= file_checksum("second_file", sources.second)
    if sources.mask is not None:
        found["mask_file"] = file_sha256(sources.mask)
    return found


def file_checksum(name: str, place: str | Path) -> dict[str, str]:
    """Return the checksum of a map's file under a name; nothing for a map that is computed."""
    file = place if isinstance(place, Path) else dataset_path(place)
    return {} if file is None else {name: file_sha256(file)}


def take_logarithm(map: np.ndarray, name: str) -> np.ndarray:
    """Return the natural logarithm of a positive map [p], in its type.

    Raises `ValueError`, which begins with `name`, for values that are not positive.
    """
    low = int(np.count_nonzero(map <= 0))
    if low:
        raise ValueError(
            f"{name}: got 'log' for a map with {low} of {map.size} pixels that are not positive "
            f"(the smallest is {map.min():.6g}), expected positive values; a target.mask leaves "
            "pixels out, and synthesis.gaussianize = true takes any values"
        )
    return np.log(map.astype(np.float64)).astype(map.dtype)


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
