import csv
import stat
from contextlib import contextmanager

import pytest

from jaxscat.run.config import config_from_tree
from jaxscat.run.folder import (
    CONTENT,
    MARKERS,
    RunFolder,
    map_file_names,
    write_json,
    write_table,
)

CONFIG = config_from_tree({"data": {"path": "map.npy"}, "run": {"name": "trial"}})


@contextmanager
def new_run_folder(folder, *, overwrite=False):
    """The folder of a run from its beginning to its end, to be filled."""
    with RunFolder.open(folder, CONFIG, overwrite=overwrite).begin() as run:
        with run.draft() as draft:
            yield draft
        run.finish()


def former_run(folder):
    folder.mkdir(parents=True)
    for marker in MARKERS:
        (folder / marker).write_text("old")
    return folder


def left_over(tmp_path):
    return [path.name for path in tmp_path.iterdir()]


def test_appears_whole_at_the_end_with_ordinary_permissions(tmp_path):
    folder = tmp_path / "deep" / "run"
    with new_run_folder(folder) as draft:
        (draft / "a.txt").write_text("content")
        assert not folder.exists()
    assert (folder / "a.txt").read_text() == "content"
    ordinary = tmp_path / "ordinary"
    ordinary.mkdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert left_over(folder.parent) == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_when_the_work_fails(tmp_path, error):
    folder = tmp_path / "new" / "deep" / "run"
    with pytest.raises(error), new_run_folder(folder) as draft:
        (draft / "a.txt").write_text("half")
        raise error
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("kind", ["run", "empty", "file"])
def test_what_exists_is_refused(tmp_path, kind):
    folder = tmp_path / "run"
    {"run": former_run, "empty": lambda path: path.mkdir(), "file": lambda path: path.touch()}[
        kind
    ](folder)
    with pytest.raises(FileExistsError, match="run.*--overwrite"), new_run_folder(folder):
        pytest.fail("the block must not run")


def test_overwrite_swaps_a_former_run_only_at_the_end(tmp_path):
    folder = former_run(tmp_path / "run")
    with pytest.raises(ValueError), new_run_folder(folder, overwrite=True):
        raise ValueError
    assert (folder / "results.json").read_text() == "old"
    with new_run_folder(folder, overwrite=True) as draft:
        (draft / "new.txt").write_text("new")
        assert (folder / "results.json").read_text() == "old"
    assert left_over(folder) == ["new.txt"] and left_over(tmp_path) == ["run"]


def test_overwrite_never_replaces_what_no_run_has_written(tmp_path):
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    link = tmp_path / "link"
    link.symlink_to(precious)
    for folder in (precious, link, precious / "thesis.tex"):
        with (
            pytest.raises(FileExistsError, match="not the folder of a former run"),
            new_run_folder(folder, overwrite=True),
        ):
            pytest.fail("the block must not run")
    assert (precious / "thesis.tex").exists()


def test_overwrite_keeps_a_folder_with_files_of_its_user(tmp_path):
    folder = former_run(tmp_path / "run")
    (folder / "notes.txt").touch()
    with (
        pytest.raises(FileExistsError, match=r"holds notes\.txt, which no run has written"),
        new_run_folder(folder, overwrite=True),
    ):
        pytest.fail("the block must not run")
    assert (folder / "notes.txt").exists()


@pytest.mark.parametrize("files", [CONTENT, MARKERS | set(map_file_names(1001))])
def test_overwrite_replaces_everything_that_a_run_writes(tmp_path, files):
    folder = former_run(tmp_path / "run")
    for name in files:
        (folder / name).touch()
    with new_run_folder(folder, overwrite=True) as draft:
        (draft / "new.txt").touch()
    assert left_over(folder) == ["new.txt"]


@pytest.mark.parametrize(
    ("files", "foreign"),
    [
        (["maps.fits", "maps_001.fits", "maps_002.fits"], "maps_001.fits, maps_002.fits"),
        (["maps_001.fits"], "maps_001.fits"),
        (["maps_001.fits", "maps_003.fits"], "maps_003.fits"),
        (["maps_001.fits", "maps_002.fits", "maps_02.fits"], "maps_02.fits"),
        (["maps_001.fits", "maps_002.fits", "maps_003.fits.gz"], "maps_003.fits.gz"),
        (["maps_mine.fits"], "maps_mine.fits"),
    ],
)
def test_overwrite_keeps_files_that_are_only_named_like_those_of_a_run(tmp_path, files, foreign):
    folder = former_run(tmp_path / "run")
    for name in files:
        (folder / name).touch()
    with (
        pytest.raises(FileExistsError, match=rf"holds {foreign}, which no run has written"),
        new_run_folder(folder, overwrite=True),
    ):
        pytest.fail("the block must not run")
    assert {*files} <= {*left_over(folder)}


def test_results_are_kept_when_their_place_is_taken_meanwhile(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(OSError, match=r"kept in '(.*)'"), new_run_folder(folder) as draft:
        (draft / "a.txt").touch()
        folder.mkdir()
    assert (draft / "a.txt").exists()


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"value": float("nan")})


def test_table_leaves_empty_what_does_not_exist_and_quotes_commas(tmp_path):
    lines = [["quantity", "SEED_1", "SEED_2"], ["C_l ratio, l = 2", 0.1, None]]
    write_table(tmp_path / "t.csv", lines)
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [lines[0], ["C_l ratio, l = 2", "0.1", ""]]


def test_a_link_to_a_former_run_stays_and_leads_to_the_new_one(tmp_path):
    folder, link = former_run(tmp_path / "disk" / "run"), tmp_path / "link"
    link.symlink_to("disk/run")
    with new_run_folder(link, overwrite=True) as draft:
        (draft / "new.txt").write_text("new")
        assert left_over(tmp_path) == ["disk", "link"] or left_over(tmp_path) == ["link", "disk"]
    assert link.is_symlink() and left_over(folder) == ["new.txt"]
    assert left_over(folder.parent) == ["run"]


def test_a_link_to_nothing_yet_is_filled(tmp_path):
    (tmp_path / "link").symlink_to("run")
    with new_run_folder(tmp_path / "link") as draft:
        (draft / "new.txt").write_text("new")
    assert (tmp_path / "link").is_symlink() and left_over(tmp_path / "run") == ["new.txt"]


def test_a_private_folder_stays_private(tmp_path):
    folder = former_run(tmp_path / "run")
    folder.chmod(0o700)
    with new_run_folder(folder, overwrite=True):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
