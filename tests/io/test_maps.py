"""Maps go to files and come back: order, resolution, missing pixels, and all that is refused."""

import pickle
import warnings

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat.io.maps import load_map, load_map_and_mask, load_mask, save_maps
from jaxscat.io.sky import load_sky

NSIDE = 8
NPIX = 12 * NSIDE**2


@pytest.fixture
def nested():
    return np.random.default_rng(2).standard_normal(NPIX)


@pytest.fixture
def write(tmp_path):
    """Write a `.npy` or FITS file and return its path."""

    def write_file(values, name="map.npy", **options):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, values)
        else:
            dtype = options.pop("dtype", np.float64)
            healpy.write_map(path, values, dtype=dtype, **options)
        return path

    return write_file


def spoiled(values, value, count=3):
    values = values.copy()
    values[:count] = value
    return values


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_npy_is_nested_float64(write, nested, dtype):
    loaded = load_map(write(nested.astype(dtype)))
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, nested.astype(dtype))


def test_npy_in_ring_order_is_reordered(write, nested):
    path = write(healpy.reorder(nested, n2r=True))
    np.testing.assert_array_equal(load_map(str(path), order="RING"), nested)
    np.testing.assert_array_equal(load_map(path, order="ring"), nested)


@pytest.mark.parametrize("name", ["map.fits", "map.fit", "map.fits.gz"])
@pytest.mark.parametrize("nest", [True, False])
@pytest.mark.parametrize("stated", [True, False])
def test_fits_header_order_is_honoured(write, nested, name, nest, stated):
    path = write(nested if nest else healpy.reorder(nested, n2r=True), name, nest=nest)
    order = ("NESTED" if nest else "RING") if stated else None
    np.testing.assert_array_equal(load_map(path, order=order), nested)


@pytest.mark.parametrize(("nest", "wrong", "found"), [(0, "NESTED", "RING"), (1, "RING", "NESTED")])
def test_order_that_contradicts_the_header_is_refused(write, nested, nest, wrong, found):
    path = write(nested, "map.fits", nest=bool(nest))
    with pytest.raises(ValueError, match=f"order: got '{wrong}', but the header .* says '{found}'"):
        load_map(path, order=wrong)


def edit_header(path, key, value):
    with fits.open(path, mode="update") as units:
        if value is None:
            del units[1].header[key]  # pyright: ignore
        else:
            units[1].header[key] = value  # pyright: ignore


def test_fits_without_ordering_needs_the_order(write, nested):
    path = write(healpy.reorder(nested, n2r=True), "map.fits")
    edit_header(path, "ORDERING", None)
    with pytest.raises(ValueError, match="order: the header of .* has no ORDERING, state RING or"):
        load_map(path)
    np.testing.assert_array_equal(load_map(path, order="RING"), nested)


def test_fits_with_an_unknown_ordering_is_refused(write, nested):
    path = write(nested, "map.fits")
    edit_header(path, "ORDERING", "NUNIQ")
    with pytest.raises(ValueError, match="the header says ORDERING 'NUNIQ', expected RING or"):
        load_map(path)


def test_fits_columns_by_number_and_name(write, nested):
    path = write(
        [nested, -nested, 2 * nested], "map.fits", nest=True, column_names=["T", "Q", "sum"]
    )
    np.testing.assert_array_equal(load_map(path, field=1), -nested)
    np.testing.assert_array_equal(load_map(path, field="sum"), 2 * nested)
    for field in (3, -1, "U", 1.0, True):
        with pytest.raises(ValueError, match=r"field: got .* of the 3 columns of .*\(T, Q, sum\)"):
            load_map(path, field=field)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("order", ["NEST", "", 1, "nested "])
def test_order_is_refused(write, nested, order):
    with pytest.raises(ValueError, match="order: got .*, expected 'RING' or 'NESTED'"):
        load_map(write(nested), order=order)


@pytest.mark.parametrize("nside", [1, 2, 4, 8])
def test_working_nside_is_healpys_average(write, nested, nside):
    path = write(healpy.reorder(nested, n2r=True), "map.fits")
    expected = healpy.ud_grade(nested, nside, order_in="NESTED", order_out="NESTED")
    np.testing.assert_allclose(load_map(path, nside), expected, rtol=1e-14)
    means = nested.reshape(12 * nside**2, -1).mean(axis=1)  # children are neighbours in NESTED
    np.testing.assert_allclose(load_map(path, nside), means, rtol=1e-12)


