import warnings

import healpy
import numpy as np
import pytest

from jaxscat.harmonics.cross_spectra import correlation, polarized_spectra
from jaxscat.harmonics.spectra import multipole_bins, running_windows
from jaxscat.plotting.maps import mollweide_image
from jaxscat.plotting.polarization import plot_polarization
from jaxscat.plotting.saving import figure_png
from jaxscat.plotting.segments import patch_segments, sky_segments
from jaxscat.plotting.zoom import zoom_patch

NSIDE = 8
NPIX = 12 * NSIDE**2
BAND = 2 * NSIDE
COLOURS = {"original": "#000000", "synthesized": "#D55E00", "control": "#0072B2"}


def sky(seed, names="TEBQU"):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((3, NPIX)) * [[2.0], [1.0], [0.5]]
    harmonics = np.stack([healpy.map2alm(one, lmax=BAND) for one in noise])
    harmonics[1:, [0, 1, BAND + 1]] = 0.0  # E and B have neither a mean nor a dipole
    harmonics[0, 0] = 10.0
    stokes = healpy.alm2map(harmonics, NSIDE, lmax=BAND)
    e, b = (healpy.alm2map(one, NSIDE, lmax=BAND) for one in harmonics[1:])
    maps = dict(zip("TEBQU", (stokes[0], e, b, stokes[1], stokes[2]), strict=True))
    return {name: healpy.reorder(maps[name], r2n=True) for name in names}


ORIGINAL, CONTROL = sky(0), sky(1)
MADE = {seed: sky(seed) for seed in (5, 7, 9)}


LATITUDE = healpy.pix2ang(NSIDE, np.arange(NPIX), nest=True, lonlat=True)[1]
WEIGHTS = np.clip((np.abs(LATITUDE - 10.0) - 20.0) / 10.0, 0.0, 1.0)


def without(fields, names):
    return {name: map for name, map in fields.items() if name not in names}


def drawn(missing="", **options):
    made = {seed: without(fields, missing) for seed, fields in MADE.items()}
    return plot_polarization(without(ORIGINAL, missing), made, **options)


@pytest.fixture(scope="module")
def whole():
    return drawn(control=CONTROL, lmax=BAND, title="a title", unit="mK")


def panel(figure, title):
    (found,) = [axis for axis in figure.axes if axis.get_title() == title]
    return found


def lines(axis, name):
    return [line for line in axis.lines if line.get_color() == COLOURS[name]]


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


SPECTRA = ["TT", "EE", "BB", "TE", "TB", "EB"]
STOKES = ["TT", "QQ", "UU", "TQ", "TU", "QU"]
CASES = {
    "": ["T and orientation of polarization", "zoom", "E", "B", *SPECTRA],
    "T": ["P and orientation of polarization", "zoom", "E", "B", "EE", "BB", "EB"],
    "QU": ["T", "E", "B", *SPECTRA],
    "TQU": ["E", "B", "EE", "BB", "EB"],
    "EB": ["T and orientation of polarization", "zoom", "Q", "U", *STOKES],
    "TEB": ["P and orientation of polarization", "zoom", "Q", "U", "QQ", "UU", "QU"],
}


def test_panels_of_fields_that_one_sky_lacks_are_left_out():
    assert titles(drawn(control=without(CONTROL, "T"))) == CASES["T"]
    made = {1: ORIGINAL, 2: without(CONTROL, "QU")}
    assert titles(plot_polarization(ORIGINAL, made)) == CASES["QU"]
    made = {1: ORIGINAL, 2: without(CONTROL, "EB")}
    assert titles(plot_polarization(ORIGINAL, made)) == CASES["EB"]


def test_powers_are_means_over_a_quarter_of_an_octave(whole):
    for pair in ("TT", "EE", "BB"):
        axis = panel(whole, pair)
        last = 3 * NSIDE - 1 if pair == "TT" else BAND
        for name, skies in (
            ("original", [ORIGINAL]),
            ("synthesized", MADE.values()),
            ("control", [CONTROL]),
        ):
            (line,) = lines(axis, name)
            np.testing.assert_array_equal(line.get_xdata(), np.arange(2, last + 1))
            rows = []
            for fields in skies:
                spectrum = polarized_spectra(fields)[pair][: last + 1]
                multipole = np.arange(last + 1)
                row = []
                for at in range(2, last + 1):
                    near = np.flatnonzero(np.abs(np.log2(np.maximum(multipole, 0.1) / at)) <= 0.125)
                    mean = np.average(spectrum[near], weights=2 * near + 1)
                    row.append(at * (at + 1) * mean / (2 * np.pi))
                rows.append(row)
            np.testing.assert_allclose(line.get_ydata(), np.median(rows, axis=0), rtol=1e-9)


