"""What is read for an experiment or a measurement: maps, masks, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.datasets.registry import dataset_names, dataset_path
from jaxscat.io.maps import load_map, load_map_and_mask
from jaxscat.io.masks import build_footprint, joint_mask, read_mask
from jaxscat.maps import npix_to_nside
from jaxscat.run.config import Config, DataConfig
from jaxscat.run.provenance import array_sha256, file_sha256


@dataclass(frozen=True)
class Inputs:
    """What a run reads: the original [p], the mask [p] or [M p] or None, and their origin.

    `second` is the map [p] together with which every map is measured, or None.
    """

    original: np.ndarray
    mask: np.ndarray | None
    source: str
    checksums: dict[str, str] = field(default_factory=dict)
    second: np.ndarray | None = None


def read_inputs(config: Config) -> Inputs:
    """Read the maps and the mask of an experiment, NESTED, float64, at the working nside.

    With `data.unseen` "mask" the mask leaves out what is missing in either map. The second map is
    taken to the original's resolution; `data.order` and `data.field` are those of its file, too.

    Raises `ValueError` for all that `load_map` and `load_mask` refuse, for a mask of another
    number of pixels than the map, and where no pixel with weight is left.
    """
    data = config.data
    source = data.dataset or data.path
    assert source is not None  # the config has exactly one of the two
    # A path is made a Path, so that it is never taken for the name of a dataset.
    place = data.dataset or Path(source)
    original, mask = _read(place, data, data.nside)
    checksums = {"map": array_sha256(original)} | _file_checksum("map_file", place)
    second = None
    if config.target.second is not None:
        name = config.target.second
        place = name if name in dataset_names() else Path(name)
        second, present = _read(place, data, npix_to_nside(original.size))
        mask = joint_mask(mask, present, f"target.second: {name!r}")
        checksums |= {"second": array_sha256(second)} | _file_checksum("second_file", place)
    if config.target.mask is not None:
        path = Path(config.target.mask)
        given = read_mask(path, data.nside, data.order)
        if given.shape[-1] != original.size:
            raise ValueError(
                f"target.mask: {str(path)!r} has {given.shape[-1]} pixels, "
                f"expected {original.size} as the map"
            )
        mask = joint_mask(mask, given, f"target.mask: {str(path)!r}")
        checksums["mask_file"] = file_sha256(path)
    if data.transform != "none":
        weights = build_footprint(mask)
        original = _transformed(original, data.transform, weights)
        second = None if second is None else _transformed(second, data.transform, weights)
    return Inputs(original, mask, source, checksums, second)


def _read(
    place: str | Path, data: DataConfig, nside: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a map and the mask of what is missing in it, None where nothing is."""
    options: dict[str, Any] = {}
    if isinstance(place, Path) or place == data.dataset:  # a second dataset has an order of its own
        options = {"order": data.order, "field": data.field}
    if data.unseen == "refuse":
        return load_map(place, nside, **options), None
    values, mask = load_map_and_mask(place, nside, **options)
    return values, None if mask.min() == 1.0 else mask


def _file_checksum(name: str, place: str | Path) -> dict[str, str]:
    """Return the checksum of a map's file under a name; nothing for a map that is computed."""
    file = place if isinstance(place, Path) else dataset_path(place)
    return {} if file is None else {name: file_sha256(file)}


def _transformed(map: np.ndarray, transform: str, weights: np.ndarray | None) -> np.ndarray:
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
