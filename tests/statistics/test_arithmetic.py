import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.scattering import measure

ONE, OTHER = np.random.default_rng(0).gamma(2.0, size=(2, 48))


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(2, orientations=3)


@pytest.fixture(scope="module")
def both(pyramid):
    return measure(ONE, pyramid), measure(OTHER, pyramid)


def assert_groups(found, function, *sets):
    for name, group in found.groups().items():
        expected = function(*(np.asarray(one.groups()[name]) for one in sets))
        assert group.dtype == expected.dtype
        np.testing.assert_allclose(group, expected, rtol=1e-15, atol=1e-18)


@pytest.mark.parametrize("reduce", [lambda one: one, IsotropicMean().mean], ids=["whole", "mean"])
def test_sums_differences_and_multiples(both, reduce):
    one, other = map(reduce, both)
    assert_groups(one + other, np.add, one, other)
    assert_groups(one - other, np.subtract, one, other)
    assert_groups(-one, np.negative, one)
    for number in (3, 0.5, np.float64(0.5), np.int32(3), np.array(0.5), jnp.float32(0.5)):
        assert_groups(one * number, lambda group, by=float(number): group * by, one)
        assert_groups(number * one, lambda group, by=float(number): group * by, one)
        assert_groups(one / number, lambda group, by=float(number): group / by, one)
    assert_groups(sum([one, other]) / 2, lambda a, b: (a + b) / 2, one, other)
    assert type(one - other) is type(one)


def test_numbers_do_not_change_the_type_and_pass_through_transformations(both):
    single = jax.tree.map(
        lambda group: group.astype(np.complex64 if jnp.iscomplexobj(group) else np.float32), both[0]
    )
    for number in (2, np.float64(2), jnp.float64(2)):
        scaled = number * single
        assert [group.dtype for group in jax.tree.leaves(scaled)] == [
            group.dtype for group in jax.tree.leaves(single)
        ]
    slope = jax.jit(jax.grad(lambda number: (number * both[0] - both[1]).s2.sum()))(2.0)
    np.testing.assert_allclose(slope, both[0].s2.sum())


def test_stored_coefficients_stay_in_float64_while_jax_is_in_32_bit_mode(both):
    stored = jax.tree.map(np.asarray, both[0])
    with jax.enable_x64(False):
        for found in (stored - stored, stored * 2.0, stored + stored):
            assert all(group.dtype.itemsize >= 8 for group in jax.tree.leaves(found))


def test_other_kinds_and_shapes_are_refused_by_what_differs(both, pyramid):
    one, _ = both
    crossed = measure(ONE, pyramid, second=OTHER)
    triangles = measure(ONE, pyramid, second=OTHER, both_triangles=True)
    mean = IsotropicMean().mean(one)
    for beside, said in (
        (crossed, "got coefficients of kind 'auto' and kind 'cross'"),
        (mean, "got ScatteringCovariance and ReducedCovariance"),
        (one.finest(1), r"got s1 of shapes \(2, 3\) and \(1, 3\)"),
        (measure(ONE, pyramid, mask=np.ones((2, 48))), r"got s0 of shapes \(2,\) and \(2, 2\)"),
    ):
        for function in (lambda a, b: a + b, lambda a, b: a - b):
            with pytest.raises(ValueError, match=f"^statistics: {said}, expected"):
                function(one, beside)
    with pytest.raises(ValueError, match="both_triangles False and both_triangles True"):
        crossed - triangles
    with pytest.raises(ValueError, match=r"reduction IsotropicMean\(.*and reduction Fourier"):
        mean + FourierHarmonics(0).mean(one)


def test_what_is_no_number_and_no_coefficients_is_a_type_error(both):
    one, other = both
    for function in (
        lambda: one * other,
        lambda: one / other,
        lambda: one + 1.0,
        lambda: 1.0 - one,
        lambda: one * 1j,
        lambda: one * True,
        lambda: one * "2",
        lambda: one * np.ones(2),
        lambda: np.ones(2) * one,
        lambda: jnp.ones(2) * one,
        lambda: np.ones(2) - one,
        lambda: 2 / one,
    ):
        with pytest.raises(TypeError, match="operand|can't multiply"):
            function()


def test_fields_of_the_same_pairs(pyramid):
    one = measure_fields({"T": ONE, "E": OTHER}, pyramid)
    other = measure_fields({"T": OTHER, "E": ONE}, pyramid)
    difference = (one - other) / 2
    for name in one:
        assert_groups(difference[name], lambda a, b: (a - b) / 2, one[name], other[name])
    fewer = measure_fields({"T": ONE, "E": OTHER}, pyramid, pairs=["TT"])
    with pytest.raises(
        ValueError, match=r"^statistics: got coefficients of pairs .*'E'.* and pairs"
    ):
        one - fewer
