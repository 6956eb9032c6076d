from collections import Counter
from itertools import combinations

import healpy
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from jaxscat.validation.morphology import LEVELS, minkowski_functionals, pixel_complex


def centres(nside):
    return np.stack(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True), axis=-1)


def euler(inside, footprint=None):
    return minkowski_functionals(inside.astype(float), np.array([0.5]), footprint).euler[0]


def corners(nside):
    """The pixels around every vertex, found by the place of the vertex on the sphere."""
    around = {}
    for pixel in range(12 * nside**2):
        for point in healpy.boundaries(nside, pixel, step=1, nest=True).T:
            # Adding zero makes -0 a 0.
            around.setdefault(tuple(np.round(point, 6) + 0.0), set()).add(pixel)
    return list(around.values())


def sides(vertices):
    """The pairs of pixels that share two vertices, which is what an edge is."""
    pairs = (pair for around in vertices for pair in combinations(sorted(around), 2))
    return {pair for pair, shared in Counter(pairs).items() if shared == 2}


def counted(map, threshold, footprint=None):
    """V0, V1 and V2 by going through every pixel, edge and vertex."""
    weights = np.ones(map.size) if footprint is None else footprint
    vertices = corners(healpy.npix2nside(map.size))
    edges = sides(vertices)
    inside = {pixel for pixel in range(map.size) if map[pixel] > threshold and weights[pixel] > 0}
    seen = [pair for pair in edges if weights[pair[0]] > 0 and weights[pair[1]] > 0]
    area = sum(weights[pixel] for pixel in inside) / weights.sum()
    boundary = sum(len(inside & set(pair)) == 1 for pair in seen) / len(seen)
    parts = [*(set(pair) for pair in edges), *vertices]
    signs = [-1] * len(edges) + [1] * len(vertices)
    closed = sum(sign for sign, part in zip(signs, parts, strict=True) if inside & part)
    opened = sum(sign for sign, part in zip(signs, parts, strict=True) if inside >= part)
    return area, boundary, len(inside) + (closed + opened) / 2


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 16])
def test_the_sphere_has_as_many_edges_and_vertices_as_euler_says(nside):
    edges, vertices = pixel_complex(nside)
    assert edges.shape == (24 * nside**2, 2)
    assert vertices.shape == (12 * nside**2 + 2, 4)
    assert len(vertices) - len(edges) + 12 * nside**2 == 2
    assert len({frozenset(pair) for pair in edges.tolist()}) == len(edges)
    around = [len(set(pixels)) for pixels in vertices.tolist()]
    assert around.count(3) == 8
    assert around.count(4) == len(vertices) - 8
    # Four edges and four vertices bound every pixel.
    assert set(np.bincount(edges.ravel())) == {4}
    named = np.concatenate([np.array(sorted(set(pixels))) for pixels in vertices.tolist()])
    assert set(np.bincount(named)) == {4}


@pytest.mark.parametrize("nside", [1, 2, 4, 8])
def test_vertices_are_where_the_boundaries_of_pixels_meet(nside):
    found = {frozenset(pixels) for pixels in pixel_complex(nside).vertices.tolist()}
    assert found == {frozenset(around) for around in corners(nside)}


@pytest.mark.parametrize("nside", [1, 2, 4, 8])
def test_the_pixels_of_an_edge_share_exactly_two_vertices(nside):
    edges = {tuple(sorted(pair)) for pair in pixel_complex(nside).edges.tolist()}
    assert edges == sides(corners(nside))


def test_the_complex_is_kept_and_cannot_be_written():
    assert pixel_complex(4) is pixel_complex(4)
    for array in pixel_complex(4):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0
    with pytest.raises(ValueError, match="nside: got 3"):
        pixel_complex(3)


