"""Many seeds: the map of each depends on nothing but the seed."""

from functools import partial

import jax
import numpy as np
import pytest

import jaxscat
from jaxscat.fields.starts import gaussian_noise, noise, white_noise
from jaxscat.objectives.chi_square import chi_square
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss, mean_loss
from jaxscat.statistics.scattering import measure
from jaxscat.synthesis.synthesize import synthesize, synthesize_many

NPIX = 192
OPTIONS = {"max_steps": 20, "memory": 10, "chunk_steps": 7}
SEEDS = tuple(range(8))


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def together(target, pyramid, seen):
    return synthesize_many(target, pyramid, SEEDS, **OPTIONS, callback=seen.append)


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()


def test_every_map_has_the_loss_that_is_said(together, target, pyramid):
    assert together.map.shape == (8, NPIX) and together.seeds == SEEDS
    assert together.losses.shape == together.evaluations.shape == (8, 21)
    for seed in SEEDS:
        one = together.of_seed(seed)
        assert one.status == "step limit" and one.steps == 20 and one.seeds is None
        assert one.loss == one.losses.min() < one.losses[0] / 5
        assert one.loss == pytest.approx(float(map_loss(one.map, pyramid, target)), rel=1e-9)
    assert together.evaluations[:, -1].max() <= 1.2 * 21


@pytest.mark.parametrize(
    ("seeds", "size"),
    [((3,), None), (SEEDS[::-1], None), (SEEDS, 3), ((5, 3, 11), 2), (4, None), (np.int64(2), 1)],
    ids=str,
)
def test_map_of_a_seed_depends_on_the_seed_only(together, target, pyramid, seeds, size):
    found = synthesize_many(target, pyramid, seeds, batch_size=size, **OPTIONS)
    assert found.seeds == (seeds if isinstance(seeds, tuple) else tuple(range(seeds)))
    for seed in set(found.seeds) & set(SEEDS):
        assert close(found.of_seed(seed).map, together.of_seed(seed).map)


def test_one_map_is_a_batch_of_one(together, target, pyramid, original):
    error = np.asarray(target.mean.s0)[1] * np.sqrt(NPIX)
    start = np.asarray(target.mean.s0)[0] + error * noise(6, NPIX)
    one = synthesize(target, pyramid, start, **OPTIONS)
    assert close(one.map, together.of_seed(6).map)
    np.testing.assert_allclose(one.losses, together.of_seed(6).losses, rtol=1e-8)


def test_starts_are_white_noise_of_the_original(together, target, pyramid, original):
    for seed in (0, 7):
        start = white_noise(original, seed).astype(float)
        loss = float(map_loss(start, pyramid, target))
        assert together.of_seed(seed).losses[0] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("kind", [white_noise, gaussian_noise])
def test_starts_may_be_drawn_or_given(target, pyramid, original, kind):
    short = OPTIONS | {"max_steps": 2}
    drawn = synthesize_many(target, pyramid, [4, 2], start=partial(kind, original), **short)
    given = np.stack([kind(original, seed) for seed in (4, 2)])
    found = synthesize_many(target, pyramid, [4, 2], start=given, **short)
    np.testing.assert_array_equal(found.map, drawn.map)
    loss = float(map_loss(given[1].astype(float), pyramid, target))
    assert drawn.of_seed(2).losses[0] == pytest.approx(loss, rel=1e-10)


def test_lanes_go_on_in_a_smaller_batch_once_most_have_ended(target, pyramid, original):
    """Three of four start where losses are not finite; nothing changes for the fourth."""
    lost = np.full(NPIX, 1e300) + noise(1, NPIX)
    starts = np.stack([lost] * 3 + [white_noise(original, 1).astype(float)])
    options = {**OPTIONS, "max_steps": 60, "chunk_steps": 5, "gradient_tolerance": 1e-3}
    before = jaxscat.minimization.lanes.advance._cache_size()
    found = synthesize_many(target, pyramid, 4, start=starts, **options)
    assert jaxscat.minimization.lanes.advance._cache_size() - before == 2
    assert found.status[3] == "step limit" and found.steps[3] == 60
    assert (found.steps[:3] < 20).all() and np.isnan(found.losses[0, -1])
    alone = synthesize(target, pyramid, starts[3], **options)
    np.testing.assert_allclose(found.loss[3], alone.loss, rtol=0.2)


def test_progress_is_of_all_maps(seen, together):
    last = seen[-1]
    assert (last.maps, last.finished, last.max_steps, last.step) == (8, 8, 160, 160)
    assert last.best == together.loss.min() and last.worst == together.loss.max()
    assert last.loss == np.median(together.loss)
    assert last.evaluations == together.evaluations[:, -1].sum()
    assert [progress.step for progress in seen] == sorted(progress.step for progress in seen)


def test_a_lane_that_is_not_finite_does_not_spoil_the_progress(target, pyramid, together):
    seen = []
    mean, spread = np.asarray(target.mean.s0)[0], np.asarray(target.mean.s0)[1] * np.sqrt(NPIX)

    def start(seed):
        return (
            np.full(NPIX, 1e300) + noise(seed, NPIX)
            if seed == 1
            else mean + spread * noise(0, NPIX)
        )

    found = synthesize_many(target, pyramid, 3, start=start, **OPTIONS, callback=seen.append)
    assert found.status[1] == "not finite" and found.status[0] == found.status[2] == "step limit"
    assert close(found.of_seed(2).map, found.of_seed(0).map)
    losses = found.loss[[0, 2]]
    assert (seen[-1].best, seen[-1].loss, seen[-1].worst) == pytest.approx(
        (losses.min(), np.median(losses), losses.max()), rel=1e-12
    )