def test_correlations_are_those_of_the_maps(whole):
    bins = [(low, min(high, BAND)) for low, high in multipole_bins(NSIDE) if low <= BAND]
    for pair in ("TE", "TB", "EB"):
        axis = panel(whole, pair)
        assert axis.get_ylim() == (-1.05, 1.05)
        for name, skies in (("original", [ORIGINAL]), ("synthesized", MADE.values())):
            (line,) = lines(axis, name)
            rows = [correlation(polarized_spectra(fields), pair, bins) for fields in skies]
            np.testing.assert_allclose(line.get_ydata(), np.median(rows, axis=0), rtol=1e-9)
        (band,) = axis.collections
        low, high = np.percentile(rows, [16, 84], axis=0)
        corners = band.get_paths()[0].vertices[:, 1]
        assert corners.min() == pytest.approx(low.min())
        assert corners.max() == pytest.approx(high.max())


def test_chance_is_the_scatter_of_independent_maps():
    """Of noise, whose spectrum is constant, drawn without a band limit."""
    rng = np.random.default_rng(0)
    made = {
        seed: dict(zip("EB", rng.standard_normal((2, NPIX)), strict=True)) for seed in range(99)
    }
    axis = panel(plot_polarization(made[0], made), "EB")
    chance = next(patch for patch in axis.patches if hasattr(patch, "get_data")).get_data().values
    bins = multipole_bins(NSIDE)
    rows = [correlation(polarized_spectra(fields), "EB", bins) for fields in made.values()]
    np.testing.assert_allclose(np.std(rows, axis=0)[:-2], chance[:-2], rtol=0.25)


def test_the_band_limit_is_shaded_and_named(whole):
    for pair in ("EE", "BB", "TE", "TB", "EB"):
        axis = panel(whole, pair)
        (text,) = [text.get_text() for text in axis.texts]
        assert text == rf"band limit, $\ell = {BAND}$"
        assert any(
            patch.get_window_extent().transformed(axis.transData.inverted()).x0
            == pytest.approx(BAND + 0.5)
            for patch in axis.patches
        )
    assert not panel(whole, "TT").texts
    free = drawn("TQU")
    assert not any(panel(free, pair).texts for pair in ("EE", "BB", "EB"))


@pytest.fixture(scope="module")
def cut():
    """Q and U of skies that have no data in a band, where maps hold anything."""
    empty = {name: np.where(WEIGHTS > 0, map, np.nan) for name, map in ORIGINAL.items()}
    made = {seed: without(fields, "EB") for seed, fields in MADE.items()}
    options = {"control": without(CONTROL, "EB"), "lmax": BAND, "footprint": WEIGHTS}
    return plot_polarization(without(empty, "EB"), made, **options)


def test_stokes_parameters_have_the_spectra_of_the_cut_sky(cut):
    assert titles(cut) == CASES["EB"]
    multipole = np.arange(3 * NSIDE)
    low, high = running_windows(multipole.size)
    for pair in STOKES:
        axis = panel(cut, pair)
        assert not axis.texts and axis.get_title() == pair
        for name, skies in (("original", [ORIGINAL]), ("synthesized", MADE.values())):
            (line,) = lines(axis, name)
            rows = []
            for fields in skies:
                spectra = polarized_spectra(fields, WEIGHTS, names="TQU")
                row = correlation(spectra, pair, multipole_bins(NSIDE))
                if pair[0] == pair[1]:
                    modes = 2 * multipole + 1.0
                    row = [
                        at
                        * (at + 1)
                        / (2 * np.pi)
                        * np.average(spectra[pair][i:j], weights=modes[i:j])
                        for at, i, j in zip(multipole, low, high, strict=True)
                    ][2:]
                rows.append(row)
            np.testing.assert_allclose(line.get_ydata(), np.median(rows, axis=0), rtol=1e-9)


def test_chance_is_larger_on_a_cut_sky(cut):
    """By the root of the share of the modes that is left."""
    share = np.mean(WEIGHTS**2) ** 2 / np.mean(WEIGHTS**4)
    steps = [patch for patch in panel(cut, "QU").patches if hasattr(patch, "get_data")]
    modes = np.array([(high + 1) ** 2 - low**2 for low, high in multipole_bins(NSIDE)])
    np.testing.assert_allclose(steps[0].get_data().values, (share * modes) ** -0.5, rtol=1e-12)


