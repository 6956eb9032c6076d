"""Maps with a mean that is large beside their spread, measured in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.io.precision import large_mean
from jaxscat.objectives.make_target import make_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.coefficient_maps import coefficient_maps
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.measurement import build_measurement
from jaxscat.statistics.power import wavelet_power
from jaxscat.statistics.scattering import measure
from jaxscat.validation.scattering import measure_on_host

OFFSETS = [1e3, 1e5, 1e7]
SINGLE, DOUBLE = (build_pyramid(4, dtype=dtype) for dtype in ("float32", "float64"))


def standard(seed):
    map = np.random.default_rng(seed).gamma(2.0, size=192)
    return (map - map.mean()) / map.std()


MAP, OTHER = standard(0), standard(1)
MASK = np.random.default_rng(2).uniform(0, 1, 192) * (np.arange(192) > 30)


def assert_near(found, expected, tolerance=2e-6):
    """Compare groups by their root mean square, relative to that of the group."""
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("options", [{}, {"mask": MASK, "mask_threshold": 0.1}], ids=["", "mask"])
def test_measure(offset, options):
    found = measure(MAP + offset, SINGLE, **options)
    assert_near(found, measure(MAP + offset, DOUBLE, **options))
    assert found.s0[0].dtype == np.float32


def test_hidden_pixels_have_no_say_in_the_mean():
    spoiled = MAP + 1e5
    spoiled[MASK == 0] = 1e9
    expected = measure(MAP + 1e5, DOUBLE, mask=MASK)
    assert_near(measure(spoiled, SINGLE, mask=MASK), expected)


@pytest.mark.parametrize("offset", OFFSETS)
def test_other_functions_of_one_map(offset):
    for function in (
        standard_error,
        wavelet_power,
        lambda map, pyramid: jax.tree.map(jnp.mean, coefficient_maps(map, pyramid).s1),
        lambda map, pyramid: coefficient_maps(map, pyramid).s0,
        lambda map, pyramid: align_orientations(map, pyramid).outer[0].near,
        lambda map, pyramid: measure_on_host(map, build_measurement(pyramid)),
        lambda map, pyramid: make_target(map, pyramid).mean,
        lambda map, pyramid: make_target(np.stack([map, -map]), pyramid).sigma,
    ):
        assert_near(function(MAP + offset, SINGLE), function(MAP + offset, DOUBLE), 1e-5)


@pytest.mark.parametrize("offset", OFFSETS)
def test_two_maps(offset):
    """Their S0 counts with both means."""
    for options in ({}, {"mask": MASK}):
        given = {"second": OTHER + 3 * offset, **options}
        found, expected = (measure(MAP - offset, one, **given) for one in (SINGLE, DOUBLE))
        assert_near(found, expected)
        found, expected = (standard_error(MAP - offset, one, **given) for one in (SINGLE, DOUBLE))
        assert_near(found, expected, 1e-5)


def test_a_target_keeps_the_mean_of_the_second_map():
    second = OTHER + 3e5
    target = make_target(MAP, SINGLE, second=second)
    assert target.second_offset == np.float32(large_mean(second))
    found = target.measurement(SINGLE)
    assert_near(measure(MAP, SINGLE, second=second).s0, target.mean.s0)
    assert found.second_offset == target.second_offset
    assert abs(float(np.mean(found.second))) < 0.1


def test_small_means_and_float32_maps_are_measured_as_they_are():
    for map in (MAP + 10.0, (MAP + 1e5).astype(np.float32)):
        inside = jax.jit(measure)(map.astype(np.float32), SINGLE)
        for one, other in zip(
            jax.tree.leaves(measure(map, SINGLE)), jax.tree.leaves(inside), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_large_mean():
    assert large_mean(MAP + 15) == 0
    assert large_mean(MAP - 17) == np.float32((MAP - 17).mean())
    assert large_mean(np.full(4, 5.0)) == 5
    assert large_mean(np.zeros(4)) == 0
    assert large_mean(np.array([1e300, 1.00001e300])) == 0  # beyond float32
    assert large_mean(np.array([1e-300, 1.00001e-300])) == 0  # below it


def test_values_beyond_float32_are_refused():
    with pytest.raises(ValueError, match="map: got values up to .*float32 cannot hold"):
        measure(MAP * 1e39, SINGLE)
    assert np.isfinite(measure(MAP * 1e39, DOUBLE).s2).all()
