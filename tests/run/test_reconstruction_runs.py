"""Runs of the tasks denoise, inpaint and separate: folders, truths, interrupts."""

import csv
import json
import tomllib

import jax
import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from jaxscat.cli.main import app
from jaxscat.io.maps import save_maps
from jaxscat.maps import UNSEEN
from jaxscat.progress import Observer
from jaxscat.reconstruction.result import MEANING
from jaxscat.run import execute, reconstruction, reconstruction_results
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.given import Given
from jaxscat.run.resolved import as_given
from jaxscat.run.validate import validate_run

NSIDE = 4
NPIX = 12 * NSIDE**2
ALWAYS = {"config.toml", "history.csv", "maps.fits", "report.html", "results.json", "run.json"}


class NoComparison:
    def to_json(self):
        return {"rows": {"data": {"residual": None}, "reconstruction": {"residual": 0.5}}}


@pytest.fixture(autouse=True)
def without_comparison(monkeypatch):
    """Numbers and figures of other rooms take most of the time of a short run."""
    monkeypatch.setattr(reconstruction_results, "assess_run", lambda config, found: NoComparison())
    monkeypatch.setattr(
        reconstruction_results, "describe_run", lambda *_: ["Nothing was compared."]
    )
    monkeypatch.setattr(
        reconstruction_results,
        "compare_seeds",
        lambda found: None if found.result.seeds is None else {"pairs": 0.5},
    )
    monkeypatch.setattr(reconstruction_results, "draw_run", lambda *_: None)
    monkeypatch.setattr(
        execute, "write_page", lambda folder, config: (folder / "report.html").touch()
    )


@pytest.fixture(scope="module")
def truth_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "truth.fits"
    truth = np.random.default_rng(0).gamma(2.0, size=NPIX)
    save_maps(path, {"T": truth}, units="uK", frame="G")
    return path


def denoising(path, **sections):
    tree = {
        "task": {"kind": "denoise"},
        "data": {"path": str(path)},
        "noise": {"kind": "white", "standard_deviation": 1.0, "add_to_data": True},
    }
    return settings(tree, **sections)


def filling(path, **sections):
    tree = {"task": {"kind": "inpaint"}, "data": {"path": str(path)}, "gaps": {"band": 20.0}}
    return settings(tree, **sections)


def separation(path, **sections):
    tree = {
        "task": {"kind": "separate"},
        "data": {"path": str(path)},
        "channels": {"mixing": [1.0, 2.0]},
        "contaminant": {
            **{"kind": "spectrum", "slope": -1.0},
            **{"standard_deviation": 1.0, "add_to_data": True},
        },
        "noise": {"kind": "white", "standard_deviation": 0.5, "add_to_data": True},
    }
    return settings(tree, **sections)


def settings(tree, **sections):
    common = {
        # A level so low that no renewal ends a run before its time.
        "reconstruction": {
            **{"renewals": 2, "steps": 10, "realizations": 8},
            "levels": {"scattering": 0.01},
        },
        "run": {"name": "trial"},
    }
    if tree["task"]["kind"] == "inpaint":
        common["reconstruction"] = {"renewals": 2, "steps": 10}
    tree = common | tree
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


def columns(folder):
    with fits.open(folder / "maps.fits") as units:
        return {name: np.asarray(units[1].data[name]).ravel() for name in units[1].columns.names}


