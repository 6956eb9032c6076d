"""Segments of polarization, against patterns whose directions are known on the sphere."""

import healpy
import numpy as np
import pytest

from jaxscat.plotting.maps import mollweide_image
from jaxscat.plotting.segments import patch_segments, sky_segments
from jaxscat.plotting.zoom import Patch, gnomonic_image

NSIDE = 32
NPIX = 12 * NSIDE**2
PLACES = [(0.0, 0.0), (123.4, -37.0), (300.0, 60.0), (10.0, 90.0), (200.0, -90.0), (77.0, 84.0)]


def vectors_and_frames():
    """Points, and the directions to the south and east of healpy's angles, by differences."""
    theta, phi = healpy.pix2ang(NSIDE, np.arange(NPIX), nest=True)
    step = 1e-6
    south = (healpy.ang2vec(theta + step, phi) - healpy.ang2vec(theta - step, phi)) / (2 * step)
    east = healpy.ang2vec(theta, phi + step) - healpy.ang2vec(theta, phi - step)
    return healpy.ang2vec(theta, phi), south, east / np.linalg.norm(east, axis=1, keepdims=True)


def towards(lon, lat, turned=0.0):
    """Q and U of a polarization along great circles to a point, or turned from south to east."""
    points, south, east = vectors_and_frames()
    middle = healpy.ang2vec(lon, lat, lonlat=True)
    way = middle - (points @ middle)[:, None] * points
    angle = np.arctan2(np.sum(way * east, axis=1), np.sum(way * south, axis=1)) + turned
    return np.cos(2 * angle), np.sin(2 * angle)


def cross(first, second):
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def outwards(segments):
    """Unit vectors from the middle of a patch, and which points are away from it."""
    distance = np.linalg.norm(segments.places, axis=1)
    away = distance > 0.25
    return segments.places[away] / distance[away, None], segments.directions[away]


@pytest.mark.parametrize(("lon", "lat"), PLACES)
@pytest.mark.parametrize("turned", [0.0, 90.0, 45.0])
def test_great_circles_to_the_middle_of_a_patch_are_straight(lon, lat, turned):
    """Gnomonic pictures show great circles as straight lines, whatever the meridians do."""
    q, u = towards(lon, lat, np.radians(turned))
    segments = patch_segments(q, u, Patch(lon, lat, 40.0))
    assert segments.places.shape == (225, 2)
    radial, drawn = outwards(segments)
    dot = np.sum(radial * drawn, axis=1)
    if turned == 0:
        np.testing.assert_allclose(np.abs(dot), 1.0, atol=0.01)
    elif turned == 90:  # but for the projection, which stretches along the radius
        np.testing.assert_allclose(dot, 0.0, atol=0.05)
    else:
        # In pictures as seen from inside, turning from south to east is clockwise (down to left).
        np.testing.assert_array_less(dot * cross(radial, drawn), -0.4)


@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_a_hot_spot_of_e_has_rings_and_a_cold_one_has_rays(lon, lat):
    """In the convention of healpy, and for B lines turned by 45 degrees."""
    band = 2 * NSIDE
    middle = healpy.ang2vec(lon, lat, lonlat=True)
    points = np.stack(healpy.pix2vec(NSIDE, np.arange(NPIX)), axis=1)
    spot = np.exp(-0.5 * np.arccos(np.clip(points @ middle, -1, 1)) ** 2 / np.radians(8.0) ** 2)
    harmonics = healpy.map2alm(spot, lmax=band)
    nothing = np.zeros_like(harmonics)
    for e, b in [(1, 0), (-1, 0), (0, 1), (0, -1)]:
        alm = np.stack([nothing, e * harmonics, b * harmonics])
        _, q, u = healpy.reorder(healpy.alm2map(alm, NSIDE, lmax=band), r2n=True)
        segments = patch_segments(q, u, Patch(lon, lat, 40.0))
        radial, drawn = outwards(segments)
        dot = np.sum(radial * drawn, axis=1)
        if e:
            np.testing.assert_allclose(np.abs(dot), float(e < 0), atol=0.12)
        else:
            turned = dot * cross(radial, drawn)
            np.testing.assert_allclose(turned, 0.5 * b, atol=0.1)


def test_q_lies_along_meridians_and_parallels_of_the_sky():
    one, none = np.ones(NPIX), np.zeros(NPIX)
    along = sky_segments(one, none, across=60)
    x, y = along.places.T
    assert len(x) > 1200 and ((x / 2) ** 2 + y**2 < 1).all()
    auxiliary = np.arcsin(y)
    # Meridians of the picture are ellipses x = k cos(a), y = sin(a).
    meridian = np.stack([-x * np.tan(auxiliary), np.cos(auxiliary)], axis=1)
    meridian /= np.linalg.norm(meridian, axis=1, keepdims=True)
    low = np.abs(y) < 0.9  # near the poles meridians turn within the pixels that are averaged
    np.testing.assert_allclose(cross(along.directions, meridian)[low], 0.0, atol=0.03)
    parallel = sky_segments(-one, none, across=60)
    np.testing.assert_allclose(parallel.directions[low, 1], 0.0, atol=0.03)


