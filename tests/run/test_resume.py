"""A run that was interrupted or killed goes on, and nothing that it or others have kept is lost."""

import json
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from jaxscat.progress import Observer
from jaxscat.run import resume as run_resume
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import RunFolder
from jaxscat.run.resume import find_finished_results, state_folder

pytestmark = pytest.mark.usefixtures("without_figures_in_module", "few_controls_in_module")


class Killed(BaseException):
    """It is not handled anywhere, so that it leaves on disk what a kill leaves."""


class Ending(Observer):
    """Ends the synthesis after a number of looks, or the run at the beginning of a stage."""

    def __init__(self, error, looks=0, stage=None):
        self.error, self.looks, self.at = error, looks, stage
        self.stages = []

    def stage(self, name):
        self.stages.append(name)
        if self.at is not None and self.at in name:
            raise self.error

    def step(self, progress):
        self.looks -= 1
        if self.looks == 0:
            raise self.error


def settings(path, **sections):
    tree = {
        "data": {"path": str(path)},
        "pyramid": {"scales": 2},
        "synthesis": {"seeds": [3, 4, 5], "max_steps": 40, "batch_size": 2},
        "checkpoints": {"every_steps": 10, "every_minutes": 0},
        "run": {"name": "trial"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.random.default_rng(0).gamma(2.0, size=192).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def config(map_file):
    return settings(map_file)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory, few_controls_in_module, no_figures):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with no_figures():
        run_experiment(config, folder)
    return folder


@pytest.fixture(scope="module")
def whole_canned(config, tmp_path_factory, canned, few_controls_in_module, no_figures):
    """A run whose maps come from no synthesis, for tests of folders."""
    folder = tmp_path_factory.mktemp("canned") / "run"
    with no_figures():
        run_experiment(config, folder, synthesize=canned)
    return folder


def begun_run(folder, config, **options):
    return RunFolder.open(folder, config, **options).begin()


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def without_times(tree):
    if isinstance(tree, dict):
        return {k: without_times(v) for k, v in tree.items() if "seconds" not in k}
    return [without_times(v) for v in tree] if isinstance(tree, list) else tree


def assert_same_run(folder, whole):
    assert left_over(folder) == left_over(whole)
    one, two = fits.open(folder / "maps.fits"), fits.open(whole / "maps.fits")
    with one, two:
        assert one[1].data.tobytes() == two[1].data.tobytes()
    for name in ("history.csv", "ensemble.csv", "config.toml", "validation.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    found, expected = (json.loads((f / "results.json").read_text()) for f in (folder, whole))
    assert without_times(found) == without_times(expected)


@pytest.mark.parametrize("looks", [2, 5])
def test_a_run_that_ends_anyhow_is_resumed_to_the_same_maps(config, whole, tmp_path, looks):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run_experiment(config, folder, observer=Ending(Killed(), looks))
    assert left_over(tmp_path) == ["run.unfinished"]
    with pytest.raises(FileExistsError, match=r"run.unfinished.*--resume.*--overwrite"):
        run_experiment(config, folder)
    seen = Ending(None)
    outcome = run_experiment(config, folder, resume=True, observer=seen)
    assert f"synthesizing 3 seeds, from evaluation {1 + 10 * looks}" in seen.stages
    assert outcome.computed and outcome.status == "step limit"
    assert_same_run(folder, whole)
    assert left_over(tmp_path) == ["run"]


@pytest.mark.parametrize("how", [{"form": "harmonic"}, {"first_nside": 2}], ids=str)
def test_other_ways_of_synthesizing_are_resumed(map_file, tmp_path, how):
    config = settings(map_file, synthesis={"max_steps": 25, "batch_size": 3} | how)
    run_experiment(config, tmp_path / "whole")
    # Looks of a level before the last count too.
    looks = 5 if "first_nside" in how else 2
    with pytest.raises(Killed):
        run_experiment(config, tmp_path / "run", observer=Ending(Killed(), looks))
    assert left_over(tmp_path) == ["run.unfinished", "whole"]
    seen = Ending(None)
    run_experiment(config, tmp_path / "run", resume=True, observer=seen)
    assert any("synthesizing 3 seeds, from evaluation" in stage for stage in seen.stages)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_an_interrupted_run_has_maps_and_is_resumed(config, whole, tmp_path):
    folder = tmp_path / "run"
    outcome = run_experiment(config, folder, observer=Ending(KeyboardInterrupt(), 3))
    assert outcome.status == "interrupted" and outcome.resumable
    assert left_over(tmp_path) == ["run", "run.unfinished"]
    assert run_experiment(config, folder, resume=True).status == "step limit"
    assert_same_run(folder, whole)
    assert left_over(tmp_path) == ["run"]


def test_a_failure_after_the_synthesis_costs_nothing_but_that(config, whole, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run_experiment(config, folder, observer=Ending(Killed(), stage="validating"))
    seen = Ending(Killed(), looks=2)  # one chunk at most is done again
    run_experiment(config, folder, resume=True, observer=seen)
    assert_same_run(folder, whole)


def test_a_finished_run_is_left_as_it_is(monkeypatch, config, whole_canned):
    whole = whole_canned
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    monkeypatch.setattr("jaxscat.run.problem.read_inputs", None)
    outcome = run_experiment(config, whole, resume=True)
    assert not outcome.computed
    assert outcome.results == json.loads((whole / "results.json").read_text())
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    config, whole_canned, tmp_path, canned
):
    folder = tmp_path / "run"
    with begun_run(folder, config) as run:
        (run.state / ".run.draft").mkdir()  # where a kill has left it
    assert left_over(tmp_path) == ["run.unfinished"]
    run_experiment(config, folder, resume=True, synthesize=canned)
    assert_same_run(folder, whole_canned)
    assert left_over(tmp_path) == ["run"]


def test_a_run_killed_while_it_replaces_another_is_resumed(config, whole_canned, tmp_path, canned):
    """At the worst moment: the former folder is moved away, the new one is not there yet."""
    folder = tmp_path / "run"
    run_experiment(config, folder, synthesize=canned)
    with begun_run(folder, config, overwrite=True) as run:
        folder.rename(run.state / "run.draft.former")
    with pytest.raises(Killed):
        run_experiment(config, folder, resume=True, observer=Ending(Killed(), stage="reading"))
    assert_same_run(folder, whole_canned)  # the former one is back
    assert left_over(tmp_path) == ["run"]


def test_a_run_killed_after_its_results_were_in_place_is_finished(config, tmp_path):
    folder = tmp_path / "run"
    with begun_run(folder, config) as run:
        pass
    folder.mkdir()
    (folder / "config.toml").write_text(config.to_toml())
    (folder / "results.json").write_text('{"status": "step limit"}')
    (folder / "run.json").write_text(json.dumps({"run": run.run}))
    assert not run_experiment(config, folder, resume=True).computed
    assert left_over(tmp_path) == ["run"]


def test_nothing_to_resume_is_an_error(config, map_file, tmp_path, canned):
    with pytest.raises(FileNotFoundError, match=r"^nothing to resume: neither .*run' is the"):
        run_experiment(config, tmp_path / "run", resume=True)
    never = settings(map_file, checkpoints={"every_steps": 0, "every_minutes": 0})
    observer = Ending(KeyboardInterrupt(), 1)
    outcome = run_experiment(never, tmp_path / "run", observer=observer, synthesize=canned)
    assert outcome.status == "interrupted" and not outcome.resumable
    assert left_over(tmp_path) == ["run"]
    with pytest.raises(FileNotFoundError, match=r"^nothing to resume: .* before it had kept"):
        run_experiment(never, tmp_path / "run", resume=True)


def test_another_config_or_version_is_refused_by_name(
    monkeypatch, config, map_file, whole_canned, tmp_path
):
    other = settings(map_file, synthesis={"max_steps": 41})
    message = r"synthesis.max_steps is 40 there and 41 now"
    with pytest.raises(ValueError, match=message):
        run_experiment(other, whole_canned, resume=True)
    folder = tmp_path / "run"
    with begun_run(folder, config):
        pass
    with pytest.raises(ValueError, match=message):
        run_experiment(other, folder, resume=True)
    # How often the state is kept is no part of it.
    assert find_finished_results(folder, settings(map_file, checkpoints={})) is None
    monkeypatch.setattr(run_resume, "versions", lambda: {"jaxscat": "9.9"})
    with pytest.raises(ValueError, match=r"was begun by jaxscat .*, and this is 9.9"):
        run_experiment(config, folder, resume=True)


def test_other_data_under_the_same_name_is_refused(map_file, tmp_path):
    path = tmp_path / "map.npy"
    path.write_bytes(map_file.read_bytes())
    config, folder = settings(path), tmp_path / "run"
    with pytest.raises(Killed):
        run_experiment(config, folder, observer=Ending(Killed(), 2))
    np.save(path, np.load(path) + 1)
    with pytest.raises(ValueError, match=r"got checksum of map = '.*', expected"):
        run_experiment(config, folder, resume=True)
    assert state_folder(folder).exists()


def test_overwrite_forgets_an_unfinished_run(config, whole_canned, tmp_path, canned):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run_experiment(config, folder, observer=Ending(Killed(), 2), synthesize=canned)
    opened = RunFolder.open(folder, config, overwrite=True)
    assert opened.resumable and opened.has_checkpoints()
    seen = Ending(None)
    run_experiment(config, opened, observer=seen, synthesize=canned)
    assert "synthesizing 3 seeds" in seen.stages
    assert_same_run(folder, whole_canned)


def test_an_opened_folder_is_of_its_config(config, map_file, tmp_path):
    opened = RunFolder.open(tmp_path / "run", config)
    with pytest.raises(ValueError, match=r"^folder: got .*run' of another config, expected the"):
        run_experiment(settings(map_file, synthesis={"max_steps": 41}), opened)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("120", True),
        ("000000120.npz", True),
        (".000000120.npz.1a2b3c4d", False),
        ("120.orbax-checkpoint-tmp", False),
        ("000000120.npz.part", False),
    ],
)
def test_a_checkpoint_is_one_that_is_whole(config, tmp_path, name, whole):
    with begun_run(tmp_path / "run", config) as run:
        run.checkpoints().mkdir(parents=True)
        (run.checkpoints() / name).touch()
        assert run.has_checkpoints() is whole


