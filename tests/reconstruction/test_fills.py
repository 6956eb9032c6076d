import healpy
import numpy as np
import pytest

from jaxscat.maps import UNSEEN
from jaxscat.reconstruction.fills import (
    diffusive_fill,
    gaussian_mean_fill,
    gaussian_realization_fill,
)

FILLS = [
    gaussian_mean_fill,
    lambda data, gaps: gaussian_realization_fill(data, gaps, None, 3),
    diffusive_fill,
]


def disc(nside, radius=0.5, centre=(0.3, 0.2, 0.6)):
    npix = 12 * nside**2
    vectors = np.array(healpy.pix2vec(nside, np.arange(npix), nest=True))
    return centre / np.linalg.norm(centre) @ vectors > np.cos(radius)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("hidden", [np.nan, np.inf, UNSEEN, 1e9])
def test_observed_pixels_stay_and_hidden_ones_do_not_matter(red, draw, fill, hidden):
    data, gaps = draw(red(8), 1), disc(8)
    found = fill(np.where(gaps, hidden, data), gaps)
    np.testing.assert_array_equal(found[~gaps], data[~gaps])
    np.testing.assert_array_equal(found, fill(data, gaps.astype(int)))
    assert np.abs(found[gaps] - data.mean()).max() < 6 * data.std()
    # A constant comes out, however large.
    np.testing.assert_allclose(fill(data + 1000, gaps) - 1000, found, atol=1e-4 * data.std())
    single = data.astype(np.float32)
    np.testing.assert_array_equal(fill(single, gaps)[~gaps].astype(np.float32), single[~gaps])


def conditional(matrix, gaps):
    """Weights of observed pixels in the mean of the hidden ones, and the covariance of these."""
    one = np.ones(int((~gaps).sum()))
    inverse = np.linalg.inv(matrix[np.ix_(~gaps, ~gaps)])
    across = matrix[np.ix_(gaps, ~gaps)] @ inverse
    lack = 1 - across @ one
    mean = one @ inverse / (one @ inverse @ one)
    weights = across + np.outer(lack, mean)
    rest = matrix[np.ix_(gaps, gaps)] - across @ matrix[np.ix_(~gaps, gaps)]
    return weights, rest + np.outer(lack, lack) / (one @ inverse @ one)


@pytest.mark.parametrize("share", ["disc", "more than half"])
def test_the_mean_fill_is_the_conditional_mean(red, draw, dense, share):
    gaps = disc(4) if share == "disc" else np.arange(192) % 8 < 5
    data = draw(red(4), 1) + 2
    weights, _ = conditional(dense(red(4), 4), gaps)
    found = gaussian_mean_fill(data, gaps, red(4))[gaps]
    np.testing.assert_allclose(found, weights @ data[~gaps], atol=2e-5 * data.std())
    without = red(4)
    without[-1] = without[-2]
    np.testing.assert_array_equal(
        gaussian_mean_fill(data, gaps, without), gaussian_mean_fill(data, gaps, without[:-1])
    )


def test_realizations_have_the_conditional_mean_and_covariance(red, draw, dense):
    gaps = disc(2, 0.8)
    data = draw(red(2), 1001)
    drawn = np.stack(
        [gaussian_realization_fill(data, gaps, red(2), seed)[gaps] for seed in range(800)]
    )
    weights, covariance = conditional(dense(red(2), 2), gaps)
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(drawn.mean(axis=0) - weights @ data[~gaps]) < 4.5 * spread / 28).all()
    # Fields are drawn around their mean in all of the sky, of which the data know most.
    np.testing.assert_allclose(np.var(drawn, axis=0), spread**2, rtol=0.25)
    correlation = np.corrcoef(drawn.T)
    np.testing.assert_allclose(correlation, covariance / np.outer(spread, spread), atol=0.16)


def test_the_spectrum_is_estimated_from_the_observed_part(red, draw):
    gaps, power, error = disc(16, 0.7), [], []
    for seed in range(12):
        truth = draw(red(16), 1000 + seed)
        data = np.where(gaps, np.nan, truth)
        filled = gaussian_realization_fill(data, gaps, None, seed)
        power.append(filled[gaps].var() / truth[gaps].var())
        error.append(np.std((gaussian_mean_fill(data, gaps) - truth)[gaps]) / truth.std())
    np.testing.assert_allclose(np.mean(power), 1, atol=0.25)
    assert np.mean(error) < 0.9


def test_a_spectrum_that_lacks_what_the_data_have_makes_no_nonsense(red, draw):
    data, gaps = draw(red(8), 1), disc(8)
    cut = np.where(np.arange(25) < 8, red(8), 0.0)
    found = gaussian_realization_fill(data, gaps, cut, 0)
    assert np.abs(found[gaps] - data.mean()).max() < 6 * data.std()


def test_the_diffusive_fill_is_the_mean_of_its_neighbours(red, draw):
    data, gaps = draw(red(8), 1), disc(8, 0.9)
    found = diffusive_fill(data, gaps)
    for pixel in np.flatnonzero(gaps):
        near = healpy.get_all_neighbours(8, int(pixel), nest=True)
        np.testing.assert_allclose(found[pixel], found[near[near >= 0]].mean(), atol=1e-12)


def test_the_diffusive_fill_continues_a_linear_function():
    # Between the rings of the equatorial belt the height is linear in the pixels of a face.
    gaps = disc(16, 0.25, (1.0, 0.0, 0.0))
    height = np.array(healpy.pix2vec(16, np.arange(3072), nest=True))[2]
    found = diffusive_fill(np.where(gaps, np.nan, height), gaps)
    np.testing.assert_allclose(found, height, atol=1e-12)


MAP = np.random.default_rng(0).standard_normal(768)
GAPS = np.arange(768) < 100


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(
    ("data", "gaps", "message"),
    [
        (MAP, np.linspace(0, 1, 768), "gaps: got values of float64 other than 0 and 1, expected T"),
        (MAP, np.full(768, "a"), "gaps: got values of <U1 other than"),
        (MAP, GAPS * 2, "gaps: got values of int64 other than 0 and 1"),
        (MAP, ~np.zeros(768, bool), "gaps: got every pixel, expected some to fill"),
        (MAP, np.zeros(768), "gaps: got no pixel, expected some to fill"),
        (MAP, GAPS[:192], r"gaps: got shape \(192,\), expected \(768,\) as the data"),
        (MAP, None, r"gaps: got shape \(\), expected"),
        (MAP[None], GAPS, r"data: got an array of shape \(1, 768\), expected one map"),
        (MAP[:700], GAPS, "data: got 700 pixels, expected 12 nside"),
        (np.where(GAPS, MAP, np.nan), GAPS, "data: got 668 of 768 pixels NaN"),
        (np.where(GAPS, MAP, 0.0), GAPS, "data: got the same value 0 in every pixel"),
        (MAP > 0, GAPS, "data: got boolean values"),
    ],
)
def test_bad_maps_and_gaps_are_refused(fill, data, gaps, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        fill(data, gaps)


def test_bad_spectra_and_seeds_are_refused():
    with pytest.raises(ValueError, match=r"^signal: got an array of shape \(7,\), expected C_l"):
        gaussian_mean_fill(MAP, GAPS, np.ones(7))
    with pytest.raises(ValueError, match=r"^signal: got zero from l = 1 on, expected some power"):
        gaussian_realization_fill(MAP, GAPS, np.zeros(25), 1)
    with pytest.raises(ValueError, match=r"^seed: got 1.5, expected an integer"):
        gaussian_realization_fill(MAP, GAPS, None, 1.5)
