"""Numbers, figures and the page of reconstructions, as they stand in the folders of runs."""

import json

import numpy as np
import pytest

from jaxscat.cli.interrupts import _MAKING
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import check_destination
from jaxscat.run.reconstruction import STAGES
from jaxscat.run.reconstruction_report import join_chi2

NPIX = 12 * 4**2


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.random.default_rng(0).gamma(2.0, size=NPIX))
    return path


def run(folder, path, **sections):
    few = {"reconstruction": {"renewals": 1, "steps": 5}}
    return run_experiment(config_from_tree({"data": {"path": str(path)}} | few | sections), folder)


def test_signals_are_obeyed_while_maps_are_made():
    assert all(stage.startswith(_MAKING) for stage in STAGES.values())


def test_gaps_of_several_seeds_are_compared_drawn_and_described(map_file, tmp_path):
    outcome = run(
        tmp_path / "run",
        map_file,
        task={"kind": "inpaint"},
        gaps={"band": 20.0},
        reconstruction={"seeds": 2, "renewals": 1, "steps": 5},
    )
    results = json.loads((outcome.folder / "results.json").read_text())
    names = results["recovery"]["names"]
    assert names[-2:] == ["reconstruction", "mean"] and "diffusive" in names
    assert results["agreement"]["solutions"] == 2 and results["description"]
    assert results["recovery"]["truth"]["std"] > 0
    for name in ("summary.png", "agreement.png"):
        assert (outcome.folder / name).read_bytes().startswith(b"\x89PNG")
    page = (outcome.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "kind = &#34;inpaint&#34;" in page
    check_destination(outcome.folder, overwrite=True)  # all of it is known as written by runs


def test_without_a_truth_spectra_are_compared_with_what_the_data_say(map_file, tmp_path):
    noise = {"kind": "white", "standard_deviation": 0.5}
    mask = (np.arange(NPIX) > 20).astype(np.float64)
    np.save(tmp_path / "mask.npy", mask)
    outcome = run(
        tmp_path / "run",
        map_file,
        task={"kind": "denoise"},
        noise=noise,
        target={"mask": str(tmp_path / "mask.npy")},
    )
    row = outcome.results["recovery"]["rows"]["reconstruction"]
    assert row["residual"] is None and row["correlation"] is None
    assert all(np.isfinite(value) for value in row["power_ratio"])
    assert not outcome.results["truth"] and outcome.results["recovery"]["truth"] is None
    assert outcome.results["sky_fraction"] == pytest.approx(mask.mean())


def test_values_of_terms_are_joined_again():
    rows = [{"chi2": {"scattering": [3.0, 1.0]}}, {"chi2": {"scattering": [2.0]}}]
    assert join_chi2(rows[:1])["scattering"].tolist() == [3.0, 1.0]
    joined = join_chi2(rows)["scattering"]
    assert joined[0].tolist() == [3.0, 1.0] and joined[1, 0] == 2.0 and np.isnan(joined[1, 1])


def test_filters_that_know_the_spectrum_of_the_truth_stand_beside(map_file, tmp_path):
    noise = {"kind": "white", "standard_deviation": 1.0, "add_to_data": True}
    denoised = run(tmp_path / "one", map_file, task={"kind": "denoise"}, noise=noise)
    rows = denoised.results["recovery"]["rows"]
    best, estimated = (rows[name]["residual"] for name in ("wiener, true spectra", "wiener"))
    assert 0 < best < 1 and best < 1.05 * estimated
    assert "square-root wiener, true spectra" in rows
    assert "iener filter with the true spectra" in " ".join(denoised.results["description"])
    mixed = {"task": {"kind": "separate"}, "channels": {"mixing": [1.0, 3.0]}, "noise": noise}
    separated = run(tmp_path / "two", map_file, **mixed)
    rows = separated.results["recovery"]["rows"]
    assert 0 < rows["wiener, true spectra"]["residual"] < best
