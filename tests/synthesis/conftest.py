"""Syntheses end where rounding decides: they are tested as users run them."""

import os

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def optimized():
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.clear_caches()
    jax.config.update(
        "jax_disable_most_optimizations", "JAX_DISABLE_MOST_OPTIMIZATIONS" in os.environ
    )
