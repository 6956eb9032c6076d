"""The Wiener filter that knows the spectra of the truth."""

import healpy
import numpy as np
import pytest

from jaxscat.reconstruction.template_filter import best_wiener_filter

NSIDE = 8


@pytest.fixture(scope="module")
def maps():
    generator = np.random.default_rng(1)
    white = generator.normal(size=(3, 12 * NSIDE**2)) * NSIDE * np.sqrt(3 / np.pi)
    maps = [healpy.alm2map(healpy.map2alm(map, lmax=16), NSIDE, lmax=16) for map in white]
    t, own, noise = (healpy.reorder(map, r2n=True) for map in maps)
    return t, 2 * t + own, np.sqrt(2) * noise


def test_it_is_better_with_a_template_and_both_are_better_than_the_data(maps):
    t, truth, noise = maps
    levels = np.append(np.full(3 * NSIDE, 2.0), 0.0)
    alone = best_wiener_filter(truth + noise, truth, levels)
    known = best_wiener_filter(truth + noise, truth, levels, (t - t.mean())[None])
    away = [np.std(map - truth) for map in (known, alone, truth + noise)]
    assert away[0] < 0.9 * away[1] < 0.9 * away[2]


def test_without_templates_it_is_the_filter_of_healpy(maps):
    _, truth, noise = maps
    levels = np.append(np.full(3 * NSIDE, 2.0), 0.0)
    found = best_wiener_filter(truth + noise, truth, levels)
    ring = healpy.reorder(truth, n2r=True)
    signal = healpy.anafast(ring, lmax=16, iter=3)
    ratio = signal / (signal + 2.0)
    alm = healpy.map2alm(healpy.reorder(truth + noise, n2r=True), lmax=16, iter=3)
    wanted = healpy.alm2map(healpy.almxfl(alm, np.append([0, 0], ratio[2:])), NSIDE, lmax=16)
    got = healpy.map2alm(healpy.reorder(found, n2r=True), lmax=16, iter=3)
    got = healpy.alm2map(healpy.almxfl(got, np.append([0, 0], np.ones(15))), NSIDE, lmax=16)
    np.testing.assert_allclose(got, wanted, atol=0.02 * wanted.std())


def test_a_truth_of_another_size_is_refused(maps):
    with pytest.raises(ValueError, match="truth"):
        best_wiener_filter(maps[0], np.ones(7), np.ones(25))
