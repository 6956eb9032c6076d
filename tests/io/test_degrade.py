"""Averages over coarser pixels: of scalars, and of Q and U near the poles."""

import healpy
import numpy as np
import pytest

from jaxscat import load_sky
from jaxscat.io.degrade import average_children, average_polarization
from tests.io.conftest import maps_header, table


def test_average_is_that_of_healpy():
    values = np.random.default_rng(0).standard_normal(12 * 16**2)
    missing = np.random.default_rng(1).random(values.size) < 0.3
    unseen = np.where(missing, healpy.UNSEEN, values)
    for nside in (16, 8, 2, 1):
        expected = healpy.ud_grade(unseen, nside, order_in="NESTED", order_out="NESTED")
        found = average_children(values.copy(), missing, nside)
        np.testing.assert_allclose(
            found[expected != healpy.UNSEEN], expected[expected != healpy.UNSEEN]
        )


@pytest.fixture(scope="module")
def smooth():
    """Q, U and a scalar of multipoles up to 4, at nside 64 and at nside 16, NESTED."""
    rng = np.random.default_rng(4)
    lmax = 4
    alm = [rng.standard_normal((15, 2)) @ [1, 1j] for _ in range(2)]
    degree, m = healpy.Alm.getlm(lmax)
    alm = [np.where(m == 0, one.real, one) * (degree >= 2) for one in alm]
    maps = {}
    for nside in (64, 16):
        three = [
            *healpy.alm2map_spin(alm, nside, 2, lmax),
            healpy.alm2map(alm[0], nside, lmax=lmax),
        ]
        maps[nside] = [healpy.reorder(one, r2n=True) for one in three]
    return maps


def test_polarization_is_averaged_along_meridians_also_at_the_poles(smooth):
    plain = [one.reshape(-1, 16).mean(axis=1) for one in smooth[64]]
    q, u, _ = smooth[64]
    found = average_polarization(q, u, np.zeros(q.size, dtype=bool), 16)

    def error(averages, expected):
        return np.abs(np.subtract(averages, expected)).max() / np.std(expected)

    scalar = error(plain[2], smooth[16][2])  # what averaging over a pixel does by itself
    assert error(found, smooth[16][:2]) < 1.5 * scalar
    assert error(plain[:2], smooth[16][:2]) > 5 * scalar


def test_polarization_averages_leave_out_missing_pixels(smooth):
    q, u = (one.copy() for one in smooth[64][:2])
    missing = np.random.default_rng(3).random(q.size) < 0.5
    missing[:16] = True
    q[missing], u[missing] = 1e30, np.nan
    found = average_polarization(q, u, missing, 16)
    assert found[0][0] == found[1][0] == 0.0
    error = np.abs(np.subtract(found, smooth[16][:2]))[:, 1:].max() / np.std(smooth[16])
    assert error < 0.3


def test_files_of_polarization_are_averaged_so(write_tables, smooth):
    q, u, _ = smooth[64]
    columns = [("Q_STOKES", "D", q), ("U_STOKES", "D", u)]
    path = write_tables(table(columns, **maps_header(nside=64, POLCCONV="COSMO")))
    sky = load_sky(path, 16)
    np.testing.assert_allclose(
        [sky.maps["Q"], sky.maps["U"]], smooth[16][:2], atol=0.03 * np.std(q)
    )
    with pytest.warns(UserWarning, match="Q or U is averaged without the other"):
        alone = load_sky(path, 16, fields="Q")
    assert np.abs(alone.map - smooth[16][0]).max() > 0.05 * np.std(q)
    np.testing.assert_array_equal(load_sky(path).maps["U"], u)
