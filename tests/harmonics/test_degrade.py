"""Lower resolution through harmonic coefficients, against the coefficients that were drawn."""

import healpy
import numpy as np
import pytest

from jaxscat.harmonics.degrade import degrade_polarization, degrade_scalar


def drawn(lmax, seed):
    rng = np.random.default_rng(seed)
    alm = rng.standard_normal((healpy.Alm.getsize(lmax), 2)) @ [1, 1j]
    degree, order = healpy.Alm.getlm(lmax)
    return np.where(degree < 2, 0, np.where(order == 0, alm.real, alm))


@pytest.mark.parametrize(("lmax", "kept"), [(None, 8), (5, 5), (11, 11)])
def test_coefficients_are_kept_up_to_the_band_limit(lmax, kept):
    e, b = drawn(16, 0), drawn(16, 1)
    q, u = healpy.alm2map_spin([e, b], 8, 2, 16)
    q, u, t = (healpy.reorder(one, r2n=True) for one in (q, u, healpy.alm2map(e, 8)))
    e, b = (healpy.resize_alm(one, 16, 16, kept, kept) for one in (e, b))
    expected = [healpy.alm2map(e, 4, lmax=kept), *healpy.alm2map_spin([e, b], 4, 2, kept)]
    how = {"lmax": lmax, "iterations": 10}
    found = [degrade_scalar(t + 1e3, 4, **how) - 1e3, *degrade_polarization([q, u], 4, **how)]
    three = degrade_polarization((one for one in (t + 1e3, q, u)), 4, **how)
    np.testing.assert_allclose(three, [found[0] + 1e3, *found[1:]], rtol=1e-9, atol=1e-9)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, healpy.reorder(other, r2n=True), atol=1e-8 * other.std())


def test_maps_that_are_given_are_not_changed():
    q, u = np.random.default_rng(0).standard_normal((2, 192))
    kept = q.copy(), u.copy()
    degrade_polarization([q, u], 2)
    degrade_polarization([q, q, u], 2)
    degrade_scalar(q, 2)
    np.testing.assert_array_equal([q, u], kept)
