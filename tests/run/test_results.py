import csv
import json

import numpy as np
import pytest

from jaxscat.minimization.result import Result as SynthesisResult
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.run.config import config_from_tree
from jaxscat.run.provenance import Clock
from jaxscat.run.results import Synthesized, write_results
from jaxscat.validation import validate

NPIX = 48


def field(seed):
    return np.random.default_rng(seed).gamma(2.0, size=NPIX)


def made(seed, losses=(3.0, 2.0, 1.0)):
    return SynthesisResult(
        map=field(seed),
        loss=losses[-1],
        losses=np.array(losses),
        evaluations=np.arange(1, 1 + len(losses)),
        status="step limit",
        steps=len(losses) - 1,
        compile_seconds=1.0,
        run_seconds=2.0,
    )


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(2, orientations=2, scales=1, dtype=np.float64)


def written(folder, pyramid, results, mask=None):
    config = config_from_tree({"data": {"path": "map.npy"}, "run": {"name": "trial"}})
    starts = {seed: field(100 + seed) for seed in results}
    run = Synthesized("map.npy", field(0), mask, starts, results)
    clock, stages = Clock(), []
    found, validation = write_results(
        folder, config, run, pyramid, clock=clock, stage=stages.append
    )
    assert stages == ["validating", "writing"] and clock.seconds["validation"] > 0
    assert found == json.loads((folder / "results.json").read_text())
    assert validation.seeds == [row["seed"] for row in found["seeds"]]
    for row in found["seeds"]:
        assert row["validation"] == validation.reports[row["seed"]]
    assert found.get("ensemble") == validation.ensemble
    return found


def test_ensemble_under_masks_is_weighted_by_their_union(tmp_path, pyramid):
    masks = np.random.default_rng(5).random((2, NPIX)) * (np.arange(NPIX) < 40)
    results = {7: made(7), 3: made(3, losses=(5.0, 4.0)), 5: made(5)}
    found = written(tmp_path, pyramid, results, masks)
    weights = masks.max(axis=0)
    covariance = np.cov([field(seed) for seed in (0, 7, 3, 5)], aweights=weights)
    spread = np.sqrt(np.diagonal(covariance))
    matrix = np.array(found["ensemble"]["pixel_correlation"]["matrix"])
    np.testing.assert_allclose(matrix, covariance / np.outer(spread, spread), atol=1e-14)
    report = validate(field(0), field(3), start=field(103), pyramid=pyramid, mask=masks)
    (row,) = [row for row in found["seeds"] if row["seed"] == 3]
    assert row["validation"] == report
    std = report["distribution"]["std"]
    with (tmp_path / "ensemble.csv").open(newline="") as stream:
        (line,) = [line for line in csv.DictReader(stream) if line["quantity"] == "std"]
    controls = ["gaussian", "gaussian_std", "filtered", "filtered_std"]
    assert list(line) == ["quantity", "original", "chance", *controls, "SEED_7", "SEED_3", "SEED_5"]
    assert float(line["SEED_3"]) == std["synthesized"]
    assert float(line["filtered"]) == std["filtered"] and line["chance"] == ""
    with (tmp_path / "history.csv").open(newline="") as stream:
        rows = [(int(row["seed"]), float(row["loss"])) for row in csv.DictReader(stream)]
    assert rows == [(7, 3.0), (7, 2.0), (7, 1.0), (3, 5.0), (3, 4.0), (5, 3.0), (5, 2.0), (5, 1.0)]
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json", "maps.fits", "history.csv", "summary.png", "ensemble.csv", "ensemble.png"
    }  # fmt: skip


def test_one_seed_is_no_ensemble(tmp_path, pyramid):
    found = written(tmp_path, pyramid, {7: made(7)})
    assert "ensemble" not in found
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json", "maps.fits", "history.csv", "summary.png"
    }  # fmt: skip


def test_constant_map_leaves_gaps_in_the_ensemble(tmp_path, pyramid):
    flat = made(4)._replace(map=np.full(NPIX, 2.0))
    found = written(tmp_path, pyramid, {7: made(7), 4: flat})
    pixels = found["ensemble"]["pixel_correlation"]
    assert pixels["largest_between_seeds"] == {"seeds": [7, 4], "correlation": None}
    assert pixels["largest_with_original"]["seed"] == 7
    (skewness,) = [row for row in found["ensemble"]["quantities"] if row["name"] == "skewness"]
    assert skewness["seeds"] == 1 and skewness["std"] is None
    assert skewness["mean"] == found["validation"]["distribution"]["skewness"]["synthesized"]
