"""I, Q and U of files: lower resolution that keeps E and B apart, scalar fields, writing."""

from typing import Any

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat import Sky, load_sky, save_maps
from jaxscat.io.degrade import average_polarization
from tests.io.conftest import maps_header, table

STOKES = ("I_STOKES", "Q_STOKES", "U_STOKES")


def drawn(lmax, seed, lowest=2):
    """Coefficients of a real map, C_l as l^-2.4 from `lowest`."""
    rng = np.random.default_rng(seed)
    degree, order = healpy.Alm.getlm(lmax)
    alm = rng.standard_normal((degree.size, 2)) @ [1, 1j]
    alm = np.where(order == 0, alm.real, alm) * np.maximum(degree, 1.0) ** -1.2
    return np.where(degree < lowest, 0, alm)


def cut(alm, lmax):
    own = healpy.Alm.getlmax(alm.size)
    return healpy.resize_alm(alm, own, own, lmax, lmax)


def maps_of(alms, nside):
    """I, Q and U, NESTED, of coefficients of T, E and B."""
    lmax = healpy.Alm.getlmax(alms[0].size)
    i = healpy.alm2map(alms[0], nside, lmax=lmax)
    qu = healpy.alm2map_spin(list(alms[1:]), nside, 2, lmax)
    return np.array([healpy.reorder(one, r2n=True) for one in (i, *qu)])


def powers(q, u, lmax):
    """Power spectra of E and B from l = 2."""
    ring = [healpy.reorder(np.asarray(one), n2r=True) for one in (q, u)]
    alms = healpy.map2alm([0 * ring[0], *ring], lmax=lmax, iter=10)
    return [healpy.alm2cl(one)[2:] for one in alms[1:]]


@pytest.fixture(scope="module")
def sky32():
    """Coefficients of T, E and B up to l = 64, and their maps at nside 32."""
    alms = [drawn(64, 1, lowest=0), drawn(64, 2), drawn(64, 3)]
    alms[0][0] = 100.0  # a mean
    return alms, maps_of(alms, 32)


def stokes_table(maps, nside, *, names=STOKES, name="", unit="K_CMB", **header):
    columns = [(key, "D", one, unit) for key, one in zip(names, maps, strict=True)]
    return table(columns, name, **maps_header(**{"nside": nside, "POLCCONV": "COSMO"} | header))


def test_a_sky_of_e_has_no_b_at_a_lower_nside(write_tables, sky32):
    alms = [sky32[0][0], sky32[0][1], 0 * sky32[0][2]]
    maps = maps_of(alms, 32)
    sky = load_sky(write_tables(stokes_table(maps, 32, COORDSYS="G")), 16)
    e, b = powers(sky.maps["Q"], sky.maps["U"], 32)
    assert (b / e).max() < 1e-9
    plain = average_polarization(maps[1].copy(), maps[2].copy(), np.zeros(maps[1].size, bool), 16)
    e, b = powers(*plain, 32)
    assert (b / e).max() > 1e-4
    expected = maps_of([cut(one, 32) for one in alms], 16)
    for letter, one in zip("IQU", expected, strict=True):
        np.testing.assert_allclose(sky.maps[letter], one, atol=1e-5 * one.std())
    assert (sky.nside, sky.lmax, sky.frame, sky.units["Q"]) == (16, 32, "G", "K_CMB")
    assert sky.notes == (
        "I, Q and U brought to nside 16 through harmonic coefficients up to l = 32: beam and pixel "
        "window are still those of the file",
    )


def test_a_sky_at_its_own_nside_is_not_changed(write_tables, sky32):
    sky = load_sky(write_tables(stokes_table(sky32[1], 32)))
    np.testing.assert_array_equal(list(sky.maps.values()), sky32[1])
    assert sky.lmax is None and sky.notes == ()


def test_intensity_and_polarization_of_different_nsides(write_tables, sky32):
    alms, maps = sky32
    pair = maps_of([cut(one, 32) for one in alms], 16)[1:]
    path = write_tables(
        stokes_table(maps[:1], 32, names=STOKES[:1], name="INT"),
        stokes_table(pair, 16, names=STOKES[1:], name="POL"),
    )
    sky = load_sky(path, 8)
    expected = maps_of([cut(one, 16) for one in alms], 8)
    for letter, one in zip("IQU", expected, strict=True):
        np.testing.assert_allclose(sky.maps[letter], one, atol=1e-5 * one.std())
    assert sky.file_nside == {"I": 32, "Q": 16, "U": 16} and sky.lmax == 16


