"""From a config to its problem and to new maps, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import jaxscat
from jaxscat.io.maps import in_precision
from jaxscat.minimization.result import SynthesisResult
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.progress import Observer
from jaxscat.run.config import Config
from jaxscat.run.inputs import read_inputs
from jaxscat.run.resolution_levels import coarser_levels
from jaxscat.run.synthesizing import form_of, pyramid_of, start_of_seeds
from jaxscat.run.targets import experiment_target


class Prepared(NamedTuple):
    """The problem of a config: the original [p], targets and wavelets of all levels, starts."""

    original: np.ndarray
    targets: list[Target]
    pyramids: list[Pyramid]
    form: jaxscat.HarmonicForm | None
    start: Callable[[int], np.ndarray]


def with_entries(config: Config, section: str, **entries: Any) -> Config:
    """Return a config with other entries in one section."""
    changed = getattr(config, section).model_copy(update=entries)
    return config.model_copy(update={section: changed})


def prepare(config: Config) -> Prepared:
    """Read and measure the original of a config.

    Raises `ValueError` for a config with a mask, a second map or gaussianization.
    """
    if config.target.mask or config.target.second or config.synthesis.gaussianize:
        raise ValueError(
            f"config {config.run.name!r}: got a mask, a second map or gaussianize, expected none"
        )
    original = in_precision(read_inputs(config).original, config.run.precision, "data")

    def build(level: Config, npix: int) -> Pyramid:
        return pyramid_of(level, npix, Observer())

    pyramid = build(config, original.size)
    target = experiment_target(config, original, pyramid)
    targets, pyramids = coarser_levels(config, original, pyramid, build)
    return Prepared(
        original,
        [*targets, target],
        [*pyramids, pyramid],
        form_of(config, original, None),
        start_of_seeds(config, original, None),
    )


def synthesize_maps(config: Config, ready: Prepared, **options: Any) -> SynthesisResult:
    """Synthesize the maps of all seeds of a config; `options` replace its limits."""
    settings = config.synthesis
    limits: dict[str, Any] = {
        "max_steps": settings.max_steps,
        "max_evaluations": settings.max_evaluations,
        "stagnation": settings.stagnation,
        "memory": settings.memory,
    }
    return jaxscat.synthesize_levels(
        ready.targets,
        ready.pyramids,
        settings.seeds,
        start=ready.start,
        form=ready.form,
        **(limits | options),
    )
