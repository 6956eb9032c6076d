import warnings
from itertools import pairwise

import matplotlib.image
import numpy as np
import pytest

from jaxscat.plotting.agreement import plot_agreement
from jaxscat.plotting.reconstruction import (
    plot_reconstruction,
    save_agreement,
    save_reconstruction,
)
from jaxscat.plotting.recovery_panels import styles_of
from jaxscat.plotting.sky_row import difference_scale, value_scale
from jaxscat.reconstruction.result import Reconstruction
from jaxscat.validation.agreement import agreement
from jaxscat.validation.recovery import assess

NSIDE = 8
NPIX = 12 * NSIDE**2


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(NSIDE)


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(3).gamma(2.0, size=NPIX)


def result_of(truth, *, seeds=None, names=("wiener", "square-root wiener"), data=True, **given):
    rng = np.random.default_rng(0)
    count = 1 if seeds is None else len(seeds)
    maps = truth + 0.2 * rng.normal(size=(count, NPIX))
    baselines = {name: 0.5 * truth + 0.5 for name in names}
    if data:
        baselines = {"data": truth + rng.normal(size=NPIX), **baselines}
    several = {
        "map": maps,
        "status": ("converged",) * count,
        "chi2": {"scattering": np.tile([80.0, 5.0, 0.9], (count, 1))},
        "evaluations": np.full(count, 40),
    }
    if seeds is None:
        single = {"map": maps[0], "status": "converged", "evaluations": 40}
        several |= {**single, "chi2": {"scattering": several["chi2"]["scattering"][0]}}
    return Reconstruction(**several, baselines=baselines, seeds=seeds, **given)


def recovery_of(result, pyramid, truth=None, inside=None, **given):
    maps = dict(result.baselines)
    if result.seeds is None:
        maps["reconstruction"] = result.map
    seeds = None if result.seeds is None else result.map
    return assess(maps, pyramid, truth=truth, inside=inside, seeds=seeds, **given)


def titled(figure):
    """The panels of a figure by their titles."""
    return {axis.get_title(): axis for axis in figure.get_axes() if axis.get_title()}


def test_maps_stand_beside_the_truth_on_its_colours(truth, pyramid):
    result = result_of(truth)
    figure = plot_reconstruction(
        "denoise", result, recovery_of(result, pyramid, truth), truth=truth, unit="mK"
    )
    axes = titled(figure)
    for name in ("data", "reconstruction", "truth", "difference"):
        (image,) = axes[name].images
        low, high = np.percentile(truth, [0.5, 99.5])
        if name != "difference":
            assert image.get_clim() == pytest.approx((low, high))
        else:
            assert image.get_clim()[0] == -image.get_clim()[1]
    assert "denoising: converged" in figure.get_suptitle()
    for title in ("angular power spectrum", "correlation with the truth", "S4 over the truth's"):
        assert title in axes
    assert any("[mK]" in axis.get_xlabel() for axis in figure.get_axes())


def test_every_curve_panel_has_every_estimate_and_one_legend_names_them(truth, pyramid):
    result = result_of(truth, seeds=(3, 5), names=("wiener", "of my own $1"))
    recovery = recovery_of(result, pyramid, truth)
    figure = plot_reconstruction("denoise", result, recovery, truth=truth)
    axes = titled(figure)
    names = {"data", "wiener", "of my own $1", "reconstruction", "mean"}
    colours = {styles_of(recovery.names)[name]["color"] for name in names}
    for title in ("angular power spectrum", "correlation with the truth", "S1 over the truth's"):
        assert colours <= {line.get_color() for line in axes[title].lines}
    legends = [
        legend for part in figure.findobj(type(figure.subfigs[0])) for legend in part.legends
    ]
    (legend,) = legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[0] == "truth" and shown[1].startswith("reconstruction (average")
    assert "Wiener filter" in shown and r"of my own \$1" in shown
    assert "2 seeds: converged" in figure.get_suptitle()
    assert len(axes[r"$\chi^2$ after every renewal"].lines) == 3  # two seeds, and the level


