"""The embedded polarized map: its field and signs, its determinism, and that it is like dust."""

import healpy
import numpy as np
import pytest
from scipy import fft
from scipy.stats import kurtosis, skew

from jaxscat.datasets import polarized_dust
from jaxscat.datasets.polarized_dust import (
    dust_box,
    frozen_field,
    polarized_dust_maps,
    polarized_emission,
    random_modes,
)
from jaxscat.datasets.registry import load_dataset

LMAX = 128
PICKS = [
    [0.46495307, 0.56432441, 0.90550165, 1.04953736],
    [-0.0025372, 0.04208812, 0.02764711, 0.10319848],
    [0.01758997, -0.07277051, -0.03017304, 0.01728189],
]
FIGURES = [
    0.0877552797,
    10.6724219,
    2.43224516,
    5.51206351,
    4.29389355,
    0.0228788387,
    0.000200857784,
]


@pytest.fixture(scope="module")
def dust():
    return load_dataset("polarized-dust")


@pytest.fixture(scope="module")
def alm(dust):
    ring = [healpy.reorder(row, n2r=True) for row in dust]
    return healpy.map2alm(ring, lmax=LMAX, pol=True, iter=3)


@pytest.fixture(scope="module")
def spectra(alm):
    return dict(zip(("TT", "EE", "BB", "TE", "EB", "TB"), healpy.alm2cl(alm), strict=True))


@pytest.fixture
def coarse(monkeypatch):
    """Let the module work on a far smaller grid, with few shells."""
    monkeypatch.setattr(polarized_dust, "GRID", 33)
    monkeypatch.setattr(polarized_dust, "SHELLS", 6)


def sky_frame(nside):
    """The unit vectors south and east in the centres of pixels, by differences of healpy's."""
    theta, phi = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True)
    step = 1e-5
    south = healpy.ang2vec(theta + step, phi) - healpy.ang2vec(theta - step, phi)
    east = healpy.ang2vec(theta, phi + step) - healpy.ang2vec(theta, phi - step)
    return [(v / np.linalg.norm(v, axis=1, keepdims=True)).T for v in (south, east)]


@pytest.mark.usefixtures("coarse")
def test_random_modes_have_the_stated_power():
    generator = np.random.default_rng(2)
    power = np.mean([np.abs(random_modes(generator, 3.0, 0.25, 2.0)) ** 2 for _ in range(20)], 0)
    k = 2 * np.pi * np.fft.fftfreq(33)
    kx, ky, kz = k[:, None, None], k[None, :, None], k[None, None, :17]
    smoothing = np.exp(-((kx**2 + ky**2 + kz**2) * polarized_dust.SMOOTHING**2))
    expected = (kx**2 + ky**2 + 4 * kz**2 + (8 * np.pi / 33) ** 2) ** -1.5 * smoothing * 33**3
    for axis in range(3):
        near = np.moveaxis(power / expected, axis, 0)[1:9]
        assert near.mean() == pytest.approx(1, abs=0.02)
    assert power[0, 0, 0] == 0


@pytest.mark.usefixtures("coarse")
def test_a_shaken_field_line_is_a_wave():
    # A displacement a sin(kz) along x bends x = 0 to x = a sin(kz), of the slope a k cos(kz).
    k = 2 * np.pi * 3 / 33
    z = np.broadcast_to(np.arange(33.0), (33, 33, 33))
    field = frozen_field(fft.rfftn(0.7 * np.sin(k * z)), fft.rfftn(0 * z))
    expected = np.stack([0.7 * k * np.cos(k * z), 0 * z, 0 * z + 1])
    np.testing.assert_allclose(field, expected, atol=1e-12)


