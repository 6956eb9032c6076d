import csv
import hashlib
import json
import shutil
import tomllib

import healpy
import jax
import numpy as np
import pytest
from astropy.io import fits

from jaxscat.fields.starts import gaussian_noise
from jaxscat.harmonics.spectra import angular_power_spectrum, multipole_bins
from jaxscat.io.maps import save_maps
from jaxscat.progress import Observer
from jaxscat.run import maps as run_maps
from jaxscat.run import problem
from jaxscat.run.config import config_from_tree, load_config
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import RunFolder
from jaxscat.run.processes import Processes
from jaxscat.run.provenance import Clock
from jaxscat.run.resolved import as_given
from jaxscat.run.synthesis import synthesize_run
from jaxscat.run.validate import validate_run

NSIDE = 4
NPIX = 12 * NSIDE**2


# The run of `outcome` has figures: it is made before the first of these is used.
pytestmark = pytest.mark.usefixtures("without_figures", "few_controls_in_module")


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.random.default_rng(0).gamma(2.0, size=NPIX).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def config(map_file):
    return settings(map_file)


def settings(map_file, **sections):
    tree = {
        "data": {"path": str(map_file)},
        "pyramid": {"scales": 1},
        "synthesis": {"seeds": [3, 4], "max_steps": 20},
        "run": {"name": "trial"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def outcome(config, tmp_path_factory, few_controls_in_module):
    return run_experiment(config, tmp_path_factory.mktemp("runs") / "trial")


def left_over(folder):
    return [path.name for path in folder.iterdir()]


def column(folder, name):
    with fits.open(folder / "maps.fits") as units:
        return np.asarray(units[1].data[name], dtype=np.float64).ravel()


def test_folder_holds_what_is_promised(outcome):
    assert sorted(path.name for path in outcome.folder.iterdir()) == [
        "config.toml",
        "ensemble.csv",
        "ensemble.png",
        "history.csv",
        "maps.fits",
        "report.html",
        "results.json",
        "run.json",
        "summary.png",
        "validation.json",
        "validation.png",
    ]
    assert [path.name for path in outcome.folder.parent.iterdir()] == ["trial"]


def test_results_have_the_reference_experiments_keys(outcome, map_file):
    results = json.loads((outcome.folder / "results.json").read_text())
    assert results == outcome.results
    for key in ("method", "original_paper", "domain", "elapsed_seconds", "device", "evaluations"):
        assert results[key]
    assert results["original_paper_doi"] == "10.1051/0004-6361/202244566"
    assert (results["data"], results["nside"]) == (str(map_file), NSIDE)
    assert set(results["statistics"]) == {
        "original_mean",
        "original_std",
        "synthesized_mean",
        "synthesized_std",
        "pixel_correlation",
        "power_spectrum_ratio",
        "scattering_error_start",
        "scattering_error_synth",
        "scattering_improvement_pct",
    }
    assert [row["seed"] for row in results["seeds"]] == [3, 4]
    assert results["final_loss"] == results["seeds"][0]["final_loss"]
    assert results["final_loss"] < 0.5 * results["start_loss"]
    assert results["validation"] == results["seeds"][0]["validation"]


def test_maps_are_nested_float32_and_the_ones_that_were_validated(outcome, map_file):
    with fits.open(outcome.folder / "maps.fits") as units:
        header, columns = units[1].header, units[1].columns
        assert header["ORDERING"] == "NESTED" and header["NSIDE"] == NSIDE
        assert columns.names == ["ORIGINAL", "START", "SEED_3", "SEED_4"]
        assert {part.format[-1] for part in columns} == {"E"}
    original = np.load(map_file)
    np.testing.assert_array_equal(column(outcome.folder, "ORIGINAL"), original)
    np.testing.assert_array_equal(column(outcome.folder, "START"), gaussian_noise(original, 3))
    std = outcome.results["statistics"]["synthesized_std"]
    assert column(outcome.folder, "SEED_3").std() == pytest.approx(std, rel=1e-5)
    other = outcome.results["seeds"][1]["statistics"]["synthesized_std"]
    assert column(outcome.folder, "SEED_4").std() == pytest.approx(other, rel=1e-5)


def test_history_goes_from_the_start_to_the_final_loss_of_each_seed(outcome):
    with (outcome.folder / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in outcome.results["seeds"]:
        mine = [part for part in rows if part["seed"] == str(row["seed"])]
        assert [int(part["step"]) for part in mine] == list(range(row["nsteps"] + 1))
        assert float(mine[0]["loss"]) == row["start_loss"]
        assert float(mine[-1]["loss"]) == row["final_loss"]
        assert int(mine[-1]["evaluations"]) == row["evaluations"] >= row["nsteps"]


def test_config_is_written_as_resolved(outcome, config):
    tree = tomllib.loads((outcome.folder / "config.toml").read_text())
    assert as_given(config_from_tree(tree), given_of(outcome.folder)) == config
    assert tree["target"]["sigma"] == "pixels"  # a default
    found = {"nside": NSIDE, "order": "NESTED"}  # what was unset
    assert found.items() <= tree["data"].items()
    assert (tree["pyramid"]["scales"], tree["target"]["coarsest_nside"]) == (1, NSIDE)


def given_of(folder):
    return json.loads((folder / "run.json").read_text())["given"]


def test_the_config_of_a_run_repeats_it_to_the_bit(tmp_path, monkeypatch, canned):
    """From another folder; what was unset was found in the file."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "Größe 1").mkdir()
    maps = {"first": rng.normal(size=NPIX), "second": rng.gamma(2.0, size=NPIX)}
    save_maps("Größe 1/maps.fits", maps, units={"second": "mK"}, frame="G")
    np.save("weights.npy", rng.uniform(size=NPIX))
    given = {"path": "Größe 1/maps.fits", "field": "second"}
    target = {"mask": "weights.npy", "mask_order": "RING"}
    synthesis = {"seeds": [1], "max_steps": 3}
    config = config_from_tree({"data": given, "target": target, "synthesis": synthesis})
    run_experiment(config, "one")
    text = (tmp_path / "one" / "config.toml").read_text()
    assert "# The map, as its file says: unit mK, frame G." in text
    tree = tomllib.loads(text)
    assert tree["data"] == {
        "path": str(tmp_path / "Größe 1" / "maps.fits"),
        **{"nside": NSIDE, "order": "NESTED", "field": "second", "hdu": 1, "unit": "mK"},
        **{"unseen": "refuse", "zero_hits": "data", "transform": "none"},
    }
    assert tree["target"]["mask"] == str(tmp_path / "weights.npy")
    assert (tree["pyramid"]["scales"], tree["target"]["coarsest_nside"]) == (3, 4)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = load_config(tmp_path / "one" / "config.toml")
    run_experiment(again, tmp_path / "two")
    for name in ("maps.fits", "history.csv"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert tomllib.loads((tmp_path / "two" / "config.toml").read_text()) == tree
    assert given_of(tmp_path / "two") == {}
    monkeypatch.chdir(tmp_path)
    for same in (config, again):  # it has ended, as it was given and as it was resolved
        assert not run_experiment(same, tmp_path / "one", resume=True).computed
    other = config_from_tree({"data": given, "target": target, "synthesis": {"seeds": [2]}})
    with pytest.raises(ValueError, match=r"synthesis.seeds is \[1\] there and \[2\] now"):
        run_experiment(other, tmp_path / "one", resume=True)


def test_run_json_says_with_what_and_how_long(outcome):
    run = json.loads((outcome.folder / "run.json").read_text())
    assert run["versions"]["jax"] == jax.__version__
    assert run["device"]["platform"] == jax.devices()[0].platform
    assert run["seeds"] == [3, 4]
    assert len(run["inputs_sha256"]["map_file"]) == 64
    parts = {"load", "pyramid", "target", "compile", "synthesis", "validation", "total"}
    assert set(run["seconds"]) == parts
    assert run["seconds"]["total"] > run["seconds"]["validation"] > 0.0
    for name in ("summary.png", "validation.png"):
        assert (outcome.folder / name).read_bytes().startswith(b"\x89PNG")


def test_validating_the_folder_again_gives_the_same_report(outcome, tmp_path):
    shutil.copytree(outcome.folder, tmp_path / "run")
    reports = validate_run(tmp_path / "run").reports
    assert list(reports) == [3, 4]
    for row, report in zip(outcome.results["seeds"], reports.values(), strict=True):
        assert_close(report, row["validation"])


def test_several_seeds_are_compared_with_each_other(outcome):
    found = json.loads((outcome.folder / "results.json").read_text())["ensemble"]
    names = ["ORIGINAL", "SEED_3", "SEED_4"]
    expected = np.corrcoef([column(outcome.folder, name) for name in names])
    assert found["seeds"] == [3, 4] and found["pixel_correlation"]["maps"] == names
    np.testing.assert_allclose(found["pixel_correlation"]["matrix"], expected, atol=1e-7)
    rows = [row["validation"] for row in outcome.results["seeds"]]
    correlations = [row["pixel_correlation"]["synthesized"] for row in rows]
    np.testing.assert_allclose(expected[0, 1:], correlations, atol=1e-7)
    (skewness,) = [row for row in found["quantities"] if row["name"] == "skewness"]
    values = [row["distribution"]["skewness"]["synthesized"] for row in rows]
    assert skewness["mean"] == pytest.approx(np.mean(values))
    assert skewness["std"] == pytest.approx(np.std(values, ddof=1))
    assert skewness["original"] == rows[0]["distribution"]["skewness"]["original"]
    with (outcome.folder / "ensemble.csv").open(newline="") as stream:
        table = {row["quantity"]: row for row in csv.DictReader(stream)}
    assert [float(table["skewness"][name]) for name in names[1:]] == values
    assert [row["name"] for row in found["quantities"]] == list(table)
    assert (outcome.folder / "ensemble.png").read_bytes().startswith(b"\x89PNG")


def test_more_seeds_than_a_file_holds_are_validated_again(
    config, outcome, tmp_path, monkeypatch, canned
):
    monkeypatch.setattr(run_maps, "SEEDS_PER_FILE", 1)
    split = run_experiment(config, tmp_path / "run", synthesize=canned)
    assert {"maps_001.fits", "maps_002.fits"} < set(left_over(tmp_path / "run"))
    reports = validate_run(tmp_path / "run").reports
    assert list(reports) == [3, 4]
    for row, report in zip(split.results["seeds"], reports.values(), strict=True):
        assert_close(report, row["validation"])
    monkeypatch.undo()
    run_experiment(config, tmp_path / "run", overwrite=True, synthesize=canned)
    assert sorted(left_over(tmp_path / "run")) == sorted(left_over(outcome.folder))


def assert_close(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key])
    elif isinstance(one, list):
        for left, right in zip(one, other, strict=True):
            assert_close(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    else:
        assert one == other


class Interrupting(Observer):
    def __init__(self, finished=0):
        self.finished = finished

    def step(self, progress):
        if progress.finished >= self.finished:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_best_maps_so_far(config, tmp_path):
    outcome = run_experiment(config, tmp_path / "run", observer=Interrupting())
    assert outcome.status == outcome.results["status"] == "interrupted"
    assert [row["seed"] for row in outcome.results["seeds"]] == [3, 4]
    for row in outcome.results["seeds"]:
        assert row["status"] == "interrupted" and 0 < row["nsteps"] < 20
        assert row["final_loss"] < row["start_loss"]
        assert np.isfinite(column(tmp_path / "run", f"SEED_{row['seed']}")).all()
    assert (tmp_path / "run" / "summary.png").exists()


def test_ctrl_c_leaves_out_seeds_that_were_not_begun(map_file, tmp_path, canned):
    one_by_one = settings(map_file, synthesis={"seeds": [3, 4], "max_steps": 20, "batch_size": 1})
    outcome = run_experiment(
        one_by_one, tmp_path / "run", observer=Interrupting(finished=1), synthesize=canned
    )
    assert outcome.status == outcome.results["status"] == "interrupted"
    (row,) = outcome.results["seeds"]
    assert row["seed"] == 3 and row["status"] == "step limit"
    assert np.isfinite(column(tmp_path / "run", "SEED_3")).all()
    # One map is no ensemble, however many were asked for.
    assert "ensemble" not in outcome.results
    assert not {"ensemble.csv", "ensemble.png"} & set(left_over(tmp_path / "run"))


def test_folder_without_its_maps_cannot_be_validated(outcome, tmp_path):
    shutil.copytree(outcome.folder, tmp_path / "run")
    maps = tmp_path / "run" / "maps.fits"
    save_maps(maps, {"START": np.arange(192.0)}, overwrite=True)
    with pytest.raises(ValueError, match="has the columns START; expected ORIGINAL and SEED_"):
        validate_run(tmp_path / "run")


def test_ctrl_c_before_the_synthesis_leaves_nothing(config, tmp_path):
    class Impatient(Observer):
        def stage(self, name):
            if "wavelets" in name:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, tmp_path / "run", observer=Impatient())
    assert left_over(tmp_path) == []


def test_taken_folder_is_refused_before_anything_is_read(config, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(problem, "read_inputs", lambda _: pytest.fail("must not be reached"))
    with pytest.raises(FileExistsError, match="run"):
        run_experiment(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(100), "100"),
        (np.full(NPIX, 2.0), "map"),
        (np.where(np.arange(NPIX) == 5, np.nan, np.arange(NPIX)), "map"),
        (np.arange(NPIX) * 1j, "complex"),
    ],
    ids=["length", "constant", "NaN", "complex"],
)
def test_bad_map_is_refused_and_leaves_nothing(tmp_path, values, message):
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(ValueError, match=message):
        run_experiment(settings(tmp_path / "bad.npy"), tmp_path / "out" / "run")
    assert left_over(tmp_path) == ["bad.npy"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"nside": 8}}, "nside"),
        ({"pyramid": {"scales": 9}}, "scales"),
        ({"target": {"coarsest_nside": 64}}, "coarsest_nside"),
        (
            {"data": {"nside": 1}, "synthesis": {"form": "harmonic"}},
            "^synthesis.form: 'harmonic' at nside: got 1, expected 2 to 256$",
        ),
    ],
)
def test_settings_that_do_not_fit_the_map_are_refused(map_file, tmp_path, sections, message):
    with pytest.raises(ValueError, match=message):
        run_experiment(settings(map_file, **sections), tmp_path / "run")
    assert left_over(tmp_path) == []


def test_float64_needs_the_64_bit_mode(map_file, tmp_path):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="jax_enable_x64"):
            run_experiment(settings(map_file, run={"precision": "float64"}), tmp_path / "run")
    finally:
        jax.config.update("jax_enable_x64", before)


def synthesized(config, folder):
    """What a run makes before anything is validated and written."""
    with RunFolder.open(folder, config).begin() as run:
        return synthesize_run(config, Observer(), run, Processes(), Clock())


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ({"max_evaluations": 5}, "evaluation limit"),
        ({"stagnation": 0.999, "max_steps": 100}, "stagnated"),
        ({"form": "harmonic"}, "step limit"),
    ],
    ids=str,
)
def test_synthesis_ends_as_its_config_says(map_file, tmp_path, entries, status):
    config = settings(map_file, synthesis=entries)
    made = synthesized(config, tmp_path / "run").made
    assert list(made) == [3, 4]
    for result in made.values():
        assert result.status == status and result.loss < result.losses[0]
        if status == "evaluation limit":
            # A step that is begun is ended.
            assert 5 <= result.evaluations[-1] < 20
        if status == "stagnated":
            assert result.steps % 25 == 0 and 0 < result.steps < 100


def test_harmonic_form_holds_the_power_spectrum(tmp_path):
    nside = 8
    noise = np.random.default_rng(0).normal(size=12 * nside**2)
    smooth = healpy.smoothing(noise, fwhm=0.4)
    np.save(tmp_path / "map.npy", np.exp(smooth / smooth.std()).astype(np.float32))
    config = settings(
        tmp_path / "map.npy",
        data={"order": "RING"},
        pyramid={"orientations": 2},
        synthesis={"form": "harmonic", "seeds": [3], "max_steps": 30},
    )
    run = synthesized(config, tmp_path / "run")
    assert run.made[3].loss < 0.5 * run.made[3].losses[0]
    found, expected = (angular_power_spectrum(map) for map in (run.made[3].map, run.original))
    for low, high in multipole_bins(nside):
        if high <= 1.5 * nside:
            bin = slice(low, high + 1)
            modes = 2 * np.arange(low, high + 1) + 1
            ratio = np.sum(modes * found[bin]) / np.sum(modes * expected[bin])
            assert ratio == pytest.approx(1.0, abs=0.02)
    assert np.abs(np.corrcoef(run.made[3].map, run.original)[0, 1]) < 0.9


def test_masked_run_keeps_its_masks_for_validation(map_file, tmp_path, canned, parts):
    masks = np.zeros((2, NPIX))
    masks[0, :100], masks[1, 50:] = 1.0, 0.5
    np.save(tmp_path / "mask.npy", masks)
    config = settings(
        map_file,
        target={"mask": str(tmp_path / "mask.npy"), "coarsest_nside": 4},
        synthesis={"seeds": [1], "max_steps": 10},
    )
    outcome = run_experiment(config, tmp_path / "run", synthesize=canned)
    np.testing.assert_array_equal(column(tmp_path / "run", "MASK_2"), masks[1])
    observer = parts
    found = validate_run(tmp_path / "run", observer).reports[1]
    assert_close(found, outcome.results["validation"])
    assert list(observer.stages) == ["building the wavelets", "validating", "writing the report"]
    done, total = observer.stages["building the wavelets"]
    assert done == total >= NPIX  # pixels of all scales
    assert observer.stages["validating"] == (1, 1)


def test_folder_that_no_run_has_written_cannot_be_validated(tmp_path):
    with pytest.raises(FileNotFoundError, match="maps.fits"):
        validate_run(tmp_path)


@pytest.fixture(scope="module")
def second_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("second") / "second.npy"
    np.save(path, np.random.default_rng(1).gamma(2.0, size=4 * NPIX))  # of twice the nside
    return path


@pytest.fixture(scope="module")
def short(map_file, tmp_path_factory, few_controls_in_module, no_figures):
    """A plain run of few steps, beside which others are set."""
    config = settings(map_file, synthesis={"max_steps": 3})
    with no_figures():
        return run_experiment(config, tmp_path_factory.mktemp("runs") / "short")


@pytest.mark.parametrize(
    ("section", "entries"),
    [
        ("pyramid", {"kernel_size": 5}),
        ("target", {"second": None}),
    ],
    ids=str,
)
def test_option_changes_the_run_and_is_written(
    map_file, second_file, short, tmp_path, section, entries
):
    if "second" in entries:
        entries = {"second": str(second_file)}
    config = settings(map_file, **{"synthesis": {"max_steps": 3}, section: entries})
    outcome = run_experiment(config, tmp_path / "run")
    tree = tomllib.loads((outcome.folder / "config.toml").read_text())
    assert as_given(config_from_tree(tree), given_of(outcome.folder)) == config
    assert entries.items() <= tree[section].items()
    for key in ("start_loss", "final_loss"):
        assert outcome.results[key] != pytest.approx(short.results[key], rel=1e-3)
    assert outcome.results["final_loss"] < outcome.results["start_loss"]
    one, other = (column(folder, "SEED_3") for folder in (outcome.folder, short.folder))
    assert np.abs(one - other).max() > 1e-3 * other.std()
    checksums = json.loads((outcome.folder / "run.json").read_text())["inputs_sha256"]
    if "second" in entries:
        assert len(checksums["second"]) == 64
        assert checksums["second_file"] == hashlib.sha256(second_file.read_bytes()).hexdigest()
    # The start is compared with the original as ever, whatever the target is.
    rows = [each.results["validation"]["distribution"]["std"] for each in (outcome, short)]
    assert rows[0]["start"] == rows[1]["start"]


def test_map_that_float32_cannot_hold_is_refused(map_file, tmp_path):
    np.save(tmp_path / "large.npy", 1e39 * np.load(map_file).astype(float))
    with pytest.raises(ValueError, match=r"^data: got values up to .*, which float32 cannot hold"):
        run_experiment(settings(tmp_path / "large.npy"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
