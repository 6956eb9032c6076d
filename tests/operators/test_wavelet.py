import cmath

import numpy as np
import pytest

from jaxscat.operators.wavelet import KERNEL_SIZES, gauge_angle, stencil_offsets, wavelet_kernel

# The 3 x 3 kernel as it is published, ten digits: rows across the wave, columns along it.
OUTER = [-0.0596500795 - 0.0340069974j, 0.0824130129, -0.0596500795 + 0.0340069974j]
INNER = [-0.1041310768 - 0.092440603j, 0.2820364457, -0.1041310768 + 0.092440603j]


def test_kernel_has_its_known_values():
    kernel = wavelet_kernel(3).reshape(3, 3)
    assert np.abs(kernel - [OUTER, INNER, OUTER]).max() < 1e-10


@pytest.mark.parametrize("size", KERNEL_SIZES)
def test_kernel_sums_to_zero_and_its_moduli_to_one(size):
    kernel = wavelet_kernel(size)
    assert kernel.shape == (size**2,)
    assert kernel.dtype == np.complex128
    assert abs(kernel.sum()) < 1e-15
    assert abs(np.abs(kernel).sum() - 1) < 1e-15


@pytest.mark.parametrize("size", KERNEL_SIZES)
def test_kernel_seen_from_behind_is_its_conjugate(size):
    kernel = wavelet_kernel(size).reshape(size, size)
    assert np.abs(kernel.imag).max() > 0.01
    np.testing.assert_allclose(kernel[::-1, ::-1], kernel.conj(), rtol=0, atol=1e-17)
    np.testing.assert_allclose(kernel[:, ::-1], kernel.conj(), rtol=0, atol=1e-17)


# Wave number, sharpness and the sum over one row of the wave, in closed form: the cosines of
# 0.75 pi are those of an octagon, the cosines of 0.5 pi those of a square.
CLOSED_FORMS = {
    5: (0.75, 0.5, 1 - np.sqrt(2) * np.exp(-0.5)),
    7: (0.5, 0.25, 1 - 2 * np.exp(-1)),
}


@pytest.mark.parametrize("size", CLOSED_FORMS)
def test_larger_kernels_have_their_closed_form(size):
    frequency, sharpness, along = CLOSED_FORMS[size]
    half = size // 2
    steps = range(-half, half + 1)
    across = 1 + 2 * sum(np.exp(-sharpness * b**2) for b in range(1, half + 1))
    mean = along * across / size**2
    expected = [
        [
            cmath.exp(-sharpness * (a**2 + b**2) + 1j * cmath.pi * frequency * a) - mean
            for a in steps
        ]
        for b in steps
    ]
    norm = sum(abs(value) for row in expected for value in row)
    kernel = wavelet_kernel(size).reshape(size, size)
    assert np.abs(kernel - np.array(expected) / norm).max() < 1e-16


def test_default_kernel_is_the_smallest():
    assert KERNEL_SIZES == (3, 5, 7)
    assert np.array_equal(wavelet_kernel(), wavelet_kernel(3))


@pytest.mark.parametrize("size", [0, 1, 2, 4, 6, 9, -3, 3.5, "5", None])
def test_unknown_kernel_size_is_refused_with_those_that_there_are(size):
    message = rf"kernel_size: got {size!r}, expected one of \[3, 5, 7\]"
    with pytest.raises(ValueError, match=message):
        wavelet_kernel(size)


def test_offsets_run_along_the_wave_first():
    along, across = stencil_offsets(3)
    assert along.tolist() == [-1, 0, 1] * 3
    assert across.tolist() == [-1] * 3 + [0] * 3 + [1] * 3
    along, across = stencil_offsets(5)
    assert along.tolist() == [-2, -1, 0, 1, 2] * 5
    assert across.tolist() == sorted([-2, -1, 0, 1, 2] * 5)


def direction(theta, phi, angle):
    """Unit vector in the tangent plane, turned by the angle from south towards east."""
    south = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)])
    east = np.stack([-np.sin(phi), np.cos(phi), np.zeros_like(phi)])
    return np.cos(angle) * south + np.sin(angle) * east


@pytest.mark.parametrize(("pole", "sign"), [(1e-9, 1.0), (np.pi - 1e-9, -1.0)])
@pytest.mark.parametrize("orientation", range(4))
def test_all_longitudes_see_one_direction_at_a_pole(pole, sign, orientation):
    phi = np.linspace(0, 2 * np.pi, 13)
    theta = np.full_like(phi, pole)
    wave = direction(theta, phi, gauge_angle(theta, phi, orientation, 4))
    turn = orientation * np.pi / 4
    expected = sign * np.array([np.cos(turn), np.sin(turn), 0.0])
    assert np.abs(wave - expected[:, None]).max() < 3e-9


def test_equator_belongs_to_the_north_and_the_south_turns_the_other_way():
    phi = np.array([0.3, 0.3])
    theta = np.array([np.pi / 2, np.nextafter(np.pi / 2, 4)])
    north, south = gauge_angle(theta, phi, 1, 4)
    assert north == pytest.approx(np.pi / 4 - 0.3, abs=1e-15)
    assert south == -north


@pytest.mark.parametrize("theta", [0.4, 2.6])
def test_orientation_after_the_last_is_half_a_turn(theta):
    where = np.array([theta]), np.array([1.7])
    turn = gauge_angle(*where, 7, 5) - gauge_angle(*where, 2, 5)
    assert abs(turn[0]) == pytest.approx(np.pi, abs=1e-15)
