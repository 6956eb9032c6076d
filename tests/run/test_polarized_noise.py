"""Noise of Q and U from numbers and files, and a truth beside polarized data."""

import numpy as np
import pytest
from astropy.io import fits

from jaxscat.harmonics.polarization import eb_from_qu
from jaxscat.io.maps import save_maps
from jaxscat.maps import UNSEEN
from jaxscat.run.config import config_from_tree
from jaxscat.run.polarized_denoising import read_polarized_data

NSIDE, LMAX = 4, 8
NPIX = 12 * NSIDE**2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A sky, two half missions of it, their mean, and nine realizations of noise."""
    folder, generator = tmp_path_factory.mktemp("maps"), np.random.default_rng(2)
    i, q, u = generator.normal(size=(3, NPIX))

    def save(name, maps, **changes):
        given = {"units": "uK", "frame": "G", "polarization": "COSMO", "dtype": "float64"}
        save_maps(folder / name, dict(zip("IQU", maps, strict=True)), **given | changes)
        return folder / name

    found = {"sky": save("sky.fits", (40 + i, q, u)), "folder": folder, "save": save}
    halves = [(40 + i, *(of + generator.normal(size=NPIX) for of in (q, u))) for _ in range(2)]
    for name, maps in zip(("first", "second"), halves, strict=True):
        found[name] = save(f"{name}.fits", maps)
    found["mean"] = save("mean.fits", np.mean(halves, axis=0))
    found["noise"] = generator.normal(size=(9, 3, NPIX))
    found["paths"] = [str(save(f"n{at}.fits", maps)) for at, maps in enumerate(found["noise"])]
    return found


def settings(path, noise, **sections):
    tree = {
        "task": {"kind": "denoise-polarization"},
        "data": {"path": str(path)},
        "noise": noise,
        "run": {"precision": "float64"},
    }
    return config_from_tree(tree | sections)


def halves(files, **changes):
    paths = {name: str(files[name]) for name in ("first", "second")}
    return {"kind": "halves"} | paths | changes


def white_level(deviation):
    """C_l of E and of B of white noise in Q and U."""
    return deviation**2 * 4 * np.pi / NPIX


def test_white_noise_is_added_to_q_and_u_and_known_without_its_realization(files):
    noise = {"kind": "white", "standard_deviation": 2.0, "add_to_data": True, "add_seed": 7}
    given = read_polarized_data(settings(files["sky"], noise))
    with fits.open(files["sky"]) as units:
        q, u = (np.asarray(units[1].data[f"{name}_STOKES"]).ravel() for name in "QU")
    for field, map in zip("EB", eb_from_qu(q, u, lmax=LMAX), strict=True):
        np.testing.assert_allclose(given.truth[field], map, atol=1e-10)
    added = {field: given.data[field] - given.truth[field] for field in "EB"}
    drawn = np.asarray(given.noise.qu.draw(7, 0))
    assert drawn.std() == pytest.approx(2.0, rel=0.15) and abs(np.corrcoef(drawn)[0, 1]) < 0.25
    for field, map in zip("EB", eb_from_qu(*drawn, lmax=LMAX), strict=True):
        np.testing.assert_allclose(added[field], map, atol=1e-6)
        levels = given.noise.levels_of(field)
        assert levels[4 : LMAX + 1].mean() == pytest.approx(white_level(2.0), rel=0.2)
        assert not levels[LMAX + 1 :].any()
    assert given.templates["T"].std() > 0 and set(given.data) == {"E", "B"}
    assert {"T", "E", "B", "data_E", "map_file"} <= set(given.inputs.checksums)


def test_a_map_of_deviations_is_that_of_q_and_of_u(files):
    deviation = np.where(np.arange(NPIX) < NPIX // 2, 0.5, 3.0)
    path = files["folder"] / "deviation.fits"
    save_maps(path, {"SIGMA": deviation}, units="uK", frame="G", dtype="float64")
    noise = {"kind": "white", "deviation_map": str(path), "field": "SIGMA"}
    given = read_polarized_data(settings(files["sky"], noise))
    drawn = np.stack([np.asarray(given.noise.qu.draw(3, at)) for at in range(40)])
    np.testing.assert_allclose(drawn.std(axis=0).mean(axis=0)[:96].mean(), 0.5, rtol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0).mean(axis=0)[96:].mean(), 3.0, rtol=0.05)
    assert "noise_deviation_map" in given.inputs.checksums and given.truth is None


def test_noise_of_halves_is_that_of_their_mean(files):
    given = read_polarized_data(settings(files["mean"], halves(files)))
    assert given.truth is None and given.noise.available is None
    for field in "EB":
        found = given.noise.levels_of(field)[4 : LMAX + 1].mean()
        assert found == pytest.approx(white_level(1 / np.sqrt(2)), rel=0.3)
    assert {"noise_first", "noise_second"} <= set(given.inputs.checksums)


def test_data_that_are_not_the_mean_of_the_halves_are_told(files):
    told = read_polarized_data(settings(files["first"], halves(files))).inputs.notes
    assert told[-1].startswith("the data differ from the mean of noise.first and noise.second by 1")
    none = read_polarized_data(settings(files["mean"], halves(files))).inputs.notes
    assert not any("differ" in note for note in none)
    added = read_polarized_data(settings(files["sky"], halves(files, add_to_data=True)))
    assert not any("differ" in note for note in added.inputs.notes)


def test_an_iau_half_gives_the_same_noise(files):
    path = files["folder"] / "iau.fits"
    with fits.open(files["second"]) as units:
        units[1].header["POLCCONV"] = "IAU"
        units[1].data["U_STOKES"] *= -1
        units.writeto(path)
    with pytest.warns(UserWarning, match="IAU to COSMO"):
        turned = read_polarized_data(settings(files["mean"], halves(files, second=str(path))))
    straight = read_polarized_data(settings(files["mean"], halves(files)))
    np.testing.assert_array_equal(turned.noise.levels, straight.noise.levels)


def test_one_of_given_realizations_is_added_and_the_others_are_known(files):
    noise = {"kind": "maps", "paths": files["paths"], "add_to_data": True}
    given = read_polarized_data(settings(files["sky"], noise))
    assert given.noise.available == 8
    added = given.data["B"] - given.truth["B"]
    near = [eb_from_qu(*maps[1:], lmax=LMAX)[1] for maps in files["noise"]]
    (which,) = [at for at, map in enumerate(near) if np.allclose(map, added, atol=1e-6)]
    drawn = np.stack([np.asarray(given.noise.qu.draw(0, at)) for at in range(8)])
    kept = np.delete(files["noise"][:, 1:], which, axis=0)
    # The order is one of chance, the same for Q and U.
    assert {tuple(map[0, :3]) for map in drawn} == {tuple(map[0, :3]) for map in kept}
    assert {tuple(map[:, 0]) for map in drawn} == {tuple(map[:, 0]) for map in kept}


def test_a_truth_from_a_file_is_brought_to_the_nside_of_the_data(files):
    fine = np.ones((3, 1))
    generator = np.random.default_rng(3)
    path = files["save"]("fine.fits", fine + generator.normal(size=(3, 768)))
    given = read_polarized_data(settings(files["mean"], halves(files), truth={"path": str(path)}))
    assert given.truth["E"].size == NPIX and given.truth["E"].std() > 0
    assert "truth_file" in given.checksums_of_truth
    assert "truth_file" not in given.inputs.checksums


def test_files_that_do_not_fit_are_named(files):
    save, sky = files["save"], np.random.default_rng(4).normal(size=(3, NPIX))
    holes = sky.copy()
    holes[1:, :5] = UNSEEN
    bad = {
        "in 'K'": save("unit.fits", sky, units="K"),
        "frame": save("frame.fits", sky, frame="C"),
        "5 of 192 pixels": save("holes.fits", holes),
        "nside 2, expected nside 4 or larger": save("coarse.fits", sky[:, :48]),
    }
    path = files["folder"] / "scalar.fits"
    save_maps(path, {"T": sky[0]}, units="uK", frame="G")
    bad["expected one Q and one U"] = path
    for message, second in bad.items():
        config = settings(files["mean"], halves(files, second=str(second)))
        with pytest.raises(ValueError, match=f"noise.second: got .*{message}"):
            read_polarized_data(config)
    with pytest.raises(ValueError, match="noise.second: got the first map again"):
        read_polarized_data(settings(files["mean"], halves(files, second=str(files["first"]))))
    few = {"kind": "maps", "paths": files["paths"][:7]}
    with pytest.raises(ValueError, match="noise.paths: got 7 realizations, expected at least 8"):
        read_polarized_data(settings(files["mean"], few))
    config = settings(bad["5 of 192 pixels"], halves(files))
    with pytest.raises(ValueError, match="5 of 192 pixels .* cut sky mix\\)$"):
        read_polarized_data(config)
    config = settings(files["mean"], halves(files), truth={"path": str(bad["in 'K'"])})
    with pytest.raises(ValueError, match="truth.path: got .* in 'K', expected 'uK'"):
        read_polarized_data(config)
