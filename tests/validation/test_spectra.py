import healpy
import numpy as np
import pytest

from jaxscat.harmonics.spectra import (
    angular_power_spectrum,
    filtered_noise,
    harmonic_coefficients,
    multipole_bins,
    power_beyond,
)
from jaxscat.validation.spectra import (
    binned_correlation,
    binned_ratio,
    chance_correlation,
    less_noise,
    mean_ratio,
    octave_ranges,
)

NSIDE = 16
LMAX = 3 * NSIDE - 1


def test_data_less_noise_are_exact_bin_by_bin_and_unknown_where_noise_covers_them():
    bins = [(2, 3), (4, 7), (8, 15)]
    signal = np.concatenate([[0, 0], np.arange(2.0, 16.0) ** -4])  # steep, which smoothing levels
    noise = np.full(17, 1e-3)  # with the level beyond
    found = less_noise(signal + noise[:16], noise, bins)
    np.testing.assert_allclose(found[2:8], signal[2:8], rtol=1e-12)
    assert np.isnan(found[8:]).all()
    ratios = binned_ratio(signal + noise[:16], found, bins)
    assert ratios[0] == pytest.approx(1 + 12e-3 / (5 * 2**-4 + 7 * 3**-4)) and np.isnan(ratios[2])


def map_from(alm):
    return healpy.reorder(healpy.alm2map(alm, NSIDE, lmax=LMAX), r2n=True)


def noise(seed):
    return np.random.default_rng(seed).standard_normal(12 * NSIDE**2)


def test_one_harmonic_has_its_power_at_its_multipole_only():
    alm = np.zeros(healpy.Alm.getsize(LMAX), complex)
    alm[healpy.Alm.getidx(LMAX, 3, 2)] = 1.0 + 2.0j
    spectrum = angular_power_spectrum(map_from(alm))
    # m = 2 stands for m = -2 too: 2 |a|^2 / (2 l + 1)
    assert spectrum[3] == pytest.approx(2 * 5.0 / 7.0, rel=1e-6)
    assert np.delete(spectrum, 3).max() < 1e-6


def test_white_noise_has_a_flat_spectrum_of_the_pixel_size():
    spectrum = angular_power_spectrum(noise(0))
    assert len(spectrum) == 3 * NSIDE
    assert spectrum[2 : 2 * NSIDE].mean() == pytest.approx(4 * np.pi / (12 * NSIDE**2), rel=0.1)


def test_cut_sky_is_corrected_for_its_area_and_ignores_what_is_outside():
    z = np.array(healpy.pix2vec(NSIDE, np.arange(12 * NSIDE**2), nest=True))[2]
    footprint = (z > 0.2).astype(float)
    map = noise(1) + 5.0
    cut = angular_power_spectrum(map, footprint)
    level = 4 * np.pi / (12 * NSIDE**2)
    assert cut[2 : 2 * NSIDE].mean() == pytest.approx(level, rel=0.15)
    changed = np.where(footprint > 0, map, 1e3)
    np.testing.assert_allclose(angular_power_spectrum(changed, footprint), cut, rtol=1e-12)


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 32, 128])
def test_bins_cover_each_multipole_from_2_up_once(nside):
    bins = multipole_bins(nside, per_octave=2)
    covered = [multipole for low, high in bins for multipole in range(low, high + 1)]
    assert covered == list(range(2, max(3 * nside, 3)))


def test_ratios_of_a_map_twice_as_strong_are_four():
    spectrum = angular_power_spectrum(noise(2))
    assert mean_ratio(4 * spectrum, spectrum) == pytest.approx(4.0)
    assert binned_ratio(4 * spectrum, spectrum, multipole_bins(NSIDE)) == pytest.approx(
        [4.0] * len(multipole_bins(NSIDE))
    )


def test_binned_ratio_weighs_by_the_number_of_modes():
    spectrum, reference = np.zeros(48), np.ones(48)
    spectrum[2] = 1.0
    # l = 2 and 3 have 5 and 7 modes
    assert binned_ratio(spectrum, reference, [(2, 3)]) == pytest.approx([5 / 12])


