import warnings

import healpy
import numpy as np
import pytest

from jaxscat.harmonics.spectra import angular_power_spectrum
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


def panels(figure):
    """The three lower panels by their titles, and the legend."""
    (legend,) = [legend for part in figure.subfigs for legend in part.legends]
    axes = {axis.get_title(): axis for part in figure.subfigs for axis in part.axes}
    return axes, {text.get_text() for text in legend.get_texts()}


def test_several_seeds_have_bands_medians_and_a_line_per_loss(tmp_path, maps):
    rng = np.random.default_rng(1)
    scales = np.array([1.0, 3.0, 2.0, 8.0])
    ensemble = [scale * maps["synthesized"] for scale in scales]
    losses = [np.geomspace(100.0, 2.0 + last, 20 + last) for last in range(4)]
    footprint = rng.random(NPIX)
    options = {"footprint": footprint, "ensemble": ensemble, "ensemble_losses": losses}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_summary(**maps, losses=losses[0], **options)
        figure.savefig(tmp_path / "summary.png")
    axes, labels = panels(figure)
    name = "synthesized: median and 16 to 84 % of 4 seeds"
    assert labels == {"original", "start", "Gaussian control", name}
    spectra = axes["angular power spectrum"]
    lines = {line.get_label(): line.get_ydata() for line in spectra.lines}
    # Spectra go as the square of the scale: the percentiles of 1, 4, 9 and 64.
    one = angular_power_spectrum(maps["synthesized"], footprint)[1:]
    multipole = np.arange(1, 3 * NSIDE)
    unit = multipole * (multipole + 1) * one / (2 * np.pi)
    np.testing.assert_allclose(lines[name], 6.5 * unit)
    (band,) = spectra.collections
    (path,) = band.get_paths()
    at_first = path.vertices[path.vertices[:, 0] == 1.0, 1]
    low, high = 1.0 + 0.48 * 3.0, 9.0 + 0.52 * 55.0
    assert (at_first.min(), at_first.max()) == pytest.approx((low * unit[0], high * unit[0]))
    histories = axes["loss at the end: 2 to 5"].lines
    for line, loss in zip(histories, losses, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), loss)


def test_histograms_of_several_seeds_are_percentiles_bin_by_bin(maps):
    rng = np.random.default_rng(2)
    ensemble = [rng.standard_normal(NPIX) for _ in range(5)]
    options = {"ensemble": ensemble, "ensemble_losses": [[1.0]] * 5}
    axes, _ = panels(plot_summary(**maps, losses=[1.0], **options))
    patches = axes["pixel values"].patches
    filled = [patch for patch in patches if patch.get_fill()]
    (label,) = [patch.get_label() for patch in patches if "median" in str(patch.get_label())]
    (middle,) = [patch for patch in patches if patch.get_label() == label]
    (band,) = filled
    high, edges, low = band.get_data()
    densities = [np.histogram(map, edges, density=True)[0] for map in ensemble]
    expected = np.percentile(densities, [16, 50, 84], axis=0)
    np.testing.assert_allclose([low, middle.get_data().values, high], expected)
    assert edges[0] <= min(map.min() for map in ensemble)
    assert edges[-1] >= max(map.max() for map in ensemble)


def test_one_seed_has_no_band(maps):
    axes, labels = panels(plot_summary(**maps, losses=[3.0, 1.0]))
    assert "synthesized" in labels
    assert not axes["angular power spectrum"].collections
    assert not any(patch.get_fill() for patch in axes["pixel values"].patches)
    assert "loss: 3 at the start, 1 at the end" in axes
