"""The reconstruction of a config: its data read, its wavelets built, its solutions found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxscat.fields.noise import Noise
from jaxscat.fields.polarization_noise import PolarizationNoise
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.objectives.target import COARSEST_NSIDE, Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Observer, Progress
from jaxscat.reconstruction.defaults import count_realizations
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.inpaint import inpaint
from jaxscat.reconstruction.options import Renewals, TermOptions
from jaxscat.reconstruction.result import Reconstruction
from jaxscat.reconstruction.separate import separate
from jaxscat.run.config import Config
from jaxscat.run.folder import RunFolder
from jaxscat.run.given import Given, Truth, read_given
from jaxscat.run.provenance import Clock
from jaxscat.run.resolved import default_renewals
from jaxscat.run.run_checkpoints import build_checkpoints
from jaxscat.run.sections import TargetConfig
from jaxscat.run.targets import build_run_pyramid, build_run_target

# What a task does, as its stage is shown.
STAGES: Mapping[str, str] = {
    "denoise": "denoising",
    "inpaint": "filling gaps",
    "separate": "separating channels",
}
# Entries of [target] that are not how maps are measured.
_MASK = ("mask", "mask_field", "mask_hdu", "mask_order")


@dataclass(frozen=True)
class Reconstructed:
    """A reconstruction and what it was made of.

    Attributes:
        given: all that it knew.
        truth: what it is compared with, or None.
        pyramid: the wavelets.
        result: the maps.
    """

    given: Given
    truth: Truth | None
    pyramid: Pyramid
    result: Reconstruction


def reconstruct_run(
    config: Config, observer: Observer, run: RunFolder, clock: Clock
) -> Reconstructed:
    """Read the data of a config and reconstruct the signal, or go on with that.

    Args:
        config: the settings.
        observer: receives the progress.
        run: the run that is begun, for checkpoints.
        clock: records the seconds of "load" and "pyramid".

    Raises:
        ValueError: as `read_given`, `build_pyramid` and the function of the task; a checkpoint of
            another run.
        OSError: a file cannot be read or written.
    """
    with clock.measure("load"):
        observer.stage("reading the data")
        given, truth = read_given(config)
    with clock.measure("pyramid"):
        observer.stage("building the wavelets")
        pyramid = build_run_pyramid(config, given.nside, progress=observer.building)
    seeds = config.reconstruction.seeds
    shown = "" if seeds is None else f": {len(seeds)} seeds"
    observer.stage(f"{STAGES[config.task.kind]}{shown}")
    observer.compiling()
    checkpoints = build_checkpoints(config, run, given.checksums)
    result = solve(config, given, pyramid, checkpoints=checkpoints, callback=observer.step)
    return Reconstructed(given, truth, pyramid, result)


def solve(
    config: Config,
    given: Given,
    pyramid: Pyramid,
    *,
    checkpoints: Checkpoints | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Reconstruction:
    """Reconstruct the signal from what is given, which holds no truth.

    Args:
        config: the settings.
        given: data, noise, gaps.
        pyramid: the wavelets.
        checkpoints, callback: as for `denoise`.

    Raises:
        ValueError, OSError: as `denoise`, `inpaint` and `separate`.
    """
    settings, kind = config.reconstruction, config.task.kind
    options: dict[str, Any] = {
        "seeds": settings.seeds,
        "terms": _build_terms(config, given),
        "renewals": build_renewals(config),
        "batching": Batching(batch_size=settings.batch_size),
        "checkpoints": checkpoints,
        "callback": callback,
    }
    if settings.start is not None:
        options["start"] = settings.start
    if kind == "inpaint":
        assert given.gaps is not None
        reach = settings.reach or None
        return inpaint(given.data, pyramid, given.gaps, reach=reach, **options)
    if kind == "separate":
        assert config.channels.mixing is not None
        known = {"noise": given.noise, "contaminant": given.contaminant}
        return separate(given.data, pyramid, np.asarray(config.channels.mixing), **known, **options)
    assert given.noise is not None
    target = _build_target(config, given, pyramid)
    known = {"mask": given.mask, "target": target}
    return denoise(given.data, pyramid, given.noise, **known, **options)


def build_renewals(config: Config) -> Renewals:
    """Return when targets are measured anew, as a config says."""
    settings = config.reconstruction
    return Renewals(
        number=settings.renewals or default_renewals(config.task.kind),
        steps=settings.steps,
        realizations=settings.realizations,
        tolerance=settings.tolerance,
        memory=settings.memory,
    )


def realizations_of(config: Config, noises: Sequence[Noise | PolarizationNoise]) -> int | None:
    """Return how many realizations of the noise a target is measured of; None without noise."""
    settings, several = config.reconstruction, config.reconstruction.seeds is not None
    counts = [count_realizations(settings.realizations, noise, several=several) for noise in noises]
    return min(counts, default=None)


def _build_terms(config: Config, given: Given) -> dict[str, TermOptions]:
    settings = config.reconstruction
    weights, levels = settings.weights or {}, settings.levels or {}
    default = TermOptions()
    return {
        name: TermOptions(
            weight=weights.get(name, default.weight),
            level=levels.get(name, default.level),
            template=given.template if name == "cross" else None,
        )
        for name in settings.terms
    }


def _build_target(config: Config, given: Given, pyramid: Pyramid) -> Target | None:
    """Build how maps are measured, or None for the defaults, which need no measurement."""
    settings, coarsest = config.target, min(COARSEST_NSIDE, pyramid.spec.finest_nside)
    usual = [*_MASK, *["coarsest_nside"] * (settings.coarsest_nside == coarsest)]
    if settings.model_copy(update=dict.fromkeys(usual)) == TargetConfig():
        return None
    values = given.data - np.average(given.data, weights=given.mask)
    mask = None if given.mask is None else given.mask.astype(config.run.precision)
    return build_run_target(config, values.astype(config.run.precision), pyramid, mask=mask)
