"""The maps of a run as FITS files: all in one, or many seeds in several that stand alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jaxscat.io.maps import load_map, load_mask, save_maps
from jaxscat.io.precision import large_mean
from jaxscat.maps import UNSEEN, seen_pixels
from jaxscat.minimization.result import Result
from jaxscat.reasons import reason_of
from jaxscat.run.folder import map_file_names, numbered_map_files
from jaxscat.run.provenance import creator

SEEDS_PER_FILE = 64


class StoredMaps(NamedTuple):
    """The maps of a run folder; those of the seeds are read on demand.

    Attributes:
        original: the original map [p], float64, NESTED; its mean in hidden pixels.
        mask: the masks [M p], or None.
        files: the file of the map of each seed, in the order of the files.
    """

    original: np.ndarray
    mask: np.ndarray | None
    files: dict[int, Path]

    def of_seed(self, seed: int) -> np.ndarray:
        """Read the map [p] of a seed; its mean stands in hidden pixels."""
        return load_map(self.files[seed], field=f"SEED_{seed}", unseen="mean")


def save_run_maps(
    folder: Path,
    original: np.ndarray,
    start: np.ndarray,
    made: Mapping[int, Result],
    mask: np.ndarray | None = None,
    *,
    hidden: Literal["unseen", "free"] | None = "unseen",
    unit: str | None = None,
    frame: str | None = None,
) -> list[Path]:
    """Write the maps of a run, NESTED, float32; return the paths of the files.

    `unit` of the maps and their coordinate `frame` go into the headers, if they are known, and
    CREATOR names the version of the package. Maps
    with a mean so large that float32 would lose digits are in float64 (see `large_mean`).

    Up to 64 seeds are in maps.fits: ORIGINAL, START (of the first seed), SEED_<n> for each seed,
    and MASK_<m> for each mask ([p] or [M p]). More seeds are in maps_001.fits, maps_002.fits, ...,
    64 in each: ORIGINAL stands in all of them, START and masks in the first. Of column <k> the
    keywords SEED<k> and STATUS<k> say which seed it belongs to and how its synthesis ended ("start"
    for START). Pixels without weight in any mask are UNSEEN; with `hidden` "free" in ORIGINAL only,
    with None nowhere.
    """
    dtype = "float64" if large_mean(original) else "float32"
    seeds = list(made)
    parts = [seeds[at : at + SEEDS_PER_FILE] for at in range(0, len(seeds), SEEDS_PER_FILE)]
    paths = [folder / name for name in map_file_names(len(parts))]
    lost = None if mask is None or hidden is None else ~seen_pixels(mask)

    def shown(map: np.ndarray, *, new: bool = True) -> np.ndarray:
        if lost is None or (new and hidden == "free"):
            return map
        return np.where(lost, np.asarray(UNSEEN, map.dtype), map)

    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        columns = {"ORIGINAL": shown(original, new=False)}
        header: dict[str, str | int] = creator()
        if number == 0:
            columns["START"] = shown(start)
            header |= _build_keywords(len(columns), seeds[0], "start")
        for seed in part:
            columns[f"SEED_{seed}"] = shown(made[seed].map)
            header |= _build_keywords(len(columns), seed, str(made[seed].status))
        if number == 0 and mask is not None:
            columns |= {f"MASK_{i}": m for i, m in enumerate(np.atleast_2d(mask), start=1)}
        units = {name: unit for name in columns if not name.startswith("MASK_")}
        save_maps(path, columns, header=header, units=units, frame=frame, dtype=dtype)
    return paths


def find_run_maps(folder: Path) -> StoredMaps:
    """Find the maps of a run folder again, whether they are in one file or in several.

    Raises `FileNotFoundError` when there are none or one of several files is missing, and
    `ValueError` when a file cannot be read or has other columns than a run writes.
    """
    paths = _find_map_files(folder)
    names = {path: column_names(path) for path in paths}
    files: dict[int, Path] = {}
    for path in paths:
        seeds = [name.removeprefix("SEED_") for name in names[path] if name.startswith("SEED_")]
        if "ORIGINAL" not in names[path] or not seeds or not all(map(str.isdecimal, seeds)):
            raise ValueError(
                f"{str(path)!r} has the columns {', '.join(names[path])}; expected ORIGINAL and "
                "SEED_<number>"
            )
        for seed in map(int, seeds):
            if seed in files:
                raise ValueError(
                    f"{str(path)!r} has the map of seed {seed}, expected it only in "
                    f"{str(files[seed])!r}"
                )
            files[seed] = path
    masks = [
        load_mask(paths[0], field=name) for name in names[paths[0]] if name.startswith("MASK_")
    ]
    return StoredMaps(
        load_map(paths[0], field="ORIGINAL", unseen="mean"),
        np.stack(masks) if masks else None,
        files,
    )


def column_names(path: Path) -> list[str]:
    """Read the names of the maps in a HEALPix FITS file; `ValueError` if it is damaged."""
    return [name for key, name in _read_header(path).items() if key.startswith("TTYPE")]


def read_run_unit(folder: Path) -> str | None:
    """Read the unit of the maps of a run folder; None if it has no maps or states no unit.

    Raises `ValueError` when their file is damaged.
    """
    for name in ("maps.fits", "maps_001.fits"):
        if (folder / name).is_file():
            return _read_header(folder / name).get("TUNIT1", "").strip() or None
    return None


def _read_header(path: Path) -> dict[str, str]:
    """Read the header of the table of maps, as texts."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged header is told by what it lacks
            return {key: str(value) for key, value in fits.getheader(path, 1).items()}
    except Exception as error:  # a damaged file can fail in any way
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{str(path)!r}: cannot be read, expected the maps of a run ({reason_of(error)})"
        ) from error


def _build_keywords(column: int, seed: int, status: str) -> dict[str, str | int]:
    """Build the keywords of a column; with eight letters FITS has room for 99 columns."""
    return {f"SEED{column}": seed, f"STATUS{column}": status}


def _find_map_files(folder: Path) -> list[Path]:
    if (folder / "maps.fits").is_file():
        return [folder / "maps.fits"]
    count = len(numbered_map_files({path.name for path in folder.glob("maps_*.fits")}))
    if count == 0:
        raise FileNotFoundError(f"{str(folder)!r} is not the folder of a run: it has no maps.fits")
    paths = [folder / name for name in map_file_names(max(count, 2))]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{str(folder)!r} lacks a file of maps: it has no {path.name}")
    return paths