@pytest.mark.parametrize("nside", [1, 2, 4])
def test_functionals_are_those_counted_one_by_one(nside):
    random = np.random.default_rng(nside)
    map = random.standard_normal(12 * nside**2)
    weights = random.choice([0.0, 0.3, 1.0], size=map.size, p=[0.3, 0.2, 0.5])
    thresholds = np.array([0.4, -1.0, 0.0, map[3], 5.0, -5.0])
    for footprint in (None, weights):
        found = minkowski_functionals(map, thresholds, footprint)
        expected = [counted(map, threshold, footprint) for threshold in thresholds]
        np.testing.assert_allclose(np.array(found).T, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nside", [1, 2, 4, 16, 64])
def test_the_sphere_has_two_and_nothing_has_none(nside):
    map = np.random.default_rng(0).standard_normal(12 * nside**2)
    found = minkowski_functionals(map, np.array([map.min() - 1, map.max()]))
    np.testing.assert_array_equal(found.area, [1.0, 0.0])
    np.testing.assert_array_equal(found.boundary, [0.0, 0.0])
    np.testing.assert_array_equal(found.euler, [2.0, 0.0])


@pytest.mark.parametrize("nside", [4, 8, 32])
def test_half_a_sphere_is_a_disk_whichever_half(nside):
    for direction in ([0, 0, 1], [0, 0, -1], [1, 0, 0], [0.3, -0.5, 0.7], [-1, 1, 0.1]):
        assert euler(centres(nside) @ direction > 0) == 1


@pytest.mark.parametrize("nside", [8, 16, 64])
def test_a_band_between_two_latitudes_has_none(nside):
    z = centres(nside)[:, 2]
    for low, high in [(-0.3, 0.4), (0.2, 0.9), (-0.95, -0.5)]:
        assert euler((z > low) & (z < high)) == 0
        # What is left are two disks.
        assert euler((z <= low) | (z >= high)) == 2


# Around the poles, a vertex of three pixels and other points, all 48 degrees apart or more.
CAPS = healpy.ang2vec(
    [0.0, np.pi, np.arccos(2 / 3), np.pi / 2, 1.6, 1.9], [0.0, 0.0, np.pi / 2, 0.0, 3.1, 4.7]
)


@pytest.mark.parametrize("nside", [16, 32, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_caps_count_one_each_and_holes_take_one_each(nside, count):
    inside = (centres(nside) @ CAPS[:count].T > np.cos(np.radians(18))).any(axis=1)
    assert euler(inside) == count
    assert euler(~inside) == 2 - count


def test_pixels_that_touch_in_a_vertex_are_half_connected():
    pixel, north = 100, healpy.get_all_neighbours(8, 100, nest=True)[3]
    inside = np.zeros(12 * 8**2)
    inside[[pixel, north]] = 1.0
    assert euler(inside) == 1.5
    inside[[north, 400]] = 0.0, 1.0
    assert euler(inside) == 2


@pytest.mark.parametrize("nside", [1, 2, 8, 32])
def test_a_set_and_what_is_left_of_the_sphere_have_two_together(nside):
    map = np.random.default_rng(nside).standard_normal(12 * nside**2)
    above, below = minkowski_functionals(map, LEVELS), minkowski_functionals(-map, -LEVELS)
    np.testing.assert_array_equal(above.euler + below.euler, 2.0)


def test_thresholds_may_come_in_any_order_and_values_on_them_are_not_above():
    map = np.round(np.random.default_rng(1).standard_normal(12 * 16**2), 1)
    ordered = minkowski_functionals(map, LEVELS)
    order = np.random.default_rng(2).permutation(len(LEVELS))
    for found, whole in zip(minkowski_functionals(map, LEVELS[order]), ordered, strict=True):
        np.testing.assert_array_equal(found, whole[order])
    np.testing.assert_allclose(ordered.area, [np.mean(map > level) for level in LEVELS], rtol=1e-12)
    same = minkowski_functionals(map, np.array([0.5, 0.5]))
    assert all(first == second for first, second in same)


def test_what_lies_outside_the_footprint_does_not_count():
    nside = 16
    z = centres(nside)[:, 2]
    map = np.random.default_rng(3).standard_normal(z.size)
    footprint = np.where(z > 0.2, 1.0, 0.0)
    found = minkowski_functionals(map, LEVELS, footprint)
    changed = minkowski_functionals(np.where(footprint > 0, map, 1e3), LEVELS, footprint)
    for first, second in zip(found, changed, strict=True):
        np.testing.assert_array_equal(first, second)
    everything = minkowski_functionals(map, LEVELS, np.full(z.size, 0.4))
    for first, second in zip(everything, minkowski_functionals(map, LEVELS), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12)
    # The footprint itself is a disk without a boundary inside.
    whole = minkowski_functionals(map, np.array([-10.0]), footprint)
    assert np.array(whole).ravel().tolist() == [1.0, 0.0, 1.0]


def test_without_an_edge_inside_the_footprint_there_is_no_boundary():
    footprint = np.zeros(48)
    footprint[5] = 1.0
    found = minkowski_functionals(np.ones(48), np.array([0.0]), footprint)
    assert found.area == 1.0
    assert np.isnan(found.boundary)
    assert found.euler == 1.0


def within_three_standard_errors(samples, expected):
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return np.abs(samples.mean(axis=0) - expected) <= 3 * error


def test_independent_pixels_have_the_functionals_of_probability():
    nside = 32
    random = np.random.default_rng(0)
    maps = random.standard_normal((50, 12 * nside**2))
    found = np.array([minkowski_functionals(map, LEVELS) for map in maps])
    above, below = norm.sf(LEVELS), norm.cdf(LEVELS)
    pixels = 12 * nside**2

    def alternating(of_so_many):
        edges, fours, threes = -2 * pixels, pixels - 6, 8
        return edges * of_so_many(2) + fours * of_so_many(4) + threes * of_so_many(3)

    closed, opened = alternating(lambda n: 1 - below**n), alternating(lambda n: above**n)
    expected = np.stack([above, 2 * above * below, pixels * above + (closed + opened) / 2])
    assert within_three_standard_errors(found, expected).all()


def one_above(correlation, level):
    """Probability that just one of two normal variables with a correlation is above a level.

    The derivative of the probability that both are above is the density
    exp(-level^2 / (1 + r)) / (2 pi sqrt(1 - r^2)); r = cos(angle) makes it smooth.
    """
    points, weights = np.polynomial.legendre.leggauss(20)
    angle = np.arccos(correlation)[..., None] * (points + 1) / 2
    integral = np.exp(-(level**2) / (1 + np.cos(angle))) @ weights
    return integral * np.arccos(correlation) / 2 / np.pi


def test_the_probability_of_an_edge_is_that_of_scipy():
    for r in (0.1, 0.7, 0.99):
        both = multivariate_normal(cov=np.array([[1, r], [r, 1]]))
        for level in (-1.5, 0.0, 2.0):
            expected = 2 * (norm.cdf(level) - both.cdf([level, level]))
            assert one_above(np.array(r), level) == pytest.approx(expected, abs=1e-6)


def test_smooth_gaussian_maps_have_the_functionals_of_theory():
    nside, count = 32, 50
    # White noise under a beam of 10 pixels: pixels change V2 by less than 1 % of its maximum.
    beam = 10 * np.sqrt(np.pi / 3) / nside / np.sqrt(8 * np.log(2))
    multipole = np.arange(48)
    spectrum = np.exp(-multipole * (multipole + 1) * beam**2)
    spectrum[0] = 0.0
    weight = (2 * multipole + 1) * spectrum
    spectrum *= 4 * np.pi / weight.sum()
    slope = np.sum(weight * multipole * (multipole + 1)) / (2 * weight.sum())

    edges = pixel_complex(nside).edges
    cosine = np.sum(centres(nside)[edges[:, 0]] * centres(nside)[edges[:, 1]], axis=1)
    # Pixels of one ring and those of another share their angles, so there are few.
    cosine, number = np.unique(np.round(cosine, 12), return_counts=True)
    correlation = np.polynomial.legendre.legval(cosine, weight) / weight.sum()
    above = norm.sf(LEVELS)
    boundary = [np.average(one_above(correlation, level), weights=number) for level in LEVELS]
    euler = 2 * above + 4 * np.pi * slope / (2 * np.pi) ** 1.5 * LEVELS * np.exp(-(LEVELS**2) / 2)

    random = np.random.default_rng(0)
    degree, order = healpy.Alm.getlm(47)
    found = []
    for _ in range(count):
        real, imaginary = random.standard_normal((2, degree.size))
        drawn = np.where(order == 0, real, (real + 1j * imaginary) / np.sqrt(2))
        ring = healpy.alm2map(drawn * np.sqrt(spectrum[degree]), nside, lmax=47)
        found.append(minkowski_functionals(healpy.reorder(ring, r2n=True), LEVELS))
    expected = np.stack([above, np.array(boundary), euler])
    assert within_three_standard_errors(np.array(found), expected).all()
