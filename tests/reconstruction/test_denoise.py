"""A signal comes out of noise with its statistics, whatever the units, the mean and the mask."""

import healpy
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import draw_realization, mean_levels
from jaxscat.maps import UNSEEN
from jaxscat.objectives.make_target import make_target
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.isotropic import draw_field
from jaxscat.reconstruction.options import Renewals, TermOptions
from jaxscat.reconstruction.result import MEANING
from jaxscat.reconstruction.spectra import estimate_spectrum
from jaxscat.reconstruction.wiener import square_root_wiener_filter, wiener_filter
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.reduction import ReducedCovariance
from jaxscat.statistics.scattering import measure


def test_statistics_are_nearer_to_the_truth_than_those_of_the_wiener_filter(
    example, denoised, distances
):
    assert denoised.status == "converged" and denoised.meaning == MEANING["converged"]
    chi2 = denoised.chi2["scattering"]
    assert chi2[-1] <= 1.05 < chi2[0] and (chi2[1:] < chi2[0]).all()
    best = wiener_filter(example.data, mean_levels(example.truth[None]), example.noise)
    found, other = distances(denoised.map), distances(best)
    assert all(found[name] < other[name] / 2.5 for name in ("S2", "S3", "S4")), (found, other)
    assert sum(other[name] / found[name] for name in ("S2", "S3", "S4")) > 12
    # Not at the cost of the map itself.
    assert np.std(denoised.map - example.truth) < 1.1 * np.std(best - example.truth)


def test_the_result_says_what_was_done(example, denoised):
    assert denoised.map.dtype == np.float64 and denoised.map.shape == (768,)
    assert list(denoised.baselines) == ["data", "wiener", "square-root wiener"]
    np.testing.assert_allclose(denoised.baselines["data"], example.data, rtol=1e-12)
    assert 2 <= denoised.evaluations <= 40 and not denoised.interrupted
    assert denoised.seeds is denoised.contaminant is None
    kept = denoised.statistics["scattering"]
    assert set(kept) == {"data", "result", "target", "sigma"}
    expected = measure(denoised.map, example.pyramid)
    np.testing.assert_allclose(kept["result"].s1, expected.s1, rtol=1e-9)
    expected = measure(example.data, example.pyramid)
    np.testing.assert_allclose(kept["data"].s2, expected.s2, rtol=1e-9)
    # Noise adds power, which the target does not have.
    assert (kept["target"].s2 < kept["data"].s2).all()


def test_a_gaussian_signal_keeps_the_statistics_of_gaussian_fields(example):
    levels = 1 / (np.arange(25) + 2.0) ** 2

    def field(seed):
        map = healpy.reorder(draw_field(levels, np.random.default_rng(seed)), r2n=True)
        return map / map.std()

    def away(map):
        """S3 in units of the scatter from one Gaussian field to the next."""
        scaled = measure(map / np.std(map), example.pyramid).s3
        return np.sqrt(np.mean(np.abs(scaled - mean) ** 2 / spread**2))

    controls = [np.asarray(measure(field(seed), example.pyramid).s3) for seed in range(20, 40)]
    mean = np.mean(controls, axis=0)
    spread = np.sqrt(np.mean(np.abs(controls - mean) ** 2, axis=0))
    data = field(1) + np.random.default_rng(3).normal(size=768)
    found = denoise(data, example.pyramid, example.noise)
    assert found.status in ("start accepted", "converged")
    if found.status == "converged":
        assert away(found.map) < 1.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_alone_leaves_next_to_nothing(example, seed):
    data = 5 + draw_realization(example.noise, seed, 0)
    found = denoise(data, example.pyramid, example.noise)
    assert np.var(found.map) < 0.1 * np.var(data)
    np.testing.assert_allclose(found.map.mean(), data.mean(), atol=0.05)
    assert (found.status == "no signal") == bool(np.std(found.map) < 0.01 * np.std(data))


