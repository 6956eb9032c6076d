"""Variants of a config, and their new maps in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jaxscat
from jaxscat.run.config import Config
from jaxscat.run.problem import Prepared
from jaxscat.run.problem import prepare as prepare_config
from jaxscat.run.synthesis import synthesize_seeds


def with_entries(config: Config, section: str, **entries: Any) -> Config:
    """Return a config with other entries in one section."""
    changed = getattr(config, section).model_copy(update=entries)
    return config.model_copy(update={section: changed})


def prepare(config: Config) -> Prepared:
    """Read and measure the original of a config whose maps are those of the synthesis.

    Raises `ValueError` for a config with a mask, a second map or gaussianization.
    """
    if config.target.mask or config.target.second or config.synthesis.gaussianize:
        raise ValueError(
            f"config {config.run.name!r}: got a mask, a second map or gaussianize, expected none"
        )
    return prepare_config(config)


def synthesize_maps(ready: Prepared, **limits: Any) -> jaxscat.Result:
    """Synthesize the maps of all seeds of a config; `limits` replace those of the config."""
    config = with_entries(ready.config, "synthesis", **limits)
    return synthesize_seeds(replace(ready, config=config))