def test_working_nside_is_refused(write, nested):
    path = write(nested)
    with pytest.raises(ValueError, match=r"nside: got 16, expected at most 8 as map .* has"):
        load_map(path, 16)
    for nside in (0, 3, -2, 4.0, "4", True):
        with pytest.raises(ValueError, match="nside: got .*, expected a power of two"):
            load_map(path, nside)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["map.npy", "map.fits"])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_integers_are_converted_and_it_is_said(write, name, dtype):
    values = np.arange(NPIX).astype(dtype)
    options = {} if name.endswith("npy") else {"nest": True, "dtype": dtype}
    with pytest.warns(UserWarning, match=r"integer values \(.*\) are converted to float64"):
        loaded = load_map(write(values, name, **options))
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, np.arange(NPIX))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:-1], "got 767 pixels, expected 12 nside"),
        (lambda m: np.resize(m, 12 * 24**2), "got 6912 pixels, expected 12 nside"),
        (lambda m: m[None], r"shape \(1, 768\), expected one map"),
        (lambda m: m[:0], "got 0 pixels"),
        (lambda m: spoiled(m, np.nan), "got 3 of 768 pixels NaN"),
        (lambda m: spoiled(m, np.inf), "got 3 of 768 pixels infinite"),
        (lambda m: spoiled(m, healpy.UNSEEN), "3 of 768 pixels UNSEEN.*load_map_and_mask"),
        (lambda m: m * 1j, "complex values"),
        (lambda m: m > 0, "boolean values"),
        (lambda m: np.ones(NPIX), "same value 1 in every pixel"),
        (lambda m: np.array(["a"] * NPIX), "unsuitable values"),
    ],
)
def test_values_that_are_no_map_are_refused(write, nested, change, message):
    path = write(change(nested))
    with pytest.raises(ValueError, match=message) as caught:
        load_map(path)
    assert str(caught.value).startswith(f"map '{path}': ")


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "pixels NaN"), (np.inf, "infinite"), (healpy.UNSEEN, "pixels UNSEEN")],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_in_fits_are_refused(write, nested, value, message, dtype):
    path = write(spoiled(nested, value), "map.fits", dtype=dtype)
    with pytest.raises(ValueError, match=f"got 3 of 768 {message}|got 3 of 768 pixels {message}"):
        load_map(path)


@pytest.mark.parametrize("kind", [bool, np.complex128])
def test_wrong_types_in_fits_are_refused(tmp_path, kind):
    path = tmp_path / "map.fits"
    table = fits.BinTableHDU.from_columns(
        [fits.Column("T", "L" if kind is bool else "M", array=np.arange(NPIX) % 2 + kind(0))]
    )
    table.header["ORDERING"], table.header["NSIDE"] = "NESTED", NSIDE
    table.writeto(path)
    with pytest.raises(ValueError, match="boolean|complex"):
        load_map(path)


def test_unseen_pixels_become_zeros_of_the_mask_on_request(write, nested):
    path = write(spoiled(nested, healpy.UNSEEN, 70))
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 70)
    np.testing.assert_array_equal(values[70:], nested[70:])
    np.testing.assert_allclose(values[:70], nested[70:].mean())
    np.testing.assert_array_equal(load_map(path, unseen="mean"), values)


def test_unseen_pixels_at_a_lower_nside(write, nested):
    path = write(spoiled(nested, healpy.UNSEEN, 70))
    values, mask = load_map_and_mask(path, 4)  # four children each: 17 empty, one half
    np.testing.assert_allclose(mask, np.r_[np.zeros(17), 0.5, np.ones(174)])
    np.testing.assert_allclose(values[17], nested[70:72].mean())
    np.testing.assert_allclose(values[18:], nested[72:].reshape(-1, 4).mean(axis=1))
    np.testing.assert_allclose(values[:17], nested[70:].mean())


def test_partial_sky_files_are_masked(write, nested):
    ring = healpy.reorder(spoiled(nested, healpy.UNSEEN, 70), n2r=True)
    path = write(ring, "map.fits", partial=True)
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= 70)
    np.testing.assert_array_equal(values[70:], nested[70:])


def test_full_maps_have_a_mask_of_ones(write, nested):
    values, mask = load_map_and_mask(write(nested), 4)
    np.testing.assert_array_equal(mask, np.ones(192))
    np.testing.assert_array_equal(values, load_map(write(nested), 4))


