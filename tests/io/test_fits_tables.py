"""Which table and which column is meant, and tables that contradict themselves."""

import numpy as np
import pytest

from jaxscat import load_map, load_map_and_mask, load_mask, load_sky
from tests.io.conftest import NPIX, maps_header, table

EXPLICIT = {"INDXSCHM": "EXPLICIT", "OBJECT": "PARTIAL"}


def partial(pixels, values, form="J", **header):
    columns = [("PIXEL", form, pixels), ("T", "D", values)]
    return table(columns, **maps_header(**(EXPLICIT | header)))


@pytest.mark.parametrize(
    ("form", "pixels", "message"),
    [
        ("J", [3, -1, 5], r"got the pixel number -1, expected different whole numbers .* 0 to 767"),
        ("J", [3, 768, 5], "got the pixel number 768, "),
        ("J", [3, 5, 3], "got the pixel number 3 more than once"),
        ("D", [3, 4.5, 5], "got the pixel number 4.5, "),
        ("D", [3, np.nan, 5], "got the pixel number nan, "),
        ("K", [3, 2**40, 5], "got the pixel number 1099511627776, "),
    ],
)
@pytest.mark.parametrize("order", ["NESTED", "RING"])
def test_pixel_numbers_must_be_distinct_and_whole(write_tables, order, form, pixels, message):
    path = write_tables(partial(pixels, [1.0, 2.0, 3.0], form, ORDERING=order))
    for load in (load_map_and_mask, load_mask):
        with pytest.raises(ValueError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)


def test_a_pixel_twice_is_found_in_another_block_of_rows(write_tables, monkeypatch):
    monkeypatch.setattr("jaxscat.io.fits_columns._BLOCK_BYTES", 64)
    pixels = np.r_[np.arange(100), 0]
    with pytest.raises(ValueError, match="pixel number 0 more than once"):
        load_map_and_mask(write_tables(partial(pixels, np.arange(101.0))))


@pytest.mark.parametrize("name", ["PIXEL", "Pixel"])
def test_pixel_numbers_are_found_by_name_in_any_column(write_tables, nested, name):
    pixels = np.arange(0, NPIX, 2)
    columns = [("T", "D", nested[pixels]), ("Q", "D", -nested[pixels]), (name, "J", pixels)]
    path = write_tables(table(columns, **maps_header(**EXPLICIT)))
    np.testing.assert_array_equal(load_map_and_mask(path)[0][pixels], nested[pixels])
    np.testing.assert_array_equal(load_map(path, field=1, unseen="mean")[pixels], -nested[pixels])
    with pytest.raises(ValueError, match=r"field: got 2, .* the 2 columns of .*\(T, Q\)"):
        load_map_and_mask(path, field=2)


def test_pixel_numbers_are_the_first_column_if_none_is_named_so(write_tables, nested):
    pixels = np.arange(0, NPIX, 3)
    columns = [("INDEX", "E", pixels), ("T", "D", nested[pixels])]
    path = write_tables(table(columns, **maps_header(**EXPLICIT)))
    values, mask = load_map_and_mask(path)
    np.testing.assert_array_equal(np.flatnonzero(mask), pixels)
    np.testing.assert_array_equal(values[pixels], nested[pixels])


def test_columns_without_names(write_tables, nested):
    path = write_tables(
        table([("AA", "D", nested), ("BB", "D", -nested)], **maps_header()),
        without=("TTYPE1", "TTYPE2"),
    )
    np.testing.assert_array_equal(load_map(path, field=1), -nested)
    with pytest.raises(ValueError, match="field: got 'AA', expected a name or a number from 0"):
        load_map(path, field="AA")
    np.testing.assert_array_equal(load_sky(path).maps["map"], nested)


@pytest.mark.parametrize(
    "header",
    [
        {"INDXSCHM": "EXPLICIT", "OBJECT": "FULLSKY"},
        {"INDXSCHM": "explicit", "OBJECT": "partial"},
        {"INDXSCHM": "Explicit"},
        {"OBJECT": "Partial"},
        {},  # a column PIXEL says enough
    ],
)
def test_pixels_are_listed_however_the_header_says_it(write_tables, nested, header):
    pixels = np.arange(NPIX)[::-1][:500]
    columns = [("PIXEL", "J", pixels), ("T", "D", nested[pixels])]
    values, mask = load_map_and_mask(write_tables(table(columns, **maps_header(**header))))
    np.testing.assert_array_equal(mask, np.arange(NPIX) >= NPIX - 500)
    np.testing.assert_array_equal(values[mask == 1], nested[mask == 1])


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ({"NSIDE": 16}, NPIX, "NSIDE 16, which means 3072 pixels, but table 1 has 768"),
        ({"NSIDE": 4}, NPIX, "NSIDE 4, which means 192 pixels, but table 1 has 768"),
        ({"NSIDE": 4} | EXPLICIT, NPIX, "at most 192 pixels, but table 1 lists 768"),
        ({"NSIDE": 7}, NPIX, "expected 12 nside"),
        ({"NSIDE": 8.5}, NPIX, "NSIDE 8.5, expected a power of two"),
        ({}, NPIX - 1, "NSIDE 8, which means 768 pixels, but table 1 has 767"),
        ({"ORDERING": "SPIRAL"}, NPIX, "ORDERING 'SPIRAL', expected RING or NESTED"),
    ],
)
def test_a_header_that_contradicts_its_table_is_one_error(write_tables, header, rows, message):
    columns = [("PIXEL", "J", np.arange(rows))] if "OBJECT" in header else []
    columns.append(("T", "D", np.arange(float(rows))))
    path = write_tables(table(columns, **maps_header(**header)))
    with pytest.raises(ValueError, match=message):
        load_map(path)


