"""The pyramids of commands, kept in the user's cache folder when asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.operators.pyramid_cache import cached_pyramid, pyramid_file

# How the name of a home folder begins that a command has made for itself alone.
TEMPORARY_HOME = "jaxscat-home-"
# One of nside 512 takes some 1.2 GB, of nside 1024 some 5 GB. Those not used for longest go first.
LARGEST_BYTES = 2**34
# A file that is not whole after this time belongs to a program that was killed.
_LONG_SECONDS = 24 * 3600


def pyramid_folder() -> Path | None:
    """Return where commands keep pyramids, or None where there is no home folder."""
    folder = Path(platformdirs.user_cache_dir("jaxscat", appauthor=False)).absolute() / "pyramids"
    temporary = any(part.startswith(TEMPORARY_HOME) for part in folder.parts)
    return None if temporary else folder


def provide_pyramid(nside: int, *, keep: bool, **arguments: Any) -> Pyramid:
    """Build a pyramid, or with `keep` load it from the user's cache folder, if it is there.

    Before, pyramids that have not been used for longest are removed from there until they take
    less than 16 GiB.

    Args:
        nside: resolution of the maps.
        keep: whether the pyramid is kept.
        arguments: of `build_pyramid`.

    Raises:
        ValueError: as `build_pyramid`.
    """
    folder = pyramid_folder() if keep else None
    if folder is None:
        return build_pyramid(nside, **arguments)
    _remove_oldest(folder)
    pyramid = cached_pyramid(folder, nside, **arguments)
    with suppress(OSError):  # it has not been kept
        os.utime(pyramid_file(folder, pyramid.spec))
    return pyramid


def describe_kept() -> str:
    """Say where pyramids are kept, how many they are and what they take."""
    folder = pyramid_folder()
    if folder is None:
        return "not kept: no home folder"
    sizes = [size for _, size, _ in _files(folder)]
    return f"{folder} ({len(sizes)} pyramids, {sum(sizes) / 1e6:.1f} MB)"


def _remove_oldest(folder: Path) -> None:
    """Remove what is left of killed programs, and the oldest pyramids beyond the largest size."""
    for path in folder.glob(".pyramid-*.npz.*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LONG_SECONDS:
                path.unlink()
    found = sorted(_files(folder))
    left = sum(size for _, size, _ in found)
    for _, size, path in found:
        if left <= LARGEST_BYTES:
            break
        with suppress(OSError):
            path.unlink()
        left -= size


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time of the last use, the size and the path of the pyramids in a folder."""
    for path in folder.glob("pyramid-*.npz"):
        with suppress(OSError):  # another command may remove it meanwhile
            found = path.stat()
            yield found.st_mtime, found.st_size, path
