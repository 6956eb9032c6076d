import warnings

import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.plotting.saving import figure_png
from jaxscat.plotting.validation import plot_validation, validation_figures
from jaxscat.validation.curves import Curve
from jaxscat.validation.seeds import validate_seeds

NSIDE = 4
NPIX = 12 * NSIDE**2
PANELS = ["angular power spectrum", "power over", "correlation with", "pixel values"]
PANELS += ["V0", "V1", "V2", "peaks", "minima", "S1", "S2", "S3", "S4"]


def drawn(seeds=1, controls=2, footprint=None, starts="noise", losses=True):
    """Arguments of the figures of maps of noise."""
    rng = np.random.default_rng(0)
    original = np.exp(rng.standard_normal(NPIX))
    maps = {10 + 3 * number: np.exp(rng.standard_normal(NPIX)) for number in range(seeds)}
    begun = {
        "noise": {seed: rng.standard_normal(NPIX) for seed in maps},
        "constant": {seed: np.full(NPIX, 1.5) for seed in maps},
        "none": None,
    }[starts]
    validation = validate_seeds(
        original,
        maps,
        build_pyramid(NSIDE),
        start_of=None if begun is None else begun.__getitem__,
        mask=footprint,
        controls=controls,
    )
    histories = [np.geomspace(100.0, 1.0 + seed, 5 + seed) for seed in maps] if losses else []
    given = validation, original, maps, rng.standard_normal(NPIX), histories
    return given, {"footprint": footprint, "title": "a title", "unit": "mK"}


@pytest.fixture(scope="module")
def several():
    return drawn(seeds=3)


def axes_of(figure):
    return figure.axes  # those of its parts too


def panel(figure, title):
    return next(axis for axis in axes_of(figure) if axis.get_title().startswith(title))


def legend_of(figure):
    (legend,) = [legend for part in [figure, *figure.subfigs] for legend in part.legends]
    return [text.get_text() for text in legend.get_texts()]


def lines(axis, colour):
    return [line for line in axis.lines if line.get_color() == colour]


CASES = {
    "one": {},
    "several": {"seeds": 5},
    "no controls": {"controls": 0},
    "one control": {"controls": 1, "seeds": 2},
    "footprint": {"footprint": (np.arange(NPIX) < 100).astype(float)},
    "constant starts": {"starts": "constant", "seeds": 2},
    "neither starts nor losses": {"starts": "none", "losses": False},
}


