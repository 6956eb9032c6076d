import csv
import json
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pytest

from jaxscat.cli.tables import result_tables
from jaxscat.minimization.result import Result
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.run import results as run_results
from jaxscat.run.config import config_from_tree
from jaxscat.run.maps import read_run_unit
from jaxscat.run.provenance import Clock
from jaxscat.run.results import (
    describe_unit,
    has_diverged,
    overall_status,
    write_history,
    write_results,
)
from jaxscat.run.synthesis import Synthesized
from jaxscat.validation import validate

NPIX = 48


def field(seed):
    return np.random.default_rng(seed).gamma(2.0, size=NPIX)


def made(seed, losses=(3.0, 2.0, 1.0)):
    return Result(
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
    run = Synthesized("map.npy", field(0), mask, pyramid, starts, results, {})
    clock, stages = Clock(), []
    found, validation = write_results(folder, config, run, clock=clock, stage=stages.append)
    assert stages == ["validating", "writing"] and clock.seconds["validation"] > 0
    assert found == json.loads((folder / "results.json").read_text())
    assert validation.seeds == [row["seed"] for row in found["seeds"]]
    for row in found["seeds"]:
        assert row["validation"] == validation.reports[row["seed"]]
    assert found.get("ensemble") == validation.ensemble
    return found


def test_unit_and_frame_of_the_original_are_kept(tmp_path, pyramid, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        run_results, "plot_summary", lambda *_, **how: drawn.append(how["unit"]) or plt.figure()
    )
    config = config_from_tree({"data": {"path": "map.npy"}, "run": {"name": "trial"}})
    run = Synthesized(
        "map.npy", field(0), None, pyramid, {1: field(101)}, {1: made(1)}, {}, "a$b", "G"
    )
    found, _ = write_results(tmp_path, config, run, clock=Clock())
    assert (found["unit"], found["frame"]) == ("a$b", "G")
    assert found == json.loads((tmp_path / "results.json").read_text())
    assert read_run_unit(tmp_path) == "a$b" and drawn == [r"a\$b"]
    assert "in a$b" in result_tables(found)[0].title
    transformed = config_from_tree({"data": {"path": "map.npy", "transform": "exp"}})
    assert describe_unit(transformed, "K") == "exponential of standard deviations"
    assert describe_unit(config) == "map units"


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
    del report["verdict"]
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


def iterate_rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_history_is_a_table(tmp_path):
    result = made(1, losses=(2.5, 1.25))._replace(evaluations=np.array([1, 3]))
    write_history(tmp_path / "h.csv", {1: result})
    assert iterate_rows(tmp_path / "h.csv") == [
        {"seed": "1", "step": "0", "loss": "2.5", "evaluations": "1"},
        {"seed": "1", "step": "1", "loss": "1.25", "evaluations": "3"},
    ]


def test_history_has_a_column_for_each_term_of_the_loss(tmp_path):
    class Result(NamedTuple):
        losses: np.ndarray
        evaluations: np.ndarray
        terms: dict[str, np.ndarray]

    def result(scattering, power):
        terms = {"scattering": np.array(scattering), "power": np.array(power)}
        return Result(sum(terms.values()), np.arange(1, 3), terms)

    write_history(
        tmp_path / "h.csv", {7: result([2.0, 1.0], [0.5, 0.25]), 3: result([4.0, 3.0], [0.0, 0.5])}
    )
    found = [tuple(map(float, row.values())) for row in iterate_rows(tmp_path / "h.csv")]
    names = ["seed", "step", "loss", "evaluations", "scattering", "power"]
    assert list(iterate_rows(tmp_path / "h.csv")[0]) == names
    assert found == [
        (7, 0, 2.5, 1, 2.0, 0.5),
        (7, 1, 1.25, 2, 1.0, 0.25),
        (3, 0, 4.0, 1, 4.0, 0.0),
        (3, 1, 3.5, 2, 3.0, 0.5),
    ]


@pytest.mark.parametrize(
    ("statuses", "asked", "expected"),
    [
        (["step limit", "converged"], 2, "step limit"),
        (["step limit"], 2, "interrupted"),
        (["not finite", "interrupted"], 2, "interrupted"),
        (["step limit", "not finite"], 2, "not finite"),
        (["step limit", "not finite: power"], 2, "not finite: power"),
    ],
)
def test_status_of_a_run_is_a_failure_or_that_of_the_first_seed(statuses, asked, expected):
    assert overall_status(statuses, asked) == expected
    assert has_diverged(expected) is ("not finite" in expected)
