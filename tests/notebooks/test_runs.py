"""Every notebook runs from its first cell to its last in small, and what it shows is right."""

import base64
import json
import re
import sys
from pathlib import Path

import healpy
import nbformat
import numpy as np
import pytest
from astropy.io import fits

import jaxscat
from experiments.studies import notebooks


class Run:
    """A notebook that was run with other settings, and what it has left."""

    def __init__(self, name, settings, question, folder):
        notebook = nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)
        # Added at the end, to hear what the kernel knows.
        asked = "print(json.dumps([sys.executable, jaxscat.__file__, jax.config.jax_enable_x64]))"
        question = f"import json, sys, jax\n{asked}\nprint(json.dumps({question}, default=float))"
        notebook.cells.append(nbformat.v4.new_code_cell(question))
        self.work = notebooks.execute(notebook, folder, settings)
        machine, answers = texts(notebook.cells.pop()).splitlines()
        python, package, x64 = json.loads(machine)
        # In this Python and with this jaxscat, in float32, without an installation.
        assert Path(python) == Path(sys.executable)
        assert Path(package) == Path(jaxscat.__file__)
        assert x64 is False
        self.knows = json.loads(answers)
        self.cells = {cell.id: cell for cell in notebook.cells}
        assert self.cells["install"].outputs == []
        kinds = {output.output_type for cell in self.code() for output in cell.outputs}
        assert "error" not in kinds

    def code(self):
        return [cell for cell in self.cells.values() if cell.cell_type == "code"]

    def text(self, cell):
        return texts(self.cells[cell])

    def table(self, cell):
        """The rows of a table below its heading."""
        lines = [line for line in self.text(cell).splitlines() if line.startswith("|")]
        return [[part.strip() for part in line[1:-1].split("|")] for line in lines[2:]]

    def has_figure(self, cell, count=1):
        data = [output.get("data", {}) for output in self.cells[cell].outputs]
        images = [base64.b64decode(one["image/png"]) for one in data if "image/png" in one]
        good = all(image.startswith(b"\x89PNG") and len(image) > 10_000 for image in images)
        return good and len(images) == count


def texts(cell):
    """All that a cell has printed, and its tables."""
    shown = [o.get("data", {}).get("text/markdown", "") for o in cell.outputs]
    printed = [o.text for o in cell.outputs if o.output_type == "stream"]
    return "".join(printed) + "\n".join(shown)


def verdict_of(text):
    return re.findall(r"^(?:good|uncertain|bad) +([A-Z][\w ]+): ", text, re.M)


OWN_MAP = {"map_file": "", "mask_file": "", "nside": 8, "steps": 8, "seed": 3}


def test_a_map_of_ones_own(tmp_path):
    question = (
        "[first, last, original.tolist(), mask.tolist(), ratio, new_map.tolist(),"
        " float(again.losses[0]), float(again.loss)]"
    )
    run = Run("own_map", OWN_MAP, question, tmp_path)
    first, last, original, mask, ratio, made, second_first, second_last = run.knows
    original, mask = np.array(original), np.array(mask)

    # The example is as maps of the sky come, and is read right.
    header = fits.getheader(run.work / "example_map.fits", 1)
    assert header["ORDERING"] == "RING" and header["TUNIT1"] == "mK"
    file = healpy.read_map(run.work / "example_map.fits", nest=True)
    assert (file == healpy.UNSEEN).any()
    parts = np.where(file == healpy.UNSEEN, np.nan, file).reshape(768, -1)
    some = np.isfinite(parts).any(axis=1)
    np.testing.assert_allclose(original[some], np.nanmean(parts[some], axis=1), atol=1e-6)
    assert 0.5 < np.mean(mask > 0) < 0.8 and (mask[~some] == 0).all()
    printed = run.text("read")
    assert "RING, nside 64, unit mK, frame G" in printed and "UNSEEN" in printed

    # What goes wrong is seen: the wrong order changes S2, filling lowers it.
    assert run.has_figure("order") and not 0.9 < ratio < 1.1
    rows = run.table("mask")
    assert [row[1] for row in rows] == ["8", "4", "2", "1"]
    assert float(rows[0][4]) < 0.9

    # The loss falls, and the map is in the file, UNSEEN where it has no weight.
    assert last < 0.5 * first and second_last < 0.5 * second_first
    new = healpy.read_map(run.work / "new_map.fits", nest=True)
    np.testing.assert_array_equal(new, np.float32(np.where(mask > 0, made, healpy.UNSEEN)))
    assert run.has_figure("summary") and run.has_figure("figure")

    names = ["New or copy", "Texture", "Histogram and spectrum"]
    assert verdict_of(run.text("verdict")) == verdict_of(run.text("act")) == names
    assert verdict_of(run.text("report")) == [*names, "Synthesis"]
    assert {"peaks", "S4"} <= {row[0] for row in run.table("distances")}
    assert run.table("copies")[0][0].startswith("1")
    assert (run.work / "runs" / "my_map" / "report.html").is_file()
    assert "jaxscat run example_map.fits --nside 8 --unseen mask --mask" in run.text("report")


