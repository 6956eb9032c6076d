"""Steps of a batch of lanes against optax's own L-BFGS and the conditions of Wolfe."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxscat.minimization.lane import (
    CONVERGED,
    EVALUATION_LIMIT,
    NO_PROGRESS,
    NOT_FINITE,
    RUNNING,
    STAGNATED,
    STEP_LIMIT,
    build_limits,
)
from jaxscat.minimization.lanes import advance, begin, replace_lanes, take_lanes
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.problem import build_problem
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import MeanScattering, Scattering, map_loss, mean_loss
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.parametrizations.components import Stacked
from jaxscat.parametrizations.pixels import Pixels

NPIX, MEMORY, CHUNK, LANES = 48, 5, 12, 3


@pytest.fixture(scope="module")
def problem():
    """A pyramid, a target and a start for each lane."""
    generator = np.random.default_rng(0)
    pyramid = build_pyramid(2, dtype="float64")
    target = make_target(generator.gamma(2.0, size=NPIX), pyramid)
    return pyramid, target, jnp.asarray(generator.standard_normal((LANES, NPIX)))


def build(problem, tolerance=0.0, stagnation=None, max_steps=1000, max_evaluations=None):
    pyramid, target, _ = problem
    return build_problem(
        Objective({"scattering": Scattering.of(target, pyramid)}),
        Pixels(NPIX),
        LBFGS(tolerance, stagnation, MEMORY),
        build_limits(max_steps, max_evaluations),
        np.float64,
    )


def begun(starts):
    return begin(starts, None, LBFGS(memory=MEMORY))


def run(problem, lanes, count, **limits):
    lanes, rows = advance(lanes, build(problem, **limits), np.int32(count), CHUNK)
    return lanes, rows.losses, rows.evaluations


def to_the_end(problem, starts, count, **options):
    """Lanes after so many evaluations, and the losses of the steps of each lane."""
    lanes, records = begun(starts), [[] for _ in starts]
    for done in range(0, count, CHUNK):
        lanes, losses, made = run(problem, lanes, min(CHUNK, count - done), **options)
        for lane, record in enumerate(records):
            record += np.asarray(losses)[np.asarray(made)[:, lane] > 0, lane].tolist()
    return on_host(lanes), records


def started(problem):
    return run(problem, begun(problem[2]), 1)[0]


def on_host(lanes):
    return jax.tree.map(np.array, lanes)


def assert_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_first_evaluation_is_that_of_the_starts(problem):
    pyramid, target, starts = problem
    lanes, losses, evaluations = run(problem, begun(starts), 1)
    loss, gradient = jax.jit(jax.vmap(jax.value_and_grad(map_loss), (0, None, None)))(
        starts, pyramid, target
    )
    np.testing.assert_array_equal(lanes.point, starts)
    np.testing.assert_array_equal(lanes.best, starts)
    np.testing.assert_allclose(lanes.loss, loss, rtol=1e-12)
    np.testing.assert_array_equal(losses[0], lanes.loss)
    np.testing.assert_array_equal(lanes.best_loss, lanes.loss)
    np.testing.assert_allclose(lanes.gradient, gradient, rtol=1e-10)
    norm = np.linalg.norm(gradient, axis=1)
    np.testing.assert_allclose(lanes.first_gradient, norm, rtol=1e-12)
    # The first step is along the gradient, of length one at most.
    along = -np.minimum(1, 1 / norm)[:, None] * gradient
    np.testing.assert_allclose(lanes.direction, along, rtol=1e-10)
    assert (evaluations[0] == 1).all() and not evaluations[1:].any()
    for value, expected in ((lanes.step, 0), (lanes.evaluations, 1), (lanes.status, RUNNING)):
        np.testing.assert_array_equal(value, expected)


def test_directions_are_those_of_optax_and_steps_meet_the_conditions_of_wolfe(problem):
    """Each lane is followed evaluation by evaluation, and fed to optax's own L-BFGS."""
    optimizer = optax.scale_by_lbfgs(MEMORY)
    update = jax.jit(optimizer.update)
    lanes = started(problem)
    before = on_host(lanes)
    states, directions = [], []
    for lane in range(LANES):
        with jax.numpy_dtype_promotion("standard"):
            found, state = update(
                before.gradient[lane], optimizer.init(before.point[lane]), before.point[lane]
            )
        states.append(state), directions.append(-np.asarray(found))
    steps = 0
    for _ in range(40):
        lanes, *_ = run(problem, lanes, 1)
        after = on_host(lanes)
        for lane in range(LANES):
            if after.step[lane] == before.step[lane]:
                np.testing.assert_array_equal(after.point[lane], before.point[lane])
                continue
            steps += 1
            moved = before.length[lane] * directions[lane]
            np.testing.assert_allclose(after.point[lane] - before.point[lane], moved, atol=1e-9)
            slope = before.gradient[lane] @ directions[lane]
            assert after.loss[lane] <= before.loss[lane] + 1e-4 * before.length[lane] * slope
            assert after.gradient[lane] @ directions[lane] >= 0.9 * slope
            with jax.numpy_dtype_promotion("standard"):
                found, states[lane] = update(after.gradient[lane], states[lane], after.point[lane])
            directions[lane] = -np.asarray(found)
            np.testing.assert_allclose(after.direction[lane], directions[lane], rtol=1e-7)
        before = after
    assert steps >= 0.8 * 40 * LANES


