"""Files that are written whole or not at all, and archives of arrays with a header."""

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
    """Open a file under a temporary name that takes its place when the block ends well.

    When the block raises, the temporary file is removed and `path` stays as it was.

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
        path: file to write; an existing one is replaced once the new one is whole.
        content: what the file holds, in the words of an error message.
        version: version of the schema of header and arrays.
        header: what JSON can hold, by names other than "content", "format" and "sha256".
        arrays: arrays by names other than "header" and "file".

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
    """Read header and arrays that `write_archive` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds something else, has another version, or was changed.
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
    """Return a checksum of what a file holds beside it."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