def test_the_angle_grows_from_south_through_east():
    none = np.zeros(NPIX)
    for u in (1.0, -1.0):
        segments = sky_segments(none, none + u)
        middle = np.argmin(np.linalg.norm(segments.places, axis=1))
        x, y = segments.directions[middle]
        # Down to the left for U > 0; a degree of longitude is 8 / pi^2 of one of latitude there.
        assert x / y == pytest.approx(u * 8 / np.pi**2, rel=0.02)
        patch = patch_segments(none, none + u, Patch(30.0, 0.0, 20.0), across=5)
        x, y = patch.directions[12]
        assert patch.places[12] == pytest.approx([0, 0], abs=1e-12)
        assert x / y == pytest.approx(u, rel=1e-6)


def test_places_are_those_of_the_pictures():
    """Strengths are largest where the pictures of the map are brightest."""
    points = healpy.pix2vec(NSIDE, np.arange(NPIX), nest=True)
    middle = healpy.ang2vec(70.0, 35.0, lonlat=True)
    q = np.exp(5.0 * (np.stack(points, axis=1) @ middle))
    u = 0.5 * q
    strength = np.hypot(q, u)
    for segments, image, across in [
        (sky_segments(q, u), mollweide_image(strength, width=400), 4.0),
        (
            patch_segments(q, u, Patch(60.0, 30.0, 50.0)),
            gnomonic_image(strength, 60.0, 30.0, size_degrees=50.0, pixels=400),
            2.0,
        ),
    ]:
        height, width = image.shape
        column = ((segments.places[:, 0] / across + 0.5) * width).astype(int)
        row = ((0.5 - segments.places[:, 1] / (across * height / width)) * height).astype(int)
        low = np.abs(segments.places[:, 1]) < 0.85  # as above
        expected = image[row, column]
        np.testing.assert_allclose(segments.strengths[low], expected[low], rtol=0.25)


def test_lengths_are_proportional_up_to_the_longest():
    rng = np.random.default_rng(0)
    segments = patch_segments(*rng.standard_normal((2, NPIX)), Patch(0.0, 0.0, 60.0))
    longest = float(np.median(segments.strengths))
    first, second = np.moveaxis(segments.lines(longest), 1, 0)
    np.testing.assert_allclose((first + second) / 2, segments.places, atol=1e-12)
    lengths = np.linalg.norm(second - first, axis=1)
    expected = 0.9 * segments.spacing * np.minimum(segments.strengths / longest, 1.0)
    np.testing.assert_allclose(lengths, expected, rtol=1e-12)
    assert segments.spacing == pytest.approx(2 / 15)
    assert (segments.lines(0.0)[:, 0] == segments.lines(0.0)[:, 1]).all()


def test_maps_are_averaged_to_the_spacing_and_stay_as_they_are():
    q, u = np.random.default_rng(1).standard_normal((2, NPIX))
    given = q.copy(), u.copy()
    assert sky_segments(q, u).degrees == pytest.approx(7.33, rel=1e-2)
    assert patch_segments(q, u, Patch(0, 0, 60.0)).degrees == pytest.approx(3.66, rel=1e-2)
    assert patch_segments(q, u, Patch(0, 0, 1.0)).degrees == pytest.approx(1.83, rel=1e-2)
    np.testing.assert_array_equal((q, u), given)
    still = sky_segments(np.zeros(NPIX), np.zeros(NPIX))
    assert np.isfinite(still.directions).all() and (still.strengths == 0).all()


def test_pixels_without_data_have_no_segments_and_do_not_change_the_others():
    """Nor do averages beside them become weaker."""
    points, south, east = vectors_and_frames()
    axis = healpy.ang2vec(0.3, 2.0)
    south /= np.linalg.norm(south, axis=1, keepdims=True)
    along, across = south @ axis, east @ axis
    q, u = along**2 - across**2, 2 * along * across  # smooth everywhere, poles included
    hidden = 1.0 * (np.abs(points @ healpy.ang2vec(0.5, 0.5)) < 0.4)
    given = [np.where(hidden, np.nan, one) for one in (q, u)]
    patch = Patch(30.0, 5.0, 50.0)
    for whole, found, image, extent in [
        (sky_segments(q, u), sky_segments(*given), mollweide_image(hidden, width=1600), 4.0),
        (
            patch_segments(q, u, patch),
            patch_segments(*given, patch),
            gnomonic_image(hidden, 30.0, 5.0, size_degrees=50.0, pixels=1600),
            2.0,
        ),
    ]:
        height, width = image.shape
        column = ((whole.places[:, 0] / extent + 0.5) * width).astype(int)
        row = ((0.5 - whole.places[:, 1] / (extent * height / width)) * height).astype(int)
        kept = np.isin(whole.places @ [1, 1j], found.places @ [1, 1j])
        assert 0.2 < kept.mean() < 0.9 and kept.sum() == len(found.places)
        # The picture is sampled: a point on a border may fall to either side.
        assert np.count_nonzero(kept != (image[row, column] == 0)) <= 1
        expected = whole.strengths[kept]
        np.testing.assert_allclose(found.strengths, expected, atol=0.06)
        dot = np.abs(np.sum(whole.directions[kept] * found.directions, axis=1))
        np.testing.assert_allclose(dot[expected > 0.2], 1.0, atol=0.02)
    none = sky_segments(given[0] * np.nan, given[1])
    assert none.lines(1.0).shape == (0, 2, 2)
