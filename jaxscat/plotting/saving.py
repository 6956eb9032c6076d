"""Figures as files and as bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from jaxscat.io.archive import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure in the format of the file's suffix, atomically.

    Raises `ValueError` if the suffix is that of no format or what is there is no regular file, and
    `OSError` if the folder is missing or cannot be written.
    """
    with new_file(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())


def figure_png(figure: Figure) -> bytes:
    """Render a figure to the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