def test_lanes_do_not_see_one_another(problem):
    _, _, starts = problem
    together, losses, _ = run(problem, started(problem), CHUNK)
    together, losses = on_host(together), np.asarray(losses)
    turned = (problem[0], problem[1], starts[::-1])
    backwards, found, _ = run(problem, started(turned), CHUNK)
    np.testing.assert_allclose(found[:, ::-1], losses, rtol=1e-9)
    np.testing.assert_allclose(backwards.point[::-1], together.point, rtol=1e-8, atol=1e-10)
    alone, found, _ = run(problem, started((problem[0], problem[1], starts[1:2])), CHUNK)
    np.testing.assert_allclose(found[:, 0], losses[:, 1], rtol=1e-9)
    np.testing.assert_allclose(alone.point[0], together.point[1], rtol=1e-8, atol=1e-10)


def test_a_lane_that_ends_changes_no_more_and_the_others_go_on(problem):
    """One lane starts at the solution and another where the loss overflows."""
    _, _, starts = problem
    solution = np.random.default_rng(0).gamma(2.0, size=NPIX)
    starts = jnp.stack([jnp.asarray(solution), 1e200 * starts[0], starts[1]])
    lanes, *_ = run(problem, begun(starts), 8, tolerance=1e-9)
    early = on_host(lanes)
    while int(lanes.status[0]) == RUNNING:
        lanes, *_ = run(problem, lanes, 2, tolerance=1e-9)
    first = on_host(lanes)
    assert first.status[0] in (CONVERGED, NO_PROGRESS)
    np.testing.assert_array_equal(first.status[1:], [NOT_FINITE, RUNNING])
    np.testing.assert_allclose(first.point[0], starts[0], rtol=1e-9)
    np.testing.assert_array_equal(first.best[1], starts[1])
    assert not np.isfinite(first.best_loss[1])
    lanes, _, evaluations = run(problem, lanes, 4, tolerance=1e-9)
    last = on_host(lanes)
    ended = jax.tree.map(lambda leaf: leaf[:2], (first.point, first.loss, first.step))
    assert_equal(ended, jax.tree.map(lambda leaf: leaf[:2], (last.point, last.loss, last.step)))
    np.testing.assert_array_equal(last.evaluations[:2], first.evaluations[:2])
    assert not evaluations[:, :2].any()
    assert last.step[2] > first.step[2] and last.loss[2] < first.loss[2]
    # Its numbers are those without the others; later steps would show how rounding grows.
    alone, *_ = run(problem, begun(starts[2:]), 8, tolerance=1e-9)
    np.testing.assert_allclose(early.point[2], alone.point[0], rtol=1e-8, atol=1e-10)


def test_a_step_limit_ends_each_lane_by_itself(problem):
    lanes, _, evaluations = run(problem, started(problem), CHUNK, max_steps=3)
    np.testing.assert_array_equal(lanes.status, STEP_LIMIT)
    np.testing.assert_array_equal(lanes.step, 3)
    assert ((np.asarray(evaluations) > 0).sum(0) == 3).all()


def test_two_short_runs_are_one_long_run(problem):
    once, losses, _ = run(problem, started(problem), 6)
    lanes, first, _ = run(problem, started(problem), 2)
    twice, second, _ = run(problem, lanes, 4)
    np.testing.assert_array_equal(losses[:6], [*first[:2], *second[:4]])
    assert_equal(once, twice)


