import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.reconstruction.channels import (
    combination_weights,
    combine_channels,
    joint_wiener_filter,
)
from jaxscat.reconstruction.isotropic import filter_map
from jaxscat.reconstruction.wiener import wiener_filter

L = np.arange(25)
COMMON = 1 / (L + 1.0) ** 2
WHITE, STRONG = np.full(25, 0.01), np.full(25, 0.05)


@pytest.fixture
def channels(red, draw):
    signal, common = draw(red(8), 1), draw(COMMON, 2)
    return np.stack([signal + common + draw(WHITE, 3), 3 * signal + common + draw(STRONG, 4)])


def test_one_channel_is_the_wiener_filter(red, draw):
    data = 5 + draw(red(8), 1) + draw(WHITE, 2)
    signal, none = joint_wiener_filter(data[None], [1.0], red(8), None, WHITE)
    np.testing.assert_allclose(signal, wiener_filter(data, red(8), WHITE), rtol=1e-12)
    np.testing.assert_allclose(none, 0, atol=1e-15)
    signal, common = joint_wiener_filter(data[None], [1.0], red(8), COMMON, WHITE)
    np.testing.assert_allclose(signal, wiener_filter(data, red(8), WHITE + COMMON), rtol=1e-12)
    other = wiener_filter(data - data.mean(), COMMON, WHITE + red(8))
    np.testing.assert_allclose(common, other, atol=1e-12)
    double, _ = joint_wiener_filter(data[None], [2.0], red(8), None, 4 * WHITE)
    np.testing.assert_allclose(double, wiener_filter(data / 2, red(8), WHITE), rtol=1e-12)


def test_gains_are_those_of_matrices(red, channels):
    a = np.array([1.0, 3.0])
    signal, common = joint_wiener_filter(channels, a, red(8), COMMON, [WHITE, STRONG])
    gains = np.zeros((2, 2, 25))
    for ell in range(1, 25):
        total = red(8)[ell] * np.outer(a, a) + COMMON[ell] + np.diag([WHITE[ell], STRONG[ell]])
        inverse = np.linalg.inv(total)
        gains[:, :, ell] = red(8)[ell] * a @ inverse, COMMON[ell] * inverse.sum(axis=0)
    flat = channels - channels.mean(axis=1, keepdims=True)
    for map, gain in zip((signal, common), gains, strict=True):
        expected = filter_map(flat[0], gain[0]) + filter_map(flat[1], gain[1])
        np.testing.assert_allclose(map - map.mean(), expected, atol=1e-12)


def test_it_errs_as_theory_says_and_less_than_any_channel_alone(red, draw):
    a, own = np.array([1.0, 3.0]), [WHITE, STRONG]
    square = []
    for seed in range(0, 80, 4):
        truth, common = draw(red(8), seed), draw(COMMON, seed + 1)
        noise = [draw(WHITE, seed + 2), draw(STRONG, seed + 3)]
        maps = a[:, None] * truth + common + noise
        signal, other = joint_wiener_filter(maps, a, red(8), COMMON, own)
        alone = [
            wiener_filter(maps[0], red(8), COMMON + WHITE),
            wiener_filter(maps[1] / 3, red(8), (COMMON + STRONG) / 9),
        ]
        square.append([np.var(signal - truth), *(np.var(map - truth) for map in alone)])
        square[-1].append(np.var(other - common))
    found = np.mean(square, axis=0)
    expected = np.zeros(2)
    for ell in range(1, 25):
        modes = (3 * 64 if ell == 24 else 2 * ell + 1) / (4 * np.pi)
        response = np.stack([a, np.ones(2)])
        noise = np.diag([1 / WHITE[ell], 1 / STRONG[ell]])
        prior = np.diag([1 / red(8)[ell], 1 / COMMON[ell]])
        expected += modes * np.diag(np.linalg.inv(response @ noise @ response.T + prior))
    np.testing.assert_allclose(found[[0, 3]], expected, rtol=0.08)
    assert found[0] < 0.98 * found[1:3].min()


def test_means_of_signal_and_contaminant_are_solved_for(red, channels):
    a = np.array([1.0, 3.0])
    shifted = channels + 7 * a[:, None]
    noise = [WHITE, STRONG]
    before = joint_wiener_filter(channels, a, red(8), COMMON, noise)
    after = joint_wiener_filter(shifted, a, red(8), COMMON, noise)
    np.testing.assert_allclose(after[0] - before[0], 7, rtol=1e-12)
    np.testing.assert_allclose(after[1], before[1], atol=1e-12)
    same = joint_wiener_filter(channels, [1.0, 1.0], red(8), COMMON, WHITE)
    np.testing.assert_allclose(same[0].mean(), channels.mean(), rtol=1e-12)
    np.testing.assert_allclose(same[1].mean(), 0, atol=1e-12)


