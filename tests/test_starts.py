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


@pytest.mark.parametrize("nside", [8, 16, 32])
def test_is_the_start_of_the_golden_numbers(nside):
    folder = os.environ.get("JAXSCAT_DATA")
    path = Path(folder or ".").parent / "golden" / f"maps_nside{nside}.npz"
    if folder is None or not path.is_file():
        pytest.skip("the golden maps are not beside $JAXSCAT_DATA")
    with np.load(path) as golden:
        np.testing.assert_array_equal(white_noise(golden["im"][0], 1234), golden["start"][0])