def test_a_search_that_finds_nothing_goes_along_the_gradient_and_then_ends(problem):
    """A direction that the loss does not follow, as after a change of the objective."""
    lanes, *_ = run(problem, started(problem), 4)
    lying = lanes.__class__(
        **{**vars(lanes), "direction": -1e3 * lanes.direction, "trials": 0 * lanes.trials + 18}
    )
    kept = on_host(lying)
    lanes, *_ = run(problem, lying, 2)
    after = on_host(lanes)
    np.testing.assert_array_equal(after.point, kept.point)
    norm = np.linalg.norm(kept.gradient, axis=1)[:, None]
    steepest = -kept.gradient * np.minimum(1, 1 / norm)
    np.testing.assert_allclose(after.direction, steepest, rtol=1e-10)
    np.testing.assert_array_equal(after.memory.count, 1)
    assert not after.trials.any()
    again = lanes.__class__(
        **{**vars(lanes), "direction": -1e3 * lanes.direction, "trials": 0 * lanes.trials + 18}
    )
    lanes, *_ = run(problem, again, 2)
    np.testing.assert_array_equal(lanes.status, NO_PROGRESS)
    np.testing.assert_array_equal(lanes.point, kept.point)


def test_lanes_are_replaced_and_taken(problem):
    _, _, starts = problem
    lanes, *_ = run(problem, started(problem), 4)
    before = on_host(lanes)
    fresh = 2 * starts
    mixed = on_host(
        replace_lanes(lanes, np.array([False, True, False]), fresh, LBFGS(memory=MEMORY))
    )
    expected = on_host(begun(fresh))
    for lane, source in enumerate((before, expected, before)):
        pick = lambda leaf, lane=lane: leaf[lane]  # noqa: E731
        assert_equal(jax.tree.map(pick, mixed), jax.tree.map(pick, source))
    taken = on_host(take_lanes(jax.tree.map(jnp.asarray, before), np.array([2, 0])))
    assert_equal(taken, jax.tree.map(lambda leaf: leaf[[2, 0]], before))


def test_lanes_of_several_maps_have_the_loss_of_their_mean(problem):
    pyramid, target, starts = problem
    together = build_problem(
        Objective({"scattering": MeanScattering.of(target, pyramid)}),
        Stacked(Pixels(NPIX), LANES),
        LBFGS(0.0, memory=MEMORY),
        build_limits(1000),
        np.float64,
    )
    lanes, rows = advance(begun(starts.reshape(1, -1)), together, np.int32(1), CHUNK)
    expected, slopes = jax.value_and_grad(mean_loss)(starts, pyramid, target)
    assert rows.losses[0, 0] == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(lanes.gradient[0], slopes.ravel(), rtol=1e-9, atol=1e-14)
    lanes, _ = advance(lanes, together, np.int32(CHUNK), CHUNK)
    assert lanes.loss[0] < 0.5 * expected


def test_start_whose_loss_is_not_finite_is_kept(problem):
    pyramid, target, starts = problem
    tiny = Target(target.mean, jax.tree.map(lambda sigma: sigma * 1e-200, target.sigma), None)
    lanes, losses, evaluations = run((pyramid, tiny, starts), begun(starts), 2)
    np.testing.assert_array_equal(lanes.status, NOT_FINITE)
    np.testing.assert_array_equal(lanes.step, 0)
    np.testing.assert_array_equal(lanes.best, starts)
    assert (evaluations[0] == 1).all() and not np.isfinite(losses[0]).any()


def first_stagnation(losses, fraction):
    """The rule in NumPy: the first of every 25 steps that have lowered the loss too little."""
    losses = np.asarray(losses)
    looks = [
        step
        for step in range(25, len(losses), 25)
        if losses[step - 25] - losses[step] < fraction * losses[step - 25]
    ]
    return looks[0] if looks else None


