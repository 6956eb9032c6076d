"""Two maps measured together: against dense matrices, under exchange of the maps, and refusals."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.chi_square import chi_square
from jaxscat.objectives.target import Target
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.indices import scale_triples
from jaxscat.statistics.scattering import measure

BOUND = 1e-12  # relative rms over a group


@pytest.fixture(scope="module")
def pyramid(pyramids):
    def get(nside, orientations=4, kernel_size=3):
        return pyramids(nside, orientations=orientations, kernel_size=kernel_size)

    return get


def two_maps(nside: int) -> tuple[np.ndarray, np.ndarray]:
    """A skewed map, and another of both signs that is correlated with it."""
    generator = np.random.default_rng(nside)
    first, noise = generator.gamma(2.0, size=(2, 12 * nside**2))
    return first, first - 1.5 * noise + 0.3


def some_masks(nside: int, kind: str) -> np.ndarray | None:
    fractions = np.random.default_rng(100 + nside).random((2, 12 * nside**2))
    fractions[0, ::3] = 0
    return {"none": None, "one": fractions[1], "two": fractions}[kind]


def oracle(reference, maps, mask, spec, reduction, **options) -> dict[str, np.ndarray]:
    masks = np.ones((1, spec.npix)) if mask is None else np.atleast_2d(mask)
    groups = reference.reduce_fields(
        maps[0],
        masks,
        spec.orientations,
        spec.scales,
        reduction,
        second=maps[1],
        kernel_size=spec.kernel_size,
        **options,
    )
    several = mask is not None and mask.ndim == 2
    return groups if several else {name: group[0] for name, group in groups.items()}


def assert_match(statistics, expected) -> None:
    assert statistics.kind == "cross"
    errors = {}
    for name, group in statistics.groups().items():
        value, other = np.asarray(group), expected[name.lower()]
        assert value.shape == other.shape
        assert np.iscomplexobj(value) == np.iscomplexobj(other)
        errors[name] = np.linalg.norm(value - other) / np.linalg.norm(other)
    assert list(errors) == ["S0", "S1", "S2", "S3", "S3P", "S4"]
    assert max(errors.values()) <= BOUND, errors


@pytest.mark.parametrize(
    ("nside", "orientations", "kernel_size", "kind", "both"),
    [
        (8, 4, 3, "two", True),
        (4, 3, 3, "one", False),
        (4, 3, 3, "one", True),
        (2, 1, 3, "none", False),
        (2, 2, 5, "none", False),
        (2, 3, 7, "two", True),
    ],
)
def test_coefficients(reference, pyramid, nside, orientations, kernel_size, kind, both):
    operators = pyramid(nside, orientations, kernel_size)
    maps, mask = two_maps(nside), some_masks(nside, kind)
    expected = oracle(
        reference, maps, mask, operators.spec, reference.masked_mean, both_triangles=both
    )
    found = measure(maps[0], operators, second=maps[1], mask=mask, both_triangles=both)
    assert_match(found, expected)


@pytest.mark.parametrize("formula", ["pixels", "foscat"])
@pytest.mark.parametrize(
    ("nside", "orientations", "kernel_size", "kind", "both"),
    [(2, 4, 3, "two", True), (4, 3, 3, "one", False)],
)
def test_standard_errors(reference, pyramid, nside, orientations, kernel_size, kind, both, formula):
    operators = pyramid(nside, orientations, kernel_size)
    maps, mask = two_maps(nside), some_masks(nside, kind)
    reduction = {"pixels": reference.pixel_error, "foscat": reference.foscat_error}[formula]
    expected = oracle(reference, maps, mask, operators.spec, reduction, both_triangles=both)
    expected["s0"][..., 0] = expected["s0"][..., 1]
    found = standard_error(
        maps[0], operators, second=maps[1], mask=mask, both_triangles=both, formula=formula
    )
    assert_match(found, expected)


def test_foscat_takes_another_error_of_s2(pyramid):
    operators, (map, second), mask = pyramid(4, 3), two_maps(4), some_masks(4, "one")
    pixels, foscat = (
        standard_error(map, operators, second=second, mask=mask, formula=formula)
        for formula in ("pixels", "foscat")
    )
    np.testing.assert_array_equal(foscat.s1, pixels.s1)
    assert (np.abs(foscat.s2 / pixels.s2 - 1) > 1e-3).all()


@pytest.fixture(scope="module")
def measured(pyramid):
    """Coefficients of one map, of two, and of two with both triangles, under a mask."""
    operators, (map, second), mask = pyramid(4, 3), two_maps(4), some_masks(4, "one")
    one = measure(map, operators, mask=mask)
    two, both = (
        measure(map, operators, second=second, mask=mask, both_triangles=both)
        for both in (False, True)
    )
    return one, two, both


@pytest.fixture(scope="module")
def both_ways(pyramid):
    """Coefficients of two maps, and of the same maps exchanged."""
    operators, (map, second) = pyramid(8), two_maps(8)
    mask = some_masks(8, "two")
    return tuple(
        measure(x, operators, second=y, mask=mask, both_triangles=True)
        for x, y in ((map, second), (second, map))
    )


def test_exchange_of_the_maps_exchanges_s3_and_s3p_to_the_last_bit(both_ways):
    one, other = both_ways
    np.testing.assert_array_equal(other.s3, one.s3p)
    np.testing.assert_array_equal(other.s3p, one.s3)
    assert not np.allclose(one.s3, one.s3p, rtol=1e-2)
    for name in ("s0", "s1", "s2"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-12)


def test_exchange_of_the_maps_transposes_s4(both_ways):
    one, other = both_ways
    triples = one.triples
    assert triples == scale_triples(4, both_triangles=True)
    back = [triples.index((j2, j1, j3)) for j1, j2, j3 in triples]
    expected = np.asarray(one.s4)[:, back].transpose(0, 1, 3, 2, 4).conj()
    largest = np.abs(expected).max()
    np.testing.assert_allclose(other.s4, expected, rtol=0, atol=1e-13 * largest)
    # The other triangle says something of its own.
    assert not np.allclose(one.s4, np.asarray(one.s4)[:, back], rtol=0, atol=1e-2 * largest)


def test_one_triangle_is_part_of_both(measured):
    _, half, both = measured
    kept = [both.triples.index(triple) for triple in half.triples]
    assert len(kept) == 10 and len(both.triples) == 14
    assert not half.both_triangles and both.both_triangles
    np.testing.assert_allclose(half.s4, both.s4[np.array(kept)], rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(half.s3p, both.s3p)


@pytest.mark.parametrize("function", [measure, standard_error])
@pytest.mark.parametrize("units", [(1e-6, 3e4), (7e8, 1.0), (-1.0, 5.0)])
def test_each_map_has_a_unit_of_its_own(pyramid, function, units):
    operators, (map, second), mask = pyramid(4, 3), two_maps(4), some_masks(4, "one")
    expected = function(map, operators, second=second, mask=mask)
    found = function(units[0] * map, operators, second=units[1] * second, mask=mask)
    product = units[0] * units[1]
    sign = 1 if function is standard_error else np.sign(product)
    factors = {"S0": sign * np.sqrt(np.abs(product)), "S1": sign * np.sqrt(np.abs(product))}
    for name, group in expected.groups().items():
        factor = factors.get(name, np.abs(product) if sign == 1 else product)
        if units[0] < 0 and name in ("S0", "S3", "S3P", "S4"):
            continue  # signs differ, see below
        scale = np.abs(factor) * np.abs(group).max()
        np.testing.assert_allclose(
            found.groups()[name], factor * group, rtol=0, atol=1e-11 * scale, err_msg=name
        )
    if units[0] < 0:  # moduli do not see the sign of the first map
        size = abs(product) * np.abs(expected.s3p).max()
        np.testing.assert_allclose(found.s3, sign * 5 * expected.s3, rtol=0, atol=1e-11 * size)
        np.testing.assert_allclose(found.s3p, 5 * expected.s3p, rtol=0, atol=1e-11 * size)
        size = abs(product) * np.abs(expected.s4).max()
        np.testing.assert_allclose(found.s4, 5 * expected.s4, rtol=0, atol=1e-11 * size)
        assert found.s0[0] == pytest.approx(sign * np.sqrt(5) * float(expected.s0[0]), rel=1e-12)
        assert found.s0[1] == pytest.approx(np.sqrt(5) * float(expected.s0[1]), rel=1e-12)


def test_means_larger_than_the_spread_change_s0_only(pyramid, measured):
    (map, second), mask = two_maps(4), some_masks(4, "one")
    expected = measured[1]
    found = measure(map + 1e5, pyramid(4, 3), second=second - 3e4, mask=mask)
    for name, group in found.groups().items():
        if name != "S0":
            other = expected.groups()[name]
            scale = np.abs(other).max()
            np.testing.assert_allclose(group, other, rtol=0, atol=1e-9 * scale, err_msg=name)


def test_a_map_with_itself_has_the_coefficients_of_one_map(pyramid, measured):
    map, one = two_maps(4)[0], measured[0]
    two = measure(map, pyramid(4, 3), second=map, mask=some_masks(4, "one"))
    assert (one.kind, two.kind) == ("auto", "cross")
    for name in ("s1", "s2", "s3", "s4"):
        expected = np.asarray(getattr(one, name))
        atol = 1e-13 * np.abs(expected).max()
        np.testing.assert_allclose(getattr(two, name), expected, rtol=0, atol=atol, err_msg=name)
    np.testing.assert_array_equal(two.s3p, two.s3)
    np.testing.assert_allclose(two.s0, one.s0, rtol=1e-13)  # all pixels are positive


# Derivatives.


@pytest.fixture(scope="module")
def derivatives(pyramid, measured):
    """A weighted sum over every group, and its compiled derivatives with respect to both maps."""
    operators, mask = pyramid(4, 3), some_masks(4, "one")
    generator = np.random.default_rng(3)
    weights = {
        name: generator.standard_normal(group.shape) + 1j * generator.standard_normal(group.shape)
        for name, group in measured[1].groups().items()
    }

    def sums(map, second):
        groups = measure(map, operators, second=second, mask=mask).groups()
        return jnp.stack([jnp.sum(jnp.real(weights[name] * groups[name])) for name in weights])

    return sums, jax.jit(jax.jacrev(sums, argnums=(0, 1)))


@pytest.mark.parametrize("which", [0, 1])
def test_derivatives_agree_with_differences(derivatives, which):
    value, jacobian = derivatives
    maps = two_maps(4)
    gradients = np.asarray(jacobian(*maps)[which])
    assert gradients.shape == (6, 192) and (np.linalg.norm(gradients, axis=1) > 0).all()
    for direction in np.random.default_rng(8).standard_normal((2, 192)):
        above, below = (
            value(*(map + sign * 1e-6 * direction * (n == which) for n, map in enumerate(maps)))
            for sign in (1, -1)
        )
        difference = np.asarray(above - below) / 2e-6
        scale = np.linalg.norm(gradients, axis=1) * np.linalg.norm(direction)
        assert (np.abs(gradients @ direction - difference) <= 1e-7 * scale).all()


def test_derivatives_at_zero_and_constant_maps_are_finite(derivatives):
    _, jacobian = derivatives
    map = two_maps(4)[0]
    for constant in (0.0, 3.0, 1e5):
        for pair in ((map, np.full(192, constant)), (np.full(192, constant), map)):
            for gradient in jacobian(*pair):
                assert np.isfinite(gradient).all(), constant


# Names and kinds.


def test_every_name_stands_where_its_coefficient_is_ravelled():
    triples = [(0, 0, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)]
    pairs = [(0, 0), (0, 1), (1, 1)]
    shapes = {
        "s0": (2,),
        "s1": (2, 2),
        "s2": (2, 2),
        "s3": (3, 2, 2),
        "s4": (5, 2, 2, 2),
        "s3p": (3, 2, 2),
    }

    def made(marked=None, index=()):
        groups = {name: np.zeros(shape) for name, shape in shapes.items()}
        if marked:
            groups[marked][index] = 1
        return ScatteringCovariance(**groups, both_triangles=True)

    names = made().names()
    assert [name.split()[0] for name in names] == (
        ["S0"] * 2 + ["S1"] * 4 + ["S2"] * 4 + ["S3"] * 12 + ["S3P"] * 12 + ["S4"] * 40
    )
    assert len(set(names)) == 74
    for position, name in enumerate(names[10:], start=10):
        group = name.split()[0].lower()
        at = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", name)}
        if group == "s4":
            triple = triples.index((at["j1"], at["j2"], at["j3"]))
            index = (triple, at["l2"], at["l1"], at["l3"])
        else:
            index = (pairs.index((at["j2"], at["j3"])), at["l2"], at["l3"])
        assert np.flatnonzero(made(group, index).ravel()).tolist() == [position], name


def test_arithmetic_refuses_to_mix_kinds(measured):
    one, two, both = measured
    for left, right in ((one, two), (two, one), (two, both), (both, two)):
        with pytest.raises(ValueError):
            jax.tree.map(lambda a, b: a - b, left, right)


def test_distances_refuse_to_mix_kinds(measured):
    one, two, both = measured
    of_one, of_two = (
        Target(mean, jax.tree.map(lambda group: jnp.ones(group.shape), mean)) for mean in (one, two)
    )
    assert chi_square(two, of_two) == chi_square(one, of_one) == 0
    with pytest.raises(ValueError, match="^statistics: got auto coefficients, expected cross"):
        chi_square(one, of_two)
    with pytest.raises(ValueError, match="^statistics: got cross .* with both triangles of S4, ex"):
        chi_square(both, of_two)
    with pytest.raises(ValueError, match="^statistics: got cross coefficients, expected auto"):
        chi_square(two, of_one)


# What is refused.


@pytest.mark.parametrize("function", [measure, standard_error])
@pytest.mark.parametrize(
    "bad",
    [
        np.ones(192),
        np.ones((2, 48)),
        np.where(np.arange(48) == 7, np.nan, 1.0),
        np.where(np.arange(48) == 7, np.inf, 1.0),
        np.where(np.arange(48) == 7, -1.6375e30, 1.0),
        np.ones(48, complex),
        np.ones(48, bool),
    ],
    ids="nside axes NaN infinite UNSEEN complex boolean".split(),
)
def test_bad_second_maps_are_refused_by_name(pyramid, function, bad):
    with pytest.raises(ValueError, match=r"^second: got "):
        function(np.arange(48.0), pyramid(2, 3, 7), second=bad)


@pytest.mark.parametrize("bad", [np.ones(47), np.ones((2, 48)), np.ones(48, complex)])
def test_traced_second_maps_of_wrong_shape_or_type_are_refused(pyramid, bad):
    with pytest.raises(ValueError, match=r"^second: got "):
        jax.jit(lambda x, y: measure(x, pyramid(2, 3, 7), second=y))(np.ones(48), bad)


@pytest.mark.parametrize("function", [measure, standard_error])
def test_both_triangles_of_one_map_are_refused(pyramid, function):
    with pytest.raises(ValueError, match=r"^both_triangles: got True for one map"):
        function(np.arange(48.0), pyramid(2, 3, 7), both_triangles=True)
