"""From a config to its new maps: load, measure, synthesize."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxscat.fields.gaussianization import gaussianize
from jaxscat.fields.noise import gaussian_noise, reference_noise, white_noise
from jaxscat.io.maps import in_precision
from jaxscat.io.masks import build_footprint
from jaxscat.maps import npix_to_nside
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.parametrizations.harmonic import Harmonic as HarmonicForm
from jaxscat.parametrizations.harmonic import check_form_nside, harmonic_form
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.inputs import read_inputs
from jaxscat.run.processes import Hosts, read_parts, write_part
from jaxscat.run.provenance import Clock
from jaxscat.run.resolution_levels import coarser_levels
from jaxscat.run.results import Synthesized
from jaxscat.run.resume import UnfinishedRun
from jaxscat.run.targets import experiment_target
from jaxscat.synthesis.levels import synthesize_levels

# What a config calls them.
STARTS = {
    "white_noise": white_noise,
    "reference_noise": reference_noise,
    "gaussian_noise": gaussian_noise,
}


def synthesized_maps(
    config: Config,
    observer: Observer,
    unfinished: UnfinishedRun,
    hosts: Hosts,
    clock: Clock,
) -> tuple[Synthesized, Pyramid, dict[str, str]]:
    """Load a map, measure it, and make new ones, or as many of them as are this process's share.

    Args:
        config: the experiment.
        observer: hears of the progress.
        unfinished: the run's place on disk, for checkpoints and for what other processes make.
        hosts: the processes that share the seeds.
        clock: is told how long the parts took.

    Returns:
        the new maps [p] with their starts, in the original's values and the run's precision (in
        the first process those of all, in the others its own and no starts); the pyramid; and the
        checksums of the inputs, by their names.

    Raises:
        ValueError: as `load_map`, `build_pyramid`, `gaussianize`, `make_target`, `harmonic_form`,
            `coarser_levels` and `synthesize_many`; a checkpoint of another run.
        OSError: a file cannot be read or written.
    """
    settings = config.synthesis
    with hosts.together():
        with clock.measure("load"):
            observer.stage(f"reading {config.data.dataset or config.data.path}")
            inputs = read_inputs(config)
        dtype = np.dtype(config.run.precision)
        original = in_precision(inputs.original, config.run.precision, "data")
        mask = None if inputs.mask is None else inputs.mask.astype(dtype)
        second = inputs.second
        if second is not None:
            second = in_precision(second, config.run.precision, "target.second")
        footprint = build_footprint(mask)
        if settings.form == "harmonic":
            check_form_nside(
                npix_to_nside(original.size), name="synthesis.form: 'harmonic' at nside"
            )
        with clock.measure("pyramid"):
            observer.stage("building the wavelets")
            pyramid = pyramid_of(config, original.size, observer)
        with clock.measure("target"):
            observer.stage("measuring the map")
            working, restore = working_map(config, original, footprint)
            target = experiment_target(config, working, pyramid, mask=mask, second=second)
            targets, pyramids = coarser_levels(
                config,
                working,
                pyramid,
                lambda level, npix: pyramid_of(level, npix, Observer()),
                mask=mask,
                second=second,
            )
            form = form_of(config, working, footprint)
        draw = start_of_seeds(config, working, footprint)
        checkpoints = _checkpoints(config, unfinished, inputs.checksums, hosts)
        kept = [] if checkpoints is None else checkpoints.steps()
        since = f", from evaluation {kept[-1]}" if kept else ""
        seeds = hosts.share(settings.seeds)
        observer.stage(f"synthesizing {_counted(seeds, hosts)}{since}")
        together = None
        if seeds:
            together = synthesize_levels(
                [*targets, target],
                [*pyramids, pyramid],
                seeds,
                start=draw,
                form=form,
                batch_size=settings.batch_size,
                checkpoints=checkpoints,
                max_steps=settings.max_steps,
                max_evaluations=settings.max_evaluations,
                stagnation=settings.stagnation,
                memory=settings.memory,
                callback=observer.step,
            )
        if hosts.count > 1:
            write_part(unfinished.folder, hosts, together)
            observer.stage("waiting for the other processes")
    made = {}
    if together is not None:
        made = {seed: together.of_seed(seed) for seed in together.seeds or ()}
    if hosts.count > 1 and hosts.index == 0:
        made = read_parts(unfinished.folder, hosts, settings.seeds)
    made = {seed: result._replace(map=restore(result.map)) for seed, result in made.items()}
    # The first process alone writes results; the others have no use for their starts.
    starts = {seed: restore(draw(seed)) for seed in made if hosts.index == 0}
    run = Synthesized(inputs.source, original, mask, starts, made)
    return run, pyramid, inputs.checksums


def working_map(
    config: Config, original: np.ndarray, footprint: np.ndarray | None
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the map [p] whose coefficients new maps get, and what gives those its histogram back.

    Without `synthesis.gaussianize` that is the original, and maps are given back as they are.
    """
    if not config.synthesis.gaussianize:
        return original, lambda map: map
    normal, relation = gaussianize(original, weights=footprint)
    return np.asarray(normal), lambda map: np.asarray(relation.inverse(jnp.asarray(map)))


def start_of_seeds(
    config: Config, working: np.ndarray, footprint: np.ndarray | None
) -> Callable[[int], np.ndarray]:
    """Return what draws the start [p] of a seed, in the run's precision."""
    kind = STARTS[config.synthesis.start]
    return lambda seed: kind(working, seed, footprint=footprint).astype(config.run.precision)


def form_of(
    config: Config, working: np.ndarray, footprint: np.ndarray | None
) -> HarmonicForm | None:
    """Return what makes maps from the fields that the synthesis changes; None for the pixels.

    Raises `ValueError` as `harmonic_form`.
    """
    if config.synthesis.form == "pixels":
        return None
    return harmonic_form(working, dtype=np.dtype(config.run.precision), footprint=footprint)


def _checkpoints(
    config: Config, unfinished: UnfinishedRun, checksums: dict[str, str], hosts: Hosts
) -> Checkpoints | None:
    """Where the synthesis keeps its state, or None if the config wants no checkpoints."""
    settings = config.checkpoints
    never = not settings.every_steps and not settings.every_minutes
    if never and not unfinished.has_checkpoints():
        return None
    return Checkpoints(
        unfinished.checkpoints(hosts.index),
        every_steps=settings.every_steps or None,
        # Those that are there are read even if no more are wanted.
        every_minutes=math.inf if never else settings.every_minutes or None,
        identity={
            "processes": hosts.count,
            **{f"checksum of {name}": value for name, value in checksums.items()},
        },
    )


def _counted(seeds: tuple[int, ...], hosts: Hosts) -> str:
    here = f"process {hosts.index} of {hosts.count}: " if hosts.count > 1 else ""
    return f"{here}seed {seeds[0]}" if len(seeds) == 1 else f"{here}{len(seeds)} seeds"


def pyramid_of(config: Config, npix: int, observer: Observer) -> Pyramid:
    """Return the wavelets of a config, for maps of so many pixels.

    Raises `ValueError` as `build_pyramid`.
    """
    settings = config.pyramid
    return build_pyramid(
        npix_to_nside(npix),
        orientations=settings.orientations,
        kernel_size=settings.kernel_size,
        scales=settings.scales,
        dtype=np.dtype(config.run.precision),
        geometry=settings.geometry,
        progress=observer.building,
    )
