"""Which pixels have data: all marks of those that do not, and marks that contradict each other."""

from itertools import pairwise

import numpy as np
import pytest

from jaxscat import load_map, load_map_and_mask, load_mask, load_sky
from jaxscat.io.fields import blocks
from tests.io.conftest import NPIX, maps_header, table


def spoiled(values, **places):
    values = values.copy()
    for value, pixels in places.items():
        values[pixels] = {"nan": np.nan, "unseen": -1.6375e30, "inf": np.inf}.get(value, -9999.0)
    return values


@pytest.mark.parametrize("header", [{}, {"BAD_DATA": -9999.0}])
@pytest.mark.parametrize("load", [load_map, load_map_and_mask, load_sky, load_mask])
def test_nan_together_with_another_mark_is_refused(write_tables, nested, load, header):
    mark, other = ("sentinel", "BAD_DATA -9999.0") if header else ("unseen", "UNSEEN")
    values = np.abs(spoiled(nested, nan=[1, 2])) if load is load_mask else nested
    values = spoiled(values, nan=[1, 2], **{mark: [5]})
    path = write_tables(table([("T", "D", values)], **maps_header(**header)))
    with pytest.raises(ValueError, match=f"got 2 of 768 pixels NaN together with 1 {other}, .*nan"):
        load(path)
    if load is not load_mask:
        _, mask = load_map_and_mask(path, bad_data=float("nan"))
        assert np.flatnonzero(mask == 0).tolist() == [1, 2, 5]


def test_a_further_value_of_bad_data(write_tables, tmp_path, nested):
    values = spoiled(nested, sentinel=[3, 4])
    np.save(tmp_path / "map.npy", values)
    path = write_tables(table([("T", "E", values)], **maps_header(BAD_DATA=-1.6375e30)))
    for place in (path, tmp_path / "map.npy"):
        assert load_map(place).min() == -9999.0
        mask = load_map_and_mask(place, bad_data=-9999)[1]
        assert np.flatnonzero(mask == 0).tolist() == [3, 4]
        with pytest.raises(ValueError, match="2 of 768 pixels bad_data -9999"):
            load_map(place, bad_data=-9999)
    assert load_sky(path, bad_data=-9999).bad_pixels == {"bad_data -9999": 2}


def test_infinite_values_are_an_error_everywhere(write_tables, nested):
    path = write_tables(table([("T", "D", spoiled(nested, inf=[7]))], **maps_header()))
    for load in (load_map, load_map_and_mask, load_sky):
        with pytest.raises(ValueError, match="got 1 of 768 pixels infinite, expected finite"):
            load(path)


def test_pixels_bad_in_one_field_are_bad_in_all(write_tables, nested):
    columns = [("I", "D", spoiled(nested, unseen=[0, 1])), ("Q", "D", spoiled(-nested, unseen=[9]))]
    columns.append(("U", "D", 2 * nested))
    path = write_tables(table(columns, **maps_header(POLCCONV="COSMO")))
    sky = load_sky(path)
    assert np.flatnonzero(sky.coverage == 0).tolist() == [0, 1, 9]
    seen = sky.coverage == 1
    for letter, factor in zip("IQU", (1, -1, 2), strict=True):
        np.testing.assert_array_equal(sky.maps[letter][seen], factor * nested[seen])
        np.testing.assert_allclose(sky.maps[letter][~seen], factor * nested[seen].mean())
    assert sky.notes == ("3 of 768 pixels lack data in one map at least",)
    assert sky.bad_pixels == {"UNSEEN": 2}
    low = load_sky(path, 4, fields="I")  # pixels 0 and 1 are two of the four children of pixel 0
    np.testing.assert_allclose(low.coverage, np.r_[0.5, np.ones(191)])
    np.testing.assert_allclose(low.map[0], nested[2:4].mean())


def test_every_block_is_looked_at(write_tables, nested, monkeypatch):
    monkeypatch.setattr("jaxscat.io.fields._BLOCK", 100)
    values = spoiled(nested, nan=[0, 99, 100, 767])
    mask = load_map_and_mask(write_tables(table([("T", "D", values)], **maps_header())))[1]
    assert np.flatnonzero(mask == 0).tolist() == [0, 99, 100, 767]


def test_blocks_are_whole_multiples():
    parts = list(blocks(12 * 1024**2, 4**9))
    assert parts[0].start == 0 and parts[-1].stop == 12 * 1024**2
    assert all((part.stop - part.start) % 4**9 == 0 for part in parts)
    assert all(one.stop == two.start for one, two in pairwise(parts))


def test_masks_take_the_options_of_maps(write_tables, nested):
    weights = np.abs(nested)
    columns = [("A", "D", weights), ("B", "D", spoiled(weights, unseen=[2, 3]))]
    path = write_tables(table(columns, "MASKS", **maps_header()), table([("X", "E", [1.0])], "X"))
    with pytest.raises(ValueError, match=r"^field: .* has 2 columns \(A, B\), state one by name"):
        load_mask(path)
    np.testing.assert_array_equal(load_mask(path, field="a", hdu="masks"), weights)
    with pytest.raises(ValueError, match="got 2 of 768 pixels UNSEEN .*unseen='zero'"):
        load_mask(path, field=1)
    found = load_mask(path, field=1, unseen="zero")
    np.testing.assert_array_equal(found[4:], weights[4:])
    np.testing.assert_array_equal(found[2:4], 0.0)
    with pytest.raises(ValueError, match="unseen: got 'mean', expected 'refuse' or 'zero'"):
        load_mask(path, field=1, unseen="mean")  # pyright: ignore[reportArgumentType]


def test_mask_without_ordering_takes_the_order_that_is_given(write_tables):
    mask = np.arange(NPIX) % 5
    path = write_tables(table([("M", "J", mask)], NSIDE=8))
    with pytest.raises(ValueError, match="has no ORDERING, state RING or NESTED"):
        load_mask(path)
    np.testing.assert_array_equal(load_mask(path, order="nested"), mask)


def test_pixels_that_a_mask_does_not_list_are_zero(write_tables):
    pixels = np.arange(200, 300)
    columns = [("PIXEL", "J", pixels), ("M", "L", pixels % 2 == 0)]
    path = write_tables(table(columns, **maps_header(INDXSCHM="EXPLICIT")))
    expected = (np.arange(NPIX) % 2 == 0) & (np.arange(NPIX) // 100 == 2)
    np.testing.assert_array_equal(load_mask(path), expected)


def test_undefined_logical_values_of_a_mask_are_bad(write_tables):
    path = write_tables(table([("M", "L", np.ones(NPIX, bool))], **maps_header()))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"T" * NPIX)] = 0
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="got 1 of 768 pixels TNULL"):
        load_mask(path)
    assert load_mask(path, unseen="zero").sum() == NPIX - 1
