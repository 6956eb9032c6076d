"""A signal is separated from what channels have in common and from their noise."""

import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import draw_realization, mean_levels
from jaxscat.reconstruction.channels import joint_wiener_filter
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.separate import separate


@pytest.fixture(scope="module")
def common():
    spectrum = 1 / (np.arange(24) + 1.0) ** 2
    spectrum[:2] = 0
    spectrum *= 4 * np.pi / np.sum((2 * np.arange(24) + 1) * spectrum)
    return GaussianNoise.of_spectrum(spectrum, 8, dtype=np.float64)


def test_one_channel_is_denoised_with_realizations_of_the_contaminant(example, small, common):
    data = example.truth + draw_realization(common, 9, 0) + 20
    found = separate(data[None], small, [1.0], contaminant=common)
    expected = denoise(data, small, common)
    np.testing.assert_allclose(found.map, expected.map, atol=1e-6)
    assert found.status == expected.status == "converged"
    np.testing.assert_allclose(found.contaminant, data - found.map, atol=1e-10)
    stronger = separate(2 * data[None], small, [-2.0], contaminant=common)
    assert np.isfinite(stronger.map).all()
    np.testing.assert_allclose(stronger.map.mean(), -data.mean(), rtol=1e-2)


@pytest.fixture(scope="module")
def channels(example, common):
    noise = [0.5 * np.random.default_rng(seed).normal(size=768) for seed in (1, 2)]
    contaminant = draw_realization(common, 9, 0)
    maps = np.stack([example.truth + 10, 3 * (example.truth + 10)]) + contaminant + noise
    return maps, contaminant


def test_two_channels_give_signal_and_contaminant(example, distances, channels, common):
    maps, contaminant = channels
    white = GaussianNoise.white(0.5, 8, dtype=np.float64)
    found = separate(maps, example.pyramid, [1.0, 3.0], contaminant=common, noise=white)
    assert found.status in ("converged", "start accepted")
    best, other = joint_wiener_filter(
        maps, [1.0, 3.0], mean_levels(example.truth[None]), common, white
    )
    errors, linear = distances(found.map - 10), distances(best - 10)
    assert all(errors[name] < linear[name] for name in ("S2", "S3", "S4")), (errors, linear)
    assert np.std(found.map - 10 - example.truth) < 1.1 * np.std(best - 10 - example.truth)
    np.testing.assert_allclose(found.map.mean(), 10 + example.truth.mean(), atol=0.1)
    likeness = [np.corrcoef(map, contaminant)[0, 1] for map in (found.contaminant, other)]
    assert likeness[0] > likeness[1] - 0.05
    several = separate(
        maps, example.pyramid, [1.0, 3.0], contaminant=common, noise=[white, white], seeds=[3]
    )
    assert several.map.shape == several.contaminant.shape == (1, 768)
    assert several.of_seed(3).contaminant.shape == (768,)


def test_a_channel_without_noise_gives_the_contaminant_itself(example, small, common):
    contaminant = np.stack(
        [draw_realization(GaussianNoise.white(0.1, 8, dtype=np.float64), 1, n) for n in range(16)]
    ) + np.stack([draw_realization(common, 1, n) for n in range(16)])
    white = GaussianNoise.white(0.5, 8, dtype=np.float64)
    silent = example.truth + contaminant[0]
    noisy = 3 * example.truth + contaminant[0] + draw_realization(white, 4, 0)
    found = separate(
        np.stack([silent, noisy]), small, [1, 3], contaminant=contaminant, noise=[None, white]
    )
    np.testing.assert_allclose(found.contaminant, silent - found.map, atol=1e-12)


def test_a_residual_gives_the_contaminant_its_power(example, small, common):
    data = (example.truth + draw_realization(common, 9, 0))[None]
    plain = separate(data, small, [1.0], contaminant=common)
    found = separate(
        data, small, [1.0], contaminant=common, terms=["scattering", "residual"], start="wiener"
    )
    wanted = common.levels()[2:12]
    off = [
        np.abs(np.log(mean_levels(map[None])[2:12] / wanted)).mean()
        for map in (found.contaminant, plain.contaminant)
    ]
    assert off[0] < off[1]


def test_bad_channels_are_named(example, small, channels, common, compilations, pyramids):
    maps, _ = channels
    white = GaussianNoise.white(0.5, 8, dtype=np.float64)
    given = {"channels": maps, "pyramid": small, "mixing": [1, 3], "noise": white}
    separate_part = maps.copy()
    separate_part[1, 5] = np.nan
    patch = pyramids(8, scales=1, orientations=2, cell_ids=tuple(range(64)))
    calls = [
        ({"channels": maps[0]}, r"channels: got shape \(768,\), expected \(2, npix\)"),
        ({"channels": maps[:, :192]}, r"channels: got maps of 192 pixels, expected 768"),
        ({"channels": separate_part}, "channels: got 1 of 768 pixels NaN"),
        ({"channels": maps.astype(complex)}, "channels: got"),
        ({"channels": maps * [[1], [0]]}, r"channels\[1\]: got the same value 0 in every pixel"),
        ({"mixing": [1, 3, 2]}, r"channels: got shape \(2, 768\), expected \(3, npix\)"),
        ({"mixing": [0, 0]}, "mixing: got only zeros"),
        ({"mixing": [1, np.nan]}, "mixing: got numbers that are not finite"),
        ({"mixing": 1.0}, r"mixing: got shape \(\)"),
        ({"noise": None}, "contaminant, noise: got None for both"),
        ({"noise": None, "contaminant": common}, "noise: got a singular covariance"),
        ({"noise": [white]}, "noise: got a list of 1, expected one for each of 2"),
        ({"noise": [white, 3]}, r"noise\[1\]: got int"),
        ({"contaminant": np.ones(25)}, r"contaminant: got ndarray of shape \(25,\)"),
        ({"contaminant": maps}, "contaminant: got 2 realizations, expected at least 8"),
        ({"noise": GaussianNoise.white(1.0, 4)}, "noise: got maps of 192 pixels, expected 768"),
        ({"terms": ["fidelity"]}, "terms: got 'fidelity', which makes no sense here"),
        ({"pyramid": patch}, "pyramid: got one of 64 pixels"),
    ]
    compilations.clear()
    for changes, message in calls:
        with pytest.raises(ValueError, match=f"^{message}"):
            separate(**given | changes)
    assert compilations == []
