"""Polarized maps beside the data of a run: the noise of Q and U, and a truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import Noise, NoiseMaps
from jaxscat.fields.polarization_noise import PolarizationNoise
from jaxscat.harmonics.polarization import eb_from_qu
from jaxscat.io.agreement import check_same_frame
from jaxscat.io.formats import check_order
from jaxscat.io.polarization import find_stokes_parameters
from jaxscat.io.requests import Reading
from jaxscat.io.sky import read_sky
from jaxscat.io.units import same_unit
from jaxscat.run.config import Config
from jaxscat.run.inputs import dataset_or_path, file_checksum, find_sources
from jaxscat.run.map_sources import Beside
from jaxscat.run.noise_inputs import build_noise, take_out
from jaxscat.run.polarized_inputs import Fields, PolarizedInputs
from jaxscat.run.provenance import array_sha256, file_sha256

# Of the noise: what the data may differ from the mean of the half missions.
_NOT_THE_MEAN = 0.3
QU = Float[np.ndarray, "2 p"]


@dataclass(frozen=True)
class PolarizedNoise:
    """The noise of Q and U of a config, and the realization that was added to a truth.

    Attributes:
        noise: as a reconstruction may know it: without the realization that was added.
        added: Q and U of that realization, or None.
        checksums: SHA-256 of the files, by name.
        notes: what is unusual about them, in sentences.
    """

    noise: PolarizationNoise
    added: QU | None
    checksums: dict[str, str]
    notes: tuple[str, ...] = ()


def build_polarized_noise(config: Config, inputs: PolarizedInputs) -> PolarizedNoise:
    """Build the noise of Q and U of a config, and draw what is added to a truth.

    Args:
        config: the settings.
        inputs: the data, or the truth.

    Raises:
        ValueError: a file that cannot be read, of another nside, frame or unit or with pixels
            without data; halves that are the same; too few realizations.
    """
    settings, dtype = config.noise, config.run.precision
    checksums = {f"noise_{name}": file_sha256(Path(path)) for name, path in _files(config).items()}
    added, notes = None, ()
    if settings.kind == "white":
        beside = Beside(find_sources(config), inputs.nside, inputs.unit, inputs.frame)
        alone = settings.model_copy(update={"add_to_data": False})
        found = build_noise(alone, "noise", beside, dtype=dtype)
        assert found is not None  # the config says what it is
        q = u = found.noise
    elif settings.kind == "halves":
        halves = [
            read_qu(
                Path(getattr(settings, name)), config, inputs, f"noise.{name}", hdu=settings.hdu
            )
            for name in ("first", "second")
        ]
        (q1, u1), (q2, u2) = halves
        q, u = _noise_of_halves(q1, q2, dtype), _noise_of_halves(u1, u2, dtype)
        if not settings.add_to_data:
            notes = _differences(halves, inputs)
    else:
        maps = np.stack(
            [
                read_qu(Path(path), config, inputs, f"noise.paths[{number}]", hdu=settings.hdu)
                for number, path in enumerate(settings.paths or ())
            ]
        )
        count = int(settings.add_to_data)
        kept, taken = take_out(maps, count, settings.add_seed, "noise")
        q, u = (NoiseMaps(of.astype(dtype)) for of in np.moveaxis(kept, 1, 0))
        added = taken[0] if taken else None
    noise = PolarizationNoise.of(q, u, lmax=inputs.lmax, dtype=np.dtype(dtype))
    if settings.add_to_data and added is None:
        added = np.asarray(noise.qu.draw(np.uint32(settings.add_seed), 0), np.float64)
    return PolarizedNoise(noise, added, checksums, notes)


def _differences(halves: list[QU], inputs: PolarizedInputs) -> tuple[str, ...]:
    """Say so if the data are not the mean of the half missions, whose noise is known."""
    mean = eb_of((halves[0] + halves[1]) / 2, inputs)
    half = eb_of((halves[0] - halves[1]) / 2, inputs)
    away = max(
        float(np.std(inputs.originals[name] - mean[name]) / np.std(half[name])) for name in mean
    )
    if not away > _NOT_THE_MEAN:
        return ()
    return (
        f"the data differ from the mean of noise.first and noise.second by {away:.2g} of the noise "
        "of that mean: the noise that is assumed may not be theirs",
    )


def read_truth(config: Config, inputs: PolarizedInputs) -> tuple[Fields, dict[str, str]] | None:
    """Read E and B of the truth of a config and its checksums, None where there is none.

    Raises:
        ValueError: as `read_qu`.
    """
    settings = config.truth
    if settings.path is None and settings.dataset is None:
        return None
    name = "truth.dataset" if settings.dataset else "truth.path"
    source = settings.dataset or Path(settings.path or "")
    maps = read_qu(source, config, inputs, name, hdu=settings.hdu)
    checksums = {"truth": array_sha256(maps)} | file_checksum("truth_file", source)
    return eb_of(maps, inputs), checksums


def eb_of(maps: QU, inputs: PolarizedInputs) -> Fields:
    """Return E and B of Q and U as those of the data are: with the same last multipole."""
    return dict(zip("EB", eb_from_qu(*maps, lmax=inputs.lmax), strict=True))


def read_qu(
    source: str | Path,
    config: Config,
    inputs: PolarizedInputs,
    option: str,
    *,
    hdu: int | str | None = None,
) -> QU:
    """Read Q and U of a map that goes with the data, NESTED, at their nside, in the sign of COSMO.

    Args:
        source: a dataset, or the path of a file, which is read as that of the data is.
        config: the settings.
        inputs: the data.
        option: name of the setting, for messages.
        hdu: its own table, or None for that of the data.

    Raises:
        ValueError: it lacks Q or U or some pixels, is of a smaller nside, of another frame or unit,
            or cannot be read.
    """
    data = config.data
    how = Reading()
    source = dataset_or_path(str(source))
    if isinstance(source, Path):
        own = data.hdu if hdu is None else hdu
        stated = check_order(data.order), data.zero_hits, data.select, data.unit, data.bad_data
        how = Reading(own, *stated, header_first=True)
    sky = read_sky(source, None, None, how)
    said = f"{option}: got {sky.name}"
    if sky.nside < inputs.nside:
        raise ValueError(
            f"{said} of nside {sky.nside}, expected nside {inputs.nside} or larger as the data have"
        )
    if sky.nside > inputs.nside:
        sky = read_sky(source, inputs.nside, None, how)
    places = find_stokes_parameters(sky.maps, said)
    if sky.bad_pixels:
        raise ValueError(
            f"{said} with {sky.describe_bad_pixels()}, expected the whole sky: E and B of a cut "
            "sky mix"
        )
    check_same_frame(inputs.frame, sky.frame, said)
    unit = sky.units[places["Q"]]
    if not same_unit(inputs.unit, unit):
        raise ValueError(
            f"{said} in {unit!r}, expected {inputs.unit!r} as the data (data.unit converts K, mK "
            "and uK)"
        )
    return np.stack([sky.maps[places[letter]] for letter in "QU"])


def _noise_of_halves(
    first: Float[np.ndarray, " p"], second: Float[np.ndarray, " p"], dtype: str
) -> Noise:
    try:
        return GaussianNoise.of_halves(first, second, dtype=np.dtype(dtype))
    except ValueError as error:
        raise ValueError(f"noise.{error}") from None


def _files(config: Config) -> dict[str, str]:
    """Return the files of the noise that are there, by the names of their entries."""
    settings = config.noise
    names = ("deviation_map", "first", "second")
    found = {name: getattr(settings, name) for name in names if getattr(settings, name)}
    found |= {f"map_{number}": path for number, path in enumerate(settings.paths or ())}
    return {name: path for name, path in found.items() if Path(path).exists()}
