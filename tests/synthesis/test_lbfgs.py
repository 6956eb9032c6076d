"""One run of steps against a plain loop around optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxscat.objectives.chi_square import map_loss
from jaxscat.objectives.target import Target, make_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.synthesis.lbfgs import CONVERGED, NOT_FINITE, RUNNING, advance, evaluate_start

NPIX, MEMORY, CHUNK = 48, 5, 6


@pytest.fixture(scope="module")
def problem():
    """A pyramid, a target and a start."""
    generator = np.random.default_rng(0)
    pyramid = build_pyramid(2, dtype="float64")
    target = make_target(generator.gamma(2.0, size=NPIX), pyramid)
    return pyramid, target, jnp.asarray(generator.standard_normal(NPIX))


def run(problem, state, steps, tolerance=0.0):
    pyramid, target, _ = problem
    return advance(
        state,
        pyramid,
        target,
        np.float64(1),
        np.int32(steps),
        np.float64(tolerance),
        MEMORY,
        CHUNK,
    )


def begin(problem):
    pyramid, target, start = problem
    return evaluate_start(start, pyramid, target, np.float64(1), MEMORY, CHUNK)


def test_start_is_evaluated_once(problem):
    pyramid, target, start = problem
    state = begin(problem)
    loss, gradient = jax.jit(jax.value_and_grad(map_loss))(start, pyramid, target)
    np.testing.assert_array_equal(state.map, start)
    np.testing.assert_array_equal(state.best_map, start)
    assert state.loss == state.best_loss == pytest.approx(float(loss), rel=1e-12)
    np.testing.assert_allclose(state.gradient, gradient, rtol=1e-10)
    assert state.first_gradient == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    assert (state.step, state.evaluations, state.fruitless, state.status) == (0, 1, 0, RUNNING)


def test_start_without_a_finite_loss_is_the_end(problem):
    pyramid, target, start = problem
    tiny = Target(target.mean, jax.tree.map(lambda sigma: sigma * 1e-200, target.sigma), None)
    state = evaluate_start(start, pyramid, tiny, np.float64(1), MEMORY, CHUNK)
    assert int(state.status) == NOT_FINITE and int(state.step) == 0
    np.testing.assert_array_equal(state.best_map, start)


def test_no_steps_change_nothing(problem):
    before = jax.tree.map(np.array, begin(problem))
    after, losses, evaluations = run(problem, begin(problem), 0)
    for left, right in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(left, right)
    assert not losses.any() and not evaluations.any()


def test_steps_are_those_of_a_plain_loop_around_optax(problem):
    pyramid, target, map = problem
    loss = jax.jit(map_loss)
    calls = []

    def value(map):
        jax.debug.callback(lambda: calls.append(1))
        return loss(map, pyramid, target)

    search = optax.scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")
    optimizer = optax.lbfgs(memory_size=MEMORY, linesearch=search)

    @jax.jit
    def step(map, state):
        value_now, gradient = jax.value_and_grad(value)(map)
        updates, state = optimizer.update(
            gradient, state, map, value=value_now, grad=gradient, value_fn=value
        )
        return optax.apply_updates(map, updates), state, value_now

    with jax.numpy_dtype_promotion("standard"):
        plain, optimizer_state, expected = map, optimizer.init(map), []
        for _ in range(CHUNK):
            plain, optimizer_state, value_before = step(plain, optimizer_state)
            expected.append(float(value_before))
    jax.effects_barrier()

    state, losses, evaluations = run(problem, begin(problem), CHUNK)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    np.testing.assert_allclose(state.map, plain, rtol=1e-8, atol=1e-10)
    assert state.loss == pytest.approx(float(loss(plain, pyramid, target)), rel=1e-8)
    # The plain loop evaluates once more at the beginning of every step but the first.
    assert int(state.evaluations) == len(calls) - (CHUNK - 1)
    assert (np.diff(evaluations) > 0).all() and evaluations[0] == 1


def test_records_are_of_the_steps_made_and_the_best_map_is_kept(problem):
    pyramid, target, start = problem
    state, losses, evaluations = run(problem, begin(problem), 4)
    assert int(state.step) == 4 and (losses[:4] > 0).all()
    assert not losses[4:].any() and not evaluations[4:].any()
    assert losses[0] == pytest.approx(float(map_loss(start, pyramid, target)), rel=1e-12)
    met = [*losses[:4].tolist(), float(state.loss)]
    assert state.best_loss == min(met) < met[0]
    assert map_loss(state.best_map, pyramid, target) == pytest.approx(min(met), rel=1e-10)


def test_two_short_runs_are_one_long_run(problem):
    once, losses, _ = run(problem, begin(problem), 6)
    state, first, _ = run(problem, begin(problem), 2)
    twice, second, _ = run(problem, state, 4)
    np.testing.assert_array_equal(losses, [*first[:2], *second[:4]])
    for left, right in zip(jax.tree.leaves(once), jax.tree.leaves(twice), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_run_that_has_ended_makes_no_steps(problem):
    state, *_ = run(problem, begin(problem), 6, tolerance=0.9)
    assert int(state.status) == CONVERGED and 1 <= int(state.step) < 6
    step, map = int(state.step), np.array(state.map)
    again, losses, _ = run(problem, state, 6, tolerance=0.9)
    assert int(again.step) == step and not losses.any()
    np.testing.assert_array_equal(again.map, map)
