"""Batches are as large as memory allows, by what the compiler says of the compiled step."""

import jax
import numpy as np
import pytest

from jaxscat.minimization import devices as devices_module
from jaxscat.minimization.batch_size import choose_batch, default_lanes
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lane import build_limits
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.problem import build_problem
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import Scattering
from jaxscat.objectives.target import unit_of
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.synthesis.synthesize import synthesize, synthesize_many

COMPILED = "Finished XLA compilation of jit(advance)"
OPTIONS = {"max_steps": 20, "memory": 10, "chunk_steps": 7}


def build(target, pyramid, memory=10, max_steps=20):
    return build_problem(
        Objective({"scattering": Scattering.of(target, pyramid)}),
        Pixels(192, unit_of(target, pyramid)),
        LBFGS(memory=memory),
        build_limits(max_steps),
        np.float64,
    )


def straight(shared, each):
    """Bytes that lie on a straight line, and the numbers that were looked at."""
    looked = []

    def bytes_of(lanes):
        looked.append(lanes)
        return shared + each * lanes

    return bytes_of, looked


def test_small_maps_share_a_device_with_more_than_large_ones():
    assert [default_lanes("cpu", 12 * nside**2) for nside in (16, 128)] == [8, 8]
    assert [default_lanes("gpu", 12 * nside**2) for nside in (16, 64, 128, 512)] == [64, 42, 10, 8]


def test_what_fits_is_taken_after_one_look():
    bytes_of, looked = straight(1000, 100)
    assert choose_batch(16, 10_000, bytes_of, asked=None) == 16
    assert looked == [16]


@pytest.mark.parametrize("wanted", [17, 64, 1000, 1001])
def test_what_does_not_fit_becomes_the_largest_even_number_that_does(wanted):
    bytes_of, looked = straight(1000, 100)
    # 85 % of 3100 hold 16 lanes and a little more.
    assert choose_batch(wanted, 3100, bytes_of, asked=None) == 16
    assert len(looked) <= 6


def test_a_step_that_grows_faster_than_its_lanes_still_fits():
    found = choose_batch(512, 1_000_000, lambda lanes: 1000 + 10 * lanes**2, asked=None)
    assert 1000 + 10 * found**2 <= 850_000
    assert found >= 0.85 * 290
    # Odd numbers take more, as where maps have no groups.
    assert choose_batch(9, 850, lambda n: 100 * n if n % 2 == 0 else 150 * n, asked=None) == 6


@pytest.mark.parametrize(("free", "size"), [(400, 1), (500, 2)])
def test_one_or_two_lanes(free, size):
    assert choose_batch(8, free, lambda lanes: 200 * lanes, asked=None) == size


def test_nothing_is_refused():
    assert choose_batch(8, None, lambda lanes: 10**15, asked=500) == 8
    assert choose_batch(8, 100, lambda lanes: None, asked=500) == 8


def test_a_number_asked_for_that_cannot_fit_is_refused_with_the_largest_that_can():
    mebibyte = 2**20
    with pytest.raises(ValueError) as raised:
        choose_batch(500, 1000 * mebibyte, lambda n: (50 + 10 * n) * mebibyte, asked=500)
    message = str(raised.value)
    assert "batch_size: got 500" in message and "5,050 MiB" in message and "850 MiB" in message
    assert "expected at most 80" in message


@pytest.mark.parametrize("room", [7, 16, 31, 57])
def test_the_largest_that_can_is_named_closely(room):
    with pytest.raises(ValueError, match=f"got 100, but 64 maps take .* expected at most {room}$"):
        choose_batch(64, 1000 * room + 400, lambda lanes: 850 * lanes, asked=100)


@pytest.mark.parametrize("asked", [4, None])
def test_not_even_one_map(asked):
    with pytest.raises(ValueError, match=r"pyramid: not even one map fits: 4 at once take"):
        choose_batch(4, 100, lambda lanes: 1000 * lanes, asked=asked)


# 85 % of the free bytes hold what a map of half the nside takes, a quarter; or of a quarter of it.
@pytest.mark.parametrize(("room", "times"), [(999, 2), (250, 2), (249, 4), (63, 4), (62, 8)])
def test_nside_that_would_fit_is_named(room, times):
    with pytest.raises(ValueError, match=f"expected an nside {times} times smaller, fewer"):
        choose_batch(4, room / 0.85 + 0.5, lambda lanes: 1000 * lanes, asked=None)


def test_no_room_at_all():
    with pytest.raises(ValueError, match="expected a smaller nside, fewer"):
        choose_batch(4, 0, lambda lanes: 1000 * lanes, asked=None)


