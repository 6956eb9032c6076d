"""Atomic writing of files, and archives of arrays with a header and a checksum."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `path` when the block ends without an exception.

    If the block raises, the temporary file is removed and `path` is unchanged.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        file = open(draft, "xb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            yield file
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


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
        ValueError: an array holds Python objects.
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
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop("header")))
        found = header["format"]
        digest = header.pop("sha256", None)
        unchanged = digest == _digest(header, arrays)
    except MemoryError:
        raise
    except Exception as error:  # damaged archives raise all kinds
        # The system's own errors, such as too many open files, are no damage; they have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"path: got {path}, which is no whole {content} file ({error})") from error
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
