"""Two processes make what one makes."""

import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from jaxscat.minimization.result import Result
from jaxscat.run.config import config_from_tree
from jaxscat.run.processes import Processes, read_parts, write_part

SECTIONS = {
    "pyramid": {"scales": 2},
    "synthesis": {"seeds": [3, 4, 5], "max_steps": 20},
    "checkpoints": {"every_steps": 10, "every_minutes": 0},
    "run": {"name": "trial", "precision": "float64"},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    np.save(folder / "map.npy", np.random.default_rng(0).gamma(2.0, size=192))
    path = folder / "config.toml"
    tree = {"data": {"path": str(folder / "map.npy"), "order": "NESTED"}, **SECTIONS}
    path.write_text(config_from_tree(tree).to_toml())
    return path


# The command, without figures: they take most of the time of a short run.
SCRIPT = """
from jaxscat.cli import main as cli
from jaxscat.run import report as run_report
from jaxscat.run import results as run_results
class NoFigure:
    savefig = lambda self, file, **_: None
    get_layout_engine = lambda self: None
run_results.plot_summary = run_results.plot_ensemble = lambda *_, **__: NoFigure()
run_report.plot_validation = lambda *_, **__: None
run_report.validation_figures = lambda *_, **__: {}
run_report.figure_png = lambda _: b""
cli.main()
"""


def command(config, folder, *more):
    return [sys.executable, "-c", SCRIPT, "run", str(config), "--output", str(folder), *more]


def run(config, folder, *more):
    arguments = command(config, folder, *more)
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def numbers_of_two():
    """The options that make each of two processes one of them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    shared = ["--coordinator", address, "--processes", "2", "--process"]
    return [[*shared, str(index)] for index in range(2)]


def run_two(config, folder, *more):
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda own: run(config, folder, *more, *own), numbers_of_two()))


@pytest.fixture(scope="module")
def runs(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    one = run(config, folder / "one")
    assert one.returncode == 0, one.stderr
    return folder, one, run_two(config, folder / "two")


def columns(folder):
    with fits.open(folder / "maps.fits") as units:
        table = units[1].data
        return {name: np.asarray(table[name], np.float64).ravel() for name in table.names}


def test_two_processes_make_what_one_makes(runs):
    folder, _, two = runs
    assert [done.returncode for done in two] == [0, 0], [done.stderr for done in two]
    found, expected = columns(folder / "two"), columns(folder / "one")
    assert list(found) == list(expected)
    for name, column in expected.items():  # the file is in float32
        np.testing.assert_allclose(found[name], column, rtol=0, atol=1e-6 * np.abs(column).max())
    losses = [
        np.loadtxt(folder / name / "history.csv", delimiter=",", skiprows=1)
        for name in ("two", "one")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-8)
    results = json.loads((folder / "two" / "results.json").read_text())
    assert [row["seed"] for row in results["seeds"]] == [3, 4, 5]
    assert json.loads((folder / "two" / "run.json").read_text())["processes"] == 2
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]


def ours(text):
    """Lines that are not from the library through which JAX's processes talk on CPUs."""
    return [line for line in text.splitlines() if not line.startswith("[Gloo]")]


def test_the_first_process_alone_prints(runs):
    _, _, (first, second) = runs
    assert "wrote" in first.stdout and "process 0 of 2: 2 seeds" in first.stderr
    assert ours(second.stdout) == [] and "synthesizing" not in second.stderr


def test_two_processes_are_resumed(runs, config):
    """A finished run is left alone by both."""
    folder, *_ = runs
    done = run_two(config, folder / "two", "--resume")
    assert [process.returncode for process in done] == [0, 0], [d.stderr for d in done]
    assert "is finished; nothing to do" in done[0].stdout and ours(done[1].stdout) == []


def test_two_killed_processes_go_on_from_their_checkpoints(runs, config, tmp_path):
    whole, *_ = runs
    killed = tmp_path / "killed"
    two = [
        subprocess.Popen(command(config, killed, *own), stderr=subprocess.DEVNULL)
        for own in numbers_of_two()
    ]
    kept = tmp_path / "killed.unfinished" / "checkpoints"
    deadline = time.monotonic() + 200

    def has_whole_one(process):
        names = [path.name for path in kept.glob(f"process_{process}/*")]
        return any(re.fullmatch(r"\d\d+(\.npz)?", name) for name in names)

    while not all(map(has_whole_one, range(2))):
        assert time.monotonic() < deadline and [process.poll() for process in two] == [None] * 2
        time.sleep(0.01)
    for process in two:
        process.kill()
        process.wait()
    assert kept.is_dir() and not killed.exists()
    done = run_two(config, killed, "--resume")
    assert [process.returncode for process in done] == [0, 0], [d.stderr for d in done]
    assert "from evaluation" in done[0].stderr
    assert not kept.exists()
    found, expected = columns(killed), columns(whole / "two")
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column, err_msg=name)
    histories = [(folder / "history.csv").read_bytes() for folder in (killed, whole / "two")]
    assert histories[0] == histories[1]


