"""The noise of a config, from numbers, spectra and files of maps; and gaps."""

import healpy
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import draw_realization
from jaxscat.io.maps import save_maps
from jaxscat.run.config import config_from_tree
from jaxscat.run.gap_inputs import cut_band, draw_discs
from jaxscat.run.given import read_given
from jaxscat.run.map_sources import Beside, MapSources
from jaxscat.run.noise_inputs import build_noise, power_law, read_spectrum
from jaxscat.run.task_config import NoiseConfig

NSIDE = 4
NPIX = 12 * NSIDE**2
BESIDE = Beside(MapSources("map.npy", unit=None), NSIDE, "uK", "G")


def maps(count, seed=0, nside=NSIDE):
    return np.random.default_rng(seed).normal(size=(count, 12 * nside**2)).astype(np.float32)


def noise_of(channels=None, beside=BESIDE, **entries):
    settings = NoiseConfig.model_validate(entries)
    return build_noise(settings, "noise", beside, dtype="float64", channels=channels)


def save(path, map, unit="uK", frame="G"):
    save_maps(path, {"MAP": map}, units=unit, frame=frame)
    return str(path)


def test_white_noise_of_a_number_and_of_a_map(tmp_path):
    found = noise_of(kind="white", standard_deviation=0.5)
    assert float(found.noise.amplitude) == 0.5 and found.added == () and found.mask is None
    deviation = 1 + maps(1)[0] ** 2
    path = save(tmp_path / "deviation.fits", deviation)
    found = noise_of(kind="white", deviation_map=path)
    np.testing.assert_allclose(found.noise.amplitude, deviation)
    assert list(found.checksums) == ["noise_deviation_map"]
    fine = save(tmp_path / "fine.fits", 1 + maps(1, nside=8)[0] ** 2)
    with pytest.raises(ValueError, match=r"noise.deviation_map: got .* of nside 8, expected nside"):
        noise_of(kind="white", deviation_map=fine)
    bad = save(tmp_path / "bad.fits", maps(1)[0])
    with pytest.raises(ValueError, match=r"noise.deviation_map: got \d+ of 192 pixels that are"):
        noise_of(kind="white", deviation_map=bad)


def test_a_power_law_has_the_standard_deviation_and_no_dipole():
    levels = power_law(-2.0, 3.0, NSIDE)
    multipoles = np.arange(levels.size)
    assert levels.size == 3 * NSIDE and not levels[:2].any()
    assert np.sum((2 * multipoles + 1) * levels) / (4 * np.pi) == pytest.approx(9.0)
    assert levels[4] / levels[8] == pytest.approx(4.0)
    found = noise_of(kind="spectrum", slope=-2.0, standard_deviation=3.0)
    np.testing.assert_allclose(found.noise.levels()[:-1], levels)


def test_spectra_are_read_from_text_npy_and_fits(tmp_path):
    spectrum = np.array([0, 0, 3.0, 2.0, 1.0])
    np.savetxt(tmp_path / "one.txt", spectrum)
    np.savetxt(tmp_path / "two.txt", np.column_stack([np.arange(2, 5), spectrum[2:]]), header="l C")
    np.savetxt(tmp_path / "two.csv", np.column_stack([np.arange(5), spectrum]), delimiter=",")
    np.save(tmp_path / "cl.npy", spectrum)
    healpy.write_cl(str(tmp_path / "cl.fits"), spectrum, dtype=np.float64)
    for name in ("one.txt", "two.txt", "two.csv", "cl.npy", "cl.fits"):
        np.testing.assert_array_equal(read_spectrum(tmp_path / name, "noise.spectrum"), spectrum)
    found = noise_of(kind="spectrum", spectrum=str(tmp_path / "cl.npy"))
    np.testing.assert_array_equal(found.noise.levels()[:5], spectrum)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "noise.spectrum: there is no file"),
        (b"l C_l\n1 two", "cannot be read, expected C_l as text"),
        (b"1 2 3\n4 5 6\n", r"noise.spectrum: got an array of shape \(2, 3\)"),
        (b"2.5 1\n3 1\n", "other numbers than different multipoles"),
        (b"0\n0\n-1\n", "spectrum: got 1 of 3 that are negative"),
    ],
)
def test_files_that_are_no_spectra(tmp_path, content, message):
    path = tmp_path / "spectrum.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        noise_of(kind="spectrum", spectrum=str(path))


