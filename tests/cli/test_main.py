import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import healpy
import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from jaxscat import (
    build_pyramid,
    load_map,
    load_statistics,
    measure,
    measure_fields,
    save_maps,
    save_statistics,
    standard_error,
)
from jaxscat.cli import main as cli
from jaxscat.cli import run as run_command
from jaxscat.cli.main import app
from jaxscat.run import problem

# Those of the report; measurements have theirs.
pytestmark = pytest.mark.usefixtures("without_figures")

NPIX = 12 * 4**2
# The command, without figures and with few controls: they take most of the time of a short run.
COMMAND = """
from functools import partial
from jaxscat.cli import main as cli
from jaxscat.run import report, results
class NoFigure:
    savefig = lambda self, file, **_: None
    get_layout_engine = lambda self: None
results.plot_summary = results.plot_ensemble = lambda *_, **__: NoFigure()
results.validate_seeds = partial(results.validate_seeds, controls=2)
report.plot_validation = lambda *_, **__: None
report.validation_figures = lambda *_, **__: {}
report.figure_png = lambda _: b""
cli.main()
"""
COPIES = (
    r"^correlation with the original: [+-]\d\.\d\d \(chance 0\.\d+\) at l = 1 to 3, .* "
    r"(Where it can be told, the maps|The new maps copy the original at l|"
    r"At l = .* there are too few).*\.$"
)


