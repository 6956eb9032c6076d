import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.harmonics.tables import (
    expand_gains,
    harmonic_tables,
    multipole_rows,
    orders,
)
from jaxscat.harmonics.transform import analysis, isotropic_filter, synthesis

NSIDES = [2, 4, 16]
synthesis, analysis = jax.jit(synthesis), jax.jit(analysis)


@pytest.fixture(scope="module")
def tables():
    return {nside: harmonic_tables(nside, np.float64) for nside in NSIDES}


def white(nside, seed=0):
    return np.random.default_rng(seed).standard_normal(12 * nside**2)


def places(nside):
    """Where healpy's coefficients are among ours, in its order, and the factor of its phase."""
    import healpy

    rows = multipole_rows(nside)
    parity, k, lines, row = np.nonzero(rows >= 0)
    multipole, order = rows[parity, k, lines, row], orders(3 * nside - 1)[parity, k]
    index = healpy.Alm.getidx(3 * nside - 1, multipole, order)
    factor = (-1.0) ** order * np.where(order == 0, 1.0, np.sqrt(2.0))
    by_index = np.argsort(index)
    assert np.array_equal(index[by_index], np.arange(index.size)), "every coefficient has one row"
    return (k[by_index], lines[by_index], row[by_index], parity[by_index]), factor[by_index]


@pytest.mark.parametrize("nside", NSIDES)
def test_analysis_is_healpys(tables, nside):
    import healpy

    map = white(nside)
    expected = healpy.map2alm(healpy.reorder(map, n2r=True), iter=0) * 12 * nside**2 / (4 * np.pi)
    where, factor = places(nside)
    found = np.asarray(analysis(tables[nside], map))[where] / factor[:, None]
    np.testing.assert_allclose(
        found[:, 0] - 1j * found[:, 1], expected, atol=1e-12 * np.abs(expected).max()
    )


@pytest.mark.parametrize("nside", NSIDES)
def test_synthesis_is_healpys(tables, nside):
    import healpy

    harmonics = healpy.map2alm(white(nside), iter=0)
    where, factor = places(nside)
    coefficients = np.zeros((3 * nside // 2, 2, 3 * nside // 2 + 1, 2, 2))
    coefficients[where] = np.stack([harmonics.real, -harmonics.imag], -1) * factor[:, None]
    expected = healpy.reorder(healpy.alm2map(harmonics, nside, lmax=3 * nside - 1), r2n=True)
    np.testing.assert_allclose(synthesis(tables[nside], coefficients), expected, atol=1e-13)


@pytest.mark.parametrize("nside", NSIDES)
def test_analysis_is_the_transpose_of_synthesis(tables, nside):
    map = white(nside)
    coefficients = np.random.default_rng(1).standard_normal(analysis(tables[nside], map).shape)
    coefficients *= expand_gains(nside, np.ones(3 * nside))[..., None]
    left = np.vdot(synthesis(tables[nside], coefficients), map)
    right = np.vdot(coefficients, analysis(tables[nside], map))
    assert left == pytest.approx(right, rel=1e-11)


@pytest.fixture(scope="module")
def filter(tables):
    gains = expand_gains(16, 1 / (1 + np.arange(48.0)))
    return lambda map: isotropic_filter(tables[16], jnp.asarray(gains), map)


def test_filter_is_healpys_and_symmetric(filter):
    import healpy

    one, other = white(16), white(16, seed=1)
    harmonics = healpy.map2alm(healpy.reorder(one, n2r=True), iter=0)
    filtered = healpy.alm2map(healpy.almxfl(harmonics, 1 / (1 + np.arange(48.0))), 16, lmax=47)
    expected = healpy.reorder(filtered, r2n=True) * one.size / (4 * np.pi)
    found = jax.jit(filter)(one)
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
    assert np.vdot(found, other) == pytest.approx(np.vdot(one, jax.jit(filter)(other)), rel=1e-11)


def test_filter_differentiates_both_ways(filter):
    one, other = jnp.asarray(white(16)), jnp.asarray(white(16, seed=1))
    filtered = jax.jit(filter)(other)
    scale = 1e-12 * np.abs(filtered).max()
    value, tangent = jax.jvp(filter, (one,), (other,))
    np.testing.assert_allclose(value, jax.jit(filter)(one), atol=scale)
    np.testing.assert_allclose(tangent, filtered, atol=scale)
    np.testing.assert_allclose(jax.vjp(filter, one)[1](other)[0], filtered, atol=scale)

    @jax.jit
    def loss(map):
        return jnp.sum(jnp.tanh(filter(map) / 100))

    slope, step = np.vdot(jax.jit(jax.grad(loss))(one), other), 1e-5
    difference = (loss(one + step * other) - loss(one - step * other)) / (2 * step)
    assert slope == pytest.approx(float(difference), rel=1e-6)
    # Twice, as a Hessian times a vector would.
    assert np.isfinite(jax.jvp(jax.grad(loss), (one,), (other,))[1]).all()


def test_vmap_is_a_loop(filter):
    lanes = jnp.stack([white(16, seed) for seed in range(3)])

    def loss(map):
        return jnp.sum(filter(map) ** 3)

    for function in (filter, jax.grad(loss)):
        one_by_one = jax.jit(function)
        expected = np.stack([one_by_one(lane) for lane in lanes])
        found = jax.jit(jax.vmap(function))(lanes)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_float32_stays_float32_and_close(filter):
    with jax.enable_x64(False):
        single = harmonic_tables(16, np.float32)
        gains = jnp.asarray(expand_gains(16, 1 / (1 + np.arange(48.0))), np.float32)
        apply = jax.jit(lambda map: isotropic_filter(single, gains, map))
        found = apply(white(16).astype(np.float32))
    text = str(jax.make_jaxpr(apply)(white(16).astype(np.float32)))
    assert found.dtype == np.float32 and "f64" not in text and "callback" not in text
    expected = filter(white(16))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


def test_legendre_functions_of_many_orders_neither_overflow_nor_lose_the_norm(tables):
    # The sum over orders of squared harmonics of one multipole is (2 l + 1) / 4 pi anywhere.
    rows, legendre = multipole_rows(16), np.asarray(tables[16].legendre)
    for multipole in (0, 1, 30, 47):
        parity, k, lines, row = np.nonzero(rows == multipole)
        twice = np.where(orders(47)[parity, k] == 0, 1, 2)[:, None]
        total = np.sum(twice * legendre[k, lines, row] ** 2, axis=0)
        rings = np.delete(total, [0, 17])  # two columns are of no ring
        np.testing.assert_allclose(rings, (2 * multipole + 1) / (4 * np.pi), rtol=1e-12)