@pytest.mark.parametrize("place", [None, 0], ids=["default", "named"])
def test_a_step_is_compiled_once_and_counts_what_it_carries_once(target, pyramid, place, caplog):
    devices = Devices(None if place is None else jax.devices()[:1])
    # Many corrections, so that little else counts.
    problem = devices.replicate(build(target, pyramid, memory=400, max_steps=1))
    starts = np.random.default_rng(0).normal(size=(8, 192))
    with jax.log_compiles():
        sizes = [
            devices.step_bytes(jax.ShapeDtypeStruct((lanes, 192), starts.dtype), problem, 3)
            for lanes in (4, 8)
        ]
    compilations = [message for message in caplog.messages if COMPILED in message]
    assert len(compilations) == 2
    lanes = devices.begin(starts, np.ones(8, bool), problem.minimizer)
    carried = sum(leaf.nbytes for leaf in jax.tree.leaves(lanes))
    assert 0.5 * carried <= sizes[1] - sizes[0] <= 0.75 * carried
    caplog.clear()
    with jax.log_compiles():
        devices.advance(lanes, problem, np.int32(1), 3)
    assert [message for message in caplog.messages if COMPILED in message] == []


def free(monkeypatch, bytes):
    monkeypatch.setattr(Devices, "free_bytes", lambda _: bytes)


def room_for(lanes, pyramid, target):
    """Free bytes of which the step of so many lanes takes just the part that it may."""
    starts = jax.ShapeDtypeStruct((lanes, 192), np.dtype(np.float64))
    return int(Devices().step_bytes(starts, build(target, pyramid), 7) / 0.85) + 2


def test_a_synthesis_takes_smaller_batches_where_memory_is_short(target, pyramid, monkeypatch):
    whole = synthesize_many(target, pyramid, 6, **OPTIONS)
    widths = []
    advance = Devices.advance

    def watched(self, lanes, *others):
        widths.append(lanes.loss.shape[0])
        return advance(self, lanes, *others)

    monkeypatch.setattr(Devices, "advance", watched)
    free(monkeypatch, room_for(4, pyramid, target))
    parts = synthesize_many(target, pyramid, 6, **OPTIONS)
    assert max(widths) == widths[0] == 4
    assert np.abs(parts.map - whole.map).max() <= 1e-8 * np.abs(whole.map).max()


def test_a_batch_that_cannot_fit_is_refused_and_no_map_is_begun(target, pyramid, monkeypatch):
    free(monkeypatch, room_for(4, pyramid, target))
    calls = []
    with pytest.raises(ValueError, match=r"batch_size: got 6, .* expected at most 4"):
        synthesize_many(target, pyramid, 6, batch_size=6, **OPTIONS, callback=calls.append)
    # More lanes than seeds are never made: two of them fit.
    found = synthesize_many(target, pyramid, 2, batch_size=600, **OPTIONS)
    assert len(found.map) == 2
    free(monkeypatch, 10_000)
    with pytest.raises(ValueError, match="not even one map fits"):
        synthesize(target, pyramid, np.random.default_rng(0).normal(size=192), **OPTIONS)
    assert calls == []


def test_a_bad_start_is_refused_before_anything_is_compiled(target, pyramid, monkeypatch):
    monkeypatch.setattr(Devices, "step_bytes", lambda *_: pytest.fail("compiled"))
    starts = np.random.default_rng(0).normal(size=(3, 192))
    starts[2, 5] = np.nan
    with pytest.raises(ValueError, match="start of seed 2"):
        synthesize_many(target, pyramid, 3, start=starts, **OPTIONS)


def test_a_resumed_synthesis_keeps_its_batch_whatever_is_free(
    target, pyramid, monkeypatch, tmp_path
):
    kept = {"every_steps": 1, "every_minutes": None}
    free(monkeypatch, None)
    whole = synthesize_many(target, pyramid, 6, **OPTIONS)

    def stop(progress):
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        checkpoints = Checkpoints(tmp_path, **kept)
        synthesize_many(target, pyramid, 6, **OPTIONS, checkpoints=checkpoints, callback=stop)
    free(monkeypatch, room_for(4, pyramid, target))
    found = synthesize_many(target, pyramid, 6, **OPTIONS, checkpoints=Checkpoints(tmp_path))
    np.testing.assert_array_equal(found.map, whole.map)


def test_free_memory_of_a_cpu_is_shared_out_among_its_devices(monkeypatch):
    monkeypatch.setattr(devices_module, "available_bytes", lambda: 6000)
    devices = Devices(jax.devices("cpu")[:1])
    assert devices.platform == "cpu" and devices.free_bytes() == 6000
    monkeypatch.setattr(devices, "_all", lambda: 3 * jax.devices("cpu")[:1])
    assert devices.free_bytes() == 2000
    monkeypatch.setattr(devices_module, "available_bytes", lambda: None)
    assert devices.free_bytes() is None
