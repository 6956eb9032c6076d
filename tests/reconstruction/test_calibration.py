import jax
import numpy as np
import pytest

from jaxscat.fields.noise import NoiseMaps, draw_realization
from jaxscat.objectives.target import covariance_scales
from jaxscat.reconstruction.calibration import calibrate, calibrate_noise, measure_map
from jaxscat.reconstruction.observed import observe
from jaxscat.reconstruction.options import TermOptions
from jaxscat.reconstruction.terms import build_terms
from jaxscat.statistics.scattering import measure

COUNT = 64
GROUPS = ("S0", "S1", "S2", "S3", "S4")


@pytest.fixture(scope="module")
def observed(example):
    return observe(example.data, example.pyramid)


@pytest.fixture(scope="module")
def terms(example, observed):
    chosen = {"scattering": TermOptions()}
    return build_terms(chosen, observed, example.pyramid, example.noise)


def groups_of(statistics, pyramid):
    scales = covariance_scales(pyramid.spec, None)
    return {
        name: np.asarray(of)
        for name, of in statistics.finest(pyramid.spec.scales, scales).groups().items()
    }


def loop(map, noise, pyramid, seed, count):
    """Coefficients with every realization, one after the other, by plain measurements."""
    each = [
        groups_of(measure(map + draw_realization(noise, seed, number), pyramid), pyramid)
        for number in range(count)
    ]
    return {name: np.stack([of[name] for of in each]) for name in each[0]}


def floored(sigma, name):
    axes = tuple(range(1, sigma.ndim))
    if name == "S0":
        return sigma
    return np.maximum(sigma, 0.01 * np.sqrt(np.mean(sigma**2, axis=axes, keepdims=True)))


def test_bias_and_scatter_are_those_of_a_plain_loop(example, observed, terms):
    noise, pyramid = example.noise, example.pyramid
    map = np.asarray(observed.values) / 2
    found = calibrate(terms, observed.values, map, noise, 3, COUNT)
    assert list(found.mean) == list(found.sigma) == ["scattering"]
    each = loop(map, noise, pyramid, 3, COUNT)
    of_map = groups_of(measure(map, pyramid), pyramid)
    of_data = groups_of(measure(observed.values, pyramid), pyramid)
    assert np.iscomplexobj(each["S3"]) and np.iscomplexobj(each["S4"])
    for name in GROUPS:
        mean = each[name].mean(axis=0)
        # Of a complex coefficient, the root of the summed variances of both parts.
        sigma = np.sqrt(np.sum(np.abs(each[name] - mean) ** 2, axis=0) / (COUNT - 1))
        size = np.abs(of_data[name]).max()
        for got, expected in (
            (found.mean, of_data[name] - (mean - of_map[name])),
            (found.map, of_map[name]),
            (found.data, of_data[name]),
        ):
            np.testing.assert_allclose(
                got["scattering"].groups()[name], expected, rtol=1e-9, atol=1e-11 * size
            )
        got = found.sigma["scattering"].groups()[name]
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, floored(sigma, name), rtol=1e-9)


def test_targets_of_a_residual_are_those_of_noise_alone(example, observed, terms):
    noise, pyramid = example.noise, example.pyramid
    mean, sigma = calibrate_noise(terms, noise, 3, COUNT, np.float64)
    found = measure_map(terms, observed.values, noise)
    each = loop(np.zeros_like(observed.values), noise, pyramid, 3, COUNT)
    of_map = groups_of(measure(observed.values, pyramid), pyramid)
    for name in GROUPS:
        np.testing.assert_allclose(
            mean["scattering"].groups()[name],
            each[name].mean(axis=0),
            rtol=1e-9,
            atol=1e-11 * np.abs(each[name]).max(),
        )
        np.testing.assert_allclose(
            sigma["scattering"].groups()[name],
            floored(np.std(each[name], axis=0, ddof=1), name),
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            found["scattering"].groups()[name], of_map[name], rtol=1e-9, atol=1e-12
        )


def test_a_quarter_of_the_realizations_will_do_where_that_suffices(example, observed, terms):
    asked = []

    def answer(suffices):
        def suffice(calibration):
            asked.append(calibration)
            return suffices

        return suffice

    arguments = (terms, observed.values, observed.values / 2, example.noise, 3)
    quarter = calibrate(*arguments, COUNT, suffices=answer(True))
    assert quarter is asked[0]
    jax.tree.map(np.testing.assert_array_equal, quarter, calibrate(*arguments, COUNT // 4))
    whole = calibrate(*arguments, COUNT, suffices=answer(False))
    jax.tree.map(np.testing.assert_array_equal, whole, calibrate(*arguments, COUNT))
    # So few that their quarter would tell nothing: all of them.
    calibrate(*arguments, 8, suffices=answer(True))
    assert len(asked) == 2


def test_small_scatters_are_raised_to_the_floor(example, observed, terms):
    maps = np.random.default_rng(0).normal(size=(COUNT, 768))
    without = maps - maps.mean(axis=1, keepdims=True)
    plain, found = (
        calibrate(terms, observed.values, observed.values, NoiseMaps(of), 0, COUNT)
        for of in (maps, without)
    )
    # The mean of a map is known to a tenth of its error, not to rounding.
    sigma, error = found.sigma["scattering"].s0[0], found.data["scattering"].s0[1]
    assert 0.1 * error < sigma < 0.2 * error
    assert plain.sigma["scattering"].s0[0] > 5 * sigma
    for name, group in found.sigma["scattering"].groups().items():
        axes = tuple(range(1, group.ndim))
        if name != "S0":
            least = 0.01 * np.sqrt(np.mean(group**2, axis=axes, keepdims=True))
            assert (group >= 0.99 * least).all(), name


def test_noise_that_does_not_vary_is_refused(example, observed, terms):
    alike = NoiseMaps(np.random.default_rng(0).normal(size=(COUNT, 768)))
    constant = jax.tree.map(lambda maps: maps * 0, alike)
    with pytest.raises(ValueError, match=r"^noise: got realizations under which .* do not vary"):
        calibrate(terms, observed.values, observed.values, constant, 0, COUNT)
    huge = jax.tree.map(lambda maps: maps * 1e200, alike)
    with pytest.raises(ValueError, match=r"^data, noise: .* beyond the range of float64"):
        calibrate(terms, observed.values, observed.values, huge, 0, COUNT)
