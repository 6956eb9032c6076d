"""The validation of the maps of a run folder, once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxscat.io.archive import check_replaceable
from jaxscat.io.masks import build_footprint
from jaxscat.io.precision import large_mean
from jaxscat.maps import npix_to_nside
from jaxscat.progress import Observer
from jaxscat.run.config import load_config
from jaxscat.run.folder import REPORT
from jaxscat.run.maps import find_run_maps
from jaxscat.run.problem import build_working_map, check_precision
from jaxscat.run.report import write_report
from jaxscat.run.targets import build_run_pyramid, find_cells, treat_hidden
from jaxscat.validation.seeds import SeedValidation, validate_seeds


def validate_run(folder: str | Path, observer: Observer | None = None) -> SeedValidation:
    """Validate the maps of a run folder again, and write validation.json and the report anew.

    What else the folder holds stays as it is. Returns what was found of all seeds.

    Raises `FileNotFoundError` when the folder has no config.toml or lacks its maps, `ValueError`
    when one cannot be read or a file to write is no regular one, and `OSError` when the folder
    cannot be written.
    """
    observer = observer or Observer()
    folder = Path(folder)
    if (folder / "config.toml").is_file():
        kind = load_config(folder / "config.toml").task.kind
        if kind != "synthesis":
            says = (
                "what was found of it" if kind == "polarization" else "how near it is to the truth"
            )
            raise ValueError(
                f"{str(folder)!r} is the run of a task {kind!r}, expected a synthesis: its "
                f"results.json and report.html say {says}"
            )
    stored = find_run_maps(folder)
    config = load_config(folder / "config.toml")
    check_precision(config)
    for name in REPORT:
        check_replaceable(folder / name, name="folder")
    observer.stage("building the wavelets")
    working = build_working_map(config, stored.original, build_footprint(stored.mask))
    cells = find_cells(config, stored.mask)
    pyramid = build_run_pyramid(
        config, npix_to_nside(stored.original.size), cells=cells, progress=observer.building
    )
    observer.stage("validating")
    exact = large_mean(stored.original) != 0
    maps = {
        seed: map if exact else map.astype(np.float32)
        for seed in stored.files
        for map in [stored.of_seed(seed)]
    }
    validation = validate_seeds(
        stored.original,
        maps,
        pyramid,
        start_of=working.restored_start,
        mask=stored.mask,
        hidden=treat_hidden(config),
        progress=observer.building,
    )
    observer.stage("writing the report")
    write_report(folder, config, validation, maps)
    return validation
