"""Runs of maps with hidden pixels: what is read, made, validated and written."""

import json

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat.maps import UNSEEN
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.overrides import ConfigError
from jaxscat.run.problem import prepare
from jaxscat.run.validate import validate_run

NPIX = 768
GENERATOR = np.random.default_rng(0)
MAP, SECOND = GENERATOR.gamma(2.0, size=(2, NPIX))
SEEN = np.arange(NPIX) < 600
WEIGHTS = np.random.default_rng(5).random(NPIX)


def write_map(path, map=MAP, hidden=UNSEEN, seen=SEEN):
    values = np.where(seen, map, hidden).astype(np.float32)
    healpy.write_map(path, values, nest=True, overwrite=True, dtype=np.float32)
    return path


def settings(path, **sections):
    tree = {
        "data": {"path": str(path), "unseen": "mask"},
        "pyramid": {"orientations": 2, "scales": 2},
        "synthesis": {"seeds": [1, 2], "max_steps": 6},
        "run": {"name": "trial", "precision": "float64"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def run(tmp_path_factory, without_figures_in_module):
    folder = tmp_path_factory.mktemp("runs")
    config = settings(write_map(folder / "map.fits"))
    return run_experiment(config, folder / "hidden")


def columns(folder):
    table = fits.getdata(folder / "maps.fits", 1)
    return {name: np.asarray(table[name], float).ravel() for name in table.names}


def test_new_maps_have_data_where_the_original_has(run):
    found = columns(run.folder)
    assert list(found) == ["ORIGINAL", "START", "SEED_1", "SEED_2", "MASK_1"]
    for name, map in found.items():
        if name == "MASK_1":
            np.testing.assert_array_equal(map, SEEN)
        else:
            np.testing.assert_array_equal(map[~SEEN], np.float32(UNSEEN))
            assert np.abs(map[SEEN]).max() < 100
    np.testing.assert_array_equal(found["ORIGINAL"][SEEN], MAP.astype(np.float32)[SEEN])


def test_results_and_report_say_how_much_of_the_sky_it_is(run):
    sky = run.results["sky"]
    assert sky["hidden"] == "exclude" and sky["sky_fraction"] == pytest.approx(600 / 768)
    assert [row["nside"] for row in sky["scales"]] == [8, 4]
    assert all(0 < row["pairs"] < row["coefficients"] < 1 for row in sky["scales"])
    written = json.loads((run.folder / "validation.json").read_text())
    assert written["sky"] == sky
    page = (run.folder / "report.html").read_text()
    assert "78 % of the sky; hidden pixels are kept out." in page
    assert written["controls"] == {"gaussian": 8, "filtered": 8}


def test_validating_the_folder_again_finds_the_same(run):
    reports = validate_run(run.folder).reports
    for row, report in zip(run.results["seeds"], reports.values(), strict=True):
        for group in ("distances", "scattering"):
            for name, values in report[group].items():
                for column, value in values.items():
                    expected = row["validation"][group][name][column]
                    if expected is None:  # as the tolerance of what is measured under a mask
                        assert value is None, (name, column)
                    else:
                        assert value == pytest.approx(expected, rel=1e-3, abs=1e-4), (name, column)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"synthesis": {"gaussianize": True}},
        {"synthesis": {"form": "harmonic"}},
        {"synthesis": {"first_nside": 4}, "pyramid": {"scales": 3}},
        {"target": {"hidden": "patch"}},
        {"target": {"hidden": "patch"}, "synthesis": {"first_nside": 4}, "pyramid": {"scales": 3}},
        {"target": {"hidden": "interior"}, "pyramid": {"scales": 1}},
        {"target": {"alignment": "target", "normalization": "target"}},
        {"target": {"mask_threshold": 0.3, "reduction": "isotropic"}},
        {"data": {"transform": "standardise"}},
    ],
    ids=lambda changes: " ".join(
        f"{key}={value}" for entries in changes.values() for key, value in entries.items()
    ),
)
def test_what_stands_in_hidden_pixels_changes_no_bit(tmp_path, changes, without_figures):
    """Of any number that is made or measured; with a second map, a mask and several seeds."""
    found = []
    for place, (other, beside) in enumerate([(UNSEEN, np.nan), (np.nan, UNSEEN)]):
        folder = tmp_path / str(place)
        folder.mkdir()
        weights = np.maximum(WEIGHTS, 0.2)
        np.save(folder / "mask.npy", weights * (np.arange(NPIX) >= 40))
        target = {
            "second": str(write_map(folder / "second.fits", SECOND, beside)),
            "mask": str(folder / "mask.npy"),
        }
        if "synthesis" in changes or "alignment" in changes.get("target", {}):
            target.pop("second")
        known = np.where(np.arange(NPIX) < 40, 50.0 * place, MAP)  # under the mask file
        path = write_map(folder / "map.fits", known, other)
        sections = {**changes, "target": target | changes.get("target", {})}
        outcome = run_experiment(settings(path, **sections), folder / "run")
        rows = outcome.results["seeds"]
        found.append(
            (
                columns(outcome.folder),
                [(row["validation"], row["final_loss"], row["nsteps"]) for row in rows],
                outcome.results["sky"],
            )
        )
    one, two = found
    hidden = ~SEEN | (np.arange(NPIX) < 40)
    for name in one[0]:
        np.testing.assert_array_equal(one[0][name], two[0][name])
        if name != "MASK_1":
            np.testing.assert_array_equal(one[0][name][hidden], np.float32(UNSEEN))
    assert one[1:] == two[1:]


