import json

import numpy as np
import pytest

import jaxscat
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation import validate
from jaxscat.validation.rows import iterate_rows

NPIX = 12 * 4**2


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4)


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(0)
    original = rng.gamma(2.0, size=NPIX)
    start = rng.standard_normal(NPIX)
    return original, start


def test_copy_is_perfect_and_its_start_and_control_are_not(pyramid, maps):
    original, start = maps
    report = validate(original, original, start=start, pyramid=pyramid, controls=3)
    assert report["pixel_correlation"]["synthesized"] == pytest.approx(1.0)
    assert report["power_spectrum_ratio"]["synthesized"] == pytest.approx(1.0)
    assert report["scattering_error"]["synthesized"] == 0.0
    assert report["scattering_improvement_pct"] == pytest.approx(100.0)
    assert set(report["scattering"]) == {"S1", "S2", "S3", "S4"}
    for values in report["scattering"].values():
        assert values["synthesized"] == 0.0
        assert values["start"] > 0.1 and values["gaussian"] > 0.01 < values["filtered"]
    for part in report["correlation_ranges"]:
        assert part["correlation"]["synthesized"] == pytest.approx(1.0)
    for name, values in report["distances"].items():
        if name not in ("power_spectrum", "peaks", "minima"):  # too small a map
            assert values["synthesized"] == pytest.approx(0.0, abs=1e-12)
            assert values["gaussian"] > 0 and values["filtered"] > 0
    for part in report["power_spectrum_bins"]:
        assert part["ratio"]["synthesized"] == pytest.approx(1.0)
    skewness = report["distribution"]["skewness"]
    assert skewness["original"] > 1.0 > abs(skewness["gaussian"])
    assert abs(skewness["filtered"]) < 1.0


def test_every_row_has_every_map_and_goes_to_json(pyramid, maps):
    original, start = maps
    report = validate(original, start, start=start, pyramid=pyramid)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    controls = {"gaussian", "gaussian_std", "filtered", "filtered_std"}
    others = {"start", "synthesized"} | controls
    for row in report["distribution"].values():
        assert set(row) == {"original", *others}
    single = ("pixel_correlation", "power_spectrum_ratio", "scattering_error")
    for row in report["scattering"].values():
        assert set(row) == others | {"tolerance"}
    for name, row in report["distances"].items():
        counts = {"worst_threshold", "worst_difference"} if name in ("peaks", "minima") else set()
        assert set(row) == others | {"tolerance"} | counts
    for row in (report[name] for name in single):
        assert set(row) == others
    assert [set(part) for part in report["correlation_ranges"]] == [
        {"l_min", "l_max", "chance", "correlation"}
    ] * 2
    for part in report["power_spectrum_bins"]:
        assert set(part) == {"l_min", "l_max", "ratio"}
        assert set(part["ratio"]) == others | {"tolerance"}


def test_without_a_start_there_is_no_improvement(pyramid, maps):
    report = validate(maps[0], maps[1], pyramid=pyramid, controls=0)
    assert "scattering_improvement_pct" not in report
    assert "start" not in report["pixel_correlation"]


def test_default_pyramid_is_that_of_the_map(maps):
    report = validate(maps[0], maps[0], controls=0)
    assert report["scattering_error"]["synthesized"] == 0.0


def test_controls_follow_their_seed_and_leave_numpys_generator(pyramid, maps):
    original, _ = maps
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    one, other, again = (
        validate(original, original, pyramid=pyramid, controls=2, seed=seed) for seed in (1, 2, 1)
    )
    assert np.array_equal(np.random.get_state()[1], state)
    assert one == again != other
    row = one["distribution"]["mean"]
    for kind in ("gaussian", "filtered"):
        assert row[kind] == pytest.approx(row["original"], rel=1e-12)
        assert row[f"{kind}_std"] < 1e-12 * row["original"]
    # The power is right on average; of white noise a quarter is beyond the harmonics.
    row = one["distribution"]["std"]
    for kind, part in (("gaussian", 0.75), ("filtered", 1.0)):
        assert row[kind] == pytest.approx(np.sqrt(part) * row["original"], rel=0.15)
        assert row[f"{kind}_std"] > 1e-3 * row["original"]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "1", None])
