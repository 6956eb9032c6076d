import healpy
import numpy as np
import pytest
import scipy.stats

from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.validation.gaussian import CONTROLS, gaussian_control
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


@pytest.mark.parametrize("kind", CONTROLS)
def test_same_spectrum_and_mean_but_gaussian(original, kind):
    control = gaussian_control(original, seed=3, kind=kind)
    ratios = binned_ratio(
        angular_power_spectrum(control), angular_power_spectrum(original), [(8, 31), (32, 64)]
    )
    assert ratios == pytest.approx([1.0, 1.0], abs=0.1)
    assert control.dtype == np.float64
    assert control.mean() == pytest.approx(original.mean(), rel=1e-12)
    assert scipy.stats.skew(original) > 2.0
    assert abs(scipy.stats.skew(control)) < 0.2


def power_within(spectrum):
    """The variance that multipoles from 1 to 3 nside - 1 give, and its scatter over the sky."""
    modes = 2 * np.arange(spectrum.size)[1:] + 1
    power = np.array([np.sum(modes * spectrum[1:]), np.sqrt(2 * np.sum(modes * spectrum[1:] ** 2))])
    return power / (4 * np.pi)


def assert_scatters_around(variances, expected, scatter):
    """Mean and standard deviation of some variances, within four standard deviations each."""
    count = len(variances)
    assert abs(np.mean(variances) - expected) < 4 * scatter / np.sqrt(count)
    assert abs(np.std(variances, ddof=1) / scatter - 1) < 4 / np.sqrt(2 * count)


@pytest.mark.parametrize("kind", CONTROLS)
def test_power_is_right_on_average_and_scatters_as_that_of_gaussian_maps(original, kind):
    controls = [gaussian_control(original, seed=seed, kind=kind) for seed in range(30)]
    within, scatter = power_within(angular_power_spectrum(original))
    assert within < 0.96 * original.var()  # so that the kinds are told apart
    expected = within if kind == "gaussian" else original.var()
    assert_scatters_around(np.var(controls, axis=1), expected, scatter)


def beyond_the_harmonics(map):
    """Variance of what multipoles up to 3 nside - 1 cannot describe."""
    ring = healpy.reorder(map, n2r=True)
    harmonics = healpy.map2alm(ring, iter=10)
    return np.var(ring - healpy.alm2map(harmonics, NSIDE, lmax=3 * NSIDE - 1))


def test_only_the_filtered_control_has_power_beyond_the_harmonics(original):
    gaussian, filtered = (gaussian_control(original, seed=3, kind=kind) for kind in CONTROLS)
    spectrum = angular_power_spectrum(original)
    modes = 2 * np.arange(spectrum.size) + 1
    rest = np.var(original) - np.sum((modes * spectrum)[1:]) / (4 * np.pi)
    assert beyond_the_harmonics(filtered) == pytest.approx(rest, rel=0.2)
    assert beyond_the_harmonics(gaussian) < 0.1 * beyond_the_harmonics(filtered)


@pytest.mark.parametrize("kind", CONTROLS)
def test_seeded_without_touching_the_global_generator(original, kind):
    np.random.seed(1)
    expected = np.random.random(3)
    np.random.seed(1)
    first = gaussian_control(original, seed=3, kind=kind)
    np.testing.assert_array_equal(np.random.random(3), expected)
    np.testing.assert_array_equal(first, gaussian_control(original, seed=3, kind=kind))
    assert np.abs(first - gaussian_control(original, seed=4, kind=kind)).max() > 0.1


def test_kinds_are_different_maps_and_gaussian_is_the_default(original):
    gaussian, filtered = (gaussian_control(original, seed=3, kind=kind) for kind in CONTROLS)
    np.testing.assert_array_equal(gaussian_control(original, seed=3), gaussian)
    assert abs(np.corrcoef(gaussian, filtered)[0, 1]) < 0.3


@pytest.mark.parametrize("kind", CONTROLS)
def test_inside_a_footprint_the_rest_of_the_map_does_not_matter(original, kind):
    footprint = np.where(np.arange(original.size) < original.size // 2, 0.5, 0.0)
    footprint[: original.size // 4] = 1.0
    changed = np.where(footprint > 0, original, -50.0)
    control = gaussian_control(original, footprint=footprint, kind=kind)
    np.testing.assert_allclose(
        gaussian_control(changed, footprint=footprint, kind=kind), control, rtol=1e-12
    )

    means = [np.average(map, weights=footprint) for map in (control, original)]
    assert means[0] == pytest.approx(means[1], rel=1e-12)
    within, scatter = power_within(angular_power_spectrum(original, footprint))
    inside = np.average((original - means[1]) ** 2, weights=footprint)
    assert within < 0.98 * inside
    controls = [
        gaussian_control(original, seed=seed, footprint=footprint, kind=kind) for seed in range(30)
    ]
    expected = within if kind == "gaussian" else inside
    assert_scatters_around(np.var(controls, axis=1), expected, scatter)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("kind", CONTROLS)
def test_control_of_a_constant_map_is_that_map(kind):
    control = gaussian_control(np.full(192, 3.0), kind=kind)
    np.testing.assert_allclose(control, 3.0, atol=1e-6)


@pytest.mark.parametrize("kind", ["white", "", None])
def test_unknown_kinds_are_refused(original, kind):
    with pytest.raises(ValueError, match=r"^kind: got .*\['gaussian', 'filtered'\]"):
        gaussian_control(original, kind=kind)
