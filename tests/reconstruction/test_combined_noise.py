import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import NoiseMaps, draw_realization, mean_levels
from jaxscat.reconstruction.channels import combination_weights, combine_channels
from jaxscat.reconstruction.combined_noise import ChannelFilter, CombinedNoise
from jaxscat.reconstruction.isotropic import filter_map

MIXING = [1.0, 3.0, -0.5]


def field(level, slope):
    spectrum = level / (np.arange(24) + 2.0) ** slope
    return GaussianNoise.of_spectrum(spectrum, 8, dtype=np.float64)


@pytest.fixture(scope="module")
def parts():
    white = [GaussianNoise.white(level, 8, dtype=np.float64) for level in (0.3, 0.5, 1.0)]
    return field(1.0, 2), tuple(white)


@pytest.fixture(scope="module")
def combined(parts):
    weights, levels = combination_weights(MIXING, parts[0], list(parts[1]), 8)
    combine = ChannelFilter.of(weights, 8, np.float64)
    return CombinedNoise(combine, *parts, levels, 768)


def test_the_combination_keeps_the_signal_and_is_that_of_the_host(parts, combined):
    weights, _ = combination_weights(MIXING, parts[0], list(parts[1]), 8)
    signal, *others = np.random.default_rng(0).normal(size=(4, 768))
    kept = combined.filter(np.outer(MIXING, signal))
    np.testing.assert_allclose(kept, signal, atol=1e-10)
    # healpy's transform comes to the same at low multipoles; it iterates at high ones.
    smooth = np.stack([filter_map(of, np.arange(25)[::-1] ** 4 / 24**4) for of in others])
    expected = combine_channels(smooth, weights)
    assert np.std(combined.filter(smooth) - expected) < 0.05 * np.std(expected)


def test_draws_have_the_stated_levels(combined):
    maps = np.stack([draw_realization(combined, 3, number) for number in range(64)])
    found, stated = mean_levels(maps), combined.levels()
    modes = 64 * (2 * np.arange(24) + 1)
    error = stated[1:-1] * np.sqrt(2 / modes[1:])
    # Beyond 2 nside the pixels' own transform is a few percent off.
    assert (np.abs(found[1:-1] - stated[1:-1]) < 4 * error + 0.05 * stated[1:-1]).all()
    np.testing.assert_allclose(found[-1], stated[-1], rtol=0.1)


def test_noise_is_independent_in_every_channel_and_from_the_contaminant(parts):
    contaminant, noise = parts
    alone = []
    for place in range(3):
        weights = np.zeros((3, 25))
        weights[place] = 1.0
        combine = ChannelFilter.of(weights, 8, np.float64)
        one = CombinedNoise(combine, None, noise, np.ones(25), 768)
        alone.append(draw_realization(one, 3, 0) / np.std(draw_realization(noise[place], 3, 0)))
    alone.append(draw_realization(contaminant, 3, 0))
    between = np.corrcoef(alone)
    assert np.abs(between[~np.eye(4, dtype=bool)]).max() < 4 / np.sqrt(768)
    np.testing.assert_allclose(np.std(alone[:3], axis=1), 1, atol=0.15)


def test_the_contaminant_is_the_same_in_every_channel(parts):
    combine = ChannelFilter.of(np.tile([[1.0], [-1.0]], 25), 8, np.float64)
    none = CombinedNoise(combine, parts[0], (None, None), np.zeros(25), 768)
    np.testing.assert_allclose(draw_realization(none, 3, 0), 0, atol=1e-14)


def test_the_part_with_the_fewest_realizations_counts(parts):
    maps = NoiseMaps(np.random.default_rng(0).normal(size=(9, 768)))
    combine = ChannelFilter.of(np.ones((2, 25)), 8, np.float64)
    for noise, available in (((maps, parts[0]), 9), ((None, parts[0]), None)):
        found = CombinedNoise(combine, parts[0], noise, np.ones(25), 768)
        assert found.available == available and found.npix == 768


def test_weights_of_multipoles_need_tables():
    weights = np.stack([np.linspace(0, 1, 1537), np.linspace(1, 0, 1537)])
    with pytest.raises(ValueError, match="^channels: got nside 512, expected 2 to 256"):
        ChannelFilter.of(weights, 512, np.float32)
    assert ChannelFilter.of(np.ones((2, 1537)), 512, np.float32).tables is None
