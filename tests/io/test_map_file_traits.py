"""Every trait of map files in the table of docs/map-files.md, by its number there."""

import tracemalloc
import warnings

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat import load_map, load_map_and_mask, load_mask, load_sky
from tests.io.conftest import NPIX, NSIDE, maps_header, table

HFI = ["I_STOKES", "Q_STOKES", "U_STOKES", "HITS"] + [
    f"{pair}_COV" for pair in ("II", "IQ", "IU", "QQ", "QU", "UU")
]


def in_ring(values):
    return healpy.reorder(np.asarray(values), n2r=True)


def hfi(values, **header):
    columns = [(name, "E", values[i].astype("f4"), "K_CMB") for i, name in enumerate(HFI)]
    more = {"COORDSYS": "GALACTIC", "POLCCONV": "COSMO", "BAD_DATA": -1.6375e30} | header
    return table(columns, "FREQ-MAP", **maps_header(**more))


@pytest.fixture(scope="module")
def ten():
    return np.random.default_rng(5).standard_normal((10, NPIX)).astype(np.float32)


def test_trait_01_hfi_table_of_ten_columns(write_tables, ten):
    sky = load_sky(write_tables(hfi(ten)))
    assert list(sky.maps) == ["I", "Q", "U"]
    for i, letter in enumerate("IQU"):
        np.testing.assert_array_equal(sky.maps[letter], ten[i].astype(float))
        assert sky.units[letter] == "K_CMB"
    assert (sky.frame, sky.polarization, sky.nside) == ("G", "COSMO", NSIDE)
    np.testing.assert_array_equal(sky.coverage, 1.0)
    np.testing.assert_array_equal(load_map(write_tables(hfi(ten)), field="UU_COV"), ten[9])


@pytest.mark.parametrize("order", ["NESTED", "RING"])
@pytest.mark.parametrize("name", ["map.fits", "map.fits.gz"])
def test_trait_01_a_column_takes_less_than_three_columns_of_memory(write_tables, order, name):
    nside = 256
    column = np.random.default_rng(1).standard_normal(12 * nside**2).astype("f4")
    columns = [(key, "E", column, "K_CMB") for key in HFI]
    path = write_tables(table(columns, **maps_header(order, nside)), name=name)
    load_map(path, 1, field="I_STOKES")  # imports and tables of healpy
    tracemalloc.start()
    values = load_map(path, field="I_STOKES")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values.nbytes < peak <= 3 * values.nbytes  # one column of float64, the result


@pytest.mark.parametrize("order", ["RING", "NESTED", "NEST"])
@pytest.mark.parametrize("form", ["256E", "256D"])
def test_trait_02_rows_of_many_pixels(write_tables, nested, order, form):
    values = nested.astype("f4" if "E" in form else "f8")
    rows = (in_ring(values) if order == "RING" else values).reshape(-1, 256)
    path = write_tables(table([("T", form, rows)], **maps_header(order)))
    np.testing.assert_array_equal(load_map(path), values)


@pytest.mark.parametrize("form", ["E", "D"])
@pytest.mark.parametrize("value", [healpy.UNSEEN, -1.637e30, -1.6e30, -1.63750e30])
def test_trait_03_unseen_also_if_rounded(write_tables, nested, form, value):
    spoiled = nested.copy()
    spoiled[:40] = value
    path = write_tables(table([("T", form, spoiled)], **maps_header()))
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 40)
    np.testing.assert_allclose(values[40:], nested[40:], rtol=1e-6)
    with pytest.raises(ValueError, match="got 40 of 768 pixels UNSEEN"):
        load_map(path)


@pytest.mark.parametrize(("form", "value"), [("E", -32768.0), ("I", -32768), ("D", 0.1), ("J", 0)])
def test_trait_03_bad_data_of_the_header(write_tables, nested, form, value):
    spoiled = np.round(1000 * nested) if form in "IJ" else nested.copy()
    spoiled[spoiled == 0] = 1
    good = spoiled[40:].mean()
    spoiled[:40] = value
    path = write_tables(table([("T", form, spoiled)], **maps_header(BAD_DATA=value)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # integers
        values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 40)
    assert values.mean() == pytest.approx(good, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", ["map.npy", "map.fits"])
def test_trait_04_nan_marks_pixels_without_data(tmp_path, write_tables, nested, name):
    spoiled = nested.copy()
    spoiled[100:140] = np.nan
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, spoiled)
    else:
        path = write_tables(table([("SST", "D", spoiled)], **maps_header()))
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask == 0, np.isnan(spoiled))
    np.testing.assert_allclose(values[100:140], np.nanmean(spoiled))
    with pytest.raises(ValueError, match="got 40 of 768 pixels NaN .*load_map_and_mask"):
        load_map(path)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("order", ["RING", "NESTED"])