def test_no_text_is_cut_off(truth, pyramid):
    result = result_of(truth, contaminant=truth[::-1])
    recovery = recovery_of(result, pyramid, truth)
    figure = plot_reconstruction("separate", result, recovery, truth=truth, unit="erg/s/cm2/sr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    parts = figure.findobj(type(figure.subfigs[0]))
    legends = [legend for part in parts for legend in part.legends]
    for shown in [*figure.get_axes(), *legends]:
        box = shown.get_tightbbox()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, shown
        assert box.y0 >= 0 and box.y1 <= figure.bbox.y1, shown
    skies = figure.get_axes()[:5]
    assert [axis.get_title() for axis in skies][-2:] == ["difference", "contaminant"]
    for left, right in pairwise([axis.title.get_window_extent() for axis in skies]):
        assert left.x1 < right.x0
    bars = [axis for axis in figure.get_axes() if "erg/s" in axis.get_xlabel()][:3]
    for left, right in pairwise([axis.xaxis.label.get_window_extent() for axis in bars]):
        assert left.x1 < right.x0


def test_gaps_are_grey_in_the_data_and_outlined_elsewhere(truth, pyramid):
    gaps = np.zeros(NPIX, bool)
    gaps[:200] = True
    names = ("diffusive", "gaussian mean", "gaussian realization")
    result = result_of(truth, names=names, data=False)
    recovery = recovery_of(result, pyramid, truth, gaps)
    figure = plot_reconstruction("inpaint", result, recovery, truth=truth, inside=gaps)
    axes = titled(figure)
    image = axes["data"].images[0].get_array()
    whole = axes["truth"].images[0].get_array()
    assert np.isnan(np.asarray(image, float)).sum() > np.isnan(np.asarray(whole, float)).sum()
    assert all(axes[name].collections for name in ("data", "reconstruction", "truth"))
    figure = plot_reconstruction(
        "inpaint", result, recovery_of(result, pyramid, inside=gaps), inside=gaps
    )
    axes = titled(figure)
    assert "Gaussian realization" in axes and "Gaussian mean" in axes and "truth" not in axes
    assert "correlation with the truth" not in axes and "S1" in axes


def test_pixels_of_which_no_truth_is_known_are_blank(truth, pyramid):
    inside = np.ones(NPIX, bool)
    inside[:200] = False
    result = result_of(truth)
    recovery = recovery_of(result, pyramid, truth, inside, hidden="exclude")
    known = np.where(inside, truth, np.nan)
    figure = plot_reconstruction("denoise", result, recovery, truth=known, inside=inside)
    axes = titled(figure)
    blank = {
        name: np.isnan(np.asarray(axes[name].images[0].get_array(), float)).sum()
        for name in ("data", "truth", "difference", "reconstruction")
    }
    assert blank["truth"] == blank["difference"] == blank["data"] > blank["reconstruction"]


def test_without_a_truth_the_residual_is_what_is_left_of_the_data(truth, pyramid):
    inside = np.ones(NPIX, bool)
    inside[:100] = False
    result = result_of(truth)
    spectrum = np.ones(3 * NSIDE)
    recovery = recovery_of(result, pyramid, inside=inside, spectrum=spectrum, hidden="exclude")
    axes = titled(plot_reconstruction("denoise", result, recovery, inside=inside))
    assert {"data", "reconstruction", "Wiener filter", "residual"} <= set(axes)


def test_a_result_without_a_value_is_drawn(truth, pyramid):
    result = result_of(truth)
    none = Reconstruction(
        map=np.full(NPIX, 2.0),
        status="no signal",
        chi2={"scattering": np.array([np.nan])},
        evaluations=0,
        baselines=result.baselines,
    )
    with np.errstate(all="ignore"):
        recovery = recovery_of(none, pyramid, truth)
    figure = plot_reconstruction("denoise", none, recovery, truth=truth)
    figure.draw_without_rendering()
    axes = titled(figure)
    assert not axes[r"$\chi^2$ after every renewal"].axison
    titled(plot_reconstruction("denoise", none, recovery_of(none, pyramid)))


def test_the_agreement_shows_mean_spread_and_correlations(truth):
    maps = truth + 0.3 * np.random.default_rng(1).normal(size=(3, NPIX))
    found = agreement(maps, truth=truth)
    axes = titled(plot_agreement(maps, found, truth=truth))
    assert {"one solution", "mean of 3", "truth", "spread"} <= set(axes)
    panel = axes["structures are known where solutions agree"]
    heights = {line.get_label(): line.get_ydata() for line in panel.lines}
    assert heights["two solutions"] == pytest.approx([row["pairs"] for row in found["bins"]])
    single = heights["a solution and the truth"]
    assert single == pytest.approx([row["single"] for row in found["bins"]])
    bars = [patch.get_width() for patch in axes["how much maps vary"].patches]
    assert bars[1:3] == pytest.approx([found["spread"], found["residual_single"]])
    alone = titled(plot_agreement(maps, agreement(maps)))
    assert "truth" not in alone and len(alone["how much maps vary"].patches) == 2


def test_figures_are_written(truth, pyramid, tmp_path):
    result = result_of(truth, seeds=(0, 1))
    recovery = recovery_of(result, pyramid, truth)
    save_reconstruction(tmp_path / "summary.png", "denoise", result, recovery, truth=truth)
    found = agreement(result.map)
    save_agreement(tmp_path / "agreement.png", result.map, found)
    for name in ("summary.png", "agreement.png"):
        assert matplotlib.image.imread(tmp_path / name).shape[1] == 1800


def test_scales_leave_gaps_out():
    map = np.array([np.nan, *np.linspace(0.0, 1.0, 11)])
    scale = value_scale(map, "mK")
    assert (scale.low, scale.high) == pytest.approx((0.005, 0.995))
    scale = difference_scale(np.array([np.nan, 0.0, -2.0, 1.0]), "mK")
    assert scale.low == -scale.high == pytest.approx(-2, abs=0.01)
    assert difference_scale(np.zeros(3), "mK").high == 1


def test_an_estimate_has_one_style_in_whatever_order_names_come():
    names = ["truth", "wiener, true spectra", "square-root wiener, true spectra", "other", "one"]
    styles = styles_of(names)
    assert styles == styles_of(names[::-1])
    assert len({styles[name]["color"] for name in names}) == len(names)
