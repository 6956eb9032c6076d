"""Slices report what they have when they are cut off, and what is missing is no number."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jaxscat
from experiments.benchmarks import accelerator, stored_numbers
from experiments.benchmarks.accelerator_tables import describe_tests, print_results
from experiments.benchmarks.slices import LINES, NOT_MEASURED, run_slice

ROOT = Path(__file__).parents[2]
WRITE = f"""
import json, os, sys, time
def say(text):
    with open(os.environ["{LINES}"], "a") as stream:
        stream.write(text)
"""


def run(script, budget, folder):
    lines = []
    command = [sys.executable, "-c", WRITE + script]
    return run_slice(command, budget, folder, lines.append), lines


def test_a_slice_hands_its_lines_over(tmp_path):
    end, lines = run("say('{\"a\": 1}\\n')\nsay('{\"a\": 2}\\n')", 60, tmp_path)
    assert lines == [{"a": 1}, {"a": 2}]
    assert end["ended"] == "by itself" and "last_lines" not in end


def test_a_slice_that_is_cut_off_leaves_whole_lines_and_no_process(tmp_path):
    script = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
say(json.dumps({"child": child.pid}) + '\\n{"half": ')
print("at work", flush=True)
time.sleep(600)
"""
    end, lines = run(script, 3, tmp_path)
    assert list(lines[0]) == ["child"] and len(lines) == 1
    assert end["ended"] == "cut off after 3 s" and end["last_lines"] == ["at work"]
    for _ in range(50):
        if not is_running(lines[0]["child"]):
            break
        time.sleep(0.1)
    assert not is_running(lines[0]["child"])