def test_trait_05_partial_sky_unsorted(write_tables, nested, place, order):
    pixels = np.random.default_rng(3).permutation(NPIX)[:500]
    stored = in_ring(nested) if order == "RING" else nested
    columns = [("SIGNAL", "D", stored[pixels])]
    columns.insert(place, ("PIXEL", "J", pixels))
    path = write_tables(table(columns, **maps_header(order, INDXSCHM="EXPLICIT", OBJECT="PARTIAL")))
    values, mask = load_map_and_mask(path)
    listed = np.zeros(NPIX, bool)
    listed[healpy.ring2nest(NSIDE, pixels) if order == "RING" else pixels] = True
    np.testing.assert_array_equal(mask, listed)
    np.testing.assert_array_equal(values[listed], nested[listed])


def test_trait_06_three_other_tables_are_no_stokes_parameters(write_tables, ten):
    tables = [
        table([("T", "E", one)], name, **maps_header())
        for one, name in zip(ten[:3], "xyz", strict=True)
    ]
    with pytest.raises(ValueError, match="several"):
        load_sky(write_tables(*tables))


def cut_tables(three, pixels, names=("", "", "")):
    hits = np.arange(pixels.size) % 5
    return [
        table(
            [
                ("PIXEL", "J", pixels),
                ("SIGNAL", "D", one[pixels], "mK"),
                ("N_OBS", "J", hits),
                ("SERROR", "E", np.ones(pixels.size)),
            ],
            name,
            **maps_header(INDXSCHM="EXPLICIT", OBJECT="PARTIAL", POLCCONV="COSMO"),
        )
        for one, name in zip(three, names, strict=True)
    ]


@pytest.mark.parametrize(
    "names", [("", "", ""), ("TEMPERATURE", "Q_POLARISATION", "U_POLARISATION")]
)
def test_trait_06_one_extension_per_stokes_parameter(write_tables, ten, names):
    pixels = np.arange(NPIX)[::-2]
    path = write_tables(*cut_tables(ten[:3], pixels, names))
    sky = load_sky(path)
    for i, letter in enumerate("IQU"):
        np.testing.assert_array_equal(sky.maps[letter][pixels], ten[i][pixels])
        np.testing.assert_array_equal(
            load_map(path, field=letter, unseen="mean")[pixels], ten[i][pixels]
        )
        one = load_map(path, hdu=i + 1, field="SIGNAL", unseen="mean")
        np.testing.assert_array_equal(one[pixels], ten[i][pixels])
    np.testing.assert_array_equal(np.flatnonzero(sky.coverage), np.sort(pixels))
    with pytest.raises(ValueError, match=r"hdu: .* has several tables of maps, .*: 1 .*; 2 .*; 3 "):
        load_map(path)


def beam_table(rows=100, **header):
    return table([("INT_BEAM", "E", np.ones(rows))], "BEAMTF", **header)


@pytest.mark.parametrize("rows", [100, 12 * 16**2])  # also as many as a map of another nside
def test_trait_07_map_behind_other_tables(write_tables, nested, rows):
    history = table([("TEXT", "8A", ["one", "two"])], "HISTORY")
    path = write_tables(
        history, beam_table(rows), table([("T", "D", nested)], "SKY", **maps_header())
    )
    for hdu in (None, 3, "sky"):
        np.testing.assert_array_equal(load_map(path, hdu=hdu), nested)
    for hdu in (0, 4, "moon"):
        with pytest.raises(ValueError, match="hdu: got .* the tables of .*: 1 'HISTORY'.*3 'SKY'"):
            load_map(path, hdu=hdu)
    with pytest.raises(ValueError, match="expected 12 nside|has no ORDERING"):
        load_map(path, hdu=2)


