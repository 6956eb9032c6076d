"""What the four notebooks are stored as: sources, and outputs of a run of these sources."""

import ast
import base64
import importlib
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import jaxscat
from experiments.studies import notebooks

ROOT = Path(__file__).parents[2]
# Packages with public names beside jaxscat itself.
PACKAGES = ("jaxscat.inference", "jaxscat.plotting", "jaxscat.validation")
SETTINGS = {
    "own_map": {"map_file": "", "mask_file": "", "nside": 32, "steps": 100, "seed": 1},
    "many_seeds": {"nside": 32, "steps": 100, "seeds": 16, "dataset": "cosmic-web"},
    "denoise": {"nside": 32, "noise_level": 1.0, "seeds": 4},
    "inference": {
        "nside": 16,
        "simulations": 4000,
        "derivative_seeds": 256,
        "test_maps": 1000,
        "groups": ("S1", "S2"),
    },
}
each = pytest.mark.parametrize("name", notebooks.NAMES)


def read(name):
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(name):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def code_of(name):
    """All code as plain Python, with what only notebooks understand made into calls."""
    transform = TransformerManager().transform_cell
    return ast.parse("\n".join(transform(cell.source) for cell in code_cells(name)))


def public_names(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None)
    if names is None:  # as docs/reference lists them
        names = [name for name, thing in vars(module).items() if hasattr(thing, "__module__")]
        names += [name for name in vars(module) if name.isupper()]
    return {name for name in names if not name.startswith("_") or name == "__version__"}


def private_uses(tree):
    """What code takes from jaxscat that is not public."""
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wrong += [
                one.name
                for one in node.names
                if one.name.startswith("jaxscat.") and one.name not in PACKAGES
            ]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxscat"):
            if node.module not in ("jaxscat", *PACKAGES):
                wrong.append(node.module)
                continue
            known = public_names(node.module)
            wrong += [f"{node.module}.{one.name}" for one in node.names if one.name not in known]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "jaxscat":
            wrong += [f"jaxscat.{node.attr}"] * (node.attr not in jaxscat.__all__)
    return wrong


def test_these_are_all():
    assert {path.name for path in notebooks.FOLDER.iterdir() if path.name[0] != "."} == {
        f"{name}.ipynb" for name in notebooks.NAMES
    }


@each
def test_outputs_are_those_of_a_run_of_the_stored_sources(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata[notebooks.DIGEST] == notebooks.digest(notebook), (
        f"cells have changed: python -m experiments.studies notebooks {name}"
    )
    counts = [cell.execution_count for cell in code_cells(name)]
    assert counts == list(range(1, len(counts) + 1))
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@each
def test_outputs_are_for_readers_of_any_machine(name):
    notebook = read(name)
    assert notebooks.faults(notebook) == []
    assert set(notebook.metadata) == {"kernelspec", "language_info", notebooks.DIGEST}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert (notebooks.FOLDER / f"{name}.ipynb").stat().st_size <= 600_000
    shown = "".join(
        text for cell in code_cells(name) for text in notebooks.shown_texts(cell.outputs)
    )
    for word in (str(ROOT), str(Path.home()), "Traceback", "Warning", "WARNING"):
        assert word not in shown
    assert not re.search(r"\bnan\b", shown)
    images = [
        output.data["image/png"]
        for cell in code_cells(name)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 2
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)


@each
def test_the_picture_of_the_page_is_that_of_the_notebook(name):
    (picture, *_) = notebooks.pictures(read(name), notebooks.PICTURES[name])
    assert (ROOT / "docs" / "images" / f"notebook_{name}.png").read_bytes() == picture
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert f"(../experiments/notebooks/{name}.ipynb)" in page
    assert f"(images/notebook_{name}.png)" in page


@each
def test_only_public_names_are_used(name):
    assert private_uses(code_of(name)) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from jaxscat.cli.tables import x", ["jaxscat.cli.tables"]),
        ("import jaxscat.datasets.registry", ["jaxscat.datasets.registry"]),
        ("from jaxscat.validation import validate_seeds", ["jaxscat.validation.validate_seeds"]),
        ("from jaxscat.plotting import STYLES, new_figure", ["jaxscat.plotting.new_figure"]),
        ("jaxscat.io.maps.load_map(1)", ["jaxscat.io"]),
        ("import jaxscat\njaxscat.load_map(jaxscat.__version__)", []),
        ("from jaxscat.inference import fisher", []),
    ],
)
def test_private_names_are_seen(code, found):
    assert private_uses(ast.parse(code)) == found


def test_the_first_code_cell_installs_and_is_the_same_everywhere():
    cells = {name: code_cells(name)[0] for name in notebooks.NAMES}
    assert {cell.id for cell in cells.values()} == {"install"}
    assert len({cell.source for cell in cells.values()}) == 1
    assert '\nJAXSCAT = ""  #' in cells["own_map"].source
    texts = [
        cell.source.split("\n## ")[-1]
        for name in notebooks.NAMES
        for cell in read(name).cells
        if "JAXSCAT" in cell.source and cell.cell_type == "markdown"
    ]
    assert len(texts) == len(notebooks.NAMES) and len(set(texts)) == 1


@each
def test_settings_are_those_for_a_first_look(name):
    assignments = ast.parse(notebooks.parameters_of(read(name)).source).body
    found = {line.targets[0].id: ast.literal_eval(line.value) for line in assignments}
    assert found == SETTINGS[name]


@each
def test_links_lead_to_files_and_to_headings_that_are_there(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = notebooks.FOLDER / file
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w-]", "-", heading.lower()) for heading in headings], link