def test_scalars_are_still_averaged(write_tables, sky32):
    maps = sky32[1]
    columns = [(n, "D", one) for n, one in zip((*STOKES, "QU_COV"), [*maps, maps[1]], strict=True)]
    path = write_tables(table(columns, **maps_header(nside=32, POLCCONV="COSMO")))
    mean = maps[:2].reshape(2, -1, 4).mean(axis=-1)
    both = load_sky(path, 16, fields=[*STOKES[1:], "QU_COV"])
    np.testing.assert_allclose(both.maps["QU_COV"], mean[1], rtol=1e-12)
    assert both.notes[0].startswith("Q_STOKES and U_STOKES brought to nside 16")
    alone = load_sky(path, 16, fields="I")
    np.testing.assert_allclose(alone.map, mean[0], rtol=1e-12)
    assert alone.lmax is None and alone.notes == ()


def test_convention_and_order_of_the_file_do_not_matter(write_tables, sky32):
    maps = sky32[1]
    expected = load_sky(write_tables(stokes_table(maps, 32)), 16)
    ring = [healpy.reorder(one, n2r=True) for one in (*maps[:2], -maps[2])]
    path = write_tables(stokes_table(ring, 32, order="RING", POLCCONV="IAU"), name="iau.fits")
    with pytest.warns(UserWarning, match="from the convention IAU to COSMO"):
        sky = load_sky(path, 16)
    for letter in "IQU":
        np.testing.assert_allclose(sky.maps[letter], expected.maps[letter], rtol=1e-12)
    assert sky.polarization == "COSMO" and len(sky.notes) == 2


def test_every_q_goes_with_its_u(write_tables, sky32):
    """Half missions in one call, each of which is a field of its own."""
    other = maps_of([drawn(64, 4), drawn(64, 5), drawn(64, 6)], 32)
    path = write_tables(stokes_table(sky32[1], 32, name="HM1"), stokes_table(other, 32, name="HM2"))
    places = {f"{letter}{n}": (f"HM{n}", letter) for n in (1, 2) for letter in "QU"}
    both = load_sky(path, 16, fields=places)
    for n in (1, 2):
        one = load_sky(path, 16, hdu=n)
        for letter in "QU":
            np.testing.assert_array_equal(both.maps[f"{letter}{n}"], one.maps[letter])


def test_nan_in_u_only_is_without_data_in_all_and_leaves_averages(write_tables, sky32):
    maps = sky32[1].copy()
    maps[2, :6] = np.nan  # pixel 0 of nside 16, and half of pixel 1
    path = write_tables(stokes_table(maps, 32))
    whole = load_sky(path)
    assert np.flatnonzero(whole.coverage == 0).tolist() == list(range(6))
    assert whole.bad_pixels == {"NaN": 6}
    np.testing.assert_allclose(whole.maps["I"][:6], maps[0, 6:].mean())
    sky = load_sky(path, 16)
    expected = average_polarization(maps[1].copy(), maps[2].copy(), np.isnan(maps[2]), 16)
    np.testing.assert_allclose(sky.maps["Q"][1:], expected[0][1:], rtol=1e-12)
    np.testing.assert_allclose(sky.maps["U"][1:], expected[1][1:], rtol=1e-12)
    np.testing.assert_allclose(sky.maps["I"][2:], maps[0].reshape(-1, 4).mean(axis=1)[2:])
    assert sky.lmax is None and sky.coverage[:3].tolist() == [0.0, 0.5, 1.0]
    assert sky.notes == (
        "6 of 12288 pixels lack data in one map at least",
        "I, Q and U averaged over pixels, as some lack data and harmonic coefficients need the "
        "whole sphere: E and B are mixed at small scales",
    )
    for one, lacking in ((whole, "6 of 12288"), (sky, "2 of 3072")):
        with pytest.raises(ValueError, match=rf"got {lacking} pixels .*cut sky mix.*maps\['Q'\]"):
            one.teb()


