"""What a config makes, in memory: its original, wavelets and target, and new maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import jaxscat
from jaxscat.config import Config
from jaxscat.inputs import in_precision, read_inputs
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.synthesis.results import SynthesisResult
from jaxscat.synthesizing import Observer, pyramid_of, start_of_seeds
from jaxscat.targets import experiment_target


class Prepared(NamedTuple):
    """What a synthesis needs: the original [p], wavelets, target, and what draws a start."""

    original: np.ndarray
    pyramid: Pyramid
    target: Target
    start: Callable[[int], np.ndarray]


def with_entries(config: Config, section: str, **entries: Any) -> Config:
    """Return a config with other entries in one section."""
    changed = getattr(config, section).model_copy(update=entries)
    return config.model_copy(update={section: changed})


def prepared(config: Config) -> Prepared:
    original = in_precision(read_inputs(config).original, config.run.precision, "data")
    pyramid = pyramid_of(config, original.size, Observer())
    target = experiment_target(config, original, pyramid)
    return Prepared(original, pyramid, target, start_of_seeds(config, original, None))


def made(config: Config, ready: Prepared, **options: Any) -> SynthesisResult:
    settings = config.synthesis
    limits: dict[str, Any] = {"max_steps": settings.max_steps, "memory": settings.memory}
    return jaxscat.synthesize_many(
        ready.target, ready.pyramid, settings.seeds, start=ready.start, **(limits | options)
    )
