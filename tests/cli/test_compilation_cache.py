import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jaxscat.cli import compilation_cache
from jaxscat.cli.compilation_cache import CompilationCache, find_cache, with_cache_option

# As a command does it: set JAX up, then compute; prints what has come out and how.
PROGRAM = """
import json, sys, warnings
import jax
import jax.numpy as jnp
from jaxscat.cli.console import show_warning
from jaxscat.cli.jax_setup import configure

counts = {"hits": 0, "misses": 0}

def listen(event, **_):
    for name in counts:
        counts[name] += event == f"/jax/compilation_cache/cache_{name}"

warnings.showwarning = show_warning
jax.monitoring.register_event_listener(listen)
configure("default", "float32")
exec(sys.argv[1])
result = jax.jit(lambda x: jnp.fft.fft(jnp.sin(x)).real @ x)(jnp.arange(1000.0) / 7)
shown = {"result": float(result).hex(), "folder": jax.config.jax_compilation_cache_dir}
print(json.dumps(shown | counts))
"""
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"


class Command:
    """Starts processes that share a home folder."""

    def __init__(self, home):
        self.home = home

    def begin(self, *arguments, **variables):
        unset = ("JAX_ENABLE_COMPILATION_CACHE", "XDG_CACHE_HOME", *variables)
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=kept
            | {"HOME": str(self.home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | {name: value for name, value in variables.items() if value is not None},
        )

    def finish(self, process):
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return json.loads(output), errors

    def __call__(self, code="", **variables):
        return self.finish(self.begin("-c", PROGRAM, code, **variables))


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home folder in which programs are kept, and what the process that kept them has shown."""
    home = tmp_path_factory.mktemp("home")
    first, errors = Command(home)()
    assert not errors and first["misses"] >= 2 and first["hits"] == 0
    return home, first


@pytest.fixture
def unset(monkeypatch):
    """No settings of this process, and none that a test makes in a later one."""
    for name in ("JAX_ENABLE_COMPILATION_CACHE", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", True)
    yield
    jax.config.update("jax_enable_compilation_cache", enabled)


def programs(folder):
    return sorted(Path(folder).glob("*-cache"))


def test_the_next_command_loads_all_programs_in_silence(filled):
    home, first = filled
    second, errors = Command(home)()
    assert second["misses"] == 0 and second["hits"] == first["misses"]
    assert second["result"] == first["result"] and not errors
    assert Path(first["folder"]).is_relative_to(home)
    assert Path(first["folder"]).stat().st_mode & 0o77 == 0  # programs are not others' to change


@pytest.mark.parametrize("damage", ["cut short", "empty", "random"])
def test_damaged_programs_are_compiled_again_and_replaced(filled, damage):
    home, first = filled
    for path in programs(first["folder"]):
        data = path.read_bytes()
        new = {"cut short": data[: len(data) // 2], "empty": b"", "random": os.urandom(len(data))}
        path.write_bytes(new[damage])
    again, errors = Command(home)()
    assert again["result"] == first["result"] and not errors
    assert again["hits"] == 0 and again["misses"] == first["misses"]
    assert Command(home)()[0]["hits"] == first["misses"]


def test_a_full_disk_is_told_once_and_leaves_nothing_damaged(command):
    pytest.importorskip("resource")
    shown, errors = command(SMALL_FILES)
    assert errors == "warning: some compiled programs are not kept: File too large\n"
    assert not programs(shown["folder"])
    assert command()[0]["result"] == shown["result"]


def test_a_file_in_place_of_the_folder_is_one_line(command, tmp_path):
    (tmp_path / ".cache").touch()
    (tmp_path / "Library").touch()
    shown, errors = command()
    assert shown["folder"] is None
    (line,) = errors.splitlines()
    assert line.startswith("warning: compiled programs are not kept: '")
    assert line.endswith("' cannot be used: Not a directory")


def test_commands_at_once_share_the_programs(command):
    both = [command.begin("-c", PROGRAM, "") for _ in range(2)]
    shown = [command.finish(process) for process in both]
    assert not any(errors for _, errors in shown)
    third, errors = command()
    assert third["misses"] == 0 and not errors
    assert {third["result"]} == {found["result"] for found, _ in shown}


def test_the_variable_of_jax_wins_and_its_settings_stand(command, tmp_path):
    code = "print(jax.config.jax_persistent_cache_min_compile_time_secs, file=sys.stderr)"
    shown, errors = command(code, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine"))
    assert shown["folder"] == str(tmp_path / "mine") and errors == "1.0\n"
    name = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
    assert command(code, **{name: "7"})[1] == "7.0\n"
    shown, errors = command(JAX_ENABLE_COMPILATION_CACHE="0")
    assert shown["folder"] is None and shown["hits"] == shown["misses"] == 0 and not errors


def test_importing_the_package_sets_nothing(command):
    code = "import json, jax, jaxscat.cli.main; print(json.dumps(jax.config.values))"
    ours, _ = command.finish(command.begin("-c", code))
    plain, _ = command.finish(command.begin("-c", code.replace(", jaxscat.cli.main", "")))
    assert ours | plain == ours  # modules of JAX that are imported later define some more


def test_loaded_programs_measure_the_same_to_the_last_bit(command, tmp_path):
    np.save(tmp_path / "map.npy", np.random.default_rng(0).gamma(2.0, size=192))
    found = []
    for name in ("anew", "kept", "loaded"):
        options = ["-o", str(tmp_path / f"{name}.npz"), "--scales", "2", "--order", "NESTED"]
        options += ["--no-compilation-cache"] if name == "anew" else []
        process = command.begin(
            "-m", "jaxscat_command", "measure", str(tmp_path / "map.npy"), *options
        )
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0 and "warning" not in errors, errors
        with np.load(tmp_path / f"{name}.npz") as archive:
            found.append({key: archive[key].tobytes() for key in archive.files})
        assert bool(list(tmp_path.rglob("programs/*/*-cache"))) == (name != "anew")
    assert found[0] == found[1] == found[2]


def test_the_option_switches_the_cache_off(unset, monkeypatch, tmp_path):
    monkeypatch.setattr(compilation_cache, "_home", lambda: tmp_path)
    app = typer.Typer()
    seen = []

    @app.command()
    @with_cache_option
    def command(name: str, number: int = 3) -> None:
        seen.append((name, number, find_cache().folder is None))

    runner = CliRunner()
    assert runner.invoke(app, ["a", "--no-compilation-cache", "--number", "4"]).exit_code == 0
    assert seen == [("a", 4, True)]
    jax.config.update("jax_enable_compilation_cache", True)
    assert runner.invoke(app, ["b"]).exit_code == 0
    assert seen[1] == ("b", 3, False)


def test_where_no_folder_can_be_made_the_reason_is_told(unset, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", Path("/proc/none"), tmp_path / ("x" * 999), tmp_path / "\0"):
        monkeypatch.setattr(compilation_cache, "_home", lambda home=home: home)
        with pytest.warns(UserWarning, match="^compiled programs are not kept: '.*' cannot be"):
            compilation_cache.keep_programs()
        assert find_cache().describe().startswith("off: '")
    assert jax.config.jax_compilation_cache_dir is None


def test_without_a_home_folder_nothing_is_kept_and_nothing_more_is_said(
    unset, monkeypatch, tmp_path
):
    monkeypatch.setattr("jaxscat.cli.environment._made_homes", [tmp_path])
    monkeypatch.setattr(compilation_cache, "_home", lambda: tmp_path / "programs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compilation_cache.keep_programs()
    assert find_cache().describe() == "off: no home folder" and not list(tmp_path.iterdir())


def test_why_the_cache_is_off_and_what_it_holds_is_described(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    assert find_cache().describe() == "off: JAX_COMPILATION_CACHE_DIR is empty"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    for name, size in {"a-0-cache": 10**6, "b-1-cache": 2 * 10**6, "b-1-atime": 8}.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert find_cache().describe() == f"{tmp_path} (2 programs, 3.0 MB)"
    assert CompilationCache(tmp_path / "none").describe().endswith("(0 programs, 0.0 MB)")
    jax.config.update("jax_enable_compilation_cache", False)
    assert find_cache().describe() == "off: JAX_ENABLE_COMPILATION_CACHE says so"


def test_the_programs_of_other_processors_are_not_loaded(monkeypatch):
    def name(text, cores=2):
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        return compilation_cache._identify_machine()

    one = "processor\t: 0\nmodel name\t: A\ncpu MHz\t: 1000\nflags\t: sse avx\n\nprocessor\t: 1\n"
    assert name(one) == name(one.replace("1000", "2000")) == name(one + "model name\t: C\n")
    assert len({name(one), name(one, 3), name(one.replace("avx", "")), name(one.upper())}) == 4

    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    here = compilation_cache._identify_machine()
    monkeypatch.setattr("platform.node", lambda: "another")
    assert compilation_cache._identify_machine() != here


def test_programs_not_used_for_longest_make_room(tmp_path):
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
        for number in range(5):
            path = tmp_path / machine / f"jit_f-{number}-cache"
            path.write_bytes(bytes(100))
            path.with_name(f"jit_f-{number}-atime").write_bytes(bytes(8))
            os.utime(path, (1000 * number + 500 * (machine == "two"), 0))
    (tmp_path / "file").touch()
    compilation_cache._remove_oldest(tmp_path, 1000)
    assert len(list(tmp_path.glob("*/*-cache"))) == 10
    compilation_cache._remove_oldest(tmp_path, 999)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")}
    ends = ("cache", "atime")
    recent = {f"{m}/jit_f-{n}-{end}" for m in ("one", "two") for n in (2, 3, 4) for end in ends}
    assert left == recent | {f"two/jit_f-1-{end}" for end in ends}
    compilation_cache._remove_oldest(tmp_path / "none", 0)
