import healpy
import numpy as np
import pytest
import scipy.stats

from jaxscat.spectra import angular_power_spectrum
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.spectra import binned_ratio

NSIDE = 32


@pytest.fixture(scope="module")
def original():
    """A skewed map with a steep spectrum and a mean far from zero."""
    rng = np.random.default_rng(5)
    spectrum = 1.0 / (10.0 + np.arange(3 * NSIDE)) ** 2
    alm = rng.standard_normal((healpy.Alm.getsize(3 * NSIDE - 1), 2)) @ [1.0, 1.0j]
    ring = healpy.alm2map(healpy.almxfl(alm, np.sqrt(spectrum)), NSIDE)
    return 7.0 + np.exp(healpy.reorder(ring / ring.std(), r2n=True))


def test_same_spectrum_and_mean_but_gaussian(original):
    control = gaussian_control(original, seed=3)
    ratios = binned_ratio(
        angular_power_spectrum(control), angular_power_spectrum(original), [(8, 31), (32, 64)]
    )
    assert ratios == pytest.approx([1.0, 1.0], abs=0.1)
    assert control.mean() == pytest.approx(original.mean(), abs=1e-6)
    assert scipy.stats.skew(original) > 2.0
    assert abs(scipy.stats.skew(control)) < 0.2


def test_seeded_without_touching_the_global_generator(original):
    np.random.seed(1)
    expected = np.random.random(3)
    np.random.seed(1)
    first = gaussian_control(original, seed=3)
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(first, gaussian_control(original, seed=3))
    assert np.abs(first - gaussian_control(original, seed=4)).max() > 0.1


def test_inside_a_footprint_the_rest_of_the_map_does_not_matter(original):
    footprint = np.arange(original.size) < original.size // 2
    changed = np.where(footprint, original, -50.0)
    np.testing.assert_allclose(
        gaussian_control(changed, footprint=footprint.astype(float)),
        gaussian_control(original, footprint=footprint.astype(float)),
    )
