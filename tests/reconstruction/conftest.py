"""Fields and dense matrices against which filters are compared."""

import healpy
import numpy as np
import pytest

from jaxscat.reconstruction.isotropic import covariance_product, draw_field


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
