"""What the files of a run say of their maps: tables, columns, marks, units, frames."""

import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat import save_maps
from jaxscat.run.config import config_from_tree
from jaxscat.run.inputs import read_inputs
from jaxscat.run.map_sources import MapSources, read_maps

NSIDE = 4
NPIX = 12 * NSIDE**2


def settings(path, **sections):
    data = {"path": str(path)} | sections.get("data", {})
    return config_from_tree(sections | {"data": data})


def field(seed):
    return np.random.default_rng(seed).gamma(2.0, size=NPIX).astype(np.float32).astype(float)


@pytest.fixture
def write(tmp_path):
    """Write a FITS file of maps by name and return its path."""

    def write_file(name, maps, **options):
        return save_maps(tmp_path / name, maps, **options)

    return write_file


def test_table_column_marks_and_unit_are_those_of_the_config(tmp_path, write):
    path = write("map.fits", {"T": field(0), "HITS": np.arange(NPIX) % 3.0}, units={"T": "K_CMB"})
    with fits.open(path, mode="append") as units:
        values = field(1)
        values[:5] = -9999
        columns = [fits.Column("S", "E", array=values, unit="mK_CMB")]
        columns.append(fits.Column("HITS", "J", array=np.arange(NPIX) % 3))
        made = fits.BinTableHDU.from_columns(columns, name="OTHER")
        made.header["ORDERING"] = "RING"
        units.append(made)
    with pytest.raises(ValueError, match="hdu: .* several tables of maps"):
        read_inputs(settings(path))
    data = {"hdu": "other", "field": "S", "unit": "uK_CMB", "bad_data": -9999.0, "zero_hits": "bad"}
    with pytest.raises(
        ValueError, match=r"bad_data -9999.0 .*data.unseen = 'mask' \(--data.unseen"
    ):
        read_inputs(settings(path, data=data))
    inputs = read_inputs(settings(path, data=data | {"unseen": "mask"}))
    seen = (np.arange(NPIX) % 3 > 0) & (np.arange(NPIX) >= 5)
    order = healpy.nest2ring(NSIDE, np.arange(NPIX))
    np.testing.assert_array_equal(inputs.mask, seen[order])
    np.testing.assert_allclose(inputs.original[seen[order]], 1e3 * values[order][seen[order]])
    assert (inputs.unit, inputs.frame) == ("uK_CMB", None)
    assert inputs.in_precision("float32").unit == "uK_CMB"
    transformed = read_inputs(
        settings(path, data=data | {"unseen": "mask", "transform": "standardise"})
    )
    assert transformed.unit is None


def test_options_reach_the_second_map_and_the_mask(write):
    path = write("map.fits", {"T": field(0), "Q": field(1)}, units="K", frame="G")
    masks = write("masks.fits", {"A": field(2), "B": np.where(field(3) > 1, 1, np.nan)}, frame="G")
    target = {"second": str(path), "second_field": "Q", "mask": str(masks)}
    with pytest.raises(ValueError, match=r"^field: mask .* has 2 columns \(A, B\)"):
        read_inputs(settings(path, target=target))
    with pytest.raises(ValueError, match="mask .* pixels UNSEEN"):
        read_inputs(settings(path, target=target | {"mask_field": "B"}))
    target |= {"mask_field": "B", "mask_hdu": "MAPS", "second_hdu": 1}
    inputs = read_inputs(settings(path, data={"unseen": "mask", "hdu": 1}, target=target))
    seen = field(3) > 1
    np.testing.assert_array_equal(inputs.original[seen], field(0)[seen])
    np.testing.assert_array_equal(inputs.second[seen], field(1)[seen])
    np.testing.assert_array_equal(inputs.mask, seen)
    assert (inputs.unit, inputs.frame) == ("K", "G")


def test_a_second_npy_file_needs_no_column_though_the_first_map_has_one(tmp_path, write):
    path = write("map.fits", {"T": field(0), "Q": field(1)})
    np.save(tmp_path / "second.npy", field(2))
    data, target = {"hdu": 1, "field": "Q"}, {"second": str(tmp_path / "second.npy")}
    inputs = read_inputs(settings(path, data=data, target=target))
    np.testing.assert_array_equal(inputs.original, field(1))
    np.testing.assert_array_equal(inputs.second, field(2))


def test_the_order_of_a_header_holds_for_masks_beside_maps_in_another(tmp_path, write):
    np.save(tmp_path / "ring.npy", healpy.reorder(field(0), n2r=True))
    mask = write("mask.fits", {"M": field(1)})
    sources = {"map": tmp_path / "ring.npy", "mask": mask, "order": "RING"}
    found = read_maps(MapSources(**sources))
    np.testing.assert_array_equal(found.map, field(0))
    np.testing.assert_array_equal(found.mask, field(1))
    with fits.open(mask, mode="update") as units:
        del units[1].header["ORDERING"]
        units[1].data["M"] = healpy.reorder(field(1), n2r=True)
    np.testing.assert_array_equal(read_maps(MapSources(**sources)).mask, field(1))


@pytest.mark.parametrize("what", ["mask", "second"])
def test_files_in_different_frames_are_refused(write, what):
    path = write("map.fits", {"T": field(0)}, frame="G")
    for frame in ("G", None):
        other = write("other.fits", {"M": field(1)}, frame=frame, overwrite=True)
        read_inputs(settings(path, target={what: str(other)}))
    other = write("other.fits", {"M": field(1)}, frame="C", overwrite=True)
    with pytest.raises(
        ValueError, match=f"^target.{what}: got .*frame C .*, expected G as the map"
    ):
        read_inputs(settings(path, target={what: str(other)}))


def test_two_maps_in_different_units(write):
    path = write("map.fits", {"T": field(0)}, units="K_CMB")
    other = write("other.fits", {"T": field(1)}, units="mK,thermodynamic")
    target = {"second": str(other)}
    with pytest.raises(ValueError, match="^target.second: got .* in 'mK,thermodynamic' beside"):
        read_inputs(settings(path, target=target))
    inputs = read_inputs(settings(path, data={"unit": "uK_CMB"}, target=target))
    np.testing.assert_allclose(inputs.original, 1e6 * field(0))
    np.testing.assert_allclose(inputs.second, 1e3 * field(1))
    dust = write("dust.fits", {"T": field(1)}, units="MJy/sr")
    with pytest.warns(UserWarning, match="in 'MJy/sr' beside a map in 'K_CMB'"):
        read_inputs(settings(path, target={"second": str(dust)}))


def test_zarr_stores_have_checksums_of_their_files(tmp_path, write):
    pytest.importorskip("zarr")
    path = write("map.zarr", {"T": field(0)}, units="K")
    first = read_inputs(settings(path))
    np.testing.assert_array_equal(first.original, field(0))
    assert first.unit == "K"
    write("map.zarr", {"T": field(1)}, overwrite=True)
    other = read_inputs(settings(path))
    assert other.checksums["map_file"] != first.checksums["map_file"]
