import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import NoiseMaps
from jaxscat.harmonics.spectra import angular_power_spectrum, power_beyond, smooth_spectrum
from jaxscat.reconstruction.spectra import estimate_spectrum, noise_levels

NSIDE = 8
WHITE = np.full(25, 0.01)


def test_it_is_the_smoothed_spectrum_of_the_data_less_that_of_the_noise(red, draw):
    data = draw(red(NSIDE), 1) + draw(WHITE, 2)
    spectrum = angular_power_spectrum(data)
    levels = np.append(spectrum, power_beyond(spectrum, data.var()))
    expected = smooth_spectrum(levels, least_modes=32) - 0.01
    found = estimate_spectrum(data, WHITE)
    counted = found > 0
    assert 10 < counted.sum() < 25 and not counted[0]
    np.testing.assert_allclose(found[counted], expected[counted], rtol=1e-12)
    # The window of l = 20 has 18.3 to 21.8, that is 19, 20 and 21; the square root of 2 / 123.
    error = (expected + 0.01) * np.sqrt(2 / 123)
    assert counted[20] == (expected[20] > error[20])
    # With caution the error is taken off; the windows of 2, 5 and 8 are widened to 1 to 5 (35
    # modes), 4 to 6 and 7 to 9.
    cautious = estimate_spectrum(data, WHITE, cautious=True)
    np.testing.assert_array_equal(cautious > 0, counted)
    checked = [one for one in ((2, 35), (5, 33), (8, 51), (20, 123)) if counted[one[0]]]
    assert len(checked) > 1
    for multipole, modes in checked:
        less = (expected[multipole] + 0.01) * np.sqrt(2 / modes)
        assert cautious[multipole] == pytest.approx(expected[multipole] - less, rel=1e-12)


def test_it_has_no_bias_where_signal_and_noise_are_alike(draw):
    signal = np.full(25, 0.02)
    found = [
        estimate_spectrum(draw(signal, seed) + draw(WHITE, 100 + seed), WHITE) for seed in range(50)
    ]
    ratio = np.mean(found, axis=0) / 0.02
    multipole = np.arange(4, 17)
    error = 1.5 * np.sqrt(2 / 50 / (2 * multipole + 1))
    assert (np.abs(ratio[4:17] - 1) < 4 * error).all()
    # HEALPix loses a few percent of white noise at the last multipoles.
    np.testing.assert_allclose(ratio[17:], 1, atol=0.1)


def test_what_is_below_its_own_error_is_zero(draw):
    found = np.stack([estimate_spectrum(draw(WHITE, seed), WHITE) for seed in range(40)])
    assert (found >= 0).all()
    # One of six exceeds one standard deviation.
    assert 0.05 < np.mean(found[:, 2:] > 0) < 0.3


def test_a_footprint_hides_pixels_and_keeps_the_level(red, draw):
    footprint = (np.arange(768) < 500).astype(float)
    data = 7 + np.stack([draw(red(NSIDE), seed) for seed in range(30)])
    nothing = np.zeros(24)
    hidden = [np.where(footprint > 0, map, np.nan) for map in data]
    found = np.mean(
        [estimate_spectrum(map, nothing, footprint=footprint) for map in hidden], axis=0
    )
    np.testing.assert_allclose(found[10:24] / red(NSIDE)[10:24], 1, atol=0.3)
    ones = estimate_spectrum(data[0], nothing, footprint=np.ones(768))
    np.testing.assert_allclose(ones, estimate_spectrum(data[0], nothing), rtol=1e-9)


def test_noise_is_that_of_the_footprint():
    deviation = np.where(np.arange(768) < 384, 1.0, 3.0)
    noise = GaussianNoise.white(deviation, NSIDE, dtype=np.float64)
    footprint = (np.arange(768) < 384).astype(float)
    np.testing.assert_allclose(noise_levels(noise, 768), 5 * 4 * np.pi / 768)
    np.testing.assert_allclose(noise_levels(noise, 768, footprint), 4 * np.pi / 768)
    maps = deviation * np.random.default_rng(0).standard_normal((32, 768))
    found = noise_levels(NoiseMaps(maps), 768, footprint)
    np.testing.assert_allclose(found[4:24].mean() * 768 / (4 * np.pi), 1, rtol=0.1)
    np.testing.assert_allclose(found[24] * 768 / (4 * np.pi), 1, rtol=0.1)
    np.testing.assert_array_equal(noise_levels(maps, 768), NoiseMaps(maps).levels())


def test_levels_without_the_one_beyond_have_none():
    np.testing.assert_array_equal(noise_levels(np.ones(24), 768), np.append(np.ones(24), 0))
    np.testing.assert_array_equal(noise_levels(np.ones(25), 768), np.ones(25))


MAP = np.random.default_rng(0).standard_normal(768)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full(768, np.nan), WHITE), "data: got 768 of 768 pixels NaN"),
        ((MAP[None], WHITE), r"data: got an array of shape \(1, 768\)"),
        ((None, WHITE), "data: got unsuitable values"),
        ((MAP, None), "noise: got NoneType, expected a noise model"),
        ((MAP, [[1.0, 2.0], [3.0]]), "noise: got list, which NumPy cannot convert"),
        ((MAP, np.ones(20)), r"noise: got an array of shape \(20,\), expected C_l for l = 0 to 23"),
        ((MAP, -WHITE), "noise: got 25 of 25 that are negative or not finite, expected C_l"),
        ((MAP, WHITE * np.nan), "noise: got 25 of 25 that are negative or not finite"),
        ((MAP, GaussianNoise.white(1.0, 4)), "noise: got maps of 192 pixels, expected 768"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        estimate_spectrum(*arguments)


@pytest.mark.parametrize(
    ("footprint", "message"),
    [
        (np.ones(192), "footprint: got 192 pixels, expected 768 as the map has"),
        (np.full(768, 2.0), "footprint: got weights up to 2, expected weights from 0"),
        (np.ones((2, 768)), r"footprint: got shape \(2, 768\), expected one mask"),
        (np.zeros(768), "footprint: got zero in every pixel"),
    ],
)
def test_bad_footprints_are_refused(footprint, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        estimate_spectrum(MAP, WHITE, footprint=footprint)
