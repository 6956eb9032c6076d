"""What a reconstruction is given: data, noise, gaps; and, apart from that, a truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jaxscat.fields.noise import Noise
from jaxscat.io.masks import build_footprint, joint_coverage, joint_mask
from jaxscat.io.precision import in_precision
from jaxscat.maps import npix_to_nside
from jaxscat.run.config import Config
from jaxscat.run.gap_inputs import find_gaps, is_simulated
from jaxscat.run.inputs import (
    Inputs,
    dataset_or_path,
    find_sources,
    read_inputs,
    read_untransformed,
    transform_inputs,
)
from jaxscat.run.map_sources import Beside, read_beside
from jaxscat.run.noise_inputs import NoiseInput, build_noise, read_halves
from jaxscat.run.provenance import array_sha256, file_sha256


@dataclass(frozen=True)
class Given:
    """All that a reconstruction knows; the truth is not in it.

    Attributes:
        data: the map [p], or the channels [c p], in the precision of the run, NESTED.
        mask: weights [p] of pixels, or None for the whole sky.
        gaps: pixels to fill [p], or None.
        noise, contaminant: models of what lies on the signal, or None.
        template: map [p] of the term "cross", or None.
        source: dataset or file of the data.
        checksums: SHA-256 of maps and files, by name.
        unit, frame: of the data, as their file states them, or None.
    """

    data: np.ndarray
    mask: np.ndarray | None = None
    gaps: np.ndarray | None = None
    noise: Noise | None = None
    contaminant: Noise | None = None
    template: np.ndarray | None = None
    source: str = ""
    checksums: dict[str, str] = field(default_factory=dict)
    unit: str | None = None
    frame: str | None = None

    @property
    def nside(self) -> int:
        """The nside of the maps."""
        return npix_to_nside(self.data.shape[-1])

    def compared(self) -> np.ndarray:
        """Return the pixels [p] in which estimates are compared: the gaps, or those with data."""
        inside = np.ones(self.data.shape[-1], bool)
        if self.gaps is not None:
            inside &= self.gaps
        if self.mask is not None:
            inside &= self.mask > 0
        return inside


@dataclass(frozen=True)
class Truth:
    """The signal, for figures and tables.

    Attributes:
        map: NESTED map [p].
        known: pixels [p] in which it has data.
        checksums: SHA-256 of its file, by name; empty where it is the map of `[data]`.
    """

    map: np.ndarray
    known: np.ndarray
    checksums: dict[str, str] = field(default_factory=dict)


def read_given(config: Config) -> tuple[Given, Truth | None]:
    """Read or make the data of a task and what is known of their noise or gaps.

    Returns:
        what the reconstruction may know; and the truth, if there is one.

    Raises:
        ValueError: a file that cannot be read, or maps that do not fit each other.
        OSError: a file cannot be read.
    """
    read: dict[str, Callable[[Config], tuple[Given, np.ndarray | None]]] = {
        "denoise": _read_noisy,
        "inpaint": _read_gappy,
        "separate": _read_channels,
    }
    given, simulated = read[config.task.kind](config)
    beside = Beside(find_sources(config), given.nside, given.unit, given.frame)
    if config.reconstruction.template is not None:
        given = replace(given, template=_read_template(config, given, beside))
    # Of what does not come from files, the noise above all, the data say enough.
    checksums = given.checksums | {"data": array_sha256(given.data)}
    given = replace(given, checksums=checksums)
    if simulated is not None:
        # In pixels without data stands their mean, not the truth.
        whole = np.ones(simulated.shape, bool)
        return given, Truth(simulated, whole if given.mask is None else given.mask > 0)
    truth = _read_truth(config, beside)
    if truth is not None and not (given.compared() & truth.known).any():
        name = "truth.dataset" if config.truth.dataset else "truth.path"
        which = "gaps" if given.gaps is not None else "pixels with data"
        raise ValueError(f"{name}: got a map that lacks all of the {which}, expected values there")
    return given, truth


def _read_noisy(config: Config) -> tuple[Given, np.ndarray | None]:
    """Read a map with noise, or make one of a truth."""
    inputs = read_inputs(config)
    mask, beside = inputs.mask, _beside(config, inputs)
    if mask is not None and mask.ndim > 1 and len(mask) > 1:
        raise ValueError(f"target.mask: got {len(mask)} masks, expected one")
    mask = build_footprint(mask)
    map = inputs.original
    if config.data.dataset is None and config.data.path is None:
        first, second, _ = read_halves(config.noise, "noise", beside)
        map = (first + second) / 2
        halves = f"the mean of {config.noise.first} and {config.noise.second}"
        inputs = replace(inputs, source=halves)
    noise = build_noise(config.noise, "noise", beside, dtype=config.run.precision)
    assert noise is not None  # the config says what it is
    truth = None
    if noise.added:
        truth, map = map, map + noise.added[0]
    given = _of_inputs(config, inputs, map, noise)
    # Weights of one's own are no coverage by data.
    join = joint_coverage if config.target.mask is None else joint_mask
    return replace(given, mask=join(mask, noise.mask, "noise"), noise=noise.noise), truth


def _read_gappy(config: Config) -> tuple[Given, np.ndarray | None]:
    """Read a map with gaps, or cut gaps into one; the data have their mean in the gaps."""
    inputs = read_untransformed(config)
    gaps = find_gaps(config, inputs, _beside(config, inputs))
    shown = (~gaps).astype(np.float64)
    whole = inputs.original
    # Outside of the gaps nothing follows from what is in them.
    mean = float(np.average(whole, weights=shown))
    inputs = replace(inputs, original=np.where(gaps, mean, whole))
    moved = transform_inputs(config, inputs, shown)
    given = replace(_of_inputs(config, moved, moved.original), gaps=gaps)
    if not is_simulated(config):
        return given, None
    return given, transform_inputs(config, replace(inputs, original=whole), shown).original


def _read_channels(config: Config) -> tuple[Given, np.ndarray | None]:
    """Read the channels of a separation, or make them of a signal."""
    inputs = read_inputs(config)
    beside, settings = _beside(config, inputs), config.channels
    assert settings.mixing is not None  # the config has checked it
    count, dtype = len(settings.mixing), config.run.precision
    noise = build_noise(config.noise, "noise", beside, dtype=dtype, channels=count)
    contaminant = build_noise(config.contaminant, "contaminant", beside, dtype=dtype)
    for name, found in (("noise", noise), ("contaminant", contaminant)):
        if found is not None and found.mask is not None:
            raise ValueError(f"{name}: got maps without data in some pixels, expected whole ones")
    truth = None
    if settings.paths is None:
        truth = inputs.original
        maps = np.asarray(settings.mixing)[:, None] * truth
        for found in (noise, contaminant):
            if found is not None:
                maps = maps + np.stack(found.added)  # one for each channel, or for all
    else:
        places = [(f"channels.paths[{at}]", path, None) for at, path in enumerate(settings.paths)]
        if settings.fields is not None:
            fields = enumerate(settings.fields)
            places = [(f"channels.fields[{at}]", settings.paths[0], field) for at, field in fields]
        others = [
            read_beside(Path(path), beside, option, field=field)[0]
            for option, path, field in places[1:]
        ]
        maps = np.stack([inputs.original, *others])
        paths = {f"channel_{at}": file_sha256(Path(path)) for at, path in enumerate(settings.paths)}
        inputs = replace(inputs, checksums=inputs.checksums | paths)
    given = _of_inputs(config, inputs, maps, noise, contaminant)
    return replace(
        given,
        noise=None if noise is None else noise.noise,
        contaminant=None if contaminant is None else contaminant.noise,
    ), truth


def _of_inputs(
    config: Config, inputs: Inputs, data: np.ndarray, *noise: NoiseInput | None
) -> Given:
    """Return data in the precision of the run, with all that is known of their files."""
    rows = [in_precision(map, config.run.precision, "data") for map in np.atleast_2d(data)]
    checksums = dict(inputs.checksums)
    for found in noise:
        checksums |= {} if found is None else found.checksums
    return Given(
        data=rows[0] if data.ndim == 1 else np.stack(rows),
        source=inputs.source,
        checksums=checksums,
        unit=inputs.unit,
        frame=inputs.frame,
    )


def _beside(config: Config, inputs: Inputs) -> Beside:
    nside = npix_to_nside(inputs.original.size)
    return Beside(find_sources(config), nside, inputs.unit, inputs.frame)


def _read_template(config: Config, given: Given, beside: Beside) -> np.ndarray:
    name = "reconstruction.template"
    assert config.reconstruction.template is not None
    source = dataset_or_path(config.reconstruction.template)
    map, present = read_beside(source, beside, name, same_quantity=False)
    seen = np.ones(map.size, bool) if given.mask is None else given.mask > 0
    if present is not None and (present[seen] == 0).any():
        raise ValueError(
            f"{name}: got {int((present[seen] == 0).sum())} pixels without data in which the data "
            "count, expected values in all of these"
        )
    return map.astype(config.run.precision)


def _read_truth(config: Config, beside: Beside) -> Truth | None:
    settings = config.truth
    if settings.path is None and settings.dataset is None:
        return None
    source = settings.dataset or Path(settings.path or "")
    name = "truth.dataset" if settings.dataset else "truth.path"
    map, present = read_beside(source, beside, name, field=settings.field, hdu=settings.hdu)
    known = np.ones(map.size, bool) if present is None else present > 0
    checksums = {"truth": array_sha256(map)}
    if isinstance(source, Path):
        checksums["truth_file"] = file_sha256(source)
    return Truth(map, known, checksums)