def test_scalar_fields_are_those_of_the_coefficients(write_tables, sky32):
    alms, maps = sky32
    path = write_tables(stokes_table(maps, 32))
    for sky in (load_sky(path, 16), load_sky(path, 16, fields=[0, 1, 2])):
        found = sky.teb()
        assert list(found) == ["T", "E", "B"]
        for one, values in zip(alms, found.values(), strict=True):
            expected = healpy.reorder(healpy.alm2map(cut(one, 32), 16), r2n=True)
            assert values.dtype == np.float64
            np.testing.assert_allclose(values, expected, atol=1e-5 * expected.std())
    assert found["T"].mean() == pytest.approx(100.0 / np.sqrt(4 * np.pi), rel=1e-6)
    low = load_sky(path).teb(lmax=20)
    for one, values in zip(alms, low.values(), strict=True):
        expected = healpy.reorder(healpy.alm2map(cut(one, 20), 32), r2n=True)
        np.testing.assert_allclose(values, expected, atol=1e-8 * expected.std())
    pair = load_sky(path, 16, fields=("Q", "U"))
    found = pair.teb()
    assert list(found) == ["E", "B"]
    np.testing.assert_array_equal(found["B"], load_sky(path, 16).teb()["B"])


def test_b_changes_its_sign_with_the_convention(write_tables):
    """A sky of B alone whose U has the other sign, which turns a part of it into E."""
    maps = maps_of([drawn(16, 1), 0 * drawn(16, 2), drawn(16, 3)], 8) * [[1], [1], [-1]]
    with pytest.warns(UserWarning, match="IAU"):
        turned = load_sky(write_tables(stokes_table(maps, 8, POLCCONV="IAU"))).teb()
    assert turned["E"].std() < 1e-9 * turned["B"].std()
    wrong = load_sky(write_tables(stokes_table(maps, 8))).teb()
    assert wrong["E"].std() > 0.1 * wrong["B"].std()


@pytest.mark.parametrize("lmax", [1, 24, 2.5, "8", True])
def test_a_band_limit_out_of_range_is_refused(lmax):
    q, u = np.random.default_rng(0).standard_normal((2, 768))
    sky = Sky({"Q": q, "U": u}, np.ones(768), {}, "noise")
    with pytest.raises(ValueError, match=r"^lmax: got .*, expected a whole number from 2 to 23"):
        sky.teb(lmax)


@pytest.mark.parametrize("fields", [("I",), ("I", "Q"), ("U",), {"a": "Q", "b": "U"}])
def test_scalar_fields_need_q_and_u(write_tables, sky32, fields):
    sky = load_sky(write_tables(stokes_table(sky32[1], 32)), fields=fields)
    with pytest.raises(ValueError, match="got the maps .*, expected one Q and one U, and one I"):
        sky.teb()


def test_scalar_fields_need_one_q_and_one_u(write_tables, sky32):
    path = write_tables(stokes_table(sky32[1], 32, name="A"), stokes_table(sky32[1], 32, name="B"))
    fields = {"Q": ("A", "Q"), "U": ("A", "U"), "Q_STOKES": ("B", "Q"), "U_STOKES": ("B", "U")}
    with pytest.raises(ValueError, match="got the maps Q, U, Q_STOKES, U_STOKES, expected one Q"):
        load_sky(path, fields=fields).teb()


def in_two_tables(values, nside=8, unit="K_CMB", **of_u):
    """Q at nside 8, and U with a header of its own."""
    common = {"COORDSYS": "G", "POLCCONV": "COSMO"}
    return [
        stokes_table([values[:768]], 8, names=["Q"], name="Q", **common),
        stokes_table(
            [values[: 12 * nside**2]], nside, names=["U"], name="U", unit=unit, **(common | of_u)
        ),
    ]


@pytest.mark.parametrize(
    ("of_u", "message"),
    [
        ({"nside": 16}, "got Q at nside 8 and U at nside 16, expected one nside of Q and U"),
        ({"unit": "mK_CMB"}, "got Q in 'K_CMB' and U in 'mK_CMB', expected one unit"),
        ({"COORDSYS": "C"}, "got maps of the frames C, G, expected one"),
        ({"POLCCONV": "IAU"}, "the headers say POLCCONV COSMO and IAU, expected one of them"),
    ],
)
def test_q_and_u_that_do_not_belong_together_are_refused(write_tables, of_u, message):
    values = np.random.default_rng(1).standard_normal(12 * 16**2)
    path = write_tables(*in_two_tables(values, **of_u))
    for nside in (None, 4):
        with pytest.raises(ValueError, match=message):
            load_sky(path, nside)


def test_units_are_compared_though_one_is_not_stated(write_tables):
    values = np.random.default_rng(1).standard_normal(768)
    units = (None, "K_CMB", "mK_CMB")
    columns = [(key, "D", values, unit) for key, unit in zip("IQU", units, strict=True)]
    path = write_tables(table(columns, **maps_header(POLCCONV="COSMO")))
    with pytest.raises(ValueError, match="got Q in 'K_CMB' and U in 'mK_CMB'"):
        load_sky(path)


