import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.progress import Progress
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.synthesis.synthesize import synthesize

NPIX = 192
OPTIONS = {"max_steps": 50, "memory": 10, "chunk_steps": 7}  # one compilation serves most tests


@pytest.fixture(scope="module")
def start(original):
    return np.random.default_rng(1).normal(original.mean(), original.std(), NPIX)


@pytest.fixture(scope="module")
def seen():
    """What the callback saw during the run of `result`."""
    return []


@pytest.fixture(scope="module")
def result(target, pyramid, start, seen):
    return synthesize(target, pyramid, start, **OPTIONS, callback=seen.append)


def test_loss_falls_to_a_tenth_and_the_best_map_is_returned(result, target, pyramid, start):
    assert result.status == "step limit" and result.steps == 50
    assert result.losses[0] == pytest.approx(float(map_loss(start, pyramid, target)), rel=1e-12)
    assert result.losses.min() <= result.losses[0] / 10
    best = float(map_loss(result.map, pyramid, target))
    assert best == pytest.approx(result.losses.min(), rel=1e-9)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**30])
def test_unit_of_the_map_changes_nothing(result, original, pyramid, start, unit):
    scaled_target = make_target(unit * original, pyramid, coarsest_nside=1, weights="plain")
    scaled = synthesize(scaled_target, pyramid, unit * start, **OPTIONS)
    np.testing.assert_array_equal(scaled.map, unit * result.map)
    np.testing.assert_array_equal(scaled.losses, result.losses)
    np.testing.assert_array_equal(scaled.evaluations, result.evaluations)


def test_loss_belongs_to_the_map(result, pyramid, target):
    assert result.loss == result.losses.min()
    assert result.loss == pytest.approx(float(map_loss(result.map, pyramid, target)), rel=1e-9)


def test_histories_have_an_entry_before_every_step_and_one_after_the_last(result):
    assert result.losses.shape == result.evaluations.shape == (51,)
    assert np.isfinite(result.losses).all()
    assert result.evaluations[0] == 1 and (np.diff(result.evaluations) >= 1).all()


def test_arrays_have_the_type_of_the_pyramid(result):
    assert isinstance(result.map, np.ndarray) and result.map.shape == (NPIX,)
    assert result.map.dtype == result.losses.dtype == np.float64
    assert result.compile_seconds >= 0 and result.run_seconds > 0


def test_callback_sees_every_chunk(result, seen):
    # Seven evaluations each, after that of the start; most of them make a step.
    spent = [progress.evaluations for progress in seen]
    assert spent[:-1] == list(range(8, spent[-1], 7)) and spent[-1] == result.evaluations[-1]
    assert seen[-1].step == 50 and seen[-1].finished == 1
    for progress in seen:
        assert progress.maps == 1 and progress.best == progress.loss == progress.worst
        assert isinstance(progress, Progress) and progress.max_steps == 50
        assert progress.loss == result.losses[: progress.step + 1].min()
        assert 0 <= progress.evaluations - result.evaluations[progress.step] < 7
    seconds = [progress.seconds for progress in seen]
    assert seconds[0] > 0 and seconds == sorted(seconds) and seconds[-1] <= result.run_seconds


def test_a_run_repeats_itself_exactly_and_leaves_its_start_alone(result, target, pyramid, start):
    before = start.copy()
    again = synthesize(target, pyramid, start, **OPTIONS)
    np.testing.assert_array_equal(start, before)
    on_device = jnp.asarray(start)
    third = synthesize(target, pyramid, on_device, **OPTIONS)
    np.testing.assert_array_equal(on_device, before)
    for other in (again, third):
        np.testing.assert_array_equal(other.map, result.map)
        np.testing.assert_array_equal(other.losses, result.losses)
        np.testing.assert_array_equal(other.evaluations, result.evaluations)


def test_length_of_chunks_changes_nothing(result, target, pyramid, start):
    single = synthesize(target, pyramid, start, **{**OPTIONS, "chunk_steps": 1})
    np.testing.assert_array_equal(single.map, result.map)
    np.testing.assert_array_equal(single.losses, result.losses)
    np.testing.assert_array_equal(single.evaluations, result.evaluations)
    assert single.status == result.status and single.steps == result.steps


def test_fewer_steps_are_the_first_of_more(result, target, pyramid, start):
    short = synthesize(target, pyramid, start, **{**OPTIONS, "max_steps": 10})
    assert short.steps == 10 and short.status == "step limit"
    np.testing.assert_array_equal(short.losses, result.losses[:11])


def test_converged_once_the_gradient_has_fallen(result, target, pyramid, start):
    done = synthesize(target, pyramid, start, **OPTIONS, gradient_tolerance=0.5)
    assert done.status == "converged" and 1 <= done.steps < 50
    assert done.losses.shape == (done.steps + 1,)
    np.testing.assert_array_equal(done.losses, result.losses[: done.steps + 1])
    gradient = jax.jit(jax.grad(map_loss))
    first = np.linalg.norm(gradient(start, pyramid, target))
    assert np.linalg.norm(gradient(done.map, pyramid, target)) <= 0.5 * first


