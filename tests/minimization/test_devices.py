"""Lanes on eight devices give the maps that they give on one."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lbfgs import LBFGS

# A process has as many devices as it is told before JAX starts: one process runs all cases.
SCRIPT = """
    import json, sys, warnings
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    from jaxscat import LBFGS, Batching, Checkpoints, Term, minimize
    from jaxscat import build_pyramid, make_target, shard_pyramid, synthesize_many
    from jaxscat.minimization import devices
    from jaxscat.parametrizations.parametrization import Parametrization
    from jaxscat.minimization.devices import Devices

    original = np.random.default_rng(0).gamma(2.0, size=48)
    pyramid = build_pyramid(2, dtype="float64")
    target = make_target(original, pyramid, coarsest_nside=1, weights="plain")
    options = {"max_steps": 20, "memory": 10, "chunk_steps": 7, "gradient_tolerance": 1e-6}
    first, seen = jax.devices()[:1], {}
    # The squares of twelve of sixteen starts leave the range of float64: these lanes end at once.
    starts = original.mean() + np.random.default_rng(1).normal(size=(16, 48))
    starts[:12] *= 1e300

    class Scaled(Parametrization):
        factors: jax.Array

        @property
        def size(self):
            return 48

        def maps(self, parameters):
            return self.factors * parameters

        def parameters(self, maps):
            return maps / np.asarray(self.factors)

    class Bowl(Term):
        centre: jax.Array

        def __call__(self, map):
            return jax.numpy.sum(jax.numpy.linspace(0.5, 2, 48) * (map - self.centre) ** 2)

    # The programs for several devices are jitted functions in a cache, one for each mesh.
    sharded, made = devices._sharded, []

    def counted(*arguments):
        made.append(sharded(*arguments))
        return made[-1]

    devices._sharded = counted

    def programs():
        steps = {id(f): f for f in made if "advance" in str(f)}
        return sum(step._cache_size() for step in steps.values())

    advance = Devices.advance

    def watched(self, lanes, *others):
        found = advance(self, lanes, *others)
        places = tuple(sorted({d.id for leaf in jax.tree.leaves(found) for d in leaf.devices()}))
        seen.setdefault("calls", []).append((places, found[0].loss.shape[0]))
        donated = [leaf.is_deleted() for leaf in jax.tree.leaves(lanes)]
        seen["donated"] = all(donated) and seen.get("donated", True)
        return found

    Devices.advance = watched

    def run(*seeds, **changes):
        seen["calls"] = []
        result = synthesize_many(target, pyramid, *seeds, **options | changes)
        return result, list(dict.fromkeys(seen["calls"]))

    def difference(found, expected):
        rows = [expected.seeds.index(seed) for seed in found.seeds]
        wanted = expected.map[rows]
        return {
            "maps": float(
                (np.abs(found.map - wanted).max(axis=1) / np.abs(wanted).max(axis=1)).max()),
            "statuses": found.status == tuple(expected.status[row] for row in rows),
            "shape": found.map.shape,
        }

    def same(found, expected):
        names = ("map", "loss", "losses", "evaluations", "steps")
        pairs = [(getattr(found, name), getattr(expected, name)) for name in names]
        return found.status == expected.status and all(
            np.array_equal(*pair, equal_nan=True) for pair in pairs)

    def interrupted(chunks):
        kept, looks = sys.argv[1] + str(chunks), []

        def stop(progress):
            looks.append(progress)
            if len(looks) == chunks:
                raise RuntimeError("killed")

        try:
            run(19, batch_size=2, callback=stop,
                checkpoints=Checkpoints(kept, every_steps=1, every_minutes=None))
        except RuntimeError:
            return Checkpoints(kept)

    report = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one, calls = run(19, batch_size=10, devices=first)
        report["one device"] = {"calls": calls, "programs": programs()}
        whole, calls = run(19, batch_size=2)
        report["lanes for others"] = difference(whole, one) | {"calls": calls}
        found, calls = run([4, 2, 9])
        report["fewer seeds than devices"] = difference(found, one) | {"calls": calls}
        found, calls = run(10)
        report["unused lanes"] = difference(found, one) | {"calls": calls}
        cut, calls = run(16, start=starts, max_steps=32)
        single, _ = run(16, start=starts, max_steps=32, devices=first, batch_size=10)
        report["cut"] = difference(cut, single) | {"calls": calls, "status": cut.status}
        coupled, calls = run(3, coupled=True)
        single, _ = run(3, coupled=True, devices=first)
        report["coupled"] = difference(coupled, single) | {"calls": calls}
        report["resumed"] = [
            same(run(19, batch_size=2, checkpoints=interrupted(chunks))[0], whole)
            for chunks in (1, 4, 6)
        ]
        # One program for each width on eight devices, and one for three devices.
        report["programs"] = programs()
        asked = {"form": Scaled(jax.numpy.linspace(0.5, 2.0, 48)), "max_evaluations": 15,
                 "stagnation": 0.1}
        found, calls = run(10, **asked)
        single, _ = run(10, **asked, devices=first)
        report["options"] = difference(found, single) | {"calls": calls, "status": found.status}
        # Every seed has a target of its own: one seed waits, for which the batch is cut.
        centres = np.random.default_rng(2).normal(size=(17, 48))
        own = {"seeds": 17, "max_steps": 20, "minimizer": LBFGS(gradient_tolerance=1e-14),
               "per_seed": lambda loss: loss.terms["bowl"].centre}
        seen["calls"] = []
        begun = np.random.default_rng(3).normal(size=(17, 48))
        found = minimize(Bowl(centres), begun, batching=Batching(batch_size=2), **own)
        calls = list(dict.fromkeys(seen["calls"]))
        single = minimize(Bowl(centres), begun, batching=Batching(devices=first), **own)
        report["arrays per seed"] = difference(found, single) | {
            "calls": calls, "distance": float(np.abs(found.map - centres).max())}
        # Operators that are shared among all devices: they advance every lane together.
        whole = build_pyramid(8, scales=1, orientations=2, dtype="float64", layout="rows")
        shared = shard_pyramid(whole)
        original = np.random.default_rng(0).gamma(2.0, size=768)
        target = make_target(original, whole, coarsest_nside=1, weights="plain")
        counts = [devices.batched.advance._cache_size()]
        seen["calls"] = []
        found = synthesize_many(target, shared, 3, batch_size=2, **options)
        calls = list(dict.fromkeys(seen["calls"]))
        counts.append(devices.batched.advance._cache_size())
        single = synthesize_many(target, whole, 3, batch_size=2, devices=first, **options)
        counts.append(devices.batched.advance._cache_size())
        report["shared operators"] = difference(found, single) | {
            "calls": calls, "programs": np.diff(counts).tolist()}
        try:
            synthesize_many(target, shared, 3, devices=first, **options)
        except ValueError as problem:
            report["refused"] = str(problem)
    report["donated"] = seen["donated"]
    report["warnings"] = [str(warning.message) for warning in caught]
    print(json.dumps(report))
