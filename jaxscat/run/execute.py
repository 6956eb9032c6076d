"""One experiment from its config to its folder: load, measure, synthesize, validate, write."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jaxscat.io.archive import write_text
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder, write_json
from jaxscat.run.kept_warnings import keep_warnings
from jaxscat.run.polarized_denoising import denoise_polarized
from jaxscat.run.polarized_denoising_results import write_polarized_denoising
from jaxscat.run.polarized_results import write_polarized
from jaxscat.run.polarized_synthesis import synthesize_polarized
from jaxscat.run.problem import check_precision
from jaxscat.run.processes import Processes, current_processes
from jaxscat.run.provenance import Clock, describe_devices, git_commit, versions
from jaxscat.run.reconstruction import realizations_of, reconstruct_run
from jaxscat.run.reconstruction_report import write_page
from jaxscat.run.reconstruction_results import write_reconstruction
from jaxscat.run.report import write_report
from jaxscat.run.resolved import describe_given, resolve, write_resolved
from jaxscat.run.results import write_results
from jaxscat.run.synthesis import Synthesizer, synthesize_run, synthesize_seeds


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        folder: the folder of the run.
        results: the content of results.json.
        status: how the synthesis ended.
        computed: False for a run that had ended before it was resumed.
        resumable: whether there is a state from which the run goes on.
    """

    folder: Path
    results: dict[str, Any]
    status: str
    computed: bool = True
    resumable: bool = False


def run_experiment(
    config: Config,
    folder: str | Path | RunFolder | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer | None = None,
    config_path: Path | None = None,
    synthesize: Synthesizer = synthesize_seeds,
) -> Outcome:
    """Run one experiment and write its folder (default `runs/<name>`), whole or not at all.

    The folder holds results.json, config.toml (see `resolve`), maps.fits (see `save_run_maps`;
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

    Args:
        config: the settings.
        folder: where the results go; a `RunFolder` is open already, with its own `overwrite` and
            `resume`.
        overwrite: replace the folder of a former run.
        resume: go on with a run that was interrupted or killed.
        observer: receives the progress.
        config_path: file of the config, whose git commit is noted where the package has none.
        synthesize: makes the maps of this process's seeds.

    Raises:
        ValueError: float64 without JAX's 64-bit mode; a run of another config, data or version to
            resume; as `prepare` and `synthesize_levels`.
        FileExistsError: a folder that is taken (before anything is computed).
        FileNotFoundError: nothing to resume.
    """
    observer = observer or Observer()
    check_precision(config)
    processes = current_processes()
    if processes.count > 1 and config.task.kind != "synthesis":
        raise ValueError(
            f"task.kind = {config.task.kind!r}: got {processes.count} processes, expected one"
        )
    if not isinstance(folder, RunFolder):
        folder = Path("runs") / config.run.name if folder is None else folder
        folder = RunFolder.open(
            folder, config, overwrite=overwrite, resume=resume, processes=processes
        )
    elif folder.config != config:
        raise ValueError(f"folder: got {str(folder.folder)!r} of another config, expected the same")
    if folder.results is not None:
        if processes.index == 0:
            folder.finish()  # of a run killed after its results were put in place
        return Outcome(folder.folder, folder.results, folder.results["status"], computed=False)
    work = _run_first if processes.index == 0 else _run_other
    return work(folder, observer, processes, synthesize, config_path)


def _run_first(
    folder: RunFolder,
    observer: Observer,
    processes: Processes,
    synthesize: Synthesizer,
    config_path: Path | None,
) -> Outcome:
    """Make this process's share of the seeds and write the results of all."""
    with ExitStack() as stack, processes.all_or_none():
        with processes.all_or_none():
            run = stack.enter_context(folder.begin())
        with run.draft() as draft:
            results = _make_results(draft, run, observer, processes, synthesize, config_path)
        if results["status"] != "interrupted" or not run.has_checkpoints():
            run.finish()
    return Outcome(run.folder, results, results["status"], resumable=run.resumable)


def _run_other(
    folder: RunFolder,
    observer: Observer,
    processes: Processes,
    synthesize: Synthesizer,
    config_path: Path | None,
) -> Outcome:
    """Make this process's share of the seeds; the first process writes the results."""
    with processes.all_or_none():
        with processes.all_or_none():
            pass  # the first begins the run
        synthesize_run(folder.config, observer, folder.join(), processes, Clock(), synthesize)
    results = json.loads((folder.folder / "results.json").read_text(encoding="utf-8"))
    return Outcome(folder.folder, results, results["status"], resumable=folder.resumable)