def history(folder):
    with (folder / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_denoised_map_and_its_folder(truth_file, tmp_path):
    config = denoising(truth_file)
    outcome = run_experiment(config, tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results == outcome.results and outcome.status == results["status"]
    assert {path.name for path in outcome.folder.iterdir()} == ALWAYS
    assert not outcome.resumable and results["task"] == "denoise"
    assert results["meaning"] == MEANING[results["status"]]
    assert (results["unit"], results["frame"], results["nside"]) == ("uK", "G", NSIDE)
    assert results["truth"] and results["sky_fraction"] == 1.0
    assert results["recovery"] == NoComparison().to_json() and "agreement" not in results
    said, compared = results["description"]
    assert said == (
        f"The map of [data], {truth_file}, counts as the truth: white noise of standard deviation "
        "1 (noise.add_to_data = true) was added to it to make the data."
    )
    assert compared == "Nothing was compared."
    (row,) = results["seeds"]
    assert "seed" not in row and row["evaluations"] == results["evaluations"] > 0
    read = history(outcome.folder)
    assert [(r["renewal"], r["seed"], r["term"]) for r in read][:2] == [
        ("0", "", "scattering"),
        ("1", "", "scattering"),
    ]
    assert [float(r["chi2"]) for r in read] == row["chi2"]["scattering"]

    found = columns(outcome.folder)
    names = ["DATA", "RECONSTRUCTION", "WIENER", "SQUARE_ROOT_WIENER", "TRUTH"]
    assert list(found) == names
    with fits.open(truth_file) as units:
        np.testing.assert_array_equal(found["TRUTH"], units[1].data["T"].ravel())
    assert np.std(found["DATA"] - found["TRUTH"]) == pytest.approx(1.0, abs=0.15)
    with fits.open(outcome.folder / "maps.fits") as units:
        header = units[1].header
        assert header["STATUS2"] == results["status"] and header["COORDSYS"] == "G"
        assert {header[f"TUNIT{number}"] for number in range(1, 6)} == {"uK"}

    stored = config_from_tree(tomllib.loads((outcome.folder / "config.toml").read_text()))
    given = json.loads((outcome.folder / "run.json").read_text())["given"]
    assert as_given(stored, given) == config
    assert stored.data.nside is not None and stored.pyramid.scales is not None
    provenance = json.loads((outcome.folder / "run.json").read_text())
    assert {"map", "map_file", "data"} <= set(provenance["inputs_sha256"])
    assert {"load", "pyramid", "reconstruction", "total"} <= set(provenance["seconds"])
    again = run_experiment(config, outcome.folder, resume=True)
    assert not again.computed and again.results == results
    with pytest.raises(ValueError, match="task 'denoise', expected a synthesis"):
        validate_run(outcome.folder)


def test_a_truth_changes_no_bit_of_what_is_made_and_reaches_no_solver(
    truth_file, tmp_path, monkeypatch
):
    generator = np.random.default_rng(5)
    with fits.open(truth_file) as units:
        truth = units[1].data["T"].ravel()
    save_maps(tmp_path / "data.fits", {"T": truth + generator.normal(size=NPIX)}, units="uK")
    seen = []
    solve = reconstruction.solve

    def watched(config, given, pyramid, **options):
        seen.append(given)
        return solve(config, given, pyramid, **options)

    monkeypatch.setattr(reconstruction, "solve", watched)
    made = []
    for number in range(2):
        other = np.where(np.arange(NPIX) == 3, UNSEEN, generator.normal(size=NPIX))
        save_maps(tmp_path / f"truth_{number}.fits", {"T": other}, units="uK")
        config = denoising(
            tmp_path / "data.fits",
            noise={"add_to_data": False},
            data={"unseen": "mask"},
            truth={"path": str(tmp_path / f"truth_{number}.fits")},
        )
        outcome = run_experiment(config, tmp_path / f"run_{number}")
        found = columns(outcome.folder)
        kept = other.astype(np.float32)
        np.testing.assert_allclose(found.pop("TRUTH"), kept, rtol=1e-6)
        made.append({name: map.tobytes() for name, map in found.items()})
        assert not any(
            np.shape(value) == (NPIX,) and np.allclose(value, other)
            for value in vars(seen[-1]).values()
        )
        assert "truth" in json.loads((outcome.folder / "run.json").read_text())["inputs_sha256"]
    assert made[0] == made[1]
    assert all(type(given) is Given for given in seen) and "truth" not in Given.__annotations__


@pytest.mark.parametrize(
    ("nside", "unit", "message"),
    [
        (2, "uK", "truth.path: got .* of nside 2, expected nside 4 or larger"),
        (4, "K", "truth.path: got .* in 'K', expected 'uK'"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(truth_file, tmp_path, nside, unit, message):
    other = np.random.default_rng(1).normal(size=12 * nside**2)
    save_maps(tmp_path / "truth.fits", {"T": other}, units=unit)
    truth = {"path": str(tmp_path / "truth.fits")}
    config = denoising(truth_file, noise={"add_to_data": False}, truth=truth)
    with pytest.raises(ValueError, match=message):
        run_experiment(config, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["truth.fits"]


def test_filled_gaps_leave_the_observed_pixels_as_they_are(truth_file, tmp_path):
    config = filling(truth_file, reconstruction={"seeds": [4, 2]})
    outcome = run_experiment(config, tmp_path / "run")
    found = columns(outcome.folder)
    gaps = found["GAPS"] == 1
    np.testing.assert_array_equal(found["DATA"][gaps], np.float32(UNSEEN))
    for seed in (4, 2):
        made = found[f"RECONSTRUCTION_{seed}"]
        np.testing.assert_array_equal(made[~gaps], found["TRUTH"][~gaps])
        assert np.isfinite(made).all() and not np.allclose(made[gaps], found["TRUTH"][gaps])
    assert {"MEAN", "DIFFUSIVE", "GAUSSIAN_MEAN", "GAUSSIAN_REALIZATION"} <= set(found)
    assert [row["seed"] for row in outcome.results["seeds"]] == [4, 2]
    assert outcome.results["agreement"] == {"pairs": 0.5}
    assert outcome.results["sky_fraction"] == pytest.approx(np.mean(~gaps))
    assert {row["seed"] for row in history(outcome.folder)} == {"4", "2"}
    with fits.open(outcome.folder / "maps.fits") as units:
        assert (units[1].header["SEED2"], units[1].header["SEED3"]) == (4, 2)


def test_a_signal_is_separated_from_channels_that_are_made_or_read(truth_file, tmp_path):
    outcome = run_experiment(separation(truth_file), tmp_path / "made")
    found = columns(outcome.folder)
    assert list(found)[:4] == ["CHANNEL_1", "CHANNEL_2", "RECONSTRUCTION", "COMBINED"]
    assert {"CONTAMINANT", "TRUTH"} <= set(found)
    shared = found["CHANNEL_1"] - found["TRUTH"], found["CHANNEL_2"] - 2 * found["TRUTH"]
    assert np.corrcoef(*shared)[0, 1] > 0.6 and np.std(shared[0] - shared[1]) > 0.4

    paths = [tmp_path / f"{number}.fits" for number in (1, 2)]
    for number, path in enumerate(paths, start=1):
        save_maps(path, {"T": found[f"CHANNEL_{number}"]}, units="uK", frame="G")
    tree = separation(truth_file).model_dump(exclude_unset=True) | {"data": {}}
    tree["channels"] = tree["channels"] | {"paths": [str(path) for path in paths]}
    for name in ("noise", "contaminant"):
        tree[name] = tree[name] | {"add_to_data": False}
    again = run_experiment(config_from_tree(tree), tmp_path / "read")
    assert not again.results["truth"]
    made = columns(again.folder)["RECONSTRUCTION"]
    np.testing.assert_allclose(made, found["RECONSTRUCTION"], rtol=1e-3, atol=1e-3)
    save_maps(paths[1], {"T": found["CHANNEL_2"]}, units="K", overwrite=True)
    with pytest.raises(ValueError, match=r"channels.paths\[1\]: got .* in 'K', expected 'uK'"):
        run_experiment(config_from_tree(tree), tmp_path / "other")


class Ending(Observer):
    def __init__(self, error, looks):
        self.error, self.looks = error, looks

    def step(self, progress):
        self.looks -= 1
        if self.looks == 0:
            raise self.error


class Killed(BaseException):
    """It is not handled anywhere, so that it leaves on disk what a kill leaves."""


@pytest.mark.parametrize(("error", "looks"), [(Killed(), 3), (KeyboardInterrupt(), 2)])
def test_a_run_that_ends_anyhow_is_resumed_to_the_same_maps(truth_file, tmp_path, error, looks):
    config = denoising(
        truth_file,
        reconstruction={"seeds": 2},
        checkpoints={"every_steps": 10, "every_minutes": 0},
    )
    whole = run_experiment(config, tmp_path / "whole")
    folder, watched = tmp_path / "run", Ending(error, looks)
    if isinstance(error, KeyboardInterrupt):
        outcome = run_experiment(config, folder, observer=watched)
        assert outcome.status == "interrupted" and outcome.resumable
        assert outcome.results["meaning"] == MEANING["interrupted"]
        assert np.isfinite(columns(folder)["RECONSTRUCTION_0"]).all()
    else:
        with pytest.raises(Killed):
            run_experiment(config, folder, observer=watched)
    assert watched.looks == 0 and (tmp_path / "run.unfinished").is_dir()
    with pytest.raises(ValueError, match="noise.standard_deviation is 1.0 there and 2.0 now"):
        other = denoising(
            truth_file, noise={"standard_deviation": 2.0}, reconstruction={"seeds": 2}
        )
        run_experiment(other, folder, resume=True)
    resumed = run_experiment(config, folder, resume=True)
    assert resumed.status == whole.status and not (tmp_path / "run.unfinished").exists()
    one, two = columns(whole.folder), columns(folder)
    assert list(one) == list(two)
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)
    assert (folder / "history.csv").read_bytes() == (whole.folder / "history.csv").read_bytes()


@pytest.fixture
def precision_is_restored():
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("precision_is_restored")
def test_from_the_command_line(truth_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = denoising(truth_file)
    (tmp_path / "trial.toml").write_text(config.to_toml())
    words = ["run", "trial.toml", "--reconstruction.renewals", "1"]
    done = CliRunner().invoke(app, [*words, "--output", "out"])
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    for shown in (
        results["status"],
        "residual / signal",
        "reconstruction",
        "Nothing was compared.",
        "wrote out",
    ):
        assert shown in done.stdout
    assert "denoising" in done.stderr
    again = CliRunner().invoke(app, [*words, "--output", "out"])
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    bad = CliRunner().invoke(app, [*words, "--noise.standard_deviation", "-1"])
    assert bad.exit_code == 2 and "noise.standard_deviation = -1" in bad.stderr
