"""Spin-2 transforms against healpy, and maps of Q, U as functions of E, B against the host's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat import PolarizationTransform, eb_from_qu, qu_from_eb
from jaxscat.harmonics.spin_tables import spin_harmonic_tables
from jaxscat.harmonics.spin_transform import spin_analysis, spin_overlap, spin_synthesis
from jaxscat.harmonics.tables import expand_gains, multipole_rows, orders
from jaxscat.harmonics.transform import analysis, synthesis

NSIDES = [2, 4, 16]
NPIX = 768  # of nside 8
analysis, synthesis = jax.jit(analysis), jax.jit(synthesis)
spin_analysis, spin_synthesis = jax.jit(spin_analysis), jax.jit(spin_synthesis)
spin_overlap = jax.jit(spin_overlap)
qu_of_eb = eqx.filter_jit(PolarizationTransform.qu_of_eb)
eb_of_qu = eqx.filter_jit(PolarizationTransform.eb_of_qu)


@pytest.fixture(scope="module")
def tables():
    return {nside: spin_harmonic_tables(nside, np.float64) for nside in NSIDES}


@pytest.fixture(scope="module")
def transform():
    return PolarizationTransform.of(8, dtype=np.float64)


def white(nside, seed=0):
    return np.random.default_rng(seed).standard_normal((2, 12 * nside**2))


def ringed(maps):
    import healpy

    return [healpy.reorder(map, n2r=True) for map in maps]


def nested(maps):
    import healpy

    return np.stack([healpy.reorder(map, r2n=True) for map in maps])


def assert_close(found, expected, relative):
    np.testing.assert_allclose(found, expected, atol=relative * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("nside", NSIDES)
def test_synthesis_is_healpys(tables, nside):
    import healpy

    maps, orthonormal = white(nside), np.pi / (3 * nside**2)
    exists = orthonormal * expand_gains(nside, np.ones(3 * nside))[..., None]
    coefficients = [exists * analysis(tables[nside].scalar, map) for map in maps]
    harmonics = [healpy.map2alm(map, iter=0) for map in ringed(maps)]
    expected = healpy.alm2map_spin(harmonics, nside, 2, 3 * nside - 1)
    assert_close(spin_synthesis(tables[nside], *coefficients), nested(expected), 1e-12)


@pytest.mark.parametrize("nside", NSIDES)
def test_analysis_is_healpys(tables, nside):
    import healpy

    maps, orthonormal = white(nside), np.pi / (3 * nside**2)
    exists = orthonormal * expand_gains(nside, np.ones(3 * nside))[..., None]
    found = [
        synthesis(tables[nside].scalar, exists * products)
        for products in spin_analysis(tables[nside], *maps)
    ]
    harmonics = healpy.map2alm_spin(ringed(maps), 2, 3 * nside - 1)
    expected = nested([healpy.alm2map(one, nside, lmax=3 * nside - 1) for one in harmonics])
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("nside", NSIDES)
def test_analysis_is_the_transpose_of_synthesis(tables, nside):
    maps = white(nside)
    products = np.stack(spin_analysis(tables[nside], *maps))
    coefficients = np.random.default_rng(1).standard_normal(products.shape)
    coefficients *= expand_gains(nside, np.ones(3 * nside))[..., None]
    made = np.stack(spin_synthesis(tables[nside], *coefficients))
    assert np.vdot(made, maps) == pytest.approx(np.vdot(coefficients, products), rel=1e-12)
    # And the short way of the two in a row is that of the pixels.
    expected = np.stack(spin_analysis(tables[nside], *made))
    assert_close(spin_overlap(tables[nside], coefficients), expected, 1e-13)


def test_functions_of_many_orders_keep_the_norm(tables):
    # The sum over orders of squared spin harmonics of one multipole is (2 l + 1) / 4 pi anywhere.
    rows = multipole_rows(16)
    plus, minus = np.asarray(tables[16].plus), np.asarray(tables[16].minus)
    for multipole in (0, 1, 2, 3, 30, 47):
        parity, k, lines, row = np.nonzero(rows == multipole)
        twice = np.where(orders(47)[parity, k] == 0, 1, 2)[:, None]
        total = np.sum(twice * (plus[k, lines, row] ** 2 + minus[k, lines, row] ** 2), axis=0)
        expected = (2 * multipole + 1) / (4 * np.pi) if multipole > 1 else 0.0
        # Two columns are of no ring.
        np.testing.assert_allclose(np.delete(total, [0, 17]), expected, rtol=1e-12)


def test_maps_are_those_of_the_host(transform):
    maps = white(8) + 3.0
    assert_close(qu_of_eb(transform, *maps), np.stack(qu_from_eb(*maps)), 1e-12)
    assert_close(eb_of_qu(transform, *maps), np.stack(eb_from_qu(*maps)), 1e-12)


@pytest.mark.parametrize(("lmax", "iterations"), [(12, 0), (23, 3)])
def test_maps_of_another_band_limit_are_those_of_the_host(lmax, iterations):
    how = {"lmax": lmax, "iterations": iterations}
    transform, maps = PolarizationTransform.of(8, dtype="float64", **how), white(8)
    assert (transform.nside, transform.lmax, transform.iterations) == (8, lmax, iterations)
    assert_close(qu_of_eb(transform, *maps), np.stack(qu_from_eb(*maps, **how)), 1e-12)
    assert_close(eb_of_qu(transform, *maps), np.stack(eb_from_qu(*maps, **how)), 1e-12)


def test_maps_within_the_band_return(transform):
    qu = np.stack(qu_of_eb(transform, *white(8)))
    eb = np.stack(eb_of_qu(transform, *qu))
    assert_close(qu_of_eb(transform, *eb), qu, 1e-10)


@pytest.mark.parametrize("function", [qu_of_eb, eb_of_qu])
def test_gradients(transform, function):
    maps, tangents, cotangents = (jnp.asarray(white(8, seed)) for seed in range(3))

    def linear(maps):
        return jnp.stack(function(transform, *maps))

    moved = linear(tangents)
    value, tangent = jax.jvp(linear, (maps,), (tangents,))
    assert_close(value, linear(maps), 1e-13)
    assert_close(tangent, moved, 1e-13)
    back = jax.vjp(linear, maps)[1](cotangents)[0]
    assert np.vdot(back, tangents) == pytest.approx(float(np.vdot(moved, cotangents)), rel=1e-12)

    @jax.jit
    def loss(maps):
        return jnp.sum(jnp.tanh(linear(maps)))

    slope, step = np.vdot(jax.grad(loss)(maps), tangents), 1e-5
    difference = (loss(maps + step * tangents) - loss(maps - step * tangents)) / (2 * step)
    assert slope == pytest.approx(float(difference), rel=1e-6)
    assert np.isfinite(jax.jvp(jax.grad(loss), (maps,), (tangents,))[1]).all()


def test_vmap_is_a_loop(transform):
    lanes = jnp.stack([white(8, seed) for seed in range(3)])

    def loss(maps):
        return sum(jnp.sum(map**3) for map in eb_of_qu(transform, *maps))

    one_by_one = jax.jit(jax.grad(loss))
    expected = np.stack([one_by_one(lane) for lane in lanes])
    assert_close(jax.jit(jax.vmap(jax.grad(loss)))(lanes), expected, 1e-12)


def test_float32_stays_float32_and_close(transform):
    maps = white(8).astype(np.float32)
    with jax.enable_x64(False):
        single = PolarizationTransform.of(8)
        found = qu_of_eb(single, *maps), eb_of_qu(single, *maps)
        text = str(jax.make_jaxpr(single.eb_of_qu)(*maps))
    assert "f64" not in text and "callback" not in text and "complex" not in text
    for one, expected in zip(found, (qu_from_eb(*maps), eb_from_qu(*maps)), strict=True):
        assert one[0].dtype == np.float32
        assert_close(np.stack(one), np.stack(expected), 1e-5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"nside": 1}, "nside: got 1, expected 2 to 256"),
        ({"nside": 512}, "nside: got 512, expected 2 to 256"),
        ({"nside": 3}, "nside: got 3, expected a power of two"),
        ({"lmax": 24}, "lmax: got 24, above what the tables hold, expected an integer from 2 to"),
        ({"dtype": "int32"}, "dtype: got 'int32', expected float32 or float64"),
        ({"dtype": "what"}, "dtype: got 'what', expected float32 or float64"),
        ({"dtype": None}, "dtype: got None, expected float32 or float64"),
        ({"iterations": -1}, "iterations: got -1, expected an integer from 0 up"),
    ],
)
def test_what_cannot_be_built_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        PolarizationTransform.of(**{"nside": 8} | how)


def test_float64_is_refused_in_32_bit_mode():
    with jax.enable_x64(False), pytest.raises(ValueError, match="^dtype: got float64 while JAX"):
        PolarizationTransform.of(8, dtype=np.float64)


def test_maps_of_another_nside_are_refused(transform):
    with pytest.raises(ValueError, match=r"^u: got an array of shape \(192,\), expected one map"):
        transform.eb_of_qu(np.zeros(NPIX), np.zeros(192))
    with pytest.raises(ValueError, match=r"^e: got an array of shape \(2, 768\), expected one map"):
        transform.qu_of_eb(np.zeros((2, NPIX)), np.zeros((2, NPIX)))
