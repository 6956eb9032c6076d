"""Running means of spectra, against sums that are written out."""

import math

import numpy as np
import pytest

from jaxscat.harmonics.spectra import running_windows, smooth_spectrum


def window(multipole, count, octaves):
    """All multipoles within half the width of an octave's part, by logarithms."""
    if multipole == 0:
        return [0]
    return [at for at in range(1, count) if abs(math.log2(at / multipole)) <= octaves / 2]


@pytest.mark.parametrize("octaves", [0.25, 1.0])
def test_windows_hold_the_multipoles_within_a_part_of_an_octave(octaves):
    low, high = running_windows(48, octaves=octaves)
    for multipole in range(48):
        expected = window(multipole, 48, octaves)
        assert list(range(low[multipole], high[multipole])) == expected


@pytest.mark.parametrize("octaves", [0.25, 1.0])
def test_smoothing_is_the_mean_over_all_modes_of_a_window(octaves):
    spectrum = np.random.default_rng(0).gamma(1.0, size=24)
    found = smooth_spectrum(spectrum, octaves=octaves)
    assert found.shape == (24,)
    for multipole in range(24):
        near = window(multipole, 24, octaves)
        total = math.fsum((2 * at + 1) * spectrum[at] for at in near)
        assert found[multipole] == pytest.approx(total / sum(2 * at + 1 for at in near), rel=1e-12)
    # Lone multipoles stay: 13 is the first within a quarter of an octave of another, 12.
    alone = {0.25: 12, 1.0: 3}[octaves]
    np.testing.assert_allclose(found[:alone], spectrum[:alone], rtol=1e-12)


def test_the_level_beyond_stays_and_reaches_no_multipole():
    levels = np.append(np.random.default_rng(1).gamma(1.0, size=24), 100.0)
    found = smooth_spectrum(levels)
    assert found[-1] == 100
    np.testing.assert_array_equal(found[:-1], smooth_spectrum(levels[:-1]))


def test_a_constant_spectrum_stays():
    np.testing.assert_allclose(smooth_spectrum(np.full(97, 0.3)), 0.3, rtol=1e-12)


def test_windows_are_made_wide_enough_for_a_number_of_modes():
    low, high = running_windows(48, least_modes=32)
    assert (low[0], high[0]) == (0, 1)
    modes = high**2 - low**2
    assert (modes[1:] >= 32).all()
    narrow = running_windows(48)
    enough = narrow[1] ** 2 - narrow[0] ** 2 >= 32
    np.testing.assert_array_equal(low[enough], narrow[0][enough])
    np.testing.assert_array_equal(high[enough], narrow[1][enough])
    # No wider than that: without its last multipole on either side, it would hold too few.
    few = np.flatnonzero(~enough)[1:]
    assert ((high[few] - 1) ** 2 - (low[few] + 1) ** 2 < 32).all()
