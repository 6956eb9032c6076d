"""Power in bins of multipoles, against healpy's analysis without iterations."""

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.band_power import BandPower

BINS = [(0, 0), (2, 5), (6, 6), (12, 23)]

measure = jax.jit(lambda term, map: term.measure(map))


def binned(map, bins):
    """Mean C_l of bins, mode by mode."""
    nside = healpy.npix2nside(map.size)
    alm = healpy.map2alm(healpy.reorder(map, n2r=True), iter=0)
    multipole, order = healpy.Alm.getlm(3 * nside - 1)
    power = np.where(order == 0, 1, 2) * np.abs(alm) ** 2
    return np.array(
        [
            power[(multipole >= low) & (multipole <= high)].sum()
            / sum(2 * at + 1 for at in range(low, high + 1))
            for low, high in bins
        ]
    )


@pytest.fixture(scope="module")
def term():
    return BandPower.of(8, BINS, dtype=np.float64)


@pytest.mark.parametrize(("nside", "bins"), [(8, BINS), (2, [(3, 5), (0, 1)])])
def test_power_in_bins_is_healpys_without_iterations(nside, bins):
    map = 0.3 + np.random.default_rng(0).standard_normal(12 * nside**2)
    found = measure(BandPower.of(nside, bins, dtype=np.float64), map)
    np.testing.assert_allclose(found, binned(map, bins), rtol=1e-10)


def test_weights_hide_pixels_and_keep_the_level_of_the_power():
    """The weighted mean is taken off, and the mean square of the weights divides."""
    generator = np.random.default_rng(1)
    map, weight = 5 + generator.standard_normal(768), generator.uniform(size=768)
    weight[:200] = 0
    term = BandPower.of(8, BINS, dtype=np.float64, weight=weight)
    cut = (map - np.average(map, weights=weight)) * weight
    expected = binned(cut, BINS) / np.mean(weight**2)
    np.testing.assert_allclose(measure(term, map), expected, rtol=1e-10, atol=1e-20)
    map[:200] = 1e3
    np.testing.assert_allclose(measure(term, map), expected, rtol=1e-10, atol=1e-20)
    assert expected[3] == pytest.approx(4 * np.pi / 768, rel=0.3)
    ones = BandPower.of(8, BINS, dtype=np.float64, weight=(weight > 0).astype(int))
    assert ones.weight.dtype == np.float64


def test_the_value_is_the_mean_square_in_units_of_sigma(term):
    map = np.random.default_rng(2).standard_normal(768)
    power = binned(map, BINS)
    np.testing.assert_array_equal(term.calibration, [np.zeros(4), np.ones(4)])
    assert float(term(map)) == pytest.approx(np.mean(power**2), rel=1e-10)
    mean, sigma = np.arange(4) * 0.01, 0.02 + np.arange(4) * 0.01
    moved = term.calibrated(jnp.asarray(mean), jnp.asarray(sigma))
    np.testing.assert_array_equal(moved.calibration, [mean, sigma])
    expected = np.mean([((power[at] - mean[at]) / sigma[at]) ** 2 for at in range(4)])
    assert float(moved(map)) == pytest.approx(expected, rel=1e-10)
    assert float(term.calibrated(measure(term, map), sigma)(map)) == 0


def test_multipoles_of_no_bin_do_not_count(term):
    alm = np.zeros(healpy.Alm.getsize(23), complex)
    for multipole, order, value in ((4, 0, 1), (4, 3, 1j), (9, 0, 30), (9, 7, 20)):
        alm[healpy.Alm.getidx(23, multipole, order)] = value
    map = healpy.reorder(healpy.alm2map(alm, 8, lmax=23), r2n=True)
    found = np.asarray(measure(term, map))
    # One squared and twice one squared, over the 32 coefficients of l = 2 to 5. Without iterations,
    # a percent of an amplitude of 30 leaks.
    assert found[1] == pytest.approx(3 / 32, rel=0.1)
    assert np.delete(found, 1).max() < 0.09
    np.testing.assert_allclose(found, binned(map, BINS), rtol=1e-9)


def test_single_precision_is_close(term):
    map = np.random.default_rng(3).standard_normal(768).astype(np.float32)
    single = BandPower.of(8, BINS)
    found = measure(single, map)
    assert found.dtype == np.float32 and {leaf.dtype.name for leaf in jax.tree.leaves(single)} <= {
        "float32",
        "int32",
    }
    np.testing.assert_allclose(found, measure(term, map.astype(float)), rtol=1e-4)


@pytest.mark.parametrize(
    ("nside", "message"),
    [
        (1, "got 1, expected 2 to 256 for power in bins"),
        (512, "got 512, expected 2 to 256 for power in bins"),
        (3, "got 3, expected a power of two"),
        (2.0, "got 2.0, expected a power of two"),
    ],
)
def test_an_nside_without_tables_is_refused(nside, message):
    with pytest.raises(ValueError, match=f"^nside: {message}"):
        BandPower.of(nside, [(0, 1)])


@pytest.mark.parametrize(
    "bins",
    [
        [(2, 5), (5, 7)],
        [(2, 8), (3, 4)],
        [(3, 2)],
        [(-1, 2)],
        [(20, 24)],
        [(1.0, 2)],
        [(1, 2, 3)],
        [3, 4],
        ["01"],
        [None],
    ],
    ids=str,
)
def test_bins_that_are_none_are_refused(bins):
    with pytest.raises(
        ValueError, match=r"^bins: got .*, expected \(first, last\) multipoles from"
    ):
        BandPower.of(8, bins)


@pytest.mark.parametrize("bins", [[], (), None, 3, {}])
def test_no_bins_are_refused(bins):
    with pytest.raises(ValueError, match=r"^bins: got .*, expected at least one \(first, last\)"):
        BandPower.of(8, bins)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(192), "got 192 pixels, expected 768"),
        (-np.ones(768), "got 768 negative weights"),
        (np.zeros(768), "got zero in every pixel"),
        (np.full(768, np.nan), "got 768 of 768 pixels NaN"),
        (np.ones((2, 768)), r"got shape \(2, 768\), expected \(npix,\)"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=f"^weight: {message}"):
        BandPower.of(8, BINS, weight=weight)
