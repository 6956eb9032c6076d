"""The loss of several fields: the mean chi-square of their pairs."""

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.chi_square import chi_square
from jaxscat.objectives.field_scattering import FieldScattering, fields_loss
from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.objectives.make_target import make_target
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.parity import odd_part
from jaxscat.statistics.scattering import measure

PAIRS = ("BB", "TE", "TB")
MASKS = np.random.default_rng(1).random((2, 192))
MASKS[:, :20] = 0


def make_fields(seed, nside=4):
    t, e, b = np.random.default_rng(seed).gamma(2.0, size=(3, 12 * nside**2))
    return {"T": 10 * t, "E": e + 0.3 * t, "B": b - 0.2 * e - 2}


@pytest.fixture(scope="module")
def fields():
    return make_fields(0)


@pytest.fixture(scope="module")
def others():
    return make_fields(1)


@pytest.fixture(scope="module")
def target(fields, pyramid):
    return make_field_target(fields, pyramid, pairs=PAIRS, coarsest_nside=1)


@pytest.fixture(scope="module")
def even(fields, pyramid):
    return make_field_target(fields, pyramid, pairs=PAIRS, coarsest_nside=1, parity="even")


OPTIONS = {
    "all scales": {"coarsest_nside": 1},
    "masks": {"mask": MASKS, "mask_threshold": 0.1, "normalization": "target"}
    | {"weights": "plain", "sigma": "foscat"},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_mean_chi_square_of_pairs_one_by_one(fields, others, pyramid, options):
    options = OPTIONS[options]
    target = make_field_target(fields, pyramid, pairs=["BB", "TE"], **options)
    how = {name: options.get(name) for name in ("mask", "mask_threshold")}
    for reduction in (None, IsotropicMean(), FourierHarmonics(1)):
        reduced = target if reduction is None else target.reduced(reduction)
        expected = {}
        for name, first, second in (("BB", "B", None), ("TE", "T", "E")):
            one, other = (None if second is None else maps[second] for maps in (fields, others))
            alone = make_target(fields[first], pyramid, second=one, reduction=reduction, **options)
            found = measure(others[first], pyramid, second=other, **how)
            expected[name] = float(chi_square(found, alone))
        term = FieldScattering(pyramid, reduced)
        found = term.distances(term.measure(others))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(value, rel=1e-10)
        loss = float(fields_loss(others, pyramid, reduced))
        assert loss == pytest.approx(np.mean(list(expected.values())), rel=1e-10)


@pytest.mark.parametrize("parity", ["all", "even"])
def test_the_original_has_no_loss(fields, others, pyramid, target, even, parity):
    target = {"all": target, "even": even}[parity]
    for reduction in (None, IsotropicMean()):
        some = target if reduction is None else target.reduced(reduction)
        assert float(fields_loss(fields, pyramid, some)) < 1e-24
        assert float(fields_loss(others, pyramid, some)) > 0.1


def test_other_fields_and_their_order_do_not_matter(others, pyramid, target):
    expected = fields_loss(others, pyramid, target)
    more = {"V": np.full(192, np.nan), **dict(reversed(others.items()))}
    assert fields_loss(more, pyramid, target) == expected


@pytest.mark.parametrize("case", ["reduced", "masks"])
def test_derivatives_agree_with_differences(fields, others, pyramid, even, case):
    if case == "masks":
        target = make_field_target(
            fields, pyramid, pairs=["TB"], mask=MASKS, normalization="target", parity="even"
        )
    else:
        target = even.reduced(IsotropicMean())
    value = jax.jit(fields_loss)
    gradient = jax.jit(jax.grad(fields_loss))(others, pyramid, target)
    generator = np.random.default_rng(2)
    for name, map in others.items():
        if case == "masks":
            assert (np.asarray(gradient[name])[:20] == 0).all()
            if name == "E":  # in no pair
                assert (np.asarray(gradient[name]) == 0).all()
                continue
        direction = generator.normal(size=192) * map.std()
        above, below = (
            float(value(others | {name: map + sign * 1e-6 * direction}, pyramid, target))
            for sign in (1, -1)
        )
        expected = (above - below) / 2e-6
        size = np.linalg.norm(gradient[name]) * np.linalg.norm(direction)
        assert abs(gradient[name] @ direction - expected) <= 1e-7 * size


def test_traced_once_for_all_maps_and_targets(fields, others, pyramid):
    traces = []

    def traced(maps, pyramid, target):
        traces.append(1)
        return fields_loss(maps, pyramid, target)

    function = jax.jit(traced)
    for original in (fields, others):
        target = make_field_target(original, pyramid, pairs=["TE"], parity="even")
        function(others, pyramid, target)
        function(fields, pyramid, target)
    assert len(traces) == 1


def test_many_skies_at_once(fields, others, pyramid):
    target = make_field_target(fields, pyramid, pairs=["TE"], parity="even")
    skies = {name: np.stack([fields[name], others[name]]) for name in fields}
    found = jax.vmap(fields_loss, in_axes=(0, None, None))(skies, pyramid, target)
    expected = float(fields_loss(others, pyramid, target))
    np.testing.assert_allclose(found, [0, expected], rtol=1e-10, atol=1e-24)


# Parity.


def test_an_even_target_does_not_see_odd_parts(others, pyramid, even):
    """Odd parts of any size, added to what is measured, leave what is compared to the last bit."""
    measured = measure_fields(others, pyramid, pairs=PAIRS)
    # Whole numbers: sums and differences of them are not rounded.
    generator = np.random.default_rng(0)
    whole = jax.tree.map(lambda group: jnp.round(64 * group / jnp.abs(group).max()), measured)
    drawn = jax.tree.map(
        lambda group: jnp.asarray(generator.integers(-50, 50, group.shape) * 2.0, group.dtype),
        measured,
    )
    odd = tuple(map(odd_part, drawn.statistics, drawn.pairs))
    added = jax.tree.map(lambda one, other: one + other, whole.statistics, odd)
    changed = jax.tree.map(lambda one, other: (one != other).any(), added, whole.statistics)
    assert all(map(bool, jax.tree.leaves(changed[-1])))
    term = FieldScattering(pyramid, even)
    values = [
        term.distances(even.comparable(type(measured)(of, measured.pairs)))
        for of in (whole.statistics, added)
    ]
    assert values[0] == values[1]


def test_an_even_target_takes_mirror_images_alike(pyramids):
    """But for the corners of the grid, which the finest scale does not see."""
    theta, phi = healpy.pix2ang(8, np.arange(768), nest=True)
    image = healpy.ang2pix(8, theta, -phi, nest=True)
    original, maps = make_fields(0, 8), make_fields(1, 8)
    # A texture of its own hand.
    maps["B"] = maps["B"] + 0.2 * maps["T"]
    mirrored = {name: (-1 if name == "B" else 1) * map[image] for name, map in maps.items()}
    losses = {}
    for scales in (1, 2):
        operators = pyramids(8, scales=scales, orientations=3)
        for parity in ("even", "all"):
            target = make_field_target(original, operators, pairs=["TB"], parity=parity)
            losses[scales, parity] = [
                float(fields_loss(of, operators, target)) for of in (maps, mirrored)
            ]
    plain, other = losses[1, "even"]
    assert other == pytest.approx(plain, rel=1e-12)
    plain, other = losses[1, "all"]
    assert abs(other / plain - 1) > 1e-2
    plain, other = losses[2, "even"]
    assert 1e-6 < abs(other / plain - 1) < 0.1


# What is refused.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": np.ones(192)}, "^maps: got an array .*, expected maps of the fields T, E, B"),
        ({"maps": {"T": np.ones(192)}}, "^maps: got T, expected maps of the fields T, E, B as in"),
        ({"E": np.ones(48)}, r"^maps\['E'\]: got 48 pixels"),
        ({"B": np.full(192, np.inf)}, r"^maps\['B'\]: got 192 of 192 pixels infinite"),
        ({"T": np.ones(192, complex)}, r"^maps\['T'\]: got complex values"),
        ({"target": None}, "^target: got None, expected a FieldTarget"),
        ({"pyramid": None}, "^pyramid: got None"),
    ],
    ids=["array", "missing", "nside", "infinite", "complex", "target", "pyramid"],
)
def test_bad_input_is_refused(others, pyramid, target, changes, message):
    arguments = {"maps": others, "pyramid": pyramid, "target": target}
    for name, value in changes.items():
        if name in arguments:
            arguments[name] = value
        else:
            arguments["maps"] = arguments["maps"] | {name: value}
    with pytest.raises(ValueError, match=message):
        fields_loss(**arguments)


def test_a_map_that_is_not_finite_has_no_loss_under_transformations(others, pyramid, target):
    bad = others | {"E": np.where(np.arange(192) == 5, np.nan, others["E"])}
    assert np.isnan(jax.jit(fields_loss)(bad, pyramid, target))


def test_replaced_coefficients(fields, others, pyramid, target):
    term = FieldScattering(pyramid, target)
    mean, sigma = term.calibration
    assert mean is target.mean and sigma is target.sigma
    wider = jax.tree.map(lambda group: 2 * group, sigma)
    found = term.calibrated(mean, wider)(others)
    assert float(found) == pytest.approx(float(term(others)) / 4, rel=1e-12)
