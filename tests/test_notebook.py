"""The notebook runs from its first cell to its last, and is committed without outputs."""

import ast
import base64
import json
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from astropy.io import fits
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

import jaxscat

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "many_seeds.ipynb"
# A dataset that cannot be had, so that the embedded map takes its place; no network is asked.
SETTINGS = {"nside": 8, "steps": 10, "seeds": 8, "dataset": "lss"}
# Added at the end, to hear what the kernel knows.
QUESTIONS = """
import json, sys
print(json.dumps({
    "python": sys.executable,
    "package": jaxscat.__file__,
    "x64": jax.config.jax_enable_x64,
    "types": sorted({str(array.dtype) for array in (original, one.map, many.map, many.losses)}),
    "starts": [float(one.losses[0]), *many.losses[:, 0].tolist()],
    "ends": [float(one.loss), *many.loss.tolist()],
    "dataset": dataset,
    "original": original.tolist(),
}))
"""


def read_notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def parameters_of(notebook):
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    return cell


def settings_in(source):
    """The names that a cell gives values to, and the values; it may do nothing else."""
    assignments = ast.parse(source).body
    return {line.targets[0].id: ast.literal_eval(line.value) for line in assignments}


def execute(notebook, folder, monkeypatch):
    """Run a notebook in an empty folder, with the Python that runs this; return that folder."""
    write_kernel_spec(folder / "jupyter" / "kernels" / "python3")
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("JAXSCAT_DATA", str(folder / "missing"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    work = folder / "work"
    work.mkdir()
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(work)}}).execute()
    return work


def texts(cell):
    """All that a cell has printed or shown as plain text."""
    printed = [output.text for output in cell.outputs if output.output_type == "stream"]
    shown = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
    return "".join(printed + shown)


def figures(cell):
    images = [output.data.get("image/png") for output in cell.outputs if "data" in output]
    return [base64.b64decode(image) for image in images if image is not None]


def test_it_is_committed_clean_with_the_settings_for_a_first_look():
    notebook = read_notebook()
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert sorted(set(ids)) == sorted(ids)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.id
    settings = settings_in(parameters_of(notebook).source)
    assert settings == {"nside": 32, "steps": 300, "seeds": 8, "dataset": "lss"}


def test_it_runs_to_its_end_and_does_what_it_says(tmp_path, monkeypatch):
    import healpy

    notebook = read_notebook()
    cells = {cell.id: cell for cell in notebook.cells}
    settings = parameters_of(notebook)
    assert set(settings_in(settings.source)) == set(SETTINGS)
    settings.source = "\n".join(f"{name} = {value!r}" for name, value in SETTINGS.items())
    notebook.cells.append(nbformat.v4.new_code_cell(QUESTIONS))
    work = execute(notebook, tmp_path, monkeypatch)
    answers = json.loads(texts(notebook.cells.pop()))

    # In this Python and with this jaxscat, in float32, without an error or an installation.
    kinds = {output.output_type for cell in notebook.cells for output in cell.get("outputs", [])}
    assert "stream" in kinds and "error" not in kinds
    assert Path(answers["python"]) == Path(sys.executable)
    assert Path(answers["package"]) == Path(jaxscat.__file__)
    assert answers["x64"] is False and answers["types"] == ["float32"]
    assert cells["install"].outputs == []

    # The embedded map has taken the place of the one that cannot be had.
    assert "'lss' cannot be had" in texts(cells["map"])
    assert answers["dataset"] == "cosmic-web"

    # Every loss has fallen, and figures and tables are there.
    assert len(answers["ends"]) == 1 + SETTINGS["seeds"]
    assert (np.array(answers["ends"]) < 0.5 * np.array(answers["starts"])).all()
    for name in ("map", "coefficients", "one", "many", "compare"):
        (png,) = figures(cells[name])
        assert png.startswith(b"\x89PNG") and len(png) > 20_000, name
    assert "S1 ± error" in texts(cells["measure"])
    assert all(f"seed {n}" in texts(cells["validation"]) for n in range(SETTINGS["seeds"]))
    assert "S4 relative error" in texts(cells["report"])

    # The maps are in the file, and are different maps.
    path = work / "many_seeds.fits"
    assert list(work.iterdir()) == [path]
    names = ["ORIGINAL", *(f"SEED_{seed}" for seed in range(SETTINGS["seeds"]))]
    assert list(fits.getheader(path, 1)["TTYPE*"].values()) == names
    original, *made = healpy.read_map(path, field=None, nest=True)
    np.testing.assert_array_equal(original, np.float32(answers["original"]))
    for map in made:
        assert map.size == 12 * SETTINGS["nside"] ** 2
        assert map.std() == pytest.approx(original.std(), rel=0.2)
    assert np.abs(np.corrcoef(made)[np.triu_indices(len(made), k=1)]).max() < 0.9
