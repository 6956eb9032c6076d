import json

import healpy
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation.comparison import CONTROLS_OF_A_KIND, compare_with
from jaxscat.validation.description import distances
from jaxscat.validation.ensemble import copy_test
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.scattering import relative_errors
from jaxscat.validation.spectra import chance_correlation

NSIDE = 16
NPIX = 12 * NSIDE**2
KINDS = ("gaussian", "filtered")


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=1, orientations=1, dtype=np.float64)


def field(seed):
    """A skewed map of a spectrum that falls."""
    generator = np.random.default_rng(seed)
    alm = generator.standard_normal((healpy.Alm.getsize(3 * NSIDE - 1), 2)) @ [1.0, 1.0j]
    ring = healpy.alm2map(healpy.almxfl(alm, 1 / (5.0 + np.arange(3 * NSIDE))), NSIDE)
    return np.exp(0.5 * healpy.reorder(ring / ring.std(), r2n=True))


@pytest.fixture(scope="module")
def comparison(pyramid):
    return compare_with(field(0), pyramid, controls=3, seed=5)


@pytest.fixture(scope="module")
def report(comparison):
    return comparison.report(comparison.describe(field(1)), comparison.describe(field(2)))


def test_controls_of_each_kind_follow_their_seeds(comparison, pyramid):
    original = field(0)
    assert set(comparison.controls) == set(KINDS)
    for kind, described in comparison.controls.items():
        assert len(described) == 3
        for number, one in enumerate(described):
            map = gaussian_control(original, seed=5 + number, kind=kind)
            assert one.moments == comparison.describe(map).moments
            assert one.moments["mean"] == pytest.approx(original.mean(), rel=1e-12)
        # The power is right on average, and scatters.
        spreads = [one.moments["std"] for one in described]
        assert spreads == pytest.approx([original.std()] * 3, rel=0.15)
        assert np.std(spreads) > 1e-3 * original.std()
    assert CONTROLS_OF_A_KIND == 8


def test_same_seed_gives_the_same_numbers_and_leaves_numpys_generator(comparison, pyramid):
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    again = compare_with(field(0), pyramid, controls=1, seed=5)
    other = compare_with(field(0), pyramid, controls=1, seed=6)
    assert np.array_equal(np.random.get_state()[1], state)
    for kind in KINDS:
        one, same, different = (
            each.controls[kind][0].moments["skewness"] for each in (comparison, again, other)
        )
        assert one == same != different
        assert different == comparison.controls[kind][1].moments["skewness"]


def test_controls_stand_in_the_report_with_their_mean_and_scatter(comparison, report):
    reference, original = comparison.reference, comparison.original
    numbers = {
        "skewness": (report["distribution"]["skewness"], lambda one: one.moments["skewness"]),
        "pixels": (report["pixel_correlation"], lambda one: one.pixel_correlation),
        "range": (report["correlation_ranges"][1]["correlation"], lambda one: one.correlations[1]),
        "C_l": (report["power_spectrum_ratio"], lambda one: one.mean_ratio),
        "bin": (report["power_spectrum_bins"][3]["ratio"], lambda one: one.ratios[3]),
        "peaks": (
            report["distances"]["peaks"],
            lambda o: distances(o, original, reference)["peaks"],
        ),
        "S1": (
            report["scattering"]["S1"],
            lambda one: relative_errors(one.statistics, original.statistics)["S1"],
        ),
    }
    for row, value in numbers.values():
        for kind in KINDS:
            values = [value(one) for one in comparison.controls[kind]]
            assert row[kind] == pytest.approx(np.mean(values), rel=1e-12)
            assert row[f"{kind}_std"] == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        for column, seed in (("synthesized", 1), ("start", 2)):
            assert row[column] == pytest.approx(value(comparison.describe(field(seed))), rel=1e-9)
    assert report["distribution"]["skewness"]["original"] == original.moments["skewness"]
    gain = 1 - report["scattering_error"]["synthesized"] / report["scattering_error"]["start"]
    assert report["scattering_improvement_pct"] == pytest.approx(100 * gain)


def test_ranges_say_what_chance_gives(comparison, report):
    spectrum = comparison.original.spectrum
    limits = [(row["l_min"], row["l_max"]) for row in report["correlation_ranges"]]
    assert limits == [(1, 3), (4, 7), (8, 15), (16, 47)]
    for row in report["correlation_ranges"]:
        chance = chance_correlation(spectrum, row["l_min"], row["l_max"])
        assert row["chance"] == pytest.approx(chance)
        assert abs(row["correlation"]["synthesized"]) < 5 * chance
        for kind in KINDS:
            assert abs(row["correlation"][kind]) < 5 * chance


def test_copy_has_correlation_one_in_every_range_and_no_distance(comparison):
    report = comparison.report(comparison.describe(field(0)))
    for row in report["correlation_ranges"]:
        assert row["correlation"]["synthesized"] == pytest.approx(1.0)
    assert [row["synthesized"] for row in report["distances"].values()] == pytest.approx(
        [0.0] * 10, abs=1e-12
    )
    # The controls have the power, and no more.
    for name in ("wasserstein", "skewness", "V0", "peaks", "cross_skewness"):
        for kind in KINDS:
            assert report["distances"][name][kind] > 0.02


def test_large_scales_that_are_copied_are_found_although_pixels_hide_them(comparison):
    """Multipoles up to 7 of the original in maps that are independent of it otherwise."""
    low = np.arange(3 * NSIDE) <= 7
    reports = []
    for seed in (11, 12, 13, 14):
        alm, copied = (
            healpy.map2alm(healpy.reorder(map, n2r=True), iter=3)
            for map in (np.random.default_rng(seed).standard_normal(NPIX), field(0))
        )
        mixed = healpy.almxfl(alm, ~low * 3.0) + healpy.almxfl(copied, low * 1.0)
        map = healpy.reorder(healpy.alm2map(mixed, NSIDE), r2n=True)
        reports.append(comparison.report(comparison.describe(map)))
    assert all(report["pixel_correlation"]["synthesized"] < 0.2 for report in reports)
    assert [entry["copied"] for entry in copy_test(reports)] == [True, True, False, False]
    assert [entry["mean"] for entry in copy_test(reports)[:2]] == pytest.approx([1, 1], abs=0.01)
    independent = [comparison.report(comparison.describe(field(seed))) for seed in (1, 2, 3, 4)]
    assert not any(entry["copied"] for entry in copy_test(independent))


def test_without_controls_there_are_no_columns_of_them(pyramid):
    comparison = compare_with(field(0), pyramid, controls=0)
    report = comparison.report(comparison.describe(field(1)))
    assert set(report["pixel_correlation"]) == {"synthesized"}
    assert set(report["distribution"]["std"]) == {"original", "synthesized"}
    one = compare_with(field(0), pyramid, controls=1)
    row = one.report(one.describe(field(1)))["pixel_correlation"]
    assert row["gaussian_std"] is None and row["filtered"] is not None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("constant", ["original", "made", "start"])
def test_constant_maps_go_to_json_without_warnings(pyramid, constant):
    maps = {"original": field(0), "made": field(1), "start": field(2)}
    maps[constant] = np.full(NPIX, 3.0)
    comparison = compare_with(maps["original"], pyramid, controls=2)
    report = comparison.report(*(comparison.describe(maps[name]) for name in ("made", "start")))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    column = {"original": "original", "made": "synthesized", "start": "start"}[constant]
    assert report["distribution"]["skewness"][column] is None
    row = report["pixel_correlation"]
    assert row["synthesized" if constant == "original" else column] is None
