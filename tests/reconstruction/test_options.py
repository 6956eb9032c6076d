"""Wrong arguments of reconstructions are named in one sentence, before anything is compiled."""

import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.objectives.make_target import make_target
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.inpaint import inpaint
from jaxscat.reconstruction.options import Renewals, TermOptions

ANY = np.random.default_rng(0).normal(size=(9, 768))


def changed(map, value, number=1):
    found = map.copy()
    found[:number] = value
    return found


def test_bad_arguments_of_denoise_are_named(example, small, pyramids, compilations):
    data = example.data
    two_maps = make_target(data, small, second=example.truth)
    of_another = make_target(data, pyramids(8))
    patch = pyramids(8, scales=1, orientations=2, cell_ids=tuple(range(64)))
    few = GaussianNoise.white(1.0, 4)
    cross = {"cross": TermOptions(template=np.ones(768))}
    short = {"cross": TermOptions(template=data[:192])}
    fidelity = {"terms": ["fidelity"], "noise": changed(ANY.T, 0, 3).T}
    given = {"data": data, "pyramid": small, "noise": example.noise}
    calls = [
        ({"data": data[:192]}, r"data: got shape \(192,\), expected one map \(768,\)"),
        ({"data": data[None]}, r"data: got shape \(1, 768\)"),
        ({"data": data.astype(complex)}, "data: got .*complex"),
        ({"data": data > 0}, "data: got .*bool"),
        ({"data": changed(data, np.nan, 2)}, "data: got 2 of 768 pixels NaN"),
        ({"data": None}, r"data: got shape \(\)"),
        ({"noise": few}, "noise: got maps of 192 pixels, expected 768 as the data"),
        ({"noise": ANY[:7]}, "noise: got 7 realizations, expected at least 8"),
        ({"noise": np.tile(ANY[0], (9, 1))}, "noise: got 8 of 9 realizations that are the first"),
        ({"noise": 0 * ANY}, "noise: got .* realizations with the same value in every pixel"),
        ({"noise": changed(ANY, np.nan)}, "noise: got .* NaN"),
        ({"noise": 1.0}, "noise: got float of shape"),
        ({"noise": None}, "noise: got NoneType"),
        ({"noise": np.ones(25)}, r"noise: got ndarray of shape \(25,\)"),
        ({"renewals": Renewals(realizations=7)}, "realizations: got 7, expected at least 8"),
        ({"mask": np.zeros(768)}, "mask: got zero in every pixel"),
        ({"mask": np.full(768, 1.5)}, "mask: got weights up to 1.5"),
        ({"mask": np.ones((2, 768))}, "mask: got shape"),
        ({"mask": np.ones(192)}, "mask: got 192 pixels"),
        ({"target": two_maps}, "target: got one of two maps"),
        ({"target": of_another}, "target: got 4 scales and 4 orientations"),
        ({"data": np.ones(768)}, "data: got the same value 1 in every pixel"),
        ({"terms": short}, r"template: got shape \(192,\), expected \(768,\)"),
        ({"terms": ["cross"]}, r"terms\['cross'\]: got no template"),
        ({"terms": ["spectrum"]}, "terms: got 'spectrum', which is unknown"),
        ({"terms": "scattering"}, "terms: got 'scattering', expected names"),
        ({"terms": ["power", "power"]}, "terms: got a name twice"),
        ({"terms": [["power"]]}, "terms: got list"),
        ({"terms": []}, r"terms: got \[\]"),
        ({"start": "wien"}, "start: got 'wien', expected a map or one of"),
        ({"start": data[:3]}, r"start: got shape \(3,\)"),
        ({"start": ANY}, r"start: got shape \(9, 768\)"),
        ({"start": changed(data, np.inf)}, "start: got 1 of 768"),
        ({"seeds": -1}, "seeds: got -1"),
        ({"seeds": [1, 1]}, "seeds: got"),
        ({"seeds": 2.5}, "seeds: got 2.5"),
        ({"pyramid": patch}, "pyramid: got one of 64 pixels"),
        ({"pyramid": None}, "pyramid: got None"),
        ({"renewals": 5}, "renewals: got 5"),
        ({"batching": 5}, "batching: got 5"),
        ({"checkpoints": "folder"}, "checkpoints: got 'folder'"),
        ({"callback": lambda: None}, "callback: got"),
    ]
    # The first to put small arrays on the device compiles how they are copied, and no more.
    compilations.clear()
    with pytest.raises(ValueError, match="^start: got 'none'"):
        denoise(**given | {"start": "none"})
    with pytest.raises(ValueError, match="^template: got the same value 1"):
        denoise(**given | {"terms": cross})
    assert len(compilations) <= 4
    compilations.clear()
    for changes, message in calls:
        with pytest.raises(ValueError, match=f"^{message}"):
            denoise(**given | changes)
    assert compilations == []
    # These are seen once small arrays are on the device.
    later = [
        (
            {"noise": ANY, "renewals": Renewals(realizations=10)},
            "realizations: got 10, expected at most the 9 noise maps given",
        ),
        ({"terms": cross}, "template: got the same value 1 in every pixel"),
    ]
    for changes, message in later:
        with pytest.raises(ValueError, match=f"^{message}"):
            denoise(**given | changes)
    with pytest.raises(ValueError, match="^noise: got maps of 192 pixels"):
        denoise(**given | {"noise": ANY[:, :192]})
    with pytest.raises(ValueError, match="^noise: got realizations of zero in 3 pixels"):
        denoise(**given | fidelity)
    with pytest.raises(TypeError, match="truth"):
        denoise(**given, truth=example.truth)
    with pytest.warns(UserWarning, match="data"), pytest.raises(ValueError, match="^start"):
        denoise(**given | {"data": np.arange(768)}, start="none")


