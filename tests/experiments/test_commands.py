"""Every folder of experiments is one command, and imports no more than it needs."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEED_FOSCAT = {"crosscheck": ("run", "losses", "golden"), "benchmarks": ("foscat", "statistics")}
COMMANDS = [
    (folder, command)
    for folder in ("crosscheck", "benchmarks", "studies")
    for command in importlib.import_module(f"experiments.{folder}.__main__").COMMANDS
]


def test_nothing_else_lies_beside_the_folders():
    found = {path.name for path in (ROOT / "experiments").iterdir()} - {"__pycache__"}
    assert found == {"foscat_reference", "crosscheck", "benchmarks", "studies", "notebooks"}


@pytest.mark.parametrize(("folder", "command"), COMMANDS, ids="-".join)
def test_every_command_says_what_it_takes(folder, command, monkeypatch, capsys):
    if command in NEED_FOSCAT.get(folder, ()):
        pytest.importorskip("foscat", reason="FOSCAT is not installed (extra `foscat`)")
    program = importlib.import_module(f"experiments.{folder}.__main__")
    monkeypatch.setattr(sys, "argv", [folder, command, "--help"])
    with pytest.raises(SystemExit) as end:
        program.main()
    assert end.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    named = "" if command == "run" else f" {command}"
    assert printed.startswith(f"usage: python -m experiments.{folder}{named} [-h]")


@pytest.mark.parametrize("folder", ["benchmarks", "studies"])
def test_an_unknown_command_is_refused(folder, monkeypatch, capsys):
    program = importlib.import_module(f"experiments.{folder}.__main__")
    monkeypatch.setattr(sys, "argv", [folder, "unknown", "--help"])
    with pytest.raises(SystemExit) as end:
        program.main()
    assert end.value.code == 2
    assert "invalid choice: 'unknown'" in capsys.readouterr().err


def loaded_by(module, names):
    script = f"import sys, {module}\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_rows_of_memory_begin_without_the_packages():
    names = ["jax", "jaxscat", "foscat", "torch", "matplotlib"]
    assert loaded_by("experiments.benchmarks.foscat_rows", names) == "[]"


def test_stored_numbers_need_no_foscat():
    assert loaded_by("experiments.crosscheck.stored", ["foscat", "torch"]) == "[]"


def test_a_kill_is_told_with_the_checkpoint_that_it_met(tmp_path):
    from experiments.studies.kill_and_resume import describe_state

    folder = tmp_path / "run"
    assert describe_state(folder) == "nothing on disk yet"
    kept = tmp_path / "run.unfinished" / "checkpoints" / "process_0"
    kept.mkdir(parents=True)
    assert describe_state(folder) == "no checkpoint yet"
    for name in ("000000011.npz", "000000120.npz", ".000000130.npz.0a1b2c3d"):
        (kept / name).touch()
    assert describe_state(folder) == "checkpoint 120"


def test_the_end_of_a_run_that_got_a_signal_is_judged(tmp_path):
    from signal import SIGHUP, SIGINT

    from experiments.studies.signals import Ending, judge

    run = tmp_path / "run"

    def said(code, seconds=1.0, errors="reading\n", sent=SIGINT):
        return judge(Ending(code, seconds, errors), run, sent)

    assert said(None) == said(130) == said(-1, errors="", sent=SIGHUP) == ""
    assert said(0) == "the signal was lost"
    assert said(-11) == "status -11" and said(-1, sent=SIGHUP) == "status -1"
    assert said(130, errors="Traceback\n") == "a traceback"
    assert said(130, errors="interrupted; --resume goes on with it\n") == "nothing to resume"
    assert said(130, errors="interrupted; the best map so far is written\n") == "no results"
    (tmp_path / "run.unfinished").mkdir()
    assert said(130, errors="interrupted; nothing is written\n") == "something was written"
    assert said(130, errors="interrupted; --resume goes on with it\n") == ""
    run.mkdir()
    (run / "run.json").touch()
    assert said(0, seconds=0.1) == ""  # it had done its work