def test_a_damaged_note_is_an_error_that_says_what_to_do(config, tmp_path):
    folder = tmp_path / "run"
    with begun_run(folder, config) as run:
        pass
    (run.state / "note.json").write_text("{")
    with pytest.raises(ValueError, match=r"note.json' is damaged .* remove"):
        run_experiment(config, folder, resume=True)


def test_a_state_that_cannot_be_made_is_an_error(config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        run_experiment(config, tmp_path / "file" / "run")
    assert left_over(tmp_path) == ["file"]


def test_checkpoints_are_read_even_if_no_more_are_wanted(config, whole, map_file, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        run_experiment(config, folder, observer=Ending(Killed(), looks=2))
    seen = Ending(None)
    silent = settings(map_file, checkpoints={"every_steps": 0, "every_minutes": 0})
    run_experiment(silent, folder, resume=True, observer=seen)
    assert "synthesizing 3 seeds, from evaluation 21" in seen.stages
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


def test_a_run_that_is_being_made_is_left_alone(config, whole_canned, tmp_path, canned):
    folder = tmp_path / "run"
    tried = []

    class Second(Observer):
        """Begins the same run again, from another process, while the first is at it."""

        def step(self, progress):
            if tried:
                return
            for option in ("resume", "overwrite"):
                script = f"""if True:
                    from jaxscat.run.config import load_config
                    from jaxscat.run.execute import run_experiment

                    config = load_config({str(state_folder(folder) / "config.toml")!r})
                    run_experiment(config, {str(folder)!r}, {option}=True)
                """
                done = subprocess.run(
                    [sys.executable, "-c", script], capture_output=True, text=True
                )
                tried.append(done.stderr.splitlines()[-1])

    run_experiment(config, folder, observer=Second(), synthesize=canned)
    for message in tried:
        assert message.startswith("FileExistsError: ") and "another process makes" in message
    assert len(tried) == 2
    assert_same_run(folder, whole_canned)


def test_what_a_kill_leaves_of_a_state_is_removed(config, tmp_path, canned):
    folder = tmp_path / "run"
    (tmp_path / ".run.unfinished.12ab34cd" / "checkpoints").mkdir(parents=True)
    (tmp_path / ".other.unfinished.12ab34cd").mkdir()
    run_experiment(config, folder, synthesize=canned)
    assert left_over(tmp_path) == [".other.unfinished.12ab34cd", "run"]