def test_interrupt_keeps_the_maps_that_were_begun(target, pyramid, together):
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == 5:  # the second pair of seeds has made a few steps
            raise KeyboardInterrupt

    found = synthesize_many(target, pyramid, SEEDS, batch_size=2, **OPTIONS, callback=interrupt)
    assert found.seeds == SEEDS[:4]
    assert found.status == ("step limit",) * 2 + ("interrupted",) * 2
    assert close(found.of_seed(1).map, together.of_seed(1).map)
    half = found.of_seed(3)
    assert 0 < half.steps < 20 and half.losses.shape == (half.steps + 1,)
    np.testing.assert_allclose(half.losses, together.of_seed(3).losses[: half.steps + 1], rtol=1e-6)


def test_coupled_maps_share_their_mean_only(target, pyramid, together):
    found = synthesize_many(target, pyramid, 3, coupled=True, **OPTIONS)
    assert found.map.shape == (3, NPIX) and found.seeds == (0, 1, 2)
    assert len(set(found.loss.tolist())) == 1
    assert found.loss[0] == pytest.approx(float(mean_loss(found.map, pyramid, target)), rel=1e-9)
    each = [measure(map, pyramid) for map in found.map]
    mean = jax.tree.map(lambda *groups: sum(groups) / 3, *each)
    assert found.loss[0] == pytest.approx(float(chi_square(mean, target)), rel=1e-9)
    # None of them has the coefficients of the target as well as the mean has.
    alone = [float(map_loss(map, pyramid, target)) for map in found.map]
    assert min(alone) > 3 * found.loss[0]


def test_limits_end_each_map_by_itself(target, pyramid, original, together):
    """One of three starts at a solution but for noise; all have the same budget and fraction."""
    starts = np.stack([white_noise(original, seed).astype(float) for seed in range(3)])
    starts[1] = original + 1e-3 * noise(9, NPIX)
    options = {**OPTIONS, "max_steps": 100, "start": starts, "gradient_tolerance": 0.0}
    found = synthesize_many(target, pyramid, 3, **options, max_evaluations=40, stagnation=0.6)
    assert set(found.status) <= {"stagnated", "evaluation limit"}
    assert (found.evaluations <= 40).all()
    for seed in range(3):
        one = found.of_seed(seed)
        if one.status == "stagnated":
            assert one.steps == 25
        if one.steps >= 25:
            stagnated = one.losses[0] - one.losses[25] < 0.6 * one.losses[0]
            assert stagnated == (one.status == "stagnated")
        alone = synthesize_many(
            target,
            pyramid,
            1,
            **options | {"start": starts[seed : seed + 1]},
            max_evaluations=40,
            stagnation=0.6,
        )
        assert alone.status[0] == one.status and alone.steps[0] == one.steps
        np.testing.assert_allclose(alone.losses[0][:21], one.losses[:21], rtol=1e-6)


def test_a_lane_that_has_used_its_budget_is_given_to_the_next(target, pyramid, together):
    found = synthesize_many(
        target, pyramid, SEEDS, batch_size=3, **OPTIONS, max_evaluations=np.int64(8)
    )
    assert found.seeds == SEEDS and found.status == ("evaluation limit",) * 8
    assert found.evaluations.max() <= 8
    for seed in SEEDS:
        one, steps = found.of_seed(seed), found.of_seed(seed).steps
        np.testing.assert_allclose(
            one.losses, together.of_seed(seed).losses[: steps + 1], rtol=1e-7
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": []}, "seeds: got none"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"seeds": [1, 2, 1]}, "seeds: got 1 twice"),
        ({"seeds": [-1]}, "seeds: got -1"),
        ({"seeds": [2**32]}, "seeds: got 4294967296"),
        ({"seeds": [1.5]}, "seeds: got 1.5"),
        ({"seeds": [True]}, "seeds: got True"),
        ({"seeds": True}, "seeds: got True"),
        ({"seeds": 3.0}, "seeds: got 3.0"),
        ({"seeds": None}, "seeds: got None"),
        ({"seeds": "3"}, "seeds: got '3'"),
        ({"seeds": 10**12}, "seeds: got 1000000000000, expected 1 up to 1000000"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"batch_size": 1.5}, "batch_size: got 1.5"),
        ({"start": np.zeros(NPIX)}, r"start: got shape \(192,\)"),
        ({"start": np.zeros((3, NPIX))}, r"start: got shape \(3, 192\)"),
        ({"start": np.zeros((2, 48))}, "start of seed 0: got"),
        ({"start": lambda seed: np.full(NPIX, np.nan)}, "start of seed 0: got"),
        ({"max_steps": 0}, "max_steps: got 0"),
        ({"stagnation": 1.0}, "stagnation: got 1.0"),
        ({"max_evaluations": 0}, "max_evaluations: got 0"),
        ({"form": "harmonic"}, "form: got str"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_refused_before_anything_is_compiled(
    monkeypatch, target, pyramid, options, message
):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    with pytest.raises(ValueError, match=rf"^{message}"):
        synthesize_many(target, pyramid, **({"seeds": 2} | options))


def test_target_of_two_maps_needs_starts(pyramid, original):
    target = make_target(original, pyramid, second=original**2)
    with pytest.raises(ValueError, match=r"^start: got None for a target of two maps"):
        synthesize_many(target, pyramid, 2)
