"""Targets of several fields: what they hold, in which form, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.field_scattering import FieldScattering, fields_loss
from jaxscat.objectives.field_target import FieldTarget, check_field_target
from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.objectives.make_target import make_target
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.fields import fields_standard_error, measure_fields
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.parity import even_part
from jaxscat.statistics.power import wavelet_power

MASK = np.random.default_rng(1).random((2, 192))
MASK[:, :20] = 0


@pytest.fixture(scope="module")
def fields():
    t, e, b = np.random.default_rng(0).gamma(2.0, size=(3, 192))
    return {"T": 10 * t, "E": e + 0.3 * t, "B": b - 0.2 * e - 2}


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_near(one, other):
    for name, group in other.groups().items():
        scale = np.abs(group).max()
        found = one.groups()[name]
        np.testing.assert_allclose(found, group, rtol=0, atol=1e-13 * scale, err_msg=name)


OPTIONS = {
    "plain": {},
    "every scale": {"coarsest_nside": 1, "weights": "plain", "sigma": "foscat", "sigma_floor": 0.0},
    "masks": {"mask": MASK, "mask_threshold": 0.1, "normalization": "target"},
    "included": {"mask": MASK[0], "hidden": "include", "coarsest_nside": 2},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_pairs_are_the_targets_of_their_maps(fields, pyramid, options):
    options = OPTIONS[options]
    target = make_field_target(fields, pyramid, pairs=["BB", "TE"], **options)
    assert target.pairs == (("B", "B"), ("T", "E")) and target.fields == ("T", "E", "B")
    for name, map, second in (("BB", "B", None), ("TE", "T", "E")):
        second = None if second is None else fields[second]
        alone = make_target(fields[map], pyramid, second=second, **options)
        for reduction in (None, IsotropicMean(), FourierHarmonics(1)):
            found = target if reduction is None else target.reduced(reduction)
            expected = alone if reduction is None else alone.reduced(reduction)
            assert found.covariance_scales == expected.covariance_scales
            assert_near(found.mean[name], expected.mean)
            assert_near(found.sigma[name], expected.sigma)


def test_what_a_target_holds(fields, pyramid):
    found = make_field_target(fields, pyramid, mask=MASK[0], mask_threshold=0.2, pairs=["TT"])
    assert found.mean.keys() == ("TT",) and found.fields == ("T",)  # others are in no pair
    assert (found.parity, found.weights, found.hidden) == ("all", "balanced", "exclude")
    assert found.powers is found.reduction is None
    np.testing.assert_array_equal(found.mask, MASK[0])
    np.testing.assert_array_equal(found.mask_threshold, [0, 0.2, 0.2])
    for field in found.fields:
        map = fields[field]
        mean = np.average(map, weights=MASK[0])
        spread = np.sqrt(np.average((map - mean) ** 2, weights=MASK[0]))
        np.testing.assert_allclose(found.levels[field], [mean, spread], rtol=1e-14)
    assert all((np.asarray(group) > 0).all() for group in jax.tree.leaves(found.sigma))


@pytest.mark.parametrize("normalization", [None, "target"])
def test_even_targets(fields, pyramid, normalization):
    """Parts that a mirror changes are left out before coefficients are normalized."""
    options = {"mask": MASK, "mask_threshold": 0.1}
    pairs = ["EE", "BB", "TB"]
    choices = {"pairs": pairs, "parity": "even", "normalization": normalization}
    target = make_field_target(fields, pyramid, coarsest_nside=1, **choices, **options)
    measured = measure_fields(fields, pyramid, pairs=pairs, **options)
    powers = {field: wavelet_power(map, pyramid, **options) for field, map in fields.items()}
    image = -np.arange(4) % 4
    powers = {field: (power + power[..., image]) / 2 for field, power in powers.items()}
    for pair, (name, one) in zip(measured.pairs, measured.items(), strict=True):
        expected = even_part(one, pair)
        if normalization is not None:
            second = None if pair[0] == pair[1] else powers[pair[1]]
            expected = normalize(expected, powers[pair[0]], second)
        assert_near(target.mean[name], expected)
    assert (np.asarray(target.mean["BB"].s0)[:, 0] == 0).all()
    assert (np.asarray(target.mean["TB"].s2)[..., [0, 2]] == 0).all()
    if normalization is not None:
        np.testing.assert_allclose(target.mean["EE"].s2, 1, rtol=1e-13)


def test_errors_of_even_targets(fields, pyramid):
    """Those of a coefficient and its image as independent ones; with a floor after that."""
    target = make_field_target(fields, pyramid, parity="even", sigma_floor=0.0, pairs=["TB"])
    s2 = np.asarray(fields_standard_error(fields, pyramid, pairs=["TB"])["TB"].s2)
    both = np.hypot(s2[:, 1], s2[:, 3]) / 2
    expected = np.stack([s2[:, 0], both, s2[:, 2], both], axis=1)
    np.testing.assert_allclose(target.sigma["TB"].s2, expected, rtol=1e-14)
    floored = make_field_target(fields, pyramid, parity="even", sigma_floor=0.99, pairs=["TB"])
    least = 0.99 * np.sqrt(np.mean(expected**2, axis=1, keepdims=True))
    np.testing.assert_allclose(floored.sigma["TB"].s2, np.maximum(expected, least), rtol=1e-14)


def test_hidden_pixels_do_not_matter(fields, pyramid):
    bad = {name: np.where(MASK[0] == 0, np.nan, map) for name, map in fields.items()}
    options = {"mask": MASK[0], "pairs": ["TE"], "mask_threshold": 0.2}
    found = make_field_target(bad, pyramid, **options)
    assert_equal(found, make_field_target(fields, pyramid, **options))


def test_interiors(pyramids):
    operators = pyramids(16, scales=2)
    t, e = np.random.default_rng(0).gamma(2.0, size=(2, 3072))
    mask = np.ones(3072)
    mask[:600] = 0
    options = {"mask": mask, "hidden": "interior"}
    target = make_field_target({"T": t, "E": e}, operators, pairs=["TE"], **options)
    expected = make_target(t, operators, second=e, **options)
    assert_near(target.mean["TE"], expected.mean)
    assert_near(target.sigma["TE"], expected.sigma)
    check_field_target(target, operators)
    assert float(fields_loss({"T": t, "E": e}, operators, target)) < 1e-24
    # What the stencils cannot see does not count.
    other = np.where(mask == 0, 7.0, t)
    assert float(fields_loss({"T": other, "E": e}, operators, target)) < 1e-24


def test_order_of_the_dictionary_changes_nothing(fields, pyramid):
    turned = dict(reversed(fields.items()))
    one, other = (make_field_target(of, pyramid, pairs=["TB"]) for of in (fields, turned))
    assert one.fields == other.fields == ("T", "B")
    assert_equal(one, other)


def test_float32_maps_on_a_large_mean(fields):
    from jaxscat.operators.pyramid import build_pyramid

    single = build_pyramid(4, dtype="float32", orientations=2, scales=2)
    maps = {"T": fields["T"] + 1e6, "E": fields["E"], "B": fields["B"]}
    target = make_field_target(maps, single, pairs=["TE"])
    assert {leaf.dtype.name for leaf in jax.tree.leaves(target)} == {"float32", "complex64"}
    np.testing.assert_allclose(target.levels["T"][0], maps["T"].mean(), rtol=1e-6)
    np.testing.assert_allclose(target.levels["T"][1], fields["T"].std(), rtol=1e-6)
    expected = make_target(maps["T"], single, second=maps["E"])
    for group in ("s1", "s2", "s4"):
        one, other = (getattr(of, group) for of in (target.mean["TE"], expected.mean))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * float(np.abs(other).max()))
    assert_equal(target.sigma["TE"], expected.sigma)
    assert float(fields_loss(maps, single, target)) < 1e-8


def test_a_target_is_a_pytree(fields, pyramid):
    target = make_field_target(fields, pyramid, parity="even", pairs=["TT", "TB"])
    same = jax.tree.map(jnp.asarray, target)
    assert isinstance(same, FieldTarget) and same.fields == ("T", "B")
    assert_equal(same, target)


# What is refused.

MAP = np.random.default_rng(5).normal(size=192)
BAD = {
    "no dictionary": ({"maps": MAP}, "^maps: got an array"),
    "NaN": (
        {"maps": {"T": MAP, "E": np.where(np.arange(192) == 3, np.nan, MAP)}},
        r"^maps\['E'\]: got 1 of 192 pixels NaN",
    ),
    "UNSEEN": ({"maps": {"T": MAP, "E": np.full(192, -1.6375e30)}}, r"^maps\['E'\]: got 192 of 19"),
    "constant": (
        {"maps": {"T": MAP, "B": np.zeros(192)}},
        r"^maps\['B'\]: got the same value 0 in every pixel, expected a map that varies",
    ),
    "constant in sight": (
        {"maps": {"T": MAP, "B": 1.0 * (MASK[0] == 0)}, "mask": MASK[0]},
        r"^maps\['B'\]: got the same value 0 in every pixel with weight",
    ),
    "nside": ({"maps": {"T": MAP, "E": MAP[:48]}}, r"^maps\['E'\]: got 48 pixels \(nside 2\)"),
    "complex": ({"maps": {"T": MAP, "E": MAP * 1j}}, r"^maps\['E'\]: got complex values"),
    "a field is missing": (
        {"maps": {"Q": MAP, "T": MAP}, "pairs": ["QU"]},
        "^pairs: got 'QU', expected names such as TT, QQ, TQ of the fields T, Q$",
    ),
    "pairs": ({"pairs": ["TT", "TT"]}, "^pairs: got TT twice"),
    "parity": ({"parity": "odd"}, r"^parity: got 'odd', expected one of \['all', 'even'\]"),
    "no parity": ({"parity": ["even"]}, r"^parity: got \['even'\], expected one of"),
    "normalization": ({"normalization": "own"}, "^normalization: got 'own', expected 'target' or"),
    "a power": (
        {"normalization": np.ones((3, 4))},
        "^normalization: got an array .*, expected 'ta",
    ),
    "sigma": ({"sigma": "good"}, r"^sigma: got 'good', expected one of \['pixels', 'foscat'\]"),
    "ensemble": ({"sigma": "ensemble"}, r"^sigma: got 'ensemble', expected one of \['pixels', 'f"),
    "floor": ({"sigma_floor": 2}, "^sigma_floor: got 2, expected a number from 0"),
    "weights": ({"weights": "some"}, "^weights: got 'some', expected one of"),
    "coarsest": ({"coarsest_nside": 3}, "^coarsest_nside: got 3, expected a power of two"),
    "too fine": ({"coarsest_nside": 8}, "^coarsest_nside: got 8, expected at most"),
    "mask": ({"mask": np.zeros(192)}, "^mask: got zero in every pixel"),
    "threshold": ({"mask_threshold": 0.1}, "^mask_threshold: got a threshold without a mask"),
    "hidden": ({"hidden": "no"}, "^hidden: got 'no', expected one of"),
    "pyramid": ({"pyramid": None}, "^pyramid: got None"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_anything_is_compiled(pyramid, case, monkeypatch):
    changes, message = BAD[case]
    monkeypatch.setattr("jaxscat.statistics.fields.measure_together", None)
    monkeypatch.setattr("jaxscat.statistics.errors._standard_error", None)
    arguments = {"maps": {"T": MAP, "E": MAP**2}, "pyramid": pyramid, **changes}
    with pytest.raises(ValueError, match=message):
        make_field_target(**arguments)


def test_units_out_of_range_are_refused_by_the_names_of_the_fields(pyramid):
    maps = {"T": 1e-180 * MAP, "E": 1e-200 * MAP**2}
    for pairs, names in ((["EE"], "maps['E']"), (["TE"], "maps['T'], maps['E']")):
        with pytest.raises(ValueError, match=rf"^{re.escape(names)}: got .* coefficients of S"):
            make_field_target(maps, pyramid, pairs=pairs)


def test_reductions_are_refused(fields, pyramid):
    target = make_field_target(fields, pyramid, pairs=["TE"])
    with pytest.raises(ValueError, match="^reduction: got 'mean', expected a Reduction"):
        target.reduced("mean")
    with pytest.raises(ValueError, match="^target: got reduced coefficients, expected those of"):
        target.reduced(IsotropicMean()).reduced(IsotropicMean())


def test_targets_of_other_pyramids_are_refused(fields, pyramid, pyramids):
    target = make_field_target(fields, pyramid, pairs=["TE"], mask=MASK)
    for other, message in (
        (pyramids(4, orientations=3), "target: got 3 scales and 4 orientations, expected 3 and 3"),
        (pyramids(4, scales=2), "target: got 3 scales and 4 orientations, expected 2 and 4"),
        (pyramids(8, scales=3), "target: got a mask of 192 pixels, expected 768"),
        (pyramids(4, dtype="float32"), "target: got float64 coefficients, expected float32"),
    ):
        with pytest.raises(ValueError, match=message):
            FieldScattering(other, target)
    with pytest.raises(ValueError, match="^target: got .*, expected a FieldTarget from jaxscat"):
        FieldScattering(pyramid, target.mean)
