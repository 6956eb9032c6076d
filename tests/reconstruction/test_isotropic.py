import healpy
import numpy as np
import pytest

from jaxscat.reconstruction.isotropic import covariance_product, draw_field, filter_map


def test_a_filter_is_healpys_and_leaves_the_rest_to_the_last_gain():
    generator = np.random.default_rng(0)
    map = generator.standard_normal(768) + 5
    gains = generator.random(25)
    gains[0], gains[-1] = 1.0, 0.0
    ringed = healpy.reorder(map - map.mean(), n2r=True)
    harmonics = healpy.almxfl(healpy.map2alm(ringed, iter=3), gains[:-1])
    expected = healpy.alm2map(harmonics, 8, lmax=23)
    expected = healpy.reorder(expected - expected.mean(), r2n=True) + map.mean()
    np.testing.assert_allclose(filter_map(map, gains), expected, rtol=1e-12)
    # A constant gain is exact, because what the harmonics lack has it, too.
    np.testing.assert_allclose(filter_map(map, np.full(25, 0.3)), 0.3 * map, rtol=1e-12)


def test_the_first_gain_is_that_of_the_mean():
    map = np.random.default_rng(0).standard_normal(192) + 3
    gains = np.append(0.25, np.linspace(1, 0, 12))
    np.testing.assert_allclose(filter_map(map, gains).mean(), 0.25 * map.mean(), rtol=1e-13)


def test_covariances_are_sums_of_legendre_polynomials(red, dense, columns):
    np.testing.assert_allclose(columns(red(4), 4), dense(red(4), 4), atol=1e-13)


def test_covariances_with_little_power_somewhere_are_positive(columns):
    levels = np.append(np.zeros(6), [1.0, 2.0, 3.0, 0.0, 1.0, 0.5, 1.0])
    matrix = columns(levels, 4)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-13)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12


@pytest.mark.parametrize("rising", [False, True])
def test_drawn_fields_have_the_covariance(red, rising):
    levels = red(2)[::-1].copy() if rising else red(2)
    generator = np.random.default_rng(0)
    drawn = np.stack([draw_field(levels, generator) for _ in range(4000)])
    unit = np.eye(48)
    expected = np.stack([covariance_product(levels, row) for row in unit])
    # Of 4000 draws every element is known to 1.6 % of a variance, here to four times that.
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.065 * expected.max())
