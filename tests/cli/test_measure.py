"""Coefficients of files, as `jaxscat measure` has them."""

import numpy as np

from jaxscat.cli.measure import MeasureOptions, measure_files
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.scattering import measure


def test_a_large_mean_costs_no_digits(tmp_path):
    map, second = np.random.default_rng(0).gamma(2.0, size=(2, 192))
    map, second = map + 3e5, second - 2e6
    for name, values in (("map", map), ("second", second)):
        np.save(tmp_path / f"{name}.npy", values)
    options = MeasureOptions(
        str(tmp_path / "map.npy"), tmp_path / "out.npz", second=str(tmp_path / "second.npy")
    )
    found = measure_files(options).statistics
    expected = measure(map, build_pyramid(4, dtype="float64"), second=second)
    assert found.s0.dtype == np.float32
    for name, group in found.groups().items():
        wanted = expected.groups()[name]
        assert np.linalg.norm(group - wanted) < 1e-5 * np.linalg.norm(wanted), name