@pytest.fixture(autouse=True)
def restore_precision():
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a config of a tiny run and its map; the working directory."""
    np.save(tmp_path / "map.npy", np.random.default_rng(0).gamma(2.0, size=NPIX))
    (tmp_path / "tiny.toml").write_text(
        '[data]\npath = "map.npy"\norder = "NESTED"\n'
        "[pyramid]\nscales = 2\n[synthesis]\nmax_steps = 5\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def without_synthesis(monkeypatch, canned, few_controls):
    """The command `run` with maps that come from no synthesis, and few controls."""
    made = partial(run_command.run_experiment, synthesize=canned)
    monkeypatch.setattr(run_command, "run_experiment", made)


def invoke(*words):
    if words[0] == "measure" and "--order" not in words:
        words = (*words, "--order", "NESTED")  # of noise nobody can tell
    return invoke_as_it_is(*words)


def invoke_as_it_is(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_run_then_validate(project):
    result = invoke("run", "tiny.toml", "--synthesis.seeds", 1, 2, "--synthesis.max_steps", 4)
    assert result.exit_code == 0, result.output
    for word in ("scattering coefficient error", "Gaussian control", "2 seeds", "wrote runs/tiny"):
        assert word in result.stdout
    assert "the report is runs/tiny/report.html" in result.stdout
    assert "largest |correlation| between two maps: 0." in result.stdout
    results = json.loads((project / "runs" / "tiny" / "results.json").read_text())
    assert [row["seed"] for row in results["seeds"]] == [1, 2]
    assert results["seeds"][0]["nsteps"] <= 4
    assert "synthesizing 2 seeds" in result.stderr and "2/2 maps done" in result.stderr

    again = invoke("validate", "runs/tiny")
    assert again.exit_code == 0, again.output
    assert "runs/tiny: 2 seeds" in again.stdout
    files = [f"runs/tiny/{name}" for name in ("validation.json", "validation.png", "report.html")]
    assert again.stdout.splitlines()[-1] == f"wrote {', '.join(files)}"
    quantities = {row["name"]: row for row in results["ensemble"]["quantities"]}
    for shown in (result.stdout, again.stdout):
        assert "largest |correlation| between two maps: 0." in shown
        assert re.search(COPIES, shown, re.M)
        mean = re.search(r"S1 relative error *│ *│[^│]*│[^│]*│ *(\S+) │", shown)
        assert mean is not None
        expected = quantities["S1 relative error"]["mean"]
        assert float(mean[1]) == pytest.approx(expected, abs=2e-5)


@pytest.mark.usefixtures("without_synthesis")
def test_one_seed_has_its_own_table(project):
    result = invoke("run", "tiny.toml", "--synthesis.seeds", 2)
    assert result.exit_code == 0, result.output
    again = invoke("validate", "runs/tiny")
    assert again.exit_code == 0, again.output
    for shown in (result.stdout, again.stdout):
        assert "seed 2" in shown and "synthesized" in shown and "start" in shown
        assert "largest |correlation|" not in shown
        assert re.search(COPIES, shown, re.M)
    assert "runs/tiny: seed 2" in again.stdout
    assert again.stderr.splitlines() == [
        "building the wavelets",
        "validating",
        "writing the report",
    ]


def test_all_ways_of_synthesizing_together(project):
    options = ["--synthesis.form", "harmonic", "--synthesis.first_nside", 2, "--data.transform"]
    options += ["exp", "--synthesis.max_evaluations", 9, "--synthesis.stagnation", 0.01]
    result = invoke("run", "tiny.toml", *options)
    assert result.exit_code == 0, result.output
    folder = project / "runs" / "tiny"
    results = json.loads((folder / "results.json").read_text())
    assert results["status"] == "step limit" and results["nsteps"] == 5
    assert results["final_loss"] < results["start_loss"]
    given = np.load("map.npy")
    original = load_map(folder / "maps.fits", field="ORIGINAL")
    np.testing.assert_allclose(original, np.exp((given - given.mean()) / given.std()), rtol=1e-5)
    again = invoke("run", "tiny.toml", *options, "--resume")
    assert again.exit_code == 0 and "nothing to do" in again.stdout


@pytest.mark.usefixtures("without_synthesis")
def test_output_and_overwrite(project):
    assert invoke("run", "tiny.toml", "--output", "here").exit_code == 0
    refused = invoke("run", "tiny.toml", "--output", "here")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: output folder 'here' exists")
    first = (project / "here" / "history.csv").read_text()
    options = ("--overwrite", "--synthesis.seeds", "7", "--output", "here")
    assert invoke("run", "tiny.toml", *options).exit_code == 0
    assert (project / "here" / "history.csv").read_text() != first
    assert sorted(path.name for path in project.iterdir()) == ["here", "map.npy", "tiny.toml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["run", "tiny.toml", "--synthesis.max_step", "3"], "did you mean 'max_steps'"),
        (["run", "tiny.toml", "--synthesis.max_steps", "soon"], "expected a valid integer"),
        (["run", "tiny.toml", "--data.path", "missing.npy"], "missing.npy"),
        (["run", "tiny.toml", "--data.dataset", "nothing"], "cosmic-web"),
        (["run", "tiny.toml", "--data.nside", "8"], "nside"),
        (["run", "tiny.toml", "--pyramid.scales", "5"], "scales"),
        (["run", "tiny.toml", "--output", "map.npy"], "map.npy"),
        (["run", "tiny.toml", "--output", "map.npy", "--overwrite"], "former run"),
        (["run", "tiny.toml", "stray"], "unexpected 'stray'"),
        (["run", "notes.txt"], "expected a config, as in jaxscat run CONFIG.toml, or a map"),
        (["validate", "nowhere"], "nowhere"),
        (["run", "tiny.toml", "--synthesis.first_nside", "4"], "expected less than the nside"),
        (["run", "tiny.toml", "--synthesis.first_nside", "3"], "first_nside"),
        (["run", "tiny.toml", "--synthesis.form", "waves"], "form"),
        (["run", "tiny.toml", "--synthesis.stagnation", "1"], "stagnation"),
        (["run", "tiny.toml", "--data.transform", "root"], "transform"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(project, words, message):
    before = sorted(project.rglob("*"))
    result = invoke(*words)
    assert result.exit_code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and result.stderr.splitlines()[-1] == errors[0]
    assert message in errors[0]
    assert "Traceback" not in result.output
    assert sorted(project.rglob("*")) == before


def test_programming_errors_keep_their_traceback(project, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(run_command, "run_experiment", broken)
    assert isinstance(invoke("run", "tiny.toml").exception, ZeroDivisionError)


def test_ctrl_c_before_there_is_a_map(project, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(problem, "read_inputs", interrupted)
    result = invoke("run", "tiny.toml")
    assert result.exit_code == 130
    assert "nothing is written" in result.stderr
    assert not (project / "runs").exists()


def started(project, sent, options):
    """A run in a process of its own, which does not ignore a signal."""
    # A shell has its background jobs ignore Ctrl-C, and the tests may run in one.
    before = signal.signal(sent, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", str(project / "tiny.toml"), *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    signal.signal(sent, before)
    return process


def test_ctrl_c_while_xla_compiles(project):
    """An exception there would take the process down, or would be lost."""
    process = started(project, signal.SIGINT, [])
    for line in process.stderr:
        if "synthesizing" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    shown = process.stderr.read()
    assert process.wait(timeout=120) == 130, shown
    assert "Traceback" not in shown and shown.splitlines()[-1].startswith("interrupted")


@pytest.mark.parametrize(
    ("code", "came", "expected"), [(0, True, 130), (2, True, 2), (0, False, 0)]
)
def test_a_signal_that_comes_when_all_is_done_is_not_lost(
    monkeypatch, capsys, code, came, expected
):
    def end():
        raise SystemExit(code)

    monkeypatch.setattr(cli, "app", end)
    monkeypatch.setattr(cli.interrupts, "listen", lambda: None)
    monkeypatch.setattr(cli.interrupts, "came", came)
    monkeypatch.setattr("warnings.showwarning", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == expected
    said = "interrupted, but all is done\n" if expected == 130 else ""
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_synthesis_keeps_the_map(project, sent, shown_until_a_step):
    # Large enough that a synthesis goes on for thousands of steps, long after the signal.
    np.save(project / "large.npy", np.random.default_rng(0).gamma(2.0, size=12 * 16**2))
    options = ["--data.path", str(project / "large.npy"), "--pyramid.scales", "5"]
    options += ["--synthesis.max_steps", "10000000", "--synthesis.seeds", "1", "2"]
    options += ["--synthesis.batch_size", "1"]
    process = started(project, sent, options)
    shown = shown_until_a_step(process)
    time.sleep(0.2)
    process.send_signal(sent)
    shown += process.stderr.read()
    assert process.wait(timeout=120) == 130, shown
    written = "interrupted; the best map so far is written; --resume goes on with it"
    assert shown.splitlines()[-1] == written
    place = project / "runs" / "tiny.unfinished"
    assert list(place.glob("checkpoints/process_0/[0-9]*"))
    results = json.loads((project / "runs" / "tiny" / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert [row["seed"] for row in results["seeds"]] == [1]  # the second was not begun
    assert results["seeds"][0]["status"] == "interrupted"
    assert results["final_loss"] < results["start_loss"]


@pytest.mark.usefixtures("without_synthesis")
def test_precision_follows_the_config(project):
    assert invoke("run", "tiny.toml", "--run.precision", "float64").exit_code == 0
    assert jax.config.jax_enable_x64
    assert invoke("run", "tiny.toml", "--output", "single").exit_code == 0
    assert not jax.config.jax_enable_x64


def test_platform_that_is_not_there(project):
    done = subprocess.run(
        [sys.executable, "-m", "jaxscat.cli", "run", "tiny.toml", "--run.platform", "tpu"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: run.platform = 'tpu'")
    assert not (project / "runs").exists()


def measured(*words):
    """A file of coefficients that the command line has written."""
    result = invoke("measure", *words)
    assert result.exit_code == 0, result.output
    return result, load_statistics(words[words.index("-o") + 1])


def test_measure_writes_what_measure_returns(project):
    result, stored = measured(
        "map.npy", "-o", "s.npz", "--scales", 2, "--orientations", 3, "--precision", "float64"
    )
    assert jax.config.jax_enable_x64
    map = np.load("map.npy")
    pyramid = build_pyramid(4, orientations=3, scales=2, dtype="float64")
    assert stored.spec == pyramid.spec and stored.description == "map.npy"
    for found, expected in (
        (stored.statistics, measure(map, pyramid)),
        (stored.errors, standard_error(map, pyramid)),
    ):
        for name, group in found.groups().items():
            np.testing.assert_allclose(group, expected.groups()[name], rtol=1e-12, atol=1e-15)
    assert "wrote s.npz" in result.stdout
    s1 = f"{stored.statistics.s1[1].mean():.5g} ± {stored.errors.s1[1].mean():.2g}"
    assert re.search(rf"S1, scale 1 \(nside 2\).*3 .*{re.escape(s1)}", result.stdout)
    assert sorted(path.name for path in project.iterdir()) == ["map.npy", "s.npz", "tiny.toml"]


def test_measure_two_maps_under_two_masks(project):
    rng = np.random.default_rng(1)
    np.save("second.npy", rng.normal(size=NPIX))
    np.save("masks.npy", rng.uniform(0.5, 1.0, size=(2, NPIX)))
    words = ["--second", "second.npy", "--mask", "masks.npy", "--mask-threshold", 0.1]
    words += ["--both-triangles", "--scales", 2, "--orientations", 2]
    words += ["--error-formula", "foscat"]
    result, stored = measured("map.npy", "-o", "s.npz", "--figure", "s.png", *words)
    options = {
        "second": np.load("second.npy").astype(np.float32),
        "mask": np.load("masks.npy").astype(np.float32),
        "mask_threshold": 0.1,
        "both_triangles": True,
    }
    map, pyramid = np.load("map.npy").astype(np.float32), build_pyramid(4, orientations=2, scales=2)
    expected = measure(map, pyramid, **options)
    errors = standard_error(map, pyramid, **options, formula="foscat")
    assert stored.statistics.kind == "cross" and stored.statistics.masks == 2
    assert stored.statistics.both_triangles and stored.statistics.s1.dtype == np.float32
    np.testing.assert_allclose(stored.statistics.s3p, expected.s3p, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stored.errors.s4, errors.s4, rtol=1e-4, atol=1e-6)
    assert "mask 1" in result.stdout and "map.npy and second.npy" in result.stdout
    assert (project / "s.png").read_bytes().startswith(b"\x89PNG")
    again = invoke("compare", "s.npz", "s.npz", "--figure", "both.png")
    assert again.exit_code == 0 and "S3P" in again.stdout and "wrote both.png" in again.stdout
    assert stored.description.endswith("threshold 0.1, errors by foscat's formula")


def test_measure_reads_orders_and_pixels_without_data(project):
    nested = np.load("map.npy")
    np.save("ring.npy", nested[healpy.ring2nest(4, np.arange(NPIX))])
    _, one = measured("map.npy", "-o", "one.npz", "--scales", 1)
    _, other = measured("ring.npy", "-o", "other.npz", "--order", "ring", "--scales", 1)
    assert np.array_equal(one.statistics.s4, other.statistics.s4)
    nested[:50] = healpy.UNSEEN
    np.save("holes.npy", nested)
    assert "UNSEEN" in invoke("measure", "holes.npy", "-o", "holes.npz").stderr
    _, masked = measured("holes.npy", "-o", "holes.npz", "--unseen", "mask", "--scales", 1)
    assert masked.statistics.s0[0] == pytest.approx(nested[50:].mean(), rel=1e-5)


def test_measure_reads_tables_columns_marks_and_units(project):
    nested = np.load("map.npy").astype(np.float64)
    spoiled = np.where(np.arange(NPIX) < 20, np.nan, nested)
    maps = {"A": nested, "B": spoiled, "HITS": np.arange(NPIX) % 4.0}
    save_maps("maps.fits", maps, units={"A": "K_CMB", "B": "K_CMB"}, frame="G")
    words = ["maps.fits", "--field", "B", "--hdu", 1, "--scales", 1, "-o", "s.npz"]
    refused = invoke("measure", *words)
    assert refused.exit_code == 2
    assert "20 of 192 pixels UNSEEN (without data), expected none; --unseen mask" in refused.stderr
    assert "load_map" not in refused.stderr and "data.unseen" not in refused.stderr
    words += ["--unseen", "mask", "--unit", "mK_CMB", "--zero-hits", "bad", "--figure", "s.png"]
    result, stored = measured(*words)
    seen = (np.arange(NPIX) >= 20) & (np.arange(NPIX) % 4 > 0)
    assert stored.statistics.s0[0] == pytest.approx(1e3 * nested[seen].mean(), rel=1e-5)
    assert stored.description.endswith("maps.fits, in mK_CMB") and "in mK_CMB" in result.stdout
    save_maps("mask.fits", {"M": np.ones(NPIX), "N": (np.arange(NPIX) > 9) * 1.0}, frame="C")
    other = ["map.npy", "--mask", "mask.fits", "--mask-field", "N", "--mask-hdu", "maps"]
    _, masked = measured(*other, "--scales", 1, "-o", "m.npz", "--bad-data", -9999)
    assert masked.statistics.s0[0] == pytest.approx(nested[10:].mean(), rel=1e-5)
    both = ["maps.fits", "--mask", "mask.fits", "--mask-field", "N", "-o", "n.npz"]
    assert "mask: got 'mask.fits' in the frame C" in invoke("measure", *both).stderr
    assert "--select" in invoke("measure", "--help").stdout


def test_measure_refuses_a_file_that_is_there_unless_told_to_replace_it(project, monkeypatch):
    measured("map.npy", "-o", "s.npz", "--scales", 1)
    before = (project / "s.npz").read_bytes()
    for words in (["-o", "s.npz"], ["-o", "new.npz", "--figure", "s.npz"]):
        with monkeypatch.context() as patch:
            patch.setattr(cli, "measure_files", None)  # nothing may be computed
            refused = invoke("measure", "map.npy", *words)
        assert refused.exit_code == 2 and refused.stderr.startswith("error: ")
    assert (project / "s.npz").read_bytes() == before
    _, stored = measured("map.npy", "-o", "s.npz", "--scales", 2, "--overwrite")
    assert stored.spec.scales == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["map.npy", "-o", "map.npy", "--overwrite"], "output: got 'map.npy', expected another"),
        (["map.npy", "-o", "none/s.npz"], "output: got 'none/s.npz', but there is no folder"),
        (["map.npy", "-o", "."], "output: got '.', which is a folder, expected a reg"),
        (["map.npy", "-o", "s.npz", "--figure", "s.doc"], "figure: got 's.doc', expected a name"),
        (["map.npy", "-o", "s.png", "--figure", "s.png"], "output: got 's.png', expected a name"),
        (["map.npy", "-o", "s.h5"], "output: got 's.h5', expected a name that ends in .npz"),
        (["none.npy", "-o", "s.npz"], "there is no such file"),
        (["nothing", "-o", "s.npz"], "cosmic-web"),
        (["map.npy", "-o", "s.npz", "--nside", 8], "nside: got 8, expected at most 4"),
        (["map.npy", "-o", "s.npz", "--scales", 9], "scales: got 9"),
        (["map.npy", "-o", "s.npz", "--kernel-size", 4], "kernel"),
        (["map.npy", "-o", "s.npz", "--geometry", "flat"], "geometry: got 'flat'"),
        (["map.npy", "-o", "s.npz", "--precision", "half"], "precision: got 'half', expected one"),
        (["map.npy", "-o", "s.npz", "--error-formula", "no"], "error_formula: got 'no'"),
        (["map.npy", "-o", "s.npz", "--unseen", "mean"], "unseen: got 'mean', expected one of"),
        (["map.npy", "-o", "s.npz", "--order", "up"], "order: got 'up'"),
        (["map.npy", "-o", "s.npz", "--field", "T"], "field: got 'T'"),
        (["map.npy", "-o", "s.npz", "--both-triangles"], "both_triangles: got one map"),
        (["map.npy", "-o", "s.npz", "--mask-threshold", 0.5], "mask_threshold: got a number"),
        (["map.npy", "-o", "s.npz", "--second", "coarse.npy"], "second: got 'coarse.npy' of nside"),
        (["map.npy", "-o", "s.npz", "--mask", "coarse.npy"], "mask: got 'coarse.npy' of 48 pixels"),
    ],
)
def test_bad_measurements_are_one_line_and_write_nothing(project, words, message):
    np.save("coarse.npy", np.random.default_rng(0).uniform(size=48))
    before = sorted(project.rglob("*"))
    result = invoke("measure", *words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: ") and message in result.stderr
    assert sorted(project.rglob("*")) == before


def test_measure_that_cannot_be_written_leaves_nothing(project, monkeypatch):
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    before = sorted(project.rglob("*"))
    result = invoke("measure", "map.npy", "-o", "s.npz", "--scales", 1)
    assert result.exit_code == 2 and "disk full" in result.stderr
    assert sorted(project.rglob("*")) == before


def test_measure_that_cannot_be_drawn_writes_nothing(project):
    np.save("masks.npy", np.ones((8, NPIX)))
    words = ["--mask", "masks.npy", "--scales", 1, "-o", "s.npz", "--figure", "s.png"]
    result = invoke("measure", "map.npy", *words)
    assert result.exit_code == 2 and "got 8 maps, expected 1 to 7" in result.stderr
    assert not (project / "s.npz").exists() and not (project / "s.png").exists()


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1e39, "e+39, which float32 cannot hold"),
        (1e25, "map: got numbers whose squares float32 cannot hold"),
        (1e-25, "map: got numbers whose squares float32 cannot hold"),
    ],
)
def test_measure_refuses_numbers_that_float32_cannot_hold(project, factor, message):
    np.save("scaled.npy", factor * np.load("map.npy") / np.abs(np.load("map.npy")).max())
    result = invoke("measure", "scaled.npy", "--scales", 1, "-o", "s.npz")
    assert result.exit_code == 2 and message in result.stderr
    assert not (project / "s.npz").exists()
    result = invoke("measure", "scaled.npy", "--scales", 1, "-o", "s.npz", "--precision", "float64")
    assert result.exit_code == 0


def test_compare(project):
    np.save("other.npy", 2.0 * np.load("map.npy"))
    for name in ("map", "other"):
        measured(f"{name}.npy", "-o", f"{name}.npz", "--scales", 2)
    result = invoke("compare", "map.npz", "other.npz", "--figure", "both.png")
    assert result.exit_code == 0, result.output
    cells = [row.split("│")[1:-1] for row in result.stdout.splitlines() if row.startswith("│")]
    rows = {group.strip(): rest for group, *rest in cells}
    assert list(rows) == ["S0", "S1", "S2", "S3", "S4"]
    # S1 is linear in the map, S2 quadratic.
    assert [float(cell) for cell in rows["S1"][:2]] == [8, pytest.approx(1.0, abs=1e-4)]
    assert [float(cell) for cell in rows["S2"][:2]] == [8, pytest.approx(3.0, abs=1e-4)]
    one = load_statistics("map.npz")
    ratio = one.statistics.s1 / one.errors.s1
    assert float(rows["S1"][2]) == pytest.approx((ratio**2).mean(), rel=1e-3)
    assert float(rows["S1"][3]) == pytest.approx(ratio.max(), rel=1e-3)
    scale, orientation = np.unravel_index(ratio.argmax(), ratio.shape)
    assert rows["S1"][4].strip() == f"S1 j={scale} l={orientation}"
    assert (project / "both.png").read_bytes().startswith(b"\x89PNG")
    taken = invoke("compare", "map.npz", "other.npz", "--figure", "both.png")
    assert taken.exit_code == 2 and "both.png' exists" in taken.stderr


def test_compare_of_several_fields(project):
    pyramid = build_pyramid(8, scales=1, orientations=2)
    t, e = np.random.default_rng(0).normal(size=(2, 768))
    for factor in (1, 2):
        found = measure_fields({"T": factor * t, "E": factor * e}, pyramid)
        save_statistics(f"{factor}.npz", found, pyramid.spec)
    result = invoke("compare", "1.npz", "2.npz")
    assert result.exit_code == 0, result.output
    cells = [row.split("│")[1:-1] for row in result.stdout.splitlines() if row.startswith("│")]
    rows = [tuple(map(str.strip, row)) for row in cells]
    assert [row[0] for row in rows] == 5 * ["TT"] + 5 * ["EE"] + 6 * ["TE"]
    assert [float(row[3]) for row in rows if row[1] == "S2"] == pytest.approx([3, 3, 3], abs=1e-4)
    drawn = invoke("compare", "1.npz", "2.npz", "--figure", "both.png")
    assert drawn.exit_code == 2 and "got FieldCovariances, expected a Scattering" in drawn.stderr
    assert not (project / "both.png").exists()


def test_compare_refuses_what_was_not_measured_alike(project):
    measured("map.npy", "-o", "two.npz", "--scales", 2)
    measured("map.npy", "-o", "three.npz", "--scales", 2, "--orientations", 3)
    for words, message in (
        (["two.npz", "three.npz"], "coefficients: got orientations 4 and 3, expected the same"),
        (["two.npz", "map.npy"], "map.npy, which is no whole scattering covariance file"),
        (["two.npz", "none.npz"], "none.npz"),
    ):
        result = invoke("compare", *words)
        assert result.exit_code == 2 and message in " ".join(result.stderr.split())
        assert len(result.stderr.splitlines()) == 1


def test_datasets_and_info():
    listed = invoke("datasets")
    assert listed.exit_code == 0
    for name in ("cosmic-web", "polarized-dust", "lss"):
        assert name in listed.stdout
    told = invoke("info")
    assert told.exit_code == 0
    assert jax.__version__ in told.stdout and jax.devices()[0].device_kind in told.stdout
    assert re.search(
        rf"^pyramids +.*{re.escape(os.sep)}pyramids \(\d+ pyramids, ", told.stdout, re.M
    )


def test_measure_keeps_its_wavelets_when_asked(project, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(project / "cache"))
    words = ["--scales", 1, "--orientations", 1, "--overwrite"]
    plain = measured("map.npy", "-o", "a.npz", *words)[1]
    assert not (project / "cache" / "pyramids").exists()
    for _ in range(2):
        kept = measured("map.npy", "-o", "a.npz", *words, "--pyramid-cache")[1]
        np.testing.assert_array_equal(kept.statistics.s2, plain.statistics.s2)
    assert len(list((project / "cache" / "pyramids").iterdir())) == 1
    assert "(1 pyramids, " in invoke("info").stdout


def test_help_and_version():
    assert "run" in invoke("--help").output
    assert "--section.key" in invoke("run", "--help").output
    assert re.match(r"\d+\.\d+\.\d+|not installed", invoke("--version").stdout)


@pytest.mark.parametrize("name", ["map[dust].npy", "p[/x].npy", "q:fire:.npy", "t$1_{a$.npy"])
def test_measure_shows_and_draws_names_as_they_are(project, name):
    (project / "p[").mkdir()
    (project / "map.npy").rename(project / name)
    words = ["--scales", 1, "--orientations", 1, "--figure", "s.svg"]
    result, stored = measured(name, "-o", f"{name}.npz", *words)
    assert stored.description == name
    assert f"{name}: nside 4" in result.stdout and f"wrote {name}.npz and s.svg" in result.stdout
    assert f"reading {name}" in result.stderr
    assert f"<!-- {name} -->" in (project / "s.svg").read_text()
    again = invoke("compare", f"{name}.npz", f"{name}.npz", "--figure", "both.svg")
    assert again.exit_code == 0 and f"{name}.npz against {name}.npz" in again.stdout
    assert f"<!-- {name}.npz -->" in (project / "both.svg").read_text()


def test_a_name_that_is_no_text_is_refused_before_a_run_begins(project):
    result = invoke("run", "tiny.toml", "--data.path", "bad\udcff.npy")
    assert result.exit_code == 2 and not (project / "runs").exists()
    expected = "error: --data.path: got 'bad\\udcff.npy', expected text in UTF-8"
    assert result.stderr.splitlines() == [expected]


@pytest.mark.parametrize("kind", ["output", "figure"])
def test_measure_refuses_what_is_no_regular_file_before_it_computes(project, monkeypatch, kind):
    monkeypatch.setattr(cli, "measure_files", None)  # nothing may be computed
    files = {"output": "s.npz", "figure": "s.png"}
    os.mkfifo(project / files[kind])
    words = ["-o", files["output"], "--figure", files["figure"], "--overwrite"]
    result = invoke("measure", "map.npy", *words)
    assert result.exit_code == 2 and (project / files[kind]).is_fifo()
    assert result.stderr.startswith(f"error: {kind}: got '{files[kind]}', which is a named pipe")


def test_measure_replaces_what_a_link_leads_to_and_keeps_its_mode(project):
    (project / "disk").mkdir()
    (project / "disk" / "real.npz").touch(mode=0o600)
    (project / "s.npz").symlink_to("disk/real.npz")
    assert "exists" in invoke("measure", "map.npy", "-o", "s.npz").stderr
    measured("map.npy", "-o", "s.npz", "--scales", 1, "--overwrite")
    assert (project / "s.npz").is_symlink()
    assert load_statistics(project / "disk" / "real.npz").spec.scales == 1
    assert (project / "disk" / "real.npz").stat().st_mode & 0o777 == 0o600
    (project / "new.npz").symlink_to("none/new.npz")
    refused = invoke("measure", "map.npy", "-o", "new.npz")
    assert "there is no folder" in refused.stderr and "none'" in refused.stderr


@pytest.mark.usefixtures("without_synthesis")
def test_validate_refuses_what_is_no_regular_file_before_it_computes(project, monkeypatch):
    assert invoke("run", "tiny.toml").exit_code == 0
    folder = project / "runs" / "tiny"
    (folder / "report.html").unlink()
    os.mkfifo(folder / "report.html")
    before = (folder / "validation.json").stat().st_mtime_ns
    # Undone before the fixtures are: theirs is the value that was there.
    with monkeypatch.context() as patch:
        patch.setattr("jaxscat.run.validate.validate_seeds", None)
        result = invoke("validate", "runs/tiny")
    assert result.exit_code == 2 and "report.html', which is a named pipe" in result.stderr
    assert (folder / "report.html").is_fifo()
    assert (folder / "validation.json").stat().st_mtime_ns == before