def test_mean_ratio_leaves_out_monopole_and_dipole():
    spectrum = np.ones(48)
    spectrum[:2] = 9.0
    assert mean_ratio(spectrum, np.ones(48)) == pytest.approx(1.0)


def test_correlation_finds_the_multipoles_that_two_maps_share():
    first, second = harmonic_coefficients(noise(3)), harmonic_coefficients(noise(4))
    multipole, _ = healpy.Alm.getlm(LMAX)
    mixed = np.where(multipole < 8, -first, second)
    low, high = binned_correlation(mixed, first, [(2, 7), (8, 32)])
    assert low == pytest.approx(-1.0)
    assert abs(high) < 0.15  # some 1000 modes


@pytest.mark.parametrize("nside", [1, 2, 4, 8, 16, 128])
def test_ranges_cover_each_multipole_from_1_up_once_by_octaves(nside):
    ranges = octave_ranges(nside)
    covered = [multipole for low, high in ranges for multipole in range(low, high + 1)]
    assert covered == list(range(1, 3 * nside))
    for low, high in ranges[1:-1]:
        assert high == 2 * low - 1
    if nside > 1:
        assert ranges[-1][0] in (1, nside)
    assert octave_ranges(16) == [(1, 3), (4, 7), (8, 15), (16, 47)]


def test_chance_of_equal_power_is_one_over_the_root_of_the_modes():
    assert chance_correlation(np.full(48, 7.0), 4, 7) == pytest.approx(
        1 / np.sqrt(9 + 11 + 13 + 15)
    )
    spectrum = np.zeros(48)
    spectrum[[2, 3]] = 1.0, 2.0
    expected = np.sqrt(5 * 1 + 7 * 4) / (5 * 1 + 7 * 2)
    assert chance_correlation(spectrum, 1, 3) == pytest.approx(expected)


def test_chance_is_the_scatter_of_independent_gaussian_maps():
    generator = np.random.default_rng(8)
    spectrum = 1.0 / (3.0 + np.arange(LMAX + 1)) ** 2
    multipole, order = healpy.Alm.getlm(LMAX)
    ranges = [(1, 3), (4, 7), (8, 15), (16, 47)]

    def drawn():
        real, imaginary = generator.standard_normal((2, multipole.size))
        modes = np.where(order > 0, (real + 1j * imaginary) / np.sqrt(2), real)
        return modes * np.sqrt(spectrum[multipole])

    found = np.array([binned_correlation(drawn(), drawn(), ranges) for _ in range(200)])
    scatter = np.sqrt(np.mean(found**2, axis=0))
    for each, (low, high) in zip(scatter, ranges, strict=True):
        assert abs(chance_correlation(spectrum, low, high) - each) < 4 * each / np.sqrt(2 * 200)
    assert (np.abs(found.mean(axis=0)) < 4 * scatter / np.sqrt(200)).all()
    copy = drawn()
    assert binned_correlation(copy, copy, ranges) == pytest.approx([1.0] * 4, rel=1e-12)


def test_chance_under_a_footprint_is_the_scatter_of_independent_gaussian_maps():
    """Inside a cap of 30 % of the sphere."""
    cap = (healpy.pix2vec(NSIDE, np.arange(12 * NSIDE**2), nest=True)[2] > 0.4).astype(float)
    assert cap.mean() == pytest.approx(0.3, abs=0.01)
    spectrum = 1.0 / (3.0 + np.arange(LMAX + 1)) ** 2
    variance = variance_of(spectrum)
    ranges = [(1, 3), (4, 7), (8, 15), (16, 47)]

    def drawn(seed):
        return harmonic_coefficients(filtered_noise(noise(seed), spectrum, variance), cap)

    found = [binned_correlation(drawn(2 * n), drawn(2 * n + 1), ranges) for n in range(100)]
    scatter = np.sqrt(np.mean(np.square(found), axis=0))
    measured = angular_power_spectrum(filtered_noise(noise(0), spectrum, variance), cap)
    for each, (low, high) in zip(scatter, ranges, strict=True):
        for given in (spectrum, measured):
            assert each == pytest.approx(chance_correlation(given, low, high, cap), rel=0.3)
    # Without the footprint it would be far too small.
    alone = [chance_correlation(spectrum, low, high) for low, high in ranges]
    assert np.mean(alone / scatter) < 0.7


