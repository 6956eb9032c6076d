"""Coefficients and standard errors against dense matrices, and what is refused."""

import jax
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics import scattering
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.measurement import Measurement
from jaxscat.statistics.scattering import measure

BOUND = 1e-12  # relative rms over a group
GROUPS = ("s0", "s1", "s2", "s3", "s4")


@pytest.fixture(scope="module")
def pyramid(pyramids):
    def get(nside, orientations=4, scales=None):
        return pyramids(nside, orientations=orientations, scales=scales)

    return get


def skewed_map(nside: int) -> np.ndarray:
    return np.random.default_rng(nside).gamma(2.0, size=12 * nside**2)


def some_masks(nside: int, kind: str) -> np.ndarray | None:
    """No mask, one mask of fractions, or two: fractions with holes, and zeros and ones."""
    generator = np.random.default_rng(100 + nside)
    fractions = generator.random((2, 12 * nside**2))
    holes = generator.random((2, 12 * nside**2)) > 0.4
    two = np.stack([fractions[0] * holes[0], holes[1]])
    return {"none": None, "one": fractions[1], "two": two}[kind]


def expected_groups(reference, map, mask, spec, reduction) -> dict[str, np.ndarray]:
    masks = np.ones((1, map.size)) if mask is None else np.atleast_2d(mask)
    groups = reference.reduce_fields(map, masks, spec.orientations, spec.scales, reduction)
    if mask is None or mask.ndim == 1:
        return {name: group[0] for name, group in groups.items()}
    return groups


def assert_match(statistics, expected) -> None:
    errors = {}
    for name in GROUPS:
        value = np.asarray(getattr(statistics, name))
        assert value.shape == expected[name].shape
        assert np.iscomplexobj(value) == np.iscomplexobj(expected[name])
        difference = np.linalg.norm(value - expected[name])
        errors[name] = difference / np.linalg.norm(expected[name])
    assert max(errors.values()) <= BOUND, errors


# Operators depend on nside and orientations, masks on nside: every such pair, not every triple.
@pytest.mark.parametrize(
    ("nside", "orientations", "kind"),
    [
        (4, 3, "two"),
        (4, 4, "one"),
        (4, 8, "none"),
        (8, 3, "one"),
        (8, 4, "none"),
        (8, 8, "two"),
    ],
)
def test_coefficients(reference, pyramid, nside, orientations, kind):
    operators, map, mask = pyramid(nside, orientations), skewed_map(nside), some_masks(nside, kind)
    expected = expected_groups(reference, map, mask, operators.spec, reference.masked_mean)
    assert_match(measure(map, operators, mask=mask, hidden="include"), expected)


# A formula sees masks, and reduces what every nside and number of orientations gives alike.
@pytest.mark.parametrize(
    ("nside", "orientations", "kind", "formula"),
    [
        (8, 4, "none", "pixels"),
        (8, 4, "two", "foscat"),
        (8, 3, "one", "foscat"),
        (4, 3, "two", "pixels"),
        (4, 8, "none", "foscat"),
        (4, 4, "one", "pixels"),
    ],
)
def test_standard_errors(reference, pyramid, nside, orientations, kind, formula):
    operators, map, mask = pyramid(nside, orientations), skewed_map(nside), some_masks(nside, kind)
    reduction = {"pixels": reference.pixel_error, "foscat": reference.foscat_error}[formula]
    expected = expected_groups(reference, map, mask, operators.spec, reduction)
    expected["s0"][..., 0] = expected["s0"][..., 1]
    assert_match(
        standard_error(map, operators, mask=mask, hidden="include", formula=formula), expected
    )


@pytest.mark.parametrize("scales", [1, 2])
def test_fewer_scales(reference, pyramid, scales):
    operators, map = pyramid(8, 4, scales), skewed_map(8)
    expected = expected_groups(reference, map, None, operators.spec, reference.masked_mean)
    assert expected["s4"].shape[0] == {1: 1, 2: 4}[scales]
    assert_match(measure(map, operators), expected)


def test_covariances_of_fewer_scales_leave_the_rest_as_it_is(pyramid):
    operators, map = pyramid(8), skewed_map(8)
    full = measure(map, operators)
    two = jax.tree.map(
        lambda group: group[0], scattering.measure_scales(map[None], Measurement(operators), 2)
    )
    assert two.s3.shape[0] == 3 and two.s4.shape[0] == 4
    for name, length in {"s0": 2, "s1": 4, "s2": 4, "s3": 3, "s4": 4}.items():
        np.testing.assert_allclose(getattr(two, name), getattr(full, name)[:length], rtol=1e-12)


def test_weights_of_a_mask_count_only_relative_to_each_other(pyramid):
    operators, map, mask = pyramid(4), skewed_map(4), some_masks(4, "one")
    once, thrice = (measure(map, operators, mask=factor * mask) for factor in (1, 3))
    np.testing.assert_allclose(thrice.s4, once.s4, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(thrice.s0[1], once.s0[1] / np.sqrt(3), rtol=1e-12)


@pytest.mark.parametrize("exponent", [-70, -40, 62])
def test_float32_holds_maps_whose_squares_it_cannot_hold(exponent):
    """S0 and S1 of them; the unit is found without squares of the numbers themselves."""
    operators, map = build_pyramid(4), skewed_map(4).astype(np.float32)
    unit = np.float32(2.0**exponent)
    expected, found = measure(map, operators), measure(unit * map, operators)
    np.testing.assert_array_equal(found.s0, unit * np.asarray(expected.s0))
    np.testing.assert_array_equal(found.s1, unit * np.asarray(expected.s1))


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 3.0, 1e9])
@pytest.mark.parametrize("function", [measure, standard_error])
def test_coefficients_follow_the_unit_of_the_map(pyramid, function, unit):
    operators, map = pyramid(8), skewed_map(8)
    expected, found = function(map, operators).groups(), function(unit * map, operators).groups()
    for name, group in expected.items():
        scale = unit if name in ("S0", "S1") else unit**2
        np.testing.assert_allclose(found[name], scale * group, rtol=1e-9, atol=1e-13 * scale)


