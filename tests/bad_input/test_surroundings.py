"""Commands as processes, in surroundings that lack something: one line, or the work is done."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxscat

COMMAND = [sys.executable, "-m", "jaxscat_command"]
KEPT = {"PATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS"}
_DROP_FROM_BOUNDS, _RIGHTS_OF_ROOT = (
    24,
    (1, 2),
)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE and _READ_SEARCH


def without_rights_of_root():
    """Make root heed modes of folders, as others do: called in the process before its command."""
    if os.getuid() == 0:
        for right in _RIGHTS_OF_ROOT:
            ctypes.CDLL(None).prctl(_DROP_FROM_BOUNDS, right, 0, 0, 0)


def with_small_files():
    """A limit on the size of files stands for a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def heeds_modes(tmp_path_factory):
    """Skip where a folder cannot be kept from this user."""
    folder = tmp_path_factory.mktemp("closed")
    folder.chmod(0o500)
    words = ["test", "-w", folder]
    if subprocess.run(words, preexec_fn=without_rights_of_root).returncode == 0:
        pytest.skip("modes of folders do not keep this user from writing")


@pytest.fixture
def run(tmp_path):
    """Run a command in a folder with a map, with nothing in its environment but what is given."""
    jaxscat.save_maps(tmp_path / "map.fits", {"I": np.random.default_rng(0).gamma(2.0, size=192)})

    def call(*words, folder=tmp_path, preexec_fn=without_rights_of_root, **environment):
        kept = {key: value for key, value in os.environ.items() if key in KEPT}
        kept |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"}
        kept |= {"HOME": str(tmp_path / "home"), **environment}
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=folder,
            env={key: value for key, value in kept.items() if value is not None},
            preexec_fn=preexec_fn,
            capture_output=True,
            timeout=300,
        )
        shown = done.stderr.decode(errors="replace")
        assert "Traceback" not in shown, shown
        return done.returncode, shown.splitlines(), done.stdout

    (tmp_path / "home").mkdir()
    return call


def names(folder):
    found = {str(path.relative_to(folder)) for path in Path(folder).rglob("*")}
    return sorted(name for name in found if not name.startswith("home/"))  # caches


MEASURE = ["measure", "map.fits", "--scales", "1", "-o", "new.npz"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HOME": None, "MPLBACKEND": "TkAgg", "DISPLAY": None, "LANG": "C", "LC_ALL": "C"}, ""),
        ({"HOME": "/nonexistent"}, "warning: no home folder: '/nonexistent' (HOME) is not there"),
        ({"MPLBACKEND": "no such"}, ""),
    ],
    ids=["no home, display or locale", "home that is not there", "no such backend"],
)
def test_measuring_and_drawing_need_little(run, tmp_path, environment, message):
    (tmp_path / "Karten für heute").mkdir()
    words = ["measure", "../map.fits", "--scales", "1", "-o", "größe.npz", "--figure", "größe.png"]
    folder = tmp_path / "Karten für heute"
    code, shown, _ = run(*words, folder=folder, **environment)
    assert code == 0, shown
    assert names(folder) == ["größe.npz", "größe.png"]
    assert not message or any(line.startswith(message) for line in shown), shown


def test_a_home_folder_that_cannot_be_written_costs_the_caches_only(run, tmp_path, heeds_modes):
    (tmp_path / "home").chmod(0o500)
    code, shown, _ = run(*MEASURE, "--pyramid-cache")
    assert code == 0, shown
    warned = [line for line in shown if line.startswith("warning: ")]
    assert any("compiled programs are not kept: " in line for line in warned), shown
    assert any("a pyramid is not kept in " in line for line in warned), shown
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_before_the_work(run, tmp_path, heeds_modes):
    (tmp_path / "closed").mkdir(mode=0o500)
    before = names(tmp_path)
    code, shown, _ = run("measure", "map.fits", "-o", "closed/new.npz")
    expected = "error: output: got 'closed/new.npz', but nothing can be written to its folder"
    assert (code, shown) == (2, [expected])
    (tmp_path / "tiny.toml").write_text('[data]\npath = "map.fits"\n')
    code, shown, _ = run("run", "tiny.toml", "--output", "closed/new")
    assert code == 2 and shown[-1].endswith("closed/new.unfinished': Permission denied"), shown
    assert not any("synthesizing" in line for line in shown)
    assert names(tmp_path) == sorted([*before, "tiny.toml"])


def test_a_map_that_may_not_be_read_is_one_line(run, tmp_path, heeds_modes):
    (tmp_path / "map.fits").chmod(0)
    code, shown, _ = run(*MEASURE)
    assert code == 2 and shown[-1].startswith("error: ") and "Permission denied" in shown[-1]
    assert not (tmp_path / "new.npz").exists()


def test_a_full_disk_leaves_nothing_half_written(run, tmp_path):
    before = names(tmp_path)
    code, shown, _ = run(*MEASURE, preexec_fn=with_small_files, JAX_ENABLE_COMPILATION_CACHE="0")
    assert code == 2 and shown[-1].startswith("error: ") and "File too large" in shown[-1], shown
    assert names(tmp_path) == before


def test_messages_stand_in_any_locale(run):
    code, shown, _ = run("measure", "größe.fits", "-o", "new.npz", LANG="C", LC_ALL="C")
    assert code == 2 and shown[-1].endswith("there is no such file") and "gr" in shown[-1]


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "JAX_ENABLE_X64"])
def test_variables_of_jax_that_it_refuses_are_named(run, variable):
    code, shown, _ = run(*MEASURE, **{variable: "nothing"})
    assert code == 2 and variable in shown[-1] and shown[-1].startswith("error: "), shown
