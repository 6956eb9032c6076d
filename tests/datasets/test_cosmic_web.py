"""The embedded map: the cosmology behind it, its determinism, and that it is a web."""

import healpy
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kurtosis, skew

from jaxscat.datasets import cosmic_web
from jaxscat.datasets.cosmic_web import (
    cosmic_web_map,
    displacement_field,
    linear_power,
    transfer_function,
)
from jaxscat.datasets.registry import load_dataset

PICKS = [0.90261282, 2.24843335, -0.8984578, -0.31119801, 0.70488479, 0.85640545, -0.26322768]
FIGURES = [-1.6662198, 5.51843399, 1.08009745, 1.26636194, 0.7258161]


@pytest.fixture(scope="module")
def web():
    return load_dataset("cosmic-web")


@pytest.fixture
def coarse(monkeypatch):
    """Let the module work on a far smaller grid, with few particles."""
    monkeypatch.setattr(cosmic_web, "GRID", 63)
    monkeypatch.setattr(cosmic_web, "REFINEMENT", 3)


@pytest.fixture(scope="module")
def displacement():
    return displacement_field(3)


def test_transfer_function_without_baryons_is_near_the_fit_of_bbks(monkeypatch):
    # Bardeen et al. 1986, equation G3: another fit to the same physics.
    monkeypatch.setattr(cosmic_web, "BARYONS", 1e-8)
    k = np.geomspace(1e-3, 1.0, 40)
    q = k / (cosmic_web.MATTER * cosmic_web.HUBBLE)
    bbks = np.log(1 + 2.34 * q) / (2.34 * q)
    bbks *= (1 + 3.89 * q + (16.1 * q) ** 2 + (5.46 * q) ** 3 + (6.71 * q) ** 4) ** -0.25
    np.testing.assert_allclose(transfer_function(k), bbks, rtol=0.06)


def test_transfer_function_is_lowered_by_baryons(monkeypatch):
    k = np.array([1e-5, 0.2])
    with_baryons = transfer_function(k)
    monkeypatch.setattr(cosmic_web, "BARYONS", 1e-8)
    ratio = with_baryons / transfer_function(k)
    assert ratio[0] == pytest.approx(1, abs=1e-3)
    assert 0.6 < ratio[1] < 0.85


def test_linear_power_has_the_stated_sigma_8():
    def integrand(logk):
        k = np.exp(logk)
        x = 8 * k
        window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
        return k**3 * linear_power(np.array([k]))[0] * window**2 / (2 * np.pi**2)

    variance = quad(integrand, np.log(1e-4), np.log(30), limit=500)[0]
    assert np.sqrt(variance) == pytest.approx(cosmic_web.SIGMA_8, rel=1e-3)


