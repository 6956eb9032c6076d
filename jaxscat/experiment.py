"""One experiment from its config to its folder: load, measure, synthesize, validate, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.config import Config, load_config
from jaxscat.gaussianization import gaussianize
from jaxscat.inputs import footprint_of, in_precision, read_inputs
from jaxscat.maps import nside_of
from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.provenance import (
    Clock,
    describe_devices,
    git_commit,
    versions,
)
from jaxscat.run_folder import new_run_folder, write_json
from jaxscat.run_maps import find_run_maps
from jaxscat.run_results import Synthesized, write_results
from jaxscat.starts import gaussian_noise, reference_noise, white_noise
from jaxscat.synthesis.checkpoints import Checkpoints
from jaxscat.synthesis.results import Progress
from jaxscat.synthesis.synthesize import synthesize_many
from jaxscat.targets import experiment_target
from jaxscat.unfinished import UnfinishedRun, begun_run, finished_results, remove
from jaxscat.validation import validate

# What a config calls them.
STARTS = {
    "white_noise": white_noise,
    "reference_noise": reference_noise,
    "gaussian_noise": gaussian_noise,
}


class Observer:
    """Hears of a run's progress; this one keeps silent, others show it."""

    def stage(self, name: str) -> None:
        """A new part of the run begins."""

    def building(self, done: int, total: int) -> None:
        """So many of the pyramid's parts are built."""

    def step(self, progress: Progress) -> None:
        """The synthesis has advanced."""


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
    several files for more than 64 seeds), history.csv, summary.png and run.json, and of two seeds
    or more ensemble.csv and ensemble.png. In results.json the keys of a single map are those of
    the first seed; `seeds` has all of them and `ensemble` how they differ. When the synthesis is
    interrupted the best maps so far are validated and written, seeds not begun are left out and
    the status is "interrupted".
    With `synthesis.gaussianize`, target and losses are of maps with a Gaussian histogram; all maps
    that are validated, drawn and written have been taken back to the values of the original.
    With `target.second`, target and losses are of each map together with the second one, which
    stays as it is; whatever the target is, the validation compares the maps alone.

    Until it has ended, what the run needs to go on is in `<folder>.unfinished`: as often as the
    config says, a checkpoint. With `resume` it goes on from there, with the same config, and gives
    the maps of an uninterrupted run; one that has ended is left as it is.

    Raises `ValueError` for float64 without JAX's 64-bit mode, for a run of another config, data or
    version to resume, and for all that `load_map`, `build_pyramid`, `gaussianize`, `make_target`
    and `synthesize` refuse, `FileExistsError` for a folder that is taken (before anything is
    computed), `FileNotFoundError` when there is nothing to resume.
    """
    observer = observer or Observer()
    _check_precision(config)
    folder = Path(folder) if folder is not None else Path("runs") / config.run.name
    if resume:
        results = finished_results(folder, config)
        if results is not None:
            return Outcome(folder, results, results["status"], computed=False)
    with begun_run(folder, config, overwrite=overwrite, resume=resume) as unfinished:
        with new_run_folder(
            folder, overwrite=unfinished.overwrite, within=unfinished.folder
        ) as draft:
            outcome = _run(config, draft, observer, config_path, unfinished)
        if outcome.status != "interrupted" or not unfinished.has_checkpoints():
            remove(unfinished.folder)
    return Outcome(folder, outcome.results, outcome.status)


def validate_run(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Validate the maps of a run folder again; returns one report (see `validate`) per seed column.

    Raises `FileNotFoundError` when the folder has no config.toml or lacks its maps, and
    `ValueError` when one cannot be read.
    """
    folder = Path(folder)
    stored = find_run_maps(folder)
    config = load_config(folder / "config.toml")
    _check_precision(config)
    footprint = footprint_of(stored.mask)
    original = stored.original
    working, restore = _working_map(config, original.astype(config.run.precision), footprint)
    pyramid = _pyramid(config, original.size, Observer())
    draw = _start(config, working, footprint)
    return {
        f"SEED_{seed}": validate(
            original,
            stored.of_seed(seed),
            start=restore(draw(seed)),
            pyramid=pyramid,
            mask=stored.mask,
        )
        for seed in stored.files
    }


