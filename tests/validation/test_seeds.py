import json

import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation import validate
from jaxscat.validation.curves import curves_as_json
from jaxscat.validation.ensemble import copy_test, ensemble_report, quantity_scatter
from jaxscat.validation.seeds import validate_seeds
from jaxscat.validation.summary import verdict_lines

NPIX = 768


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, scales=1, orientations=1, dtype=np.float64)


@pytest.fixture(scope="module")
def maps():
    """An original, maps of three seeds and their starts; those of a run are float32."""
    drawn = np.random.default_rng(0).gamma(2.0, size=(7, NPIX)).astype(np.float32)
    made, starts = (dict(zip((7, 3, 5), each, strict=True)) for each in (drawn[1:4], drawn[4:]))
    return drawn[0], made, starts


@pytest.fixture(scope="module")
def found(pyramid, maps):
    original, made, starts = maps
    return validate_seeds(original, made, pyramid, start_of=starts.__getitem__, controls=2)


def test_each_seed_has_the_report_of_validate(found, maps, pyramid):
    original, made, starts = maps
    assert found.seeds == [7, 3, 5]
    for seed, report in found.reports.items():
        expected = validate(original, made[seed], start=starts[seed], pyramid=pyramid, controls=2)
        lines = expected.pop("verdict")
        assert report == expected
        assert lines == [line.as_json() for line in verdict_lines([report])]


def test_several_are_compared_with_each_other(found, maps):
    original, made, _ = maps
    expected = np.corrcoef(np.array([original, *made.values()], dtype=np.float64))
    np.testing.assert_allclose(found.correlations, expected, atol=1e-12)
    reports = list(found.reports.values())
    assert found.ensemble == ensemble_report([7, 3, 5], reports, found.correlations)


def test_several_maps_of_validate_are_seeds_from_0_up(found, maps, pyramid):
    original, made, starts = maps
    stacked, begun = (np.stack(list(each.values())) for each in (made, starts))
    many = validate(original, stacked, start=begun, pyramid=pyramid, controls=2)
    alone = [{k: v for k, v in each.items() if k != "verdict"} for each in many["maps"]]
    assert alone == list(found.reports.values())
    assert many["verdict"] == found.verdict()
    assert many["seeds"] == [0, 1, 2]
    assert many["quantities"] == found.ensemble["quantities"]
    assert many["copies"] == found.ensemble["copies"]


def test_json_has_everything_of_the_seeds(found):
    written = found.as_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    reports = list(found.reports.values())
    assert written == {
        "seeds": [7, 3, 5],
        "controls": {"gaussian": 2, "filtered": 2},
        "quantities": quantity_scatter(reports),
        "copies": copy_test(reports),
        "sky": None,
        "curves": curves_as_json(found.curves()),
        "maps": {"7": reports[0], "3": reports[1], "5": reports[2]},
    }
    shapes = {group: len(rows) for group, rows in found.curves()["V0"].groups.items()}
    assert shapes == {"synthesized": 3, "start": 3, "gaussian": 2, "filtered": 2}


def test_one_map_is_no_ensemble(maps, pyramid):
    original, made, _ = maps
    one = validate_seeds(original, {3: made[3]}, pyramid, controls=0)
    assert one.correlations is None and one.ensemble is None
    assert one.starts == {}
    written = one.as_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["controls"] == {"gaussian": 0, "filtered": 0}
    assert written["copies"][0]["scatter"] is None
    assert "start" not in one.reports[3]["pixel_correlation"]


def test_progress_hears_of_every_seed(maps, pyramid):
    original, made, _ = maps
    heard = []
    validate_seeds(
        original,
        made,
        pyramid,
        controls=0,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_a_mask_gives_the_footprint_of_the_correlations(maps, pyramid):
    original, made, _ = maps
    masks = np.zeros((2, NPIX), np.float32)
    masks[0, :300], masks[1, 200:500] = 1.0, 1.0
    changed = {seed: np.where(np.arange(NPIX) < 500, map, 1e4) for seed, map in made.items()}
    one = validate_seeds(original, made, pyramid, mask=masks, controls=0)
    other = validate_seeds(original, changed, pyramid, mask=masks, controls=0)
    expected = np.corrcoef(np.array([original, *made.values()], dtype=np.float64)[:, :500])
    for each in (one, other):
        np.testing.assert_allclose(each.correlations, expected, atol=1e-12)
    for name, row in one.reports[7]["distances"].items():
        same = other.reports[7]["distances"][name]["synthesized"]
        assert same == pytest.approx(row["synthesized"], rel=1e-8)