def test_displacements_are_a_gradient_with_the_linear_power(displacement):
    grid, box = cosmic_web.GRID, cosmic_web.BOX
    k = 2 * np.pi / box * np.fft.fftfreq(grid, 1 / grid)
    kx, ky, kz = k[:, None, None], k[None, :, None], k[None, None, : grid // 2 + 1]
    x, y, z = (np.fft.rfftn(field) for field in displacement)
    assert np.abs(kx * y - ky * x).max() < 1e-9 * np.abs(kx * x).max()
    assert np.abs(ky * z - kz * y).max() < 1e-9 * np.abs(kx * x).max()
    density = -1j * (kx * x + ky * y + kz * z)
    size = np.sqrt(kx**2 + ky**2 + kz**2)
    power = np.abs(density) ** 2 * box**3 / grid**6
    for low, high in ((0.1, 0.2), (0.2, 0.4), (0.4, 0.8)):
        band = (size > low) & (size < high)
        expected = linear_power(size[band]) * np.exp(-((size[band] * cosmic_web.TRUNCATION) ** 2))
        assert np.mean(power[band] / expected) == pytest.approx(1, abs=0.03)


@pytest.mark.usefixtures("coarse")
def test_particles_that_do_not_move_make_no_structure(monkeypatch):
    monkeypatch.setattr(cosmic_web, "displacement_field", lambda seed: np.zeros((3, 63, 63, 63)))
    assert cosmic_web.shell_density(8, 0).std() < 0.03


@pytest.mark.usefixtures("coarse")
def test_a_drift_of_one_box_wraps_around(monkeypatch):
    expected = cosmic_web.shell_density(8, 0)
    drifted = displacement_field(0) + cosmic_web.BOX
    monkeypatch.setattr(cosmic_web, "displacement_field", lambda seed: drifted)
    np.testing.assert_allclose(cosmic_web.shell_density(8, 0), expected, rtol=1e-9)


def test_the_box_shows_no_structure_twice():
    assert 2 * (cosmic_web.RADIUS + cosmic_web.DEPTH) < cosmic_web.BOX


def test_map_is_the_same_everywhere(web):
    # Values of the map at its first release: a change of it changes every result made with it.
    assert web.shape == (49152,)
    assert web.dtype == np.float64
    picks = [0, 1, 4095, 12345, 24576, 33333, 49151]
    np.testing.assert_allclose(web[picks], PICKS, atol=1e-6)
    figures = [web.min(), web.max(), skew(web), kurtosis(web), np.mean(web[:-1] * web[1:])]
    np.testing.assert_allclose(figures, FIGURES, atol=1e-5)


def test_map_is_standardised_and_that_of_the_simulation(web):
    assert web.mean() == pytest.approx(0, abs=1e-12)
    assert web.std() == pytest.approx(1, abs=1e-12)
    # The packaged file has the pixels of the simulation, rounded to float32.
    simulated = cosmic_web_map(64)
    np.testing.assert_allclose(web, simulated, rtol=0, atol=2**-24 * np.abs(simulated).max())


@pytest.mark.usefixtures("coarse")
def test_another_seed_is_another_web():
    first, second = cosmic_web_map(16, seed=0), cosmic_web_map(16, seed=1)
    assert abs(np.mean(first * second)) < 0.15


@pytest.mark.parametrize(("nside", "least"), [(64, 0.8), (32, 0.6), (16, 0.35)])
def test_histogram_is_far_from_a_gaussian_of_the_same_spectrum(web, nside, least):
    graded = healpy.ud_grade(web, nside, order_in="NESTED", order_out="NESTED")
    spectrum = healpy.anafast(healpy.reorder(graded, n2r=True), lmax=2 * nside, iter=1)
    controls = []
    state = np.random.get_state()
    for seed in range(6):
        np.random.seed(seed)  # synfast draws from the global generator
        controls.append(healpy.synfast(spectrum, nside, lmax=2 * nside))
    np.random.set_state(state)
    gaussian = np.array([skew(control) for control in controls])
    assert skew(graded) > least
    assert skew(graded) > gaussian.mean() + 5 * gaussian.std()
    # Voids have a floor: the emptiest pixel is far less deep than in a Gaussian map.
    assert graded.min() / graded.std() > 0.8 * max(c.min() / c.std() for c in controls)


def test_ridges_are_long_and_thin(web):
    # At the same area above the threshold a web is joined into fewer, longer pieces than a
    # Gaussian map of the same spectrum.
    spectrum = healpy.anafast(healpy.reorder(web, n2r=True), lmax=128, iter=1)
    state = np.random.get_state()
    np.random.seed(5)
    gaussian = healpy.reorder(healpy.synfast(spectrum, 64, lmax=128), r2n=True)
    np.random.set_state(state)
    assert pieces(web) < 0.8 * pieces(gaussian)


def pieces(map, share=0.15):
    """Count the connected pieces of the highest `share` of the pixels."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nside = healpy.get_nside(map)
    high = np.flatnonzero(map > np.quantile(map, 1 - share))
    place = np.full(map.size + 1, -1)
    place[high] = np.arange(high.size)
    neighbours = place[healpy.get_all_neighbours(nside, high, nest=True)]
    rows = np.broadcast_to(np.arange(high.size), neighbours.shape)
    joined = neighbours >= 0
    graph = coo_array(
        (np.ones(joined.sum()), (rows[joined], neighbours[joined])), shape=(high.size, high.size)
    )
    return connected_components(graph, directed=False)[0]


@pytest.mark.parametrize("nside", [0, 3, 128, 64.0, True])
def test_nside_is_refused(nside):
    with pytest.raises(ValueError, match=r"nside: got .*, expected a power of two from 1 to 64"):
        cosmic_web_map(nside)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
def test_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed: got .*, expected a whole number"):
        cosmic_web_map(8, seed=seed)
