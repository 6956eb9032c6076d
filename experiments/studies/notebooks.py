"""Run the notebooks with the settings as they stand, and store what they show in them.

Run from the repository: python -m experiments.studies notebooks [NAME...] (all of them, or some:
own_map many_seeds denoise inference). Each runs in an empty folder, with the Python and the jaxscat
of this command, and is written only if it has shown no error, no warning, no path of this machine,
and no more than LARGEST bytes. One picture of each goes to docs/images.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import numpy as np
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image
from rich.console import Console

import jaxscat
from experiments.studies.options import study_parser
from jaxscat.io.archive import write_bytes

FOLDER = Path(__file__).parents[1] / "notebooks"
PACKAGE = Path(jaxscat.__file__).parent
# The cell of every notebook whose first picture is shown in docs/notebooks.md.
PICTURES = {
    "own_map": "summary",
    "many_seeds": "pairs",
    "denoise": "maps",
    "inference": "ellipses",
}
NAMES = tuple(PICTURES)
IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 600_000
# What the metadata of a notebook calls the digest of the sources that its outputs belong to.
DIGEST = "sources_sha256"
# An absolute path, of Unix or of Windows, but not an address or a fraction.
_PATH = re.compile(
    r"(?<![\w./:<])/(?:home|root|tmp|usr|work|Users|private|opt|var|mnt)/|\b[A-Z]:\\"
)


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    console = Console()
    for name in options.names or NAMES:
        began = time.perf_counter()
        path = FOLDER / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        clean(notebook)
        text = nbformat.writes(notebook) + "\n"
        if wrong := faults(notebook):
            console.print(f"{name}: not stored: {'; '.join(wrong)}", highlight=False)
            return 1
        write_bytes(path, text.encode())
        write_bytes(IMAGES / f"notebook_{name}.png", pictures(notebook, PICTURES[name])[0])
        seconds = time.perf_counter() - began
        console.print(f"{name}: {len(text) // 1000} kB, {seconds:.0f} s", highlight=False)
    return 0


def execute(
    notebook: NotebookNode, folder: Path, settings: Mapping[str, Any] | None = None
) -> Path:
    """Run a notebook by this Python, and fill it with what its cells show.

    Args:
        notebook: what is run, in place.
        folder: an empty folder for the kernel and the files of the notebook.
        settings: values in place of those of the cell with the tag "parameters".

    Returns:
        the folder in which the notebook has worked.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell has raised an error.
    """
    if settings is not None:
        lines = [f"{name} = {value!r}" for name, value in settings.items()]
        parameters_of(notebook).source = "\n".join(lines)
    write_kernel_spec(folder / "jupyter" / "kernels" / "python3")
    work = folder / "work"
    work.mkdir()
    commands = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    environment = {
        "JUPYTER_PATH": str(folder / "jupyter"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PATH": os.pathsep.join(commands),
        # The jaxscat of this process.
        "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]),
        # Nothing but what the notebook itself makes or the package has.
        "JAXSCAT_DATA": str(folder / "missing"),
        "JAX_ENABLE_COMPILATION_CACHE": "0",
    }
    with mock.patch.dict(os.environ, environment):
        os.environ.pop("MPLBACKEND", None)
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(work)}},
        ).execute()
    return work


def clean(notebook: NotebookNode) -> None:
    """Take out what differs from run to run or machine to machine, and note the sources."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            for output in cell.outputs:
                data = output.get("data", {})
                if "image/png" in data:
                    data["image/png"] = smaller(data["image/png"])
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata[DIGEST] = digest(notebook)


def smaller(image: str) -> str:
    """Return a PNG image, in base64, in 256 colours, which is a third of the bytes."""
    picture = Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")
    stream = io.BytesIO()
    # An octree keeps the colours of thin lines, which a median cut merges.
    few = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colours = np.reshape(few.getpalette() or [], (-1, 3))
    colours[(colours >= 250).all(axis=1)] = 255  # what an octree makes of white
    few.putpalette(colours.ravel().tolist())
    few.save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the sources of all cells, with their kinds."""
    parts = [f"{cell.cell_type}\0{cell.source}\0" for cell in notebook.cells]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def faults(notebook: NotebookNode) -> list[str]:
    """Return what keeps a notebook from being stored, a sentence each."""
    wrong = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                wrong.append(f"cell {cell.id} has an error: {output.ename}")
            if output.get("name") == "stderr":
                wrong.append(f"cell {cell.id} writes to stderr: {output.text[:200]!r}")
            for text in shown_texts([output]):
                if found := _PATH.search(text):
                    wrong.append(f"cell {cell.id} shows a path: {text[found.start() :][:60]!r}")
    size = len(nbformat.writes(notebook).encode())
    if size > LARGEST:
        wrong.append(f"{size} bytes, expected at most {LARGEST}")
    return wrong


def parameters_of(notebook: NotebookNode) -> NotebookNode:
    """Return the cell of the settings, which has the tag "parameters"."""
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    return cell


def pictures(notebook: NotebookNode, name: str) -> list[bytes]:
    """Return the PNG images that the cell of a name shows."""
    (cell,) = [cell for cell in notebook.cells if cell.id == name]
    found = [output.get("data", {}).get("image/png") for output in cell.outputs]
    return [base64.b64decode(image) for image in found if image is not None]


def shown_texts(outputs: Iterable[NotebookNode]) -> list[str]:
    """Return all text that outputs show: what is printed, and every form of it that is no image."""
    found = []
    for output in outputs:
        found.append(output.get("text", ""))
        found += [str(data) for kind, data in output.get("data", {}).items() if "image" not in kind]
        found += output.get("traceback", [])
    return found


def _joined(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Return outputs with consecutive pieces of one stream in one, however they have arrived."""
    found: list[NotebookNode] = []
    for output in outputs:
        last = found[-1] if found else None
        if last is not None and output.get("name") and output.get("name") == last.get("name"):
            last.text += output.text
        else:
            found.append(output)
    return found


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("notebooks", "Run the notebooks, and store what they show in them.")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"some of {', '.join(NAMES)}; all by default"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"NAME: got {', '.join(sorted(unknown))}, expected some of {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
