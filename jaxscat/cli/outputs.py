"""New files of a command, refused before anything is computed for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jaxscat.io.archive import check_archive_name, check_replaceable

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


def check_output(
    name: str,
    path: Path,
    inputs: Sequence[str | Path | None],
    *,
    overwrite: bool = False,
    figure: bool = False,
) -> None:
    """Refuse the path of a new file before anything is computed for it.

    Raises `ValueError`, which begins with `name`, for a file that is there (unless `overwrite`),
    for what is no regular file, for a folder that is not there, for one of the `inputs` and for a
    suffix of another format: that of coefficients is .npz, figures have several.
    """
    if figure and path.suffix.lower() not in FIGURE_SUFFIXES:
        raise ValueError(
            f"{name}: got {str(path)!r}, expected a name that ends in {', '.join(FIGURE_SUFFIXES)}"
        )
    if any(given is not None and path.resolve() == Path(given).resolve() for given in inputs):
        raise ValueError(f"{name}: got {str(path)!r}, expected another file than the others")
    if not figure:
        check_archive_name(path, name=name)
    place = check_replaceable(path, name=name).parent
    if not place.is_dir():
        where = path.parent if not path.is_symlink() else place
        raise ValueError(f"{name}: got {str(path)!r}, but there is no folder {str(where)!r}")
    if not os.access(place, os.W_OK):
        raise ValueError(f"{name}: got {str(path)!r}, but nothing can be written to its folder")
    if path.exists() and not overwrite:
        raise ValueError(f"{name}: {str(path)!r} exists, expected a new file (or --overwrite)")