def test_bad_gaps_are_named(example, small, compilations):
    gaps = np.arange(768) < 100
    given = {"data": example.truth, "pyramid": small, "gaps": gaps}
    calls = [
        ({"gaps": gaps | True}, "gaps: got every pixel"),
        ({"gaps": gaps & False}, "gaps: got no pixel"),
        ({"gaps": gaps * 0.5}, "gaps: got values of float64 other than 0 and 1"),
        ({"gaps": gaps[:192]}, r"gaps: got shape \(192,\)"),
        ({"gaps": np.array(["a"] * 768)}, "gaps: got"),
        ({"gaps": np.flatnonzero(gaps)}, r"gaps: got shape \(100,\)"),
        ({"data": np.where(gaps, example.truth, 3.0)}, "data: got the same value 3"),
        ({"data": changed(example.truth, np.nan, 101)}, "data: got 1 of 768 pixels NaN"),
        ({"terms": ["power"]}, "terms: got 'power', which makes no sense here"),
        ({"reach": 0}, "reach: got 0"),
        ({"reach": np.nan}, "reach: got nan"),
        ({"reach": "60"}, "reach: got '60'"),
        ({"start": "wiener"}, "start: got 'wiener'"),
        ({"start": example.truth[:3]}, r"start: got shape \(3,\)"),
    ]
    compilations.clear()
    for changes, message in calls:
        with pytest.raises(ValueError, match=f"^{message}"):
            inpaint(**given | changes)
    assert compilations == []


@pytest.mark.parametrize(
    "options",
    [{"number": 0}, {"steps": 1.5}, {"memory": True}, {"tolerance": 0}, {"tolerance": np.inf}],
    ids=str,
)
def test_numbers_of_renewals_are_checked(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}: got"):
        Renewals(**options)


@pytest.mark.parametrize(
    "options", [{"weight": 0}, {"weight": np.nan}, {"level": -1}, {"level": "1"}], ids=str
)
def test_numbers_of_terms_are_checked(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}: got"):
        TermOptions(**options)
