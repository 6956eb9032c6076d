import healpy
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.reconstruction.conjugate_gradients import solve_wiener
from jaxscat.reconstruction.wiener import (
    constrained_realization,
    square_root_wiener_filter,
    wiener_filter,
)

WHITE = np.full(25, 0.01)


def almxfl(map, gains, beyond):
    ringed = healpy.reorder(map - map.mean(), n2r=True)
    harmonics = healpy.map2alm(ringed, iter=3)
    rest = ringed - healpy.alm2map(harmonics, 8, lmax=23)
    filtered = healpy.alm2map(healpy.almxfl(harmonics, gains), 8, lmax=23) + beyond * rest
    return healpy.reorder(filtered - filtered.mean(), r2n=True) + map.mean()


@pytest.mark.parametrize("given", ["levels", "C_l", "model"])
def test_uniform_noise_is_filtered_multipole_by_multipole(red, draw, given):
    data = 2 + draw(red(8), 1) + draw(WHITE, 2)
    signal = red(8)
    noise = {
        "levels": WHITE,
        "C_l": WHITE[:-1],
        "model": GaussianNoise.white(np.sqrt(0.01 * 768 / (4 * np.pi)), 8, dtype=np.float64),
    }[given]
    beyond = 1.0 if given == "C_l" else signal[-1] / (signal[-1] + 0.01)
    gains = signal[:-1] / (signal[:-1] + 0.01)
    found = wiener_filter(data, signal, noise)
    np.testing.assert_allclose(found, almxfl(data, gains, beyond), rtol=1e-11)
    root = square_root_wiener_filter(data, signal, noise)
    np.testing.assert_allclose(root, almxfl(data, np.sqrt(gains), np.sqrt(beyond)), rtol=1e-11)
    np.testing.assert_allclose([found.mean(), root.mean()], data.mean(), rtol=1e-13)


def test_a_signal_of_which_nothing_is_known_becomes_its_mean(draw):
    data = 2 + draw(WHITE, 2)
    for function in (wiener_filter, square_root_wiener_filter):
        found = function(data, np.zeros(25), WHITE)
        np.testing.assert_allclose(found, data.mean(), rtol=1e-13)
    np.testing.assert_allclose(wiener_filter(data, WHITE, np.zeros(25)), data, rtol=1e-12)


def solution(data, signal, noise):
    """The estimate by dense matrices: the mean has an infinite variance before."""
    observed = np.isfinite(np.diag(noise))
    total = (signal + noise)[np.ix_(observed, observed)]
    one = np.ones(int(observed.sum()))
    mean = one @ np.linalg.solve(total, data[observed]) / (one @ np.linalg.solve(total, one))
    return mean + signal[:, observed] @ np.linalg.solve(total, data[observed] - mean)


@pytest.mark.parametrize("case", ["mask", "weights", "uneven", "uneven and mask", "coloured"])
def test_masks_and_uneven_noise_agree_with_dense_matrices(red, draw, dense, columns, case):
    signal, nside, npix = red(4), 4, 192
    generator = np.random.default_rng(0)
    deviation = generator.uniform(0.5, 2, npix) if "uneven" in case else np.full(npix, 0.7)
    mask = None
    if case != "uneven":
        mask = (np.arange(npix) % 50 > 12).astype(float)
    if case == "weights":
        mask = mask * generator.uniform(0.1, 1, npix)
    weights = np.ones(npix) if mask is None else mask
    with np.errstate(divide="ignore"):
        variance = deviation**2 / weights
    if case == "coloured":
        levels = 0.2 / (np.arange(13) + 1.0)
        noise, matrix = levels, columns(levels, nside)
        matrix[mask == 0, mask == 0] = np.inf
    else:
        noise = GaussianNoise.white(deviation, nside, dtype=np.float64)
        matrix = np.diag(variance)
    data = 3 + draw(signal, 1) + deviation * generator.standard_normal(npix)
    hidden = data if mask is None else np.where(mask > 0, data, np.nan)
    found = wiener_filter(hidden, signal, noise, mask=mask)
    expected = solution(data, dense(signal, nside), matrix)
    # The solver stops at a residual of a millionth of the data.
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.std(data), rtol=0)


def test_uneven_noise_of_realizations_is_recognized(red, draw):
    height = np.array(healpy.pix2vec(16, np.arange(3072), nest=True))[2]
    deviation = 1.5 + 1.3 * height
    generator = np.random.default_rng(0)
    maps = deviation * generator.standard_normal((16, 3072))
    signal = draw(red(16), 1)
    data = signal + deviation * generator.standard_normal(3072)
    error = np.std(wiener_filter(data, red(16), maps) - signal)
    known = GaussianNoise.white(deviation, 16)
    best = np.std(wiener_filter(data, red(16), known) - signal)
    np.testing.assert_allclose(error, best, rtol=0.03)
    assert error < 0.95 * np.std(wiener_filter(data, red(16), known.levels()) - signal)


