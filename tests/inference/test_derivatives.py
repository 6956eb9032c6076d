"""Derivatives of summaries by parameters, forward and by differences."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.inference import Summary, jacobian

SUMMARY = Summary(groups=("S1", "S2"))
AT = np.array([2.0, 0.5])


@jax.jit
def simulator(parameters, seed):
    """Amplitude and skewness of white noise."""
    white = jax.random.normal(jax.random.key(seed), (192,), jnp.float64)
    return parameters[0] * (white + parameters[1] * (white**2 - 1))


@pytest.fixture(scope="module")
def forward(pyramid):
    return jacobian(simulator, AT, pyramid, seeds=40, summary=SUMMARY, chunk_size=16)


def test_the_derivative_by_the_amplitude_is_the_coefficient_over_it(pyramid, forward):
    """Times two for S2: known without differentiating."""
    for row, seed in zip(forward.each[:3], forward.seeds[:3], strict=True):
        vector = np.asarray(SUMMARY(simulator(AT, int(seed)), pyramid))
        np.testing.assert_allclose(row[:, 0], vector * np.repeat([1, 2], 3) / AT[0], rtol=1e-10)
    np.testing.assert_allclose(forward.values, forward.each.mean(0))
    np.testing.assert_allclose(forward.errors, forward.each.std(0, ddof=1) / np.sqrt(40))
    assert list(forward.names) == SUMMARY.names(pyramid) and forward.step_change is None


def test_differences_of_a_simulator_without_jax_agree(pyramid, forward):
    def on_the_host(parameters, seed):
        assert isinstance(seed, int) and isinstance(parameters, np.ndarray)
        return np.asarray(simulator(jnp.asarray(parameters), seed))

    # Small steps: the modulus in S1 has a cusp wherever a wavelet coefficient passes zero.
    how = {"method": "differences", "steps": 1e-5, "seeds": 5, "chunk_size": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few seeds
        found = jacobian(on_the_host, AT, pyramid, summary=SUMMARY, **how)
    np.testing.assert_allclose(found.each, forward.each[:5], rtol=1e-5, atol=1e-6)
    assert found.step_change.max() < 1e-5


def test_what_is_not_converged_is_told(pyramid):
    def wavy(parameters, seed):
        return simulator(jnp.asarray([1 + 0.5 * jnp.sin(20 * parameters[0]), 0.0]), seed)

    def noisy(parameters, seed):
        one = simulator(jnp.asarray([1.0, 0.0]), seed)
        return one + parameters[0] * simulator(jnp.asarray([1.0, 0.0]), seed + 1000)

    options = {"method": "differences", "summary": SUMMARY, "seeds": 12, "chunk_size": 12}
    with pytest.warns(UserWarning, match="not converged in steps: halving the step of parameter 0"):
        jacobian(wavy, [0.0], pyramid, steps=0.1, **options)
    with pytest.warns(UserWarning, match="not converged in seeds: .* by parameter 0 is noise"):
        jacobian(noisy, [0.0], pyramid, steps=0.01, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jacobian(wavy, [0.0], pyramid, steps=0.001, **options)


@pytest.mark.parametrize("method", ["forward", "differences"])
def test_a_parameter_without_effect_is_told_and_not_taken_for_noise(pyramid, method):
    def without_the_second(parameters, seed):
        return simulator(jnp.stack([parameters[0], 0.0 * parameters[0]]), seed)

    options = {"steps": 1e-4} if method == "differences" else {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = jacobian(
            without_the_second, AT, pyramid, seeds=12, summary=SUMMARY, method=method, **options
        )
    (warning,) = said
    assert str(warning.message).startswith(
        "jacobian: parameter 1 without effect: the derivative is"
    )
    assert ("steps too small" in str(warning.message)) == (method == "differences")
    assert warning.filename == __file__
    assert not found.values[:, 1].any() and found.noise[1] == 0
    assert found.step_change is None or found.step_change[1] == 0


def test_hidden_pixels_of_a_simulator_may_hold_anything(pyramid):
    mask = np.r_[np.zeros(20), np.ones(172)]
    summary = Summary(groups=("S1", "S2"), mask=mask)

    def masked(parameters, seed):
        return jnp.where(mask > 0, simulator(parameters, seed), jnp.nan)

    options = {"seeds": 3, "summary": summary}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few seeds
        for more in ({}, {"method": "differences", "steps": 1e-4}):
            found = jacobian(masked, AT, pyramid, **options, **more)
            whole = jacobian(simulator, AT, pyramid, **options, **more)
            np.testing.assert_allclose(found.each, whole.each, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulator": 3}, "simulator: got 3, expected a function of parameters and a seed"),
        ({"simulator": lambda seed: seed}, "simulator: got .*, which cannot be called so"),
        (
            {"simulator": lambda p, seed: np.random.default_rng(seed).normal(size=192)},
            "simulator: got one that JAX cannot trace",
        ),
        ({"simulator": lambda p, seed: p}, r"simulator: got an array of shape \(2,\) from it"),
        (
            {"simulator": lambda p, seed: jnp.sqrt(p[0] - 2.0) * jnp.arange(192.0)},
            "simulator: got derivatives by parameter 0 that are not finite",
        ),
        ({"parameters": 2.0}, r"parameters: got an array of float64 of shape \(\), expected"),
        ({"parameters": [np.nan]}, "parameters: got some that are not finite"),
        ({"seeds": 1}, "seeds: got one, expected two or more"),
        ({"method": "backward"}, "method: got 'backward', expected 'forward' or 'differences'"),
        ({"steps": 0.1}, "steps: got some for method 'forward', expected None"),
        ({"method": "differences"}, "steps: got None, expected the steps"),
        ({"method": "differences", "steps": [1, 2, 3]}, "steps: got an array of .*, expected one"),
        ({"method": "differences", "steps": -1.0}, "steps: got -1.0, expected positive"),
        ({"chunk_size": 1.5}, "chunk_size: got 1.5, expected an integer"),
        (
            {"method": "differences", "steps": 0.1, "simulator": lambda p, seed: p},
            r"simulator: the map of seed 0 at .*: got 2 pixels",
        ),
    ],
)
def test_bad_input_is_named(pyramid, options, message):
    given = {"simulator": simulator, "parameters": AT, "seeds": 2, "summary": SUMMARY, **options}
    with pytest.raises(ValueError, match=f"^{message}"):
        jacobian(pyramid=pyramid, **given)
