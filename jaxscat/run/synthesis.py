"""The new maps of a run: each process makes its share of the seeds, the first gathers all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.result import Result
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Observer, Progress
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder
from jaxscat.run.problem import Prepared, prepare
from jaxscat.run.processes import Processes, read_parts, write_part
from jaxscat.run.provenance import Clock
from jaxscat.run.resolved import resolve
from jaxscat.run.run_checkpoints import build_checkpoints
from jaxscat.synthesis.levels import synthesize_levels


@dataclass(frozen=True)
class Synthesized:
    """The maps of a run, all in the original's values, and how the new ones came about.

    Attributes:
        source: the file or dataset of the original.
        original: the original map [p], NESTED.
        mask: the mask [p] or masks [M p], or None.
        pyramid: the wavelets at the nside of the maps.
        starts: the start [p] of every seed.
        made: the new map of every seed, in the order of the seeds; at least one.
        checksums: SHA-256 of the inputs, by name.
        unit, frame: of the original, as its file states them, or None.
        resolved: the config with every value that was in force, or None for the given one.
    """

    source: str
    original: np.ndarray
    mask: np.ndarray | None
    pyramid: Pyramid
    starts: Mapping[int, np.ndarray]
    made: Mapping[int, Result]
    checksums: Mapping[str, str]
    unit: str | None = None
    frame: str | None = None
    resolved: Config | None = None

    @property
    def maps(self) -> dict[int, np.ndarray]:
        """The new map [p] of every seed."""
        return {seed: result.map for seed, result in self.made.items()}


class Synthesizer(Protocol):
    """A function that makes the maps of some seeds, in place of `synthesize_seeds`."""

    def __call__(
        self,
        prepared: Prepared,
        seeds: Sequence[int],
        *,
        checkpoints: Checkpoints | None,
        callback: Callable[[Progress], None] | None,
    ) -> Result:
        """Make the maps of some seeds of a prepared config."""
        ...


def synthesize_seeds(
    prepared: Prepared,
    seeds: Sequence[int] | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Result:
    """Make the maps of some seeds, or of all seeds of a config.

    Args:
        prepared: the problem; the limits are those of its config.
        seeds: default all seeds of the config.
        checkpoints, callback: as for `synthesize_levels`.

    Returns:
        maps [n p] in the values of the working map (see `Prepared.restore`).

    Raises:
        ValueError, OSError: as `synthesize_levels`.
    """
    settings = prepared.config.synthesis
    return synthesize_levels(
        prepared.targets,
        prepared.pyramids,
        settings.seeds if seeds is None else seeds,
        start=prepared.start,
        form=prepared.form,
        batch_size=settings.batch_size,
        checkpoints=checkpoints,
        max_steps=settings.max_steps,
        max_evaluations=settings.max_evaluations,
        stagnation=settings.stagnation,
        memory=settings.memory,
        callback=callback,
    )


def synthesize_run(
    config: Config,
    observer: Observer,
    run: RunFolder,
    processes: Processes,
    clock: Clock,
    synthesize: Synthesizer = synthesize_seeds,
) -> Synthesized:
    """Prepare a config and make this process's share of its maps.

    Args:
        config: the settings.
        observer: receives the progress.
        run: the run that is begun, for checkpoints and for the maps of other processes.
        processes: the processes that share the seeds.
        clock: records the seconds of the parts.
        synthesize: makes the maps of some seeds.

    Returns:
        the maps of the run in its precision: in the first process those of all seeds, in the
        others their own without starts.

    Raises:
        ValueError: as `prepare` and `synthesize_levels`; a checkpoint of another run.
        OSError: a file cannot be read or written.
    """
    with processes.all_or_none():
        prepared = prepare(config, observer=observer, clock=clock)
        checkpoints = build_checkpoints(
            config,
            run,
            prepared.inputs.checksums,
            process=processes.index,
            identity={"processes": processes.count},
        )
        seeds = processes.share(config.synthesis.seeds)
        observer.stage(_describe_stage(seeds, processes, checkpoints))
        result = None
        if seeds:
            observer.compiling()
            result = synthesize(prepared, seeds, checkpoints=checkpoints, callback=observer.step)
        if processes.count > 1:
            write_part(run.state, processes, result)
            observer.stage("waiting for the other processes")
    made = _gather(run.state, processes, config.synthesis.seeds, result)
    return _restore(prepared, made, with_starts=processes.index == 0)


def _gather(
    folder: Path, processes: Processes, seeds: Sequence[int], result: Result | None
) -> Mapping[int, Result]:
    """Return the result of every seed: of all processes in the first, of its own in another."""
    if processes.count > 1 and processes.index == 0:
        return read_parts(folder, processes, seeds)
    return {} if result is None else {seed: result.of_seed(seed) for seed in result.seeds or ()}


def _restore(prepared: Prepared, made: Mapping[int, Result], *, with_starts: bool) -> Synthesized:
    """Take new maps, and the starts if wanted, back to the values of the original."""
    inputs = prepared.inputs
    return Synthesized(
        source=inputs.source,
        original=inputs.original,
        mask=inputs.mask,
        pyramid=prepared.pyramid,
        starts={seed: prepared.restore(prepared.start(seed)) for seed in made if with_starts},
        made={
            seed: result._replace(map=prepared.restore(result.map)) for seed, result in made.items()
        },
        checksums=inputs.checksums,
        unit=inputs.unit,
        frame=inputs.frame,
        resolved=resolve(
            prepared.config,
            prepared.pyramid.spec,
            place=inputs.place,
            unit=inputs.unit,
            covariance_scales=prepared.targets[-1].covariance_scales,
        ),
    )


def _describe_stage(
    seeds: Sequence[int], processes: Processes, checkpoints: Checkpoints | None
) -> str:
    """Describe the synthesis of some seeds, and from which checkpoint it goes on."""
    here = f"process {processes.index} of {processes.count}: " if processes.count > 1 else ""
    said = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    kept = [] if checkpoints is None else checkpoints.steps()
    since = f", from evaluation {kept[-1]}" if kept else ""
    return f"synthesizing {here}{said}{since}"