def test_halves_give_the_noise_of_their_mean_which_stands_for_the_data(tmp_path):
    signal, (one, other) = 10 * maps(1, 5)[0], maps(2)
    first = save(tmp_path / "first.fits", signal + one)
    second = save(tmp_path / "second.fits", signal + other)
    tree = {"kind": "halves", "first": first, "second": second}
    given, truth = read_given(config_from_tree({"task": {"kind": "denoise"}, "noise": tree}))
    assert truth is None and (given.unit, given.frame) == ("uK", "G")
    np.testing.assert_allclose(given.data, signal + (one + other) / 2, rtol=1e-5, atol=1e-5)
    expected = GaussianNoise.of_halves(signal + one, signal + other).levels()
    np.testing.assert_allclose(given.noise.levels(), expected, rtol=1e-4)
    assert {"noise_first", "noise_second"} <= set(given.checksums)
    for unit, frame, message in (
        ("K", "G", "noise.second: got .*second.fits' in 'K', expected 'uK' as the data"),
        ("MJy/sr", "G", "noise.second: got .* in 'MJy/sr', expected 'uK'"),
        ("uK", "C", "noise.second: got .* in the frame C"),
    ):
        (tmp_path / "second.fits").unlink()
        save(tmp_path / "second.fits", signal + other, unit, frame)
        with pytest.raises(ValueError, match=message):
            noise_of(**tree)


def test_noise_of_another_nside(tmp_path):
    first, second = (save(tmp_path / f"{n}.fits", maps(1, n, nside=2)[0]) for n in range(2))
    with pytest.raises(ValueError, match=r"noise.first: got .* of nside 2, expected nside 4 or la"):
        noise_of(kind="halves", first=first, second=second)
    fine = [save(tmp_path / f"fine_{n}.fits", maps(1, n, nside=8)[0]) for n in range(8)]
    found = noise_of(kind="maps", paths=fine)  # averaged, as the data are
    averaged = maps(1, 0, nside=8)[0].reshape(NPIX, 4).mean(axis=1)
    np.testing.assert_allclose(found.noise.maps[0], averaged, rtol=1e-5, atol=1e-6)


def test_maps_of_noise_from_files_and_from_the_columns_of_one(tmp_path):
    drawn = maps(9)
    paths = [save(tmp_path / f"{n}.fits", map) for n, map in enumerate(drawn)]
    found = noise_of(kind="maps", paths=paths)
    np.testing.assert_allclose(found.noise.maps, drawn)
    save_maps(tmp_path / "all.fits", {f"N{n}": map for n, map in enumerate(drawn)})
    one = {"kind": "maps", "paths": [str(tmp_path / "all.fits")]}
    again = noise_of(**one, fields=["N0", *range(1, 9)])
    np.testing.assert_allclose(again.noise.maps, drawn)
    with pytest.raises(ValueError, match=r"noise.paths: got 1 realizations, expected at least 8"):
        noise_of(**one)
    hidden = drawn.copy()
    hidden[3, 7] = healpy.UNSEEN
    save_maps(tmp_path / "hidden.fits", {f"N{n}": map for n, map in enumerate(hidden)})
    beside = Beside(MapSources("map.npy", unseen="mask"), NSIDE, None, None)
    entries = {"kind": "maps", "paths": [str(tmp_path / "hidden.fits")]}
    mask = noise_of(**entries, fields=list(range(9)), beside=beside).mask
    assert np.flatnonzero(mask == 0).tolist() == [7]


