"""Figures as files and as bytes, and names as what figures show."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jaxscat.io.archive import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure in the format of the file's suffix, atomically.

    Raises `ValueError` if the suffix is that of no format or what is there is no regular file, and
    `OSError` if the folder is missing or cannot be written.
    """
    write_bytes(path, render_figure(figure, path.suffix[1:].lower()))


def render_figure(figure: Figure, format: str) -> bytes:
    """Render a figure to the bytes of a file of a format, such as "png", "pdf" or "svg".

    Raises `ValueError` for an unknown format and for text that matplotlib cannot typeset.
    """
    stream = io.BytesIO()
    with _laid_out(figure) if format == "png" else contextlib.nullcontext():
        figure.savefig(stream, format=format)
    return stream.getvalue()


@contextlib.contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """Lay a figure out: matplotlib draws all of it twice where it has to do that itself."""
    engine = figure.get_layout_engine()
    if engine is None:
        yield
        return
    engine.execute(figure)
    figure.set_layout_engine(None)
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def figure_png(figure: Figure) -> bytes:
    """Render a figure to the bytes of a PNG file."""
    return render_figure(figure, "png")


def as_label(name: str) -> str:
    """Return a name, such as that of a file, in the form in which figures show it as it is.

    Dollar signs begin no mathematics, and bytes that are no text and line breaks become question
    marks.
    """
    text = name.encode(errors="replace").decode()
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text.replace("$", r"\$")
