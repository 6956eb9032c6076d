import numpy as np
import pytest

from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.parity import even_part
from jaxscat.validation.coherence import coherence, coherence_bounds
from jaxscat.validation.forms import Form

NPIX = 768
PAIR = ("T", "B")


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, scales=2, orientations=2, dtype=np.float64)


@pytest.fixture(scope="module")
def maps():
    t, b = np.random.default_rng(3).gamma(2.0, size=(2, NPIX))
    return {"T": t, "B": b + 0.5 * t}


@pytest.fixture(scope="module")
def measured(maps, pyramid):
    return measure_fields(maps, pyramid)


def forms(maps, pyramid, **options):
    target = make_field_target(maps, pyramid, coarsest_nside=8, **options)
    isotropic = target.reduced(IsotropicMean())
    return [Form.of(one, pyramid, "TB") for one in (target, isotropic)]


def test_coefficients_are_compared_as_the_target_has_them(maps, pyramid, measured):
    whole, isotropic = forms(maps, pyramid)
    even, both = forms(maps, pyramid, parity="even")
    one = measured["TB"]
    assert whole.bring(PAIR, one) is one
    halves = even_part(one, PAIR)
    for form, expected in (
        (even, halves),
        (isotropic, IsotropicMean().mean(one)),
        (both, IsotropicMean().mean(halves)),
    ):
        for name, group in expected.groups().items():
            np.testing.assert_array_equal(form.bring(PAIR, one).groups()[name], group)
    said = ["coefficients", "isotropic means", "even parts", "even parts of isotropic means"]
    assert [form.compared for form in (whole, isotropic, even, both)] == said
    assert whole.scales == 1 and whole.has(("B", "T")) and whole.has(("T", "T"))


def test_power_of_an_odd_pair_has_no_even_mean(maps, pyramid, measured):
    _, isotropic = forms(maps, pyramid)
    even, both = forms(maps, pyramid, parity="even")
    for group in ("S1", "S2", "S3", "S3P", "S4"):
        assert both.is_empty(PAIR, group) == (group in ("S1", "S2"))
        assert not any(form.is_empty(PAIR, group) for form in (isotropic, even))
        assert not both.is_empty(("B", "B"), group)
    for group in (both.bring(PAIR, measured["TB"]).s1, both.bring(PAIR, measured["TB"]).s2):
        np.testing.assert_allclose(group, 0, atol=1e-12)


def test_bounds_of_means_are_means_of_bounds(maps, pyramid, measured):
    whole, isotropic = forms(maps, pyramid)
    bounds = coherence_bounds(measured["TT"], measured["BB"])
    assert whole.bound(bounds, measured["TB"]) is bounds
    means = isotropic.bound(bounds, measured["TB"])
    brought = isotropic.bring(PAIR, measured["TB"])
    found = coherence(brought, means)
    assert set(means) == set(bounds) == set(found)
    np.testing.assert_allclose(means["S2"], bounds["S2"].mean(-1), rtol=1e-12)
    # Axes l2 and l3: the first diagonal, then the other.
    one = bounds["S3"][0]
    np.testing.assert_allclose(
        means["S3"][0], [(one[0, 0] + one[1, 1]) / 2, (one[0, 1] + one[1, 0]) / 2], rtol=1e-12
    )
    for name, values in found.items():
        assert values.shape == means[name].shape and np.abs(values).max() <= 1
    alone = isotropic.bound(coherence_bounds(measured["TT"], measured["TT"]), measured["TT"])
    assert "S3P" not in alone


def test_without_a_target_all_pairs_are_compared_whole(maps, pyramid):
    form = Form.of(None, pyramid, ("T", "B"))
    assert form.pairs == (("T", "T"), ("B", "B"), ("T", "B")) and form.compared == "coefficients"
    harmonics = make_field_target(maps, pyramid).reduced(FourierHarmonics(1))
    assert Form.of(harmonics, pyramid, "TB").compared == "coefficients"