def test_bad_seeds_are_refused(pyramid, maps, seed):
    with pytest.raises(ValueError, match=r"^seed: got .*, expected an integer from 0 to 4294967"):
        validate(*maps, pyramid=pyramid, seed=seed)


def test_seeds_of_all_controls_are_in_range(pyramid, maps):
    with pytest.raises(ValueError, match=r"^seed \+ controls - 1: got 4294967296, expected"):
        validate(*maps, pyramid=pyramid, seed=2**32 - 1, controls=2)


def test_patch_is_compared_as_the_same_pixels_under_a_mask(maps):
    """All but the scattering covariances, whose wavelets are one-sided at the edge of a patch."""
    cells = np.random.default_rng(3).permutation(192)[:150]
    options = {"scales": 1, "orientations": 1, "dtype": np.float64}
    patch = build_pyramid(4, cell_ids=cells, **options)
    found = validate(*(map[cells] for map in maps), pyramid=patch, controls=1)
    mask = np.zeros(192)
    mask[cells] = 1
    expected = validate(*maps, pyramid=build_pyramid(4, **options), mask=mask, controls=1)
    for name, rows in expected.items():
        if name == "verdict":
            continue
        assert (found[name] == rows) != name.startswith("scattering"), name
    own = [jaxscat.measure(map[cells], patch).s1 for map in maps]
    relative = np.linalg.norm(own[1] - own[0]) / np.linalg.norm(own[0])
    assert found["scattering"]["S1"]["synthesized"] == pytest.approx(relative)


def test_maps_of_another_number_of_pixels_than_the_patch_are_refused(maps):
    patch = build_pyramid(4, scales=1, orientations=1, cell_ids=np.arange(64), dtype=np.float64)
    with pytest.raises(ValueError, match=r"^original: got 192 pixels, expected 64 as the pyramid"):
        validate(*maps, pyramid=patch, controls=0)


@pytest.mark.parametrize("controls", [-1, True, 1.5, "2", None, float("nan")])
def test_bad_numbers_of_controls_are_refused(pyramid, maps, controls):
    with pytest.raises(ValueError, match=r"^controls: got .*, expected an integer from 0 up$"):
        validate(*maps, pyramid=pyramid, controls=controls)


def test_several_maps_have_a_report_each_and_one_together(pyramid, maps):
    original, start = maps
    made = np.stack([original, start, original[::-1]])
    report = validate(original, made, start=made[::-1], pyramid=pyramid, controls=2)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["maps"] == [
        validate(original, map, start=begun, pyramid=pyramid, controls=2)
        for map, begun in zip(made, made[::-1], strict=True)
    ]
    assert report["seeds"] == [0, 1, 2]
    matrix = report["pixel_correlation"]["matrix"]
    np.testing.assert_allclose(matrix, np.corrcoef([original, *made]), atol=1e-12)
    rows = [each["pixel_correlation"]["synthesized"] for each in report["maps"]]
    assert report["quantities"][10]["name"] == "pixel correlation"
    assert report["quantities"][10]["mean"] == pytest.approx(np.mean(rows))
    # One of the three is the original; on large scales there are too few modes to tell.
    assert [entry["copied"] for entry in report["copies"]] == [None, True]


def test_one_map_with_an_axis_of_maps_is_no_ensemble(pyramid, maps):
    original, start = maps
    report = validate(original, start[None], pyramid=pyramid, controls=0)
    one = validate(original, start, pyramid=pyramid, controls=0)
    assert report == {"verdict": one["verdict"], "maps": [one]}