def test_start_that_is_the_original_has_converged(original, target, pyramid):
    done = synthesize(target, pyramid, original, **OPTIONS)
    assert done.status == "converged" and done.steps <= 1
    assert done.losses[0] <= 1e-24
    np.testing.assert_array_equal(done.map, original)


def test_no_progress_where_only_rounding_is_left(original, target, pyramid):
    close = original * (1 + 1e-15 * np.random.default_rng(2).standard_normal(NPIX))
    done = synthesize(target, pyramid, close, **OPTIONS, gradient_tolerance=0.0)
    assert done.status == "no progress" and done.steps < 50
    assert done.losses.shape == (done.steps + 1,)
    # Three steps that lowered nothing, and no three before them; or a search that found no step.
    flat = np.convolve(np.diff(done.losses) >= 0, np.ones(3), mode="valid") == 3
    assert not flat[:-1].any()
    assert float(map_loss(done.map, pyramid, target)) <= 1e-24


def test_start_whose_loss_is_not_finite_is_returned_as_it_is(original, start):
    single = build_pyramid(4, dtype="float32")
    target = make_target(original, single)
    # The square of so small a sigma leaves float32's range, and so does the loss.
    tiny = Target(target.mean, jax.tree.map(lambda sigma: sigma * 1e-22, target.sigma), None)
    done = synthesize(tiny, single, start, **OPTIONS)
    assert done.status == "not finite" and done.steps == 0
    assert done.losses.shape == (1,) and not np.isfinite(done.losses[0])
    assert done.map.dtype == np.float32
    np.testing.assert_array_equal(done.map, start.astype(np.float32))


def test_interrupted_run_keeps_its_best_map(result, target, pyramid, start):
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    done = synthesize(target, pyramid, start, **OPTIONS, callback=interrupt)
    assert done.status == "interrupted" and len(seen) == 2
    assert done.steps == seen[-1].step > 10
    np.testing.assert_array_equal(done.losses, result.losses[: done.steps + 1])
    np.testing.assert_array_equal(done.evaluations, result.evaluations[: done.steps + 1])
    best = float(map_loss(done.map, pyramid, target))
    assert best == pytest.approx(done.losses.min(), rel=1e-9)


def test_other_errors_of_the_callback_are_not_swallowed(target, pyramid, start):
    def fail(progress):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        synthesize(target, pyramid, start, **OPTIONS, callback=fail)


def test_constant_map_is_a_possible_start(original, target, pyramid):
    done = synthesize(target, pyramid, np.full(NPIX, original.mean()), **OPTIONS)
    assert np.isfinite(done.losses).all() and np.isfinite(done.map).all()


def test_masks_of_the_target_are_used(original, pyramid, start):
    mask = np.random.default_rng(3).random((2, NPIX))
    masked = make_target(original, pyramid, mask=mask)
    done = synthesize(masked, pyramid, start, **OPTIONS)
    assert done.losses[0] == pytest.approx(float(map_loss(start, pyramid, masked)), rel=1e-12)
    assert done.losses.min() <= done.losses[0] / 10


# Further reasons to end.


def test_stagnated_at_the_first_look_at_which_the_loss_has_fallen_too_little(
    target, pyramid, start
):
    options = {**OPTIONS, "max_steps": 200, "gradient_tolerance": 0.0}
    whole = synthesize(target, pyramid, start, **options).losses
    looks = whole[::25]
    fallen = 1 - looks[1:] / looks[:-1]
    # Between the first two looks and the worst of the others.
    fraction = float(fallen[:2].min() + fallen[2:].min()) / 2
    last = 25 * (1 + int(np.argmax(fallen < fraction)))
    done = synthesize(target, pyramid, start, **options, stagnation=fraction)
    assert done.status == "stagnated" and done.steps == last < 200
    assert done.losses[-26] - done.losses[-1] < fraction * done.losses[-26]
    np.testing.assert_allclose(done.losses[:26], whole[:26], rtol=1e-6)
    assert done.loss == pytest.approx(float(map_loss(done.map, pyramid, target)), rel=1e-9)


@pytest.mark.parametrize("budget", [1, 2, 20])
def test_no_more_evaluations_than_the_budget(result, target, pyramid, start, budget):
    done = synthesize(target, pyramid, start, **OPTIONS, max_evaluations=budget)
    assert done.status == "evaluation limit"
    assert done.evaluations[-1] <= budget and done.steps < budget
    assert (result.evaluations <= budget).sum() == len(done.losses)
    np.testing.assert_allclose(done.losses, result.losses[: done.steps + 1], rtol=1e-7)
    assert done.loss == done.losses.min()
    assert done.loss == pytest.approx(float(map_loss(done.map, pyramid, target)), rel=1e-9)