def test_a_map_without_data_is_refused(write):
    with pytest.raises(ValueError, match="UNSEEN .* in every pixel"):
        load_map_and_mask(write(np.full(NPIX, healpy.UNSEEN)))


@pytest.mark.parametrize("unseen", ["mask", None, True])
def test_unseen_is_refused(write, nested, unseen):
    with pytest.raises(ValueError, match="unseen: got .*, expected 'refuse' or 'mean'"):
        load_map(write(nested), unseen=unseen)


def truncated_fits(tmp_path, nested):
    path = tmp_path / "cut.fits"
    healpy.write_map(path, nested, dtype=np.float64)
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def truncated_gz(tmp_path, nested):
    path = tmp_path / "cut.fits.gz"
    healpy.write_map(path, nested, dtype=np.float64)
    path.write_bytes(path.read_bytes()[:-1000])
    return path


def padding_cut(tmp_path, nested):
    path = tmp_path / "padding.fits"
    healpy.write_map(path, nested, dtype=np.float64)
    path.write_bytes(path.read_bytes()[:-10])
    return path


def truncated_npy(tmp_path, nested):
    path = tmp_path / "cut.npy"
    np.save(path, nested)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def pickled_npy(tmp_path, nested):
    path = tmp_path / "pickled.npy"
    np.save(path, np.array([nested, None], dtype=object), allow_pickle=True)
    return path


def bare_pickle(tmp_path, nested):
    path = tmp_path / "bare.npy"
    path.write_bytes(pickle.dumps(nested))
    return path


def archive_npy(tmp_path, nested):
    path = tmp_path / "archive.npy"
    with path.open("wb") as stream:
        np.savez(stream, nested)
    return path


def image_fits(tmp_path, nested):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(nested.reshape(24, 32)).writeto(path)
    return path


def text(name):
    def make(tmp_path, nested):
        path = tmp_path / name
        path.write_text("not a map\n" * 400)
        return path

    return make


def wrong_nside(tmp_path, nested):
    path = tmp_path / "short.fits"
    healpy.write_map(path, nested, dtype=np.float64)
    edit_header(path, "NSIDE", 16)
    return path


def empty(name):
    def make(tmp_path, nested):
        path = tmp_path / name
        path.touch()
        return path

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder, _: folder / "absent.npy", "absent.npy': there is no such file"),
        (lambda folder, _: folder / "absent.fits", "absent.fits': there is no such file"),
        (empty("empty.npy"), "empty.npy': the file is empty"),
        (empty("empty.fits"), "empty.fits': the file is empty"),
        (truncated_npy, "cannot be read, expected a whole .npy file"),
        (truncated_fits, "cannot be read, expected a whole HEALPix FITS file"),
        (truncated_gz, "cannot be read, expected a whole HEALPix FITS file .*truncated"),
        (padding_cut, "cannot be read, expected a whole HEALPix FITS file .*truncated"),
        (pickled_npy, "cannot be read, .* not pickled"),
        (bare_pickle, "cannot be read, .* not pickled"),
        (archive_npy, "got a .npz archive, expected one .npy array"),
        (image_fits, "expected a HEALPix table in an extension, got none"),
        (text("words.fits"), "cannot be read, expected a whole HEALPix FITS file"),
        (text("words.fits.gz"), "cannot be read, expected a whole HEALPix FITS file"),
        (text("words.npy"), "cannot be read, expected a whole .npy file"),
        (wrong_nside, "header says NSIDE 16, which means 3072 pixels, but table 1 .* has 768"),
        (text("map.txt"), "source: got .*map.txt', expected a file that ends in .npy, .fits"),
        (lambda folder, _: folder, "source: got"),
        (
            lambda *_: "lsss",
            r"source: got 'lsss', .* or a dataset \(cosmic-web, polarized-dust, lss\)",
        ),
        (lambda *_: 7, "source: got int, expected a file name or a dataset name"),
    ],
)
def test_files_are_refused(tmp_path, nested, make, message):
    source = make(tmp_path, nested)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(ValueError, match=message):
            load_map(source)