def test_pixels_without_weight_are_grey_and_have_no_segments(cut):
    seen = WEIGHTS > 0
    columns = {"T": 0, "Q": 2, "U": 3}
    images = [axis.images[0] for axis in cut.axes if axis.images]
    for row, fields in enumerate((ORIGINAL, MADE[5], CONTROL)):
        for name, column in columns.items():
            image = images[4 * row + column]
            shown = mollweide_image(np.where(seen, fields[name], np.nan))
            np.testing.assert_array_equal(image.get_array().filled(np.nan), shown)
            assert image.get_cmap().get_bad() == pytest.approx((0.75, 0.75, 0.75, 1.0))
            values = ORIGINAL[name][seen]
            high = np.percentile(np.abs(values), 99.5)
            limits = np.percentile(values, [0.5, 99.5]) if name == "T" else [-high, high]
            np.testing.assert_allclose(image.get_clim(), limits)
    skies = [axis for axis in cut.axes if axis.images and axis.collections]
    for fields, on_sky, zoom in zip(
        (ORIGINAL, MADE[5], CONTROL), skies[::2], skies[1::2], strict=True
    ):
        q, u = (np.where(seen, fields[name], np.nan) for name in "QU")
        patch = zoom_patch(NSIDE, np.where(seen, np.hypot(q, u), 0.0))
        assert zoom.get_xlabel() == f"lon {patch.lon:.3g}°, lat {patch.lat:.3g}°"
        for axis, segments in ((on_sky, sky_segments(q, u)), (zoom, patch_segments(q, u, patch))):
            (collection,) = axis.collections
            middles = np.mean(collection.get_segments(), axis=1)
            np.testing.assert_allclose(middles, segments.places, atol=1e-12)
    assert any("grey: pixels without data" in part.get_supxlabel() for part in cut.subfigs)


def test_a_whole_footprint_changes_nothing_but_the_mean():
    figures = drawn(lmax=BAND), drawn(lmax=BAND, footprint=np.full(NPIX, 0.5))
    for pair in SPECTRA:
        first, second = (lines(panel(figure, pair), "original")[0] for figure in figures)
        np.testing.assert_allclose(first.get_ydata(), second.get_ydata(), rtol=1e-6, atol=1e-9)
    for one, other in zip(figures[0].axes, figures[1].axes, strict=True):
        assert one.get_xlabel() == other.get_xlabel()
        for image, second in zip(one.images, other.images, strict=True):
            np.testing.assert_array_equal(image.get_array(), second.get_array())


def test_the_zoom_is_on_the_data_of_a_small_patch_without_polarization():
    x = healpy.pix2vec(NSIDE, np.arange(NPIX), nest=True)[0]
    weights = 1.0 * (x < -0.95)
    none = dict.fromkeys("QU", np.zeros(NPIX))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_polarization(none, {1: none}, footprint=weights)
        figure.draw_without_rendering()
    (label,) = {axis.get_xlabel() for axis in figure.axes if axis.get_xlabel().startswith("lon")}
    assert abs(float(label.split()[1].strip("°,")) - 180) < 15


def test_columns_are_on_the_colours_of_the_original(whole):
    images = [axis.images[0] for axis in whole.axes if axis.images]
    limits = np.array([image.get_clim() for image in images[:12]]).reshape(3, 4, 2)
    assert (limits == limits[0]).all()
    np.testing.assert_allclose(limits[0, 0], np.percentile(ORIGINAL["T"], [0.5, 99.5]))
    np.testing.assert_array_equal(limits[0, 1], limits[0, 0])
    for column, name in ((2, "E"), (3, "B")):
        high = np.percentile(np.abs(ORIGINAL[name]), 99.5)
        np.testing.assert_allclose(limits[0, column], [-high, high])
    bars = [axis.get_xlabel() for axis in whole.axes]
    assert all(f"{name} [mK]" in bars for name in "TEB")


def test_segments_are_those_of_every_sky(whole):
    skies = [axis for axis in whole.axes if axis.images and axis.collections]
    rows = zip((ORIGINAL, MADE[5], CONTROL), skies[::2], skies[1::2], strict=True)
    for fields, on_sky, zoom in rows:
        q, u = fields["Q"], fields["U"]
        patch = zoom_patch(NSIDE, np.hypot(q, u))
        assert zoom.get_xlabel() == f"lon {patch.lon:.3g}°, lat {patch.lat:.3g}°"
        of_original = ORIGINAL["Q"], ORIGINAL["U"]
        own = zoom_patch(NSIDE, np.hypot(*of_original))
        for axis, segments, first in (
            (on_sky, sky_segments(q, u), sky_segments(*of_original)),
            (zoom, patch_segments(q, u, patch), patch_segments(*of_original, own)),
        ):
            (collection,) = axis.collections
            longest = float(np.percentile(first.strengths, 85.0))
            np.testing.assert_allclose(collection.get_segments(), segments.lines(longest))


def test_maps_and_groups_have_their_names(whole):
    names = [text.get_text() for axis in whole.axes for text in axis.texts]
    assert [name for name in names if "band" not in name] == [
        "original",
        "new map (seed 5)",
        "Gaussian control",
    ]
    (legend,) = [legend for part in [whole, *whole.subfigs] for legend in part.legends]
    assert [text.get_text() for text in legend.get_texts()] == [
        "original",
        "new maps, 3 seeds: median and 16 to 84 %",
        "Gaussian control",
        "correlation by chance",
    ]
    assert whole.get_suptitle() == "a title"