def test_a_map_of_next_to_nothing_is_called_no_signal_however_its_renewals_ended(example):
    data = draw_realization(example.noise, 0, 0)
    found = denoise(
        data, example.pyramid, example.noise, start=1e-6 * data, renewals=Renewals(number=1)
    )
    assert found.status == "no signal" and "no power above" in found.meaning
    assert np.std(found.map) < 0.01 * np.std(data)


def test_without_a_signal_the_map_is_the_mean_of_the_data(example):
    data = draw_realization(example.noise, 0, 0)
    loud = GaussianNoise.white(3.0, 8, dtype=np.float64)
    found = denoise(data, example.pyramid, loud)
    assert found.status == "no signal" and found.evaluations == 0 and found.statistics == {}
    np.testing.assert_allclose(found.map, data.mean(), rtol=1e-12)
    assert found.chi2["scattering"].size == 0
    several = denoise(data, example.pyramid, loud, seeds=2)
    assert several.status == ("no signal",) * 2 and several.map.shape == (2, 768)


@pytest.mark.parametrize("unit", [1e-6, 1e6, 1e-15, 1e15])
def test_units_do_not_matter(example, denoised, unit):
    noise = GaussianNoise.white(unit, 8, dtype=np.float64)
    found = denoise(unit * example.data, example.pyramid, noise)
    np.testing.assert_allclose(found.map / unit, denoised.map, atol=1e-6)
    assert found.status == denoised.status and found.evaluations == denoised.evaluations


def test_a_constant_comes_out_again(example, denoised):
    found = denoise(example.data + 300, example.pyramid, example.noise)
    np.testing.assert_allclose(found.map - 300, denoised.map, atol=1e-6)


@pytest.fixture(scope="module")
def single(pyramids):
    return pyramids(8, scales=2, orientations=2, dtype="float32")


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_float32_keeps_digits_beside_a_large_mean(example, single, unit):
    noise = GaussianNoise.white(unit, 8)
    found = denoise(unit * (example.data + 1e4), single, noise)
    assert found.status == "converged" and found.map.dtype == np.float64
    plain = denoise(unit * example.data, single, noise)
    assert plain.map.dtype == np.float32
    np.testing.assert_allclose(found.map / unit - 1e4, plain.map / unit, atol=2e-2)


@pytest.fixture(scope="module")
def mask(example):
    return (healpy.pix2vec(8, np.arange(768), nest=True)[2] < 0.6).astype(np.float64)


def test_what_stands_in_hidden_pixels_does_not_matter(example, small, mask):
    found = []
    for value in (np.nan, UNSEEN):
        data = np.where(mask > 0, example.data, value)
        found.append(denoise(data, small, example.noise, mask=mask))
        assert np.isfinite(found[-1].map).all()
        assert all(np.isfinite(of).all() for of in found[-1].baselines.values())
    assert found[0].status == "converged"
    for other in found[1:]:
        np.testing.assert_array_equal(other.map, found[0].map)
    seen = mask > 0
    wiener = wiener_filter(
        np.where(seen, example.data, 0), mean_levels(example.truth[None]), example.noise, mask=mask
    )
    error, other = (np.std((map - example.truth)[seen]) for map in (found[0].map, wiener))
    assert error < 1.3 * other


def test_a_target_that_sees_pixels_without_data_is_refused(example, small, mask):
    whole = make_target(example.data, small)
    with pytest.raises(ValueError, match=r"^target: got one that sees \d+ pixels without weight"):
        denoise(example.data, small, example.noise, mask=mask, target=whole)
    own = make_target(example.data, small, normalization="own")
    with pytest.raises(ValueError, match=r"^target: got one normalized by the power of each map"):
        denoise(example.data, small, example.noise, target=own)


def test_a_reduced_target_is_another_way_to_measure(example, small):
    target = make_target(example.data, small, reduction=IsotropicMean())
    found = denoise(example.data, small, example.noise, target=target)
    assert found.status == "converged"
    assert isinstance(found.statistics["scattering"]["sigma"], ReducedCovariance)