def test_hidden_part_is_free_on_request_and_it_is_said(tmp_path, without_figures):
    path = write_map(tmp_path / "map.fits")
    config = settings(path, synthesis={"seeds": [1], "hidden_part": "free"})
    outcome = run_experiment(config, tmp_path / "run")
    found = columns(outcome.folder)
    np.testing.assert_array_equal(found["ORIGINAL"][~SEEN], np.float32(UNSEEN))
    # Nothing moves it: it is the start's.
    np.testing.assert_allclose(found["SEED_1"][~SEEN], found["START"][~SEEN], rtol=1e-6)
    assert np.abs(found["SEED_1"] - found["START"])[SEEN].max() > 0.01
    assert "it has no texture" in (outcome.folder / "report.html").read_text()


def test_patch_is_made_by_the_wavelets_of_its_pixels(tmp_path):
    config = settings(write_map(tmp_path / "map.fits"), target={"hidden": "patch"})
    ready = prepare(config)
    np.testing.assert_array_equal(ready.cells, np.flatnonzero(SEEN))
    assert ready.pyramid.spec.cell_count == 600 and ready.start(1).shape == (600,)
    whole = ready.restore(ready.start(1))
    np.testing.assert_array_equal(whole[SEEN], ready.working.start(1)[SEEN])
    np.testing.assert_allclose(whole[~SEEN], ready.original[SEEN].mean())
    several = ready.restore(np.stack([ready.start(1), ready.start(2)]))
    np.testing.assert_array_equal(several[0], whole)


def test_patch_of_a_map_without_holes_is_the_whole_sphere(tmp_path):
    np.save(tmp_path / "map.npy", MAP)
    ready = prepare(settings(tmp_path / "map.npy", target={"hidden": "patch"}))
    assert ready.cells is None and ready.pyramid.spec.cell_count is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"target": {"hidden": "patch"}, "synthesis": {"form": "harmonic"}},
            "synthesis.form = 'harmonic' only if target.hidden is not 'patch'",
        ),
        (
            {"target": {"hidden": "patch"}, "synthesis": {"hidden_part": "free"}},
            "synthesis.hidden_part = 'free' only if target.hidden is not 'patch'",
        ),
        ({"target": {"hidden": "ignore"}}, "target.hidden = 'ignore': expected 'exclude'"),
    ],
)
def test_what_cannot_be_combined_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings("map.fits", **changes)


def test_masks_that_leave_too_little_are_refused_before_anything_is_compiled(tmp_path):
    few = write_map(tmp_path / "few.fits", seen=np.arange(NPIX) < 99)
    with pytest.raises(ValueError, match=r"^mask: got 99 of 768 pixels with weight, expected at"):
        prepare(settings(few))
    path = write_map(tmp_path / "map.fits")
    with pytest.raises(ValueError, match=r"^target.hidden: got 'include' for maps with 168 pixels"):
        prepare(settings(path, target={"hidden": "include"}))
    scattered = write_map(tmp_path / "scattered.fits", seen=WEIGHTS < 0.7)
    with pytest.raises(ValueError, match=r"^mask: got one that leaves 0 % of the finest scale"):
        prepare(settings(scattered, target={"hidden": "interior"}))
    interior = {"hidden": "interior", "coarsest_nside": 4}
    with (
        pytest.raises(ValueError, match=r"^coarsest_nside: got 4, but hidden='interior' leaves"),
        pytest.warns(UserWarning, match="left out"),
    ):
        prepare(
            settings(write_map(tmp_path / "half.fits", seen=np.arange(NPIX) < 192), target=interior)
        )


def test_two_maps_that_lack_different_pixels_share_what_both_have(tmp_path):
    path = write_map(tmp_path / "map.fits")
    second = write_map(tmp_path / "second.fits", SECOND, seen=np.arange(NPIX) >= 100)
    with pytest.warns(UserWarning, match=r"^target.second: lacks other pixels than the first"):
        ready = prepare(settings(path, target={"second": str(second)}))
    np.testing.assert_array_equal(ready.inputs.mask, SEEN & (np.arange(NPIX) >= 100))
