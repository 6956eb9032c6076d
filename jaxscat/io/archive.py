"""Atomic writing of files, and archives of arrays with a header and a checksum."""

import hashlib
import json
import os
import stat
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxscat.maps import check_path
from jaxscat.reasons import reason_of

_SMALL_BYTES = 2**26
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def check_replaceable(path: str | os.PathLike[str], *, name: str = "path") -> Path:
    """Return the file that `new_file(path)` would make or replace: what links lead to.

    Raises:
        ValueError: what is there is no regular file but a folder, a device or a pipe; it begins
            with `name`.
        OSError: it cannot be looked at.
    """
    check_path(path, name)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:  # nothing yet, or a link to where nothing is yet
        return Path(os.path.realpath(path))
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{name}: got {str(path)!r}, which is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, "
            "expected a regular file or a new one"
        )
    return Path(os.path.realpath(path))


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` when the block ends without an exception.

    Of a link, what it leads to is replaced. A file that was there gives its mode, and where the
    system permits its owner, to the new one. If the block raises, the temporary file is removed and
    `path` is unchanged.

    Raises:
        ValueError: what is there is no regular file but a folder, a device or a pipe.
        OSError: the folder is missing or cannot be written.
    """
    target = check_replaceable(path)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        file = open(draft, "xb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            if target.exists():
                _copy_access(target, file.fileno())
            yield file
        check_replaceable(path)  # another program may have made a pipe of it meanwhile
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as UTF-8; an existing file is replaced once the new one is whole.

    Raises `ValueError` and `OSError` as `new_file`.
    """
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file; an existing one is replaced once the new one is whole.

    Raises `ValueError` and `OSError` as `new_file`.
    """
    with new_file(path) as file:
        file.write(content)


def check_archive_name(path: str | os.PathLike[str], *, name: str = "path") -> None:
    """Refuse the name of an archive that says another format; a name without a suffix says none.

    Raises `ValueError`, which begins with `name`, for a suffix other than .npz.
    """
    if Path(path).suffix.lower() not in ("", ".npz"):
        raise ValueError(
            f"{name}: got {os.fspath(path)!r}, expected a name that ends in .npz, which is the "
            "format of the file"
        )


def _copy_access(source: Path, descriptor: int) -> None:
    """Give an open file the owner and the mode of another."""
    found, own = os.stat(source), os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (own.st_uid, own.st_gid):
        with suppress(PermissionError):  # only root can give files away
            os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))


def write_archive(
    path: str | os.PathLike[str],
    content: str,
    version: int,
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write arrays and a header to a `.npz` file without pickle, with a checksum of both.

    Args:
        path: file to write; an existing file is replaced once the new one is complete.
        content: kind of content, as named in error messages.
        version: version of the schema of header and arrays.
        header: JSON-serializable values; the names "content", "format" and "sha256" are reserved.
        arrays: arrays by name; the names "header" and "file" are reserved.

    Raises:
        OSError: the folder is missing or cannot be written.
        ValueError: an array holds Python objects, or what is there is no regular file.
    """
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"{name}: got an array of {array.dtype}, expected numbers")
    whole = {"content": content, "format": version, **header}
    text = json.dumps({**whole, "sha256": _digest(whole, arrays)})
    with new_file(path) as file:
        np.savez(file, header=np.array(text), **arrays)  # pyright: ignore[reportArgumentType]


def read_archive(
    path: str | os.PathLike[str], content: str, version: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the header and the arrays of a file written by `write_archive`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, was changed, or has other contents or another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: got {path}, which is no file, expected a {content} file")
    try:
        # Opened here: of a damaged archive, NumPy would leave it open.
        with open(path, "rb") as opened:
            if not zipfile.is_zipfile(opened):  # NumPy would take it for another kind
                raise ValueError("it is no .npz archive, or only the beginning of one")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
        found = header["format"]
        digest = header.pop("sha256", None)
        unchanged = digest == _digest(header, arrays)
    except Exception as error:  # damaged archives raise all kinds
        # Arrays are stored as they are: a small file that asks for much memory is damaged.
        if isinstance(error, MemoryError) and path.stat().st_size > _SMALL_BYTES:
            raise
        # The system's own errors, such as too many open files, are no damage; they have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"path: got {path}, which is no whole {content} file ({reason_of(error)})"
        ) from error
    if header.get("content", content) != content:
        raise ValueError(f"path: got {path}, a {header['content']} file, expected a {content} file")
    if found != version:
        raise ValueError(f"path: got {path} of format {found}, expected format {version}")
    if not unchanged:
        raise ValueError(f"path: got {path}, whose content has changed since it was saved")
    return header, arrays


def _digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the checksum of a file's header and arrays."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