@pytest.mark.parametrize("case", CASES)
def test_figures_are_drawn_without_a_warning(case):
    options = CASES[case]
    given, shown = drawn(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_validation(*given, **shown)
        figure.set_dpi(40)  # for the time
        assert figure_png(figure).startswith(b"\x89PNG")
        parts = validation_figures(*given, **shown)
    assert figure.get_suptitle() == "a title"
    titles = [axis.get_title() for axis in axes_of(figure)]
    for title in PANELS:
        assert any(one.startswith(title) for one in titles)
    assert ("loss" in titles) == ("loss" in parts) == options.get("losses", True)
    names = ["maps", "zoom", "spectrum", "distribution", "copies", "morphology", "scattering"]
    assert list(parts)[:7] == names
    many, controls = options.get("seeds", 1), options.get("controls", 2)
    counted = f", {many} seeds" if many > 1 else ""
    expected = ["original", f"synthesized{counted}"]
    if controls:
        of_them = f", {controls} maps" if controls > 1 else ""
        expected += [f"filtered-noise control{of_them}", f"Gaussian control{of_them}"]
    if options.get("starts") != "none":
        expected += [f"start{counted}"]
    assert legend_of(figure) == [*expected, "tolerance (correlation: chance)"]


def test_maps_are_the_original_the_first_seed_and_the_control(several):
    (validation, original, maps, control, losses), shown = several
    figure = plot_validation(validation, original, maps, control, losses, **shown)
    pictures = [axis for axis in axes_of(figure) if axis.images]
    titles = ["original", "synthesized, seed 10", "Gaussian control"]
    assert [axis.get_title() for axis in pictures] == 2 * titles
    assert len({axis.images[0].get_clim() for axis in pictures}) == 1
    for picture, map in zip(pictures, 2 * [original, maps[10], control], strict=True):
        image = np.ma.filled(picture.images[0].get_array(), np.nan)
        assert set(image[np.isfinite(image)]) <= set(map)


def test_every_panel_has_medians_and_bands(several):
    given, shown = several
    validation = given[0]
    figure = plot_validation(*given, **shown)
    for title in PANELS:
        axis = panel(figure, title)
        for colour in ("#D55E00", "#0072B2", "#009E73", "#999999"):
            assert len(lines(axis, colour)) == 1, (title, colour)
        # Seeds, two kinds of controls, and the tolerance around a level.
        assert len(axis.collections) == 3 + title.startswith(("power over", "S")), title
    curves: dict[str, Curve] = validation.curves()
    spectrum = curves["power_spectrum"]
    factor = spectrum.places * (spectrum.places + 1) / (2 * np.pi)
    for title, name, shown_as in [
        ("angular power spectrum", "power_spectrum", lambda rows: rows * factor),
        ("power over", "power_ratio", lambda rows: rows),
        ("correlation", "correlation", lambda rows: rows),
        ("V1", "V1", lambda rows: rows),
        ("S3", "S3", lambda rows: rows / curves["S3"].original),
    ]:
        (line,) = lines(panel(figure, title), "#D55E00")
        expected = np.median(shown_as(curves[name].groups["synthesized"]), axis=0)
        np.testing.assert_allclose(line.get_ydata(), expected)


def test_differences_are_in_percent_of_the_largest(several):
    given, shown = several
    figure = plot_validation(*given, **shown)
    curves = given[0].curves()
    for title in ("V0", "V2", "peaks"):
        upper = panel(figure, title)
        (lower,) = [
            axis
            for axis in axes_of(figure)
            if axis is not upper and axis.get_shared_x_axes().joined(axis, upper)
        ]
        (line,) = lines(lower, "#0072B2")
        curve = curves[title]
        away = (curve.groups["gaussian"] - curve.original) / np.abs(curve.original).max()
        np.testing.assert_allclose(line.get_ydata(), 100 * np.median(away, axis=0))


def test_correlations_stand_before_the_level_of_chance(several):
    given, shown = several
    axis = panel(validation_figures(*given, **shown)["copies"], "correlation")
    (band,) = axis.patches
    report = next(iter(given[0].reports.values()))
    chance = [entry["chance"] for entry in report["correlation_ranges"]]
    np.testing.assert_allclose(band.get_data().values, chance)
    np.testing.assert_allclose(band.get_data().baseline, np.negative(chance))


def test_one_seed_has_no_band_and_far_starts_stretch_axes_threefold_at_most():
    given, shown = drawn(controls=0)
    validation, original, maps, control, losses = given
    far = {seed: 1e3 * map for seed, map in maps.items()}
    stretched = validate_seeds(
        original, maps, build_pyramid(NSIDE), start_of=far.__getitem__, controls=0
    )
    limits = []
    for one in (validation, stretched):
        figure = plot_validation(one, original, maps, control, losses, **shown)
        limits += [[panel(figure, title).get_ylim() for title in PANELS]]
        for title in PANELS:
            # The tolerance of what has a level; of S1 to S4 it is from the controls.
            tolerance = title.startswith("power over")
            assert len(panel(figure, title).collections) == tolerance, title
    linear = [at for at, title in enumerate(PANELS) if title[:3] not in ("ang", "pix")]
    near, far_ones = np.array(limits)[:, linear]
    assert (np.ptp(far_ones, axis=1) <= 3.01 * np.ptp(near, axis=1)).all()
    assert (np.ptp(far_ones, axis=1) > 1.5 * np.ptp(near, axis=1)).any()


def test_curves_are_within_their_axes(several):
    given, shown = several
    figure = plot_validation(*given, **shown)
    for title in PANELS[4:]:
        axis = panel(figure, title)
        low, high = axis.get_ylim()
        for colour in ("#D55E00", "#0072B2", "#009E73"):
            (line,) = lines(axis, colour)
            assert (low <= line.get_ydata()).all() and (line.get_ydata() <= high).all(), title


def test_scales_that_are_not_imposed_are_hatched(several):
    given, shown = several
    figure = plot_validation(*given, **shown, imposed=2)
    hatched = {
        title for title in PANELS for patch in panel(figure, title).patches if patch.get_hatch()
    }
    assert hatched == {"S3", "S4"}
    (free,) = [patch for patch in panel(figure, "S3").patches if patch.get_hatch()]
    assert free.get_x() == 1.5 and free.get_x() + free.get_width() == 2.5


def test_every_loss_is_a_line(several):
    given, shown = several
    axis = panel(plot_validation(*given, **shown), "loss")
    for line, losses in zip(axis.lines, given[4], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), losses)


def test_nothing_is_written_over_anything_else(several):
    """Titles, labels and legends of all panels have room of their own."""
    given, shown = several
    shown = shown | {"unit": "exponential of standard deviations"}
    figures = [plot_validation(*given, **shown), *validation_figures(*given, **shown).values()]
    for figure in figures:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.draw_without_rendering()
        boxes = []
        for axis in axes_of(figure):
            texts = [axis.title, axis.xaxis.label, axis.yaxis.label]
            boxes += [text.get_window_extent() for text in texts if text.get_text()]
        for part in [figure, *figure.subfigs]:
            boxes += [legend.get_window_extent() for legend in part.legends]
        width, height = figure.bbox.size
        for number, box in enumerate(boxes):
            assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
            assert not any(box.overlaps(other) for other in boxes[:number])
