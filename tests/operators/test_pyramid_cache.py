import errno
import importlib.metadata
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from jaxscat.operators import memory, pyramid, pyramid_cache
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.pyramid_cache import cached_pyramid, pyramid_file
from jaxscat.operators.spec import check_spec
from jaxscat.operators.storage import load_pyramid, save_pyramid

CELLS = np.random.default_rng(0).permutation(768)[:300]


def assert_same(one, other):
    assert one.spec == other.spec
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


@pytest.fixture
def built(monkeypatch):
    """The nside of every pyramid that has been built."""
    found, build = [], pyramid.build_planned

    def count(plan, progress=None):
        found.append(plan.spec.nside)
        return build(plan, progress)

    monkeypatch.setattr(pyramid_cache, "build_planned", count)
    return found


@pytest.fixture
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    "arguments",
    [
        {"nside": 8},
        {"nside": 4, "kernel_size": 5, "dtype": "float64", "orientations": 3, "scales": 2},
        {"nside": 4, "geometry": "foscat"},
        {"nside": 16, "layout": "faces", "scales": 1},
        {"nside": 8, "cell_ids": CELLS},
        {"nside": 8, "cell_ids": CELLS, "kernel_size": 5},
        {"nside": 2, "cell_ids": np.arange(48)[::-1]},
    ],
    ids=lambda arguments: " ".join(arguments),
)
@pytest.mark.usefixtures("silent")
def test_a_pyramid_is_built_once_and_comes_back_to_the_last_bit(tmp_path, built, arguments):
    expected = build_pyramid(**arguments)
    folder = tmp_path / "some" / "folder"
    for _ in range(2):
        assert_same(cached_pyramid(folder, **arguments), expected)
    assert built == [arguments["nside"]]
    assert list(folder.iterdir()) == [pyramid_file(folder, expected.spec)]


@pytest.mark.usefixtures("silent")
def test_a_patch_in_another_order_has_the_same_file(tmp_path, built):
    for cells in (CELLS, CELLS[::-1], np.sort(CELLS)):
        found = cached_pyramid(tmp_path, 8, cell_ids=cells)
        assert_same(found, build_pyramid(8, cell_ids=cells))
        assert np.array_equal(found.pixels(), cells)
    assert built == [8]


@pytest.mark.usefixtures("silent")
def test_every_argument_that_changes_the_tables_has_its_own_file(tmp_path, built):
    several = [
        {},
        {"orientations": 2},
        {"kernel_size": 5},
        {"scales": 2},
        {"dtype": "float64"},
        {"geometry": "foscat"},
        {"cell_ids": range(64)},
        {"cell_ids": range(64, 128)},
    ]
    for _ in range(2):
        for arguments in several:
            assert_same(cached_pyramid(tmp_path, 4, **arguments), build_pyramid(4, **arguments))
    assert len(built) == len(several) == len(list(tmp_path.iterdir()))
    names = {pyramid_file(tmp_path, check_spec(16, layout=layout)) for layout in ("rows", "faces")}
    assert len(names) == 2


@pytest.mark.parametrize("what", ["jaxscat", "healpy", "format"])
def test_other_versions_have_other_files(tmp_path, monkeypatch, built, what):
    cached_pyramid(tmp_path, 2)
    if what == "format":
        monkeypatch.setattr(pyramid_cache, "FORMAT", 99)
    else:
        known = importlib.metadata.version
        monkeypatch.setattr(
            importlib.metadata, "version", lambda name: "99.0" if name == what else known(name)
        )
    cached_pyramid(tmp_path, 2)
    assert built == [2, 2]


def test_a_package_that_is_not_installed_has_files_too(tmp_path, monkeypatch, built):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    for _ in range(2):
        cached_pyramid(tmp_path, 2)
    assert built == [2]


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "changed": change_a_byte,
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_text("pyramid"),
    "an array": lambda path: np.savez(path, a=1),
    "another pyramid": lambda path: save_pyramid(path, build_pyramid(2)),
    "the pyramid of another patch": lambda path: save_pyramid(
        path, build_pyramid(8, cell_ids=np.arange(300))
    ),
    "a pyramid with an order": lambda path: save_pyramid(path, build_pyramid(8, cell_ids=CELLS)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_cannot_be_used_is_replaced(tmp_path, built, damage):
    expected = build_pyramid(8, cell_ids=CELLS)
    path = pyramid_file(tmp_path, expected.spec)
    cached_pyramid(tmp_path, 8, cell_ids=CELLS)
    damage(path)
    with pytest.warns(UserWarning, match=r"built anew, as the one that was kept cannot") as caught:
        assert_same(cached_pyramid(tmp_path, 8, cell_ids=CELLS), expected)
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)
    assert caught[0].filename == __file__
    assert_same(cached_pyramid(tmp_path, 8, cell_ids=CELLS), expected)
    assert built == [8, 8]
    assert list(tmp_path.iterdir()) == [path]