def test_a_map_file_of_the_reader_takes_the_place_of_the_example(tmp_path):
    sky = healpy.reorder(3.0 + jaxscat.load_map("cosmic-web", 8), n2r=True)
    healpy.write_map(tmp_path / "mine.fits", sky, dtype=np.float64)
    notebook = nbformat.read(notebooks.FOLDER / "own_map.ipynb", as_version=4)
    until = [cell.id for cell in notebook.cells].index("read")
    notebook.cells = notebook.cells[: until + 1]
    settings = OWN_MAP | {"map_file": str(tmp_path / "mine.fits")}
    folder = tmp_path / "run"
    folder.mkdir()
    work = notebooks.execute(notebook, folder, settings)
    assert list(work.iterdir()) == []
    assert "no pixels without data" in texts(notebook.cells[-1])
    assert "100% of the pixels have weight" in texts(notebook.cells[-1])


def test_many_seeds(tmp_path):
    settings = {"nside": 8, "steps": 10, "seeds": 4, "dataset": "cosmic-web"}
    question = (
        "[many.losses[:, 0].tolist(), many.loss.tolist(), original.tolist(), matrix.tolist()]"
    )
    run = Run("many_seeds", settings, question, tmp_path)
    starts, ends, original, matrix = run.knows

    assert len(ends) == 4 and (np.array(ends) < 0.5 * np.array(starts)).all()
    for name in ("measure", "compare", "pairs"):
        assert run.has_figure(name), name
    assert verdict_of(run.text("verdict"))[:2] == ["New or copy", "Texture"]
    rows = run.table("validation")
    assert [row[0] for row in rows] == [
        "original",
        "Gaussian controls",
        *(f"seed {seed}" for seed in range(4)),
    ]
    # New maps are nearer in S2 than the mean of the Gaussian ones.
    assert all(float(row[7]) < float(rows[1][7]) for row in rows[2:])
    assert run.table("copies")[0][0].startswith("1")

    path = run.work / "many_seeds.fits"
    assert list(run.work.iterdir()) == [path]
    names = ["ORIGINAL", *(f"SEED_{seed}" for seed in range(4))]
    assert list(fits.getheader(path, 1)["TTYPE*"].values()) == names
    stored, *made = healpy.read_map(path, field=None, nest=True)
    np.testing.assert_array_equal(stored, np.float32(original))
    for map in made:
        assert map.size == 768 and map.std() == pytest.approx(stored.std(), rel=0.2)
    found = np.corrcoef([stored, *made])
    np.testing.assert_allclose(matrix, found, atol=1e-5)
    assert np.abs(found[np.triu_indices(5, k=1)]).max() < 0.9


def test_denoise(tmp_path):
    settings = {"nside": 16, "noise_level": 1.0, "seeds": 2}
    question = (
        "[found.status, list(many.status), truth.tolist(), data.tolist(), found.map.tolist(),"
        " many.map.tolist(), many.mean.tolist(), wrong.map.std()]"
    )
    run = Run("denoise", settings, question, tmp_path)
    status, statuses, truth, data, map, several, mean, wrong = run.knows
    truth, map = np.array(truth), np.array(map)

    assert status == "converged" and statuses == ["converged"] * 2
    noise = np.std(np.array(data) - truth)
    assert noise == pytest.approx(1.0, abs=0.05) and truth.std() == pytest.approx(1.0)
    error = np.std(map - truth)
    assert error < 0.7 * noise
    each = [np.std(np.array(one) - truth) for one in several]
    assert np.std(np.array(mean) - truth) < min(each)
    assert wrong > map.std()  # noise is taken for signal

    rows = {row[0]: [float(part) for part in row[1:]] for row in run.table("compare")}
    assert list(rows) == ["truth", "data", "Wiener filter", "jaxscat"]
    assert rows["jaxscat"][0] == pytest.approx(error, abs=0.006)
    assert rows["truth"][0] == 0 and rows["data"][0] == pytest.approx(noise, abs=0.006)
    wiener, ours = np.array(rows["Wiener filter"]), np.array(rows["jaxscat"])
    assert (ours < wiener)[[0, 4, 5, 6]].all()  # the error, and S2 to S4
    assert [row[0] for row in run.table("wrong")] == ["right noise level", "a fifth too small"]
    assert run.has_figure("maps") and run.has_figure("figures") and run.has_figure("spread", 2)


def test_inference(tmp_path):
    settings = {
        "nside": 8,
        "simulations": 300,
        "derivative_seeds": 48,
        "test_maps": 200,
        "groups": ("S1", "S2"),
    }
    question = (
        "[information.tolist(), exact.tolist(), estimates.tolist(), slopes.noise.tolist(),"
        " (weights.T @ scatter.matrix @ weights).tolist(), inside.tolist()]"
    )
    run = Run("inference", settings, question, tmp_path)
    information, exact, estimates, noise, unit, inside = map(np.array, run.knows)

    # Of ln A, every mode of l = 1 to 15 counts for a half.
    assert exact[0, 0] == pytest.approx((16**2 - 1) / 2)
    ratio = np.diag(information) / np.diag(exact)
    chance = np.sqrt(2 / 290)
    assert (ratio < 1 + 3 * chance).all() and (ratio > 0.6).all()
    assert (np.linalg.eigvalsh(exact * (1 + 3 * chance) - information) > 0).all()
    assert (noise < 0.05).all()
    np.testing.assert_allclose(unit, np.eye(2), atol=0.1)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert estimates.mean(0) == pytest.approx([0.0, -2.0], abs=5 * errors.max() / np.sqrt(200))
    np.testing.assert_allclose(estimates.std(0), errors, rtol=0.25)
    assert 0.5 < inside.mean() < 0.8
    assert [row[0] for row in run.table("fisher")] == ["all C_l, exact", "S1, S2"]
    assert run.has_figure("simulator") and run.has_figure("ellipses")