@pytest.mark.parametrize("fraction", [0.7, 0.9, 0.97])
def test_a_lane_stagnates_at_the_first_look_at_which_the_loss_has_fallen_too_little(
    problem, fraction
):
    free, whole = to_the_end(problem, problem[2], 180, max_steps=150)
    np.testing.assert_array_equal(free.status, STEP_LIMIT)
    expected = [first_stagnation(losses, fraction) for losses in whole]
    assert any(expected) and all(step is None or step < 150 for step in expected)
    lanes, found = to_the_end(
        problem, problem[2], 180, max_steps=150, stagnation=np.float64(fraction)
    )
    for lane, step in enumerate(expected):
        last = 150 if step is None else step
        assert lanes.status[lane] == (STEP_LIMIT if step is None else STAGNATED)
        assert lanes.step[lane] == last
        # What ends one lane, and when, changes nothing of the others.
        np.testing.assert_allclose(found[lane], whole[lane][: last + 1], rtol=1e-6)
        assert lanes.earlier_loss[lane] == found[lane][last // 25 * 25]


def test_stagnation_of_nothing_is_a_rise(problem):
    lanes, _ = to_the_end(problem, problem[2], 60, stagnation=np.float64(0))
    np.testing.assert_array_equal(lanes.status, RUNNING)
    lanes = jax.tree.map(jnp.asarray, lanes)
    lanes = lanes.__class__(**{**vars(lanes), "earlier_loss": 0 * lanes.earlier_loss})
    for _ in range(4):
        lanes, *_ = run(problem, lanes, CHUNK, stagnation=np.float64(0))
    np.testing.assert_array_equal(lanes.status, STAGNATED)
    np.testing.assert_array_equal(lanes.step % 25, 0)


@pytest.mark.parametrize("budget", [1, 2, 7, 30])
def test_a_lane_uses_no_more_evaluations_than_it_is_given(problem, budget):
    lanes, losses = to_the_end(problem, problem[2], 48, max_evaluations=np.int32(budget))
    np.testing.assert_array_equal(lanes.status, EVALUATION_LIMIT)
    np.testing.assert_array_equal(lanes.evaluations, budget)
    free, expected = to_the_end(problem, problem[2], budget)
    for lane in range(LANES):
        np.testing.assert_array_equal(losses[lane], expected[lane])
        assert lanes.best_loss[lane] == min(losses[lane])
    np.testing.assert_array_equal(lanes.best, free.best)


def test_a_budget_ends_a_line_search_in_its_middle(problem):
    """One lane has a direction that no step along fits; the other two make steps."""
    lanes, *_ = run(problem, started(problem), 4)
    turned = lanes.direction.at[1].multiply(-1e3)
    lanes = lanes.__class__(**{**vars(lanes), "direction": turned})
    before = on_host(lanes)
    budget = np.int32(before.evaluations.max() + 6)
    for _ in range(9):
        lanes, *_ = run(problem, lanes, 1, max_evaluations=budget)
    after = on_host(lanes)
    np.testing.assert_array_equal(after.status, EVALUATION_LIMIT)
    np.testing.assert_array_equal(after.evaluations, budget)
    assert after.trials[1] > 0 and after.step[1] == before.step[1]
    np.testing.assert_array_equal(after.best[1], before.best[1])
    assert (after.step > before.step)[[0, 2]].all()


def test_the_first_status_that_applies_is_taken(problem):
    """All reasons to end hold at step 25, but for those that are left out."""
    lanes, _ = to_the_end(problem, problem[2][:1], 60, max_steps=25)
    spent = np.int32(lanes.evaluations[0])
    options = {
        "max_steps": 25,
        "stagnation": np.float64(0.999999),
        "max_evaluations": spent,
    }
    for changes, expected in [
        ({}, STAGNATED),
        ({"stagnation": np.float64(0)}, STEP_LIMIT),
        ({"stagnation": np.float64(0), "max_steps": 1000}, EVALUATION_LIMIT),
    ]:
        found, _ = to_the_end(problem, problem[2][:1], 60, **options | changes)
        np.testing.assert_array_equal(found.status, expected)
        np.testing.assert_array_equal(found.step, 25)
    lanes, _ = to_the_end(problem, problem[2][:1], 60, tolerance=0.5)
    np.testing.assert_array_equal(lanes.status, CONVERGED)
    spent, steps = np.int32(lanes.evaluations[0]), int(lanes.step[0])
    options = {"tolerance": 0.5, "max_steps": steps, "max_evaluations": spent}
    found, _ = to_the_end(problem, problem[2][:1], 60, **options)
    np.testing.assert_array_equal(found.status, CONVERGED)


def test_one_program_serves_all_values_of_the_limits(problem):
    def values(stagnation, max_evaluations):
        return {
            "stagnation": np.float64(stagnation),
            "max_evaluations": np.int32(max_evaluations),
        }

    run(problem, begun(problem[2]), 1, **values(0.1, 100))
    before = advance._cache_size()
    run(problem, begun(problem[2]), 1, **values(0.5, 3))
    assert advance._cache_size() == before


def test_limits_that_are_never_reached_change_nothing(problem):
    plain, losses = to_the_end(problem, problem[2], 36)
    options = {"stagnation": np.float64(0), "max_evaluations": np.int32(10_000)}
    found, others = to_the_end(problem, problem[2], 36, **options)
    for lane in range(LANES):
        np.testing.assert_allclose(others[lane], losses[lane], rtol=1e-9)
    np.testing.assert_allclose(found.point, plain.point, rtol=1e-8, atol=1e-10)
