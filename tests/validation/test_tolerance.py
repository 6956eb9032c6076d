import tracemalloc

import healpy
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation.comparison import compare_with
from jaxscat.validation.coupling import band_maps
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.parts import balanced_halves, sky_parts
from jaxscat.validation.spectra import chance_correlation

NSIDE = 16
NPIX = 12 * NSIDE**2


def gaussian(seed):
    """A Gaussian map of one spectrum, with the variance of that."""
    generator = np.random.default_rng(seed)
    alm = generator.standard_normal((healpy.Alm.getsize(3 * NSIDE - 1), 2)) @ [1.0, 1.0j]
    alm[: 3 * NSIDE] = np.sqrt(2) * alm[: 3 * NSIDE].real
    ring = healpy.alm2map(healpy.almxfl(alm, 1 / (5.0 + np.arange(3 * NSIDE))), NSIDE)
    return healpy.reorder(ring / 0.9, r2n=True)


def skewed(seed):
    """A skewed map with a mean of one."""
    map = np.exp(0.6 * gaussian(seed))
    return map + (1.0 - map.mean())


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=1, orientations=1, dtype=np.float64)


def test_halves_are_balanced_and_orthogonal():
    halves = list(balanced_halves(12 * 16))
    signs = np.array([first - second for first, second in halves])
    assert len(halves) == 11 and (sum(halves[0]) == 1).all()
    np.testing.assert_array_equal(signs @ signs.T, 192 * np.eye(11))
    assert (signs.reshape(11, 12, 16) == signs.reshape(11, 12, 16)[:, :, :1]).all()
    assert (signs.sum(axis=1) == 0).all()


def test_differences_of_halves_are_the_variance_of_the_mean_over_parts():
    map = np.random.default_rng(1).gamma(2.0, size=192)
    apart = [
        np.average(map, weights=first) - np.average(map, weights=second)
        for first, second in balanced_halves(map.size)
    ]
    of_parts = map.reshape(12, 16).mean(axis=1)
    assert np.mean(np.square(apart)) == pytest.approx(4 * of_parts.var(ddof=1) / 12)


def test_parts_have_the_same_weight_under_a_mask():
    weights = np.random.default_rng(2).uniform(size=NPIX) * (np.arange(NPIX) > 1000)
    share = np.bincount(sky_parts(NPIX, weights), weights, minlength=12) / weights.sum()
    np.testing.assert_allclose(share, 1 / 12, atol=2 * weights.max() / weights.sum())


def test_tolerance_of_power_is_the_scatter_of_skies(pyramid):
    """Of a Gaussian map's, over realizations; the halves of one sky know it to a fifth or so."""
    skies = [compare_with(gaussian(seed), pyramid, controls=0) for seed in range(3)]
    spectra = [healpy.anafast(healpy.reorder(gaussian(s), n2r=True), iter=3) for s in range(40)]
    modes = 2 * np.arange(3 * NSIDE) + 1
    for at, (low, high) in enumerate(skies[0].reference.bins):
        if low < 9:
            continue
        power = np.array([(modes * one)[low : high + 1].sum() for one in spectra])
        expected = 2 * np.sqrt(2) * power.std(ddof=1) / power.mean()
        found = [sky.tolerance.curves["power_ratio"][at] for sky in skies]
        assert np.mean(found) == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("masked", [False, True])
def test_another_sky_is_within_and_gaussian_controls_are_not(pyramid, masked):
    mask = np.ones(NPIX)
    if masked:
        mask[: NPIX // 4] = 0.0
    comparison = compare_with(skewed(0), pyramid, mask=mask if masked else None, controls=2)
    others = [comparison.report(comparison.describe(skewed(seed))) for seed in range(1, 7)]
    drawn = gaussian_control(skewed(0), seed=99, footprint=mask if masked else None)
    control = comparison.report(comparison.describe(drawn))
    names = list(others[0]["distances"])
    within = {
        name: np.mean(
            [
                one["distances"][name]["synthesized"] <= one["distances"][name]["tolerance"]
                for one in others
            ]
        )
        for name in names
    }
    assert np.mean(list(within.values())) > 0.85, within
    for name, least in {
        "wasserstein": 1.5,
        "skewness": 3.0,
        "V0": 1.0,
        "V1": 1.5,
        "V2": 1.5,
    }.items():
        row = control["distances"][name]
        assert row["synthesized"] > least * row["tolerance"], name


def test_without_what_scatters_there_is_no_tolerance(pyramid):
    flat = compare_with(np.full(NPIX, 2.0), pyramid, controls=0).tolerance
    assert not flat.distances["wasserstein"] > 0
    assert not flat.errors
    weights = np.zeros(NPIX)
    weights[7] = 1.0  # one part has all the weight, and there are no halves
    assert list(balanced_halves(NPIX, weights)) == []


def test_halves_are_held_one_pair_after_the_other():
    weights = np.ones(12 * 64**2)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        count = sum(1 for _ in balanced_halves(weights.size, weights))
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert count == 11 and most < 8 * weights.nbytes  # of 22 maps


def test_power_of_a_half_is_over_that_of_the_whole_sky_to_the_bit(pyramid):
    comparison = compare_with(skewed(0), pyramid, controls=0)
    reference = comparison.reference
    powers = [band**2 for band in band_maps(reference.harmonics, NSIDE, reference.bins)]
    rows = []
    for halves in balanced_halves(NPIX, reference.footprint):
        ratios = [
            [
                np.average(power, weights=half) / np.average(power, weights=reference.footprint)
                for power in powers
            ]
            for half in halves
        ]
        rows.append(np.subtract(*ratios))
    measured = 2.0 * np.sqrt(np.mean(np.square(rows), axis=0) / 2)
    least = [
        4 * chance_correlation(comparison.original.spectrum, *bin, reference.footprint)
        for bin in reference.bins
    ]
    found = comparison.tolerance.curves["power_ratio"]
    np.testing.assert_array_equal(found, np.maximum(measured, least))
