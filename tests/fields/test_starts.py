import os
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxscat.fields.starts import gaussian_noise, noise, reference_noise, white_noise
from jaxscat.harmonics.spectra import angular_power_spectrum

KINDS = [white_noise, reference_noise, gaussian_noise]


def test_reference_noise_is_the_reference_experiments_noise():
    original = np.random.default_rng(0).gamma(2.0, size=768).astype(np.float32)
    state = np.random.get_state()[1].copy()
    start = reference_noise(original, 1234)
    assert np.array_equal(np.random.get_state()[1], state)
    np.random.seed(1234)
    noise = np.random.randn(1, 768).astype(np.float32)
    np.testing.assert_array_equal(start, (noise * original.std() + original.mean())[0])
    assert start.dtype == np.float32


def test_noise_is_normal_and_another_for_every_seed():
    drawn = np.stack([noise(seed, 20_000) for seed in (0, 1, 2**32 - 1)])
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn), np.eye(3), atol=0.04)
    np.testing.assert_allclose((drawn**4).mean(axis=1), 3, atol=0.2)
    np.testing.assert_array_equal(noise(1, 20_000), drawn[1])


def test_noise_does_not_depend_on_the_precision_of_jax():
    in_double = noise(7, 100)
    with jax.enable_x64(False):
        np.testing.assert_array_equal(noise(7, 100), in_double)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 5),
    ],
)
def test_noise_does_not_depend_on_the_generator_of_jax(setting, value):
    """Each setting has a variable of the environment, such as JAX_DEFAULT_PRNG_IMPL."""
    before, expected = getattr(jax.config, setting), noise(7, 1001)
    jax.config.update(setting, value)
    try:
        others = np.asarray(jax.random.normal(jax.random.key(0), (1001,), np.float32))
        np.testing.assert_array_equal(noise(7, 1001), expected)
    finally:
        jax.config.update(setting, before)
    plain = jax.random.normal(jax.random.key(0), (1001,), np.float32)
    assert not np.array_equal(others, plain)  # the setting does change what JAX draws
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 7)
    np.testing.assert_array_equal(expected, jax.random.normal(key, (1001,), np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_starts_are_float32_maps_of_their_seed_alone(kind):
    original = np.random.default_rng(0).gamma(2.0, size=768)
    first = kind(original, 3)
    assert first.dtype == np.float32 and first.shape == (768,)
    np.testing.assert_array_equal(kind(original, 3), first)
    assert abs(np.corrcoef(kind(original, 4), first)[0, 1]) < 0.2


def test_gaussian_noise_has_the_spectrum_and_the_mean_of_the_original():
    original = np.random.default_rng(0).gamma(2.0, size=768)
    spectrum = angular_power_spectrum(original)
    maps = [gaussian_noise(original, seed) for seed in range(60)]
    np.testing.assert_allclose([map.mean() for map in maps], original.mean(), rtol=1e-5)
    found = np.stack([angular_power_spectrum(map) for map in maps])
    multipoles = np.arange(1, 17)  # beyond twice the nside, pixels do not sample harmonics well
    scatter = np.sqrt(2 / (2 * multipoles + 1) / 60)
    ratio = found.mean(axis=0)[multipoles] / spectrum[multipoles]
    assert (np.abs(ratio - 1) < 4 * scatter + 0.01).all()
    # And nothing but Gaussian: the skewness of the original is gone.
    skewness = [np.mean(((map - map.mean()) / map.std()) ** 3) for map in maps]
    assert abs(np.mean(skewness)) < 0.1


def test_gaussian_noise_of_a_cut_sky_has_the_spectrum_inside():
    original = np.random.default_rng(0).normal(5.0, 2.0, size=768)
    footprint = (np.arange(768) < 300).astype(float)
    original[300:] = 1e4
    found = np.std([gaussian_noise(original, seed, footprint=footprint) for seed in range(20)])
    assert found == pytest.approx(2.0, rel=0.15)


def test_footprint_gives_the_mean_and_the_spread():
    generator = np.random.default_rng(0)
    original, footprint = generator.gamma(2.0, size=768), generator.random(768)
    footprint[:100], original[:100] = 0.0, 1e6
    inside = np.average(original, weights=footprint)
    spread = np.sqrt(np.average((original - inside) ** 2, weights=footprint))
    for kind in (white_noise, reference_noise):
        plain = kind(np.arange(768.0), 5)
        plain = (plain - np.arange(768).mean()) / np.arange(768).std()
        found = kind(original, 5, footprint=footprint)
        np.testing.assert_allclose(found, inside + spread * plain, rtol=1e-4, atol=1e-4)


def test_patch_gets_noise_with_its_own_spread():
    patch = 3 + 2 * np.random.default_rng(0).standard_normal(5000)
    weights = (np.arange(5000) < 2500).astype(float)
    assert white_noise(patch, 5).std() == pytest.approx(2, rel=0.05)
    assert white_noise(patch, 5, footprint=weights).mean() == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None, "1", True])
def test_seeds_out_of_range_are_refused(kind, seed):
    with pytest.raises(ValueError, match="seed: got .*expected an integer from 0"):
        kind(np.arange(12.0), seed)


@pytest.mark.parametrize("nside", [8, 16, 32])
def test_is_the_start_of_the_golden_numbers(nside):
    folder = os.environ.get("JAXSCAT_DATA")
    path = Path(folder or ".").parent / "golden" / f"maps_nside{nside}.npz"
    if folder is None or not path.is_file():
        pytest.skip("the golden maps are not beside $JAXSCAT_DATA")
    with np.load(path) as golden:
        np.testing.assert_array_equal(reference_noise(golden["im"][0], 1234), golden["start"][0])
