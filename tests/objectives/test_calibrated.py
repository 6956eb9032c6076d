"""Terms with targets that can be replaced: values by hand, gradients by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.band_power import BandPower
from jaxscat.objectives.calibrated import CalibratedTerm, Fidelity, Hinge, Residual
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import MeanScattering, Scattering
from jaxscat.objectives.target import Target
from jaxscat.objectives.term import Term

NPIX = 768
TRACES = []


class Quantities(CalibratedTerm):
    """Means and squares of the halves of a map, as a dictionary."""

    mean: dict
    sigma: dict

    def measure(self, maps):
        halves = maps.reshape(2, -1)
        return {"means": halves.mean(axis=1), "square": jnp.mean(maps**2)}

    def distance(self, quantities):
        return sum(
            jnp.mean(((quantities[name] - self.mean[name]) / self.sigma[name]) ** 2)
            for name in quantities
        )

    @property
    def calibration(self):
        return self.mean, self.sigma

    def calibrated(self, mean, sigma):
        return Quantities(mean, sigma)


class Mean(Term):
    def __call__(self, maps):
        return jnp.mean(maps)


@jax.jit
def loss_and_gradient(term, map):
    TRACES.append(1)
    return jax.value_and_grad(lambda map: term(map))(map)


def loss(term, map):
    return float(loss_and_gradient(term, map)[0])


@pytest.fixture(scope="module")
def maps():
    """Data, a map, an original, and a precision that is zero in some pixels."""
    generator = np.random.default_rng(0)
    data, map = generator.standard_normal((2, NPIX))
    precision = generator.gamma(1.0, size=NPIX) * (np.arange(NPIX) >= 50)
    return data, map, generator.gamma(2.0, size=NPIX), precision


@pytest.fixture(scope="module")
def scattering(pyramids, maps):
    pyramid = pyramids(8)
    return Scattering.of(make_target(maps[2], pyramid), pyramid)


@pytest.fixture(scope="module")
def band_power(maps):
    term = BandPower.of(8, [(1, 3), (4, 9), (15, 23)], dtype=np.float64)
    mean = term.measure(maps[2])
    return term.calibrated(mean, 0.3 * mean)


@pytest.fixture(scope="module")
def terms(maps, scattering, band_power):
    data, _, _, precision = maps
    return {
        "scattering": Hinge(scattering),
        "residual": Residual(band_power, jnp.asarray(data)),
        "fidelity": Fidelity(jnp.asarray(data), jnp.asarray(precision)),
        "power": band_power,
    }


def assert_slopes(term, map):
    """Gradients along random directions are differences of fourth order."""
    generator = np.random.default_rng(5)
    slopes = loss_and_gradient(term, map)[1]
    for _ in range(3):
        change = generator.standard_normal(NPIX)
        values = [loss(term, map + step * 1e-4 * change) for step in (-2, -1, 1, 2)]
        found = (8 * (values[2] - values[1]) - values[3] + values[0]) / 12e-4
        assert float(slopes @ change) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("name", ["scattering", "residual", "fidelity", "power"])
def test_gradients_of_terms_are_those_of_finite_differences(terms, maps, name):
    assert loss(terms[name], maps[1]) > 0
    assert_slopes(terms[name], maps[1])


def test_gradient_of_their_weighted_sum_is_that_of_finite_differences(terms, maps):
    weights = {"scattering": 0.3, "residual": 2.0, "fidelity": 5.0}
    objective = Objective(terms, weights)
    values = {name: loss(term, maps[1]) for name, term in terms.items()}
    expected = sum(weights.get(name, 1) * value for name, value in values.items())
    assert loss(objective, maps[1]) == pytest.approx(expected, rel=1e-12)
    assert_slopes(objective, maps[1])


def test_a_hinge_is_what_is_above_its_level(maps):
    map = maps[1] + 3
    mean = map.mean()
    for level, expected in ((mean - 2, 2), (mean + 2, 0), (0.0, mean)):
        value, slopes = loss_and_gradient(Hinge(Mean(), level), map)
        assert float(value) == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(slopes, (expected > 0) / NPIX, rtol=1e-12)
    assert Hinge(Mean()).level == 1
    assert loss(Hinge(Mean()), map) == pytest.approx(mean - 1, rel=1e-12)
    # What cannot be measured is not below the level.
    assert np.isnan(loss(Hinge(Mean(), 1e9), np.where(maps[1] > 2, np.nan, map)))


def test_a_residual_is_what_the_map_leaves_of_the_data(terms, band_power, maps):
    data, map, *_ = maps
    found, slopes = loss_and_gradient(terms["residual"], map)
    expected, opposite = loss_and_gradient(band_power, data - map)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(slopes, -opposite, atol=1e-12 * np.abs(opposite).max())


def test_fidelity_is_the_mean_over_the_pixels_that_have_data(maps):
    data, map, _, precision = maps
    expected = sum(p * (d - u) ** 2 for p, d, u in zip(precision, data, map, strict=True)) / 718
    value, slopes = loss_and_gradient(Fidelity(data, precision), map)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(slopes, 2 * precision * (map - data) / 718, rtol=1e-10, atol=1e-18)
    even = loss(Fidelity(data, np.float64(0.25)), map)
    assert even == pytest.approx(np.mean((data - map) ** 2) / 4, rel=1e-12)


@pytest.mark.parametrize("hidden", [np.nan, -1.6375e30, np.inf])
def test_what_data_hold_where_there_are_none_does_not_matter(maps, hidden):
    data, map, _, precision = maps
    value, slopes = loss_and_gradient(Fidelity(data, precision), map)
    for dtype in (np.float64, np.float32):
        term = Fidelity(
            *[part.astype(dtype) for part in (np.where(precision > 0, data, hidden), precision)]
        )
        found, gradient = loss_and_gradient(term, map.astype(dtype))
        error = 1e-12 if dtype == np.float64 else 1e-5
        assert float(found) == pytest.approx(float(value), rel=error)
        np.testing.assert_allclose(gradient, slopes, atol=error * np.abs(slopes).max())


def test_targets_levels_and_data_are_operands(terms, maps, band_power):
    data, map, *_ = maps
    hinge = Objective({"hinge": Hinge(band_power, 0.5)})
    first, left = loss(hinge, map), loss(terms["residual"], map)
    before = len(TRACES)
    mean, sigma = band_power.calibration
    other = Hinge(band_power.calibrated(2 * mean, 3 * sigma), 0.1)
    assert loss(Objective({"hinge": other}), map) != first
    # Power is the same of minus a map.
    turned = loss(Residual(band_power, jnp.asarray(map)), data)
    assert turned == pytest.approx(left, rel=1e-12)
    assert len(TRACES) == before


def test_scattering_with_another_calibration_is_that_of_its_target(scattering, maps):
    _, map, original, _ = maps
    other = scattering.measure(np.roll(original, 5) ** 2)
    sigma = jax.tree.map(lambda values: 0.5 + values, scattering.target.sigma)
    found = scattering.calibrated(other, sigma)
    assert type(found) is Scattering and found.selection == scattering.selection
    target = scattering.target
    built = Target(
        other,
        sigma,
        **{name: value for name, value in vars(target).items() if name not in ("mean", "sigma")},
    )
    assert loss(found, map) == loss(Scattering.of(built, scattering.pyramid), map)
    assert loss(found, map) != loss(scattering, map)
    for part, expected in zip(found.calibration, (other, sigma), strict=True):
        jax.tree.map(np.testing.assert_array_equal, part, expected)
    # Its own numbers make it what it was, and what is measured of the original has no distance.
    assert loss(scattering.calibrated(*scattering.calibration), map) == loss(scattering, map)
    own = scattering.calibrated(scattering.measure(map), scattering.target.sigma)
    assert loss(own, map) == pytest.approx(0, abs=1e-20)


def test_scattering_measures_the_map_that_is_selected(scattering, maps):
    chosen = Scattering.of(scattering.target, scattering.pyramid, selection="b")
    found = chosen.measure({"a": maps[0], "b": maps[1]})
    jax.tree.map(np.testing.assert_array_equal, found, scattering.measure(maps[1]))
    moved = chosen.calibrated(found, scattering.target.sigma)
    assert float(moved({"a": maps[0], "b": maps[1]})) == pytest.approx(0, abs=1e-20)


def test_mean_scattering_measures_the_mean_over_maps(scattering, maps):
    mean = MeanScattering.of(scattering.target, scattering.pyramid)
    several = np.stack([maps[1], maps[2]])
    found = mean.measure(several)
    one, other = (scattering.measure(map) for map in several)
    jax.tree.map(
        lambda of, a, b: np.testing.assert_allclose(of, (a + b) / 2, rtol=1e-10), found, one, other
    )
    moved = mean.calibrated(found, scattering.target.sigma)
    assert type(moved) is MeanScattering
    assert float(moved(several)) == pytest.approx(0, abs=1e-20)


def test_any_pytree_can_be_calibrated(maps):
    start = {"means": jnp.zeros(2), "square": jnp.zeros(())}
    term = Quantities(start, jax.tree.map(jnp.ones_like, start))
    hinge = Hinge(term.calibrated(term.measure(maps[0]), term.sigma), 0.0)
    assert loss(hinge, maps[0]) == pytest.approx(0, abs=1e-25)
    assert loss(hinge, maps[1]) > 1e-6
    assert loss(Residual(term, maps[0]), maps[0]) == 0


def test_a_calibrated_term_has_to_say_what_it_measures():
    class Lacking(CalibratedTerm):
        def __call__(self, maps):
            return jnp.mean(maps)

    with pytest.raises(TypeError, match="abstract"):
        Lacking()
