import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.objectives.statistics_target import target_from_statistics
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

ONE, OTHER, THIRD = np.random.default_rng(0).gamma(2.0, size=(3, 192))
MASK = np.where(np.arange(192) < 150, 1.0, 0.0)
SECOND = {"second": OTHER}
MASKS = {"mask": np.stack([np.ones(192), MASK]), "hidden": "include"}
CASES = {
    "one map": ({}, {}),
    "all scales": ({}, {"coarsest_nside": 1, "weights": "plain", "sigma_floor": 0.3}),
    "a mask": ({"mask": MASK}, {}),
    "several masks": (MASKS, {"coarsest_nside": 2}),
    "normalized": ({}, {"normalization": "target"}),
    "normalized by itself": ({}, {"normalization": "own"}),
    "two maps": (SECOND, {"coarsest_nside": 2}),
    "given powers": (SECOND, {"normalization": (np.full((3, 3), 2.0), np.full((3, 3), 3.0))}),
}


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4, orientations=3)


@pytest.fixture(scope="module")
def both(pyramid):
    return measure(ONE, pyramid), standard_error(ONE, pyramid)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", CASES)
def test_of_one_map_it_is_the_target_of_that_map(pyramid, case):
    how, choices = CASES[case]
    statistics, errors = (
        jax.tree.map(np.asarray, of(ONE, pyramid, **how)) for of in (measure, standard_error)
    )
    found = target_from_statistics(statistics, errors, pyramid, **how, **choices)
    expected = make_target(ONE, pyramid, **how, **choices)
    assert_same(found, expected)
    loss = map_loss(THIRD, pyramid, found)
    np.testing.assert_allclose(loss, map_loss(THIRD, pyramid, expected), rtol=1e-10)
    if case == "one map":
        reduction = IsotropicMean()
        assert_same(found.reduced(reduction), make_target(ONE, pyramid, reduction=reduction))


def test_a_mean_over_simulations_with_its_scatter(pyramid):
    each = [measure(map, pyramid) for map in (ONE, OTHER, THIRD)]
    scatter = jax.tree.map(lambda *groups: np.std(groups, axis=0, ddof=1), *each)
    found = target_from_statistics(sum(each) / 3, scatter, pyramid)
    maps = np.stack([ONE, OTHER, THIRD])
    assert_same(found, make_target(maps, pyramid, sigma="ensemble"))


def test_coefficients_take_the_type_of_the_pyramid(pyramids, both):
    single = pyramids(4, orientations=3, dtype="float32")
    target = target_from_statistics(*both, single)
    assert target.mean.s1.dtype == target.sigma.s4.dtype == np.float32
    assert target.mean.s4.dtype == np.complex64
    assert float(map_loss(ONE.astype(np.float32), single, target)) < 1e-6


def test_no_more_scales_than_there_are(pyramid, both):
    statistics, errors = (one.finest(3, 1) for one in both)
    assert target_from_statistics(statistics, errors, pyramid).covariance_scales == 1
    with pytest.raises(ValueError, match=r"^coarsest_nside: got 1, but the statistics have .* 4"):
        target_from_statistics(statistics, errors, pyramid, coarsest_nside=1)


def changed(group, value):
    return lambda one: jax.tree_util.tree_map_with_path(
        lambda path, array: array.at[0].set(value) if path[-1].name == group else array, one
    )


def same(one):
    return one


BAD = {
    "a map": (lambda _: ONE, same, {}, "statistics: got an array of float64 of shape"),
    "reduced": (IsotropicMean().mean, same, {}, "statistics: got ReducedCovariance, expected"),
    "scales": (
        lambda one: one.finest(2),
        lambda one: one.finest(2),
        {},
        r"statistics: got S1 of shape \(2, 3\), expected \(3, 3\)",
    ),
    "errors of fewer": (same, lambda one: one.finest(3, 1), {}, "statistics: got s3 of shapes"),
    "complex errors": (
        same,
        lambda one: jax.tree.map(lambda group: group + 0j, one),
        {},
        "errors: got S0 of type complex128, expected real",
    ),
    "zero": (same, changed("s2", 0.0), {}, "errors: got 3 of 9 of S2 that are not positive"),
    "NaN": (changed("s3", np.nan), same, {}, "statistics: got 9 of 54 coefficients of S3 that"),
    "no spread": (changed("s0", 0.0), same, {}, None),
    "a second map": (same, same, SECOND, "second: got a map for auto coefficients, expected None"),
    "masks": (same, same, MASKS, "statistics: got no axis of masks, expected an axis of 2 masks"),
    "floor": (same, same, {"sigma_floor": 1.0}, "sigma_floor: got 1.0, expected"),
    "weights": (same, same, {"weights": "even"}, "weights: got 'even', expected one of"),
    "power": (same, same, {"normalization": "mine"}, "normalization: got 'mine', expected 'own'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_named(pyramid, both, case):
    of_statistics, of_errors, choices, message = BAD[case]
    statistics, errors = of_statistics(both[0]), of_errors(both[1])
    if message is None:  # the mean may be zero, its error may not
        target_from_statistics(statistics, errors, pyramid)
        flat = jax.tree.map(jnp.asarray, statistics)
        flat = type(flat)(0 * flat.s0, flat.s1, flat.s2, flat.s3, flat.s4)
        with pytest.raises(ValueError, match="^statistics: got S0 with an error of the mean that"):
            target_from_statistics(flat, errors, pyramid)
        return
    with pytest.raises(ValueError, match=f"^{message}"):
        target_from_statistics(statistics, errors, pyramid, **choices)


def test_other_doors_say_what_takes_coefficients(pyramid, both):
    crossed = [of(ONE, pyramid, second=OTHER) for of in (measure, standard_error)]
    with pytest.raises(ValueError, match="^second: got None for cross coefficients, expected the"):
        target_from_statistics(*crossed, pyramid)
    with pytest.raises(ValueError, match="^normalization: got 'own' for coefficients of two maps"):
        target_from_statistics(*crossed, pyramid, second=OTHER, normalization="own")
    with pytest.raises(ValueError, match=r"^map: got ScatteringCovariance, .*target_from_statisti"):
        make_target(both[0], pyramid)
    with pytest.raises(ValueError, match=r"^target: got .*; jaxscat.target_from_statistics makes"):
        map_loss(ONE, pyramid, both[0])
    with pytest.raises(ValueError, match=r"^pyramid: got 4, .*; jaxscat.build_pyramid\(4\) makes"):
        measure(ONE, 4)


def test_a_large_mean_of_the_second_map_does_not_cost_digits(pyramids):
    pyramid = pyramids(4, dtype=np.float32)
    second = 1e6 + OTHER
    given = [of(ONE, pyramid, second=second) for of in (measure, standard_error)]
    target = target_from_statistics(*given, pyramid, second=second)
    assert float(target.second_offset) == pytest.approx(1e6, rel=1e-3)
    assert_same(target, make_target(ONE, pyramid, second=second))


def test_numbers_that_the_type_of_the_pyramid_cannot_hold_are_refused(pyramids, both):
    statistics, errors = both
    small = [statistics, jax.tree.map(lambda group: group * 1e-60, errors)]
    with pytest.raises(ValueError, match="^errors: "):
        target_from_statistics(*small, pyramids(4, orientations=3, dtype=np.float32))
    large = [jax.tree.map(lambda group: group * 1e60, one) for one in both]
    with pytest.raises(ValueError, match="^(statistics|errors): "):
        target_from_statistics(*large, pyramids(4, orientations=3, dtype=np.float32))
