"""Traits 16 and 17: HEALPix cells in zarr stores and netCDF files, in every dialect."""

import builtins
import os

import healpy
import numpy as np
import pytest

from jaxscat import load_map, load_map_and_mask, load_mask, load_sky, save_maps
from tests.io.conftest import NPIX, NSIDE

xarray = pytest.importorskip("xarray", reason="xarray is not installed (extra `xarray`)")
pytest.importorskip("zarr")
pytest.importorskip("h5netcdf")

# zarr says that text has no lasting form in its stores.
pytestmark = pytest.mark.filterwarnings("ignore:.*Zarr V3 specification")

LEVEL = 3
SCHEMES = {"NESTED": "nested", "RING": "ring"}


@pytest.fixture(params=["map.zarr", "map.nc"])
def write(request, tmp_path):
    """Write a dataset as a zarr store or a netCDF file and return its path."""

    def write_dataset(variables, coords=None, attrs=None, encoding=None, zarr_only=False):
        dataset = xarray.Dataset(variables, coords or {}, attrs or {})
        path = tmp_path / ("map.zarr" if zarr_only else request.param)
        if path.suffix == ".zarr":
            dataset.to_zarr(path, encoding=encoding or {}, mode="w", consolidated=False)
        else:
            dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding or {})
        return path

    return write_dataset


def xdggs(order, numbers, values):
    attrs = {"grid_name": "healpix", "level": LEVEL, "indexing_scheme": SCHEMES[order]}
    return {"sst": ("cells", values, {"units": "K"})}, {"cell_ids": ("cells", numbers, attrs)}, {}


def easygems(order, numbers, values):
    crs = {
        "grid_mapping_name": "healpix",
        "healpix_nside": NSIDE,
        "healpix_order": "nest" if order == "NESTED" else "ring",
    }
    variables = {"sst": ("cell", values, {"units": "K", "grid_mapping": "crs"})}
    return variables, {"cell": ("cell", numbers), "crs": ("crs", np.array([np.nan]), crs)}, {}


def cf(order, numbers, values):
    grid = {
        "grid_mapping_name": "healpix",
        "refinement_level": LEVEL,
        "indexing_scheme": SCHEMES[order],
    }
    index = ("cell", numbers, {"standard_name": "healpix_index", "units": "1"})
    variables = {
        "sst": ("cell", values, {"units": "K", "grid_mapping": "healpix_grid"}),
        "healpix_grid": ((), np.int32(0), grid),
    }
    return variables, {"where": index}, {}


def dggs(order, numbers, values):
    stated = {
        "name": "healpix",
        "refinement_level": LEVEL,
        "indexing_scheme": SCHEMES[order],
        "spatial_dimension": "place",
        "coordinate": "numbers",
        "ellipsoid": {"name": "WGS84", "semi_major_axis": 6378137.0, "inverse_flattening": 298.257},
    }
    variables = {"sst": ("place", values, {"units": "K"})}
    return variables, {"numbers": ("place", numbers)}, {"dggs": stated}


def stored(nested, order):
    return healpy.reorder(nested, n2r=True) if order == "RING" else nested


@pytest.mark.parametrize("order", ["NESTED", "RING"])
@pytest.mark.parametrize("dialect", [xdggs, easygems, cf, dggs])
def test_trait_16_partial_and_unsorted_cells(write, nested, dialect, order):
    numbers = np.random.default_rng(0).permutation(NPIX)[:600]
    values = stored(nested, order)[numbers]
    path = write(*dialect(order, numbers, values), zarr_only=dialect is dggs)
    sky = load_sky(path)
    listed = np.zeros(NPIX, bool)
    listed[healpy.ring2nest(NSIDE, numbers) if order == "RING" else numbers] = True
    np.testing.assert_array_equal(sky.coverage, listed)
    np.testing.assert_array_equal(sky.map[listed], nested[listed])
    assert list(sky.maps) == ["sst"] and sky.unit == "K"
    assert sky.bad_pixels == {"not listed": NPIX - 600}
    assert any("ellipsoid (WGS84)" in note for note in sky.notes) == (dialect is dggs)
    with pytest.raises(ValueError, match=f"got {NPIX - 600} of 768 pixels not listed"):
        load_map(path)
    other = "RING" if order == "NESTED" else "NESTED"
    with pytest.raises(ValueError, match=f"order: got '{other}', but the attributes"):
        load_map(path, order=other)


@pytest.mark.parametrize("order", ["NESTED", "RING"])
def test_trait_16_cells_without_numbers(write, nested, order):
    path = write({"sst": ("cell", stored(nested, order))})
    np.testing.assert_array_equal(load_map(path, order=order), nested)
    with pytest.raises(ValueError, match="have no indexing_scheme, state RING or NESTED"):
        load_map(path)
    path = write({"sst": ("cell", nested[:-1])}, attrs={"title": "a"})
    with pytest.raises(ValueError, match="got 767 cells and no level"):
        load_map(path, order=order)


