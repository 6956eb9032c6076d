import numpy as np
import pytest
import scipy.stats

from jaxscat.validation.distribution import (
    pixel_correlation,
    pixel_moments,
    wasserstein_distance,
)


@pytest.fixture
def map():
    return np.random.default_rng(0).gamma(2.0, size=768)


def test_moments_are_those_of_scipy(map):
    moments = pixel_moments(map)
    assert moments == pytest.approx(
        {
            "mean": map.mean(),
            "std": map.std(),
            "min": map.min(),
            "max": map.max(),
            "skewness": scipy.stats.skew(map),
            "kurtosis": scipy.stats.kurtosis(map),
        }
    )


def test_integer_weights_count_pixels_so_often(map):
    weights = np.random.default_rng(1).integers(0, 3, size=map.size)
    repeated = np.repeat(map, weights)
    assert pixel_moments(map, weights) == pytest.approx(pixel_moments(repeated))
    other = np.random.default_rng(2).standard_normal(map.size) + map
    assert pixel_correlation(map, other, weights) == pytest.approx(
        np.corrcoef(repeated, np.repeat(other, weights))[0, 1]
    )


def test_float32_maps_are_averaged_in_float64(map):
    offset = (map + 1e3).astype(np.float32)
    assert pixel_moments(offset)["std"] == pytest.approx(offset.astype(np.float64).std(), rel=1e-12)


def test_correlation_is_pearsons(map):
    other = map + np.random.default_rng(2).standard_normal(map.size)
    assert pixel_correlation(map, other) == pytest.approx(scipy.stats.pearsonr(map, other)[0])
    assert pixel_correlation(map, -map) == pytest.approx(-1.0)


def test_a_shift_by_standard_deviations_is_the_distance(map):
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0], size=map.size)
    assert wasserstein_distance(map, map) == 0.0
    assert wasserstein_distance(map + 0.3 * map.std(), map) == pytest.approx(0.3)
    spread = pixel_moments(map, weights)["std"]
    assert wasserstein_distance(map - 2 * spread, map, weights) == pytest.approx(2.0)
    # Where pixels lie does not matter, and units do not.
    shuffled = np.random.default_rng(2).permutation(map)
    assert wasserstein_distance(shuffled, map) == 0.0
    other = np.random.default_rng(3).standard_normal(map.size)
    distance = wasserstein_distance(other, map)
    assert wasserstein_distance(1e6 * other, 1e6 * map) == pytest.approx(distance)


def test_the_distance_is_that_of_scipy_with_and_without_weights(map):
    other = np.random.default_rng(3).standard_normal(map.size)
    expected = scipy.stats.wasserstein_distance(other, map) / map.std()
    assert wasserstein_distance(other, map) == pytest.approx(expected)
    assert wasserstein_distance(other, map, np.full(map.size, 0.7)) == pytest.approx(expected)
    weights = np.random.default_rng(1).integers(0, 3, size=map.size)
    repeated = [np.repeat(values, weights) for values in (other, map)]
    assert wasserstein_distance(other, map, weights) == pytest.approx(
        wasserstein_distance(repeated[0], repeated[1])
    )


def test_distance_is_computed_in_float64(map):
    offset = (map + 1e3).astype(np.float32)
    other = (map[::-1] * 1.1 + 1e3).astype(np.float32)
    expected = wasserstein_distance(other.astype(np.float64), offset.astype(np.float64))
    assert wasserstein_distance(other, offset) == pytest.approx(expected, rel=1e-12)