def test_the_combination_has_no_bias_and_the_least_variance(red, draw):
    a = np.array([1.0, 3.0, 0.5])
    own = [WHITE, STRONG, 2 * WHITE]
    weights, levels = combination_weights(a, COMMON, own, 8)
    np.testing.assert_allclose(a @ weights, 1, rtol=1e-12)
    generator = np.random.default_rng(0)
    for ell in range(1, 25):
        covariance = COMMON[ell] + np.diag([noise[ell] for noise in own])
        variance = weights[:, ell] @ covariance @ weights[:, ell]
        np.testing.assert_allclose(levels[ell], variance, rtol=1e-12)
        change = generator.standard_normal(3)
        other = weights[:, ell] + 0.1 * (change - a * (a @ change) / (a @ a))
        assert other @ covariance @ other > variance
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    signal = draw(red(8), 1) + 4
    combined = combine_channels(a[:, None] * signal, weights)
    np.testing.assert_allclose(combined, signal, rtol=1e-12)


def test_equal_channels_are_averaged_by_their_noise():
    weights, levels = combination_weights([1.0, 1.0], None, [WHITE, STRONG], 8)
    np.testing.assert_allclose(weights.T, np.tile([5 / 6, 1 / 6], (25, 1)), rtol=1e-12)
    np.testing.assert_allclose(levels, 1 / (1 / 0.01 + 1 / 0.05), rtol=1e-12)
    common = combination_weights([1.0, 1.0], COMMON, [WHITE, STRONG], 8)
    np.testing.assert_allclose(common[0], weights, rtol=1e-9)
    np.testing.assert_allclose(common[1][1:], (COMMON + levels)[1:], rtol=1e-9)
    one = combination_weights([2.0], COMMON, None, 8)
    np.testing.assert_allclose(one[0], 0.5)
    np.testing.assert_allclose(one[1][1:], COMMON[1:] / 4)


def test_beyond_the_multipoles_of_all_spectra_the_last_weights_hold():
    model = GaussianNoise.of_spectrum(COMMON[:24], 8, dtype=np.float64)
    white = GaussianNoise.white(0.3, 8, dtype=np.float64)
    weights, _ = combination_weights([1.0, 3.0], model, white, 8)
    np.testing.assert_allclose(weights[:, -1], [0.1, 0.3], rtol=1e-12)
    weights, levels = combination_weights([1.0, 3.0], None, [WHITE[:24], STRONG[:24]], 8)
    np.testing.assert_array_equal(weights[:, -1], weights[:, -2])
    assert levels[-1] == 0


MAPS = np.random.default_rng(0).standard_normal((2, 768))
HOLE = np.where(L == 5, 0.0, WHITE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": MAPS[0]}, r"channels: got shape \(768,\), expected \(2, npix\)"),
        ({"channels": MAPS[:1]}, r"channels: got shape \(1, 768\), expected \(2, npix\)"),
        ({"channels": MAPS * np.nan}, "channels: got 768 of 768 pixels NaN"),
        ({"mixing": 3.0}, r"mixing: got shape \(\), expected one number per channel"),
        ({"mixing": [0.0, 0.0]}, "mixing: got only zeros, expected"),
        ({"mixing": [np.nan, 0.0]}, "mixing: got numbers that are not finite"),
        ({"signal": np.ones(3)}, r"signal: got an array of shape \(3,\), expected C_l"),
        ({"contaminant": "cmb"}, "contaminant: got str of shape"),
        ({"contaminant": -COMMON}, "contaminant: got 25 of 25 that are negative"),
        ({"noise": [WHITE]}, "noise: got a list of 1, expected one for each of 2"),
        ({"noise": [WHITE, np.ones(4)]}, r"noise\[1\]: got an array of shape \(4,\)"),
        ({"noise": WHITE * np.nan}, "noise: got 25 of 25 that are negative or not finite"),
        (
            {"noise": HOLE, "contaminant": None},
            r"noise: got a singular covariance of the channels at 1 of 25 levels \(the first is l "
            r"= 5\), expected noise in every channel",
        ),
    ],
)
def test_bad_input_is_refused(red, change, message):
    given = {"channels": MAPS, "mixing": [1.0, 3.0], "signal": red(8)}
    given |= {"contaminant": COMMON, "noise": WHITE}
    with pytest.raises(ValueError, match=f"^{message}"):
        joint_wiener_filter(**given | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": None}, "noise: got a singular covariance of the channels at 25 of 25 levels"),
        ({"nside": 3}, "nside: got 3, expected a power of two"),
        ({"mixing": []}, r"mixing: got shape \(0,\)"),
    ],
)
def test_combinations_of_bad_input_are_refused(change, message):
    given = {"mixing": [1.0, 3.0], "contaminant": COMMON, "noise": WHITE, "nside": 8}
    with pytest.raises(ValueError, match=f"^{message}"):
        combination_weights(**given | change)


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match=r"^weights: got shape \(2, 24\), expected \(2, 25\)"):
        combine_channels(MAPS, np.ones((2, 24)))
    with pytest.raises(ValueError, match=r"^weights: got shape \(25,\), expected \(channels"):
        combine_channels(MAPS, np.ones(25))