def test_tables_of_different_orders_are_brought_to_one(write_tables):
    values = np.random.default_rng(1).standard_normal(768)
    sky = load_sky(write_tables(*in_two_tables(values, order="RING")))
    np.testing.assert_array_equal(sky.maps["U"], healpy.reorder(values, r2n=True))
    np.testing.assert_array_equal(sky.maps["Q"], values)
    with pytest.raises(ValueError, match="order: got 'NESTED', but the header of .* says 'RING'"):
        load_sky(write_tables(*in_two_tables(values, order="RING")), order="NESTED")


@pytest.mark.parametrize("convention", ["COSMO", "IAU"])
def test_a_convention_that_q_states_holds_for_u(write_tables, convention):
    values = np.random.default_rng(1).standard_normal(768)
    tables = in_two_tables(values)
    tables[0].header["POLCCONV"] = convention
    del tables[1].header["POLCCONV"]
    path = write_tables(*tables)
    if convention == "IAU":
        with pytest.warns(UserWarning, match="from the convention IAU"):
            sky = load_sky(path)
    else:
        sky = load_sky(path)
    np.testing.assert_array_equal(sky.maps["U"], values if convention == "COSMO" else -values)


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".zarr"])
def test_written_polarization_comes_back(tmp_path, sky32, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    maps = sky32[1]
    given = {"Q": maps[1], "U": maps[2], "RESIDUAL": maps[0] / 7, "T": maps[0]}
    units = dict.fromkeys("QUT", "uK_CMB")
    path = save_maps(
        tmp_path / f"sky{suffix}",
        given,
        units=units,
        frame="G",
        dtype="float64",
        polarization="COSMO",
    )
    sky = load_sky(path)
    assert list(sky.maps) == ["I", "Q", "U"] and sky.notes == ()
    np.testing.assert_array_equal(list(sky.maps.values()), maps)
    assert (sky.frame, sky.polarization, set(sky.units.values())) == ("G", "COSMO", {"uK_CMB"})
    if suffix == ".zarr":
        return
    every: Any = (0, 1, 2)
    np.testing.assert_array_equal(healpy.read_map(path, every, nest=True, dtype=None), maps)
    ring = healpy.read_map(path, every, dtype=None)
    b = healpy.map2alm(ring, lmax=64, iter=10, pol=True)[2]
    np.testing.assert_allclose(b, sky32[0][2], atol=1e-8)
    header = fits.getheader(path, 1)
    assert [header[f"TTYPE{n}"] for n in range(1, 5)] == [*STOKES, "RESIDUAL"]
    expected = {"POLAR": True, "POLCCONV": "COSMO", "COORDSYS": "G", "ORDERING": "NESTED"}
    assert {key: header[key] for key in expected} == expected and "BAD_DATA" not in header
    assert [header.get(f"TUNIT{n}") for n in range(1, 5)] == ["uK_CMB"] * 3 + [None]


def test_written_pixels_without_data_are_those_of_all(tmp_path, sky32):
    maps = sky32[1].copy()
    maps[2, 5:9] = np.nan
    given = {"Q_STOKES": maps[1], "U_STOKES": maps[2]}
    path = save_maps(tmp_path / "sky.fits", given, polarization="COSMO", dtype="float64")
    sky = load_sky(path)
    assert np.flatnonzero(sky.coverage == 0).tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(healpy.read_map(path, 1, nest=True)[5:9], healpy.UNSEEN)
    assert list(sky.maps) == ["Q", "U"] and fits.getheader(path, 1)["BAD_DATA"] == healpy.UNSEEN


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (
            "TQ",
            {},
            "^maps: got the maps T, Q, but no U, expected one Q and one U, and one I at most",
        ),
        ("TEB", {}, "^maps: got the maps T, E, B, but not both Q and U, expected one Q and one U"),
        ("ITQU", {}, "^maps: got the maps I, T, Q, U, expected one Q and one U, and one I"),
        ("QU", {"units": {"Q": "K", "U": "mK"}}, "^units: got 'K' for Q and 'mK' for U, expected"),
        ("QU", {"polarization": "IAU"}, "^polarization: got 'IAU', expected 'COSMO' or None"),
    ],
)
def test_what_is_no_polarization_is_not_written_as_such(tmp_path, names, options, message):
    maps = dict.fromkeys(names, np.arange(768.0))
    with pytest.raises(ValueError, match=message):
        save_maps(tmp_path / "sky.fits", maps, **{"polarization": "COSMO"} | options)
    assert list(tmp_path.iterdir()) == []
