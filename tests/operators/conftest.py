"""What the tests of several operators need."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def foscat_numbers():
    """The folder of operators that FOSCAT made, beside the data."""
    data = os.environ.get("JAXSCAT_DATA")
    if data is None:
        pytest.skip("JAXSCAT_DATA is not set: no operators of FOSCAT as it is shipped")
    folder = Path(data).resolve().parent / "golden"
    if not (folder / "exact64_ops.npz").is_file():
        pytest.skip(f"no operators of FOSCAT in {folder}")
    return folder


@pytest.fixture(scope="session")
def random_entries():
    """Makes entries of a random sparse matrix: pixels, weights and which of them are used."""

    def make(nside, *, width=6, rows=5, outputs=3, seed=0):
        generator = np.random.default_rng(seed)
        pixels = generator.integers(0, 12 * nside**2, (width, rows))
        used = generator.random((width, rows)) < 0.8
        weights = generator.standard_normal((width, rows, outputs)) * used[:, :, None]
        return np.where(used, pixels, 0), weights, used

    return make