@pytest.mark.parametrize(
    ("made", "start"), [((), (1,)), ((1,), ()), ((2,), (3,)), ((2,), ()), ((3,), (1,))]
)
def test_starts_of_another_shape_are_refused(pyramid, maps, made, start):
    shapes = [(*axis, NPIX) for axis in (made, start)]
    synthesized, begun = (np.broadcast_to(maps[1], shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"^start: got shape \(.*as synthesized$"):
        validate(maps[0], synthesized, start=begun, pyramid=pyramid, controls=0)


def test_no_map_is_refused(pyramid, maps):
    with pytest.raises(ValueError, match=r"^synthesized: got no map, expected at least one"):
        validate(maps[0], np.zeros((0, NPIX)), pyramid=pyramid)


@pytest.mark.parametrize("name", ["synthesized", "start"])
@pytest.mark.parametrize("bad", [np.zeros(48), np.full(NPIX, np.nan)], ids=["shape", "NaN"])
def test_bad_maps_among_several_are_refused_by_number(pyramid, maps, name, bad):
    size = bad.size
    several = np.stack([maps[0][:size], bad])
    given = {"synthesized": np.stack([maps[0]] * 2)} | {name: several}
    number = 0 if size == 48 else 1
    with pytest.raises(ValueError, match=rf"^{name}\[{number}\]: got"):
        validate(maps[0], pyramid=pyramid, **given)


def test_constant_map_has_nulls_where_numbers_do_not_exist(pyramid, maps):
    flat = np.full(NPIX, 2.0)
    report = validate(maps[0], flat, start=flat, pyramid=pyramid, controls=2)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["distribution"]["skewness"]["synthesized"] is None
    assert report["pixel_correlation"]["synthesized"] is None
    assert report["distribution"]["mean"]["synthesized"] == 2.0


def without_scattering(report):
    """All numbers of a report but those that reach beyond a mask."""
    return {
        f"{row.group} {row.name} {column}": number
        for row in iterate_rows(report)
        if not row.group.startswith("scattering")
        for column, number in row.values.items()
    }


def test_pixels_outside_all_masks_do_not_enter(pyramid, maps):
    original, start = maps
    masks = np.zeros((2, NPIX))
    masks[0, :80], masks[1, 60:130] = 1.0, 1.0
    changed = np.where(masks.max(axis=0) > 0, start, 1e3)
    hidden = np.where(masks.max(axis=0) > 0, original, -1e3)
    one, other, third = (
        validate(*pair, pyramid=pyramid, mask=masks, start=pair[1], controls=2)
        for pair in ((original, start), (original, changed), (hidden, changed))
    )
    expected = without_scattering(one)
    assert len(expected) > 100
    missing = {name for name, number in expected.items() if number is None}
    known = {name: number for name, number in expected.items() if number is not None}
    for found in (other, third):
        numbers = without_scattering(found)
        assert {name for name, number in numbers.items() if number is None} == missing
        same = {name: numbers[name] for name in known}
        assert same == pytest.approx(known, rel=1e-7, abs=1e-9)
        chances = [
            [part["chance"] for part in report["correlation_ranges"]] for report in (one, found)
        ]
        assert chances[0] == pytest.approx(chances[1], rel=1e-9)
    assert one["distribution"]["mean"]["synthesized"] == pytest.approx(start[:130].mean())


@pytest.mark.parametrize("name", ["original", "synthesized", "start"])
@pytest.mark.parametrize("bad", [np.zeros(48), np.full(NPIX, np.nan)], ids=["shape", "NaN"])
def test_bad_maps_are_refused_by_name(pyramid, maps, name, bad):
    good = dict.fromkeys(["original", "synthesized", "start"], maps[0]) | {name: bad}
    with pytest.raises(ValueError, match=rf"^{name}: got"):
        validate(pyramid=pyramid, **good)


@pytest.mark.parametrize(
    "mask",
    [np.ones(48), np.zeros(NPIX), -np.ones(NPIX), np.full(NPIX, np.nan), np.full(NPIX, "a")],
    ids=["shape", "empty", "negative", "NaN", "text"],
)
def test_bad_masks_are_refused_by_name(pyramid, maps, mask):
    with pytest.raises(ValueError, match="mask: got"):
        validate(maps[0], maps[1], pyramid=pyramid, mask=mask)