@pytest.mark.parametrize(
    ("attrs", "numbers", "message"),
    [
        ({"indexing_scheme": "zuniq"}, None, "'zuniq', expected ring or nested; .* be converted"),
        ({"grid_name": "h3"}, None, "got cells 'cell_ids' of the grid 'h3', expected healpix"),
        ({"level": 40}, None, "level 40, expected 0 to 29"),
        ({"level": 2}, None, "got the pixel number 192, expected different"),
        ({}, np.zeros(NPIX, int), "got the pixel number 0 more than once"),
        ({}, np.arange(NPIX) - 1, "got the pixel number -1"),
    ],
)
def test_trait_16_cells_that_are_refused(write, nested, attrs, numbers, message):
    numbers = np.arange(NPIX) if numbers is None else numbers
    variables, coords, _ = xdggs("NESTED", numbers, nested)
    coords["cell_ids"][2].update(attrs)
    with pytest.raises(ValueError, match=message):
        load_map(write(variables, coords))


@pytest.mark.parametrize(("nest", "order"), [(True, "NESTED"), (False, "RING"), (None, "NESTED")])
@pytest.mark.parametrize("level", [{"nside": NSIDE}, {"level": LEVEL}, {"resolution": LEVEL}])
def test_trait_16_other_names_of_xdggs(write, nested, nest, order, level):
    attrs = {"grid_name": "healpix"} | level | ({} if nest is None else {"nest": int(nest)})
    coords = {"cell_ids": ("cells", np.arange(NPIX), attrs)}
    path = write({"T": ("cells", stored(nested, order))}, coords)
    np.testing.assert_array_equal(load_map(path), nested)


def test_trait_16_latitude_and_longitude_must_be_regridded(write):
    path = write({"sst": (("lat", "lon"), np.ones((7, 5)))})
    with pytest.raises(ValueError, match="grid of latitude and longitude must be regridded"):
        load_map(path)


def test_trait_16_variables_by_name_number_and_stokes_parameter(write, nested):
    _, coords, _ = xdggs("NESTED", np.arange(NPIX), nested)
    names = ("T", "Q_STOKES", "U_STOKES")
    variables = {name: ("cells", (i + 1) * nested) for i, name in enumerate(names)}
    variables["label"] = ((), 3)
    path = write(variables, coords, {"POLCCONV": "IAU"})
    np.testing.assert_array_equal(load_map(path, field="Q"), 2 * nested)
    np.testing.assert_array_equal(load_map(path, field=0), 2 * nested)
    with pytest.warns(UserWarning, match="IAU to COSMO"):
        sky = load_sky(path)
    assert list(sky.maps) == ["I", "Q", "U"]
    np.testing.assert_array_equal(sky.maps["U"], -3 * nested)
    with pytest.raises(
        ValueError, match="field: .* has the variables Q_STOKES, T, U_STOKES, state"
    ):
        load_map(path)
    for field in ("V", 3, -1):
        with pytest.raises(
            ValueError, match=f"field: got {field!r}, but .* has the variables Q_STOKES, "
        ):
            load_map(path, field=field)
    with pytest.raises(ValueError, match="hdu: got one, but .* has no tables"):
        load_map(path, hdu=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(NPIX) * 1j, "got complex values in 'sst', expected real numbers"),
        (np.array(["a"] * NPIX), "got no variable of numbers on HEALPix cells"),
        (np.full(NPIX, np.inf), "got 768 of 768 pixels infinite"),
        (np.full(NPIX, np.nan), "got NaN .* in every pixel"),
    ],
)
def test_trait_16_values_that_are_no_map(write, values, message):
    variables, coords, _ = xdggs("NESTED", np.arange(NPIX), values)
    with pytest.raises(ValueError, match=message):
        load_map(write(variables, coords, zarr_only=values.dtype.kind in "cU"))


def test_trait_17_fill_values_scale_and_offset(write, nested):
    values = np.round(10 * nested + 280.0, 1)
    values[:30] = np.nan
    variables, coords, _ = xdggs("NESTED", np.arange(NPIX), values)
    packed = {"dtype": "int16", "scale_factor": 0.1, "add_offset": 273.0, "_FillValue": -32768}
    sky = load_sky(write(variables, coords, encoding={"sst": packed}))
    np.testing.assert_array_equal(sky.coverage, np.arange(NPIX) >= 30)
    np.testing.assert_allclose(sky.map[30:], values[30:], rtol=1e-6)
    assert sky.bad_pixels == {"NaN": 30}


def test_trait_17_time_axis_needs_a_step(write, nested):
    _, coords, _ = xdggs("NESTED", np.arange(NPIX), nested)
    coords["time"] = np.array(["2020-01-01", "2020-02-01"], dtype="datetime64[ns]")
    variables = {"sst": (("time", "level", "cells"), np.stack([nested, -nested])[:, None])}
    path = write(variables, coords)
    with pytest.raises(ValueError, match=r"select: 'sst' of .* has 2 steps of 'time', state one"):
        load_map(path)
    for place in (1, "2020-02-01"):
        np.testing.assert_array_equal(load_map(path, select={"time": place}), -nested)
    for place in (2, "1999-01-01"):
        with pytest.raises(ValueError, match="select: got time = .* a number from 0 to 1"):
            load_map(path, select={"time": place})
    with pytest.raises(ValueError, match="select: got 'day', expected one of the other dimensions"):
        load_map(path, select={"day": 0})


