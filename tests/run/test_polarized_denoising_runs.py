"""Runs that denoise polarized maps: their folder, their files and numbers, and interrupts."""

import csv
import json
import tomllib

import healpy
import numpy as np
import pytest
from astropy.io import fits

import jaxscat
from jaxscat.io.maps import save_maps
from jaxscat.progress import Observer
from jaxscat.run import polarized_denoising_results
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import check_destination
from jaxscat.run.resolved import as_given
from jaxscat.run.validate import validate_run

NSIDE, LMAX = 4, 8
NPIX = 12 * NSIDE**2
DEVIATION = 0.6
SKIES = ("data", "reconstruction", "truth", "wiener", "square_root_wiener")
SKIES = (*SKIES, "wiener_with_t", "square_root_wiener_with_t")


@pytest.fixture(scope="module")
def stokes():
    """I, Q and U of a skewed sky, NESTED, with a mean of I and E that has much of it."""
    generator = np.random.default_rng(5)
    t, e, b = (healpy.map2alm(map, lmax=LMAX) for map in generator.gamma(2.0, size=(3, NPIX)))
    fall = np.append([0.0, 0.0], np.arange(2, LMAX + 1) ** -0.7)
    e, b = (healpy.almxfl(of, fall) for of in (e + t, b))
    i, q, u = healpy.alm2map([t, e, b], NSIDE, lmax=LMAX, pol=True)
    maps = {"I": 40 + i, "Q": q, "U": u}
    return {name: healpy.reorder(map, r2n=True) for name, map in maps.items()}


@pytest.fixture(scope="module")
def file(stokes, tmp_path_factory):
    path = tmp_path_factory.mktemp("sky") / "sky.fits"
    save_maps(path, stokes, units="uK_CMB", frame="G", polarization="COSMO", dtype="float64")
    return path


