"""A small target and what it is of."""

import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.operators.pyramid import build_pyramid


@pytest.fixture(scope="package")
def pyramid():
    return build_pyramid(4, dtype="float64")


@pytest.fixture(scope="package")
def original():
    return np.random.default_rng(0).gamma(2.0, size=192)


@pytest.fixture(scope="package")
def target(pyramid, original):
    return make_target(original, pyramid, coarsest_nside=1, weights="plain")
