"""Operators on eight devices give what they give on one, in a part of its memory."""

import json
import os
import subprocess
import sys
import textwrap
from unittest.mock import Mock

import jax
import numpy as np
import pytest

import jaxscat

# A process has as many devices as it is told before JAX starts: one process runs all cases.
SCRIPT = """
    import json, re, sys
    import jax
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    import jaxscat
    from jaxscat.operators.product import collect, spread
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    everything, report, random = jax.devices(), {}, np.random.default_rng(0)
    both = jax.jit(spread), jax.jit(collect)

    def error(found, expected):
        found, expected = np.asarray(found), np.asarray(expected)
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    def share_of(array):
        return array.addressable_shards[0].data.shape[-1] / array.shape[-1]

    def compare(table, shared):
        sectors = shared.sectors
        field = random.normal(size=(3, sectors, table.in_rows))
        size = table.orientations, table.parts, 3, sectors, table.rows
        pairs = [(operator(table, values), operator(shared.table, values))
                 for operator, values in zip(both, (field, random.normal(size=size)))]
        return {
            "kind": type(shared.table).__name__,
            "sizes": [table.rows, table.in_rows] == [shared.table.rows, shared.table.in_rows],
            "errors": [error(found, expected) for expected, found in pairs],
            "shares": [share_of(found) for _, found in pairs],
            "weights": max(part.data.nbytes for part in shared.table.weights.addressable_shards)
            / table.weights.nbytes,
        }

    class Shared:
        def __init__(self, table, sectors):
            self.table, self.sectors = table, sectors

    CASES = {
        "rows": (8, {"nside": 16, "layout": "rows"}),
        "faces": (8, {"nside": 16, "layout": "faces"}),
        "three orientations": (8, {"nside": 8, "orientations": 3, "layout": "rows"}),
        "one sector": (8, {"nside": 8, "geometry": "foscat", "layout": "rows"}),
        "one sector of faces": (8, {"nside": 16, "geometry": "foscat", "layout": "faces"}),
        "large kernels": (8, {"nside": 8, "kernel_size": 5, "layout": "rows"}),
        "two devices": (2, {"nside": 8, "layout": "rows"}),
        "three devices": (3, {"nside": 8, "layout": "rows"}),
        "six devices of faces": (6, {"nside": 16, "layout": "faces"}),
    }
    report["tables"] = {}
    for name, (count, options) in CASES.items():
        pyramid = jaxscat.build_pyramid(**options, scales=2, dtype="float64")
        shared = jaxscat.shard_pyramid(pyramid, everything[:count])
        report["tables"][name] = {
            f"{scale} {operator}": compare(
                getattr(level, operator),
                Shared(getattr(shared.levels[scale], operator), pyramid.spec.sectors))
            for scale, level in enumerate(pyramid.levels)
            for operator in ("stencil", "downsampling") if getattr(level, operator) is not None
        } | {"devices": count}
    taken = {}
    for count in (5, 7, 8):
        try:
            jaxscat.shard_pyramid(jaxscat.build_pyramid(2, layout="rows"), everything[:count])
        except ValueError as problem:
            taken[count] = str(problem)
    report["numbers"] = taken
    try:
        jaxscat.shard_pyramid(shared)
    except ValueError as problem:
        report["again"] = str(problem)
    try:
        jaxscat.save_pyramid(sys.argv[1], shared)
    except ValueError as problem:
        report["saved"] = str(problem)

    # Everything that a measurement may have, of pixels in an order of their own.
    cells = random.permutation(768)
    pyramid = jaxscat.build_pyramid(
        8, scales=2, orientations=2, cell_ids=cells, dtype="float64", layout="rows")
    shared = jaxscat.shard_pyramid(pyramid)
    map, second = random.gamma(2.0, size=(2, 768))
    mask = random.uniform(size=768) * (cells < 500)
    how = {"second": second, "mask": np.stack([mask, np.ones(768)]), "mask_threshold": 0.1,
           "both_triangles": True, "alignment": jaxscat.align_orientations(map, pyramid)}
    groups = [jaxscat.measure(map, pyramid, **how).groups() for pyramid in (pyramid, shared)]
    report["measure"] = [error(groups[1][name], of) for name, of in groups[0].items()]
    maps = random.normal(size=(3, 768))
    of_many = [jaxscat.grouped_vmap(jaxscat.measure)(maps, pyramid).s4
               for pyramid in (pyramid, shared)]
    report["many"] = error(*of_many)
    report["convolved"] = error(*(jaxscat.convolve_map(maps, p) for p in (shared, pyramid)))

    def collectives(program):
        lines = re.findall(
            r"= (.*?) (all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter)[(]",
            program.as_text())
        found = {}
        for shapes, name in lines:
            sizes = [np.prod([int(n) for n in shape.split(",") if n])
                     for shape in re.findall(r"f64\\[([0-9,]*)\\]", shapes)]
            found[name] = max(found.get(name, 0), int(sum(sizes)))
        return found

    report["losses"] = {}
    for layout in ("rows", "faces"):
        pyramid = jaxscat.build_pyramid(32, scales=2, dtype="float64", layout=layout)
        original = random.gamma(2.0, size=12288)
        target = jaxscat.make_target(original, pyramid)
        whole = NamedSharding(Mesh(np.asarray(everything), "a"), PartitionSpec())
        programs, found = {}, {}
        loss = jax.jit(jax.value_and_grad(jaxscat.map_loss))
        start = random.normal(size=12288)
        ways = {"one": pyramid, "shared": jaxscat.shard_pyramid(pyramid)}
        if layout == "rows":
            ways["copied"] = jax.device_put(pyramid, whole)
        for way, own in ways.items():
            program = loss.lower(start, own, target).compile()
            memory = program.memory_analysis()
            programs[way] = {"arguments": memory.argument_size_in_bytes,
                             "temporary": memory.temp_size_in_bytes,
                             "collectives": collectives(program)}
            if way != "copied":
                found[way] = program(start, own, target)
        programs["errors"] = [error(*pair) for pair in zip(found["shared"], found["one"])]
        report["losses"][layout] = programs
    print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What happened on eight devices of the CPU, by the names of the cases."""
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
    settings = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    path = tmp_path_factory.mktemp("kept") / "pyramid.npz"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), path],
        capture_output=True,
        text=True,
        env=settings,
    )
    assert done.returncode == 0, done.stderr
    assert not path.exists()
    return json.loads(done.stdout.splitlines()[-1])


