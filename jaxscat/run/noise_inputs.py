"""The noise of a config: models and realizations from numbers, spectra and maps in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import LEAST_REALIZATIONS, Noise, NoiseMaps, draw_realization
from jaxscat.io.masks import joint_coverage
from jaxscat.reasons import reason_of
from jaxscat.run.map_sources import Beside, read_beside
from jaxscat.run.provenance import file_sha256
from jaxscat.run.task_config import NoiseConfig

# Seeds of the noise of channels are so far from each other, as those of their realizations.
_NEXT_CHANNEL = 0x9E3779B9


@dataclass(frozen=True)
class NoiseInput:
    """The noise of a config, and the realizations that were added to a truth.

    Attributes:
        noise: as a reconstruction may know it: without the realizations that were added.
        added: a realization [p] for each map of data; empty without `add_to_data`.
        mask: pixels [p] where maps of noise have data, or None for all.
        checksums: SHA-256 of the files, by name.
    """

    noise: Noise
    added: tuple[np.ndarray, ...]
    mask: np.ndarray | None
    checksums: dict[str, str]


def build_noise(
    settings: NoiseConfig,
    section: str,
    beside: Beside,
    *,
    dtype: str,
    channels: int | None = None,
) -> NoiseInput | None:
    """Build the noise of a section, and draw what is added to a truth; None where there is none.

    Args:
        settings: the section.
        section: its name.
        beside: the data, or the truth.
        dtype: of realizations.
        channels: how many different realizations are added, one for each channel; None for one.

    Raises:
        ValueError: a file that cannot be read, or of another nside, frame or unit; a spectrum or
            maps that are none.
    """
    if settings.kind is None:
        return None
    checksums = {
        f"{section}_{name}": file_sha256(Path(path)) for name, path in _files(settings).items()
    }
    count = 0 if not settings.add_to_data else channels or 1
    if settings.kind == "maps":
        maps, mask = _read_realizations(settings, section, beside)
        kept, added = take_out(maps.astype(dtype), count, settings.add_seed, section)
        return NoiseInput(NoiseMaps(kept), added, mask, checksums)
    noise, mask = _build_gaussian(settings, section, beside, dtype)
    seeds = [settings.add_seed]
    if channels is not None:
        seeds = [settings.add_seed + (at + 1) * _NEXT_CHANNEL for at in range(count)]
    added = tuple(draw_realization(noise, seed % 2**32, 0) for seed in seeds[:count])
    return NoiseInput(noise, added, mask, checksums)


def _build_gaussian(
    settings: NoiseConfig, section: str, beside: Beside, dtype: str
) -> tuple[GaussianNoise, np.ndarray | None]:
    """Build noise that is no list of maps, and the mask of what it was measured from."""
    nside = beside.nside
    if settings.kind == "white":
        if settings.deviation_map is None:
            return GaussianNoise.white(settings.standard_deviation or 0.0, nside, dtype=dtype), None
        option = f"{section}.deviation_map"
        own: Any = {"field": settings.field, "hdu": settings.hdu}
        # The mean of deviations is not the deviation of the mean.
        map, mask = read_beside(Path(settings.deviation_map), beside, option, average=False, **own)
        if not (map > 0).all():
            raise ValueError(
                f"{option}: got {int(np.sum(map <= 0))} of {map.size} pixels that are not "
                "positive, expected the standard deviation of the noise (UNSEEN or NaN where there "
                "are no data, with data.unseen = 'mask')"
            )
        return GaussianNoise.white(map, nside, dtype=dtype), mask
    if settings.kind == "spectrum":
        spectrum = _read_or_build_spectrum(settings, section, nside)
        return GaussianNoise.of_spectrum(spectrum, nside, dtype=dtype), None
    first, second, mask = read_halves(settings, section, beside)
    return GaussianNoise.of_halves(first, second, mask=mask, dtype=dtype), mask


def read_halves(
    settings: NoiseConfig, section: str, beside: Beside
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read two half-mission maps [p], and the mask of the pixels that both have.

    Raises:
        ValueError: as `read_beside`.
    """
    found = []
    for name in ("first", "second"):
        path = Path(getattr(settings, name))
        own: Any = {"field": settings.field, "hdu": settings.hdu}
        found.append(read_beside(path, beside, f"{section}.{name}", **own))
    (first, one), (second, other) = found
    return first, second, joint_coverage(one, other, f"{section}.second")


