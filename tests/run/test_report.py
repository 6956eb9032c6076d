"""The report of a run, and that it can be written again from the folder of the run alone."""

import io
import json
import re
import shutil

import matplotlib.image
import numpy as np
import pytest
from markupsafe import escape

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.report.page import CAPTIONS
from jaxscat.run import report as run_report
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import REPORT
from jaxscat.run.report import write_report
from jaxscat.run.validate import validate_run
from jaxscat.validation.seeds import validate_seeds

NPIX = 12 * 4**2
CONFIG = config_from_tree({"data": {"path": "map.npy"}, "run": {"name": "trial"}})


def field(seed):
    return np.random.default_rng(seed).gamma(2.0, size=NPIX)


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(4, orientations=2, scales=2, dtype=np.float64)


@pytest.fixture(scope="module")
def two(pyramid):
    maps = {7: field(7), 3: field(3)}
    return validate_seeds(field(0), maps, pyramid, controls=2), maps


@pytest.fixture(scope="module")
def masked(pyramid):
    masks = np.random.default_rng(5).random((2, NPIX)) * (np.arange(NPIX) < 150)
    maps, starts = {7: field(7)}, {7: field(107)}
    return validate_seeds(
        field(0), maps, pyramid, start_of=starts.__getitem__, mask=masks, controls=2
    ), maps


@pytest.fixture(scope="module")
def written(two, tmp_path_factory):
    """The report alone, without any other file of a run."""
    folder = tmp_path_factory.mktemp("alone")
    write_report(folder, CONFIG, *two)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, canned, few_controls_in_module):
    folder = tmp_path_factory.mktemp("run")
    # Values that float32 must round, as those of most files, under a name that is no mathematics.
    np.save(folder / "t$1_{a$.npy", field(0))
    config = config_from_tree(
        {
            "data": {"path": str(folder / "t$1_{a$.npy"), "transform": "standardise"},
            "pyramid": {"scales": 2, "orientations": 2},
            "synthesis": {"seeds": [3, 4], "max_steps": 4},
            "run": {"name": "trial"},
        }
    )
    return run_experiment(config, folder / "trial", synthesize=canned).folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def picture(data):
    return matplotlib.image.imread(io.BytesIO(data), format="png")


def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def assert_needs_nothing_else(source):
    assert source.startswith("<!DOCTYPE html>") and source.rstrip().endswith("</html>")
    sources = re.findall(r'\bsrc="([^"]*)"', source)
    assert sources and all(text.startswith("data:image/png;base64,") for text in sources)
    # The letters of a picture may happen to make a word.
    source = re.sub(r'"data:image/png;base64,[^"]*"', "", source)
    for word in ("http://", "https://", "href", "<script", "<link", "url(", "@import"):
        assert word not in source


def test_only_the_report_is_written(written):
    assert {path.name for path in written.iterdir()} == set(REPORT)


def test_numbers_are_those_of_the_validation(two, written):
    found = json.loads((written / "validation.json").read_text())
    lines = found.pop("verdict")
    assert [line["name"] for line in lines][:2] == ["New or copy", "Texture"]
    assert found == two[0].as_json()
    assert found["seeds"] == [7, 3] and set(found["maps"]) == {"7", "3"}
    assert found["controls"] == {"gaussian": 2, "filtered": 2}


def test_picture_is_large_and_not_empty(written):
    shown = picture((written / "validation.png").read_bytes())
    assert 1000 < shown.shape[0] < 5000 and 1000 < shown.shape[1] < 5000
    assert shown[..., :3].std() > 0.05


def test_page_has_title_seeds_and_config_and_needs_nothing_else(written):
    source = page(written)
    assert_needs_nothing_else(source)
    assert source.count("map.npy, nside 4, 2 seeds") == 2  # in the head and as the heading
    assert "<dt>seeds</dt><dd>2: 7, 3</dd>" in source
    assert "2 × Gaussian control, 2 × filtered-noise control" in source
    # The mean and the spread of controls are those of the original but for rounding.
    assert not re.search(r"± \d(\.\d+)?e−1[4-8]", source)
    for name in set(CAPTIONS) - {"loss"}:
        assert f'id="{name}"' in source
    # What no other file says of the run is left out.
    assert 'id="loss"' not in source and "<h2>Provenance</h2>" not in source
    assert "<h2>Seeds</h2>" not in source and "<h2>Configuration</h2>" in source


def test_page_of_a_run_says_how_its_maps_were_made(run):
    source, results = page(run), json.loads((run / "results.json").read_text())
    assert_needs_nothing_else(source)
    provenance = json.loads((run / "run.json").read_text())
    assert provenance["versions"]["jax"] in source
    assert provenance["inputs_sha256"]["map"] in source
    assert 'id="loss"' in source and "<h2>Seeds</h2>" in source
    assert "<dt>status</dt><dd>step limit</dd>" in source
    for row in results["seeds"]:
        assert (
            f'<th scope="row">{row["seed"]}</th><td data-label="status">step limit</td>'
            in re.sub(r"\n\s*", "", source)
        )
    assert "standard deviations" in source and "max_steps = 4" in source