def test_tables_are_the_same_matrices(report):
    for name, case in report["tables"].items():
        tables = [table for table in case.values() if isinstance(table, dict)]
        assert len(tables) >= 3, name
        for table in tables:
            assert table["sizes"], name
            assert max(table["errors"]) <= 1e-13, name


def test_weights_and_results_are_shared_evenly(report):
    for name, case in report["tables"].items():
        for place, table in case.items():
            if place == "devices" or not table["kind"].startswith("Shared"):
                continue
            share = 1 / case["devices"]
            assert share <= table["weights"] <= 1.05 * share, (name, place)
            assert table["shares"] == [share, share], (name, place)


@pytest.mark.parametrize("case", ["rows", "faces", "one sector", "large kernels"])
def test_the_finest_tables_are_shared(report, case):
    kind = "SharedFaceTable" if case == "faces" else "SharedRowTable"
    found = report["tables"][case]
    assert [found[f"0 {name}"]["kind"] for name in ("stencil", "downsampling")] == [kind] * 2


def test_measurements_are_those_of_one_device(report):
    assert len(report["measure"]) == 6
    assert max(*report["measure"], report["many"], report["convolved"]) <= 1e-12


@pytest.mark.parametrize("layout", ["rows", "faces"])
def test_losses_and_gradients_are_those_of_one_device(report, layout):
    assert max(report["losses"][layout]["errors"]) <= 1e-12


@pytest.mark.parametrize(("layout", "share"), [("rows", 0.25), ("faces", 0.3)])
def test_every_device_takes_a_part_of_the_memory(report, layout, share):
    found = report["losses"][layout]
    for kind, most in (("arguments", 0.2), ("temporary", share)):
        assert found["shared"][kind] <= most * found["one"][kind], kind


def test_copied_operators_take_as_much_on_every_device(report):
    found = report["losses"]["rows"]
    for kind in ("arguments", "temporary"):
        assert found["copied"][kind] >= 0.9 * found["one"][kind], kind


def test_devices_exchange_little_beside_the_fields(report):
    # The second scale convolves five fields, to forty, of a quarter of the pixels.
    exchanged = report["losses"]["rows"]["shared"]["collectives"]
    assert exchanged["all-gather"] <= 12288  # the gradient
    assert 0 < exchanged["all-to-all"] <= 5 * 12288 / 3
    assert 0 < exchanged["all-reduce"] <= 12288
    assert set(exchanged) <= {"all-gather", "all-to-all", "all-reduce", "collective-permute"}
    assert report["losses"]["rows"]["one"]["collectives"] == {}


def test_numbers_of_devices_that_do_not_fit_are_refused(report):
    # The finest scale is a dense matrix of 12 rows.
    assert set(report["numbers"]) == {"5", "7", "8"}
    for count, message in report["numbers"].items():
        fitting = {"5": 4, "7": 6, "8": 6}[count]
        assert message.startswith(f"devices: got {count}, among which the 12 rows")
        assert message.endswith(f"expected a number such as {fitting}")


def test_pyramids_that_are_shared_are_not_shared_again_or_saved(report):
    assert report["again"].startswith("pyramid: got one that is shared among devices already")
    assert report["saved"].startswith("pyramid: got one that is shared among devices, expected")


def test_one_device_has_the_pyramid_itself(pyramid, original):
    device = jax.devices()[0]
    alone = jaxscat.shard_pyramid(pyramid, [device])
    assert jax.tree.structure(alone) == jax.tree.structure(pyramid)
    assert all(leaf.committed for leaf in jax.tree.leaves(alone))
    np.testing.assert_array_equal(
        jaxscat.measure(original, alone).s4, jaxscat.measure(original, pyramid).s4
    )


def test_patches_are_refused():
    patch = jaxscat.build_pyramid(4, cell_ids=range(64))
    with pytest.raises(ValueError, match=r"^pyramid: got one of a patch, expected"):
        jaxscat.shard_pyramid(patch)


def device(**changes):
    return Mock(spec=jax.Device, **{"platform": "gpu", "process_index": 0} | changes)


REFUSED = {
    "none": ([], r"got \[\], expected a list"),
    "a name": ("cpu", "got 'cpu', expected a list"),
    "names": (["cpu:0"], "got 'cpu:0' among them, expected a list"),
    "one twice": ([jax.devices()[0]] * 2, "got a device twice"),
    "two processes": ([device(), device(process_index=1)], "of another process, expected this"),
    "two kinds": ([device(), device(platform="cpu")], "got gpu and cpu, expected one kind"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_devices_that_cannot_serve_are_refused(pyramid, case):
    devices, message = REFUSED[case]
    with pytest.raises(ValueError, match=rf"^devices: .*{message}"):
        jaxscat.shard_pyramid(pyramid, devices)
