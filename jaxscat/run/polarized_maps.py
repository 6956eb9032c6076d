"""The polarized maps of a run as FITS files: I, Q and U of the original and of every seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from jaxscat.io.maps import save_maps
from jaxscat.maps import UNSEEN, seen_pixels
from jaxscat.run.folder import map_file_names
from jaxscat.run.polarized_inputs import Fields, PolarizedInputs
from jaxscat.run.provenance import creator

# Columns of more would need keywords of nine letters.
SEEDS_PER_FILE = 16


def save_polarized_maps(
    folder: Path,
    inputs: PolarizedInputs,
    start: Fields,
    made: Mapping[int, Fields],
    statuses: Mapping[int, str],
    *,
    hidden: Literal["unseen", "free"] | None = "unseen",
) -> list[Path]:
    """Write I, Q and U (COSMO) of a run, NESTED; return the paths of the files.

    Up to 16 seeds are in maps.fits: I_STOKES, Q_STOKES and U_STOKES of the original, so that
    `healpy.read_map(path, field=(0, 1, 2))` reads them, START_I, START_Q and START_U (of the first
    seed), SEED_<n>_I, ... for each seed, and MASK_<m> for each mask. More seeds are in
    maps_001.fits, maps_002.fits, ..., 16 in each: the original stands in all of them, start and
    masks in the first. Of column <k> the keywords SEED<k> and STATUS<k> say which seed it belongs
    to and how its synthesis ended; LMAX is the last multipole of E and B.

    Args:
        folder: of the run.
        inputs: the original.
        start: fields of the start of the first seed.
        made: fields of every seed.
        statuses: how the synthesis of every seed ended.
        hidden: which maps are UNSEEN where no mask has weight: "unseen" all of them, "free" the
            original only, None none.
    """
    seeds = list(made)
    parts = [seeds[at : at + SEEDS_PER_FILE] for at in range(0, len(seeds), SEEDS_PER_FILE)]
    paths = [folder / name for name in map_file_names(len(parts))]
    original = inputs.stokes(inputs.originals)
    dtype = "float64" if any(inputs.offsets.values()) else "float32"
    lost = None if inputs.mask is None or hidden is None else ~seen_pixels(inputs.mask)

    def shown(map: np.ndarray, *, new: bool = True) -> np.ndarray:
        if lost is None or (new and hidden == "free"):
            return map
        return np.where(lost, np.asarray(UNSEEN, map.dtype), map)

    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        columns = {f"{letter}_STOKES": shown(map, new=False) for letter, map in original.items()}
        header = creator() | ({} if inputs.lmax is None else {"LMAX": inputs.lmax})
        others = {f"SEED_{seed}": (seed, statuses[seed], made[seed]) for seed in part}
        if number == 0:
            others = {"START": (seeds[0], "start", start)} | others
        for name, (seed, status, fields) in others.items():
            for letter, map in inputs.stokes(fields).items():
                columns[f"{name}_{letter}"] = shown(map)
                header |= {f"SEED{len(columns)}": seed, f"STATUS{len(columns)}": status}
        units = dict.fromkeys(columns, inputs.unit)
        if number == 0 and inputs.mask is not None:
            masks = enumerate(np.atleast_2d(inputs.mask), start=1)
            columns |= {f"MASK_{place}": mask for place, mask in masks}
        save_maps(
            path,
            columns,
            header=header,
            units=units,
            frame=inputs.frame,
            dtype=dtype,
            polarization="COSMO",
        )
    return paths