def test_every_seed_is_a_reconstruction_of_its_own(example, several):
    assert several.seeds == (4, 0) and several.map.shape == (2, 768)
    for seed in several.seeds:
        alone = denoise(example.data, example.pyramid, example.noise, seeds=[seed])
        one = several.of_seed(seed)
        assert one.status == alone.status[0] and one.evaluations == alone.evaluations[0]
        np.testing.assert_allclose(one.map, alone.map[0], atol=1e-6)
        np.testing.assert_allclose(one.chi2["scattering"], alone.chi2["scattering"][0], rtol=1e-5)
    # Starts are draws of what the noise hides.
    assert np.std(several.map[0] - several.map[1]) > 0.3


def test_mean_and_spread_are_over_the_seeds(example, several, denoised):
    np.testing.assert_allclose(several.mean, several.map.mean(axis=0))
    np.testing.assert_allclose(several.spread, np.abs(several.map[0] - several.map[1]) / np.sqrt(2))
    error = [np.std(map - example.truth) for map in (several.mean, *several.map)]
    assert error[0] < min(error[1:])
    np.testing.assert_array_equal(denoised.mean, denoised.map)
    with pytest.raises(ValueError, match="^spread: got one map"):
        _ = denoised.spread
    with pytest.raises(ValueError, match=r"^seed: got 5, expected one of \(4, 0\)"):
        several.of_seed(5)
    # Coefficients are kept of the first seed alone.
    assert several.of_seed(4).statistics and several.of_seed(0).statistics == {}


def test_realizations_can_be_given_as_maps(example, small):
    maps = np.stack([draw_realization(example.noise, 8, number) for number in range(64)])
    found, drawn = (denoise(example.data, small, noise) for noise in (maps, example.noise))
    assert found.status == drawn.status == "converged"
    errors = [np.std(result.map - example.truth) for result in (found, drawn)]
    np.testing.assert_allclose(errors[0], errors[1], rtol=0.1)
    # Without a mean, too: that of the map is then known, and rules nothing else.
    without = maps - maps.mean(axis=1, keepdims=True)
    assert denoise(example.data, small, without).status == "converged"


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_noise_of_a_wrong_level_is_survived(example, denoised, factor):
    noise = GaussianNoise.white(factor, 8, dtype=np.float64)
    found = denoise(example.data, example.pyramid, noise)
    assert found.status in MEANING and np.isfinite(found.chi2["scattering"]).all()
    assert np.std(found.map - example.truth) < 1.5 * np.std(denoised.map - example.truth)


def test_starts_are_names_or_maps(example, denoised):
    certain = estimate_spectrum(example.data, example.noise, cautious=True)
    root = square_root_wiener_filter(example.data, certain, example.noise)
    given = denoise(example.data, example.pyramid, example.noise, start=root)
    np.testing.assert_allclose(given.map, denoised.map, atol=1e-6)
    for start in ("wiener", "data", "constrained"):
        found = denoise(example.data, example.pyramid, example.noise, start=start)
        assert found.status in ("converged", "renewal limit"), start
        assert found.chi2["scattering"][-1] < found.chi2["scattering"][0]


def test_a_single_renewal_of_few_steps_says_that_more_may_help(example, small):
    options = Renewals(number=1, steps=1)
    found = denoise(example.data, small, example.noise, renewals=options, start="wiener")
    assert found.status == "renewal limit" and found.chi2["scattering"].shape == (2,)


@pytest.mark.parametrize(
    "names",
    [["power"], ["fidelity"], ["cross", "fidelity", "power", "residual", "scattering"]],
    ids=" ".join,
)
def test_every_term_comes_to_its_level(small, example, names):
    template = example.truth + np.random.default_rng(5).normal(size=768) + 100
    terms = {
        name: TermOptions(template=template if name == "cross" else None, weight=1 + len(name) % 2)
        for name in names
    }
    found = denoise(example.data, small, example.noise, terms=terms, start="wiener")
    assert list(found.chi2) == sorted(names)
    assert found.status in ("converged", "start accepted"), found.chi2
    assert all(values[-1] <= 1.05 for values in found.chi2.values())
    assert sorted(found.statistics) == sorted(set(names) - {"fidelity"})
