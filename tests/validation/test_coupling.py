import healpy
import numpy as np
import pytest

from jaxscat.harmonics.spectra import angular_power_spectrum, harmonic_coefficients
from jaxscat.validation.coupling import (
    band_maps,
    coupling_difference,
    cross_skewness,
    octave_bands,
)

NSIDE = 16
BANDS = octave_bands(NSIDE)


def noise(seed):
    return np.random.default_rng(seed).standard_normal(12 * NSIDE**2)


def gaussian_harmonics(seed, nside):
    """Harmonic coefficients up to l = 3 nside - 1 of a Gaussian map, all of the same power."""
    order = healpy.Alm.getlm(3 * nside - 1)[1]
    real, imaginary = np.random.default_rng(seed).standard_normal((2, order.size))
    return np.where(order == 0, real, (real + 1j * imaginary) / np.sqrt(2))


def test_bands_are_octaves_up_to_twice_nside():
    assert octave_bands(32) == [(2, 3), (4, 7), (8, 15), (16, 31), (32, 63)]
    assert octave_bands(64) == [(4, 7), (8, 15), (16, 31), (32, 63), (64, 127)]
    assert octave_bands(64, count=2) == [(32, 63), (64, 127)]
    assert octave_bands(4) == [(2, 3), (4, 7)]
    assert octave_bands(2) == [(2, 3)]
    assert octave_bands(1) == []


def test_one_harmonic_is_in_its_band_only():
    harmonics = np.zeros(healpy.Alm.getsize(3 * NSIDE - 1), complex)
    harmonics[healpy.Alm.getidx(3 * NSIDE - 1, 7, 3)] = 1.0 - 0.5j
    whole = healpy.reorder(healpy.alm2map(harmonics, NSIDE), r2n=True)
    maps = band_maps(harmonics, NSIDE, BANDS)
    assert maps.shape == (4, 12 * NSIDE**2)
    for band, map in zip(BANDS, maps, strict=True):
        expected = whole if band == (4, 7) else np.zeros_like(whole)
        np.testing.assert_allclose(map, expected, atol=1e-14)


def test_maps_of_the_bands_are_in_nested_order_and_have_their_power():
    harmonics = gaussian_harmonics(0, NSIDE)
    # Multipoles up to nside come back from the pixels almost as they were.
    harmonics[healpy.Alm.getlm(3 * NSIDE - 1)[0] > NSIDE] = 0.0
    map = healpy.reorder(healpy.alm2map(harmonics, NSIDE), r2n=True)
    parts = band_maps(harmonic_coefficients(map), NSIDE, [(0, 7), (8, 3 * NSIDE - 1)])
    np.testing.assert_allclose(parts.sum(axis=0), map, atol=0.02 * map.std())
    spectrum, whole = angular_power_spectrum(parts[0]), angular_power_spectrum(map)
    np.testing.assert_allclose(spectrum[:8], whole[:8], rtol=1e-2)
    assert spectrum[8:].max() < 1e-6 * whole.max()


def test_without_bands_there_are_no_maps_and_no_difference():
    maps = band_maps(harmonic_coefficients(np.arange(12.0)), 1, octave_bands(1))
    assert maps.shape == (0, 12)
    assert cross_skewness(maps).shape == (0, 0)
    assert np.isnan(coupling_difference(cross_skewness(maps), cross_skewness(maps)))


def test_third_moments_are_those_of_the_definition():
    bands = np.random.default_rng(1).gamma(2.0, size=(3, 768)) - 2.0
    weights = np.random.default_rng(2).integers(0, 3, size=768)
    repeated = np.repeat(bands, weights, axis=1)
    for maps, found in ((bands, cross_skewness(bands)), (repeated, cross_skewness(bands, weights))):
        for i, first in enumerate(maps):
            for j, second in enumerate(maps):
                expected = np.mean(first**2 * second) / np.mean(first**2)
                expected /= np.sqrt(np.mean(second**2))
                assert found[i, j] == pytest.approx(expected, rel=1e-12)


def test_a_scale_and_sign_of_the_map_change_nothing_and_the_sign():
    bands = np.random.default_rng(3).gamma(2.0, size=(3, 768))
    moments = cross_skewness(bands)
    np.testing.assert_allclose(cross_skewness(7.0 * bands), moments, rtol=1e-12)
    np.testing.assert_allclose(cross_skewness(-bands), -moments, rtol=1e-12)


def test_small_scales_that_are_stronger_on_heights_show_where_they_should():
    # Gaussian small scales whose amplitude follows a large one: only that entry is not zero.
    large, small = (
        band_maps(harmonic_coefficients(noise(seed)), NSIDE, [band])[0]
        for seed, band in ((4, (2, 3)), (5, (16, 31)))
    )
    map = large / large.std() + small / small.std() * (1 + 0.5 * large / large.std())
    moments = cross_skewness(band_maps(harmonic_coefficients(map), NSIDE, BANDS))
    # <(1 + a)^2 2 a> / <(1 + a)^2> with <a^2> = 1/4 and <a^3> near zero is 0.8.
    assert moments[3, 0] == pytest.approx(0.8, abs=0.2)
    assert abs(moments[3, 0]) == np.abs(moments[3]).max()


def test_gaussian_maps_have_no_coupling_on_average():
    nside, seeds = 8, range(50)
    maps = (
        band_maps(gaussian_harmonics(seed, nside), nside, octave_bands(nside)) for seed in seeds
    )
    moments = np.array([cross_skewness(bands) for bands in maps])
    error = moments.std(axis=0, ddof=1) / np.sqrt(len(moments))
    assert np.all(np.abs(moments.mean(axis=0)) < 3 * error)


def test_the_difference_is_the_rms_over_all_pairs():
    reference = np.zeros((2, 2))
    assert coupling_difference(reference, reference) == 0.0
    first = np.array([[1.0, 2.0], [0.0, -2.0]])
    assert coupling_difference(first, reference) == pytest.approx(1.5)
