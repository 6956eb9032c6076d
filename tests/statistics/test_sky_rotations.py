"""Rotations of the sky: orientation means of E and B hardly change, those of Q and U do."""

import healpy
import numpy as np

from jaxscat.statistics.fields import measure_fields

NSIDE, LMAX = 32, 64


def make_maps(harmonics):
    """NESTED E and B, and Q and U, of the coefficients of T, E and B."""
    e, b = (healpy.alm2map(one, NSIDE, lmax=LMAX) for one in harmonics[1:])
    _, q, u = healpy.alm2map(list(harmonics), NSIDE, lmax=LMAX)
    maps = {"E": e, "B": b, "Q": q, "U": u}
    return {name: healpy.reorder(map, r2n=True) for name, map in maps.items()}


def test_means_of_e_and_b_hardly_change(pyramids):
    """In percent, rms over six rotations: S1 and S2 of three scales."""
    operators = pyramids(NSIDE, scales=3)
    multipole = np.arange(LMAX + 1)
    spectrum = np.append([0, 0], multipole[2:] ** -2.4)
    np.random.seed(3)
    none = 0 * spectrum
    spectra = (spectrum, spectrum, spectrum / 2, spectrum / 2, none, none)
    harmonics = healpy.synalm(spectra, lmax=LMAX, new=True)

    def means(harmonics):
        found = measure_fields(make_maps(harmonics), operators, pairs=["EE", "BB", "QQ", "UU"])
        return np.array([np.mean([one.s1, one.s2], axis=-1) for one in found.statistics])

    before, after = means(harmonics), []
    generator = np.random.default_rng(0)
    for _ in range(6):
        angles = generator.uniform(0, 2 * np.pi, 2)
        polar = np.arccos(generator.uniform(-1, 1))
        turned = [one.copy() for one in harmonics]
        for one in turned:
            healpy.rotate_alm(one, angles[0], polar, angles[1], lmax=LMAX)
        after.append(means(turned))
    e, b, q, u = 100 * np.sqrt(np.mean((np.array(after) / before - 1) ** 2, axis=0))
    assert (e < 1).all() and (b < 1).all(), (e, b)
    # As scalars, Q and U are other maps after a rotation.
    for found in (q, u):
        assert (found > 3 * e).all() and found[1, 2] > 5, found
