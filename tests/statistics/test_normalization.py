"""Normalised coefficients against loops over their definition, and numbers from FOSCAT."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscat
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_pairs, scale_triples
from jaxscat.statistics.normalization import normalize

SCALES, ORIENTATIONS = 3, 4


def coefficients(
    *,
    masks: tuple[int, ...] = (),
    covariances: int = SCALES,
    cross: bool = False,
    both_triangles: bool = False,
    errors: bool = False,
) -> ScatteringCovariance:
    generator = np.random.default_rng(0)

    def draw(*shape, real=errors):
        numbers = generator.standard_normal(masks + shape)
        return jnp.asarray(
            numbers if real else numbers + 1j * generator.standard_normal(masks + shape)
        )

    pairs, triples = len(scale_pairs(covariances)), len(scale_triples(covariances, both_triangles))
    return ScatteringCovariance(
        s0=draw(2, real=True),
        s1=draw(SCALES, ORIENTATIONS, real=True),
        s2=draw(SCALES, ORIENTATIONS, real=True),
        s3=draw(pairs, ORIENTATIONS, ORIENTATIONS),
        s4=draw(triples, ORIENTATIONS, ORIENTATIONS, ORIENTATIONS),
        s3p=draw(pairs, ORIENTATIONS, ORIENTATIONS) if cross else None,
        both_triangles=both_triangles,
    )


def draw_power(*masks: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 10, (*masks, SCALES, ORIENTATIONS))


def slow_normalize(
    statistics: ScatteringCovariance, first: np.ndarray, second: np.ndarray
) -> dict[str, np.ndarray]:
    """The definition, one coefficient of one mask after the other."""
    groups = {name: np.array(group) for name, group in statistics.groups().items()}
    for j in range(SCALES):
        for m in range(ORIENTATIONS):
            groups["S1"][j, m] /= (first[j, m] * second[j, m]) ** 0.25
            groups["S2"][j, m] /= (first[j, m] * second[j, m]) ** 0.5
    for index, l2, l3 in np.ndindex(*groups["S3"].shape):
        j2, j3 = statistics.pairs[index]
        groups["S3"][index, l2, l3] /= np.sqrt(second[j2, l2] * first[j3, l3])
        if "S3P" in groups:
            groups["S3P"][index, l2, l3] /= np.sqrt(first[j2, l2] * second[j3, l3])
    for index, l2, l1, l3 in np.ndindex(*groups["S4"].shape):
        j1, j2, _ = statistics.triples[index]
        groups["S4"][index, l2, l1, l3] /= np.sqrt(first[j1, l1] * second[j2, l2])
    return groups


def assert_normalized(statistics: ScatteringCovariance, first: np.ndarray, second=None) -> None:
    found = normalize(statistics, first, second)
    assert jax.tree.structure(found) == jax.tree.structure(statistics)
    powers = [first, first if second is None else second]
    masks = statistics.masks
    for mask in range(masks or 1):
        one = (
            statistics if masks is None else jax.tree.map(lambda x, mask=mask: x[mask], statistics)
        )
        own = [power[mask] if power.ndim == 3 else power for power in powers]
        for name, expected in slow_normalize(one, *own).items():
            group = found.groups()[name] if masks is None else found.groups()[name][mask]
            assert group.dtype == expected.dtype
            np.testing.assert_allclose(group, expected, rtol=1e-14, err_msg=f"{name} {mask}")


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("covariances", [0, 2, SCALES])
def test_one_map_follows_the_definition(covariances, errors):
    assert_normalized(coefficients(covariances=covariances, errors=errors), draw_power())


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("both_triangles", [False, True])
@pytest.mark.parametrize("covariances", [2, SCALES])
def test_two_maps_follow_the_definition(covariances, both_triangles, errors):
    statistics = coefficients(
        covariances=covariances, cross=True, both_triangles=both_triangles, errors=errors
    )
    assert_normalized(statistics, draw_power(), draw_power(seed=2))


@pytest.mark.parametrize("masks", [1, 2])
def test_masks_have_powers_of_their_own_or_one_for_all(masks):
    assert_normalized(coefficients(masks=(masks,)), draw_power(masks))
    assert_normalized(coefficients(masks=(masks,)), draw_power())
    cross = coefficients(masks=(masks,), cross=True)
    assert_normalized(cross, draw_power(masks), draw_power(masks, seed=2))
    assert_normalized(cross, draw_power(), draw_power(masks, seed=2))


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4)


@pytest.fixture(scope="module")
def field():
    return np.random.default_rng(3).standard_normal(192)


def test_a_map_in_its_own_unit_has_unit_power_whatever_its_unit(pyramid, field):
    statistics = jaxscat.measure(field, pyramid)
    own = normalize(statistics, statistics.s2)
    np.testing.assert_array_equal(own.s2, jnp.ones_like(own.s2))
    other = jaxscat.measure(1024 * field, pyramid)
    scaled = normalize(other, other.s2)
    for name in ("s1", "s2", "s3", "s4"):
        np.testing.assert_allclose(
            getattr(scaled, name), getattr(own, name), rtol=1e-10, atol=1e-14
        )
    # A mean is smaller than the root of the mean square.
    assert (own.s1 < 1).all()


@pytest.mark.parametrize("factor", [0.1, 0.37, 3.0, 10.0, -1.0, -0.6])
@pytest.mark.parametrize("cross", [False, True])
def test_factors_of_the_map_change_signs_at_most(pyramid, field, factor, cross):
    """A negative factor turns S3, which is odd in the map; moduli and what they make stay."""
    second = np.random.default_rng(4).gamma(2.0, size=192) if cross else None

    def normalized(map):
        powers = [jaxscat.wavelet_power(map, pyramid)]
        if cross:
            powers.append(jaxscat.wavelet_power(second, pyramid))
        statistics = jaxscat.measure(map, pyramid, second=second)
        errors = jaxscat.standard_error(map, pyramid, second=second)
        return normalize(statistics, *powers), normalize(errors, *powers)

    (found, errors), (expected, same_errors) = normalized(factor * field), normalized(field)
    sign = np.sign(factor)
    # Of two maps S1 and S2 are odd in each; S3P has this one in a modulus only.
    signs = {"S1": sign if cross else 1, "S2": sign if cross else 1, "S3": sign, "S3P": 1, "S4": 1}
    for name, group in expected.groups().items():
        if name == "S0":
            continue
        difference = np.abs(found.groups()[name] - signs[name] * group)
        assert difference.max() <= 1e-9, name
        assert np.linalg.norm(difference) <= 1e-9 * np.linalg.norm(group), name
        change = np.abs(errors.groups()[name] - same_errors.groups()[name])
        assert change.max() <= 1e-9, name
    if factor not in (1, -1):
        plain = jaxscat.measure(factor * field, pyramid, second=second)
        assert np.abs(plain.s1 / jaxscat.measure(field, pyramid, second=second).s1).max() != 1


def test_errors_have_the_factors_of_their_coefficients(pyramid, field):
    statistics, errors = jaxscat.measure(field, pyramid), jaxscat.standard_error(field, pyramid)
    before = jax.tree.map(lambda x, sigma: jnp.abs(x) / sigma, statistics, errors)
    after = jax.tree.map(
        lambda x, sigma: jnp.abs(x) / sigma,
        normalize(statistics, statistics.s2),
        normalize(errors, statistics.s2),
    )
    np.testing.assert_allclose(after.ravel(), before.ravel(), rtol=1e-12)


@pytest.mark.parametrize("cross", [False, True])
def test_derivatives_agree_with_differences(cross):
    statistics = coefficients(cross=cross)
    powers = (draw_power(), draw_power(seed=2))[: 1 + cross]

    @jax.jit
    def loss(statistics, powers):
        return jnp.sum(jnp.abs(normalize(statistics, *powers).ravel()) ** 2)

    gradient = jax.grad(loss, argnums=(0, 1))(statistics, powers)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    values, structure = jax.tree.flatten((statistics, powers))
    steps = [np.cos(np.arange(x.size)).reshape(x.shape) for x in values]

    def along(step):
        return loss(
            *structure.unflatten([x + step * by for x, by in zip(values, steps, strict=True)])
        )

    projected = sum(
        np.sum(np.real(left) * right)
        for left, right in zip(jax.tree.leaves(gradient), steps, strict=True)
    )
    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    assert float(projected) == pytest.approx(float(difference), rel=1e-6)


def test_weak_maps_in_float32_stay_in_range():
    statistics = jax.tree.map(
        lambda x: jnp.asarray(1e-25 * x, jnp.complex64 if jnp.iscomplexobj(x) else jnp.float32),
        coefficients(cross=True),
    )
    powers = [1e-25 * draw_power(), 1e-25 * draw_power(seed=2)]
    found = normalize(statistics, *powers)
    expected = normalize(coefficients(cross=True), draw_power(), draw_power(seed=2))
    for name in ("s2", "s3", "s3p", "s4"):
        group = getattr(found, name)
        assert group.dtype == getattr(statistics, name).dtype
        np.testing.assert_allclose(group, getattr(expected, name), rtol=1e-5)


def test_power_is_asked_for_once_per_map():
    power = draw_power()
    with pytest.raises(ValueError, match="^second_power: got None, expected"):
        normalize(coefficients(cross=True), power)
    with pytest.raises(ValueError, match="^second_power: got an array, expected None"):
        normalize(coefficients(), power, power)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_known_power_that_is_not_positive_or_not_finite_is_refused(value):
    bad, good = draw_power(), draw_power()
    bad[1, 2] = value
    device = jnp.asarray(bad)
    with pytest.raises(ValueError, match="^power: got 1 of 12 numbers"):
        normalize(coefficients(), bad)
    with pytest.raises(ValueError, match="^second_power: got 1 of 12 numbers"):
        normalize(coefficients(cross=True), good, bad)
    with pytest.raises(ValueError, match="^power: got 1 of 12 numbers"):
        jax.jit(lambda x: normalize(x, bad))(coefficients())
    with pytest.raises(ValueError, match="^power: got 1 of 12 numbers"):
        jax.jit(lambda x: normalize(x, device))(coefficients())
    traced = jax.jit(normalize)(coefficients(), bad)
    np.testing.assert_array_equal(traced.s2[0], normalize(coefficients(), good).s2[0])


@pytest.mark.parametrize(
    ("masks", "power"),
    [
        ((), draw_power(1)),
        ((), draw_power()[:2]),
        ((), draw_power()[..., :2]),
        ((), draw_power()[0]),
        ((2,), draw_power(3)),
        ((2,), draw_power(1)),
        ((), draw_power() + 0j),
        ((), draw_power() > 0),
    ],
)
def test_power_of_another_shape_or_type_is_refused(masks, power):
    with pytest.raises(ValueError, match="^power: got .* expected real numbers of shape"):
        normalize(coefficients(masks=masks), power)
    with pytest.raises(ValueError, match="^power: got .* expected real numbers of shape"):
        jax.jit(normalize)(coefficients(masks=masks), power)
    good = draw_power()
    with pytest.raises(ValueError, match="^second_power: got .* expected real numbers of shape"):
        normalize(coefficients(masks=masks, cross=True), good, power)


def test_reduced_coefficients_are_refused():
    with pytest.raises(ValueError, match="^statistics: got ReducedCovariance"):
        normalize(IsotropicMean().mean(coefficients()), draw_power())


def golden(name: str) -> dict[str, np.ndarray]:
    data = os.environ.get("JAXSCAT_DATA")
    if data is None:
        pytest.skip("JAXSCAT_DATA is not set: no FOSCAT numbers of the LSS map")
    path = Path(data).resolve().parent / "golden" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no FOSCAT numbers of the LSS map at {path}")
    return dict(np.load(path))


@pytest.mark.parametrize("nside", [8, 16])
def test_foscat_numbers_of_two_normalised_maps(nside):
    """FOSCAT normalises S2 of two maps only, by the power of the first two that it sees."""
    maps, plain = golden(f"maps_nside{nside}"), golden(f"cross_L4_K3_nside{nside}")
    expected = golden(f"normauto_L4_K3_nside{nside}")["cross1_S2"][0, 0]
    operators = jaxscat.build_pyramid(nside, dtype="float64", geometry="foscat")
    powers = [jaxscat.measure(maps[key][0], operators).s2 for key in ("im", "second")]
    groups = {f"s{k}": jnp.asarray(plain[f"S{k}"][0, 0]) for k in range(5)}
    statistics = ScatteringCovariance(**groups, s3p=jnp.asarray(plain["S3P"][0, 0]))
    found = np.asarray(normalize(statistics, *powers).s2)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error <= 1e-6  # float32 geometry
    # The two maps differ, so that a wrong power would be seen.
    wrong = np.asarray(normalize(statistics, powers[0], powers[0]).s2)
    assert np.linalg.norm(wrong - expected) > 0.01 * np.linalg.norm(expected)
