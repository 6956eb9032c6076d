"""The pyramid and the target of a config."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxscat.io.pixel_order import PixelOrderWarning
from jaxscat.maps import seen_pixels
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.run.config import Config
from jaxscat.run.kept_pyramids import provide_pyramid
from jaxscat.run.sections import TargetConfig
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.reduction import Reduction


def build_run_pyramid(
    config: Config,
    nside: int,
    *,
    cells: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pyramid:
    """Build the wavelets of a config for maps of an nside, or for some of their pixels, `cells`.

    With `run.pyramid_cache` they are loaded if they have been built before. `progress` is called
    as by `build_pyramid`. Raises `ValueError` as `build_pyramid`.
    """
    settings = config.pyramid
    return provide_pyramid(
        nside,
        keep=config.run.pyramid_cache,
        orientations=settings.orientations,
        kernel_size=settings.kernel_size,
        scales=settings.scales,
        dtype=np.dtype(config.run.precision),
        geometry=settings.geometry,
        cell_ids=cells,
        progress=progress,
    )


def build_run_target(
    config: Config,
    original: np.ndarray,
    pyramid: Pyramid,
    *,
    mask: np.ndarray | None = None,
    second: np.ndarray | None = None,
) -> Target:
    """Measure a map [p] as the target section of a config says.

    Orientations are aligned to the same map. Masks are [p] or [M p]. Raises `ValueError` as
    `make_target`.
    """
    settings = config.target
    map: Any = original
    other: Any = second
    weights = None if mask is None else jnp.asarray(mask)
    alignment = None
    if settings.alignment == "target":
        alignment = align_orientations(map, pyramid, mask=weights, hidden=treat_hidden(config))
    # What files are in has been looked at when they were read.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PixelOrderWarning)
        return _make_target(config, map, pyramid, other, weights, alignment)


def _make_target(
    config: Config, map: Any, pyramid: Pyramid, other: Any, weights: Any, alignment: Any
) -> Target:
    settings = config.target
    return make_target(
        map,
        pyramid,
        second=other,
        mask=weights,
        mask_threshold=read_threshold(settings),
        hidden=treat_hidden(config),
        sigma=settings.sigma,
        sigma_floor=settings.sigma_floor,
        coarsest_nside=settings.coarsest_nside,
        weights=settings.weights,
        normalization=None if settings.normalization == "none" else settings.normalization,
        reduction=build_reduction(settings),
        alignment=alignment,
    )


def treat_hidden(config: Config) -> Hidden:
    """Return what becomes of hidden pixels in statistics; wavelets of a patch never reach them."""
    return "exclude" if config.target.hidden == "patch" else config.target.hidden


def find_cells(config: Config, mask: np.ndarray | None) -> np.ndarray | None:
    """Return the pixels with weight in any mask ([p] or [M p]) if a config is of a patch.

    None is the whole sphere.
    """
    if config.target.hidden != "patch" or mask is None:
        return None
    seen = seen_pixels(mask)
    return None if seen.all() else np.flatnonzero(seen)


def read_threshold(settings: TargetConfig) -> float | Array | None:
    """Return the threshold of masks of a target section: one number, or one for every scale."""
    given = settings.mask_threshold
    # Not an array of JAX: messages show the numbers.
    return np.asarray(given) if isinstance(given, tuple) else given  # pyright: ignore


def build_reduction(settings: TargetConfig) -> Reduction | None:
    """Return how orientations are combined in a target section, or None."""
    if settings.reduction == "isotropic":
        return IsotropicMean()
    if settings.reduction == "harmonics":
        assert settings.harmonics is not None  # the config has put a number there
        return FourierHarmonics(settings.harmonics)
    return None
