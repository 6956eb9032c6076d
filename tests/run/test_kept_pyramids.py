import os
import time

import jax
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.storage import load_pyramid
from jaxscat.run import kept_pyramids, targets
from jaxscat.run.config import config_from_tree
from jaxscat.run.kept_pyramids import (
    TEMPORARY_HOME,
    describe_kept,
    provide_pyramid,
    pyramid_folder,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache folder of a user."""
    monkeypatch.setattr(kept_pyramids.platformdirs, "user_cache_dir", lambda *_, **__: tmp_path)
    return tmp_path / "pyramids"


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.array_equal(first, second)


def test_a_pyramid_is_kept_when_asked(cache):
    expected = build_pyramid(4, orientations=2)
    assert_same(provide_pyramid(4, keep=False, orientations=2), expected)
    assert not cache.exists()
    for _ in range(2):
        assert_same(provide_pyramid(4, keep=True, orientations=2), expected)
    (path,) = cache.iterdir()
    assert_same(load_pyramid(path), expected)
    size = path.stat().st_size
    assert describe_kept() == f"{cache} (1 pyramids, {size / 1e6:.1f} MB)"


def test_there_may_be_none_yet(cache):
    assert describe_kept() == f"{cache} (0 pyramids, 0.0 MB)"


def test_nothing_is_kept_in_a_home_folder_of_the_process_alone(tmp_path, monkeypatch):
    home = tmp_path / f"{TEMPORARY_HOME}abc" / ".cache"
    monkeypatch.setattr(kept_pyramids.platformdirs, "user_cache_dir", lambda *_, **__: home)
    assert pyramid_folder() is None
    assert_same(provide_pyramid(2, keep=True), build_pyramid(2))
    assert not home.exists()
    assert describe_kept() == "not kept: no home folder"


def test_those_not_used_for_longest_are_removed(cache, monkeypatch):
    for age, nside in enumerate((1, 2, 4)):
        provide_pyramid(nside, keep=True)
        for path in cache.glob(f"pyramid-nside{nside}-*"):
            os.utime(path, 2 * (time.time() - 1000 + age,))
    provide_pyramid(1, keep=True)  # it is used now
    size = sum(path.stat().st_size for path in cache.iterdir())
    monkeypatch.setattr(kept_pyramids, "LARGEST_BYTES", size - 1)
    provide_pyramid(4, keep=True)
    left = {path.name.split("-")[1] for path in cache.iterdir()}
    assert left == {"nside1", "nside4"}


def test_what_killed_programs_leave_is_removed_after_a_day(cache):
    cache.mkdir()
    kept = [cache / ".pyramid-nside4-a.npz.0123", cache / "notes.txt", cache / ".other.npz.0123"]
    gone = cache / ".pyramid-nside4-b.npz.0123"
    for path in (*kept, gone):
        path.touch()
    for path in (*kept[1:], gone):
        os.utime(path, 2 * (time.time() - 90_000,))
    provide_pyramid(2, keep=True)
    assert not gone.exists() and all(path.exists() for path in kept)


def test_a_run_keeps_its_pyramids_when_its_config_says_so(cache):
    for keep in (False, True):
        tree = {"data": {"path": "map.npy"}, "run": {"pyramid_cache": keep}}
        config = config_from_tree(tree | {"pyramid": {"orientations": 2}})
        made = targets.build_run_pyramid(config, 4)
        assert_same(made, build_pyramid(4, orientations=2))
        assert cache.exists() == keep
