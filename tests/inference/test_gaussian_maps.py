"""Gaussian maps have the spectrum that was asked for, and nothing beyond it."""

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.inference import GaussianMaps

DRAW = GaussianMaps.of(4, dtype="float64")
MULTIPOLE = np.arange(DRAW.lmax + 1)
SPECTRUM = np.where(MULTIPOLE > 0, 3.0 / np.maximum(MULTIPOLE, 1) ** 2, 0.0)
COUNT = 400


@pytest.fixture(scope="module")
def harmonics():
    """Of many maps, up to beyond the last multipole, by healpy."""
    maps = np.asarray(jax.vmap(DRAW, (None, 0))(SPECTRUM, jnp.arange(COUNT)))
    rings = healpy.reorder(maps, n2r=True)
    return np.array([healpy.map2alm(map, lmax=11, iter=10) for map in rings])


def test_the_power_in_every_multipole_is_that_of_the_spectrum(harmonics):
    found = np.mean([healpy.alm2cl(one) for one in harmonics], axis=0)
    modes = COUNT * (2 * MULTIPOLE[1:] + 1)
    deviations = (found[1 : MULTIPOLE.size] / SPECTRUM[1:] - 1) / np.sqrt(2 / modes)
    assert np.abs(deviations).max() < 4
    assert (deviations**2).sum() < 25  # of 7 degrees of freedom
    assert found[MULTIPOLE.size :].max() < 1e-8 * SPECTRUM[-1] and found[0] < 1e-12


def test_every_order_has_its_share(harmonics):
    """Real for m = 0, else two parts of half the variance."""
    multipole, order = healpy.Alm.getlm(11)
    inside = (multipole > 0) & (multipole < MULTIPOLE.size)
    spectrum = SPECTRUM[np.minimum(multipole, DRAW.lmax)]
    for part, share, chosen in (
        (harmonics.real, np.where(order == 0, 1, 0.5), inside),
        (harmonics.imag, 0.5, inside & (order > 0)),
    ):
        power = (spectrum * share)[chosen]
        ratio = (part[:, chosen] ** 2).mean(0) / power
        assert np.abs(ratio - 1).max() < 4.5 * np.sqrt(2 / COUNT)


def test_the_derivative_by_the_logarithm_of_the_amplitude_is_half_the_map():
    map, slope = jax.jvp(lambda a: DRAW(jnp.exp(a) * SPECTRUM, 3), (0.0,), (1.0,))
    np.testing.assert_allclose(slope, map / 2, rtol=1e-12)


def test_seeds_and_keys_are_the_same_and_seeds_compile_once(compilations):
    map = DRAW(SPECTRUM, 5)
    before = len(compilations)
    other = DRAW(SPECTRUM, 6)
    assert len(compilations) == before
    np.testing.assert_array_equal(DRAW(SPECTRUM, jax.random.key(5)), map)
    assert np.std(other - map) > 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nside": 3}, "nside: got 3, expected a power of two"),
        ({"nside": 512}, "nside: got 512, expected 2 to 256"),
        ({"nside": 4, "lmax": 6}, "lmax: got 6, expected an odd multipole up to 11"),
        ({"nside": 4, "lmax": 13}, "lmax: got 13, expected"),
        ({"nside": 4, "dtype": "int32"}, "dtype: got 'int32', expected float32 or float64"),
    ],
)
def test_bad_tables_are_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        GaussianMaps.of(**given)


def test_a_spectrum_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"^spectrum: got shape \(9,\), expected C_l for l = 0 to"):
        DRAW(np.ones(9), 0)