def test_trait_17_hits_masks_and_booleans(write, nested):
    _, coords, _ = xdggs("NESTED", np.arange(NPIX), nested)
    hits = np.arange(NPIX) % 3
    path = write({"sst": ("cells", nested), "hits": ("cells", hits)}, coords)
    np.testing.assert_array_equal(
        load_map_and_mask(path, field="sst", zero_hits="bad")[1], hits > 0
    )
    sea = write({"sea": ("cells", hits > 0)}, coords)
    np.testing.assert_array_equal(load_mask(sea), hits > 0)
    with pytest.raises(ValueError, match="boolean values .*load_mask"):
        load_map(sea)


@pytest.mark.parametrize("name", ["maps.zarr", "maps.nc"])
def test_saved_maps_are_read_again(tmp_path, nested, name):
    values = nested.astype(np.float32).astype(np.float64)
    hidden = np.where(np.arange(NPIX) < 9, np.nan, 2 * values)
    maps = {"I": values, "SST": hidden}
    path = save_maps(tmp_path / name, maps, units={"SST": "K"}, frame="G", header={"DATASET": "x"})
    sky = load_sky(path, fields=["I", "SST"])
    np.testing.assert_array_equal(sky.coverage, np.arange(NPIX) >= 9)
    np.testing.assert_array_equal(sky.maps["SST"][9:], hidden[9:])
    assert sky.units == {"I": None, "SST": "K"} and sky.frame == "G"
    kind = {"engine": "zarr", "consolidated": False} if name.endswith("zarr") else {}
    dataset = xarray.open_dataset(path, **kind)
    with dataset as opened:
        assert opened["SST"].attrs["grid_mapping"] == "crs"
        assert opened["crs"].attrs["refinement_level"] == LEVEL
        assert opened["crs"].attrs["healpix_nside"] == NSIDE
        assert opened["cell_ids"].attrs["indexing_scheme"] == "nested"
        assert opened.attrs["DATASET"] == "x" and opened["SST"].dtype == np.float32
    with pytest.raises(ValueError, match="exists, expected a new file"):
        save_maps(path, maps)
    save_maps(path, {"only": -values}, overwrite=True)
    np.testing.assert_array_equal(load_map(path), -values)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["maps.zarr", "maps.nc"])
def test_failed_writing_keeps_what_was_there(tmp_path, nested, name, monkeypatch):
    path = save_maps(tmp_path / name, {"a": nested})

    def fail(*_, **__):
        raise OSError("disk full")

    for method in ("to_zarr", "to_netcdf"):
        monkeypatch.setattr(xarray.Dataset, method, fail)
    with pytest.raises(OSError, match="disk full"):
        save_maps(path, {"a": -nested}, overwrite=True)
    np.testing.assert_allclose(load_map(path), nested, rtol=1e-6)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_store_that_cannot_be_replaced_is_kept(tmp_path, nested, monkeypatch):
    path = save_maps(tmp_path / "maps.zarr", {"a": nested})
    real, calls = os.rename, []

    def fail_once(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no")
        real(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="no"):
        save_maps(path, {"a": -nested}, overwrite=True)
    np.testing.assert_allclose(load_map(path), nested, rtol=1e-6)


def test_a_link_to_a_store_stays_one(tmp_path, nested):
    save_maps(tmp_path / "maps.zarr", {"a": nested})
    (tmp_path / "link.zarr").symlink_to(tmp_path / "maps.zarr")
    save_maps(tmp_path / "link.zarr", {"a": -nested}, overwrite=True)
    assert (tmp_path / "link.zarr").is_symlink()
    np.testing.assert_allclose(load_map(tmp_path / "maps.zarr"), -nested, rtol=1e-6)


def test_without_xarray_it_is_said_how_to_install_it(tmp_path, nested, monkeypatch):
    path = save_maps(tmp_path / "maps.nc", {"a": nested})
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "xarray":
            raise ImportError("no xarray")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: load_map(path), lambda: save_maps(tmp_path / "b.zarr", {"a": nested})):
        with pytest.raises(ValueError, match=r"pip install 'jaxscat\[xarray\]'"):
            call()


@pytest.mark.parametrize("name", ["map.zarr", "map.nc"])
def test_damaged_and_missing_stores(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match="there is no such file"):
        load_map(path)
    if name.endswith("zarr"):
        path.mkdir()
        (path / "zarr.json").write_text("{")
    else:
        path.write_bytes(b"not a map" * 100)
    with pytest.raises(ValueError, match="cannot be read, expected a zarr store or netCDF file"):
        load_map(path)
