"""What is written: units, frame, convention, pixels without data; and what a header may not say."""

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat import load_map, load_map_and_mask, load_sky, save_maps
from tests.io.conftest import NPIX


@pytest.mark.parametrize(
    "key",
    [
        *("ORDERING", "NSIDE", "TSCAL1", "TZERO3", "TNULL1", "TTYPE1", "TUNIT2", "TFORM1", "TDIM1"),
        *("PIXTYPE", "BAD_DATA", "FIRSTPIX", "LASTPIX", "INDXSCHM", "OBJECT", "COORDSYS"),
        *("POLCCONV", "NAXIS2", "TFIELDS", "BITPIX", "ordering", " nside ", "HIERARCH TSCAL1"),
    ],
)
def test_keywords_of_the_format_are_refused_by_name(tmp_path, nested, key):
    with pytest.raises(ValueError, match=f"^header: got {key!r}, which the format sets itself"):
        save_maps(tmp_path / "maps.fits", {"T": nested}, header={key: "RING"})
    assert list(tmp_path.iterdir()) == []


def test_header_of_an_input_file_without_those_keywords_is_kept(tmp_path, nested):
    header = {"TELESCOP": "Planck", "SEED1": 3, "FWHM": 5.0, "TSCALE": 2.0}
    path = save_maps(tmp_path / "maps.fits", {"T": nested}, header=header)
    found = fits.getheader(path, 1)
    assert {key: found[key] for key in header} == header


@pytest.mark.parametrize("mark", [np.nan, healpy.UNSEEN, -1.6e30, "masked"])
@pytest.mark.parametrize("name", ["maps.fits", "maps.fits.gz"])
def test_pixels_without_data_are_written_as_unseen(tmp_path, nested, mark, name):
    hidden = np.arange(NPIX) < 50
    if mark == "masked":
        values = np.ma.array(np.where(hidden, 7.0, nested), mask=hidden)
    else:
        values = np.where(hidden, mark, nested)
    path = save_maps(tmp_path / name, {"T": values, "whole": nested})
    column = healpy.read_map(path, nest=True)
    np.testing.assert_array_equal(healpy.mask_bad(column), hidden)
    np.testing.assert_array_equal(column[~hidden], nested[~hidden].astype(np.float32))
    np.testing.assert_array_equal(load_map_and_mask(path)[1], ~hidden)
    np.testing.assert_array_equal(load_map(path, field="whole"), nested.astype(np.float32))
    assert fits.getheader(path, 1)["BAD_DATA"] == healpy.UNSEEN
    assert "BAD_DATA" not in fits.getheader(save_maps(tmp_path / "b.fits", {"T": nested}), 1)


def test_units_frame_and_convention_go_into_the_file_and_come_back(tmp_path, nested):
    maps = {"I_STOKES": nested, "Q_STOKES": -nested, "U_STOKES": 2 * nested, "HITS": np.ones(NPIX)}
    units = {"I_STOKES": "K_CMB", "Q_STOKES": "K_CMB", "U_STOKES": "K_CMB"}
    path = save_maps(tmp_path / "maps.fits", maps, units=units, frame="G")
    sky = load_sky(path)
    assert (sky.frame, sky.polarization, sky.notes) == ("G", "COSMO", ())
    assert sky.units == {"I": "K_CMB", "Q": "K_CMB", "U": "K_CMB"}
    np.testing.assert_array_equal(sky.maps["U"], 2 * nested.astype(np.float32))
    header = fits.getheader(path, 1)
    assert "TUNIT4" not in header and header["POLCCONV"] == "COSMO"
    plain = fits.getheader(save_maps(tmp_path / "b.fits", {"SEED_1": nested}), 1)
    assert "COORDSYS" not in plain and "POLCCONV" not in plain and "TUNIT1" not in plain
    with pytest.raises(ValueError, match="frame: got 'Q', expected 'G', 'C' or 'E'"):
        save_maps(tmp_path / "c.fits", maps, frame="Q")
    with pytest.raises(ValueError, match="units: got units of V, no columns"):
        save_maps(tmp_path / "c.fits", maps, units={"V": "K"})


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        ({"a" * 61: 0}, {}, "^maps, units, header: got 'aaa.*60 printable ASCII"),
        ({"ä": 0}, {}, "^maps, units, header: got 'ä'"),
        ({3: 0}, {}, r"^maps: got the names \[3\]"),
        ({"a": 0}, {"units": 3}, "^units: got 3, expected text"),
        ({"a": 0}, {"units": {"a": 3}}, "^units: got 3 for a, expected text"),
        ({"a": 0}, {"units": {"a": "°C"}}, "^maps, units, header: got '°C'"),
        ({"a": 0}, {"header": {"X": [1]}}, r"^header: got 'X' = \[1\]"),
        ({"a": 0}, {"header": {3: 1}}, "^header: got 3 = 1"),
        ({"a": 0}, {"header": {"X": "y" * 80}}, "^maps, units, header: got 'yyy"),
    ],
)
def test_what_no_header_can_hold_is_refused_before_anything_is_written(
    tmp_path, nested, maps, options, message
):
    with pytest.raises(ValueError, match=message):
        save_maps(tmp_path / "maps.fits", dict.fromkeys(maps, nested), **options)
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(ValueError, match="which is a folder, expected a file"):
        save_maps(tmp_path / "folder.fits", {"a": nested}, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.fits"]


def test_micro_is_u_in_a_header(tmp_path, nested):
    path = save_maps(tmp_path / "maps.fits", {"a": nested}, units="µK_CMB")
    assert load_sky(path).unit == "uK_CMB"


def test_equal_maps_make_equal_files(tmp_path, nested):
    paths = [save_maps(tmp_path / f"{i}.fits.gz", {"T": nested}) for i in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
