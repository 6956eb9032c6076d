import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.fields import measure_fields
from jaxscat.validation.coherence import (
    GROUPS,
    bounds_of_pairs,
    coherence,
    coherence_bounds,
    coherence_errors,
)

NPIX = 768


@pytest.fixture(scope="module", params=[None, 2])
def found(request):
    rng = np.random.default_rng(0)
    t, e = rng.gamma(1.0, size=(2, NPIX))
    mask = None if request.param is None else rng.random((request.param, NPIX))
    pyramid = build_pyramid(8, orientations=2, dtype=np.float64)
    return measure_fields({"T": t, "E": t**2 + e}, pyramid, mask=mask)


def test_no_coherence_is_above_one_and_that_of_a_field_with_itself_reaches_it(found):
    bounds = coherence_bounds(found["TT"], found["EE"])
    of_two = coherence(found["TE"], bounds)
    assert set(of_two) == set(GROUPS)
    for name, values in of_two.items():
        assert values.shape == bounds[name].shape == found["TE"].groups()[name].shape
        assert 0.5 < np.abs(values).max() <= 1
    alone = coherence(found["TT"], coherence_bounds(found["TT"], found["TT"]))
    assert "S3P" not in alone
    for name in ("S1", "S2"):
        np.testing.assert_allclose(alone[name], 1.0, rtol=1e-12)
    assert np.abs(alone["S4"]).max() == pytest.approx(1.0, rel=1e-12)


def test_a_bound_is_of_the_scales_and_orientations_of_its_factors(found):
    t, e = (found[name] for name in ("TT", "EE"))
    bounds = coherence_bounds(t, e)
    j2, j3 = 0, 1
    pair, triple = t.pairs.index((j2, j3)), t.triples.index((j2, j2, j3))
    power_of_modulus = np.asarray(e.s4)[..., triple, 1, 1, 0].real
    expected = np.sqrt(np.asarray(t.s2)[..., j3, 0] * power_of_modulus)
    np.testing.assert_allclose(bounds["S3"][..., pair, 1, 0], expected, rtol=1e-12)
    other = t.triples.index((1, 1, 2))
    both, first = t.triples.index((0, 1, 2)), t.triples.index((0, 0, 2))
    product = np.asarray(t.s4)[..., first, 0, 0, 1] * np.asarray(e.s4)[..., other, 1, 1, 1]
    np.testing.assert_allclose(bounds["S4"][..., both, 1, 0, 1], np.sqrt(product.real), rtol=1e-12)
    exchanged = coherence_bounds(e, t)
    np.testing.assert_array_equal(bounds["S3P"], exchanged["S3"])


def test_errors_do_not_depend_on_units_and_are_relative_for_the_power_of_one_field(found):
    bounds = bounds_of_pairs((("T", "T"), ("T", "E")), {"T": found["TT"], "E": found["EE"]})
    more = {name: 1.1 * np.asarray(group) for name, group in found["TT"].groups().items()}
    changed = type(found["TT"])(more["S0"], more["S1"], more["S2"], more["S3"], more["S4"])
    errors = coherence_errors(changed, found["TT"], bounds["T", "T"])
    assert errors["S1"] == pytest.approx(0.1) and errors["S2"] == pytest.approx(0.1)
    assert set(coherence_errors(found["TE"], found["TE"], bounds["T", "E"]).values()) == {0.0}


def test_what_has_no_power_does_not_count(found):
    bounds = dict(coherence_bounds(found["TT"], found["EE"]))
    none = {name: np.zeros_like(bound) for name, bound in bounds.items()}
    errors = coherence_errors(found["TE"], found["TE"], none)
    assert np.isnan(list(errors.values())).all()
