"""Fields and dense matrices against which filters are compared, and one noisy map."""

from typing import NamedTuple

import healpy
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.minimization.minimize import Batching
from jaxscat.operators.pyramid import Pyramid
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.isotropic import covariance_product, draw_field
from jaxscat.statistics.scattering import measure
from jaxscat.validation.scattering import relative_errors


@pytest.fixture
def draw():
    """A function that draws a NESTED map of given levels."""

    def nested(levels, seed):
        return healpy.reorder(draw_field(levels, np.random.default_rng(seed)), r2n=True)

    return nested


@pytest.fixture
def red():
    """A function that returns falling levels for an nside."""

    def levels(nside):
        values = 1 / (np.arange(3 * nside + 1) + 2.0) ** 2
        values[-1] /= 2
        return values

    return levels


@pytest.fixture
def dense():
    """A function that returns the covariance of NESTED pixels, by Legendre sums where it can."""

    def legendre(levels, nside):
        last = levels.size - 2
        vectors = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T
        cosine = np.clip(vectors @ vectors.T, -1, 1)
        factors = (2 * np.arange(last + 1) + 1) * (levels[:-1] - levels[-1]) / (4 * np.pi)
        white = levels[-1] * cosine.shape[0] / (4 * np.pi)
        return np.polynomial.legendre.legval(cosine, factors) + white * np.eye(len(cosine))

    return legendre


@pytest.fixture
def columns():
    """A function that returns the covariance of NESTED pixels, product by product."""

    def matrix(levels, nside):
        npix = 12 * nside**2
        ring = np.stack([covariance_product(levels, unit) for unit in np.eye(npix)], axis=1)
        order = healpy.nest2ring(nside, np.arange(npix))
        return ring[np.ix_(order, order)]

    return matrix


class Example(NamedTuple):
    """A strongly non-Gaussian truth, and data with as much white noise."""

    truth: np.ndarray
    data: np.ndarray
    noise: GaussianNoise
    pyramid: Pyramid


@pytest.fixture(scope="session")
def example(pyramids):
    levels = 1 / (np.arange(25) + 2.0) ** 2
    field = healpy.reorder(draw_field(levels, np.random.default_rng(2)), r2n=True)
    truth = np.exp(1.5 * field / field.std())
    truth /= truth.std()
    data = truth + np.random.default_rng(12).normal(size=truth.size)
    return Example(truth, data, GaussianNoise.white(1.0, 8, dtype=np.float64), pyramids(8))


@pytest.fixture(scope="session")
def denoised(example):
    return denoise(example.data, example.pyramid, example.noise)


SEVERAL = {"seeds": (4, 0), "batching": Batching(chunk_steps=2)}


@pytest.fixture(scope="session")
def several(example):
    return denoise(example.data, example.pyramid, example.noise, **SEVERAL)


@pytest.fixture(scope="session")
def small(pyramids):
    """A pyramid whose programs compile in little time."""
    return pyramids(8, scales=2, orientations=2)


@pytest.fixture(scope="session")
def distances(example):
    """A function that returns the relative errors of S1 to S4 of a map."""
    expected = measure(example.truth, example.pyramid)

    def errors(map):
        return relative_errors(measure(map, example.pyramid), expected)

    return errors