def test_other_limits_of_these_kinds_need_no_other_program(target, pyramid, start):
    from jaxscat.minimization.lanes import advance

    def run(stagnation, budget):
        options = {"stagnation": stagnation, "max_evaluations": budget}
        return synthesize(target, pyramid, start, **OPTIONS, **options)

    run(0.1, 9)
    before = advance._cache_size()
    assert run(np.float32(0.5), np.int64(5)).evaluations[-1] <= 5
    assert run(0, 2**40).status == "step limit"
    assert advance._cache_size() == before


# What is refused, before anything is compiled.


@pytest.fixture
def no_steps(monkeypatch):
    """Makes compiling or running the optimiser an error."""

    def forbidden(*arguments, **options):
        raise AssertionError("the optimiser was started")

    for name in ("begin", "advance"):
        monkeypatch.setattr(f"jaxscat.minimization.lanes.{name}", forbidden)


@pytest.mark.parametrize("name", ["max_steps", "memory", "chunk_steps"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_bad_limits_are_refused(no_steps, target, pyramid, start, name, value):
    with pytest.raises(ValueError, match=rf"^{name}: got "):
        synthesize(target, pyramid, start, **{name: value})


@pytest.mark.parametrize("value", [-1e-9, 1, 2.0, np.nan])
def test_bad_tolerances_are_refused(no_steps, target, pyramid, start, value):
    with pytest.raises(ValueError, match=r"^gradient_tolerance: got "):
        synthesize(target, pyramid, start, gradient_tolerance=value)


@pytest.mark.parametrize("value", [-1e-9, 1, 2.0, np.nan, "0.1", True, [0.1]])
def test_bad_stagnation_is_refused(no_steps, target, pyramid, start, value):
    with pytest.raises(ValueError, match=r"^stagnation: got "):
        synthesize(target, pyramid, start, stagnation=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_bad_budgets_are_refused(no_steps, target, pyramid, start, value):
    with pytest.raises(ValueError, match=r"^max_evaluations: got "):
        synthesize(target, pyramid, start, max_evaluations=value)


@pytest.mark.parametrize(
    "bad",
    [
        np.ones(NPIX - 1),
        np.ones(768),
        np.ones((1, NPIX)),
        np.where(np.arange(NPIX) == 3, np.nan, 1.0),
        np.where(np.arange(NPIX) == 3, np.inf, 1.0),
        np.where(np.arange(NPIX) == 3, -1.6375e30, 1.0),
        np.ones(NPIX, complex),
        np.ones(NPIX, bool),
    ],
    ids="short nside axes NaN infinite UNSEEN complex boolean".split(),
)
def test_bad_starts_are_refused(no_steps, target, pyramid, bad):
    with pytest.raises(ValueError, match=r"^start: got "):
        synthesize(target, pyramid, bad)


@pytest.mark.parametrize(
    "other",
    [
        {"orientations": 3},
        {"scales": 2},
        {"nside": 8},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_target_of_another_pyramid_is_refused(no_steps, target, start, other):
    pyramid = build_pyramid(**{"nside": 4, "dtype": "float64", **other})
    start = np.resize(start, pyramid.spec.npix)
    with pytest.raises(ValueError, match=r"^target: got "):
        synthesize(target, pyramid, start)


def test_target_with_the_mask_of_another_nside_is_refused(no_steps, target, pyramid, start):
    with pytest.raises(ValueError, match=r"^target: got a mask of 768 pixels, expected 192"):
        synthesize(dataclasses.replace(target, mask=jnp.ones(768)), pyramid, start)


def test_reduction_is_that_of_the_target(original, start):
    pyramid, steps = build_pyramid(4, scales=1, dtype="float64"), {**OPTIONS, "max_steps": 7}
    target = make_target(original, pyramid)
    found = synthesize(target, pyramid, start, reduction=IsotropicMean(), **steps)
    expected = synthesize(target.reduced(IsotropicMean()), pyramid, start, **steps)
    np.testing.assert_array_equal(found.map, expected.map)
    assert found.losses[0] != pytest.approx(float(map_loss(start, pyramid, target)), rel=1e-3)
    with pytest.raises(ValueError, match=r"^statistics: |^target: got reduced"):
        synthesize(target.reduced(IsotropicMean()), pyramid, start, reduction=IsotropicMean())


def test_map_is_brought_into_a_relation_with_another(original, start):
    """With coefficients of two maps as the target, one of which stays."""
    pyramid = build_pyramid(4, scales=2, dtype="float64")
    second = original**2 + np.random.default_rng(2).normal(size=NPIX)
    target = make_target(original, pyramid, second=second, normalization="target")
    result = synthesize(target, pyramid, start, **OPTIONS)
    assert result.losses.min() <= result.losses[0] / 10
    assert result.loss == pytest.approx(float(map_loss(result.map, pyramid, target)), rel=1e-9)
    before, after = (np.corrcoef(map, second)[0, 1] for map in (start, result.map))
    assert abs(before) < 0.15 and after > 0.5
