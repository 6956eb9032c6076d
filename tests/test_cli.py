import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from jaxscat import cli, experiment
from jaxscat.cli import app

NPIX = 12 * 4**2


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
        '[data]\npath = "map.npy"\n[pyramid]\nscales = 2\n[synthesis]\nmax_steps = 5\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_run_then_validate(project):
    result = invoke("run", "tiny.toml", "--synthesis.seeds", 1, 2, "--synthesis.max_steps", 4)
    assert result.exit_code == 0, result.output
    for word in ("scattering coefficient error", "Gaussian control", "seed 2", "wrote runs/tiny"):
        assert word in result.stdout
    results = json.loads((project / "runs" / "tiny" / "results.json").read_text())
    assert [row["seed"] for row in results["seeds"]] == [1, 2]
    assert results["seeds"][0]["nsteps"] <= 4
    assert "synthesizing seed 1" in result.stderr and "steps/s" in result.stderr

    again = invoke("validate", "runs/tiny")
    assert again.exit_code == 0, again.output
    assert "SEED_2" in again.stdout
    row = r"S1 relative error.*"
    assert re.search(row, again.stdout)[0] == re.search(row, result.stdout)[0]


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
        (["run", "map.npy"], "not valid TOML"),
        (["validate", "nowhere"], "nowhere"),
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

    monkeypatch.setattr(cli, "run_experiment", broken)
    assert isinstance(invoke("run", "tiny.toml").exception, ZeroDivisionError)


def test_ctrl_c_before_there_is_a_map(project, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "read_inputs", interrupted)
    result = invoke("run", "tiny.toml")
    assert result.exit_code == 130
    assert "nothing is written" in result.stderr
    assert not (project / "runs").exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_the_synthesis_keeps_the_map(project, sent):
    # Large enough that a synthesis goes on for thousands of steps, long after the signal.
    np.save(project / "large.npy", np.random.default_rng(0).gamma(2.0, size=12 * 16**2))
    options = ["--data.path", str(project / "large.npy"), "--pyramid.scales", "5"]
    options += ["--synthesis.max_steps", "10000000", "--synthesis.seeds", "1", "2"]
    # A shell has its background jobs ignore Ctrl-C, and the tests may run in one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxscat", "run", str(project / "tiny.toml"), *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    shown = ""
    for line in process.stderr:
        shown += line
        if "step" in line and "loss" in line:
            break
    time.sleep(0.2)
    process.send_signal(sent)
    shown += process.stderr.read()
    assert process.wait(timeout=120) == 130, shown
    assert shown.splitlines()[-1] == "interrupted; the best map so far is written"
    results = json.loads((project / "runs" / "tiny" / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert [row["seed"] for row in results["seeds"]] == [1]  # the second was not begun
    assert results["seeds"][0]["status"] == "interrupted"
    assert results["final_loss"] < results["start_loss"]


def test_precision_follows_the_config(project):
    assert invoke("run", "tiny.toml", "--run.precision", "float64").exit_code == 0
    assert jax.config.jax_enable_x64
    assert invoke("run", "tiny.toml", "--output", "single").exit_code == 0
    assert not jax.config.jax_enable_x64


def test_platform_that_is_not_there(project):
    done = subprocess.run(
        [sys.executable, "-m", "jaxscat", "run", "tiny.toml", "--run.platform", "tpu"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: run.platform = 'tpu'")
    assert not (project / "runs").exists()


def test_datasets_and_info():
    listed = invoke("datasets")
    assert listed.exit_code == 0
    assert "cosmic-web" in listed.stdout and "lss" in listed.stdout
    told = invoke("info")
    assert told.exit_code == 0
    assert jax.__version__ in told.stdout and jax.devices()[0].device_kind in told.stdout


def test_help_and_version():
    assert "run" in invoke("--help").output
    assert "--section.key" in invoke("run", "--help").output
    assert re.match(r"\d+\.\d+\.\d+|not installed", invoke("--version").stdout)
