"""Bytes and flops of the roofline are those of what XLA compiles, and of dense matrices."""

from collections import Counter

import jax
import numpy as np
import pytest

from experiments.benchmarks import roofline
from experiments.benchmarks import roofline_counts as counts
from experiments.benchmarks.problems import problem
from experiments.benchmarks.roofline_calls import build_calls
from experiments.benchmarks.roofline_rates import H200, TPU_V5E, Rates
from jaxscat import build_pyramid, map_loss
from jaxscat.operators import table
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import collect, spread
from jaxscat.statistics import moments

MAPS = 2


@pytest.fixture
def few_dense(monkeypatch):
    """Grids from nside 4 up have tables of rows; coarser ones have no blocks of four."""
    monkeypatch.setattr(table, "DENSE_PIXELS", 48)


@pytest.fixture(params=["rows", "faces"])
def pyramid(request, few_dense):
    """Tables of both layouts, and a dense one."""
    if request.param == "rows":
        return build_pyramid(8, layout="rows", scales=2)
    return build_pyramid(16, layout="faces", scales=2)


def products_in(jaxpr):
    """Yield name, channels and rows of the input of every sparse product in a program."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name.startswith("scattering_"):
            shape = equation.invars[0].aval.shape
            channels = shape[0] if name.endswith("spread") else shape[2]
            yield name.removeprefix("scattering_"), channels, shape[-1]
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                yield from products_in(getattr(inner, "jaxpr", inner))


def is_program(value):
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


@pytest.mark.parametrize("coarsest_nside", [1, 4])
def test_the_fields_of_all_levels_are_those_of_the_loss(few_dense, coarsest_nside):
    original, pyramid, target = problem(None, 8, "rows", coarsest_nside)
    both = jax.make_jaxpr(jax.value_and_grad(map_loss))(original, pyramid, target)
    expected = Counter()
    for channels in counts.walk_levels(pyramid, target.covariance_scales):
        if channels.level.nside < 4:
            continue
        rows = channels.level.npix // 4
        for fields in channels.convolved:
            expected.update([("spread", fields, rows), ("collect", fields, rows)])
        if channels.leaving:
            fields = channels.leaving
            expected.update([("spread", fields, rows), ("collect", fields, rows // 4)])
    assert Counter(products_in(both.jaxpr)) == expected


def apply_table(table, field):
    return table.spread(field)


def apply_transpose(table, fields):
    return table.collect(fields)


def compiled_calls(pyramid, scales):
    # Of themselves, the primitives take all arrays of a table, whether they are read or not.
    plain = {spread: apply_table, collect: apply_transpose}
    for channels in counts.walk_levels(pyramid, scales):
        for name, (function, operands) in build_calls(channels, pyramid.spec, MAPS):
            function = plain.get(function, function)
            yield channels.level.nside, name, jax.jit(function).lower(*operands).compile()


def test_bytes_are_those_that_xla_reads_and_writes(pyramid, monkeypatch):
    monkeypatch.setattr(moments, "_ROWS_OF_A_STEP", 1 << 20)  # XLA counts a loop once
    found = Counter()
    for nside, name, compiled in compiled_calls(pyramid, 2):
        memory = compiled.memory_analysis()
        # Operands that a program does not use are no arguments of it.
        found[nside, name] += memory.argument_size_in_bytes + memory.output_size_in_bytes
        if name.startswith("Gram"):
            (work,) = [w for w in counts.count_work(pyramid, 2, MAPS) if w[:2] == (nside, name)]
            assert work.flops == pytest.approx(compiled.cost_analysis()["flops"], rel=0.12)
    counted = {work[:2]: work.bytes for work in counts.count_work(pyramid, 2, MAPS)}
    assert counted.keys() == found.keys()
    # Two results are in a tuple, which has two pointers.
    assert all(0 <= found[name] - counted[name] <= 16 for name in counted), (found, counted)


def multiplications(jaxpr, kind, times=1):
    """Count those of products of matrices ("dot_general"), or of real numbers ("mul")."""
    total = 0
    for equation in jaxpr.eqns:
        out = equation.outvars[-1].aval if equation.outvars else None
        if equation.primitive.name == kind == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += times * out.size * int(np.prod([left[axis] for axis in contracted]))
        elif equation.primitive.name == kind and np.issubdtype(out.dtype, np.floating):
            total += times * out.size
        length = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                total += multiplications(getattr(inner, "jaxpr", inner), kind, times * length)
    return total


def test_flops_of_tables_are_two_for_every_multiplication(pyramid):
    found = Counter()
    plain = {spread: apply_table, collect: apply_transpose}
    for channels in counts.walk_levels(pyramid, 2):
        for name, (function, operands) in build_calls(channels, pyramid.spec, MAPS):
            if function in plain:
                made = jax.make_jaxpr(plain[function])(*operands)
                # The halo of faces is put together by products of matrices, which do not count.
                kind = "mul" if isinstance(operands[0], FaceTable) else "dot_general"
                found[channels.level.nside, name] += 2 * multiplications(made.jaxpr, kind)
    tables = [work for work in counts.count_work(pyramid, 2, MAPS) if work.filled is not None]
    assert found == {work[:2]: work.flops for work in tables}


def test_the_filled_weights_are_those_of_the_dense_matrix(few_dense, reference):
    pyramid = build_pyramid(4, layout="rows", scales=1, dtype="float64")
    weights = pyramid.levels[0].stencil.weights
    work = next(work for work in counts.count_work(pyramid, 1) if work.operation == counts.SPREAD)
    matrix = reference.wavelet_matrix(4, 4)
    parts = np.stack([matrix.real, matrix.imag])
    # The table holds one sector of four.
    expected = np.count_nonzero(np.abs(parts) > 1e-12) / 4
    assert work.filled * weights.size == pytest.approx(expected)
    assert work.flops == 2 * weights.size * 4 * (1 + 4)


def test_a_floor_is_the_longer_of_bytes_and_flops():
    rates = Rates("test", bandwidth=100.0, matrix=10.0, vector=1.0, source="")
    assert rates.floor(counts.Work(1, "a", 200, 10, "matrix")) == 2.0
    assert rates.floor(counts.Work(1, "a", 200, 50, "matrix")) == 5.0
    assert rates.floor(counts.Work(1, "a", 200, 50, "vector")) == 50.0
    row = roofline.describe_work(counts.Work(1, "a", 200, 50, "vector"), rates, groups=3)
    assert (row["bytes"], row["floor_seconds"], row["bound"]) == (600, 150.0, "flops")


def test_predictions_are_marked_and_many_maps_share_the_weights():
    rows = roofline.predict(8, "faces")
    mark = "predicted, not measured"
    assert [(row[mark], row["maps"]) for row in rows] == [
        (rates.name, maps) for maps in roofline.PREDICTED_MAPS for rates in (H200, TPU_V5E)
    ]
    one, many = rows[0], rows[2]
    assert many["flops"] == 64 * one["flops"] and many["bytes"] < 64 * one["bytes"]
    assert many["floor_seconds_per_map"] < one["floor_seconds_per_map"]
    assert "measured" in roofline.build_predictions(rows).title