def test_pixels_are_compared_and_not_their_checksum_alone(tmp_path):
    """A file of the right specification, put there by hand, with the tables of another patch."""
    spec, (one, other) = (
        check_spec(8, cells=np.arange(300), scales=2),
        (build_pyramid(8, cell_ids=np.arange(at, at + 300), scales=2) for at in (0, 400)),
    )
    save_pyramid(pyramid_file(tmp_path, spec), pyramid.Pyramid(other.levels, None, spec))
    assert load_pyramid(pyramid_file(tmp_path, spec)).spec == spec
    with pytest.warns(UserWarning, match="holds another pyramid"):
        assert_same(cached_pyramid(tmp_path, 8, cell_ids=np.arange(300), scales=2), one)


def test_a_size_that_is_too_large_for_the_memory_is_damage(tmp_path, monkeypatch, built):
    def load(path):
        raise MemoryError("Unable to allocate 9 PiB")

    monkeypatch.setattr(pyramid_cache, "load_pyramid", load)
    with pytest.warns(UserWarning, match="9 PiB"):
        cached_pyramid(tmp_path, 2)
    assert built == [2]


def test_a_folder_in_the_place_of_the_file_stays(tmp_path, built):
    path = pyramid_file(tmp_path, check_spec(2))
    path.mkdir()
    with pytest.warns(UserWarning, match=r"a pyramid is not kept in .*: .* a folder"):
        assert_same(cached_pyramid(tmp_path, 2), build_pyramid(2))
    assert path.is_dir()


def test_a_file_in_the_place_of_the_folder_stays(tmp_path):
    (tmp_path / "folder").write_text("mine")
    for folder in (tmp_path / "folder", tmp_path / "folder" / "below"):
        with pytest.warns(UserWarning, match=r"a pyramid is not kept in "):
            assert_same(cached_pyramid(folder, 2), build_pyramid(2))
    assert (tmp_path / "folder").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):  # root may write everywhere

        def refuse(path, pyramid):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(pyramid_cache, "save_pyramid", refuse)
    with pytest.warns(UserWarning, match="a pyramid is not kept in .*: Permission denied"):
        assert_same(cached_pyramid(tmp_path, 2), build_pyramid(2))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.warns(UserWarning, match="a pyramid is not kept in .*: File too large"):
            assert_same(cached_pyramid(tmp_path, 2), build_pyramid(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_said(tmp_path, monkeypatch, built):
    def load(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    cached_pyramid(tmp_path, 2)
    monkeypatch.setattr(pyramid_cache, "load_pyramid", load)
    with pytest.warns(UserWarning, match="Input/output error"):
        cached_pyramid(tmp_path, 2)
    assert built == [2, 2]


@pytest.mark.usefixtures("silent")
def test_programs_at_once_do_not_disturb_each_other(tmp_path, monkeypatch):
    together, save = threading.Barrier(3, timeout=60), save_pyramid

    def save_together(path, made):
        together.wait()  # all have found no file
        save(path, made)

    monkeypatch.setattr(pyramid_cache, "save_pyramid", save_together)
    with ThreadPoolExecutor(3) as programs:
        found = list(programs.map(lambda _: cached_pyramid(tmp_path, 4), range(3)))
    for made in found:
        assert_same(made, build_pyramid(4))
    assert_same(cached_pyramid(tmp_path, 4), build_pyramid(4))
    assert len(list(tmp_path.iterdir())) == 1


def test_progress_is_that_of_what_is_built(tmp_path):
    calls = []
    cached_pyramid(tmp_path, 4, progress=lambda *call: calls.append(call))
    assert calls[-1] == (252, 252)
    made = len(calls)
    cached_pyramid(tmp_path, 4, progress=lambda *call: calls.append(call))
    assert len(calls) == made


def test_arguments_and_memory_are_checked_first(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="^folder: got None, expected the path of a folder"):
        cached_pyramid(None, 4)
    with pytest.raises(ValueError, match="^nside: got 3"):
        cached_pyramid(tmp_path, 3)
    cached_pyramid(tmp_path, 4)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(ValueError, match="its tables take"):
        cached_pyramid(tmp_path, 4)
