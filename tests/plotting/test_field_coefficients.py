import warnings

import matplotlib.colors
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.plotting.field_coefficients import plot_field_coefficients
from jaxscat.plotting.saving import figure_png
from jaxscat.statistics.fields import measure_fields
from jaxscat.validation.coherence import coherence, coherence_bounds
from jaxscat.validation.forms import Form

NPIX = 768
COLOURS = {"original": "#000000", "synthesized": "#D55E00", "gaussian": "#0072B2"}


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, scales=2, orientations=2, dtype=np.float64)


def sky(seed):
    t, e, b = np.random.default_rng(seed).gamma(1.0, size=(3, NPIX))
    return {"T": t, "E": 0.5 * t + e, "B": b}


@pytest.fixture(scope="module")
def statistics(pyramid):
    seeds = {"original": [0], "synthesized": [1, 2, 3], "gaussian": [4, 5], "start": [6]}
    return {
        group: [measure_fields(sky(seed), pyramid) for seed in of] for group, of in seeds.items()
    }


@pytest.fixture(scope="module")
def figure(statistics):
    return plot_field_coefficients(statistics, title="a title", unit="mK")


def shown(figure):
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def line(axis, name):
    """The curve of a group, which is no grid line or level."""
    found = [one for one in axis.lines if one.get_color() == COLOURS[name]]
    (curve,) = [one for one in found if len(one.get_xdata()) == 2 and one.get_marker() == "o"]
    return curve.get_ydata()


def test_every_pair_has_panels_with_its_name_and_parity(figure):
    titles = list(shown(figure))
    assert len(titles) == 6 * 4 + 3
    assert {"TT: S1", "BB: S3, odd", "TE: S3, exchanged", "TB: S2, odd"} <= set(titles)
    assert {"TB: S3", "TB: S3, exchanged, odd", "EB: S4"} <= set(titles)
    tints = {title: axis.get_facecolor() for title, axis in shown(figure).items()}
    white = matplotlib.colors.to_rgba("white")
    assert all((tint != white) == title.endswith("odd") for title, tint in tints.items())


def test_lines_are_orientation_means_and_rms_coherences(figure, statistics):
    panels = shown(figure)
    original = statistics["original"][0]
    power = np.asarray(original["TT"].s2).mean(axis=1)
    np.testing.assert_allclose(line(panels["TT: S2"], "original"), power)
    bounds = coherence_bounds(original["TT"], original["EE"])
    parts = coherence(original["TE"], bounds)
    np.testing.assert_allclose(line(panels["TE: S1"], "original"), parts["S1"].mean(axis=1))
    made = [coherence(one["TE"], bounds)["S3"] for one in statistics["synthesized"]]
    finest = original["TE"].pairs.index((0, 0))
    each = [np.sqrt(np.mean(np.abs(one[finest]) ** 2)) for one in made]
    assert line(panels["TE: S3"], "synthesized")[0] == pytest.approx(np.median(each))
    triples = np.array(original["TE"].triples)
    coarse = np.abs(parts["S4"][triples[:, 2] == 1]) ** 2
    assert line(panels["TE: S4"], "original")[1] == pytest.approx(np.sqrt(coarse.mean()))


def test_s3_and_s4_are_in_the_form_of_the_target(statistics):
    pair, pairs = ("T", "B"), tuple(statistics["original"][0].pairs)
    form = Form(pairs, scales=2, parity="even", isotropic=True)
    panels = shown(plot_field_coefficients(statistics, form=form))
    assert "TB: S3, exchanged" in panels and "TB: S1, odd" in panels
    original = statistics["original"][0]
    bounds = coherence_bounds(original["TT"], original["BB"])
    bounds = form.bound(bounds, original["TB"])
    parts = coherence(form.bring(pair, original["TB"]), bounds)["S3P"]
    finest = original["TB"].pairs.index((0, 0))
    expected = np.sqrt(np.mean(np.abs(parts[finest]) ** 2))
    found = line(panels["TB: S3, exchanged"], "original")[0]
    assert found == pytest.approx(expected, abs=1e-12)
    other = form.bring(pair, statistics["gaussian"][0]["TB"])
    assert np.abs(coherence(other, bounds)["S4"]).max() > 0


def test_groups_of_several_have_bands_and_are_counted(figure):
    panel = shown(figure)["EE: S2"]
    assert len(panel.collections) == 2  # new maps and controls, not the start
    assert panel.get_ylabel() == "S2, power [mK$^2$]"
    (legend,) = [part.legends[0] for part in figure.subfigs if part.legends]
    assert [text.get_text() for text in legend.get_texts()] == [
        "original", "new maps (3)", "start", "Gaussian controls (2)",
        "odd: its sign changes in a mirror",
    ]  # fmt: skip


def test_more_than_six_pairs_are_drawn_in_blocks_and_one_field_alone(pyramid):
    rng = np.random.default_rng(1)
    names = ("a$b", "cmb", "E", "T")
    four = measure_fields(dict(zip(names, rng.gamma(1.0, size=(4, NPIX)), strict=True)), pyramid)
    figure = plot_field_coefficients({"original": [four]})
    assert len(figure.subfigs) == 2 and len(shown(figure)) == 4 * 4 + 6 * 5
    alone = measure_fields({"T": rng.gamma(1.0, size=NPIX)}, pyramid)
    masks = rng.random((2, NPIX))
    masked = measure_fields({"T": rng.gamma(1.0, size=NPIX)}, pyramid, mask=masks)
    for one in (alone, masked):
        figure = plot_field_coefficients({"original": [one], "synthesized": [one]})
        assert list(shown(figure)) == ["TT: S1", "TT: S2", "TT: S3", "TT: S4"]


def test_the_figure_can_be_written_without_warnings(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_png(figure).startswith(b"\x89PNG")


def test_bad_input_is_named(statistics, pyramid):
    def refused(message, **changed):
        with pytest.raises(ValueError, match=message):
            plot_field_coefficients(statistics | changed)

    refused("statistics: got 2 originals, expected one", original=statistics["gaussian"])
    refused("statistics: got the groups .*mine, expected original", mine=[])
    refused(r"statistics\['start'\]: got .*, expected coefficients of the pairs TT", start=[3])
    two = measure_fields({"T": sky(0)["T"], "E": sky(0)["E"]}, pyramid)
    refused(r"statistics\['start'\]: got TT, EE, TE, expected coefficients of", start=[two])
    only = measure_fields(sky(0), pyramid, pairs=["TT", "TE"])
    with pytest.raises(ValueError, match="expected those of each field alone too: EE"):
        plot_field_coefficients({"original": [only]})
    with pytest.raises(ValueError, match="statistics: got 3"):
        plot_field_coefficients(3)