@dataclass(frozen=True)
class _Made:
    """What a task has made: content of results.json, and what other files of its folder say."""

    resolved: Config
    results: dict[str, Any]
    seeds: list[int]
    checksums: dict[str, str]
    seconds: dict[str, float]
    write_page: Callable[[Path], None]


def _make_results(
    draft: Path,
    run: RunFolder,
    observer: Observer,
    processes: Processes,
    synthesize: Synthesizer,
    config_path: Path | None,
) -> dict[str, Any]:
    """Make the maps of a run and fill its folder; return the content of results.json."""
    clock, config = Clock(), run.config
    if config.task.kind == "synthesis":
        made = _make_synthesis(draft, run, observer, processes, synthesize, clock)
    elif config.task.kind == "polarization":
        made = _make_polarized(draft, run, observer, clock)
    elif config.task.kind == "denoise-polarization":
        made = _make_denoised(draft, run, observer, clock)
    else:
        made = _make_reconstruction(draft, run, observer, clock)
    about = {name: made.results.get(name) for name in ("unit", "frame")}
    write_text(draft / "config.toml", write_resolved(made.resolved, **about))
    write_json(
        draft / "run.json",
        {
            "versions": versions(),
            "device": describe_devices(),
            "processes": processes.count,
            "precision": config.run.precision,
            "run": run.run,
            "seeds": made.seeds,
            "given": describe_given(config, made.resolved),
            "git_commit": git_commit(Path(__file__)) or git_commit(config_path or Path()),
            "inputs_sha256": made.checksums,
            "seconds": {**clock.seconds, **made.seconds, "total": clock.total()},
        },
    )
    observer.stage("writing the report")
    made.write_page(draft)
    return made.results


def _make_synthesis(
    draft: Path,
    run: RunFolder,
    observer: Observer,
    processes: Processes,
    synthesize: Synthesizer,
    clock: Clock,
) -> _Made:
    config = run.config
    found = synthesize_run(config, observer, run, processes, clock, synthesize)
    results, validation = write_results(
        draft, config, found, clock=clock, stage=observer.stage, progress=observer.building
    )
    seconds = {
        "compile": sum(result.compile_seconds for result in found.made.values()),
        "synthesis": sum(result.run_seconds for result in found.made.values()),
    }

    def write_page(folder: Path) -> None:
        write_report(folder, config, validation, found.maps)

    resolved = found.resolved or config
    return _Made(resolved, results, list(found.made), dict(found.checksums), seconds, write_page)


def _make_polarized(draft: Path, run: RunFolder, observer: Observer, clock: Clock) -> _Made:
    config = run.config
    found = synthesize_polarized(config, observer, run, clock)
    results, write_page = write_polarized(draft, config, found, clock=clock, observer=observer)
    seconds = {
        "compile": results["compile_seconds"],
        "synthesis": results["elapsed_seconds"] - results["compile_seconds"],
    }
    resolved = resolve(
        config,
        found.pyramid.spec,
        lmax=found.inputs.lmax,
        pairs=tuple(found.target.mean.names()),
    )
    checksums = dict(found.inputs.checksums)
    return _Made(resolved, results, list(found.made), checksums, seconds, write_page)


def _make_denoised(draft: Path, run: RunFolder, observer: Observer, clock: Clock) -> _Made:
    config = run.config
    found = denoise_polarized(config, observer, run, clock)
    results, write_page = write_polarized_denoising(
        draft, config, found, clock=clock, stage=observer.stage
    )
    return _Made(
        resolve(
            config,
            found.pyramid.spec,
            lmax=found.given.inputs.lmax,
            pairs=found.pairs,
            realizations=realizations_of(config, [found.given.noise]),
        ),
        results,
        list(found.result.seeds or ()),
        {**found.given.inputs.checksums, **found.given.checksums_of_truth},
        {"compile": results["compile_seconds"], "reconstruction": results["run_seconds"]},
        write_page,
    )


def _make_reconstruction(draft: Path, run: RunFolder, observer: Observer, clock: Clock) -> _Made:
    config = run.config
    with keep_warnings() as warned:
        found = reconstruct_run(config, observer, run, clock)
        results = write_reconstruction(
            draft, config, found, clock=clock, stage=observer.stage, warned=warned
        )
    of_truth = {} if found.truth is None else found.truth.checksums
    noises = [one for one in (found.given.noise, found.given.contaminant) if one is not None]
    return _Made(
        resolve(config, found.pyramid.spec, realizations=realizations_of(config, noises)),
        results,
        list(found.result.seeds or ()),
        {**found.given.checksums, **of_truth},
        {"compile": found.result.compile_seconds, "reconstruction": found.result.run_seconds},
        partial(write_page, config=config),
    )
