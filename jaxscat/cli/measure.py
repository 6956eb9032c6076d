"""From maps in files to coefficients with standard errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.formats import check_order
from jaxscat.io.maps import in_precision, load_map, load_map_and_mask
from jaxscat.io.masks import joint_mask, read_mask
from jaxscat.maps import npix_to_nside
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.progress import Observer
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.moments import ERROR_FORMULAS
from jaxscat.statistics.scattering import measure
from jaxscat.statistics.storage import StoredStatistics

_CHOICES = {
    "unseen": ("refuse", "mask"),
    "geometry": ("exact", "foscat"),
    "precision": ("float32", "float64"),
    "error_formula": ERROR_FORMULAS,
}

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class Measurement:
    """What is measured, and how.

    Attributes:
        map, second: files or names of datasets.
        nside: working nside; None keeps that of the file.
        mask: file of one mask or of several.
        order: "RING" or "NESTED", for maps and for a mask that is a `.npy` file.
        field: column of FITS files of maps, by number or by name.
        unseen: whether pixels without data are refused or become zeros of the mask ("mask").
        mask_threshold, both_triangles: as for `measure`.
        orientations, kernel_size, scales, geometry, precision: as for `build_pyramid`.
        error_formula: `formula` of `standard_error`.
    """

    map: str
    second: str | None = None
    nside: int | None = None
    mask: Path | None = None
    mask_threshold: float | None = None
    orientations: int = 4
    kernel_size: int = 3
    scales: int | None = None
    order: str | None = None
    field: int | str = 0
    unseen: str = "refuse"
    geometry: str = "exact"
    precision: str = "float32"
    error_formula: str = "pixels"
    both_triangles: bool = False

    def check(self) -> None:
        """Refuse, with a `ValueError`, what can be refused before anything is read."""
        check_order(self.order)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(choices)}"
                )
        if self.both_triangles and self.second is None:
            raise ValueError("both_triangles: got one map, expected a second one")
        if self.mask_threshold is not None and self.mask is None and self.unseen != "mask":
            raise ValueError("mask_threshold: got a number without a mask, expected a mask")

    @property
    def description(self) -> str:
        """The names of what is measured, for people, and what is unusual about how."""
        said = [self.map if self.second is None else f"{self.map} and {self.second}"]
        if self.mask is not None:
            said.append(f"mask {self.mask}")
        if self.mask_threshold is not None:
            said.append(f"threshold {self.mask_threshold:g}")
        if self.error_formula != "pixels":
            said.append(f"errors by {self.error_formula}'s formula")
        return ", ".join(said)


def check_output(
    name: str,
    path: Path,
    inputs: Sequence[str | Path | None],
    *,
    overwrite: bool = False,
    figure: bool = False,
) -> None:
    """Refuse a place for a new file before anything is computed for it.

    Raises `ValueError`, which begins with `name`, for a file that is there (unless `overwrite`),
    a folder that is not, one of the `inputs` and, for a figure, an unknown suffix.
    """
    if figure and path.suffix.lower() not in FIGURE_SUFFIXES:
        raise ValueError(
            f"{name}: got {str(path)!r}, expected a name that ends in {', '.join(FIGURE_SUFFIXES)}"
        )
    if any(given is not None and path.resolve() == Path(given).resolve() for given in inputs):
        raise ValueError(f"{name}: got {str(path)!r}, expected another file than the others")
    if not path.parent.is_dir():
        raise ValueError(f"{name}: got {str(path)!r}, but there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise ValueError(f"{name}: got {str(path)!r}, expected a file, not a folder")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{name}: got {str(path)!r}, but nothing can be written to its folder")
    if path.exists() and not overwrite:
        raise ValueError(f"{name}: {str(path)!r} exists, expected a new file (or --overwrite)")


def measure_files(
    measurement: Measurement, *, observer: Observer | None = None
) -> StoredStatistics:
    """Read maps and mask, and measure coefficients and their standard errors.

    Raises `ValueError` for all that `load_map`, `load_mask`, `build_pyramid` and `measure`
    refuse, and for maps and masks of different resolutions.
    """
    observer = observer or Observer()
    measurement.check()
    observer.stage(f"reading {measurement.description}")
    maps, mask = _read(measurement)
    observer.stage("building the wavelets")
    pyramid = build_pyramid(
        npix_to_nside(maps[0].size),
        orientations=measurement.orientations,
        kernel_size=measurement.kernel_size,
        scales=measurement.scales,
        dtype=np.dtype(measurement.precision),
        geometry=measurement.geometry,  # pyright: ignore[reportArgumentType]  # checked
        progress=observer.building,
    )
    options: dict[str, Any] = {
        "second": maps[1] if len(maps) > 1 else None,
        "mask": mask,
        "mask_threshold": measurement.mask_threshold,
        "both_triangles": measurement.both_triangles,
    }
    observer.stage("measuring")
    statistics = jax.block_until_ready(measure(maps[0], pyramid, **options))
    _check_range(statistics, measurement.precision)
    observer.stage("working out standard errors")
    errors = standard_error(
        maps[0],
        pyramid,
        **options,
        formula=measurement.error_formula,  # pyright: ignore[reportArgumentType]  # checked
    )
    errors = jax.block_until_ready(errors)
    return StoredStatistics(statistics, errors, pyramid.spec, measurement.description)


def _check_range(statistics: ScatteringCovariance, precision: str) -> None:
    """Refuse coefficients that are squares of numbers too large or too small for their type."""
    power = np.asarray(statistics.s2)
    finite = all(np.isfinite(group).all() for group in statistics.groups().values())
    lost = not power.any() and np.asarray(statistics.s1).any()
    if not finite or lost:
        raise ValueError(
            f"map: got numbers whose squares {precision} cannot hold, expected another unit or "
            "precision float64"
        )


def curves(name: str, statistics: ScatteringCovariance) -> dict[str, ScatteringCovariance]:
    """Return coefficients as the entries of a figure: one, or one for every mask."""
    if statistics.masks is None:
        return {name: statistics}
    return {
        f"{name}, mask {mask}": jax.tree.map(lambda group, mask=mask: group[mask], statistics)
        for mask in range(statistics.masks)
    }


def _read(measurement: Measurement) -> tuple[list[jax.Array], jax.Array | None]:
    """Return one map or two and the mask, in the precision of the measurement."""
    maps, mask = [], None
    for name, source in (("map", measurement.map), ("second", measurement.second)):
        if source is None:
            continue
        options: dict[str, Any] = {}
        if name == "map" or source not in dataset_names():  # a second dataset has its own order
            options = {"order": measurement.order, "field": measurement.field}
        present = None
        if measurement.unseen == "mask":
            map, present = load_map_and_mask(source, measurement.nside, **options)
        else:
            map = load_map(source, measurement.nside, **options)
        if maps and map.size != maps[0].size:
            raise ValueError(
                f"{name}: got {source!r} of nside {npix_to_nside(map.size)}, expected nside "
                f"{npix_to_nside(maps[0].size)} as the first map has (or a common working nside)"
            )
        if present is not None and (present < 1).any():
            mask = joint_mask(mask, present, name)
        maps.append(map)
    if measurement.mask is not None:
        given = read_mask(measurement.mask, measurement.nside, measurement.order)
        if given.shape[-1] != maps[0].size:
            raise ValueError(
                f"mask: got {str(measurement.mask)!r} of {given.shape[-1]} pixels, expected "
                f"{maps[0].size} as the map has"
            )
        mask = joint_mask(mask, given, "mask")
    precision = measurement.precision
    return (
        [
            jnp.asarray(in_precision(map, precision, name))
            for name, map in zip(("map", "second"), maps, strict=False)
        ],
        None if mask is None else jnp.asarray(mask.astype(precision)),
    )
