import jax
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.measurement import build_measurement
from jaxscat.validation.scattering import measure_on_host, relative_errors, scattering_error


@pytest.fixture(scope="module")
def target():
    pyramid = build_pyramid(4, dtype=np.float64)
    map = np.random.default_rng(0).gamma(2.0, size=192)
    return measure_on_host(map, build_measurement(pyramid))


def test_uniform_change_is_its_own_relative_error(target):
    changed = jax.tree.map(lambda values: values * 0.9, target)
    assert relative_errors(changed, target) == pytest.approx(
        dict.fromkeys(["S1", "S2", "S3", "S4"], 0.1)
    )
    assert scattering_error(changed, target) == pytest.approx(0.01)


def test_error_of_a_stronger_map_follows_from_homogeneity():
    pyramid = build_pyramid(4, dtype=np.float64)
    map = np.random.default_rng(1).standard_normal(192)
    measurement = build_measurement(pyramid)
    target, stronger = (measure_on_host(factor * map, measurement) for factor in (1.0, 1.5))
    errors = relative_errors(stronger, target)
    # S1 is of first order in the map, S2, S3 and S4 of second
    assert errors["S1"] == pytest.approx(0.5)
    assert [errors[name] for name in ("S2", "S3", "S4")] == pytest.approx([1.25] * 3)
    assert scattering_error(stronger, target) == pytest.approx(0.25)


def test_relative_error_is_rms_over_rms_and_the_single_number_the_square_of_the_first(target):
    changed = jax.tree.map(np.copy, target)
    changed.s1[0, 0] += 0.5
    assert relative_errors(changed, target)["S1"] == pytest.approx(
        0.5 / np.sqrt(np.sum(target.s1**2))
    )
    assert scattering_error(changed, target) == pytest.approx(0.25 / np.sum(target.s1**2))


def test_measures_in_the_precision_of_the_pyramid():
    statistics = measure_on_host(
        np.arange(48.0), build_measurement(build_pyramid(2, dtype=np.float32))
    )
    assert statistics.s1.dtype == np.float32 and isinstance(statistics.s1, np.ndarray)


@pytest.mark.parametrize("unit", [1e20, 1e-25])
def test_large_and_small_numbers_are_measured_in_float32(unit):
    """Column densities in cm-2, whose squares float32 cannot hold."""
    pyramid = build_pyramid(4, scales=1, orientations=2)
    map = np.random.default_rng(0).gamma(2.0, size=192)
    plain = measure_on_host(map, build_measurement(pyramid))
    scaled = measure_on_host(unit * map, build_measurement(pyramid))
    assert scaled.s2.dtype == np.float64
    for name, group in plain.groups().items():
        factor = unit if name in ("S0", "S1") else unit**2
        expected = np.asarray(group, np.complex128) * factor
        # The powers of two on the way are exact, the decimal unit is not.
        np.testing.assert_allclose(scaled.groups()[name], expected, rtol=2e-5, atol=1e-6 * factor)
