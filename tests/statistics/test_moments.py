import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics.moments import (
    gram,
    modulus,
    products,
    products_at_once,
    products_in_steps,
    safe_sqrt,
    standard_error_of_mean,
)


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(3)


def test_modulus_is_that_of_a_complex_number(generator):
    real, imaginary = generator.standard_normal((2, 50))
    expected = np.sqrt(np.abs(real + 1j * imaginary) ** 2 + 1e-16)
    np.testing.assert_allclose(modulus(real, imaginary), expected, rtol=1e-15)


def test_modulus_beside_zero_is_that_of_the_floor():
    assert modulus(jnp.array(1e-12), jnp.array(0.0)) == pytest.approx(1e-8, rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_modulus_and_all_its_derivatives_vanish_at_zero(dtype):
    zero = jnp.zeros((), dtype)
    assert modulus(zero, zero) == 0 and modulus(zero, zero).dtype == dtype
    assert jax.grad(modulus, argnums=(0, 1))(zero, zero) == (0, 0)
    _, tangent = jax.jvp(modulus, (zero, zero), (zero + 1, zero - 2))
    assert tangent == 0


def test_gradient_of_the_modulus_is_the_direction(generator):
    real, imaginary = generator.standard_normal((2, 50))
    gradients = jax.grad(lambda *z: modulus(*z).sum(), argnums=(0, 1))(real, imaginary)
    length = np.hypot(real, imaginary)
    np.testing.assert_allclose(gradients, [real / length, imaginary / length], rtol=1e-12)


def test_gradient_of_the_modulus_goes_to_zero_with_its_argument():
    # At 1e-10 the floor of 1e-16 (a modulus of 1e-8) has taken over.
    slope = jax.grad(modulus)(jnp.array(1e-10), jnp.array(0.0))
    assert slope == pytest.approx(1e-2, rel=1e-3)


def test_safe_sqrt_and_its_gradient():
    values = jnp.array([4.0, 0.25, 0.0, -1.0])
    np.testing.assert_allclose(safe_sqrt(values), [2, 0.5, 0, 0], rtol=0, atol=0)
    gradient = jax.vmap(jax.grad(safe_sqrt))(values)
    np.testing.assert_allclose(gradient, [0.25, 1, 0, 0], rtol=0, atol=0)


@pytest.mark.parametrize("rows", [7, 600])
@pytest.mark.parametrize("sums", [None, products, products_in_steps])
@pytest.mark.parametrize("weighted", [False, True])
def test_gram_and_its_derivatives_are_those_of_a_plain_einsum(generator, weighted, sums, rows):
    fields, tangent = generator.standard_normal((2, 3, 4, rows))
    weights = generator.random((3, rows)) if weighted else None
    cotangent = generator.standard_normal((3, 4, 4))

    def plain(fields):
        if weights is None:
            return jnp.einsum("bxr,byr->bxy", fields, fields)
        return jnp.einsum("br,bxr,byr->bxy", weights, fields, fields)

    def ours(fields):
        return gram(fields, weights) if sums is None else sums(fields, fields, weights)

    np.testing.assert_allclose(ours(fields), plain(fields), rtol=1e-13, atol=1e-13)
    for value, expected in zip(
        jax.jvp(ours, (fields,), (tangent,)), jax.jvp(plain, (fields,), (tangent,)), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-12)
    (value,), (expected,) = (jax.vjp(f, fields)[1](cotangent) for f in (ours, plain))
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)
    hessian, expected = (
        jax.jvp(jax.grad(lambda x, f=f: jnp.sum(cotangent * f(x) ** 2)), (fields,), (tangent,))[1]
        for f in (ours, plain)
    )
    np.testing.assert_allclose(hessian, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("sums", [products, products_at_once, products_in_steps])
def test_products_and_their_derivatives_are_those_of_a_plain_einsum(generator, sums):
    left, right = (generator.standard_normal((3, n, 600)) for n in (2, 4))
    weights = generator.random((3, 600))
    operands = left, right, weights
    changes = tuple(generator.standard_normal(operand.shape) for operand in operands)

    def plain(left, right, weights):
        return jnp.einsum("bxr,byr,br->bxy", left, right, weights)

    for found, expected in zip(
        jax.jvp(sums, operands, changes), jax.jvp(plain, operands, changes), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    cotangent = generator.standard_normal((3, 2, 4))
    for found, expected in zip(
        *(jax.vjp(f, *operands)[1](cotangent) for f in (sums, plain)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sums", [products, products_in_steps])
def test_sums_of_many_pixels_round_little(generator, sums):
    fields = (1 + generator.random((1, 2, 1 << 20))).astype(np.float32)
    exact = np.einsum("bxr,byr->bxy", fields, fields, dtype=np.float64)
    np.testing.assert_allclose(sums(fields, fields, None), exact, rtol=1e-6)


def test_standard_error_of_four_numbers():
    # Mean 2.5, mean square 7.5: variance 1.25.
    error = standard_error_of_mean(jnp.array(2.5), jnp.array(7.5), jnp.array(4.0))
    assert error == pytest.approx(np.sqrt(1.25 / 4), rel=1e-15)


def test_both_formulas_agree_on_real_means():
    mean, square, weight = jnp.array([1.0, -2.0]), jnp.array([3.0, 4.5]), jnp.array(5.0)
    pixels, foscat = (
        standard_error_of_mean(mean, square, weight, formula) for formula in ("pixels", "foscat")
    )
    np.testing.assert_allclose(pixels, np.sqrt([2 / 5, 0.5 / 5]), rtol=1e-15)
    np.testing.assert_array_equal(pixels, foscat)


def test_formulas_of_a_complex_mean():
    values = np.array([1 + 2j, 3 - 1j, -2 + 0.5j])
    mean, weight = jnp.asarray(values.mean()), jnp.array(3.0)
    pixels = standard_error_of_mean(mean, jnp.mean(jnp.abs(values) ** 2), weight)
    assert pixels == pytest.approx(np.std(values) / np.sqrt(3), rel=1e-14)
    foscat = standard_error_of_mean(mean, jnp.mean(values**2), weight, "foscat")
    # <z^2> is (-3 + 4j + 8 - 6j + 3.75 - 2j) / 3 and <z> is (2 + 1.5j) / 3.
    spread = 8.75 / 3 - (2 / 3) ** 2 - 4 / 3 - 0.5**2
    assert foscat == pytest.approx(np.sqrt(abs(spread) / 3), rel=1e-14)


def test_foscat_formula_takes_the_size_of_a_negative_spread():
    error = standard_error_of_mean(jnp.array(0j), jnp.array(-9 + 0j), jnp.array(1.0), "foscat")
    assert error == 3


@pytest.mark.parametrize("formula", ["pixels", "foscat"])
def test_standard_error_without_spread_is_zero_with_a_zero_gradient(formula):
    def error(square):
        return standard_error_of_mean(jnp.array(2.0), square, jnp.array(6.0), formula)

    assert jax.value_and_grad(error)(jnp.array(4.0)) == (0, 0)
    assert error(jnp.array(4.0 - 1e-15)) == 0