@pytest.mark.usefixtures("coarse")
def test_the_field_has_no_divergence_and_follows_the_matter():
    generator = np.random.default_rng(5)
    k = 2 * np.pi * np.fft.fftfreq(33)
    wave = k[:, None, None], k[None, :, None], k[None, None, :17]
    modes = [random_modes(generator, 5.0, 0.3) for _ in range(2)]
    few = sum(direction**2 for direction in wave) < 1.0  # products of two are on the grid
    modes = [60 * few * part / np.abs(part).max() * 33 for part in modes]
    field = frozen_field(*modes)
    assert field.std(axis=(1, 2, 3)).min() > 0.1
    divergence = sum(1j * w * fft.rfftn(part) for w, part in zip(wave, field, strict=True))
    assert np.abs(divergence).max() < 1e-10 * np.abs(fft.rfftn(field[2])).max()
    for axis, part in enumerate(modes):  # q_1 and q_2 do not change along a line
        along = field[axis] - sum(
            fft.irfftn(1j * w * part, s=(33, 33, 33)) * b for w, b in zip(wave, field, strict=True)
        )
        assert np.abs(along).max() < 1e-12 * np.abs(field).max() * 33


@pytest.mark.usefixtures("coarse")
def test_density_is_longer_along_the_field():
    logarithm, displacement, field = dust_box(0)
    assert logarithm.std() == pytest.approx(polarized_dust.CONTRAST)
    rough = [np.diff(logarithm, axis=axis).std() for axis in range(3)]
    assert rough[2] < 0.5 * min(rough[:2])
    assert field.shape == displacement.shape == (3, 33, 33, 33)
    np.testing.assert_allclose(field.mean(axis=(1, 2, 3)), [0, 0, 1], atol=1e-10)


def test_light_is_polarized_across_the_field():
    # COSMO: Q > 0 along the meridian, U > 0 from north-west to south-east.
    south, east, outward = np.eye(3)
    frame = south[:, None], east[:, None]
    cases = {-0.2: south, 0.2: east, -0.2j: south + east, 0.2j: south - east, 0.0: outward}
    for expected, field in cases.items():
        assert polarized_emission(3 * field[:, None], *frame)[0] == pytest.approx(expected)
    tilted = polarized_emission((east + outward)[:, None], *frame)[0]
    assert tilted == pytest.approx(0.1)  # cos^2 of the inclination


def test_straight_field_and_uniform_dust_have_e_modes_only(monkeypatch):
    ones = np.zeros((9, 9, 9))
    box = ones, np.zeros((3, 9, 9, 9)), np.stack([ones, ones, ones + 1])
    monkeypatch.setattr(polarized_dust, "GRID", 9)
    monkeypatch.setattr(polarized_dust, "dust_box", lambda seed: box)
    intensity, *polarization = polarized_dust_maps(16)
    np.testing.assert_allclose(intensity, 1)
    axis = healpy.ang2vec(70, 24, lonlat=True)[:, None]
    expected = polarized_emission(np.broadcast_to(axis, (3, 3072)), *sky_frame(16))
    np.testing.assert_allclose(polarization, [expected.real, expected.imag], atol=1e-9)
    ring = [healpy.reorder(row, n2r=True) for row in (intensity, *polarization)]
    _, e, b, *_ = healpy.anafast(ring, lmax=32, iter=10)
    assert e[2] > 1e-3
    assert max(b.max(), e[3:].max()) < 1e-12 * e[2]


@pytest.mark.parametrize(("along", "sign"), [(True, 1), (False, -1)])
def test_te_of_a_filament_is_positive_along_the_field(along, sign):
    theta, phi = healpy.pix2ang(32, np.arange(12288), nest=True)
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    filament = np.exp(-0.5 * ((theta - np.pi / 2) / 0.05) ** 2 - 0.5 * (phi / 0.5) ** 2)
    south, east = sky_frame(32)
    light = filament * polarized_emission(east if along else south, south, east)
    ring = [healpy.reorder(row, n2r=True) for row in (filament, light.real, light.imag)]
    te = healpy.anafast(ring, lmax=64)[3]
    assert sign * np.sum(te[5:60]) > 0
    assert np.all(sign * te[10:40] > 0)


def test_the_box_shows_no_structure_twice():
    assert 0 < polarized_dust.NEAREST < polarized_dust.FARTHEST < 0.5


