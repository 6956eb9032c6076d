import warnings

import healpy
import numpy as np
import pytest

from jaxscat.plotting import mollweide_image, plot_summary

NSIDE = 8
NPIX = 12 * NSIDE**2


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(NPIX) for name in ("original", "start", "synthesized", "gaussian")
    }


def test_mollweide_shows_each_direction_where_it_belongs():
    longitude, latitude = healpy.pix2ang(NSIDE, np.arange(NPIX), nest=True, lonlat=True)
    width = 400
    shown_latitude = mollweide_image(latitude, width=width)
    shown_longitude = mollweide_image(longitude, width=width)
    middle, rows = width // 4, width // 2
    assert shown_latitude.shape == (rows, width)
    assert shown_latitude[0, width // 2] > 75 and shown_latitude[-1, width // 2] < -75
    assert abs(shown_latitude[middle, 30:-30]).max() < 8
    # longitude 0 in the middle, growing to the left
    assert shown_longitude[middle, width // 4] == pytest.approx(90, abs=8)
    assert shown_longitude[middle, 3 * width // 4] == pytest.approx(270, abs=8)
    corners = shown_latitude[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.isnan(corners).all()


def test_mollweide_keeps_areas():
    z = healpy.pix2vec(64, np.arange(12 * 64**2), nest=True)[2]
    image = mollweide_image((z > 0.5).astype(float), width=600)
    assert np.nanmean(image) == pytest.approx(0.25, abs=0.003)


def test_summary_is_drawn_without_a_warning_and_with_readable_labels(tmp_path, maps):
    losses = np.geomspace(100.0, 1.0, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_summary(**maps, losses=losses, title="a title", unit="mK")
        figure.savefig(tmp_path / "summary.png")
    assert (tmp_path / "summary.png").read_bytes().startswith(b"\x89PNG")
    axes = [axis for part in figure.subfigs for axis in part.axes]
    titles = [axis.get_title() for axis in axes]
    assert titles[:3] == ["original", "start", "synthesized"]
    images = [axis.images[0] for axis in axes[:3]]
    assert len({image.get_clim() for image in images}) == 1
    labels = " ".join(axis.get_xlabel() + axis.get_ylabel() for axis in axes)
    for word in ("multipole", "C_", "[mK]", "density", "iteration", "loss"):
        assert word in labels
    (legend,) = [legend for part in figure.subfigs for legend in part.legends]
    shown = {text.get_text() for text in legend.get_texts()}
    assert shown == {"original", "start", "synthesized", "Gaussian control"}


def test_summary_of_a_run_without_steps_and_of_a_loss_that_is_not_finite(tmp_path, maps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for losses in ([3.0], [3.0, 2.0, np.nan]):
            plot_summary(**maps, losses=losses).savefig(tmp_path / "summary.png")
