import healpy
import numpy as np
import pytest

from jaxscat.validation.peaks import (
    MINIMUM_LEVELS,
    PEAK_LEVELS,
    count_difference,
    local_maxima,
    minimum_counts,
    peak_counts,
)


def one_by_one(map, footprint=None):
    """The local maxima by going through every pixel."""
    nside = healpy.npix2nside(map.size)
    found = np.zeros(map.size, bool)
    for pixel in range(map.size):
        near = [near for near in healpy.get_all_neighbours(nside, pixel, nest=True) if near >= 0]
        if footprint is not None and not all(footprint[[pixel, *near]] > 0):
            continue
        found[pixel] = all(map[pixel] > map[other] for other in near)
    return found


@pytest.fixture(params=[1, 2, 8])
def map(request):
    return np.random.default_rng(request.param).standard_normal(12 * request.param**2)


def test_maxima_are_those_found_one_by_one(map):
    found = local_maxima(map)
    assert found.any()
    np.testing.assert_array_equal(found, one_by_one(map))


def test_maxima_need_a_whole_neighbourhood_inside_the_footprint():
    map = np.random.default_rng(0).standard_normal(12 * 8**2)
    footprint = np.random.default_rng(1).choice([0.0, 0.2, 1.0], size=map.size, p=[0.05, 0.2, 0.75])
    found = local_maxima(map, footprint)
    assert 0 < found.sum() < local_maxima(map).sum()
    np.testing.assert_array_equal(found, one_by_one(map, footprint))
    changed = np.where(footprint > 0, map, 1e3)
    np.testing.assert_array_equal(local_maxima(changed, footprint), found)
    assert not local_maxima(map, np.zeros(map.size)).any()


def test_plateaus_have_no_maximum():
    assert not local_maxima(np.ones(768)).any()
    map = np.zeros(768)
    map[100] = 1.0
    assert local_maxima(map).nonzero()[0].tolist() == [100]
    map[healpy.get_all_neighbours(8, 100, nest=True)[2]] = 1.0
    assert not local_maxima(map).any()
    steps = np.round(np.random.default_rng(2).standard_normal(768))
    np.testing.assert_array_equal(local_maxima(steps), one_by_one(steps))


def test_pixels_with_seven_neighbours_can_be_maxima():
    neighbours = healpy.get_all_neighbours(8, np.arange(768), nest=True)
    pixels = np.flatnonzero((neighbours < 0).any(axis=0))
    assert pixels.size == 24
    for pixel in pixels:
        map = np.random.default_rng(pixel).uniform(size=768)
        map[pixel] = 2.0
        assert local_maxima(map)[pixel]
        # Any of its neighbours can take that away.
        for near in neighbours[:, pixel][neighbours[:, pixel] >= 0]:
            higher = map.copy()
            higher[near] = 3.0
            assert not local_maxima(higher)[pixel]


def test_counts_are_cumulative_and_strictly_above():
    map = np.round(np.random.default_rng(3).standard_normal(12 * 16**2), 2)
    footprint = (np.arange(map.size) % 16 > 0).astype(float)
    for weights in (None, footprint):
        peaks = map[one_by_one(map, weights)]
        thresholds = np.append(PEAK_LEVELS, peaks[:3])
        expected = [np.sum(peaks > threshold) for threshold in thresholds]
        assert peak_counts(map, thresholds, weights).tolist() == expected


def test_minima_are_counted_below():
    map = np.round(np.random.default_rng(4).standard_normal(12 * 16**2), 2)
    footprint = (np.arange(map.size) % 16 > 0).astype(float)
    for weights in (None, footprint):
        minima = map[one_by_one(-map, weights)]
        thresholds = np.append(MINIMUM_LEVELS, minima[:3])
        expected = [np.sum(minima < threshold) for threshold in thresholds]
        assert minimum_counts(map, thresholds, weights).tolist() == expected


def test_independent_pixels_are_maxima_as_often_as_chance_says():
    # The highest of 9 pixels, or of 8 around the eight vertices where three pixels meet.
    nside, count = 16, 200
    maps = np.random.default_rng(5).standard_normal((count, 12 * nside**2))
    numbers = np.array([peak_counts(map, np.array([-10.0]))[0] for map in maps])
    expected = (12 * nside**2 - 24) / 9 + 24 / 8
    assert abs(numbers.mean() - expected) < 3 * numbers.std(ddof=1) / np.sqrt(count)


def test_levels_are_from_the_mean_outwards():
    assert PEAK_LEVELS.tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert MINIMUM_LEVELS.tolist() == [0.5, 0.0, -0.5, -1.0, -1.5, -2.0]


def test_the_difference_is_the_largest_where_there_are_enough():
    reference = np.array([400, 200, 40, 39, 0])
    assert count_difference(reference, reference) == 0.0
    assert count_difference(np.array([380, 220, 46, 0, 9]), reference) == pytest.approx(0.15)
    assert count_difference(np.array([380, 220, 40, 0, 9]), reference) == pytest.approx(0.1)
    assert count_difference(np.array([400, 200, 40, 0, 9]), reference, minimum=39) == 1.0
    assert count_difference(np.array([400, 200, 40, 39, 9]), reference, minimum=0) == 0.0
    assert np.isnan(count_difference(reference, np.array([39, 9, 0, 0, 0])))
