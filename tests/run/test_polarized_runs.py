"""Runs of polarized maps: their folder, their files, interrupts, and what is refused."""

import csv
import json
import tomllib
from dataclasses import replace

import healpy
import numpy as np
import pytest
from astropy.io import fits

import jaxscat
from jaxscat.io.maps import save_maps
from jaxscat.io.sky import load_sky
from jaxscat.maps import UNSEEN
from jaxscat.progress import Observer
from jaxscat.run import polarized_results
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.polarized_inputs import read_polarized
from jaxscat.run.polarized_notes import held_spectra
from jaxscat.run.polarized_synthesis import measure_target
from jaxscat.run.resolved import as_given
from jaxscat.run.targets import build_run_pyramid
from jaxscat.run.validate import validate_run

NSIDE, LMAX = 8, 16
NPIX = 12 * NSIDE**2
SEEDS = [3, 1]


@pytest.fixture(autouse=True, scope="module")
def few_controls():
    """Two controls of each kind in place of eight: they take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        validate = polarized_results.validate_fields
        patch.setattr(
            polarized_results, "validate_fields", lambda *a, **k: validate(*a, controls=2, **k)
        )
        yield


@pytest.fixture
def without_figures(monkeypatch):
    """No figures, which take as long as all else; the run of the module draws them."""
    monkeypatch.setattr(polarized_results, "draw_polarized", lambda *of: {"summary": b"none"})


@pytest.fixture(scope="module")
def maps():
    """I, Q and U of a band-limited, skewed sky, NESTED, and their T, E and B."""
    generator = np.random.default_rng(5)
    white = generator.normal(size=(3, NPIX))
    fall = 1.0 / np.maximum(np.arange(LMAX + 1), 1.0)
    fall[:2] = 0
    t, e, b = (healpy.almxfl(healpy.map2alm(map, lmax=LMAX), fall) for map in white)
    e = 0.6 * e + 0.5 * t
    i, q, u = healpy.alm2map([t, e, 0.5 * b], NSIDE, lmax=LMAX, pol=True)
    stokes = {"I": 40 + i, "Q": q, "U": u}
    stokes = {name: healpy.reorder(map, r2n=True) for name, map in stokes.items()}
    return {"stokes": stokes}


@pytest.fixture(scope="module")
def file(maps, tmp_path_factory):
    path = tmp_path_factory.mktemp("sky") / "sky.fits"
    save_maps(
        path, maps["stokes"], units="uK_CMB", frame="G", polarization="COSMO", dtype="float64"
    )
    return path


def settings(path, **sections):
    tree = {
        "task": {"kind": "polarization"},
        "data": {"path": str(path)},
        "polarization": {"pairs": ["TT", "EE", "BB", "TE"]},
        "pyramid": {"orientations": 2, "scales": 2},
        "target": {"coarsest_nside": 8},
        "synthesis": {"seeds": SEEDS, "max_steps": 6, "memory": 5, "form": "harmonic"},
        "run": {"name": "trial"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return run_experiment(settings(file), folder)


def test_a_folder_with_results_tables_figures_and_a_page(run, file):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        *("config.toml", "ensemble.csv", "history.csv", "maps.fits", "report.html"),
        *("results.json", "run.json", "summary.png", "coefficients.png", "validation.json"),
        *(f"validation_{field}.png" for field in "TEB"),
    }
    results = json.loads((run.folder / "results.json").read_text())
    assert results == run.results and results["task"] == "polarization"
    assert (results["unit"], results["frame"], results["lmax"]) == ("uK_CMB", "G", LMAX)
    assert results["pairs_of_target"] == ["TT", "EE", "BB", "TE"]
    assert [row["seed"] for row in results["seeds"]] == SEEDS
    assert all(row["final_loss"] < row["start_loss"] for row in results["seeds"])
    assert set(results["fields"]) == {"T", "E", "B"} and "TE" in results["pairs"]
    assert results["description"]
    with (run.folder / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["seed"]) for row in rows} == set(SEEDS)
    stored = config_from_tree(tomllib.loads((run.folder / "config.toml").read_text()))
    given = json.loads((run.folder / "run.json").read_text())["given"]
    assert as_given(stored, given) == settings(file)
    assert stored.data.nside is not None and stored.pyramid.scales is not None
    page = (run.folder / "report.html").read_text()
    assert "TE" in page and "uK_CMB" in page
    with pytest.raises(ValueError, match="task 'polarization', expected a synthesis"):
        validate_run(run.folder)


def test_healpy_reads_the_original_with_its_signs(run, maps):
    path = run.folder / "maps.fits"
    read = healpy.read_map(path, field=(0, 1, 2), nest=True, dtype=np.float64)
    for one, name in zip(read, "IQU", strict=True):
        expected = maps["stokes"][name]
        np.testing.assert_allclose(one, expected, rtol=0, atol=2e-5 * np.std(expected))
    with fits.open(path) as units:
        header = units[1].header
    assert header["POLCCONV"] == "COSMO" and header["POLAR"] is True
    assert header["ORDERING"] == "NESTED" and header["COORDSYS"] == "G"
    assert header["LMAX"] == LMAX and header["TUNIT2"] == "uK_CMB"
    assert [header[f"TTYPE{n}"] for n in (1, 4, 7, 8, 9)] == [
        *("I_STOKES", "START_I", "SEED_3_I", "SEED_3_Q", "SEED_3_U")
    ]
    assert header["SEED8"] == 3 and header["STATUS8"] == run.results["seeds"][0]["status"]


def test_a_new_map_reads_back_as_its_fields(run, recwarn):
    columns = {letter: f"SEED_1_{letter}" for letter in "IQU"}
    sky = load_sky(run.folder / "maps.fits", fields=columns)
    assert not recwarn.list and sky.polarization == "COSMO"
    fields = sky.teb()
    assert abs(fields["T"].mean() - 40) < 0.5
    # E and B have nothing beyond the band limit: Q and U come back from them.
    q, u = jaxscat.qu_from_eb(fields["E"], fields["B"], lmax=LMAX)
    np.testing.assert_allclose(q, sky.maps["Q"], atol=1e-5 * np.std(q))
    np.testing.assert_allclose(u, sky.maps["U"], atol=1e-5 * np.std(u))


def test_the_loss_as_written_is_that_of_the_maps_in_the_file(run, file):
    config = settings(file)
    inputs = read_polarized(config)
    pyramid = build_run_pyramid(config, NSIDE)
    target = measure_target(config, inputs, pyramid)
    table = fits.getdata(run.folder / "maps.fits", 1)
    stokes = {letter: table[f"SEED_1_{letter}"].ravel().astype(np.float64) for letter in "IQU"}
    e, b = jaxscat.eb_from_qu(stokes["Q"], stokes["U"], lmax=LMAX)
    fields = {"T": stokes["I"] - inputs.offsets["T"], "E": e, "B": b}
    loss = jaxscat.fields_loss({n: np.float32(m) for n, m in fields.items()}, pyramid, target)
    row = run.results["seeds"][1]
    assert row["written_loss"] == pytest.approx(float(loss), rel=1e-3)
    assert row["written_loss"] < row["start_loss"]


def test_iau_files_give_the_same_maps(run, maps, file, tmp_path):
    path = tmp_path / "iau.fits"
    with fits.open(file) as units:
        units[1].header["POLCCONV"] = "IAU"
        units[1].data["U_STOKES"] *= -1
        units.writeto(path)
    config = settings(path)
    with pytest.warns(UserWarning, match="IAU to COSMO"):
        turned = read_polarized(config)
    straight = read_polarized(settings(file))
    for name in "TEB":
        np.testing.assert_array_equal(turned.fields[name], straight.fields[name])
    assert any("IAU" in note for note in turned.notes)
    assert straight.offsets["T"] == pytest.approx(40, abs=0.5) and straight.offsets["E"] == 0


class Interrupting(Observer):
    def __init__(self, after):
        self.left = after

    def step(self, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_same_maps(file, run, tmp_path, without_figures):
    config = settings(
        file,
        synthesis={"max_steps": 20, "seeds": [3]},
        checkpoints={"every_steps": 5},
    )
    whole = run_experiment(config, tmp_path / "whole")
    halted = run_experiment(config, tmp_path / "halted", observer=Interrupting(1))
    assert halted.status == "interrupted" and halted.resumable
    resumed = run_experiment(config, tmp_path / "halted", resume=True)
    assert resumed.status == whole.status
    files = [outcome.folder / "maps.fits" for outcome in (whole, resumed)]
    one, other = (fits.getdata(path, 1) for path in files)
    assert one.names == other.names
    for name in one.names:
        np.testing.assert_array_equal(one[name], other[name])


def test_q_and_u_as_scalars_where_pixels_lack_data(maps, tmp_path):
    stokes = {name: map.copy() for name, map in maps["stokes"].items()}
    stokes["U"][:60] = UNSEEN
    path = tmp_path / "holes.fits"
    save_maps(path, stokes, polarization="COSMO", frame="G", units="uK_CMB")
    with pytest.raises(ValueError, match=r"60 of 768 pixels .* polarization.fields = "):
        run_experiment(settings(path), tmp_path / "refused")
    with pytest.raises(ValueError, match="E and B of a cut sky mix"):
        run_experiment(settings(path, data={"unseen": "mask"}), tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    config = settings(
        path,
        data={"unseen": "mask"},
        polarization={"fields": ["Q", "U"], "pairs": None},
        synthesis={"form": "pixels", "seeds": [1], "max_steps": 3},
    )
    outcome = run_experiment(config, tmp_path / "run")
    table = fits.getdata(outcome.folder / "maps.fits", 1)
    assert "SEED_1_Q" in table.names and "SEED_1_I" not in table.names
    for name in ("Q_STOKES", "START_Q", "SEED_1_U"):
        assert (table[name].ravel() == np.float32(UNSEEN)).sum() == 60
    assert "MASK_1" in table.names and outcome.results["lmax"] is None
    assert outcome.results["sky"]["sky_fraction"] == pytest.approx(708 / 768)
    assert "92 % of the sky" in (outcome.folder / "report.html").read_text()


def test_a_map_without_u_is_refused(maps, tmp_path):
    path = tmp_path / "half.fits"
    save_maps(path, {"I_STOKES": maps["stokes"]["I"], "Q_STOKES": maps["stokes"]["Q"]})
    with pytest.raises(ValueError, match="expected one Q and one U"):
        run_experiment(settings(path), tmp_path / "refused")


@pytest.mark.parametrize(
    ("changes", "held", "zero"),
    [
        ({}, "TE, TB, EB", None),
        ({"parity": "even"}, "TE", "TB, EB"),
        ({"pairs": ["TT", "EE", "BB", "BE"]}, "EB", "TE, TB"),
        ({"pairs": ["TT", "EE", "BB"]}, None, "TE, TB, EB"),
    ],
)
def test_notes_name_the_spectra_that_the_form_holds(file, changes, held, zero):
    config = settings(file, polarization={"pairs": None} | changes)
    inputs = read_polarized(config)
    said = held_spectra(config, inputs)
    assert (f"the cross spectra {held}: imposed" in said) == (held is not None)
    assert (f"It makes those of {zero} zero." in said) == (zero is not None)
    assert "inside the mask" not in said
    assert "inside the mask" in held_spectra(config, replace(inputs, mask=np.ones(NPIX)))
