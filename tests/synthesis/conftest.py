"""Syntheses end where rounding decides: they are tested as users run them."""

import os

import jax
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.operators.pyramid import build_pyramid


@pytest.fixture(autouse=True, scope="package")
def optimized():
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.clear_caches()
    jax.config.update(
        "jax_disable_most_optimizations", "JAX_DISABLE_MOST_OPTIMIZATIONS" in os.environ
    )


@pytest.fixture(scope="package")
def pyramid():
    return build_pyramid(4, dtype="float64")


@pytest.fixture(scope="package")
def original():
    return np.random.default_rng(0).gamma(2.0, size=192)


# All scales count, so that a synthesis takes long enough to be interrupted, refilled and cut.
ALL_SCALES = {"coarsest_nside": 1, "weights": "plain"}


@pytest.fixture(scope="package")
def target(pyramid, original):
    return make_target(original, pyramid, **ALL_SCALES)