def test_npy_has_no_columns(write, nested):
    for option in ({"hdu": 0}, {"select": {"time": 0}}, {"zero_hits": "bad"}):
        with pytest.raises(ValueError, match=f"{next(iter(option))}: got .*a .npy file has no col"):
            load_map(write(nested), **option)
        if "zero_hits" not in option:
            with pytest.raises(ValueError, match="hdu, select: got .* a .npy file is one array"):
                load_mask(write(np.ones(NPIX)), **option)
    with pytest.raises(ValueError, match="field: got 1, expected 0: a .npy file has no columns"):
        load_map(write(nested), field=1)


def test_datasets_are_loaded_by_name(monkeypatch, nested):
    monkeypatch.setattr("jaxscat.io.formats.load_dataset", lambda name: nested.copy())
    np.testing.assert_array_equal(load_map("cosmic-web"), nested)
    expected = healpy.ud_grade(nested, 4, order_in="NESTED", order_out="NESTED")
    np.testing.assert_array_equal(load_map("cosmic-web", 4, order="NESTED"), expected)
    with pytest.raises(ValueError, match="order: got 'RING', expected 'NESTED' for dataset"):
        load_map("cosmic-web", order="RING")
    with pytest.raises(ValueError, match="field: got 1, expected 0: dataset 'cosmic-web'"):
        load_map("cosmic-web", field=1)
    with pytest.raises(ValueError, match="nside: got 16, expected at most 8 as dataset"):
        load_map("cosmic-web", 16)


@pytest.fixture
def stokes(monkeypatch, nested):
    maps = np.stack([nested + 10, np.roll(nested, 5), np.roll(nested, 9)])
    monkeypatch.setattr("jaxscat.io.formats.load_dataset", lambda name: maps.copy())
    return maps


def test_a_polarized_dataset_is_three_maps(stokes):
    sky = load_sky("polarized-dust")
    assert list(sky.maps) == ["I", "Q", "U"]
    np.testing.assert_array_equal(list(sky.maps.values()), stokes)
    assert (sky.polarization, sky.frame, sky.notes) == ("COSMO", None, ())
    assert sky.file_nside == {"I": 8, "Q": 8, "U": 8}
    assert set(sky.units.values()) == {None}
    named = load_sky("polarized-dust", fields={"left": "U", "right": 0})
    np.testing.assert_array_equal(named.maps["left"], stokes[2])
    np.testing.assert_array_equal(named.maps["right"], stokes[0])
    assert load_sky("polarized-dust", fields="I").polarization is None
    np.testing.assert_array_equal(load_map("polarized-dust"), stokes[0])
    for row, field in enumerate(("intensity", "Q", 2)):
        np.testing.assert_array_equal(load_map("polarized-dust", field=field), stokes[row])


@pytest.mark.usefixtures("stokes")
@pytest.mark.parametrize("field", ["V", 3, -1, True])
def test_unknown_stokes_parameters_of_a_dataset_are_refused(field):
    with pytest.raises(ValueError, match="field: got .*, expected I, Q, U or a number from 0 to 2"):
        load_map("polarized-dust", field=field)


@pytest.mark.usefixtures("stokes")
@pytest.mark.parametrize("option", [{"hdu": 1}, {"select": {"time": 0}}, {"zero_hits": "bad"}])
def test_a_polarized_dataset_has_no_tables(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: got .*polarized-dust' has no tab"):
        load_map("polarized-dust", **option)
    if "hdu" in option:
        with pytest.raises(ValueError, match="hdu: got 1, expected none: dataset"):
            load_sky("polarized-dust", fields={"Q": (1, "Q")})


def test_load_mask_from_both_kinds_of_file(write):
    mask = (np.arange(NPIX) > 70).astype(bool)
    np.testing.assert_array_equal(load_mask(write(mask)), mask)
    ring = healpy.reorder(mask.astype(float), n2r=True)
    np.testing.assert_array_equal(load_mask(write(ring, "mask.fits")), mask)
    np.testing.assert_array_equal(load_mask(write(ring), order="RING"), mask)
    expected = healpy.ud_grade(mask.astype(float), 4, order_in="NESTED", order_out="NESTED")
    np.testing.assert_allclose(load_mask(write(mask), 4), expected)


def test_load_mask_reads_several_and_ones(write, nested):
    masks = np.stack([np.ones(NPIX), np.abs(nested)])
    np.testing.assert_array_equal(load_mask(write(masks)), masks)
    assert load_mask(write(masks), 2).shape == (2, 48)
    ring = np.stack([healpy.reorder(mask, n2r=True) for mask in masks])
    np.testing.assert_array_equal(load_mask(write(ring), order="RING"), masks)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(NPIX), "zero in every pixel"),
        (spoiled(np.ones(NPIX), -1.0), "3 negative weights"),
        (spoiled(np.ones(NPIX), np.nan), "3 of 768 pixels NaN"),
        (spoiled(np.ones(NPIX), healpy.UNSEEN), "3 of 768 pixels UNSEEN"),
        (np.ones(100), "got 100 pixels"),
    ],
)
def test_load_mask_refuses(write, mask, message):
    path = write(mask)
    with pytest.raises(ValueError, match=message) as caught:
        load_mask(path)
    assert str(caught.value).startswith(f"mask '{path}': ")
    with pytest.raises(ValueError, match="nside: got 16, expected at most 8 as mask"):
        load_mask(write(np.ones(NPIX)), 16)