def test_maps_are_the_same_everywhere(dust):
    # Values of the maps at their first release: a change of them changes all results made of them.
    assert dust.shape == (3, 49152)
    assert dust.dtype == np.float64
    np.testing.assert_allclose(dust[:, [0, 4095, 24576, 49151]], PICKS, atol=1e-6)
    i, q, u = dust
    figures = [i.min(), i.max(), skew(i), kurtosis(q), kurtosis(u), np.mean(i * q), np.mean(q * u)]
    np.testing.assert_allclose(figures, FIGURES, rtol=1e-6)


@pytest.mark.usefixtures("coarse")
def test_maps_repeat_and_another_seed_is_another_sky():
    first, again, other = (polarized_dust_maps(8, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(np.log(first[0]), np.log(other[0]))[0, 1]) < 0.3


def test_intensity_is_positive_and_the_polarized_fraction_like_that_of_dust(dust):
    fraction = np.hypot(dust[1], dust[2]) / dust[0]
    assert dust[0].min() > 0
    assert dust[0].mean() == pytest.approx(1)
    assert 0.05 < fraction.mean() < 0.12
    assert 0.15 < np.quantile(fraction, 0.99) < fraction.max() < polarized_dust.FRACTION
    assert dust[0].max() < 15  # no structure outshines the others


def band(spectrum, first=20, last=100):
    """The power in a band of multipoles, in which every decade counts about the same."""
    degree = np.arange(first, last + 1)
    return np.sum((2 * degree + 1) * degree**0.4 * spectrum[first : last + 1])


def test_ratios_of_power_are_those_of_dust(spectra):
    power = {key: band(value) for key, value in spectra.items()}
    assert 1.4 < power["EE"] / power["BB"] < 2.8
    assert 0.18 < power["TE"] / np.sqrt(power["TT"] * power["EE"]) < 0.72
    # Six seeds scatter by 0.02 around zero.
    assert abs(power["TB"]) < 0.05 * np.sqrt(power["TT"] * power["BB"])
    assert abs(power["EB"]) < 0.05 * np.sqrt(power["EE"] * power["BB"])


@pytest.mark.parametrize("key", ["TT", "EE", "BB"])
def test_spectra_fall_like_those_of_dust(spectra, key):
    edges = np.geomspace(20, 101, 8).astype(int)
    middles = np.sqrt(edges[:-1] * (edges[1:] - 1))
    weight = 2 * np.arange(LMAX + 1) + 1
    means = np.add.reduceat(weight * spectra[key], edges)[:-1]
    means /= np.add.reduceat(weight, edges)[:-1]
    assert np.polyfit(np.log(middles), np.log(means), 1)[0] == pytest.approx(-2.4, abs=0.5)


def test_maps_are_far_from_gaussian_ones_of_the_same_spectra(alm, spectra):
    def moments(coefficients):
        window = (np.arange(LMAX + 1) >= 10).astype(float)
        maps = [healpy.alm2map(healpy.almxfl(one, window), 64) for one in coefficients]
        return np.array([(skew(one), kurtosis(one)) for one in maps])

    state = np.random.get_state()
    np.random.seed(7)  # synalm draws from the global generator
    controls = [moments(healpy.synalm(list(spectra.values()), LMAX, new=True)) for _ in range(6)]
    np.random.set_state(state)
    away = (moments(alm) - np.mean(controls, axis=0)) / np.std(controls, axis=0)
    (skew_i, kurtosis_i), (skew_e, kurtosis_e), (skew_b, kurtosis_b) = away
    assert min(skew_i, skew_e) > 5
    assert min(kurtosis_i, kurtosis_e, kurtosis_b) > 10
    assert abs(skew_b) < 5  # a mirror would change its sign


@pytest.mark.parametrize("nside", [0, 3, 128, 64.0, True])
def test_nside_is_refused(nside):
    with pytest.raises(ValueError, match=r"nside: got .*, expected a power of two from 1 to 64"):
        polarized_dust_maps(nside)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
def test_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed: got .*, expected a whole number"):
        polarized_dust_maps(8, seed=seed)