def test_trait_07_map_before_its_beam(write_tables, nested):
    sky = load_sky(
        write_tables(table([("T", "D", nested)], FWHM=5.0, **maps_header()), beam_table())
    )
    np.testing.assert_array_equal(sky.map, nested)
    assert sky.beam == {"FWHM": 5.0, "HDU": "BEAMTF"}


def test_trait_08_wmap_names_and_units(write_tables, ten):
    names = ("TEMPERATURE", "Q_POLARISATION", "U_POLARISATION", "N_OBS")
    unit = ["mK,thermodynamic"] * 3 + ["counts"]
    columns = [(n, "E", ten[i], u) for i, (n, u) in enumerate(zip(names, unit, strict=True))]
    path = write_tables(table(columns, **maps_header(POLCCONV="COSMO")))
    sky = load_sky(path, fields=("I", "Q", "U"), unit="uK_CMB")
    for i, letter in enumerate("IQU"):
        np.testing.assert_allclose(sky.maps[letter], 1000.0 * ten[i].astype(float), rtol=1e-12)
    assert set(sky.units.values()) == {"uK_CMB"}
    assert load_sky(path).units["Q"] == "mK,thermodynamic"


@pytest.mark.parametrize(
    ("stated", "wanted", "factor"),
    [
        ("Kcmb", "uK_CMB", 1e6),
        ("K_CMB", "mKcmb", 1e3),
        ("uK_CMB", "K_CMB", 1e-6),
        ("MJy/sr", "MJy/sr", 1.0),
        ("MJy/sr", "K_CMB", None),
        ("uK_RJ", "K_CMB", None),
        ("K", "K_CMB", None),
        (None, "K_CMB", None),
    ],
)
def test_trait_09_units(write_tables, nested, stated, wanted, factor):
    path = write_tables(table([("T", "D", nested, stated)], **maps_header()))
    assert load_sky(path).unit == stated
    if factor is None:
        with pytest.raises(ValueError, match=f"^unit: got '{wanted}', but map "):
            load_map(path, unit=wanted)
    else:
        sky = load_sky(path, unit=wanted)
        np.testing.assert_allclose(sky.map, factor * nested, rtol=1e-12)
        assert sky.unit == wanted


@pytest.mark.parametrize("name", ["HITS", "N_OBS", "Nobs"])
def test_trait_10_zero_hits_on_request(write_tables, nested, name):
    hits = np.arange(NPIX) % 4
    observed = np.where(hits > 0, nested, 0.0)
    path = write_tables(table([("T", "D", observed), (name, "J", hits)], **maps_header()))
    np.testing.assert_array_equal(load_map(path), observed)
    values, mask = load_map_and_mask(path, zero_hits="bad")
    np.testing.assert_array_equal(mask, hits > 0)
    np.testing.assert_array_equal(values[hits > 0], nested[hits > 0])
    with pytest.raises(ValueError, match="192 of 768 pixels zero hits"):
        load_map(path, zero_hits="bad")
    with pytest.raises(ValueError, match="zero_hits: got 'bad', but .* no column of hits"):
        load_map(write_tables(table([("T", "D", nested)], **maps_header())), zero_hits="bad")


