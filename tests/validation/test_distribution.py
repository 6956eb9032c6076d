import numpy as np
import pytest
import scipy.stats

from jaxscat.validation.distribution import pixel_correlation, pixel_moments


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
