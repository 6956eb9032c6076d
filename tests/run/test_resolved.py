"""What was left unset has the value that was in force."""

import inspect

import pytest

import jaxscat
from jaxscat.reconstruction.defaults import GAP_RENEWALS, count_realizations, default_start
from jaxscat.run.config import config_from_tree
from jaxscat.run.resolved import resolve

WHITE = {"kind": "white", "standard_deviation": 1.0}


@pytest.fixture(scope="module")
def spec():
    return jaxscat.build_pyramid(4).spec


@pytest.mark.parametrize(
    ("kind", "entries", "start", "renewals"),
    [
        ("denoise", {}, "square-root wiener", 5),
        ("denoise", {"seeds": 2}, "constrained", 5),
        ("denoise", {"terms": ["residual"]}, "constrained", 5),
        ("denoise", {"start": "data", "renewals": 1}, "data", 1),
        ("inpaint", {"seeds": 2}, "gaussian realization", 3),
    ],
)
def test_start_and_renewals_are_those_of_the_library(spec, kind, entries, start, renewals):
    tree = {"task": {"kind": kind}, "data": {"path": "sky.fits"}, "reconstruction": entries}
    tree |= {"gaps": {"band": 20.0}} if kind == "inpaint" else {"noise": WHITE}
    found = resolve(config_from_tree(tree), spec, realizations=64).reconstruction
    assert (found.start, found.renewals) == (start, renewals)
    assert found.realizations == 64


def test_pairs_are_those_that_counted(spec):
    tree = {"task": {"kind": "polarization"}, "data": {"path": "iqu.fits"}}
    found = resolve(config_from_tree(tree), spec, pairs=("TT", "TE"))
    assert found.polarization.pairs == ("TT", "TE")


def test_the_defaults_of_the_library():
    assert inspect.signature(jaxscat.inpaint).parameters["start"].default == "gaussian realization"
    assert GAP_RENEWALS.number == 3 and default_start(False) == "square-root wiener"
    noise = jaxscat.GaussianNoise.white(1.0, nside=4)
    assert count_realizations(None, noise, several=False) == 64
    assert count_realizations(None, noise, several=True) == 32
    assert count_realizations(40, noise, several=True) == 40