def settings(path, **sections):
    tree = {
        "task": {"kind": "denoise-polarization"},
        "data": {"path": str(path)},
        "polarization": {"pairs": ["EE", "BB", "TE"]},
        "noise": {"kind": "white", "standard_deviation": DEVIATION, "add_to_data": True},
        "reconstruction": {"renewals": 1, "steps": 10, "realizations": 8},
        "pyramid": {"orientations": 2, "scales": 2},
        "run": {"name": "trial"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    return run_experiment(settings(file), tmp_path_factory.mktemp("runs") / "run")


def read(run, name):
    """I, Q and U of a file, by healpy."""
    path = run.folder / f"maps_{name}.fits"
    return np.array(healpy.read_map(path, field=(0, 1, 2), nest=True, dtype=np.float64))


def harmonics(run, name):
    """The coefficients of T, E and B of a file, by healpy."""
    maps = healpy.reorder(read(run, name), n2r=True)
    return healpy.map2alm(maps, lmax=LMAX, pol=True, iter=10)


def test_a_folder_with_results_tables_a_figure_and_a_page(run, file):
    assert {path.name for path in run.folder.iterdir()} == {
        *("config.toml", "history.csv", "recovery.csv", "report.html", "results.json"),
        *("run.json", "summary.png"),
        *(f"maps_{name}.fits" for name in SKIES),
    }
    results = json.loads((run.folder / "results.json").read_text())
    assert results == run.results and results["task"] == "denoise-polarization"
    assert (results["unit"], results["frame"], results["lmax"]) == ("uK_CMB", "G", LMAX)
    assert results["pairs_of_target"] == ["EE", "BB", "TE"]
    assert results["truth"] and results["template"] and len(results["seeds"]) == 1
    assert results["chi2"]["scattering"][-1] < results["chi2"]["scattering"][0]
    assert results["recovery"]["names"] == [
        *("data", "wiener", "square-root wiener", "wiener with T", "square-root wiener with T"),
        *("wiener with T, true spectra", "reconstruction"),
    ]
    assert list(results["recovery"]["pairs"]) == ["EE", "BB", "TE", "TB", "EB"]
    stored = config_from_tree(tomllib.loads((run.folder / "config.toml").read_text()))
    given = json.loads((run.folder / "run.json").read_text())["given"]
    assert as_given(stored, given) == settings(file)
    assert stored.data.nside is not None and stored.pyramid.scales is not None
    page = (run.folder / "report.html").read_text()
    for said in (*results["description"], "TE: scattering coefficients", "uK_CMB", "Not imposed."):
        assert said in page.replace("&#39;", "'")
    with pytest.raises(ValueError, match="denoise-polarization', expected a synthesis.*the truth"):
        validate_run(run.folder)
    # Every file is known to be one that a run has written.
    assert run_experiment(settings(file), run.folder, resume=True).computed is False
    check_destination(run.folder, overwrite=True)


def test_the_truth_comes_back_with_its_signs(run, stokes):
    for name, map in zip("IQU", read(run, "truth"), strict=True):
        np.testing.assert_allclose(map, stokes[name], atol=2e-5 * np.std(stokes[name]))
    for name in SKIES:
        with fits.open(run.folder / f"maps_{name}.fits") as units:
            header = units[1].header
        assert header["POLCCONV"] == "COSMO" and header["POLAR"] is True
        assert header["ORDERING"] == "NESTED" and header["COORDSYS"] == "G"
        assert header["LMAX"] == LMAX and header["TUNIT2"] == "uK_CMB"
        assert [header[f"TTYPE{n}"] for n in (1, 2, 3)] == ["I_STOKES", "Q_STOKES", "U_STOKES"]
        assert header.get("STATUS") == (run.status if name == "reconstruction" else None)
        # T is not estimated.
        np.testing.assert_array_equal(read(run, name)[0], read(run, "truth")[0])


def test_noise_of_the_given_deviation_was_added_to_q_and_u(run):
    away = read(run, "data") - read(run, "truth")
    # What the band limit leaves of it.
    share = ((LMAX + 1) ** 2 - 4) / NPIX
    np.testing.assert_allclose(np.std(away[1:]), DEVIATION * np.sqrt(share), rtol=0.15)
    assert abs(np.corrcoef(away[1], away[2])[0, 1]) < 0.3


def test_numbers_are_those_of_healpy(run):
    recovery = run.results["recovery"]
    truth, found, data = (harmonics(run, name) for name in ("truth", "reconstruction", "data"))
    bins = [(bin["l_min"], bin["l_max"]) for bin in recovery["bins"]]
    assert bins[-1][1] == LMAX

    def powers(one, other):
        spectrum = healpy.alm2cl(one, other)
        modes = 2 * np.arange(LMAX + 1) + 1
        return np.array([(modes * spectrum)[low : high + 1].sum() for low, high in bins])

    for place, field in ((1, "E"), (2, "B")):
        rows = recovery["fields"][field]["rows"]
        got, best = found[place], truth[place]
        cross = powers(got, best) / np.sqrt(powers(got, got) * powers(best, best))
        np.testing.assert_allclose(rows["reconstruction"]["correlation"], cross, atol=1e-3)
        ratio = powers(got, got) / powers(best, best)
        np.testing.assert_allclose(rows["reconstruction"]["power_ratio"], ratio, rtol=2e-3)
        maps = [healpy.alm2map(of, NSIDE, lmax=LMAX) for of in (got - best, best)]
        residual = rows["reconstruction"]["residual"]
        assert residual == pytest.approx(maps[0].std() / maps[1].std(), rel=1e-3)
        level = DEVIATION**2 * 4 * np.pi / NPIX
        modes = [(high + 1) ** 2 - low**2 for low, high in bins]
        share = level * np.array(modes) / powers(data[place], data[place])
        np.testing.assert_allclose(recovery["noise_share"][field][1:], share[1:], rtol=0.25)
    pair = recovery["pairs"]["TE"]
    for name, (t, e) in {"reconstruction": found[:2], "data": data[:2]}.items():
        cross = powers(t, e) / np.sqrt(powers(t, t) * powers(e, e))
        np.testing.assert_allclose(pair["rows"][name]["correlation"], cross, atol=2e-3)
    assert pair["truth"] is not None and pair["chance"] is not None


def test_errors_of_pairs_are_those_of_two_maps_measured_together(run):
    pyramid = jaxscat.build_pyramid(NSIDE, orientations=2, scales=2)
    skies = {}
    for name in ("truth", "wiener_with_t"):
        sky = jaxscat.load_sky(run.folder / f"maps_{name}.fits").teb()
        skies[name] = sky | {"T": sky["T"] - sky["T"].mean()}
    for one, other in ("TE", "EB", "BB"):
        wanted, got = (
            jaxscat.measure(skies[name][one], pyramid, second=skies[name][other])
            if one != other
            else jaxscat.measure(skies[name][one], pyramid)
            for name in ("truth", "wiener_with_t")
        )
        row = run.results["recovery"]["pairs"][one + other]["rows"]["wiener with T"]
        for group in ("S1", "S2", "S3", "S4"):
            values = [np.asarray(getattr(of, group.lower())) for of in (wanted, got)]
            error = np.sqrt(np.sum(np.abs(values[1] - values[0]) ** 2))
            error /= np.sqrt(np.sum(np.abs(values[0]) ** 2))
            assert row[group] == pytest.approx(error, rel=5e-3), (one, other, group)


def test_the_table_has_the_numbers_of_the_results(run):
    with (run.folder / "recovery.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    recovery = run.results["recovery"]
    (one,) = [
        row for row in rows if (row["of"], row["estimate"], row["quantity"]) == ("TE", "data", "S2")
    ]
    assert float(one["value"]) == recovery["pairs"]["TE"]["rows"]["data"]["S2"]
    ratios = [
        float(row["value"])
        for row in rows
        if (row["of"], row["estimate"], row["quantity"]) == ("B", "reconstruction", "power_ratio")
    ]
    assert ratios == recovery["fields"]["B"]["rows"]["reconstruction"]["power_ratio"]


class Interrupting(Observer):
    def __init__(self, after):
        self.left = after

    def step(self, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def no_figure(monkeypatch):
    monkeypatch.setattr(polarized_denoising_results, "draw_denoised", lambda *_: b"")


@pytest.mark.usefixtures("no_figure")
def test_an_interrupted_run_of_seeds_without_a_template_goes_on_to_the_same_maps(file, tmp_path):
    config = settings(
        file,
        polarization={"fields": ["E", "B"], "pairs": None},
        reconstruction={"seeds": [3, 1], "tolerance": 1e-6, "renewals": 2},
        checkpoints={"every_steps": 5, "every_minutes": 0},
    )
    whole = run_experiment(config, tmp_path / "whole")
    halted = run_experiment(config, tmp_path / "halted", observer=Interrupting(2))
    assert halted.status == "interrupted" and halted.resumable
    resumed = run_experiment(config, tmp_path / "halted", resume=True)
    assert resumed.status == whole.status and resumed.computed
    names = {f"maps_{name}.fits" for name in ("data", "mean", "seed_1", "seed_3", "truth")}
    assert names < {path.name for path in resumed.folder.iterdir()}
    for name in names:
        one, other = (fits.getdata(of.folder / name, 1) for of in (whole, resumed))
        assert one.names == ["Q_STOKES", "U_STOKES"]
        assert one.tobytes() == other.tobytes()
    row = whole.results["recovery"]["pairs"]["EB"]["rows"]["reconstruction"]
    assert row["scatter"]["S2"] > 0 and not whole.results["template"]
    assert not any("with T" in name for name in whole.results["recovery"]["names"])


@pytest.mark.usefixtures("no_figure")
def test_data_without_a_truth_say_what_can_be_told(file, tmp_path):
    config = settings(file, noise={"standard_deviation": 0.3, "add_to_data": False})
    results = run_experiment(config, tmp_path / "run").results
    assert not (tmp_path / "run" / "maps_truth.fits").exists() and not results["truth"]
    assert any("no truth" in line for line in results["description"])
    assert any("data less the noise" in line for line in results["description"])
    row = results["recovery"]["fields"]["E"]["rows"]["reconstruction"]
    assert row["S1"] is None and row["power_ratio"] is not None
    assert results["recovery"]["pairs"]["TE"]["truth"] is None