def test_chance_under_a_footprint_counts_the_part_that_its_weights_leave():
    flat = np.ones(48)
    half = (np.arange(768) < 384).astype(float)
    alone = chance_correlation(flat, 4, 7)
    assert chance_correlation(flat, 4, 7, half) == pytest.approx(alone * np.sqrt(2))
    assert chance_correlation(flat, 4, 7, np.full(768, 0.3)) == pytest.approx(alone)
    weights = np.random.default_rng(0).random(768)
    part = np.mean(weights**2) ** 2 / np.mean(weights**4)
    assert chance_correlation(flat, 4, 7, weights) == pytest.approx(alone / np.sqrt(part))


def test_chance_is_at_most_one():
    tiny = (np.arange(768) < 3).astype(float)
    assert chance_correlation(np.ones(48), 1, 3, tiny) == 1.0
    spectrum = np.zeros(48)
    spectrum[1] = 1.0
    assert chance_correlation(spectrum, 1, 3) == pytest.approx(1 / np.sqrt(3))


def variance_of(spectrum):
    """The variance within the multipoles of a spectrum."""
    return np.sum((2 * np.arange(spectrum.size) + 1)[1:] * spectrum[1:]) / (4 * np.pi)


def test_filtered_noise_has_the_spectrum_the_variance_and_no_mean():
    spectrum = 1.0 / (3.0 + np.arange(LMAX + 1)) ** 2
    variance = 1.1 * variance_of(spectrum)
    maps = [filtered_noise(noise(seed), spectrum, variance) for seed in range(30)]
    scatter = np.std(np.var(maps, axis=1), ddof=1) / np.sqrt(30)
    assert abs(np.mean(np.var(maps, axis=1)) - variance) < 4 * scatter
    np.testing.assert_allclose([map.mean() for map in maps], 0, atol=1e-3 * np.std(maps))
    found = np.mean([angular_power_spectrum(map) for map in maps], axis=0)
    multipole = np.arange(LMAX + 1)
    for low, high in [(1, 3), (4, 7), (8, 15), (16, 23), (24, 31)]:
        window = slice(low, high + 1)
        modes = 2 * multipole[window] + 1
        ratio = np.sum(modes * found[window]) / np.sum(modes * spectrum[window])
        error = chance_correlation(spectrum, low, high) * np.sqrt(2 / 30)
        assert abs(ratio - 1) < 4 * error


@pytest.mark.parametrize("part", [0.0, 0.03, 0.3])
def test_filtered_noise_has_the_rest_of_the_variance_beyond_its_multipoles(part):
    spectrum = 1.0 / (3.0 + np.arange(LMAX + 1)) ** 2
    wanted = part * variance_of(spectrum)
    map = filtered_noise(noise(1), spectrum, variance_of(spectrum) + wanted)
    ring = healpy.reorder(map, n2r=True)
    rest = ring - healpy.alm2map(healpy.map2alm(ring, iter=10), NSIDE, lmax=LMAX)
    # The harmonics near the last multipole are not quite independent on the pixels.
    assert np.var(rest) == pytest.approx(wanted, rel=0.2, abs=1e-3 * variance_of(spectrum))


def test_power_beyond_is_that_of_white_noise_and_never_negative():
    flat = np.full(LMAX + 1, 4 * np.pi / (12 * NSIDE**2))
    # The monopole of white noise does not count in its variance.
    assert power_beyond(flat, 1 - 1 / (12 * NSIDE**2)) == pytest.approx(flat[0], rel=1e-12)
    assert power_beyond(flat, 0.1) == 0.0


def test_filtered_noise_of_a_flat_spectrum_is_the_noise_without_its_mean():
    white = noise(1)
    found = filtered_noise(white, np.full(LMAX + 1, 4 * np.pi / white.size), 1 - 1 / white.size)
    np.testing.assert_allclose(found, white - white.mean(), atol=1e-3)
