"""The command `measure`: from maps in files to coefficients with standard errors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer

from jaxscat.cli.outputs import check_output
from jaxscat.io.formats import check_order
from jaxscat.io.masks import build_footprint
from jaxscat.io.precision import in_precision
from jaxscat.maps import npix_to_nside, seen_pixels
from jaxscat.plotting import as_label
from jaxscat.progress import Observer
from jaxscat.run.kept_pyramids import provide_pyramid
from jaxscat.run.map_sources import MapSources, read_maps
from jaxscat.run.pixel_orders import settle_orders
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.hidden import HIDDEN
from jaxscat.statistics.moments import ERROR_FORMULAS
from jaxscat.statistics.scattering import measure
from jaxscat.statistics.storage import StoredStatistics
from jaxscat.validation.sky import describe_sky

_CHOICES = {
    "unseen": ("refuse", "mask"),
    "hidden": (*HIDDEN, "patch"),
    "geometry": ("exact", "foscat"),
    "precision": ("float32", "float64"),
    "zero_hits": ("data", "bad"),
    "error_formula": ERROR_FORMULAS,
}


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
        order: "RING" or "NESTED", for the map, and for other files that do not state one.
        second_order, mask_order: those of such files alone.
        field, hdu: column (or variable) and table of the map, by number or by name.
        second_field, second_hdu: those of the second map; None takes those of the map.
        mask_field, mask_hdu: those of the mask.
        unseen: "refuse" pixels without data, or give them weight zero in the "mask".
        hidden: what becomes of pixels without weight: as for `measure`, or "patch".
        unit, bad_data, zero_hits: as for `load_sky`.
        select: places on other dimensions, as "time=0".
        error_formula: `formula` of `standard_error`.
        pyramid_cache: keep the pyramid in the user's cache folder, and load it from there.
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
    second_order: Annotated[str | None, typer.Option(help="RING or NESTED, second map.")] = None
    mask_order: Annotated[str | None, typer.Option(help="RING or NESTED, mask.")] = None
    field: Annotated[
        str | None, typer.Option(help="Column or variable of a file, number or name.")
    ] = None
    hdu: Annotated[str | None, typer.Option(help="Table of a FITS file, number or name.")] = None
    second_field: Annotated[str | None, typer.Option(help="Column of the second map.")] = None
    second_hdu: Annotated[str | None, typer.Option(help="Table of the second map.")] = None
    mask_field: Annotated[str | None, typer.Option(help="Column of the mask.")] = None
    mask_hdu: Annotated[str | None, typer.Option(help="Table of the mask.")] = None
    unseen: Annotated[str, typer.Option(help="Pixels without data: refuse or mask.")] = "refuse"
    hidden: Annotated[
        str,
        typer.Option(help="Pixels without data or weight: exclude, interior, patch or include."),
    ] = "exclude"
    unit: Annotated[str | None, typer.Option(help="Convert K, mK, uK into this unit.")] = None
    bad_data: Annotated[
        float | None, typer.Option(help="A further value of pixels without data.")
    ] = None
    zero_hits: Annotated[
        str, typer.Option(help="Pixels with zero hits: data, or bad (without data).")
    ] = "data"
    select: Annotated[
        list[str] | None, typer.Option(help="Place on another dimension, as time=0.")
    ] = None
    geometry: Annotated[str, typer.Option(help="exact or foscat.")] = "exact"
    precision: Annotated[str, typer.Option(help="float32 or float64.")] = "float32"
    error_formula: Annotated[str, typer.Option(help="pixels or foscat.")] = "pixels"
    both_triangles: Annotated[
        bool, typer.Option("--both-triangles", help="S4 of two maps with j1 > j2 too.")
    ] = False
    pyramid_cache: Annotated[bool, typer.Option(help="Keep wavelets, and use those kept.")] = False
    figure: Annotated[Path | None, typer.Option(help="Draw them (.png, .pdf, .svg).")] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False

    def check(self) -> None:
        """Refuse options that are wrong before anything is read, with a `ValueError`."""
        for order in (self.order, self.second_order, self.mask_order):
            check_order(order)
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

    def with_orders(self) -> tuple[MeasureOptions, list[str]]:
        """Return the options with orders of `.npy` files that are clear, and what says so.

        Raises `UnknownOrder` for a file that might be in either order.
        """
        sources, said = settle_orders(self.sources)
        found = {name: getattr(sources, name) for name in ("order", "second_order", "mask_order")}
        return replace(self, **found), said

    @property
    def sources(self) -> MapSources:
        """The maps and masks to read."""
        return MapSources(
            self.map,
            self.second,
            self.mask,
            nside=self.nside,
            order=self.order,
            second_order=self.second_order,
            mask_order=self.mask_order,
            field=_number_or_name(self.field),
            hdu=_number_or_name(self.hdu),
            second_field=_number_or_name(self.second_field),
            second_hdu=_number_or_name(self.second_hdu),
            mask_field=_number_or_name(self.mask_field),
            mask_hdu=_number_or_name(self.mask_hdu),
            unseen=self.unseen,
            hidden=self.hidden,
            unit=self.unit,
            bad_data=self.bad_data,
            zero_hits=self.zero_hits,
            select=_parse_places(self.select or []),
        )

    @property
    def description(self) -> str:
        """The names of the maps, for people, and unusual options."""
        said = [self.map if self.second is None else f"{self.map} and {self.second}"]
        if self.mask is not None:
            said.append(f"mask {self.mask}")
        if self.mask_threshold is not None:
            said.append(f"threshold {self.mask_threshold:g}")
        if self.hidden != "exclude":
            said.append(f"hidden pixels: {self.hidden}")
        if self.error_formula != "pixels":
            said.append(f"errors by {self.error_formula}'s formula")
        return ", ".join(said)


def _number_or_name(word: str | None) -> int | str | None:
    """Return a word of the command line as a number, if it is one."""
    return int(word) if word is not None and word.isdecimal() else word


def _parse_places(words: Sequence[str]) -> dict[str, int | str] | None:
    """Return places on dimensions from words as "time=0"; ValueError for any other word."""
    found: dict[str, int | str] = {}
    for word in words:
        key, separator, place = word.partition("=")
        if not (key and separator and place):
            raise ValueError(f"select: got {word!r}, expected a dimension and a place, as time=0")
        found[key] = int(place) if place.isdecimal() else place
    return found or None


def measure_files(
    options: MeasureOptions, *, observer: Observer | None = None
) -> tuple[StoredStatistics, str | None]:
    """Read maps and mask, and measure coefficients and their standard errors.

    Returns them and the unit of the (first) map, None if its file does not state it. The
    description says it, too.

    Raises `ValueError` as `read_maps`, `build_pyramid` and `measure`, and for values that the
    precision cannot hold.
    """
    observer, precision = observer or Observer(), options.precision
    observer.stage(f"reading {options.description}")
    found = read_maps(options.sources)
    seen = None if found.mask is None else seen_pixels(found.mask)
    cells = None
    if options.hidden == "patch" and seen is not None and not seen.all():
        cells = np.flatnonzero(seen)
    map, second, mask = (
        given if given is None or cells is None else given[..., cells]
        for given in (found.map, found.second, found.mask)
    )
    hidden: Any = "exclude" if options.hidden == "patch" else options.hidden
    how: dict[str, Any] = {
        "second": None if second is None else in_precision(second, precision, "second"),
        "mask": mask,
        "mask_threshold": options.mask_threshold,
        "hidden": hidden,
        "both_triangles": options.both_triangles,
    }
    map: Any = in_precision(map, precision, "map")
    observer.stage("building the wavelets")
    pyramid = provide_pyramid(
        npix_to_nside(found.map.size),
        keep=options.pyramid_cache,
        orientations=options.orientations,
        kernel_size=options.kernel_size,
        scales=options.scales,
        dtype=np.dtype(precision),
        geometry=options.geometry,
        cell_ids=cells,
        progress=observer.building,
    )
    observer.stage("measuring")
    statistics = jax.block_until_ready(measure(map, pyramid, **how))
    _check_range(statistics, precision)
    observer.stage("working out standard errors")
    formula: Any = options.error_formula  # checked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said already
        errors = jax.block_until_ready(standard_error(map, pyramid, **how, formula=formula))
    column = None if options.field is not None else found.place.field
    description = options.description + ("" if column is None else f", column {column}")
    description += "" if found.unit is None else f", in {found.unit}"
    pyramid = pyramid.finest(statistics.scales)
    sky = describe_sky(build_footprint(found.mask), pyramid, hidden)
    return StoredStatistics(statistics, errors, pyramid.spec, description, sky), found.unit


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


def split_masks(name: str, statistics: Any) -> dict[str, ScatteringCovariance]:
    """Split coefficients into the entries of a figure: one, or one for every mask."""
    name = as_label(name)
    if getattr(statistics, "masks", None) is None:  # those of fields, which no figure shows, too
        return {name: statistics}
    return {
        f"{name}, mask {mask}": jax.tree.map(lambda group, mask=mask: group[mask], statistics)
        for mask in range(statistics.masks)
    }