def test_conjugate_gradients_agree_with_the_exact_filter_on_the_whole_sky(red, draw):
    data = draw(red(8), 1) + draw(WHITE, 2)
    found = solve_wiener(data, red(8), WHITE, np.ones(768))
    # But for the multipoles that HEALPix takes for each other near the last.
    assert np.std(found - wiener_filter(data, red(8), WHITE)) < 0.03 * data.std()
    np.testing.assert_allclose(found.mean(), data.mean(), atol=1e-3 * data.std())


def test_an_unfinished_solution_is_reported(red, draw):
    data = draw(red(8), 1)
    amplitude = np.where(np.arange(768) < 300, np.inf, 1.0)
    with pytest.warns(UserWarning, match="^it is approximate: .* 2 iterations .*1e-06"):
        solve_wiener(data, red(8), WHITE, amplitude, name="it", most_iterations=2)


def test_constrained_realizations_have_the_spectrum_and_the_right_residual(red, draw):
    ratio, rest = [], []
    for seed in range(30):
        signal, noise = draw(red(8), 1000 + seed), draw(WHITE, 2000 + seed)
        map = constrained_realization(signal + noise, red(8), WHITE, seed)
        ratio.append(angular_power_spectrum(map) / red(8)[:-1])
        rest.append(angular_power_spectrum(signal + noise - map) / 0.01)
        np.testing.assert_allclose(map.mean(), (signal + noise).mean(), atol=1e-12)
    modes = 30 * (2 * np.arange(24) + 1)
    for power in (ratio, rest):
        error = np.abs(np.mean(power, axis=0) - 1)[2:]
        # Multipoles above 2 nside take each other's power on HEALPix, a few percent.
        assert (error < 4 * np.sqrt(2 / modes[2:]) + 0.05).all()


def test_constrained_realizations_scatter_as_far_as_the_estimate_errs(red, draw, dense):
    """Behind a mask and in uneven noise: their mean is the filter, their scatter its error."""
    npix, signal = 48, red(2)
    deviation = np.linspace(0.05, 0.5, npix)
    mask = np.arange(npix) > 15
    data = draw(signal, 1001) + deviation * np.random.default_rng(1).standard_normal(npix)
    noise = GaussianNoise.white(deviation, 2, dtype=np.float64)
    drawn = np.stack(
        [constrained_realization(data, signal, noise, seed, mask=mask) for seed in range(600)]
    )
    matrix = dense(signal, 2)
    total = (matrix + np.diag(deviation**2))[np.ix_(mask, mask)]
    scatter = np.diag(matrix - matrix[:, mask] @ np.linalg.solve(total, matrix[mask]))
    # The mean is held, or nearly: compare what varies.
    found = np.var(drawn - drawn.mean(axis=1, keepdims=True), axis=0)
    one = np.eye(npix) - 1 / npix
    full = matrix - matrix[:, mask] @ np.linalg.solve(total, matrix[mask])
    ones = np.ones(int(mask.sum()))
    lack = 1 - matrix[:, mask] @ np.linalg.solve(total, ones)
    full = full + np.outer(lack, lack) / (ones @ np.linalg.solve(total, ones))
    np.testing.assert_allclose(found, np.diag(one @ full @ one), rtol=0.3)
    assert found.max() > 1.5 * found.min() and scatter.min() > 0
    mean = wiener_filter(data, signal, noise, mask=mask)
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - mean), 5 * np.sqrt(found.max() / 600))


MAP = np.random.default_rng(0).standard_normal(768)


@pytest.mark.parametrize(
    "function", [wiener_filter, square_root_wiener_filter, constrained_realization]
)
def test_bad_input_is_refused(function):
    more = (0,) if function is constrained_realization else ()
    for arguments, message in (
        ((MAP[:700], WHITE, WHITE), "data: got 700 pixels, expected 12 nside"),
        ((MAP * 0, WHITE, WHITE), "data: got the same value 0 in every pixel"),
        ((MAP * np.inf, WHITE, WHITE), "data: got 768 of 768 pixels infinite"),
        ((MAP, WHITE[:9], WHITE), r"signal: got an array of shape \(9,\), expected C_l"),
        ((MAP, -WHITE, WHITE), "signal: got 25 of 25 that are negative or not finite"),
        ((MAP, None, WHITE), "signal: got unsuitable values"),
        ((MAP, WHITE, None), "noise: got NoneType, expected a noise model"),
        ((MAP, WHITE, MAP[None]), "noise: got 1 realizations, expected at least 8"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            function(*arguments, *more)


def test_bad_masks_and_seeds_are_refused():
    with pytest.raises(ValueError, match="^mask: got weights up to 3"):
        wiener_filter(MAP, WHITE, WHITE, mask=np.full(768, 3.0))
    with pytest.raises(ValueError, match="^mask: got 192 pixels, expected 768"):
        constrained_realization(MAP, WHITE, WHITE, 0, mask=np.ones(192))
    with pytest.raises(ValueError, match="^seed: got -1, expected an integer"):
        constrained_realization(MAP, WHITE, WHITE, -1)