def test_a_process_that_fails_ends_the_others(runs, config):
    folder, *_ = runs
    done = run_two(config, folder / "one")
    assert [process.returncode for process in done] == [2, 2]
    assert "exists; expected a new one" in done[0].stderr.splitlines()[-1]
    said = "error: process 0 of 2 could not go on, as it says itself"
    assert said in done[1].stderr.splitlines()


def test_a_folder_that_only_one_process_sees(config, tmp_path):
    with ThreadPoolExecutor() as pool:
        places = (tmp_path / "here", tmp_path / "there")
        calls = zip(places, numbers_of_two(), strict=True)
        done = list(pool.map(lambda call: run(config, call[0], *call[1]), calls))
    assert [process.returncode for process in done] == [2, 2]
    assert "process 1 of 2 could not go on" in done[0].stderr
    assert "expected a folder that all processes share" in done[1].stderr
    # The first has made its seeds by then, and keeps its checkpoints.
    assert [path.name for path in tmp_path.iterdir()] == ["here.unfinished"]


def test_the_end_of_a_batch_systems_time_interrupts(config, tmp_path, shown_until_a_step):
    """JAX has a handler of its own for SIGTERM, under which the run would go on."""
    options = ["--synthesis.max_steps", "1000000", "--synthesis.seeds", "1"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    options += ["--coordinator", address, "--processes", "1", "--process", "0"]
    options += ["--pyramid.scales", "1", "--checkpoints.every_steps", "0"]
    process = subprocess.Popen(
        command(config, tmp_path / "run", *options), stderr=subprocess.PIPE, text=True
    )
    shown = shown_until_a_step(process)
    process.terminate()
    shown += process.stderr.read()
    assert process.wait(timeout=120) == 130, shown
    assert "interrupted; the best map so far is written" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--processes", "0", "--process", "0", "--coordinator", "a:1"], "--processes: got 0"),
        (["--processes", "2"], "expected all three of them"),
        (["--distributed", "--process", "0"], "or --distributed alone"),
        (
            ["--coordinator", "localhost:1", "--processes", "2", "--process", "2"],
            "--process: got 2, expected 0 to 1",
        ),
        (["--distributed"], "JAX cannot bring the processes together"),
    ],
)
def test_bad_options_are_refused(config, tmp_path, options, message):
    done = run(config, tmp_path / "run", *options)
    assert done.returncode == 2 and message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_seeds_are_shared_out_evenly():
    shares = [Processes(index, 3).share((7, 1, 4, 9)) for index in range(3)]
    assert shares == [(7, 9), (1,), (4,)]
    assert Processes(2, 3).share((7, 1)) == ()
    assert Processes().share((7, 1)) == (7, 1)


def test_parts_are_joined_in_the_order_of_the_seeds(tmp_path):
    def made(seeds):
        count = len(seeds)
        rows = np.arange(3.0 * count).reshape(count, 3)
        return Result(
            map=rows,
            loss=rows[:, 0],
            losses=rows,
            evaluations=rows.astype(int),
            status=("step limit",) * count,
            steps=np.full(count, 2),
            compile_seconds=2.0,
            run_seconds=4.0,
            seeds=seeds,
        )

    write_part(tmp_path, Processes(0, 3), made((7, 4)))
    write_part(tmp_path, Processes(1, 3), made((1,)))
    with pytest.raises(FileNotFoundError, match="maps of process 2 .* all processes share"):
        read_parts(tmp_path, Processes(0, 3), (7, 1, 4))
    write_part(tmp_path, Processes(2, 3), None)
    found = read_parts(tmp_path, Processes(0, 3), (7, 1, 4))
    assert list(found) == [7, 1, 4]
    np.testing.assert_array_equal(found[4].map, [3.0, 4.0, 5.0])
    assert found[7].run_seconds == 2.0 and found[1].status == "step limit"
