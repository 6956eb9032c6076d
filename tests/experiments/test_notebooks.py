"""The command that runs the notebooks: what it stores, and what it refuses to store."""

import base64

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from experiments.studies import notebooks

FIGURE = """
%matplotlib inline
import os, sys
import matplotlib.pyplot as plt
print("one"); print("two", flush=True); print(WHO)
plt.plot([0, 1]); plt.show()
"""


def write(folder, *sources):
    cells = [new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    cells[-1].id = "figure"
    (folder / "small.ipynb").write_text(nbformat.writes(new_notebook(cells=cells)))
    return folder / "small.ipynb"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setattr(notebooks, "IMAGES", tmp_path)
    monkeypatch.setattr(notebooks, "PICTURES", {"small": "figure"})
    monkeypatch.setattr(notebooks, "NAMES", ("small",))
    return tmp_path


def test_outputs_are_stored_with_the_digest_of_the_sources(folder, capsys):
    path = write(folder, "WHO = 'x'", FIGURE)
    assert notebooks.main(["small"]) == 0
    assert capsys.readouterr().out.startswith("small: ")
    stored = nbformat.read(path, as_version=4)
    settings, figure = stored.cells
    assert [cell.execution_count for cell in stored.cells] == [1, 2]
    assert [dict(cell.metadata) for cell in stored.cells] == [{"tags": ["parameters"]}, {}]
    assert figure.outputs[0].text == "one\ntwo\nx\n"
    image = base64.b64decode(figure.outputs[1].data["image/png"])
    assert (folder / "notebook_small.png").read_bytes() == image
    assert stored.metadata[notebooks.DIGEST] == notebooks.digest(stored)
    settings.source = "WHO = 'y'"
    assert stored.metadata[notebooks.DIGEST] != notebooks.digest(stored)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("print('see /home/me/x')", "cell figure shows a path"),
        ("import warnings; warnings.warn('old')", "cell figure writes to stderr"),
        ("import os; os.getcwd()", "cell figure shows a path"),
    ],
)
def test_what_readers_should_not_see_is_not_stored(folder, capsys, source, told):
    path = write(folder, "WHO = 'x'", source)
    before = path.read_bytes()
    assert notebooks.main([]) == 1
    assert "small: not stored: " in capsys.readouterr().out.replace("\n", " ")
    assert path.read_bytes() == before
    again = nbformat.read(path, as_version=4)
    (folder / "again").mkdir()
    notebooks.execute(again, folder / "again", {"WHO": "z"})
    assert told in "; ".join(notebooks.faults(again))
    assert again.cells[0].source == "WHO = 'z'"


def test_an_error_ends_the_command_and_stores_nothing(folder):
    path = write(folder, "WHO = 'x'", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.main(["small"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["at 1/2 of /s", "https://x.org/home/y", "../../docs/a.md", "a/b"])
def test_addresses_and_fractions_are_no_paths(text):
    cell = new_code_cell("x", outputs=[new_output("stream", text=text)])
    assert notebooks.faults(new_notebook(cells=[cell])) == []


def test_sizes_are_bounded():
    cell = new_code_cell("x", outputs=[new_output("stream", text="x" * notebooks.LARGEST)])
    assert "expected at most 600000" in notebooks.faults(new_notebook(cells=[cell]))[0]


def test_other_names_are_refused(capsys):
    with pytest.raises(SystemExit):
        notebooks.main(["other"])
    assert "NAME: got other, expected some of own_map" in capsys.readouterr().err
