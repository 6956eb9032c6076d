import gc
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxscat.cli.environment import (
    accept_any_text,
    collect_rarely,
    ensure_home,
    in_temporary_home,
)


@pytest.fixture
def exits(monkeypatch):
    """What is to be called at the end of the process."""
    calls = []
    monkeypatch.setattr("jaxscat.cli.environment._made_homes", [])
    monkeypatch.setattr("atexit.register", lambda *call, **options: calls.append((call, options)))
    return calls


def test_a_home_folder_is_left_alone(monkeypatch, tmp_path, exits, recwarn):
    monkeypatch.setenv("HOME", str(tmp_path))
    ensure_home()
    assert not in_temporary_home(tmp_path)
    assert os.environ["HOME"] == str(tmp_path) and not exits and not recwarn.list


@pytest.mark.parametrize("home", [None, "none", "file", "relative"])
def test_without_a_home_folder_there_is_an_empty_one_until_the_end(
    monkeypatch, tmp_path, exits, home
):
    (tmp_path / "file").touch()
    places = {"none": tmp_path / "none", "file": tmp_path / "file" / "x", "relative": "here"}
    if home is None:

        def unknown(_):
            raise KeyError("getpwuid(): uid not found")

        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("pwd.getpwuid", unknown)
        with pytest.raises(RuntimeError):
            Path.home()
    else:
        monkeypatch.setenv("HOME", str(places[home]))
    with pytest.warns(UserWarning, match=r"no home folder: .*; caches are off"):
        ensure_home()
    made = Path.home()
    assert in_temporary_home(made / ".cache") and not in_temporary_home(made.parent)
    assert made.is_dir() and not list(made.iterdir()) and made.stat().st_mode & 0o777 == 0o700
    ((function, *arguments), options) = exits[0]
    (made / "cache").touch()
    function(*arguments, **options)
    assert not made.exists()


def test_no_place_for_a_home_folder_is_told(monkeypatch, tmp_path, exits):
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nor this"))
    with pytest.warns(UserWarning, match="no temporary one can be made"):
        ensure_home()
    assert not exits


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_characters_that_cannot_be_shown_are_replaced(monkeypatch, encoding, errors):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors=errors))
    accept_any_text()
    print("1 ± 2 │ bad\udcff")
    sys.stdout.flush()
    expected = {"ascii": "1 ? 2 ? bad?", "latin-1": "1 ± 2 ? bad?", "utf-8": "1 ± 2 │ bad?"}
    assert raw.getvalue().decode(encoding) == expected[encoding] + "\n"


def test_garbage_is_collected_rarely_and_still_is():
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.set_threshold(700, 10, 10)
    try:
        collect_rarely()
        assert gc.isenabled() and gc.get_threshold()[0] > 700
        assert gc.get_freeze_count() > frozen
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("chosen", [None, "active"])
def test_threads_of_healpy_do_not_wait_in_a_loop_unless_the_user_says_so(chosen):
    code = (
        "import os, jaxscat_command, jaxscat.cli.main as cli\n"
        "cli.main = lambda: print(os.environ['OMP_WAIT_POLICY'])\n"
        "jaxscat_command.main()"
    )
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    env |= {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout == (chosen or "passive") + "\n", done.stderr
