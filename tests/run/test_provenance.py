import hashlib
import subprocess

import numpy as np
import pytest

from jaxscat.run.provenance import Clock, array_sha256, file_sha256, git_commit, versions


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, "-C", tmp_path, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    git("init")
    (tmp_path / "tracked.toml").write_text("a = 1\n")
    git("add", "tracked.toml")
    git("commit", "-m", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_commit_of_a_tracked_file_says_when_the_tree_is_changed(repository):
    folder, commit = repository
    assert git_commit(folder / "tracked.toml") == commit
    (folder / "tracked.toml").write_text("a = 2\n")
    assert git_commit(folder / "tracked.toml") == commit + "-dirty"


def test_file_that_its_repository_does_not_track_has_no_commit(repository):
    folder, _ = repository
    (folder / "other.toml").touch()
    assert git_commit(folder / "other.toml") is None
    assert git_commit(folder / "missing.toml") is None


def test_file_outside_any_repository_has_no_commit(tmp_path):
    (tmp_path / "a.toml").touch()
    assert git_commit(tmp_path / "a.toml") is None


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    array = np.arange(6.0).reshape(2, 3)
    expected = hashlib.sha256(array.T.tobytes("C")).hexdigest()
    assert array_sha256(array.T) == expected != array_sha256(array)


def test_versions_name_what_the_numbers_depend_on():
    found = versions()
    assert found["numpy"] == np.__version__
    assert {"python", "jax", "jaxlib", "healpy"} <= set(found)


def test_clock_times_its_parts():
    clock = Clock()
    with clock.measure("part"):
        pass
    assert 0.0 <= clock.seconds["part"] <= clock.total()
