"""Maps of the sky with what their file says of them: missing pixels, units, frame, convention."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.combination import (
    check_kind,
    convert_units,
    lower_fields,
    name_fields,
    to_cosmo,
    unite_missing,
)
from jaxscat.io.fields import mark_bad_pixels
from jaxscat.io.formats import check_order, read_fields
from jaxscat.io.pixel_order import warn_of_other_order
from jaxscat.io.polarization import temperature_and_eb
from jaxscat.io.requests import FieldRequest, Fields, Reading, requested_fields
from jaxscat.maps import check_nside, npix_to_nside


@dataclass(frozen=True)
class Sky:
    """One or several maps of one file or dataset, at one nside, NESTED.

    Attributes:
        maps: float64 maps [p] by name. Where `coverage` is zero, a map is the mean of its pixels
            with data, to avoid a step at the edge.
        coverage: fraction [p] of the pixels of the file that have data, in every map: a pixel that
            is bad in one of them is bad in all. One everywhere if the file has data everywhere.
        units: unit of every map, as it is written in the file or as it was asked for; None where
            none is stated.
        frame: "G" (galactic), "C" (celestial, equatorial), "E" (ecliptic), or None if not stated.
        polarization: "COSMO" if one of the maps depends on the sign of U, else None. The sign of
            U in a file that states IAU has been changed.
        beam: what the headers say about the beam, by keyword (FWHM, ...), "HDU" for an extension.
        file_nside: nside of every map in the file.
        bad_pixels: how many pixels of the file have no data, by their marks ("UNSEEN", "NaN", "not
            listed", ...); of several maps the largest number.
        name: the file or dataset, for messages.
        notes: what is unusual about the file or was changed, in sentences.
        lmax: the last multipole of the maps that were brought to a lower nside through harmonic
            coefficients (`notes` names them), 2 nside; None if there are none.
        order: order of the pixels in the file, "RING" or "NESTED"; None for a dataset.
        hdu: number of the table in a FITS file, of the first map; None for other files.
    """

    maps: dict[str, Float[np.ndarray, " p"]]
    coverage: Float[np.ndarray, " p"]
    units: dict[str, str | None]
    name: str
    frame: str | None = None
    polarization: str | None = None
    beam: dict[str, str | int | float] = field(default_factory=dict)
    file_nside: dict[str, int] = field(default_factory=dict)
    bad_pixels: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lmax: int | None = None
    order: str | None = None
    hdu: int | None = None

    @property
    def nside(self) -> int:
        """The nside of the maps."""
        return npix_to_nside(self.coverage.size)

    @property
    def map(self) -> Float[np.ndarray, " p"]:
        """The map, if there is one only; ValueError for several."""
        return self.maps[self._only]

    @property
    def unit(self) -> str | None:
        """The unit of the map, if there is one only; ValueError for several."""
        return self.units[self._only]

    def teb(self, lmax: int | None = None) -> dict[str, Float[np.ndarray, " p"]]:
        """Return the scalar fields "T", "E" and "B" of I, Q and U on the whole sky.

        Args:
            lmax: last multipole of all three, from 2 to 3 nside - 1. The default of 2 nside keeps E
                and B apart; beyond, they mix.

        Returns:
            float64 NESTED maps [p] by name, in the unit of the maps; "E" and "B" only if there is
            no I. T keeps its mean; E and B have no multipoles below 2. Beam and pixel window stay.

        Raises:
            ValueError: no Q or no U, several of one Stokes parameter, pixels without data, another
                `lmax`. Maps are known by their names, as `load_sky` gives them without `fields`, or
                with `fields` of ("I", "Q", "U").

        Examples:
            >>> import numpy as np
            >>> from jaxscat import Sky
            >>> q, u = np.random.default_rng(0).normal(size=(2, 48))
            >>> sky = Sky({"Q": q, "U": u}, np.ones(48), {"Q": None, "U": None}, "noise")
            >>> list(sky.teb())
            ['E', 'B']

        Source: `docs/map-files.md`, "Polarization".
        """
        return temperature_and_eb(self.maps, self.coverage, lmax, name=self.name)

    @property
    def _only(self) -> str:
        if len(self.maps) > 1:
            raise ValueError(f"{self.name}: has the maps {', '.join(self.maps)}, expected one only")
        return next(iter(self.maps))

    def describe_bad_pixels(self) -> str:
        """Say how many pixels of the file have no data and how they are marked."""
        pixels = 12 * max(self.file_nside.values()) ** 2
        marks = " and ".join(
            f"{count} of {pixels} pixels {m}" for m, count in self.bad_pixels.items()
        )
        return f"{marks} (without data)"


def load_sky(
    source: str | os.PathLike[str],
    nside: int | None = None,
    *,
    fields: Fields | None = None,
    hdu: int | str | None = None,
    order: str | None = None,
    unit: str | None = None,
    bad_data: float | None = None,
    zero_hits: Literal["data", "bad"] = "data",
    select: Mapping[str, Any] | None = None,
) -> Sky:
    """Read maps of a file with their missing pixels, units, frame and polarization convention.

    Args:
        source: a `.npy` file of shape (npix,), a HEALPix FITS file, a zarr store or netCDF file
            with HEALPix cells (needs `jaxscat[xarray]`), or one of `dataset_names()`.
        nside: working nside, a power of two up to that of the maps, whose pixels with data are
            averaged. I, Q and U together are brought there through harmonic coefficients up to
            l = 2 nside; if some pixels lack data, Q and U are averaged after they are carried to
            the meridian of the coarser pixel. By default that of the maps, the lowest if they
            differ.
        fields: columns or variables by number from 0 or by name, or Stokes parameters "I", "Q" and
            "U", which are found whatever the file calls them. A mapping gives them names, and
            takes (hdu, column) as well. By default I, Q and U if the file has polarization,
            otherwise its first column.
        hdu: table of a FITS file by number or name. Without it, the only one that holds maps.
        order: pixel order of the file, "RING" or "NESTED", as for `load_map`.
        unit: convert K, mK and uK into another of them, from the unit that the file states.
        bad_data: a further value that marks pixels without data. They are known by UNSEEN, NaN,
            and the BAD_DATA and TNULL of a header. `nan` allows NaN and others in one map.
        zero_hits: "bad" if pixels with zero in the column of hits (HITS, N_OBS, ...) have no data.
        select: place on every other dimension of a variable, such as `{"time": 0}`; numbers count
            from 0, text is a coordinate.

    Raises:
        ValueError: a file, order, field or nside as for `load_map`; several tables of maps without
            `hdu`; a header that contradicts its table; pixel numbers that are none; infinite
            values; NaN together with another mark of missing pixels; no pixel with data; fields of
            different frames or of Stokes parameters in different units; Q and U at different nsides
            or of different conventions; a unit that is not stated or not known.

    Warns:
        UserWarning: integers are converted, U is turned from IAU to COSMO, POLCCONV is not stated,
            a map would be much smoother in the other order.

    Examples:
        >>> import jaxscat
        >>> sky = jaxscat.load_sky("cosmic-web", 16)
        >>> sky.map.shape, sky.unit, sky.frame, float(sky.coverage.min())
        ((3072,), None, None, 1.0)

    Source: `docs/map-files.md`.
    """
    how = Reading(hdu, check_order(order), zero_hits, select, unit, bad_data)
    return read_sky(source, nside, requested_fields(fields), how)


def read_sky(
    source: str | os.PathLike[str],
    nside: int | None,
    requests: Sequence[FieldRequest] | None,
    how: Reading,
) -> Sky:
    """Read maps as `load_sky`, with all that is asked of the file in the form that readers take."""
    dataset = isinstance(source, str) and source in dataset_names()
    name = f"{'dataset' if dataset else 'map'} {str(source)!r}"
    found = read_fields(source, requests, how, name=name)
    for one in found:
        check_kind(one, name)
        mark_bad_pixels(one, bad_data=how.bad_data, name=name)
    warn_of_other_order(found, name)
    named = name_fields(found)
    notes = list(dict.fromkeys(note for one in found for note in one.notes))
    polarization = to_cosmo(found, notes, name)
    units = convert_units(named, how.unit, name)
    frames = {one.frame for one in found if one.frame is not None}
    if len(frames) > 1:
        raise ValueError(
            f"{name}: got maps of the frames {', '.join(sorted(frames))}, expected one"
        )
    file_nside = {key: one.nside for key, one in named.items()}
    working = working_nside(nside, min(file_nside.values()), name)
    bad: dict[str, int] = {}
    for one in found:
        bad |= {key: max(count, bad.get(key, 0)) for key, count in one.marks.items()}
    present = unite_missing(found, notes, name)
    coverage = present.reshape(12 * working**2, -1).mean(axis=1)
    maps, lmax = lower_fields(named, coverage, working, notes, name)
    return Sky(
        maps,
        coverage,
        units,
        name,
        next(iter(frames), None),
        polarization,
        found[0].beam,
        file_nside,
        bad,
        tuple(notes),
        lmax,
        found[0].order,
        found[0].hdu,
    )


def working_nside(nside: int | None, own: int, name: str) -> int:
    """Return the working nside for maps of nside `own`; ValueError if it is above that."""
    if nside is None:
        return own
    if check_nside(nside) > own:
        raise ValueError(f"nside: got {nside}, expected at most {own} as {name} has")
    return math.floor(nside)
