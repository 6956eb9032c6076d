"""Derivatives of coefficients, forwards and backwards, and many maps at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.scattering import measure

NPIX = 768  # nside 8: its finest level is sparse, the others are dense


@pytest.fixture(scope="module")
def operators(pyramids):
    return pyramids(8)


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def two_masks():
    masks = np.random.default_rng(6).random((2, NPIX))
    masks[0, :300] = 0
    return masks


def numbers(map, pyramid, mask=None):
    """All coefficients as real numbers."""
    raveled = measure(map, pyramid, mask=mask).ravel()
    return jnp.concatenate([raveled.real, raveled.imag], axis=-1)


def test_forward_mode_agrees_with_finite_differences_and_with_reverse_mode(operators, generator):
    map = generator.gamma(2.0, size=NPIX)
    directions = generator.standard_normal((3, NPIX))

    def along(amounts):
        return numbers(map + amounts @ directions, operators)

    value = jax.jit(along)
    derivative = jax.jit(jax.jacfwd(along))(np.zeros(3))
    step = 1e-5
    differences = [(value(step * e) - value(-step * e)) / (2 * step) for e in np.eye(3)]
    difference = np.stack(differences, axis=-1)
    assert np.linalg.norm(derivative - difference) <= 1e-8 * np.linalg.norm(difference)

    cotangents = generator.standard_normal((2, derivative.shape[0]))
    pull = jax.jit(lambda cotangent: jax.vjp(lambda x: numbers(x, operators), map)[1](cotangent))
    for cotangent in cotangents:
        (gradient,) = pull(cotangent)
        expected = cotangent @ derivative
        scale = np.linalg.norm(gradient) * np.linalg.norm(directions, axis=1)
        assert (np.abs(directions @ gradient - expected) <= 1e-12 * scale).all()


def test_jacobians_of_both_modes_are_the_same(generator):
    small = build_pyramid(2, orientations=3, dtype="float64")
    map = generator.gamma(2.0, size=48)
    forward, reverse = (
        jax.jit(jacobian(lambda x: numbers(x, small)))(map) for jacobian in (jax.jacfwd, jax.jacrev)
    )
    assert forward.shape == (2 * (2 + 2 * 6 + 27 + 108), 48)
    np.testing.assert_allclose(forward, reverse, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_zero_and_constant_maps_are_finite(operators, two_masks, masked):
    mask = two_masks if masked else None
    gradient = jax.jit(jax.grad(lambda x: numbers(x, operators, mask).sum()))
    # Of a zero map all coefficients but the mean are stationary.
    weights = np.ones((1, NPIX)) if mask is None else mask
    expected = (weights / weights.sum(axis=1, keepdims=True)).sum(axis=0)
    np.testing.assert_allclose(gradient(np.zeros(NPIX)), expected, rtol=1e-13)
    for constant in (3.0, 0.1, -1e-9, 1e5):
        assert np.isfinite(gradient(np.full(NPIX, constant))).all(), constant


def test_many_maps_at_once_are_many_single_maps(operators, generator):
    maps = generator.gamma(2.0, size=(8, NPIX))
    together = jax.vmap(lambda map: measure(map, operators))(maps)
    for position, map in enumerate(maps):
        one = measure(map, operators)
        for name, group in together.groups().items():
            expected = one.groups()[name]
            error = np.linalg.norm(group[position] - expected) / np.linalg.norm(expected)
            assert error <= 1e-13, (name, position)


def test_derivative_with_respect_to_a_mask(generator):
    small = build_pyramid(2, dtype="float64")
    map, mask = generator.standard_normal(48), generator.random(48) + 0.5
    direction = generator.standard_normal(48)

    @jax.jit
    def totals(mask):
        groups = measure(map, small, mask=mask).groups().values()
        return jnp.stack([jnp.sum(group.real + group.imag) for group in groups])

    step = 1e-5 * direction
    difference = np.asarray(totals(mask + step) - totals(mask - step)) / 2e-5
    jacobian = jax.jit(jax.jacrev(totals))(mask)
    along = jax.jit(lambda x, change: jax.jvp(totals, (x,), (change,))[1])(mask, direction)
    np.testing.assert_allclose(jacobian @ direction, difference, rtol=1e-6)
    np.testing.assert_allclose(along, difference, rtol=1e-6)
