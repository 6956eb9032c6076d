"""What an experiment reads: the original, the mask, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxscat.config import Config
from jaxscat.datasets import dataset_path
from jaxscat.io import load_map, load_map_and_mask, load_mask
from jaxscat.provenance import array_sha256, file_sha256


@dataclass(frozen=True)
class Inputs:
    """What a run reads: the original [p], the mask [p] or [M p] or None, and their origin."""

    original: np.ndarray
    mask: np.ndarray | None
    source: str
    checksums: dict[str, str] = field(default_factory=dict)


def read_inputs(config: Config) -> Inputs:
    """Read the original and the mask of an experiment, NESTED, float64, at the working nside.

    Raises `ValueError` for all that `load_map` and `load_mask` refuse and for a mask of another
    number of pixels than the map.
    """
    data = config.data
    source = data.dataset or data.path
    assert source is not None  # the config has exactly one of the two
    # A path is made a Path, so that it is never taken for the name of a dataset.
    place = data.dataset or Path(source)
    if data.unseen == "mask":
        original, mask = load_map_and_mask(place, data.nside, order=data.order, field=data.field)
        mask = None if mask.all() and mask.min() == 1.0 else mask
    else:
        original = load_map(place, data.nside, order=data.order, field=data.field)
        mask = None
    checksums = {"map": array_sha256(original)}
    file = Path(source) if data.dataset is None else dataset_path(data.dataset)
    if file is not None:
        checksums["map_file"] = file_sha256(file)
    if config.target.mask is not None:
        path = Path(config.target.mask)
        given = load_mask(path, data.nside)
        if given.shape[-1] != original.size:
            raise ValueError(
                f"target.mask: {str(path)!r} has {given.shape[-1]} pixels, "
                f"expected {original.size} as the map"
            )
        mask = given if mask is None else mask * given
        checksums["mask_file"] = file_sha256(path)
    if data.transform == "standardise":
        weights = footprint_of(mask)
        mean = np.average(original, weights=weights)
        original = (original - mean) / np.sqrt(np.average((original - mean) ** 2, weights=weights))
    return Inputs(original, mask, source, checksums)


def footprint_of(mask: np.ndarray | None) -> np.ndarray | None:
    """The union of all masks, where the control has to have the original's spectrum."""
    return None if mask is None else np.atleast_2d(mask).max(axis=0)
