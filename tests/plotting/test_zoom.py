import warnings

import healpy
import numpy as np
import pytest
from healpy.projector import GnomonicProj
from matplotlib.figure import Figure

from jaxscat.plotting.zoom import Patch, draw_zooms, gnomonic_image, zoom_patch

NSIDE = 8
NPIX = 12 * NSIDE**2
PLACES = [(0.3, 0.2), (123.4, -37.0), (300.0, 60.0), (10.0, 90.0), (200.0, -90.0)]


@pytest.fixture
def map():
    return np.random.default_rng(0).standard_normal(NPIX)


@pytest.mark.parametrize(("lon", "lat"), PLACES)
@pytest.mark.parametrize("size", [5.0, 60.0, 150.0])
def test_it_is_the_picture_of_healpy(map, lon, lat, size):
    pixels = 51
    arcminutes = 60.0 * np.degrees(2.0 * np.tan(np.radians(size / 2.0)) / pixels)
    projection = GnomonicProj(rot=(lon, lat, 0.0), xsize=pixels, ysize=pixels, reso=arcminutes)
    expected = projection.projmap(map, lambda *at: healpy.vec2pix(NSIDE, *at, nest=True))
    image = gnomonic_image(map, lon, lat, size_degrees=size, pixels=pixels)
    # healpy has the south first; a middle on the edge of two pixels may fall to either.
    assert np.mean(image == expected[::-1]) > 0.99


@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_the_middle_is_the_pixel_there(map, lon, lat):
    image = gnomonic_image(map, lon, lat, size_degrees=1e-3, pixels=4)
    around = healpy.get_interp_weights(NSIDE, lon, lat, nest=True, lonlat=True)[0]
    assert set(image.ravel()) <= set(map[around])


def test_longitude_grows_to_the_left_and_latitude_upwards():
    longitude, latitude = healpy.pix2ang(64, np.arange(12 * 64**2), nest=True, lonlat=True)
    shown_longitude = gnomonic_image(longitude, 90.0, 20.0, size_degrees=40.0, pixels=101)
    shown_latitude = gnomonic_image(latitude, 90.0, 20.0, size_degrees=40.0, pixels=101)
    assert shown_longitude[50, 50] == pytest.approx(90.0, abs=1.0)
    assert shown_longitude[50, 0] > 105.0 and shown_longitude[50, -1] < 75.0
    assert shown_latitude[0, 50] == pytest.approx(40.0, abs=1.0)
    assert shown_latitude[-1, 50] == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize("size", [0.0, -1.0, 180.0, np.nan])
def test_a_size_that_is_no_patch_is_refused(map, size):
    with pytest.raises(ValueError, match="size_degrees: got .*, expected more than 0 and below"):
        gnomonic_image(map, 0.0, 0.0, size_degrees=size)


@pytest.mark.parametrize(("nside", "size"), [(1, 60.0), (32, 60.0), (256, 13.74), (1024, 3.435)])
def test_a_patch_is_sixty_pixels_or_sixty_degrees_across(nside, size):
    assert zoom_patch(nside) == (0.0, 0.0, pytest.approx(size, rel=1e-3))


def test_a_patch_is_where_the_footprint_has_weight():
    assert zoom_patch(NSIDE, np.ones(NPIX)) == zoom_patch(NSIDE)
    x, y, z = healpy.pix2vec(NSIDE, np.arange(NPIX), nest=True)
    around = np.array([np.cos(2.0) * 0.8, np.sin(2.0) * 0.8, -0.6])
    cap = (np.stack([x, y, z], axis=1) @ around > np.cos(np.radians(50.0))).astype(float)
    patch = zoom_patch(NSIDE, cap)
    middle = healpy.ang2vec(patch.lon, patch.lat, lonlat=True)
    assert np.degrees(np.arccos(middle @ around)) < 15.0


def test_maps_are_drawn_on_the_colours_of_the_first(map):
    maps = {"original": map, "other": 2.0 * map}
    footprint = (np.arange(NPIX) < NPIX // 2).astype(float)
    figure = Figure(layout="constrained")
    patch = Patch(45.0, 10.0, 50.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = figure.subplots(1, 2)
        draw_zooms(figure, axes, maps, patch=patch, footprint=footprint, unit="mK", bar={})
        figure.draw_without_rendering()
    limits = np.percentile(map[footprint > 0], [0.5, 99.5])
    for axis, (name, one) in zip(axes, maps.items(), strict=True):
        (image,) = axis.images
        expected = gnomonic_image(
            np.where(footprint > 0, one, np.nan), 45.0, 10.0, size_degrees=50.0, pixels=400
        )
        assert axis.get_title() == name and image.get_clim() == pytest.approx(limits)
        np.testing.assert_array_equal(image.get_array().filled(np.nan), expected)
    assert "50°" in figure.get_supxlabel() and "longitude 45°" in figure.get_supxlabel()
    assert figure.axes[-1].get_ylabel() == "mK"
