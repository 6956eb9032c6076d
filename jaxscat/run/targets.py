"""The target of an experiment, as its config describes it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.run.config import Config, TargetConfig
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean, Reduction


def experiment_target(
    config: Config,
    original: np.ndarray,
    pyramid: Pyramid,
    *,
    mask: np.ndarray | None = None,
    second: np.ndarray | None = None,
) -> Target:
    """Measure the original of an experiment, with all that its config says about the target.

    Orientations are aligned to the same map [p] whose coefficients new maps get. Raises
    `ValueError` for all that `make_target` refuses.
    """
    settings = config.target
    map = jnp.asarray(original)
    return make_target(
        map,
        pyramid,
        second=None if second is None else jnp.asarray(second),
        mask=None if mask is None else jnp.asarray(mask),
        mask_threshold=_threshold(settings),
        sigma=settings.sigma,
        sigma_floor=settings.sigma_floor,
        coarsest_nside=settings.coarsest_nside,
        weights=settings.weights,
        normalization=None if settings.normalization == "none" else settings.normalization,
        reduction=_reduction(settings),
        alignment=align_orientations(map, pyramid) if settings.alignment == "target" else None,
    )


def _threshold(settings: TargetConfig) -> float | Array | None:
    given = settings.mask_threshold
    # Not an array of JAX: messages show the numbers.
    return np.asarray(given) if isinstance(given, tuple) else given  # pyright: ignore


def _reduction(settings: TargetConfig) -> Reduction | None:
    if settings.reduction == "isotropic":
        return IsotropicMean()
    if settings.reduction == "harmonics":
        assert settings.harmonics is not None  # the config has put a number there
        return FourierHarmonics(settings.harmonics)
    return None
