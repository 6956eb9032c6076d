"""The command `measure`: from maps in files to coefficients with standard errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

from jaxscat.io.formats import check_order
from jaxscat.io.maps import in_precision
from jaxscat.maps import npix_to_nside
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.progress import Observer
from jaxscat.run.inputs import MapSources, read_maps
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
class MeasureOptions:
    """The arguments and options of `jaxscat measure`.

    Attributes:
        map, second: files or names of datasets.
        output: file for the coefficients.
        nside: working nside; None keeps that of the file.
        mask: file of one mask or of several.
        mask_threshold, both_triangles: as for `measure`.
        orientations, kernel_size, scales, geometry, precision: as for `build_pyramid`.
        order: "RING" or "NESTED", for maps and for a mask that is a `.npy` file.
        field: column of FITS files of maps, by number or by name.
        unseen: "refuse" pixels without data, or make them zeros of the "mask".
        error_formula: `formula` of `standard_error`.
        figure: file for a figure of the coefficients, or None.
        overwrite: whether output and figure may replace files.
    """

    map: Annotated[str, typer.Argument(metavar="MAP", help="A .npy or FITS file, or a dataset.")]
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the coefficients (.npz).")
    ]
    second: Annotated[str | None, typer.Option(help="Measure both maps together.")] = None
    nside: Annotated[int | None, typer.Option(help="Working nside; default the map's.")] = None
    mask: Annotated[Path | None, typer.Option(help="Weights of the pixels.")] = None
    mask_threshold: Annotated[
        float | None, typer.Option(help="Ignore coarse pixels with no more weight than this.")
    ] = None
    orientations: Annotated[int, typer.Option(help="Number of orientations.")] = 4
    kernel_size: Annotated[int, typer.Option(help="Side of the kernel, pixels.")] = 3
    scales: Annotated[int | None, typer.Option(help="Number of scales; default all.")] = None
    order: Annotated[str | None, typer.Option(help="RING or NESTED.")] = None
    field: Annotated[str, typer.Option(help="Column of a FITS file, number or name.")] = "0"
    unseen: Annotated[str, typer.Option(help="Pixels without data: refuse or mask.")] = "refuse"
    geometry: Annotated[str, typer.Option(help="exact or foscat.")] = "exact"
    precision: Annotated[str, typer.Option(help="float32 or float64.")] = "float32"
    error_formula: Annotated[str, typer.Option(help="pixels or foscat.")] = "pixels"
    both_triangles: Annotated[
        bool, typer.Option("--both-triangles", help="S4 of two maps with j1 > j2 too.")
    ] = False
    figure: Annotated[Path | None, typer.Option(help="Draw them (.png, .pdf, .svg).")] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False

    def check(self) -> None:
        """Refuse options that are wrong before anything is read, with a `ValueError`."""
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
        inputs = [self.map, self.second, self.mask]
        check_output("output", self.output, inputs, overwrite=self.overwrite)
        if self.figure is not None:
            inputs.append(self.output)
            check_output("figure", self.figure, inputs, overwrite=self.overwrite, figure=True)

    @property
    def sources(self) -> MapSources:
        """The maps and masks to read."""
        return MapSources(
            self.map,
            self.second,
            self.mask,
            nside=self.nside,
            order=self.order,
            field=int(self.field) if self.field.isdecimal() else self.field,
            unseen=self.unseen,
        )

    @property
    def description(self) -> str:
        """The names of the maps, for people, and unusual options."""
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
    """Refuse the path of a new file before anything is computed for it.

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


def measure_files(options: MeasureOptions, *, observer: Observer | None = None) -> StoredStatistics:
    """Read maps and mask, and measure coefficients and their standard errors.

    Raises `ValueError` as `read_maps`, `build_pyramid` and `measure`, and for values that the
    precision cannot hold.
    """
    observer, precision = observer or Observer(), options.precision
    observer.stage(f"reading {options.description}")
    found = read_maps(options.sources)
    map: Any = in_precision(found.map, precision, "map")
    second = found.second
    how: dict[str, Any] = {
        "second": None if second is None else in_precision(second, precision, "second"),
        "mask": found.mask,
        "mask_threshold": options.mask_threshold,
        "both_triangles": options.both_triangles,
    }
    observer.stage("building the wavelets")
    pyramid = build_pyramid(
        npix_to_nside(map.size),
        orientations=options.orientations,
        kernel_size=options.kernel_size,
        scales=options.scales,
        dtype=np.dtype(precision),
        geometry=options.geometry,  # pyright: ignore[reportArgumentType]  # checked
        progress=observer.building,
    )
    observer.stage("measuring")
    statistics = jax.block_until_ready(measure(map, pyramid, **how))
    _check_range(statistics, precision)
    observer.stage("working out standard errors")
    formula: Any = options.error_formula  # checked
    errors = jax.block_until_ready(standard_error(map, pyramid, **how, formula=formula))
    return StoredStatistics(statistics, errors, pyramid.spec, options.description)


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


def split_masks(name: str, statistics: ScatteringCovariance) -> dict[str, ScatteringCovariance]:
    """Split coefficients into the entries of a figure: one, or one for every mask."""
    if statistics.masks is None:
        return {name: statistics}
    return {
        f"{name}, mask {mask}": jax.tree.map(lambda group, mask=mask: group[mask], statistics)
        for mask in range(statistics.masks)
    }