def is_running(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_end_of_a_slice_that_fails_is_told(tmp_path):
    end, lines = run("raise SystemExit('no such device')", 60, tmp_path)
    assert lines == [] and end["ended"] == "status 1" and end["last_lines"] == ["no such device"]


def options(*arguments):
    return accelerator.build_parser().parse_args(["--nsides", "8", "--seeds", "1", "8", *arguments])


@pytest.mark.parametrize(
    ("platform", "layouts", "checks"),
    [("gpu", ["rows", "faces"], 2), ("tpu", ["faces"], 1), ("cpu", ["rows"], 2)],
)
def test_all_that_is_planned_begins_as_not_measured(platform, layouts, checks):
    slices = accelerator.plan(options(), platform)
    names = [*["check32", "check64"][:checks], "gradient8", "synthesis8", "tests"]
    assert list(slices) == names
    rows = slices["gradient8"]["rows"]
    assert [row["layout"] for row in rows] == [name for name in layouts for _ in (1, 8)]
    assert all(row["result"] == NOT_MEASURED for slice in slices.values() for row in slice["rows"])
    assert all(slice["ended"] == NOT_MEASURED for slice in slices.values())


def test_a_row_takes_its_place_and_the_others_stay_missing(capsys):
    slices = accelerator.plan(options(), "gpu")
    slice = slices["synthesis8"]
    figures = {"evaluation_seconds": 0.5, "maps_per_minute": 7.0, "run_seconds": 2.0}
    figures |= {"compile_seconds": 3.0, "peak_bytes": 10**9}
    accelerator.take_row(slice, {"layout": "rows", "seeds": 8, **figures})
    accelerator.take_row(slice, {"layout": "faces", "seeds": 1, "error": "RESOURCE_EXHAUSTED"})
    results = [row["result"] for row in slice["rows"]]
    assert results == [NOT_MEASURED, "measured", "failed", NOT_MEASURED]
    device = {"jax": {"devices": ["some device"]}}
    print_results({"device": device, "slices": slices})
    printed = capsys.readouterr().out
    assert printed.count("some device") == 3 and "RESOURCE_EXHAUSTED" in printed
    # Rows of checks, times and tests, but for the two above.
    assert printed.count(NOT_MEASURED) == 4 + 4 + 2 + 1


def test_the_tests_that_fail_are_named_with_their_last_lines(tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'these differ'\n"
        "@pytest.fixture\n"
        "def broken(): raise RuntimeError('not set up')\n"
        "def test_without(broken): pass\n"
        "def test_skipped(): pytest.skip('no data')\n"
    )
    (tmp_path / "test_import.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "experiments.benchmarks.pytest_lines"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["--continue-on-collection-errors", str(tmp_path)]
    found = {"kind": "tests", "rows": []}
    end = run_slice(
        command,
        60,
        tmp_path / "run",
        lambda line: accelerator.take_test(found, line),
        PYTHONPATH=str(ROOT),
    )
    assert found["collected"] == 4
    assert found["counts"] == {"passed": 1, "failed": 3, "skipped": 1}
    failures = {failure["test"]: failure for failure in found["failures"]}
    assert sorted(failures) == [
        "test_import.py",
        "test_some.py::test_bad",
        "test_some.py::test_without",
    ]
    bad = failures["test_some.py::test_bad"]
    assert bad["phase"] == "call" and "these differ" in "\n".join(bad["last_lines"])
    assert failures["test_some.py::test_without"]["phase"] == "setup"
    lines = describe_tests(found | end)
    assert "3 failed" in lines[0] and "of 4 collected; ended status 1" in lines[0]
    assert "FAILED test_some.py::test_bad" in lines


def test_the_package_is_tested_from_this_checkout():
    slice = accelerator.plan(options(), "tpu")["tests"]
    command, settings = accelerator.slice_command("tests", slice["options"], "tpu")
    assert settings["PYTHONPATH"] == str(ROOT) and "-n" not in command
    folders = [Path(path) for path in slice["options"]["paths"]]
    assert all(folder.is_dir() and folder.parent == ROOT / "tests" for folder in folders)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "numbers.npz"
    stored_numbers.make_file(path, nside=2)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_device_that_made_the_numbers_agrees_with_them(small_file, dtype):
    found = stored_numbers.compare("rows", dtype, small_file)
    assert found["exceeding"] == []
    worst = max(found["differences"].values())
    assert worst < 1e-5 and (worst > 1e-9) == (dtype == "float32")


def test_a_number_that_is_off_is_named(small_file, tmp_path, monkeypatch):
    with np.load(small_file) as stored:
        content = dict(stored)
    found = {name: content[name] for name in stored_numbers.QUANTITIES}
    found |= {"s4": found["s4"] * (1 + 1e-9), "loss": np.array(np.nan)}
    monkeypatch.setattr(stored_numbers, "compute_numbers", lambda *_: found)
    compared = stored_numbers.compare("rows", "float64", small_file)
    assert compared["exceeding"] == ["s4", "loss"]
    assert stored_numbers.compare("faces", "float32", small_file)["exceeding"] == ["loss"]


def test_the_stored_numbers_are_those_of_this_version(pyramids):
    with np.load(stored_numbers.PATH) as stored:
        assert stored["gradient"].shape == stored["original"].shape == (12 * 16**2,)
        statistics = jaxscat.measure(stored["original"], pyramids(16))
        for name in stored_numbers.GROUPS:
            np.testing.assert_allclose(getattr(statistics, name), stored[name], rtol=1e-9)
    assert stored_numbers.PATH.stat().st_size < 200_000


def test_slices_are_added_to_those_of_a_run_before(tmp_path, monkeypatch, capsys):
    device = {"jax": {"platform": "cpu", "devices": ["cpu"]}}
    monkeypatch.setattr(accelerator, "ask_device", lambda: device)

    def fake(command, budget, folder, take, **_):
        kind = command[3]
        take({"layout": "rows", "dtype": "float32"} if kind == "check" else {"seeds": 1})
        return {"ended": "by itself", "seconds": budget}

    monkeypatch.setattr(accelerator, "run_slice", fake)
    monkeypatch.setattr(accelerator, "print_results", lambda _: None)
    common = ["--nsides", "8", "--seeds", "1", "--output", str(tmp_path)]
    assert accelerator.main([*common, "--only", "check32", "--budget", "5"]) == 0
    assert accelerator.main([*common, "--only", "gradient8", "--total", "0"]) == 0
    assert "no time is left" in capsys.readouterr().err
    slices = json.loads((tmp_path / "accelerator.json").read_text())["slices"]
    assert slices["check32"]["seconds"] == 5 and slices["check32"]["device"] == ["cpu"]
    assert slices["check32"]["rows"][0]["result"] == "measured"
    assert slices["gradient8"]["ended"] == NOT_MEASURED
    with pytest.raises(SystemExit):
        accelerator.main([*common, "--only", "gradient9"])
    assert "gradient9" in capsys.readouterr().err