def test_large_mean_changes_the_mean_only(pyramid):
    operators, map = pyramid(8), skewed_map(8)
    found, expected = measure(map + 1e6, operators), measure(map, operators)
    assert found.s0[0] == pytest.approx(float(expected.s0[0]) + 1e6, rel=1e-15)
    np.testing.assert_allclose(found.ravel()[1:], expected.ravel()[1:], rtol=1e-7, atol=1e-9)


def test_float32_is_close_to_float64():
    map = skewed_map(16).astype(np.float32)
    single, double = (
        measure(map, build_pyramid(16, dtype=dtype)) for dtype in ("float32", "float64")
    )
    for name in GROUPS:
        value, expected = np.asarray(getattr(single, name)), np.asarray(getattr(double, name))
        assert value.dtype == (np.complex64 if name in ("s3", "s4") else np.float32)
        assert np.linalg.norm(value - expected) <= 1e-5 * np.linalg.norm(expected), name


# What is refused. Five orientations are measured nowhere else, so nothing is compiled yet.

BAD_MAPS = {
    "short": np.ones(47),
    "other nside": np.arange(192.0),
    "two maps": np.ones((2, 48)),
    "NaN": np.where(np.arange(48) == 7, np.nan, 1.0),
    "infinite": np.where(np.arange(48) == 7, -np.inf, 1.0),
    "UNSEEN": np.where(np.arange(48) == 7, -1.6375e30, 1.0),
    "UNSEEN in float32": np.where(np.arange(48) == 7, -1.6375e30, 1.0).astype(np.float32),
    "complex": np.ones(48, complex),
    "boolean": np.ones(48, bool),
    "text": np.full(48, "1.0"),
}
BAD_MASKS = {
    "zero": np.zeros(48),
    "one of two zero": np.stack([np.ones(48), np.zeros(48)]),
    "negative": np.where(np.arange(48) == 7, -0.1, 1.0),
    "NaN": np.where(np.arange(48) == 7, np.nan, 1.0),
    "other nside": np.ones(192),
    "complex": np.ones(48, complex),
    "three axes": np.ones((1, 1, 48)),
    "no mask at all": np.ones((0, 48)),
}


@pytest.fixture(scope="module")
def five(pyramid):
    return pyramid(2, 5)


@pytest.fixture
def compiles_nothing(five):
    """Fails when anything was compiled during the test."""
    compiled = []

    def listen(event, duration, **details):
        if "backend_compile" in event:
            compiled.append(details)

    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.jit(lambda x: x - 17)(3.0)
    assert compiled, "the listener does not hear of compilations"
    compiled.clear()
    yield
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not compiled


@pytest.mark.parametrize("function", [measure, standard_error])
@pytest.mark.parametrize("kind", BAD_MAPS)
def test_bad_maps_are_refused_by_name_before_anything_is_compiled(
    five, kind, function, compiles_nothing
):
    with pytest.raises(ValueError, match=r"^map: got "):
        function(BAD_MAPS[kind], five)


@pytest.mark.parametrize("function", [measure, standard_error])
@pytest.mark.parametrize("kind", BAD_MASKS)
def test_bad_masks_are_refused_by_name_before_anything_is_compiled(
    five, kind, function, compiles_nothing
):
    with pytest.raises(ValueError, match=r"^mask: got "):
        function(np.ones(48), five, mask=BAD_MASKS[kind])


def test_unknown_formula_is_refused(five, compiles_nothing):
    with pytest.raises(ValueError, match=r"^formula: got 'variance'"):
        standard_error(np.ones(48), five, formula="variance")


def test_integers_are_measured_with_a_warning(pyramid):
    counts = np.arange(48)
    with pytest.warns(UserWarning, match=r"^map: integer values"):
        statistics = measure(counts, pyramid(2))
    np.testing.assert_array_equal(
        statistics.ravel(), measure(counts.astype(float), pyramid(2)).ravel()
    )


@pytest.mark.parametrize(
    "map", [np.ones(47), np.ones((2, 48)), np.ones(48, complex), np.ones(48, int)]
)
def test_traced_maps_of_wrong_shape_or_type_are_refused(pyramid, map):
    with pytest.raises(ValueError, match=r"^map: got "):
        jax.jit(measure)(map, pyramid(2))


@pytest.mark.parametrize("mask", [np.ones(47), np.ones((1, 1, 48)), np.ones(48, complex)])
def test_traced_masks_of_wrong_shape_or_type_are_refused(pyramid, mask):
    with pytest.raises(ValueError, match=r"^mask: got "):
        jax.jit(lambda map, mask, operators: measure(map, operators, mask=mask))(
            np.ones(48), mask, pyramid(2)
        )


@pytest.mark.parametrize("kind", [bool, int, np.uint8, np.float16])
def test_masks_of_any_real_type_are_taken_under_jit(pyramid, kind):
    map = np.random.default_rng(0).normal(size=48)
    mask = (np.arange(48) > 3).astype(kind)
    expected = measure(map, pyramid(2), mask=mask, hidden="include", mask_threshold=0)
    found = jax.jit(
        lambda mask, least: measure(
            map, pyramid(2), mask=mask, hidden="include", mask_threshold=least
        )
    )(mask, np.array(0))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
