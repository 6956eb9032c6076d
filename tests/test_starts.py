import os
from pathlib import Path

import numpy as np
import pytest

from jaxscat.starts import white_noise


def test_is_the_reference_experiments_noise():
    original = np.random.default_rng(0).gamma(2.0, size=768).astype(np.float32)
    state = np.random.get_state()[1].copy()
    start = white_noise(original, 1234)
    assert np.array_equal(np.random.get_state()[1], state)
    np.random.seed(1234)
    noise = np.random.randn(1, 768).astype(np.float32)
    np.testing.assert_array_equal(start, (noise * original.std() + original.mean())[0])
    assert start.dtype == np.float32


def test_footprint_gives_the_mean_and_the_spread():
    generator = np.random.default_rng(0)
    original, footprint = generator.gamma(2.0, size=768), generator.random(768)
    footprint[:100], original[:100] = 0.0, 1e6
    inside = np.average(original, weights=footprint)
    spread = np.sqrt(np.average((original - inside) ** 2, weights=footprint))
    plain = white_noise(np.arange(768.0), 5)
    plain = (plain - np.arange(768).mean()) / np.arange(768).std()
    found = white_noise(original, 5, footprint=footprint)
    np.testing.assert_allclose(found, inside + spread * plain, rtol=1e-4, atol=1e-4)


def test_patch_gets_noise_with_its_own_spread():
    patch = 3 + 2 * np.random.default_rng(0).standard_normal(5000)
    weights = (np.arange(5000) < 2500).astype(float)
    assert white_noise(patch, 5).std() == pytest.approx(2, rel=0.05)
    assert white_noise(patch, 5, footprint=weights).mean() == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None, "1", True])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="seed: got .*expected an integer from 0"):
        white_noise(np.arange(12.0), seed)


@pytest.mark.parametrize("nside", [8, 16, 32])
def test_is_the_start_of_the_golden_numbers(nside):
    folder = os.environ.get("JAXSCAT_DATA")
    path = Path(folder or ".").parent / "golden" / f"maps_nside{nside}.npz"
    if folder is None or not path.is_file():
        pytest.skip("the golden maps are not beside $JAXSCAT_DATA")
    with np.load(path) as golden:
        np.testing.assert_array_equal(white_noise(golden["im"][0], 1234), golden["start"][0])
