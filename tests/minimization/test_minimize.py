"""Losses of one's own, one map or several, free pixels, many seeds: one function minimizes them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxscat
from jaxscat.minimization.lane import RUNNING, Lane, fresh_lane, limit_endings
from jaxscat.minimization.lanes import advance
from jaxscat.minimization.minimize import Batching, minimize
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import Scattering, map_loss
from jaxscat.parametrizations.components import Components
from jaxscat.parametrizations.pixels import FreePixels, Pixels

NPIX = 192


class Smooth(jaxscat.Term):
    """Squared differences of neighbouring pixels."""

    scale: float

    def __call__(self, maps):
        return jnp.mean((jnp.diff(maps) / self.scale) ** 2)


class Near(eqx.Module):
    """A module that is no subclass of Term."""

    to: jax.Array

    def __call__(self, maps):
        return jnp.mean((maps - self.to) ** 2)


class Sum(jaxscat.Term):
    """The data is the sum of two components."""

    data: jax.Array

    def __call__(self, maps):
        return jnp.mean((maps["a"] + maps["b"] - self.data) ** 2)


class Small(jaxscat.Term):
    key: str = eqx.field(static=True)

    def __call__(self, maps):
        return jnp.mean(maps[self.key] ** 2)


@pytest.fixture(scope="module")
def mixed(target, pyramid):
    terms = {"scattering": Scattering.of(target, pyramid), "smooth": Smooth(2.0)}
    return Objective(terms, {"smooth": 0.1})


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(4).gamma(2.0, size=NPIX)


@pytest.fixture(scope="module")
def mixed_result(mixed, start):
    return minimize(mixed, start, max_steps=12)


def test_gradient_of_mixed_terms_is_that_of_finite_differences(mixed, start):
    loss, generator = jax.jit(lambda map: mixed(map)), np.random.default_rng(5)
    slopes = jax.grad(loss)(start)
    for _ in range(4):
        change = generator.normal(size=NPIX)
        step = 1e-5
        differences = [loss(start + k * step * change) for k in (-2, -1, 1, 2)]
        found = (8 * (differences[2] - differences[1]) - differences[3] + differences[0]) / 12
        assert float(slopes @ change) == pytest.approx(float(found / step), rel=1e-6)


def test_values_of_every_term_are_in_the_history(mixed, mixed_result, start):
    result = mixed_result
    assert list(result.terms) == ["scattering", "smooth"]
    for values in result.terms.values():
        assert values.shape == result.losses.shape == (13,)
    both = result.terms["scattering"] + 0.1 * result.terms["smooth"]
    np.testing.assert_allclose(both, result.losses, rtol=1e-12)
    values = mixed.values(start)
    for name, value in values.items():
        assert result.terms[name][0] == pytest.approx(float(value), rel=1e-9)
    at_best = mixed.values(result.map)
    best = int(np.argmin(result.losses))
    for name, value in at_best.items():
        assert result.terms[name][best] == pytest.approx(float(value), rel=1e-7)
    assert result.loss < 0.5 * result.losses[0] and result.status == "step limit"


def test_other_numbers_of_terms_and_weights_need_no_other_program(
    mixed, mixed_result, target, pyramid, start
):
    before = advance._cache_size()
    terms = {"scattering": Scattering.of(target, pyramid), "smooth": Smooth(3.0)}
    other = minimize(Objective(terms, {"smooth": 0.2}), 2 * start, max_steps=12)
    assert advance._cache_size() == before
    assert other.losses[0] != mixed_result.losses[0]


def test_a_synthesis_is_a_minimization_of_one_term(target, pyramid, start):
    unit = jaxscat.objectives.target.unit_of(target, pyramid)
    found = minimize(
        Objective({"scattering": Scattering.of(target, pyramid)}),
        start,
        parametrization=Pixels(NPIX, unit),
        max_steps=8,
    )
    expected = jaxscat.synthesize(target, pyramid, start, max_steps=8)
    np.testing.assert_array_equal(found.map, expected.map)
    np.testing.assert_array_equal(expected.terms["scattering"], expected.losses)


def test_fixed_pixels_stay_and_the_free_ones_are_found(start):
    free = np.random.default_rng(6).uniform(size=NPIX) < 0.4
    truth = np.cumsum(np.random.default_rng(7).normal(size=NPIX))
    unknowns = FreePixels(np.where(free, np.nan, truth), free)
    result = minimize(Near(truth), start, parametrization=unknowns, max_steps=50)
    np.testing.assert_array_equal(result.map[~free], truth[~free])
    np.testing.assert_allclose(result.map[free], truth[free], atol=1e-5)
    assert result.status == "converged"


def test_several_maps_are_found_together():
    data = np.random.default_rng(8).normal(size=48)
    loss = Objective({"sum": Sum(data), "a": Small("a"), "b": Small("b")}, {"b": 3.0})
    starts = {"a": np.zeros(48), "b": np.random.default_rng(9).normal(size=48)}
    result = minimize(loss, starts, max_steps=60)
    # The minimum of (a + b - d)^2 + a^2 + 3 b^2 has a = 3 b = 3 d / 7.
    np.testing.assert_allclose(result.map["a"], 3 * data / 7, atol=1e-5)
    np.testing.assert_allclose(result.maps["b"], data / 7, atol=1e-5)
    assert set(result.terms) == {"a", "b", "sum"}


def test_every_seed_has_a_start_of_its_own():
    truth = np.arange(12.0)
    kept = Components({"a": Pixels(12), "b": FreePixels(np.zeros(12), np.arange(12) > 5)})
    loss = Objective({"sum": Sum(truth), "a": Small("a")}, {"a": 1e-3})

    def draw(seed):
        generator = np.random.default_rng(seed)
        return {"a": generator.normal(size=12), "b": generator.normal(size=12)}

    options = {"parametrization": kept, "max_steps": 15}
    many = minimize(loss, draw, seeds=[5, 2, 9], batching=Batching(batch_size=2), **options)
    assert many.map["a"].shape == (3, 12) and many.seeds == (5, 2, 9)
    given = jax.tree.map(lambda *maps: np.stack(maps), *[draw(seed) for seed in (5, 2, 9)])
    again = minimize(loss, given, seeds=[5, 2, 9], **options)
    for seed in (5, 2, 9):
        one = many.of_seed(seed)
        assert not one.map["b"][:6].any()
        np.testing.assert_allclose(one.map["a"], again.of_seed(seed).map["a"], atol=1e-6)
        assert one.terms["sum"].shape == (one.steps + 1,)
    alone = minimize(loss, draw(2), **options)
    np.testing.assert_allclose(alone.losses, many.of_seed(2).losses, rtol=1e-7)


class Descent(jaxscat.Minimizer):
    """Every evaluation is a step of an optimizer of optax."""

    rate: float = 0.3

    def init(self, start):
        return Steps(
            **vars(fresh_lane(start)), point=start, state=optax.adam(self.rate).init(start)
        )

    def trial(self, lane):
        return lane.point

    def update(self, lane, trial, value, gradient, limits):
        running = lane.status == RUNNING
        with jax.numpy_dtype_promotion("standard"):
            change, state = optax.adam(self.rate).update(gradient, lane.state)
        step, evaluations = lane.step + running, lane.evaluations + running
        endings = limit_endings(lane, running, step, evaluations, limits)
        status = jnp.select(list(endings.values()), list(endings), lane.status)
        better = running & (value < lane.best_loss)
        after = Steps(
            loss=value,
            best=jnp.where(better, trial, lane.best),
            best_loss=jnp.where(better, value, lane.best_loss),
            step=step,
            evaluations=evaluations,
            status=status,
            point=lane.point + change,
            state=state,
        )
        kept = jax.tree.map(
            lambda new, old: jnp.where(running, new, old).astype(old.dtype), after, lane
        )
        return kept, running


class Steps(Lane):
    point: jax.Array
    state: optax.OptState


def test_a_minimizer_of_ones_own():
    truth = np.linspace(-1, 1, 12)
    result = minimize(Near(truth), np.zeros(12), minimizer=Descent(0.1), max_steps=150)
    np.testing.assert_allclose(result.map, truth, atol=1e-2)
    assert result.steps == 150 and result.status == "step limit"


class Logarithm(jaxscat.Term):
    def __call__(self, maps):
        return jnp.sum(jnp.log(maps))


class Root(jaxscat.Term):
    """Finite at zero, with a gradient that is not."""

    def __call__(self, maps):
        return jnp.sum(jnp.sqrt(jnp.abs(maps)))


@pytest.mark.parametrize(("term", "start"), [(Logarithm(), -np.ones(12)), (Root(), np.zeros(12))])
def test_the_term_that_is_not_finite_at_the_start_is_named(term, start):
    loss = Objective({"near": Near(np.ones(12)), "mine": term})
    result = minimize(loss, start, max_steps=3)
    assert result.status == "not finite: mine" and result.steps == 0
    np.testing.assert_array_equal(result.map, start)
    assert minimize(term, start, max_steps=3).status == "not finite"


def test_an_interrupt_is_told():
    def interrupt(progress):
        raise KeyboardInterrupt

    result = minimize(Near(np.ones(12)), np.arange(12.0), max_steps=200, callback=interrupt)
    assert result.interrupted
    assert not minimize(Near(np.ones(12)), np.arange(12.0), max_steps=5).interrupted


def test_losses_are_those_of_the_map(target, pyramid, start, mixed_result):
    found = mixed_result.terms["scattering"][np.argmin(mixed_result.losses)]
    assert found == pytest.approx(float(map_loss(mixed_result.map, pyramid, target)), rel=1e-7)


ONES = np.ones(12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": 3}, "objective: got 3, expected an Objective"),
        ({"objective": lambda maps: maps}, r"terms\['loss'\]: got float64 of shape \(12,\)"),
        ({"start": 3}, r"start: got int64 of shape \(\), expected a real map"),
        ({"start": np.ones((2, 6))}, r"start: got float64 of shape \(2, 6\)"),
        ({"start": {}}, r"start: got \{\}, expected a map"),
        ({"start": {"a": np.ones(12, int)}}, r"start\['a'\]: got int64"),
        ({"start": ONES * np.nan}, "start: got 12 values that are not finite"),
        ({"parametrization": 3}, "parametrization: got int, expected a Parametrization"),
        ({"parametrization": Pixels(13)}, r"start: got float64 of shape \(12,\), .* \(13,\)"),
        (
            {"parametrization": Components({"a": Pixels(12)})},
            r"start: got the structure \(12,\), expected \{'a': \(12,\)\}",
        ),
        (
            {
                "objective": Small("a"),
                "parametrization": Components({"a": Pixels(12)}),
                "start": {"b": ONES},
            },
            r"start: got the structure \{'b': \(12,\)\}, expected \{'a': \(12,\)\}",
        ),
        ({"minimizer": optax.adam(0.1)}, "minimizer: got .*, expected a Minimizer such as LBFGS"),
        ({"max_steps": 0}, "max_steps: got 0"),
        ({"max_evaluations": 1.5}, "max_evaluations: got 1.5"),
        ({"seeds": []}, "seeds: got none"),
        ({"seeds": 2}, r"start: got shape \(12,\), expected a leading axis of 2"),
        ({"objective": Near("text")}, r"objective\.terms\['near'\]\.to: got str, expected an"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:12],
)
def test_bad_input_is_refused_before_anything_is_compiled(monkeypatch, changes, message):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    arguments = {"objective": Near(np.zeros(12)), "start": ONES}
    with pytest.raises(ValueError, match=f"^{message}"):
        minimize(**arguments | changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"chunk_steps": 0}, "chunk_steps: got 0"),
    ],
)
def test_bad_batches_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Batching(**options)


def test_unknown_limits_are_refused_by_name(target, pyramid, start):
    with pytest.raises(TypeError, match=r"synthesize\(\) got .* 'max_stepz'; did you mean 'max_s"):
        jaxscat.synthesize(target, pyramid, start, max_stepz=3)
