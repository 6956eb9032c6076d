"""Channels, and I, Q and U, that are columns of one file, by their names."""

import numpy as np
import pytest

from jaxscat.io.maps import save_maps
from jaxscat.run.config import config_from_tree
from jaxscat.run.given import read_given
from jaxscat.run.overrides import ConfigError
from jaxscat.run.polarized_inputs import read_polarized

NPIX = 192
MAPS = dict(zip(("B1", "B2", "B3"), np.random.default_rng(0).normal(size=(3, NPIX)), strict=True))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "all.fits"
    save_maps(path, MAPS, units="uK", dtype="float64")
    return path


def separation(channels):
    tree = {"task": {"kind": "separate"}, "channels": channels}
    return config_from_tree(tree | {"noise": {"kind": "white", "standard_deviation": 1.0}})


def test_channels_are_columns_of_one_file(file):
    channels = {"paths": [str(file)], "fields": ["B3", 0], "mixing": [1.0, 2.0]}
    given, truth = read_given(separation(channels))
    assert truth is None and given.unit == "uK"
    np.testing.assert_allclose(given.data, [MAPS["B3"], MAPS["B1"]], rtol=1e-6)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"paths": ["a", "b"], "fields": [0, 1]}, "channels.fields with one path in channels.path"),
        ({"fields": [0, 1]}, "data is missing"),
        ({"paths": ["a"], "fields": [0, 1, 2]}, "mixing of 3 numbers, one for each of channels.f"),
        ({"paths": ["a"], "fields": []}, "a list of columns"),
    ],
)
def test_columns_of_channels_that_do_not_fit(channels, message):
    with pytest.raises(ConfigError, match=message):
        separation(channels | {"mixing": [1.0, 2.0]})


def polarized(file, columns, fields=("T", "Q", "U")):
    polarization = {"fields": list(fields), "columns": columns}
    task = {"kind": "polarization"}
    return config_from_tree(
        {"task": task, "data": {"path": str(file)}, "polarization": polarization}
    )


@pytest.mark.filterwarnings("ignore:.*the header has no POLCCONV")
def test_stokes_parameters_are_columns_of_any_name(file):
    found = read_polarized(polarized(file, ["B3", "B1", 1]))
    for name, column in zip(("T", "Q", "U"), ("B3", "B1", "B2"), strict=True):
        np.testing.assert_allclose(found.originals[name], MAPS[column], rtol=1e-5, atol=1e-6)
    without = read_polarized(polarized(file, ["B1", "B2"], ("Q", "U")))
    np.testing.assert_allclose(without.originals["U"], MAPS["B2"], rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="polarization.columns of I, Q and U, or of Q and U"):
        polarized(file, ["B1", "B1"])
    with pytest.raises(ValueError, match="field: got 'B9'"):
        read_polarized(polarized(file, ["B9", "B1", "B2"]))