def test_realizations_that_are_added_are_not_known_afterwards(tmp_path):
    drawn = maps(11)
    np_paths = []
    for number, map in enumerate(drawn):
        np.save(tmp_path / f"{number}.npy", map)
        np_paths.append(str(tmp_path / f"{number}.npy"))
    entries = {"kind": "maps", "paths": np_paths, "add_to_data": True}
    found = noise_of(**entries, channels=3)
    kept = np.asarray(found.noise.maps)
    assert len(kept) == 8 and len(found.added) == 3
    for added in found.added:
        assert (added == drawn).all(axis=1).any() and not (added == kept).all(axis=1).any()
    with pytest.raises(ValueError, match="got 11 realizations, expected at least 8 and 4 to add"):
        noise_of(**entries, channels=4)


def test_added_noise_is_a_realization_of_its_seed_and_differs_between_channels():
    entries = {"kind": "white", "standard_deviation": 2.0, "add_to_data": True, "add_seed": 5}
    found = noise_of(**entries)
    np.testing.assert_array_equal(found.added[0], draw_realization(found.noise, 5, 0))
    channels = noise_of(**entries, channels=2).added
    every = np.corrcoef([found.added[0], *channels])
    assert np.abs(every[np.triu_indices(3, 1)]).max() < 0.3


def test_discs_and_bands_cover_what_they_should():
    discs = draw_discs(16, 0.3, 10.0, 1)
    assert 0.3 <= discs.mean() < 0.32
    assert not np.array_equal(discs, draw_discs(16, 0.3, 10.0, 2))
    band = cut_band(16, 29.0)
    assert band.mean() == pytest.approx(np.sin(np.radians(29)), abs=0.05)
    theta, _ = healpy.pix2ang(16, np.arange(band.size), nest=True)
    assert (band == (np.abs(90 - np.degrees(theta)) <= 29)).all()


def test_gaps_from_a_file_and_from_pixels_without_data(tmp_path):
    map = maps(1)[0]
    map[5:9] = healpy.UNSEEN
    save(tmp_path / "map.fits", map)
    gaps = np.zeros(NPIX)
    gaps[7:20] = 1
    np.save(tmp_path / "gaps.npy", gaps)
    path = {"path": str(tmp_path / "map.fits"), "unseen": "mask"}

    def read(data=path, **gaps):
        return read_given(config_from_tree({"task": {"kind": "inpaint"}, "data": data} | gaps))

    given, truth = read()
    assert np.flatnonzero(given.gaps).tolist() == [5, 6, 7, 8] and truth is None
    given, _ = read(gaps={"path": str(tmp_path / "gaps.npy")})
    assert np.flatnonzero(given.gaps).tolist() == list(range(5, 20))
    for value, what in ((0, "no pixel"), (1, "every pixel")):
        np.save(tmp_path / "gaps.npy", np.full(NPIX, value, bool))
        save(tmp_path / f"whole_{value}.fits", maps(1)[0])
        whole = {"path": str(tmp_path / f"whole_{value}.fits")}
        with pytest.raises(ValueError, match=rf"gaps: got {what},|gaps.path: mask .*zero"):
            read(whole, gaps={"path": str(tmp_path / "gaps.npy")})
    np.save(tmp_path / "gaps.npy", np.arange(48) < 9)
    with pytest.raises(ValueError, match=r"gaps.path: got .*gaps.npy' of shape \(48,\), expected"):
        read(whole, gaps={"path": str(tmp_path / "gaps.npy")})


def test_the_data_of_cut_gaps_do_not_depend_on_what_was_in_them(tmp_path):
    map = maps(1)[0]
    tree = {"task": {"kind": "inpaint"}, "gaps": {"band": 20.0}}
    found = []
    for number, factor in enumerate((1.0, 7.0)):
        values = np.where(cut_band(NSIDE, 20.0), factor * map, map)
        np.save(tmp_path / f"{number}.npy", values)
        data = {"path": str(tmp_path / f"{number}.npy"), "transform": "exp"}
        given, truth = read_given(config_from_tree(tree | {"data": data}))
        np.testing.assert_array_equal(truth.map[~given.gaps].astype("f4"), given.data[~given.gaps])
        found.append(given.data)
    np.testing.assert_array_equal(*found)