"""
ALL = list(range(8))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What happened on eight devices of the CPU, by the names of the cases."""
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
    settings = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path_factory.mktemp("kept") / "run"],
        capture_output=True,
        text=True,
        env=settings,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_equal(row, seeds, pixels=48):
    assert row["shape"] == [seeds, pixels]
    assert row["statuses"]
    assert row["maps"] <= 1e-8


def test_ended_lanes_of_all_devices_are_given_to_others(report):
    row = report["lanes for others"]
    assert_equal(row, 19)
    # Sixteen lanes, and eight once only the last three seeds go on.
    assert row["calls"] == [[ALL, 16], [ALL, 8]]


def test_fewer_seeds_than_devices_take_as_many_devices(report):
    row = report["fewer seeds than devices"]
    assert_equal(row, 3)
    assert row["calls"] == [[[0, 1, 2], 3]]


def test_lanes_that_no_seed_needs_do_nothing(report):
    row = report["unused lanes"]
    assert_equal(row, 10)
    assert row["calls"] == [[ALL, 16]]


def test_batch_is_cut_on_all_devices_at_once(report):
    row = report["cut"]
    assert_equal(row, 16)
    assert row["calls"] == [[ALL, 16], [ALL, 8]]
    assert row["status"] == ["not finite"] * 12 + ["step limit"] * 4


def test_coupled_maps_are_on_one_device(report):
    row = report["coupled"]
    assert_equal(row, 3)
    assert row["calls"] == [[[0], 1]]


def test_devices_that_share_operators_advance_all_lanes_together(report):
    row = report["shared operators"]
    assert_equal(row, 3, pixels=768)
    assert {tuple(places) for places, _ in row["calls"]} == {tuple(ALL)}
    # Lanes stay where they are, so that a width is compiled once, as on one device.
    assert row["programs"][0] == row["programs"][1] > 0
    assert report["refused"].startswith("devices: got 1 for lanes of a loss that is on several")


def test_form_and_limits_hold_on_every_device(report):
    row = report["options"]
    assert_equal(row, 10)
    assert row["calls"][0] == [ALL, 16]
    assert set(row["status"]) == {"evaluation limit"}


def test_arrays_of_a_seed_follow_it_to_its_device(report):
    row = report["arrays per seed"]
    assert_equal(row, 17)
    assert row["calls"] == [[ALL, 16], [ALL, 8]]
    assert row["distance"] < 1e-3


def test_resumed_synthesis_is_the_uninterrupted_one_bit_for_bit(report):
    assert report["resumed"] == [True] * 3


def test_buffers_of_lanes_are_reused(report):
    assert report["donated"]
    assert report["warnings"] == []


def test_a_program_serves_all_calls_of_its_width(report):
    assert report["programs"] == 3


def test_one_device_needs_no_mesh(report):
    row = report["one device"]
    assert row["programs"] == 0
    assert [places for places, _ in row["calls"]] == [[0]] * len(row["calls"])
    starts, used = np.zeros((2, 48)), np.ones(2, bool)
    for devices in (None, jax.devices()[:1]):
        lanes = Devices(devices).begin(starts, used, LBFGS(memory=3))
        assert isinstance(lanes.best.sharding, jax.sharding.SingleDeviceSharding)
