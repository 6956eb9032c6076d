"""The first code cell of every notebook: what it installs, and what it says where it cannot."""

import importlib.util

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from experiments.studies import notebooks


def run_cell(monkeypatch, folder, *, installed=False, source=""):
    """Run the cell in a folder; return the lines that it gives to pip."""
    notebook = nbformat.read(notebooks.FOLDER / "own_map.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == "install"]
    text = cell.source.replace('JAXSCAT = ""', f"JAXSCAT = {source!r}")
    lines = []

    class Shell:
        def run_line_magic(self, name, line):
            lines.append(f"{name} {line}")

    names = {"get_ipython": Shell}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    monkeypatch.chdir(folder)
    exec(compile(TransformerManager().transform_cell(text), "install", "exec"), names)
    # IPython puts the values of names into the line.
    return [line.format(**names) for line in lines]


@pytest.fixture
def clone(tmp_path):
    package = tmp_path / "clone" / "jaxscat"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    inside = tmp_path / "clone" / "experiments" / "notebooks"
    inside.mkdir(parents=True)
    return inside


def test_nothing_is_done_where_jaxscat_is_installed(monkeypatch, clone):
    assert run_cell(monkeypatch, clone, installed=True, source="x.whl") == []


def test_in_a_clone_the_clone_is_installed(monkeypatch, clone):
    (line,) = run_cell(monkeypatch, clone)
    assert line == f'pip install --quiet "{clone.parents[1]}"'


@pytest.mark.parametrize("source", ["/content/jaxscat-1.0-py3-none-any.whl", "git+https://x/y"])
def test_what_is_written_into_the_cell_comes_first(monkeypatch, clone, tmp_path, source):
    for folder in (clone, tmp_path):
        assert run_cell(monkeypatch, folder, source=source) == [f'pip install --quiet "{source}"']


def test_elsewhere_it_says_what_to_write(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="JAXSCAT: got '', expected a wheel file .* or the addr"):
        run_cell(monkeypatch, tmp_path)