def power_law(slope: float, standard_deviation: float, nside: int) -> np.ndarray:
    """Return C_l in proportion to l^slope from l = 2 to 3 nside - 1, of a standard deviation."""
    multipoles = np.arange(2, 3 * nside, dtype=np.float64)
    shape = np.exp(slope * np.log(multipoles / multipoles[-1]))
    variance = np.sum((2 * multipoles + 1) * shape) / (4 * np.pi)
    return np.concatenate([np.zeros(2), shape * standard_deviation**2 / variance])


def read_spectrum(path: Path, option: str) -> np.ndarray:
    """Read C_l from l = 0 on from a text file (of C_l, or of l and C_l), .npy or .fits.

    Raises:
        ValueError: it is no such file; the message begins with `option`.
    """
    expected = "expected C_l as text (one column, or l and C_l), .npy or .fits"
    if not path.is_file():
        raise ValueError(f"{option}: there is no file {str(path)!r}, {expected}")
    try:
        if path.name.lower().endswith((".fits", ".fit", ".fits.gz")):
            from astropy.io import fits

            with fits.open(path) as units:
                table: Any = units[1]
                return np.asarray(table.data.field(0), np.float64).ravel()
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = np.loadtxt(path, ndmin=1, delimiter=_delimiter(path))
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(
            f"{option}: {str(path)!r} cannot be read, {expected} ({reason_of(error)})"
        ) from None
    if values.ndim == 1:
        return values
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"{option}: got an array of shape {values.shape}, {expected}")
    return _place_multipoles(values, option)


def _place_multipoles(table: np.ndarray, option: str) -> np.ndarray:
    multipoles = table[:, 0].astype(np.int64)
    whole = (multipoles == table[:, 0]).all() and (multipoles >= 0).all()
    if not whole or len(set(multipoles.tolist())) < multipoles.size:
        raise ValueError(f"{option}: got other numbers than different multipoles in its column 0")
    spectrum = np.zeros(multipoles.max() + 1)
    spectrum[multipoles] = table[:, 1]
    return spectrum


def _delimiter(path: Path) -> str | None:
    return "," if path.suffix.lower() == ".csv" else None


def _read_or_build_spectrum(settings: NoiseConfig, section: str, nside: int) -> np.ndarray:
    if settings.spectrum is not None:
        return read_spectrum(Path(settings.spectrum), f"{section}.spectrum")
    assert settings.slope is not None and settings.standard_deviation is not None
    return power_law(settings.slope, settings.standard_deviation, nside)


def _read_realizations(
    settings: NoiseConfig, section: str, beside: Beside
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read maps of noise [n p], and the mask of the pixels that all have."""
    assert settings.paths is not None
    places = [(path, settings.field) for path in settings.paths]
    if settings.fields is not None:
        places = [(settings.paths[0], field) for field in settings.fields]
    maps, mask = [], None
    for number, (path, field) in enumerate(places):
        option = f"{section}.paths[{number}]" if settings.fields is None else f"{section}.fields"
        map, present = read_beside(Path(path), beside, option, field=field, hdu=settings.hdu)
        maps.append(map)
        mask = joint_coverage(mask, present, option)
    return np.stack(maps), mask


def take_out(
    maps: np.ndarray, count: int, seed: int, section: str
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Take some realizations out of maps [n ... p]: those that are added must not be known.

    Args:
        maps: realizations.
        count: how many are taken.
        seed: which they are.
        section: name of the section, for messages.

    Returns:
        those that are left, in their order, and those that were taken.

    Raises:
        ValueError: too few are left.
    """
    if len(maps) - count < LEAST_REALIZATIONS:
        beside = f" and {count} to add to the data" if count else ""
        raise ValueError(
            f"{section}.paths: got {len(maps)} realizations, expected at least "
            f"{LEAST_REALIZATIONS}{beside}"
        )
    order = np.random.default_rng(seed).permutation(len(maps))
    return maps[np.sort(order[count:])], tuple(maps[at] for at in order[:count])


def _files(settings: NoiseConfig) -> dict[str, str]:
    """Return the files of a section by the names of their entries."""
    names = ("deviation_map", "spectrum", "first", "second")
    found = {name: getattr(settings, name) for name in names if getattr(settings, name)}
    found |= {f"map_{number}": path for number, path in enumerate(settings.paths or ())}
    return {name: path for name, path in found.items() if Path(path).exists()}
