"""One experiment from its config to its folder: load, measure, synthesize, validate, write."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxscat.io.masks import build_footprint
from jaxscat.progress import Observer
from jaxscat.run.config import Config, load_config
from jaxscat.run.folder import new_run_folder, write_json
from jaxscat.run.maps import find_run_maps
from jaxscat.run.processes import Hosts, these_hosts
from jaxscat.run.provenance import (
    Clock,
    describe_devices,
    git_commit,
    versions,
)
from jaxscat.run.report import write_report
from jaxscat.run.results import write_results
from jaxscat.run.resume import (
    UnfinishedRun,
    begun_run,
    finished_results,
    joined_run,
    place_of,
    remove,
)
from jaxscat.run.synthesizing import pyramid_of, start_of_seeds, synthesized_maps, working_map
from jaxscat.validation.seeds import SeedValidation, validate_seeds


@dataclass(frozen=True)
class Outcome:
    """What a run has made: its folder, the content of results.json, and how the synthesis ended.

    `computed` is False for a run that had ended before it was resumed.
    """

    folder: Path
    results: dict[str, Any]
    status: str
    computed: bool = True


def run_experiment(
    config: Config,
    folder: str | Path | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer | None = None,
    config_path: Path | None = None,
) -> Outcome:
    """Run one experiment and write its folder (default `runs/<name>`), whole or not at all.

    The folder holds results.json, config.toml (as resolved), maps.fits (see `save_run_maps`;
    several files for more than 64 seeds), history.csv, summary.png, run.json, what the validation
    has found (see `write_report`), and of two seeds or more ensemble.csv and ensemble.png. In
    results.json the keys of a single map are those of the first seed; `seeds` has all of them and
    `ensemble` how they differ. When the synthesis is interrupted the best maps so far are validated
    and written, seeds not begun are left out and the status is "interrupted".
    With `synthesis.gaussianize`, target and losses are of maps with a Gaussian histogram; all maps
    that are validated, drawn and written have been taken back to the values of the original.
    With `target.second`, target and losses are of each map together with the second one, which
    stays as it is; whatever the target is, the validation compares the maps alone.

    Until it has ended, what the run needs to go on is in `<folder>.unfinished`: as often as the
    config says, a checkpoint. With `resume` it goes on from there, with the same config, and gives
    the maps of an uninterrupted run; one that has ended is left as it is.
    Of several processes that JAX has brought together (`jax.distributed.initialize`), all of which
    call this with the same arguments, each makes its share of the seeds; the first writes the
    folder, which all must see.

    Raises `ValueError` for float64 without JAX's 64-bit mode, for a run of another config, data or
    version to resume, and for all that `load_map`, `build_pyramid`, `gaussianize`, `make_target`
    and `synthesize` refuse, `FileExistsError` for a folder that is taken (before anything is
    computed), `FileNotFoundError` when there is nothing to resume.
    """
    observer = observer or Observer()
    _check_precision(config)
    folder = Path(folder) if folder is not None else Path("runs") / config.run.name
    hosts = these_hosts()
    with hosts.together():
        results = finished_results(folder, config) if resume else None
    if results is not None:
        if hosts.index == 0:
            remove(place_of(folder))  # of a run killed after its results were put in place
        return Outcome(folder, results, results["status"], computed=False)
    if hosts.index > 0:
        return _help(config, folder, observer, hosts)
    with ExitStack() as begun, hosts.together():
        with hosts.together():
            unfinished = begun.enter_context(
                begun_run(folder, config, overwrite=overwrite, resume=resume)
            )
        with new_run_folder(
            folder, overwrite=unfinished.overwrite, within=unfinished.folder
        ) as draft:
            outcome = _run(config, draft, observer, config_path, unfinished, hosts)
        if outcome.status != "interrupted" or not unfinished.has_checkpoints():
            remove(unfinished.folder)
    return Outcome(folder, outcome.results, outcome.status)


def _help(config: Config, folder: Path, observer: Observer, hosts: Hosts) -> Outcome:
    """Make this process's share of the seeds; the first process writes the results."""
    with hosts.together():
        with hosts.together():
            pass  # the first begins the run
        synthesized_maps(config, observer, joined_run(folder), hosts, Clock())
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return Outcome(folder, results, results["status"])


def validate_run(folder: str | Path, observer: Observer | None = None) -> SeedValidation:
    """Validate the maps of a run folder again, and write validation.json and the report anew.

    What else the folder holds stays as it is. Returns what was found of all seeds.

    Raises `FileNotFoundError` when the folder has no config.toml or lacks its maps, `ValueError`
    when one cannot be read and `OSError` when the folder cannot be written.
    """
    observer = observer or Observer()
    folder = Path(folder)
    stored = find_run_maps(folder)
    config = load_config(folder / "config.toml")
    _check_precision(config)
    observer.stage("validating")
    footprint = build_footprint(stored.mask)
    original = stored.original
    working, restore = working_map(config, original.astype(config.run.precision), footprint)
    pyramid = pyramid_of(config, original.size, Observer())
    draw = start_of_seeds(config, working, footprint)
    maps = {seed: stored.of_seed(seed).astype(np.float32) for seed in stored.files}
    validation = validate_seeds(
        original,
        maps,
        pyramid,
        start_of=lambda seed: restore(draw(seed)),
        mask=stored.mask,
        progress=observer.building,
    )
    observer.stage("writing the report")
    write_report(folder, config, validation, maps)
    return validation


def _run(
    config: Config,
    draft: Path,
    observer: Observer,
    config_path: Path | None,
    unfinished: UnfinishedRun,
    hosts: Hosts,
) -> Outcome:
    clock = Clock()
    run, pyramid, checksums = synthesized_maps(config, observer, unfinished, hosts, clock)
    results, validation = write_results(
        draft, config, run, pyramid, clock=clock, stage=observer.stage, progress=observer.building
    )
    (draft / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    compiling = sum(result.compile_seconds for result in run.made.values())
    running = sum(result.run_seconds for result in run.made.values())
    write_json(
        draft / "run.json",
        {
            "versions": versions(),
            "device": describe_devices(),
            "processes": hosts.count,
            "precision": config.run.precision,
            "run": unfinished.run,
            "seeds": list(run.made),
            "git_commit": git_commit(Path(__file__)) or git_commit(config_path or Path()),
            "inputs_sha256": checksums,
            "seconds": {
                **clock.seconds,
                "compile": compiling,
                "synthesis": running,
                "total": clock.total(),
            },
        },
    )
    observer.stage("writing the report")
    write_report(draft, config, validation, {seed: one.map for seed, one in run.made.items()})
    return Outcome(draft, results, results["status"])


def _check_precision(config: Config) -> None:
    wanted = np.dtype(config.run.precision)
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ValueError(
            "run.precision = 'float64': JAX is in 32-bit mode; expected "
            "jax.config.update('jax_enable_x64', True) first (the command line does it)"
        )
