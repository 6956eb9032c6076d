import json

import numpy as np
import pytest

from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.measurement import build_measurement
from jaxscat.validation.comparison import compare_with
from jaxscat.validation.curves import Curve, build_curves, curves_as_json
from jaxscat.validation.morphology import LEVELS
from jaxscat.validation.peaks import MINIMUM_LEVELS, PEAK_LEVELS
from jaxscat.validation.scattering import measure_on_host

NSIDE = 8
NPIX = 12 * NSIDE**2
GROUPS = {"synthesized": 4, "start": 2, "gaussian": 3, "filtered": 3}


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=2, orientations=2, dtype=np.float64)


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).gamma(2.0, size=(7, NPIX))


@pytest.fixture(scope="module")
def comparison(pyramid, maps):
    return compare_with(maps[0], pyramid, controls=3)


@pytest.fixture(scope="module")
def curves(comparison, maps):
    described = [comparison.describe(map) for map in maps[1:]]
    return build_curves(comparison, described[:4], described[4:])


def test_every_curve_has_a_row_for_every_map_of_its_groups(curves):
    assert list(curves) == [
        *("power_spectrum", "power_ratio", "density", "V0", "V1", "V2", "peaks", "minima"),
        *("correlation", "S1", "S2", "S3", "S4"),
    ]
    for name, curve in curves.items():
        places = len(curve.places)
        assert curve.groups.keys() == GROUPS.keys()
        for group, count in GROUPS.items():
            assert curve.groups[group].shape == (count, places)
            assert curve.groups[group].dtype == np.float64
        if name in ("power_ratio", "correlation"):
            assert curve.original is None
        else:
            assert curve.original.shape == (places,)
        assert curve.edges is None or curve.edges.shape == (places + 1,)
    assert {name for name, curve in curves.items() if curve.edges is not None} == {
        "power_ratio",
        "density",
        "correlation",
    }


def test_groups_without_maps_have_no_curve(pyramid, maps):
    alone = compare_with(maps[0], pyramid, controls=0)
    curves = build_curves(alone, [alone.describe(maps[1])])
    assert all(list(curve.groups) == ["synthesized"] for curve in curves.values())


def test_curves_are_the_numbers_of_the_maps(curves, maps, pyramid):
    found = curves["power_spectrum"]
    np.testing.assert_array_equal(found.places, np.arange(1, 3 * NSIDE))
    np.testing.assert_allclose(found.original, angular_power_spectrum(maps[0])[1:], rtol=1e-12)
    made, start = found.groups["synthesized"][2], found.groups["start"][1]
    np.testing.assert_allclose(made, angular_power_spectrum(maps[3])[1:], rtol=1e-12)
    np.testing.assert_allclose(start, angular_power_spectrum(maps[6])[1:], rtol=1e-12)

    ranges = curves["correlation"]
    np.testing.assert_allclose(ranges.places, np.sqrt([1 * 3, 4 * 7, 8 * 23]))
    np.testing.assert_array_equal(ranges.edges, [0.5, 3.5, 7.5, 23.5])

    density = curves["density"]
    counts, _ = np.histogram(maps[2], density.edges)
    expected = counts / NPIX / np.diff(density.edges)
    np.testing.assert_allclose(density.groups["synthesized"][1], expected, rtol=1e-12)
    np.testing.assert_allclose(density.places, (density.edges[1:] + density.edges[:-1]) / 2)
    assert np.sum(density.original * np.diff(density.edges)) == pytest.approx(1.0)

    above = maps[0].mean() + maps[0].std() * LEVELS
    np.testing.assert_array_equal(curves["V0"].places, LEVELS)
    np.testing.assert_allclose(
        curves["V0"].groups["synthesized"][0], [np.mean(maps[1] > level) for level in above]
    )
    np.testing.assert_array_equal(curves["peaks"].places, PEAK_LEVELS)
    np.testing.assert_array_equal(curves["minima"].places, MINIMUM_LEVELS)


def test_coefficients_are_averaged_over_what_shares_a_scale(curves, maps, pyramid):
    statistics = measure_on_host(maps[0], build_measurement(pyramid))
    np.testing.assert_array_equal(curves["S1"].places, [0, 1])
    np.testing.assert_allclose(curves["S1"].original, statistics.s1.mean(axis=1))
    np.testing.assert_allclose(curves["S2"].original, statistics.s2.mean(axis=1))
    # (j2, j3) is (0, 0), (0, 1), (1, 1), and (j1, j2, j3) the same with j1 <= j2 before.
    power = np.abs(statistics.s3) ** 2
    expected = [np.sqrt(power[:1].mean()), np.sqrt(power[1:].mean())]
    np.testing.assert_allclose(curves["S3"].original, expected)
    power = np.abs(statistics.s4) ** 2
    assert len(power) == 4
    expected = [np.sqrt(power[:1].mean()), np.sqrt(power[1:].mean())]
    np.testing.assert_allclose(curves["S4"].original, expected)


def test_of_several_masks_the_first_gives_the_coefficients(pyramid, maps):
    masks = np.random.default_rng(1).random((2, NPIX))
    several, one = (
        compare_with(maps[0], pyramid, mask=mask, controls=0) for mask in (masks, masks[0])
    )
    for name in ("S1", "S2", "S3", "S4"):
        found, expected = (
            build_curves(each, [each.describe(maps[1])])[name] for each in (several, one)
        )
        np.testing.assert_allclose(found.original, expected.original, rtol=1e-10)
        np.testing.assert_allclose(
            found.groups["synthesized"], expected.groups["synthesized"], rtol=1e-10
        )


def test_band_is_interpolated_between_ranks():
    curve = Curve(np.arange(2.0), None, {"made": np.array([[1.0, 5], [2, 5], [4, 5], [3, 5]])})
    # Ranks 0.48, 1.5 and 2.52 of 1, 2, 3, 4.
    np.testing.assert_allclose(curve.band("made"), [[1.48, 5], [2.5, 5], [3.52, 5]])


def test_json_has_the_percentiles_of_every_group(curves):
    found = curves_as_json(curves)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found.keys() == curves.keys()
    row = found["V0"]
    assert list(row) == ["places", "original", "tolerance", *GROUPS]
    assert row["original"] == curves["V0"].original.tolist()
    for group in GROUPS:
        lower, middle, upper = (row[group][f"percentile_{p}"] for p in (16, 50, 84))
        np.testing.assert_allclose(middle, np.median(curves["V0"].groups[group], axis=0))
        assert len(lower) == len(upper) == len(LEVELS)
        assert (np.array(lower) <= middle).all() and (np.array(middle) <= upper).all()
    assert found["power_ratio"]["original"] is None


@pytest.mark.filterwarnings("error")
def test_curves_of_a_constant_map_go_to_json(comparison):
    flat = comparison.describe(np.full(NPIX, 2.0))
    found = curves_as_json(build_curves(comparison, [flat], [flat]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["correlation"]["synthesized"]["percentile_50"] == [None] * 3