@pytest.mark.parametrize("name", ["maps.fits", "maps.fits.gz"])
def test_saved_maps_are_read_by_healpy(tmp_path, nested, name):
    maps = {"original": nested, "start": -nested, "seed 1234": 3 * nested.astype(np.float32)}
    path = save_maps(tmp_path / name, maps, units="K", header={"DATASET": "cosmic-web"})
    columns, header = healpy.read_map(path, field=(0, 1, 2), nest=True, h=True)  # pyright: ignore
    header = dict(header)
    assert columns.dtype.itemsize == 4
    np.testing.assert_array_equal(columns, np.stack(list(maps.values())).astype(np.float32))
    assert [header[f"TTYPE{n}"] for n in (1, 2, 3)] == list(maps)
    assert header["ORDERING"] == "NESTED"
    assert header["NSIDE"] == NSIDE
    assert header["TUNIT2"] == "K"
    assert header["DATASET"] == "cosmic-web"
    np.testing.assert_array_equal(load_map(path, field="start"), -nested.astype(np.float32))
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_saved_maps_of_nside_16_and_one_column(tmp_path):
    values = np.random.default_rng(1).standard_normal(3072).astype(np.float32)
    path = save_maps(tmp_path / "one.fits", {"only": values})
    np.testing.assert_array_equal(load_map(path), values)


def test_existing_file_is_kept_unless_told(tmp_path, nested):
    path = save_maps(tmp_path / "maps.fits", {"a": nested})
    with pytest.raises(ValueError, match="path: .*exists, expected a new file"):
        save_maps(path, {"a": -nested})
    np.testing.assert_allclose(load_map(path), nested, rtol=1e-6)
    save_maps(path, {"a": -nested}, overwrite=True)
    np.testing.assert_allclose(load_map(path), -nested, rtol=1e-6)


def test_failed_writing_leaves_nothing(tmp_path, nested, monkeypatch):
    def fail(self, file, *_, **__):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(fits.HDUList, "writeto", fail)
    with pytest.raises(OSError, match="disk full"):
        save_maps(tmp_path / "maps.fits", {"a": nested})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "maps", "message"),
    [
        ("maps.npy", {"a": np.ones(NPIX)}, "path: got .*, expected a name that ends in .fits"),
        ("no/maps.fits", {"a": np.ones(NPIX)}, "path: got .*, but there is no folder"),
        ("maps.fits", {}, r"maps: got the names \[\]"),
        ("maps.fits", {"": np.ones(NPIX)}, r"maps: got the names \[''\]"),
        ("maps.fits", {"a": np.ones(NPIX), "A": np.ones(NPIX)}, "maps: got the names"),
        ("maps.fits", {"a": np.ones(NPIX), "b": np.ones(12)}, r"maps\['b'\]: got shape \(12,\)"),
        ("maps.fits", {"a": np.ones((2, NPIX))}, r"maps\['a'\]: got shape \(2, 768\)"),
        ("maps.fits", {"a": np.ones(13)}, r"maps\['a'\]: got 13 pixels"),
        ("maps.fits", {"a": np.ones(NPIX) * 1j}, r"maps\['a'\]: got complex values"),
        ("maps.fits", {"a": np.full(NPIX, np.inf)}, r"maps\['a'\]: got 768 pixels infinite"),
        ("maps.fits", {"a": np.full(NPIX, 1e39)}, r"maps\['a'\]: got .*1e\+39, beyond float32"),
    ],
)
def test_save_maps_refuses(tmp_path, name, maps, message):
    with pytest.raises(ValueError, match=message):
        save_maps(tmp_path / name, maps)
    assert list(tmp_path.iterdir()) == []