def test_listed_pixels_need_an_nside(write_tables):
    made = table([("PIXEL", "J", [1, 2]), ("T", "E", [1, 2])], ORDERING="RING", **EXPLICIT)
    with pytest.raises(ValueError, match="table 1 lists its pixels, but its header has no NSIDE"):
        load_map(write_tables(made))


def test_several_tables_of_maps_need_a_choice(write_tables, nested):
    path = write_tables(
        table([("T", "D", nested)], "ONE", **maps_header()),
        table([("S", "D", -nested)], "TWO", **maps_header()),
        table([("S", "D", nested)], "two", **maps_header()),
    )
    listed = r"several tables of maps, .*: 1 'ONE' \(768 rows: T\); 2 'TWO' \(768 rows: S\); 3 "
    for load in (load_map, load_sky, load_mask):
        with pytest.raises(ValueError, match=f"^hdu: .* {listed}"):
            load(path)
    np.testing.assert_array_equal(load_map(path, field="T"), nested)  # one of them has it
    np.testing.assert_array_equal(load_map(path, hdu=2), -nested)
    for hdu, said in (("two", "which several are"), (True, "expected a number or a name")):
        with pytest.raises(ValueError, match=f"^hdu: got {hdu!r}, {said}"):
            load_map(path, hdu=hdu)
    with pytest.raises(ValueError, match="field: got 'S'|hdu: .* several tables"):
        load_map(path, field="S")


@pytest.mark.parametrize("names", [("", "", ""), ("COLUMN_1", "COLUMN_2", "COLUMN_3")])
def test_numbered_columns_are_stokes_parameters_when_asked_for(write_tables, nested, names):
    columns = [(f"N{i}", "D", (i + 1) * nested) for i in range(3)]
    path = write_tables(table(columns, **maps_header(POLCCONV="COSMO")))
    data = path.read_bytes()
    for i, name in enumerate(names):
        data = data.replace(f"'N{i}      '".encode(), f"'{name:<8}'".encode())
    path.write_bytes(data)
    for i, letter in enumerate("IQU"):
        np.testing.assert_array_equal(load_map(path, field=letter), (i + 1) * nested)
    np.testing.assert_array_equal(load_sky(path, fields=[2, 0]).coverage, 1.0)
    assert len(load_sky(path).maps) == 1  # not unasked


def test_a_stokes_parameter_in_several_columns_needs_a_name(write_tables, nested):
    columns = [("I_STOKES", "D", nested), ("TEMPERATURE", "D", -nested)]
    path = write_tables(table(columns, **maps_header()))
    with pytest.raises(
        ValueError, match=r"field: got 'I', .* several times \(I_STOKES in table 1, "
    ):
        load_map(path, field="I")
    np.testing.assert_array_equal(load_map(path, field="temperature"), -nested)


@pytest.mark.parametrize(
    ("form", "array", "message"),
    [
        ("M", np.ones(NPIX) * 1j, "got complex values in column 'T'"),
        ("4A", ["abcd"] * NPIX, "got text values"),
        ("PE()", np.array([np.ones(2)] * NPIX, dtype=object), "got lists values"),
    ],
)
def test_columns_that_are_no_numbers_are_refused(write_tables, form, array, message):
    with pytest.raises(ValueError, match=message):
        load_map(write_tables(table([("T", form, array)], **maps_header())))


def test_columns_of_other_lengths_are_refused(write_tables, nested):
    columns = [("T", "4D", nested.reshape(-1, 4)), ("ONCE", "D", nested[:192])]
    path = write_tables(table(columns, **maps_header()))
    np.testing.assert_array_equal(load_map(path), nested)
    with pytest.raises(ValueError, match="got 1 pixels in a row of column 'ONCE', expected 4"):
        load_map(path, field="ONCE")
