"""The polarized map of a run, read from a file or a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import order_fields
from jaxscat.harmonics.polarization import eb_from_qu, qu_from_eb
from jaxscat.io.agreement import check_same_frame
from jaxscat.io.formats import check_order
from jaxscat.io.maps import read_weights
from jaxscat.io.masks import joint_mask
from jaxscat.io.polarization import find_stokes_parameters
from jaxscat.io.precision import large_mean
from jaxscat.io.requests import Reading, requested_fields
from jaxscat.io.sky import Sky, read_sky
from jaxscat.maps import cover_hidden, npix_to_nside
from jaxscat.run.config import Config
from jaxscat.run.inputs import file_checksum
from jaxscat.run.provenance import array_sha256, file_sha256

Fields = dict[str, Float[np.ndarray, " p"]]


@dataclass(frozen=True)
class PolarizedInputs:
    """The fields of a polarized map and where they come from.

    Attributes:
        fields: NESTED maps by field, in the precision of the run, without `offsets`.
        offsets: large means that were taken off the fields, zero where there are none.
        mask: the mask [p] or masks [M p], or None.
        source: the dataset or the file.
        lmax: last multipole of E and B; None for Q and U as scalars.
        checksums: SHA-256 of maps and files, by name.
        unit: the unit of the maps, or None if their file does not state it.
        frame: their coordinate frame "G", "C" or "E", or None likewise.
        notes: what is unusual about the file or was changed, in sentences.
    """

    fields: Fields
    offsets: dict[str, float]
    mask: np.ndarray | None
    source: str
    lmax: int | None
    checksums: dict[str, str] = field(default_factory=dict)
    unit: str | None = None
    frame: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def nside(self) -> int:
        """The nside of the maps."""
        return npix_to_nside(next(iter(self.fields.values())).size)

    @property
    def originals(self) -> Fields:
        """The maps with the means that were taken off."""
        return self.restore(self.fields)

    def limit(self, fields: Fields) -> Fields:
        """Return fields without the multipoles of E and B beyond the last one.

        The originals have none, and Q and U of a file hold no more.
        """
        if self.lmax is None:
            return fields
        pair = eb_from_qu(*self._to_qu(fields), lmax=self.lmax)
        within = dict(zip("EB", pair, strict=True))
        return fields | {name: map.astype(fields[name].dtype) for name, map in within.items()}

    def restore(self, fields: Fields) -> Fields:
        """Return the values of new maps in the unit and with the means of the originals."""
        return {
            name: map.astype(np.float64) + self.offsets[name] if self.offsets[name] else map
            for name, map in fields.items()
        }

    def stokes(self, fields: Fields) -> Fields:
        """Return I (if there is T), Q and U of restored fields."""
        q, u = (fields["Q"], fields["U"]) if "Q" in fields else self._to_qu(fields)
        return ({"I": fields["T"]} if "T" in fields else {}) | {"Q": q, "U": u}

    def _to_qu(self, fields: Fields) -> tuple[np.ndarray, np.ndarray]:
        e, b = (np.asarray(fields[name], np.float64) for name in "EB")
        q, u = qu_from_eb(e, b, lmax=self.lmax)
        return q, u


def read_polarized(config: Config) -> PolarizedInputs:
    """Read the fields of a polarized map at the working nside, and its mask.

    Raises:
        ValueError: all that `load_sky` and `Sky.teb` refuse; pixels without data where
            `data.unseen` does not have them masked; a mask that does not fit; values that the
            precision of the run cannot hold.
    """
    data = config.data
    source = data.dataset or Path(data.path or "")
    order = check_order(data.order)
    how = Reading(data.hdu, order, data.zero_hits, data.select, data.unit, data.bad_data)
    requests, columns = None, config.polarization.columns
    if columns is not None:
        requests = requested_fields(dict(zip("IQU"[-len(columns) :], columns, strict=True)))
    sky = read_sky(source, data.nside, requests, how)
    if sky.bad_pixels and data.unseen == "refuse":
        scalars = (
            ", or take Q and U as scalars with polarization.fields = ['T', 'Q', 'U'] and "
            "data.unseen = 'mask', which gives them weight zero"
        )
        other = scalars if config.task.kind == "polarization" else ""
        raise ValueError(
            f"{sky.name}: got {sky.describe_bad_pixels()}, expected none; fill them first (E and B "
            f"of a cut sky mix){other}"
        )
    fields, lmax = _choose_fields(sky, config)
    mask = None if sky.coverage.min() == 1.0 else sky.coverage
    checksums = {name: array_sha256(map) for name, map in fields.items()}
    checksums |= file_checksum("map_file", source)
    if config.target.mask is not None:
        mask = _read_mask(config, sky, mask)
        checksums["mask_file"] = file_sha256(Path(config.target.mask))
    float32 = config.run.precision == "float32"
    seen = {name: map if mask is None else cover_hidden(map, mask) for name, map in fields.items()}
    offsets = {name: large_mean(map) if float32 else 0.0 for name, map in seen.items()}
    values = {name: map - offsets[name] for name, map in fields.items()}
    for name, map in values.items():
        with np.errstate(over="ignore"):
            values[name] = map.astype(config.run.precision)
        if not np.isfinite(values[name]).all():
            raise ValueError(
                f"data: got values of {name} up to {np.abs(map).max():.3g}, which "
                f"{config.run.precision} cannot hold, expected smaller ones or precision float64"
            )
    places = find_stokes_parameters(sky.maps, sky.name)
    return PolarizedInputs(
        fields=values,
        offsets=offsets,
        mask=None if mask is None else mask.astype(config.run.precision),
        source=str(source),
        lmax=lmax,
        checksums=checksums,
        unit=sky.units[places["Q"]],
        frame=sky.frame,
        notes=sky.notes,
    )


def _choose_fields(sky: Sky, config: Config) -> tuple[Fields, int | None]:
    """Return the fields of a config in their order, and the last multipole of E and B."""
    wanted = order_fields(config.polarization.fields)
    places = find_stokes_parameters(sky.maps, sky.name)
    if "T" in wanted and "I" not in places:
        raise ValueError(
            f"{sky.name}: has the maps {', '.join(sky.maps)}, expected an intensity beside Q and U "
            "for T in polarization.fields"
        )
    if "Q" in wanted:
        letters = {"T": "I", "Q": "Q", "U": "U"}
        return {name: sky.maps[places[letters[name]]] for name in wanted}, None
    lmax = config.polarization.lmax or 2 * sky.nside
    if lmax > 2 * sky.nside:
        raise ValueError(
            f"polarization.lmax: got {lmax}, expected at most {2 * sky.nside} (2 nside): beyond, Q "
            "and U of E and B do not come back to them"
        )
    lacking = int(np.count_nonzero(sky.coverage < 1))
    if lacking:
        raise ValueError(
            f"{sky.name}: got {lacking} of {sky.coverage.size} pixels without data or with a part "
            "of them, expected the whole sky: E and B of a cut sky mix. Fill these pixels first, "
            "or take Q and U as scalars with polarization.fields = ['T', 'Q', 'U']"
        )
    found = sky.teb(lmax)
    return {name: found[name] for name in wanted}, lmax


def _read_mask(config: Config, sky: Sky, present: np.ndarray | None) -> np.ndarray | None:
    """Read the mask of a config, without the pixels that have no data."""
    target, data = config.target, config.data
    path = Path(target.mask or "")
    how = Reading(
        target.mask_hdu,
        check_order(target.mask_order or data.order),
        bad_data=data.bad_data,
        header_first=True,
    )
    unseen = "zero" if data.unseen == "mask" else "refuse"
    given, frame = read_weights(path, data.nside, target.mask_field, how, unseen=unseen)
    check_same_frame(sky.frame, frame, f"target.mask: got {str(path)!r}")
    if given.shape[-1] != sky.coverage.size:
        raise ValueError(
            f"target.mask: got {str(path)!r} of {given.shape[-1]} pixels, expected "
            f"{sky.coverage.size} as the map has"
        )
    return joint_mask(present, given, "target.mask")
