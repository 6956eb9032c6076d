import json

import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation import validate
from jaxscat.validation.report import finite_or_none

NPIX = 12 * 4**2


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(4, dtype=np.float64)


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(0)
    original = rng.gamma(2.0, size=NPIX)
    start = rng.standard_normal(NPIX)
    return original, start


def test_copy_is_perfect_and_its_start_and_control_are_not(pyramid, maps):
    original, start = maps
    report = validate(original, original, start=start, pyramid=pyramid)
    assert report["pixel_correlation"]["synthesized"] == pytest.approx(1.0)
    assert report["power_spectrum_ratio"]["synthesized"] == pytest.approx(1.0)
    assert report["scattering_error"]["synthesized"] == 0.0
    assert report["scattering_improvement_pct"] == pytest.approx(100.0)
    assert set(report["scattering"]) == {"S1", "S2", "S3", "S4"}
    for values in report["scattering"].values():
        assert values["synthesized"] == 0.0
        assert values["start"] > 0.1 and values["gaussian"] > 0.01
    for part in report["power_spectrum_bins"]:
        assert part["correlation"]["synthesized"] == pytest.approx(1.0)
        assert part["ratio"]["synthesized"] == pytest.approx(1.0)
    skewness = report["distribution"]["skewness"]
    assert skewness["original"] > 1.0 > abs(skewness["gaussian"])


def test_every_row_has_every_map_and_goes_to_json(pyramid, maps):
    original, start = maps
    report = validate(original, start, start=start, pyramid=pyramid)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    others = {"start", "gaussian", "synthesized"}
    for row in report["distribution"].values():
        assert set(row) == {"original", *others}
    for row in (*report["scattering"].values(), report["pixel_correlation"]):
        assert set(row) == others
    for part in report["power_spectrum_bins"]:
        assert set(part["ratio"]) == set(part["correlation"]) == others


def test_without_a_start_there_is_no_improvement(pyramid, maps):
    report = validate(maps[0], maps[1], pyramid=pyramid)
    assert "scattering_improvement_pct" not in report
    assert "start" not in report["pixel_correlation"]


def test_default_pyramid_is_that_of_the_map(maps):
    report = validate(maps[0], maps[0])
    assert report["scattering_error"]["synthesized"] == 0.0


def test_given_control_is_used_and_a_made_one_follows_its_seed(pyramid, maps):
    original, start = maps
    given = validate(original, original, gaussian=start, pyramid=pyramid)
    assert given["distribution"]["std"]["gaussian"] == pytest.approx(start.std())
    one, other, again = (
        validate(original, original, pyramid=pyramid, seed=seed)["pixel_correlation"]["gaussian"]
        for seed in (1, 2, 1)
    )
    assert one == again != other


def test_constant_map_has_nulls_where_numbers_do_not_exist(pyramid, maps):
    report = validate(maps[0], np.full(NPIX, 2.0), pyramid=pyramid)
    assert report["distribution"]["skewness"]["synthesized"] is None
    assert report["pixel_correlation"]["synthesized"] is None
    assert report["distribution"]["mean"]["synthesized"] == 2.0


def test_pixels_outside_all_masks_do_not_enter_pixels_and_spectra(pyramid, maps):
    original, start = maps
    masks = np.zeros((2, NPIX))
    masks[0, :80], masks[1, 60:130] = 1.0, 1.0
    changed = np.where(masks.max(axis=0) > 0, start, 1e3)
    one, other = (validate(original, map, pyramid=pyramid, mask=masks) for map in (start, changed))
    for key in ("distribution", "pixel_correlation", "power_spectrum_ratio"):
        assert one[key]["std" if key == "distribution" else "synthesized"] == pytest.approx(
            other[key]["std" if key == "distribution" else "synthesized"]
        )
    assert one["distribution"]["mean"]["synthesized"] == pytest.approx(start[:130].mean())


@pytest.mark.parametrize("name", ["original", "synthesized", "start", "gaussian"])
@pytest.mark.parametrize("bad", [np.zeros(48), np.full(NPIX, np.nan)], ids=["shape", "NaN"])
def test_bad_maps_are_refused_by_name(pyramid, maps, name, bad):
    good = dict.fromkeys(["original", "synthesized", "start", "gaussian"], maps[0]) | {name: bad}
    with pytest.raises(ValueError, match=name):
        validate(pyramid=pyramid, **good)


@pytest.mark.parametrize(
    "mask",
    [np.ones(48), np.zeros(NPIX), -np.ones(NPIX), np.full(NPIX, np.nan), np.full(NPIX, "a")],
    ids=["shape", "empty", "negative", "NaN", "text"],
)
def test_bad_masks_are_refused_by_name(pyramid, maps, mask):
    with pytest.raises(ValueError, match="mask: got"):
        validate(maps[0], maps[1], pyramid=pyramid, mask=mask)


def test_finite_or_none_reaches_every_level():
    tree = {"a": [1.0, float("nan"), {"b": float("inf")}], "c": 3, "d": "text"}
    assert finite_or_none(tree) == {"a": [1.0, None, {"b": None}], "c": 3, "d": "text"}
