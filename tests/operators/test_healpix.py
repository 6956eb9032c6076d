import healpy
import numpy as np
import pytest

from jaxscat.operators import healpix
from jaxscat.operators.wavelet import gauge_angle, stencil_offsets

NSIDES = [1, 2, 4, 8]


def all_pixels(nside):
    return np.arange(12 * nside**2)


def unit_vectors(theta, phi):
    sine = np.sin(theta)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)], -1)


@pytest.mark.parametrize("nside", [*NSIDES, 1024])
def test_resolution_is_that_of_healpy(nside):
    assert healpix.resolution(nside) == pytest.approx(healpy.nside2resol(nside), rel=1e-15)


@pytest.mark.parametrize("nside", NSIDES)
def test_stencil_lies_around_the_pixel_at_its_distances(nside):
    pixels = all_pixels(nside)
    points = unit_vectors(*healpix.stencil_points(nside, pixels, 1, 4, 3))
    centres = np.stack(healpy.pix2vec(nside, pixels, nest=True), -1)[:, None]
    distance = np.arctan2(
        np.linalg.norm(np.cross(points, centres), axis=-1), (points * centres).sum(-1)
    )
    expected = healpy.nside2resol(nside) * np.hypot(*stencil_offsets(3))
    assert np.abs(distance - expected).max() < 1e-14


@pytest.mark.parametrize("nside", NSIDES)
@pytest.mark.parametrize("orientation", [0, 2])
def test_stencil_lies_along_the_wave_and_across_it(nside, orientation):
    pixels = all_pixels(nside)
    points = unit_vectors(*healpix.stencil_points(nside, pixels, orientation, 3, 3))
    theta, phi = healpy.pix2ang(nside, pixels, nest=True)
    angle = gauge_angle(theta, phi, orientation, 3)[:, None]
    south = unit_vectors(theta + np.pi / 2, phi)
    east = unit_vectors(np.full_like(phi, np.pi / 2), phi + np.pi / 2)
    wave = np.cos(angle) * south + np.sin(angle) * east
    front = np.cos(angle) * east - np.sin(angle) * south
    along, across = stencil_offsets(3)
    step = np.hypot(along, across)
    reach = np.sin(healpy.nside2resol(nside) * step) / np.where(step == 0, 1, step)
    assert np.abs(np.einsum("psx,px->ps", points, wave) - reach * along).max() < 1e-14
    assert np.abs(np.einsum("psx,px->ps", points, front) - reach * across).max() < 1e-14


def test_longitudes_are_those_of_one_turn():
    _, phi = healpix.stencil_points(4, all_pixels(4), 3, 4, 3)
    assert phi.min() >= 0 and phi.max() <= 2 * np.pi


def test_single_precision_points_are_rounded_and_near_the_others():
    exact = healpix.stencil_points(8, all_pixels(8), 1, 4, 3)
    rounded = healpix.stencil_points(8, all_pixels(8), 1, 4, 3, single_precision=True)
    for angle in rounded:
        assert angle.dtype == np.float64
        assert np.array_equal(angle, angle.astype(np.float32))
    assert not np.array_equal(exact[0], exact[0].astype(np.float32))
    away = np.linalg.norm(unit_vectors(*exact) - unit_vectors(*rounded), axis=-1)
    # Longitudes near 2 pi are rounded by 2 eps, twice; the arc cosine loses digits at the poles.
    assert 0 < (away * np.sin(exact[0])).max() < 8 * np.finfo(np.float32).eps


@pytest.mark.parametrize("nside", NSIDES)
def test_interpolation_is_that_of_healpy(nside):
    generator = np.random.default_rng(nside)
    theta = np.arccos(generator.uniform(-1, 1, (50, 3)))
    phi = generator.uniform(0, 2 * np.pi, (50, 3))
    values = generator.standard_normal(12 * nside**2)
    pixels, weights = healpix.interpolation(nside, theta, phi)
    assert pixels.shape == weights.shape == (4, 50, 3)
    np.testing.assert_allclose(weights.sum(0), 1, rtol=0, atol=1e-15)
    expected = healpy.get_interp_val(values, theta, phi, nest=True)
    np.testing.assert_allclose((weights * values[pixels]).sum(0), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("nside", NSIDES)
def test_interpolation_at_a_centre_reads_that_pixel_only(nside):
    pixels = all_pixels(nside)
    seen, weights = healpix.interpolation(nside, *healpy.pix2ang(nside, pixels, nest=True))
    assert np.array_equal((weights != 0).sum(0), np.ones_like(pixels))
    assert np.array_equal((weights * seen).sum(0), pixels)


@pytest.mark.parametrize("away", [1e-10, 1e-8])
def test_weights_of_a_point_near_a_centre_are_kept(away):
    theta, phi = healpy.pix2ang(8, all_pixels(8), nest=True)
    _, weights = healpix.interpolation(8, theta, phi + away)
    assert np.array_equal((weights != 0).sum(0), np.full(768, 2))


def test_single_precision_weights_are_rounded_before_they_are_normalised():
    generator = np.random.default_rng(0)
    theta, phi = np.arccos(generator.uniform(-1, 1, 50)), generator.uniform(0, 6, 50)
    _, weights = healpix.interpolation(8, theta, phi, single_precision=True)
    _, raw = healpy.get_interp_weights(8, theta, phi, nest=True)
    raw = raw.astype(np.float32).astype(float)
    np.testing.assert_allclose(weights, raw / raw.sum(0), rtol=0, atol=1e-16)
    assert np.abs(weights.sum(0) - 1).max() < 1e-15


@pytest.mark.parametrize("nside", NSIDES)
def test_missing_neighbour_repeats_the_entry_before_it(nside):
    pixels = all_pixels(nside)
    table = healpix.parents_with_neighbours(nside, pixels)
    missing = 0
    for pixel in pixels:
        expected = [pixel]
        for neighbour in healpy.get_all_neighbours(nside, int(pixel), nest=True):
            missing += neighbour < 0
            expected.append(expected[-1] if neighbour < 0 else neighbour)
        assert table[pixel].tolist() == expected
    # Three pixels meet at each of the 8 corners of the base faces that touch only three faces.
    assert missing == 24


def test_neighbours_of_some_pixels_are_those_of_all():
    some = np.array([5, 100, 7])
    whole = healpix.parents_with_neighbours(4, all_pixels(4))
    assert np.array_equal(healpix.parents_with_neighbours(4, some), whole[some])


def test_angular_distance_is_that_of_healpy():
    coarse, fine = np.arange(48)[:, None], np.arange(192)
    angle = healpix.angular_distance(2, coarse, 4, fine)
    assert angle.shape == (48, 192)
    to = np.stack(healpy.pix2ang(4, fine, nest=True))
    for pixel in range(48):
        expected = healpy.rotator.angdist(np.array(healpy.pix2ang(2, pixel, nest=True)), to)
        np.testing.assert_allclose(angle[pixel], expected, rtol=0, atol=1e-14)


def test_small_angles_keep_their_digits():
    nside = 1 << 20
    pixel = 5 * nside**2  # the southern corner of an equatorial face, whose children lie regularly
    children = 4 * pixel + np.arange(4)
    angle = healpix.angular_distance(nside, np.full(4, pixel), 2 * nside, children)
    # Opposite children lie equally far: the arc cosine of the scalar product would not see it.
    assert angle.min() > 0.2 * healpy.nside2resol(nside)
    np.testing.assert_allclose(angle, angle[::-1], rtol=1e-6)