def _run(
    config: Config,
    draft: Path,
    observer: Observer,
    config_path: Path | None,
    unfinished: UnfinishedRun,
) -> Outcome:
    clock = Clock()
    with clock.measure("load"):
        observer.stage(f"reading {config.data.dataset or config.data.path}")
        inputs = read_inputs(config)
    dtype = np.dtype(config.run.precision)
    original = in_precision(inputs.original, config.run.precision, "data")
    mask = None if inputs.mask is None else inputs.mask.astype(dtype)
    second = inputs.second
    if second is not None:
        second = in_precision(second, config.run.precision, "target.second")
    footprint = footprint_of(mask)
    with clock.measure("pyramid"):
        observer.stage("building the wavelets")
        pyramid = _pyramid(config, original.size, observer)
    with clock.measure("target"):
        observer.stage("measuring the map")
        working, restore = _working_map(config, original, footprint)
        target = experiment_target(config, working, pyramid, mask=mask, second=second)
    settings = config.synthesis
    draw = _start(config, working, footprint)
    checkpoints = _checkpoints(config, unfinished, inputs.checksums)
    kept = [] if checkpoints is None else checkpoints.steps()
    since = f", from evaluation {kept[-1]}" if kept else ""
    observer.stage(f"synthesizing {_counted(settings.seeds)}{since}")
    together = synthesize_many(
        target,
        pyramid,
        settings.seeds,
        start=draw,
        batch_size=settings.batch_size,
        checkpoints=checkpoints,
        max_steps=settings.max_steps,
        memory=settings.memory,
        callback=observer.step,
    )
    made = {seed: together.of_seed(seed) for seed in together.seeds or ()}
    made = {seed: result._replace(map=restore(result.map)) for seed, result in made.items()}
    starts = {seed: restore(draw(seed)) for seed in made}
    run = Synthesized(inputs.source, original, mask, starts, made)
    results = write_results(draft, config, run, pyramid, clock=clock, stage=observer.stage)
    (draft / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    compiling = sum(result.compile_seconds for result in made.values())
    running = sum(result.run_seconds for result in made.values())
    write_json(
        draft / "run.json",
        {
            "versions": versions(),
            "device": describe_devices(),
            "precision": config.run.precision,
            "run": unfinished.run,
            "seeds": list(made),
            "git_commit": git_commit(Path(__file__)) or git_commit(config_path or Path()),
            "inputs_sha256": inputs.checksums,
            "seconds": {
                **clock.seconds,
                "compile": compiling,
                "synthesis": running,
                "total": clock.total(),
            },
        },
    )
    return Outcome(draft, results, results["status"])


def _checkpoints(
    config: Config, unfinished: UnfinishedRun, checksums: dict[str, str]
) -> Checkpoints | None:
    """Where the synthesis keeps its state, or None if the config wants no checkpoints."""
    settings = config.checkpoints
    if not settings.every_steps and not settings.every_minutes:
        return None
    return Checkpoints(
        unfinished.checkpoints,
        every_steps=settings.every_steps or None,
        every_minutes=settings.every_minutes or None,
        identity={f"checksum of {name}": value for name, value in checksums.items()},
    )


def _working_map(
    config: Config, original: np.ndarray, footprint: np.ndarray | None
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The map whose coefficients new maps get, and what gives those the original's histogram."""
    if not config.synthesis.gaussianize:
        return original, lambda map: map
    normal, relation = gaussianize(original, weights=footprint)
    return np.asarray(normal), lambda map: np.asarray(relation.inverse(jnp.asarray(map)))


def _start(
    config: Config, working: np.ndarray, footprint: np.ndarray | None
) -> Callable[[int], np.ndarray]:
    """What draws the start of a seed."""
    kind = STARTS[config.synthesis.start]
    return lambda seed: kind(working, seed, footprint=footprint).astype(config.run.precision)


def _counted(seeds: tuple[int, ...]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _pyramid(config: Config, npix: int, observer: Observer) -> Pyramid:
    settings = config.pyramid
    return build_pyramid(
        nside_of(npix),
        orientations=settings.orientations,
        kernel_size=settings.kernel_size,
        scales=settings.scales,
        dtype=np.dtype(config.run.precision),
        geometry=settings.geometry,
        progress=observer.building,
    )


def _check_precision(config: Config) -> None:
    wanted = np.dtype(config.run.precision)
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ValueError(
            "run.precision = 'float64': JAX is in 32-bit mode; expected "
            "jax.config.update('jax_enable_x64', True) first (the command line does it)"
        )