def test_it_is_written_as_a_picture(whole):
    dpi = whole.get_dpi()
    whole.set_dpi(40)  # for the time
    assert figure_png(whole).startswith(b"\x89PNG")
    whole.set_dpi(dpi)


def test_a_sky_without_polarization_has_a_figure():
    """Nor is there a scale of any column."""
    none = dict.fromkeys("EBQU", np.zeros(NPIX)) | {"T": np.full(NPIX, 2.7)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_polarization(none, {1: none}).draw_without_rendering()


def test_a_sky_without_b_has_a_figure():
    fields = {name: ORIGINAL[name] for name in "TE"} | {"B": np.zeros(NPIX)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_polarization(fields, {1: fields}, lmax=BAND)
        figure.draw_without_rendering()
    (line,) = lines(panel(figure, "EB"), "original")
    assert np.isnan(line.get_ydata()).all()
    assert "no power" in [text.get_text() for text in panel(figure, "BB").texts]


@pytest.mark.parametrize("missing", CASES)
def test_panels_of_missing_fields_are_left_out_and_nothing_is_written_over_anything_else(missing):
    """Titles, labels, notes and legends of all panels have room of their own."""
    control = without(CONTROL, missing)
    weights = WEIGHTS if missing in ("EB", "TEB", "TQU") else None
    options = {"lmax": BAND, "footprint": weights, "title": "a title", "unit": "long unit of power"}
    figure = drawn(missing, control=control, **options)
    assert titles(figure) == CASES[missing]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    texts = []
    for axis in figure.axes:
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
    for part in [figure, *figure.subfigs]:
        texts += [one for one in (part._suptitle, part._supxlabel) if one is not None]
        texts += part.legends
    boxes = [one.get_window_extent() for one in texts]
    boxes = [box for box in boxes if box.width > 1]
    width, height = figure.bbox.size
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"original": without(ORIGINAL, "U")}, "original: got the fields T, E, B, Q, expected E"),
        ({"original": without(ORIGINAL, "B")}, "original: got the fields T, E, Q, U, expected E"),
        ({"original": {}}, "original: got the fields of no name, expected E"),
        (
            {"original": ORIGINAL | {"V": np.ones(NPIX)}},
            "original: got the fields T, E, B, Q, U, V",
        ),
        ({"original": ORIGINAL["E"]}, "original: got an array of float64"),
        ({"original": ORIGINAL | {"B": np.ones(48)}}, r'original\["B"\]: got 48 pixels'),
        ({"original": ORIGINAL | {"Q": np.full(NPIX, np.nan)}}, r'original\["Q"\]: got 768 of'),
        ({"made": {}}, "made: got no seed"),
        ({"made": None}, "made: got None, expected"),
        ({"made": ORIGINAL}, r"made\['T'\]: got an array"),
        ({"made": {3: sky(0, "EBU")}}, r"made\[3\]: got the fields E, B, U, expected"),
        ({"made": {3: dict.fromkeys("EB", np.ones(48))}}, r'made\[3\]\["E"\]: got 48 pixels'),
        ({"control": dict.fromkeys("EB", np.ones(48))}, r'control\["E"\]: got 48 pixels'),
        ({"control": 1.5}, "control: got 1.5, expected maps by the names"),
        (
            {"made": {3: sky(0, "QU")}, "original": sky(0, "TEB")},
            r"made\[3\]: got the fields Q, U, ex",
        ),
        (
            {"control": sky(0, "EB"), "original": sky(0, "QU")},
            "control: got the fields E, B, expec",
        ),
        ({"original": {"T": ORIGINAL["T"]}}, "original: got the fields T, expected E and B, or Q"),
        ({"footprint": np.ones(48)}, "footprint: got 48 pixels, expected 768"),
        ({"footprint": np.ones((2, NPIX))}, r"footprint: got shape \(2, 768\)"),
        ({"footprint": -WEIGHTS}, "footprint: got .* negative weights"),
        (
            {"footprint": WEIGHTS, "original": ORIGINAL | {"Q": np.full(NPIX, np.nan)}},
            r'original\["Q"\]: got .* of 768 pixels NaN',
        ),
        ({"lmax": 24}, "lmax: got 24, expected an integer from 2 to 23"),
        ({"lmax": 1}, "lmax: got 1, expected an integer from 2 to 23"),
        ({"lmax": 16.0}, "lmax: got 16.0, expected an integer"),
        ({"title": None}, "title: got None, expected text"),
        ({"unit": 3}, "unit: got 3, expected text"),
    ],
)
def test_bad_input_is_named(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        plot_polarization(**{"original": ORIGINAL, "made": MADE} | given)