@pytest.mark.parametrize(
    ("convention", "sign", "warning"),
    [("COSMO", 1, None), ("IAU", -1, "from the convention IAU to COSMO"), (None, 1, "no POLCCONV")],
)
def test_trait_11_polarization_convention(write_tables, ten, convention, sign, warning):
    given = {} if convention is None else {"POLCCONV": convention}
    columns = [
        (n, "E", ten[i]) for i, n in enumerate(("I_STOKES", "Q_STOKES", "U_STOKES", "IU_COV"))
    ]
    path = write_tables(table(columns, **maps_header(**given)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sky = load_sky(path)
        u, covariance = load_map(path, field="U_STOKES"), load_map(path, field="IU_COV")
    assert sky.polarization == "COSMO"
    np.testing.assert_array_equal(sky.maps["I"], ten[0])
    np.testing.assert_array_equal(sky.maps["Q"], ten[1])
    np.testing.assert_array_equal(sky.maps["U"], sign * ten[2].astype(float))
    np.testing.assert_array_equal(u, sky.maps["U"])
    np.testing.assert_array_equal(covariance, sign * ten[3].astype(float))
    said = [str(one.message) for one in caught]
    assert len(said) == (0 if warning is None else 3) and all(warning in text for text in said)
    assert any(warning in note for note in sky.notes) if warning else not sky.notes


def test_trait_11_another_convention_is_refused(write_tables, ten):
    columns = [("Q_STOKES", "E", ten[1]), ("U_STOKES", "E", ten[2])]
    path = write_tables(table(columns, **maps_header(POLCCONV="HEALPIX")))
    with pytest.raises(ValueError, match="POLCCONV 'HEALPIX', expected COSMO or IAU"):
        load_sky(path)


@pytest.mark.parametrize(
    ("stated", "frame"),
    [("G", "G"), ("Galactic", "G"), ("C", "C"), ("EQUATORIAL", "C"), ("E", "E"), (None, None)],
)
def test_trait_12_coordinate_frame(write_tables, nested, stated, frame):
    given = {} if stated is None else {"COORDSYS": stated}
    sky = load_sky(write_tables(table([("T", "D", nested)], **maps_header(**given))))
    assert sky.frame == frame and not sky.notes


def test_trait_12_frame_and_convention_of_the_primary_header(write_tables, ten):
    columns = [("Q_STOKES", "E", ten[1]), ("U_STOKES", "E", ten[2])]
    path = write_tables(table(columns, **maps_header()))
    with fits.open(path, mode="update") as units:
        units[0].header.update(COORDSYS="E", POLCCONV="COSMO")
    sky = load_sky(path)
    assert (sky.frame, sky.polarization, sky.notes) == ("E", "COSMO", ())


def test_trait_12_unknown_frames_are_noted_and_differing_ones_refused(write_tables, ten):
    path = write_tables(table([("T", "E", ten[0])], **maps_header(COORDSYS="Mars")))
    sky = load_sky(path)
    assert sky.frame is None and "COORDSYS 'Mars'" in sky.notes[0]
    tables = [
        table([(name, "E", ten[i])], **maps_header(COORDSYS=frame, POLCCONV="COSMO"))
        for i, (name, frame) in enumerate(zip("IQU", "GGC", strict=True))
    ]
    with pytest.raises(ValueError, match="got maps of the frames C, G, expected one"):
        load_sky(write_tables(*tables))


@pytest.mark.parametrize("header", [{}, {"FIRSTPIX": 1, "LASTPIX": 99}])
def test_trait_13_missing_nside_and_wrong_last_pixel(write_tables, header):
    mask = (np.arange(NPIX) > 70).astype("u1")
    path = write_tables(table([("GAL070", "B", mask)], ORDERING="NESTED", **header))
    np.testing.assert_array_equal(load_mask(path), mask)


def test_trait_14_values_are_native_and_writable(write_tables, nested):
    values = load_map(write_tables(table([("T", "D", nested)], **maps_header())))
    assert values.dtype.isnative and values.flags.writeable and values.flags.c_contiguous


def test_trait_14_scaled_integers_with_null(write_tables):
    raw = (np.arange(NPIX) - 300).astype("i2")
    raw[:9] = -32768
    path = write_tables(
        table([("SST", "I", raw)], TSCAL1=0.01, TZERO1=20.0, TNULL1=-32768, **maps_header())
    )
    with fits.open(path) as units:  # astropy scales, too
        expected = units[1].data["SST"].astype(float)
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 9)
    np.testing.assert_allclose(values[9:], expected[9:], rtol=1e-12)
    np.testing.assert_allclose(values[9:], 0.01 * raw[9:] + 20.0, rtol=1e-12)


def test_trait_14_integers_with_null_and_unsigned(write_tables):
    raw = np.arange(NPIX) + 32768
    path = write_tables(table([("N", "J", raw)], TNULL1=32770, **maps_header()))
    with pytest.warns(UserWarning, match=r"integer values \(int32\)"):
        mask = load_map_and_mask(path)[1]
    assert np.flatnonzero(mask == 0).tolist() == [2]
    unsigned = fits.BinTableHDU.from_columns(
        [fits.Column("N", "I", bzero=32768, array=raw.astype("u2"))]
    )
    unsigned.header.update(maps_header())
    with pytest.warns(UserWarning, match=r"integer values \(uint16\)"):
        np.testing.assert_array_equal(load_map(write_tables(unsigned)), raw)


@pytest.mark.parametrize("form", ["L", "B"])
def test_trait_14_byte_and_logical_masks(write_tables, form):
    seen = np.arange(NPIX) % 3 > 0
    path = write_tables(table([("MASK", form, seen)], **maps_header("RING")))
    np.testing.assert_array_equal(load_mask(path), healpy.reorder(seen.astype(float), r2n=True))
    if form == "L":
        with pytest.raises(ValueError, match="got boolean values .* jaxscat.load_mask"):
            load_map(path)


def test_trait_15_different_nsides_of_intensity_and_polarization(write_tables, ten):
    alm = np.random.default_rng(8).standard_normal(healpy.Alm.getsize(2 * NSIDE)) + 0j
    intensity, low = (
        healpy.reorder(healpy.alm2map(alm, nside), r2n=True) for nside in (2 * NSIDE, NSIDE)
    )
    path = write_tables(
        table([("I_STOKES", "D", intensity, "K_CMB")], "INT", **maps_header(nside=2 * NSIDE)),
        table(
            [("Q_STOKES", "E", ten[1], "K_CMB"), ("U_STOKES", "E", ten[2], "K_CMB")],
            "POL",
            **maps_header(POLCCONV="COSMO"),
        ),
        beam_table(),
    )
    sky = load_sky(path)
    assert sky.nside == NSIDE and sky.file_nside == {"I": 2 * NSIDE, "Q": NSIDE, "U": NSIDE}
    np.testing.assert_allclose(sky.maps["I"], low, atol=1e-4 * low.std())
    assert sky.lmax == 2 * NSIDE and sky.notes[0].startswith(
        "I brought to nside 8 through harmonic"
    )
    np.testing.assert_array_equal(sky.maps["U"], ten[2])
    alone = load_sky(path, fields={"E": ("INT", 0)})
    np.testing.assert_array_equal(alone.maps["E"], intensity)
    averaged = load_sky(path, NSIDE, fields="I")
    np.testing.assert_allclose(averaged.map, intensity.reshape(-1, 4).mean(axis=1), rtol=1e-12)
    assert averaged.lmax is None and averaged.notes == ()
    with pytest.raises(ValueError, match="nside: got 16, expected at most 8"):
        load_sky(path, 2 * NSIDE)


def test_trait_18_celsius_and_land_are_left_to_the_user(write_tables, nested):
    celsius = 15.0 + nested
    celsius[:30] = -9999.0  # land, which the header does not declare
    path = write_tables(table([("SST", "D", celsius, "degC")], **maps_header()))
    with pytest.raises(ValueError, match="^unit: got 'K', but map .* is in 'degC'; only K, mK"):
        load_map(path, unit="K")
    assert load_map(path).min() == -9999.0
    values, mask = load_map_and_mask(path, bad_data=-9999)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 30)
    np.testing.assert_array_equal(values[30:], celsius[30:])


def image(ten):
    return fits.ImageHDU(ten[:, :100])


def multi_order(ten):
    return table([("UNIQ", "K", np.arange(NPIX) + 256), ("P", "E", ten[0])], ORDERING="NUNIQ")


def not_a_power(ten):
    return table([("T", "E", np.resize(ten, 12 * 12**2))], ORDERING="RING", NSIDE=12)


def twice(ten):
    return table([("A", "E", ten[0]), ("TWIN", "E", ten[1])], **maps_header())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (image, "expected a HEALPix table in an extension, got none"),
        (multi_order, "ORDERING 'NUNIQ', expected RING or NESTED"),
        (not_a_power, "expected 12 nside.* power of two"),
        (twice, "field: got 'A', which several columns are named"),
    ],
)
def test_trait_19_what_is_refused(write_tables, ten, make, message):
    path = write_tables(make(ten))
    path.write_bytes(path.read_bytes().replace(b"'TWIN    '", b"'A       '"))
    with pytest.raises(ValueError, match=message):
        load_map(path, field="A" if make is twice else None)
