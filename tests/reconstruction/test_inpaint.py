"""Gaps are filled with the statistics of what is around them, and nothing else changes."""

import healpy
import numpy as np
import pytest

from jaxscat.maps import UNSEEN
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.minimize import Batching
from jaxscat.reconstruction.inpaint import inpaint
from jaxscat.reconstruction.options import Renewals, TermOptions
from jaxscat.statistics.scattering import measure
from jaxscat.validation.scattering import relative_errors


@pytest.fixture(scope="module")
def gaps():
    found = np.zeros(768, bool)
    for seed in range(6):
        centre = np.random.default_rng(seed).normal(size=3)
        found[healpy.query_disc(8, centre, np.radians(20), nest=True)] = True
    return found


@pytest.fixture(scope="module")
def filled(example, gaps):
    return inpaint(example.truth, example.pyramid, gaps)


def test_observed_pixels_are_those_of_the_data_bit_for_bit(example, gaps, filled, pyramids):
    assert filled.map.dtype == np.float64
    np.testing.assert_array_equal(filled.map[~gaps], example.truth[~gaps])
    assert filled.status == "renewals done" and filled.chi2["scattering"].shape == (4,)
    assert list(filled.baselines) == ["diffusive", "gaussian mean", "gaussian realization"]
    large = 1e5 + np.pi * example.truth
    single = pyramids(8, scales=2, orientations=2, dtype="float32")
    found = inpaint(large, single, gaps)
    np.testing.assert_array_equal(found.map[~gaps], large[~gaps])
    assert np.isfinite(found.map).all() and abs(found.map[gaps].mean() - large.mean()) < 5


def test_what_stands_in_the_gaps_does_not_matter(example, gaps, filled):
    for value in (np.nan, UNSEEN):
        found = inpaint(np.where(gaps, value, example.truth), example.pyramid, gaps)
        np.testing.assert_array_equal(found.map, filled.map)


def test_statistics_in_the_gaps_are_nearer_to_the_observed_ones(example, gaps, filled):
    # Of what is observed, that near the gaps counts most.
    target = filled.statistics["scattering"]["target"]

    def errors(map):
        found = measure(map, example.pyramid, mask=gaps.astype(float), hidden="include")
        return relative_errors(found.finest(4, len(target.pairs)), target)

    found, other = errors(filled.map), errors(filled.baselines["gaussian realization"])
    assert all(found[name] < other[name] / 3 for name in found), (found, other)
    chi2 = filled.chi2["scattering"]
    assert chi2[-1] < chi2[0] / 5


def test_units_and_constants_do_not_matter(example, gaps, filled):
    for unit, constant in ((1e-6, 0.0), (1e6, 0.0), (1.0, 100.0)):
        found = inpaint(unit * example.truth + constant, example.pyramid, gaps)
        np.testing.assert_allclose((found.map - constant) / unit, filled.map, atol=1e-4)


def test_seeds_are_different_fills(example, gaps, filled):
    one = Batching(batch_size=1)
    several = inpaint(example.truth, example.pyramid, gaps, seeds=[0, 5], batching=one)
    assert several.seeds == (0, 5)
    assert np.std((several.map[0] - several.map[1])[gaps]) > 0.3
    assert (several.spread[~gaps] == 0).all() and (several.spread[gaps] > 0).all()
    np.testing.assert_allclose(several.map[0], filled.map, atol=1e-4)


def test_interrupted_fills_go_on_bit_for_bit(example, gaps, filled, tmp_path):
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == 3:
            raise KeyboardInterrupt

    kept = Checkpoints(tmp_path, every_steps=5, every_minutes=None)
    part = inpaint(example.truth, example.pyramid, gaps, checkpoints=kept, callback=interrupt)
    assert part.status == "interrupted"
    np.testing.assert_array_equal(part.map[~gaps], example.truth[~gaps])
    for changes, name in [
        ({"gaps": gaps[::-1].copy()}, "data"),
        ({"reach": 30.0}, "weights of what is observed"),
        ({"start": "diffusive"}, "starts of seeds"),
        ({"seeds": [3], "start": filled.map}, "seeds|starts of seeds"),
    ]:
        arguments = {"data": example.truth, "pyramid": example.pyramid, "gaps": gaps}
        with pytest.raises(ValueError, match=rf"got ({name}) = "):
            inpaint(**arguments | changes, checkpoints=kept)
    found = inpaint(example.truth, example.pyramid, gaps, checkpoints=kept)
    np.testing.assert_array_equal(found.map, filled.map)
    np.testing.assert_array_equal(found.chi2["scattering"], filled.chi2["scattering"])
    assert found.evaluations == filled.evaluations


@pytest.mark.parametrize("start", ["gaussian mean", "diffusive", "a map"])
def test_other_starts_and_equal_weights(example, gaps, filled, start):
    given = filled.baselines["diffusive"] if start == "a map" else start
    found = inpaint(example.truth, example.pyramid, gaps, start=given, reach=None)
    assert found.status == "renewals done"
    assert found.chi2["scattering"][-1] < found.chi2["scattering"][0]


def test_a_template_is_followed_into_the_gaps(example, gaps, filled, small):
    template = example.truth + np.random.default_rng(5).normal(size=768)
    terms = {"cross": TermOptions(template=template), "scattering": TermOptions(weight=0.5)}
    found = inpaint(example.truth, small, gaps, terms=terms)

    def likeness(map):
        return np.corrcoef(map[gaps], example.truth[gaps])[0, 1]

    assert sorted(found.chi2) == ["cross", "scattering"]
    assert likeness(found.map) > likeness(filled.map) + 0.2


@pytest.mark.parametrize("which", ["five pixels", "all but a tenth"])
def test_tiny_and_huge_gaps(example, which, small):
    gaps = {
        "five pixels": np.isin(np.arange(768), [3, 300, 301, 500, 767]),
        "all but a tenth": np.arange(768) >= 77,
    }[which]
    found = inpaint(example.truth, small, gaps, renewals=Renewals(number=2))
    np.testing.assert_array_equal(found.map[~gaps], example.truth[~gaps])
    assert found.status == "renewals done" and np.isfinite(found.map).all()
    assert np.abs(found.map).max() < 10 * np.abs(example.truth).max()
