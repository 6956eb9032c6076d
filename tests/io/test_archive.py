import json
import os
import stat

import numpy as np
import pytest

from jaxscat.io.archive import (
    check_archive_name,
    check_replaceable,
    new_file,
    read_archive,
    write_archive,
    write_bytes,
    write_text,
)

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1 + 2j], np.complex64)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.file"
    write_archive(path, "thing", 3, {"note": "ä", "list": [1, None]}, ARRAYS)
    return path


def test_header_and_arrays_come_back(path):
    header, arrays = read_archive(path, "thing", 3)
    assert header == {"content": "thing", "format": 3, "note": "ä", "list": [1, None]}
    assert list(arrays) == ["a", "b"]
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_file_needs_no_jaxscat_to_be_read(path):
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["header"]))["note"] == "ä"


def test_empty_arrays_are_kept(tmp_path):
    write_archive(tmp_path / "file", "thing", 1, {}, {"a": np.zeros((0, 4))})
    assert read_archive(tmp_path / "file", "thing", 1)[1]["a"].shape == (0, 4)


def test_new_file_is_as_readable_as_any_other(path):
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_block_that_fails_leaves_the_old_file_and_nothing_else(path, error):
    before = path.read_bytes()
    with pytest.raises(type(error)), new_file(path) as file:
        file.write(b"half of it")
        raise error
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_folder_that_is_missing_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*/none/file'$"):
        write_archive(tmp_path / "none" / "file", "thing", 1, {}, ARRAYS)


def test_python_objects_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="a: got an array of object"):
        write_archive(tmp_path / "file", "thing", 1, {}, {"a": np.array([{}])})
    assert list(tmp_path.iterdir()) == []


def test_another_content_and_another_version_are_named(path):
    with pytest.raises(ValueError, match="path: got .*some.file, a thing file, expected a map"):
        read_archive(path, "map", 3)
    with pytest.raises(ValueError, match="path: got .* of format 3, expected format 4"):
        read_archive(path, "thing", 4)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header.update(note="other"),
        lambda header, arrays: header.update(more=1),
        lambda header, arrays: header.pop("sha256"),
        lambda header, arrays: header.pop("content"),
        lambda header, arrays: arrays.pop("b"),
        lambda header, arrays: arrays.update(c=arrays["a"]),
        lambda header, arrays: arrays.update(a=arrays["a"].astype(np.float32)),
        lambda header, arrays: arrays.update(a=arrays["a"].reshape(3, 2)),
        lambda header, arrays: arrays["a"].__setitem__((1, 2), 5.0000001),
    ],
)
def test_changed_content_is_noticed(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    change(header, arrays)
    np.savez(path.with_suffix(".npz"), header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(ValueError, match="path: got .*, whose content has changed"):
        read_archive(path.with_suffix(".npz"), "thing", 3)


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "real", tmp_path / "link"
    target.write_text("old")
    (tmp_path / "chain").symlink_to("data/real")
    link.symlink_to("chain")
    write_text(link, "new ±")
    assert link.is_symlink() and os.readlink(link) == "chain"
    assert target.read_bytes() == "new ±".encode()
    dangling = tmp_path / "dangling"
    dangling.symlink_to("data/later")
    write_bytes(dangling, b"made")
    assert dangling.is_symlink() and (tmp_path / "data" / "later").read_bytes() == b"made"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["later", "real"]


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o660, 0o4755])
def test_a_file_that_is_replaced_gives_its_mode_to_the_new_one(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    link = tmp_path / "link"
    link.symlink_to(path)
    with new_file(link) as file:
        # Nobody may read of a private file what is not in place yet.
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
        file.write(b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_file_that_root_replaces_keeps_its_owner(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 12345, 23456)
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "folder"])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "place"
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path if kind == "pipe" else tmp_path / "pipe")
        if kind != "pipe":
            path.symlink_to("pipe")
    before = sorted((each.name, each.lstat().st_mode) for each in tmp_path.iterdir())
    expected = "a folder" if kind == "folder" else "a named pipe"
    with pytest.raises(ValueError, match=f"path: got .*place', which is {expected}, expected a"):
        write_text(path, "new")
    with pytest.raises(ValueError, match=f"^figure: got .*which is {expected}"):
        check_replaceable(path, name="figure")
    assert sorted((each.name, each.lstat().st_mode) for each in tmp_path.iterdir()) == before


def test_a_pipe_that_takes_the_place_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(ValueError, match="a named pipe"), new_file(path) as file:
        file.write(b"new")
        os.mkfifo(path)
    assert path.is_fifo() and list(tmp_path.iterdir()) == [path]


def test_names_of_other_formats_are_refused():
    for name in ("a", "a.npz", "deep.er/a", "A.NPZ", ".npz"):
        check_archive_name(name)
    for name in ("a.h5", "a.fits", "a.npz.gz", "a.npy"):
        with pytest.raises(ValueError, match=f"^output: got '{name}', expected .* in .npz"):
            check_archive_name(name, name="output")