def test_one_seed_under_masks_in_place_of_a_former_report(masked, tmp_path):
    for name in REPORT:
        (tmp_path / name).write_text("former")
    write_report(tmp_path, CONFIG, *masked)
    assert {path.name for path in tmp_path.iterdir()} == set(REPORT)
    found = json.loads((tmp_path / "validation.json").read_text())
    assert len(found.pop("verdict")) == 3  # how the synthesis has ended is in no file
    assert found == masked[0].as_json()
    assert found["curves"]["V0"]["start"]["percentile_50"]
    source = page(tmp_path)
    assert_needs_nothing_else(source)
    assert "map.npy, nside 4, seed 7" in source and "<dt>seeds</dt><dd>1: 7</dd>" in source
    assert picture((tmp_path / "validation.png").read_bytes()).shape[0] > 1000


def test_pixels_without_weight_are_blank(masked, tmp_path, monkeypatch):
    seen = []

    def drawn(*_, **options):
        seen.append(options)
        raise InterruptedError

    monkeypatch.setattr(run_report, "plot_validation", drawn)
    with pytest.raises(InterruptedError):
        write_report(tmp_path, CONFIG, *masked)
    np.testing.assert_array_equal(seen[0]["footprint"] > 0, np.arange(NPIX) < 150)


@pytest.mark.parametrize("failing", ["plot_validation", "validation_figures", "render_report"])
def test_report_that_cannot_be_made_leaves_the_former(
    failing, masked, written, tmp_path, without_figures, monkeypatch
):
    folder = tmp_path / "report"
    shutil.copytree(written, folder)

    def broken(*_, **__):
        raise MemoryError

    monkeypatch.setattr(run_report, failing, broken)
    with pytest.raises(MemoryError):
        write_report(folder, CONFIG, *masked)
    assert content(folder) == content(written)


def test_losses_and_terms_are_those_of_the_seeds(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("seed,step,loss,evaluations\n3,0,5.0,1\n3,1,4.0,2\n9,0,1.0,1\n7,0,2.0,1\n")
    found, terms = run_report._read_history(path, [7, 3, 4])
    assert [losses.tolist() for losses in found] == [[2.0], [5.0, 4.0]]
    assert terms == [{}, {}]  # of an older run
    path.write_text("seed,step,loss,evaluations,a,b\n3,0,5.0,1,4.5,0.5\n3,1,4.0,2,4.0,0.25\n")
    found, terms = run_report._read_history(path, [3])
    assert {name: values.tolist() for name, values in terms[0].items()} == {
        "a": [4.5, 4.0],
        "b": [0.5, 0.25],
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("results.json", "{"),
        ("run.json", "[1,"),
        ("history.csv", "seed,step\n7,0\n"),
        ("history.csv", "seed,loss\n7,high\n"),
    ],
)
def test_damaged_file_of_the_run_is_named(two, tmp_path, without_figures, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}' is damaged: "):
        write_report(tmp_path, CONFIG, *two)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"gaussianize": True}, ["histogram is imposed"]),
        ({"form": "harmonic"}, ["The harmonic form holds the power spectrum: it is imposed"]),
        ({"gaussianize": True, "form": "harmonic"}, ["histogram is imposed", "power spectrum: it"]),
    ],
    ids=str,
)
def test_what_the_settings_impose_is_noted(two, tmp_path, without_figures, settings, words):
    config = config_from_tree(CONFIG.model_dump(exclude_none=True) | {"synthesis": settings})
    write_report(tmp_path, config, *two)
    source = " ".join(page(tmp_path).split())
    assert source.count("Mind.") == len(words)
    for word in words:
        assert source.count(word) == 1


def test_validating_a_run_again_writes_the_same_report(run, tmp_path, few_controls_in_module):
    folder = tmp_path / "again"
    shutil.copytree(run, folder)
    for name in REPORT:
        (folder / name).write_text("former")
    validation = validate_run(folder)
    found = json.loads((folder / "validation.json").read_text())
    lines = found.pop("verdict")
    assert found == validation.as_json()
    assert lines == json.loads((folder / "results.json").read_text())["verdict"]
    assert lines[3]["name"] == "Synthesis" and lines[3]["text"].startswith("Not converged after 4")
    for line in lines:
        assert str(escape(line["text"].split("`")[0])) in page(folder)
    before, after = content(run), content(folder)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []


def test_folder_of_an_older_run_is_validated(run, tmp_path, without_figures):
    folder = tmp_path / "older"
    folder.mkdir()
    new = ("sigma_floor", "weights", "stagnation", "max_evaluations", "form", "first_nside")
    for name, data in content(run).items():
        if name == "config.toml":
            lines = data.decode().splitlines(keepends=True)
            data = "".join(line for line in lines if line.split(" ")[0] not in new).encode()
        if name not in REPORT:
            (folder / name).write_bytes(data)
    before = content(folder)
    validate_run(folder)
    after = content(folder)
    assert after.keys() == before.keys() | set(REPORT)
    assert {name: after[name] for name in before} == before
    assert after["validation.json"] == (run / "validation.json").read_bytes()
    # The page does not say that the run was made with what it did not know.
    assert "sigma_floor" in page(run) and "sigma_floor" not in page(folder)
