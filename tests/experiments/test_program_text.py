"""Programs are read from their text, and those for a TPU are the ones that jaxscat runs."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscat
from experiments.benchmarks import tpu
from experiments.benchmarks.problems import drawn_map, problem
from experiments.benchmarks.program_text import describe_program, read_instructions, shape_bytes
from jaxscat.minimization import batch
from jaxscat.minimization import lanes as batched

TEXT = """HloModule test, is_scheduled=true

%fused (param: f32[300000,2]) -> f32[8] {
  %param = f32[300000,2]{1,0:T(8,128)} parameter(0)
  %indices = s32[8,1]{1,0} constant({...})
  ROOT %gather.1 = f32[8]{0:T(256)S(1)} gather(%param, %indices), offset_dims={1}
}

ENTRY %main (a: f32[300000,2]) -> (f32[8], s32[]) {
  %a = f32[300000,2]{1,0} parameter(0), metadata={op_name="a(b"}
  %fusion.2 = f32[8]{0} fusion(%a), kind=kLoop, calls=%fused
  %while.3 = (f32[8]{0}, /*index=1*/s32[]) while((f32[8]{0}, s32[]) %t), condition=%c, body=%b
  ROOT %scatter.4 = f32[8]{0} scatter(f32[8]{0} %fusion.2, s32[2,1] %i, f32[2] %u), to_apply=%add
}
"""


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("f32[2,3]{1,0:T(8,128)}", 24),
        ("(bf16[4]{0}, pred[5], u8[])", 14),
        ("f64[]", 8),
        ("token[]", 0),
        ("s4[3,2]", 3),
    ],
)
def test_bytes_of_a_shape(shape, size):
    assert shape_bytes(shape) == size


def test_a_text_is_counted_line_by_line():
    found = describe_program(TEXT)
    kinds = found["instructions"]
    assert {name: kinds[name] for name in ("gather", "scatter", "fusion", "while", "dot")} == {
        "gather": 1,
        "scatter": 1,
        "fusion": 1,
        "while": 1,
        "dot": 0,
    }
    assert found["gathers"] == {"count": 1, "largest_bytes": 2_400_000, "large": 1}
    assert found["scatters"] == {"count": 1, "largest_bytes": 32, "large": 0}
    loop = next(one for one in read_instructions(TEXT) if one.kind == "while")
    assert (loop.bytes, loop.operands) == (36, ("t",))


def test_a_compiled_program_is_understood():
    def function(field, index):
        gathered = field[index]
        return jax.lax.fori_loop(0, 3, lambda _, x: x @ x.T @ x, gathered)

    operands = jnp.ones((1000, 4), jnp.float32), jnp.arange(4)
    found = describe_program(jax.jit(function).lower(*operands).compile().as_text())
    assert found["gathers"]["count"] == 1 and found["gathers"]["largest_bytes"] == 16000
    assert found["instructions"]["while"] >= 1


def test_the_step_is_the_one_that_synthesize_runs(monkeypatch):
    class Stopped(Exception):
        pass

    calls = []

    def record(*operands, **static):
        calls.append((operands[:3], static or {"chunk": operands[3]}))
        raise Stopped

    function, operands, static = tpu.build_program("step", 2, 1, "rows")
    assert function is batched.advance
    original, pyramid, target = problem(None, 2, "rows", coarsest_nside=None)
    monkeypatch.setattr(batched, "advance", record)
    monkeypatch.setattr(batch, "choose_batch", lambda wanted, *_, **__: wanted)
    with pytest.raises(Stopped):
        jaxscat.synthesize(target, pyramid, original)

    def shapes(tree):
        return jax.tree.map(lambda leaf: (np.shape(leaf), np.dtype(leaf.dtype).name), tree)

    ((called, chunk),) = calls
    assert chunk == static
    assert jax.tree.structure(called) == jax.tree.structure(operands)
    assert shapes(called) == shapes(operands)


@pytest.mark.parametrize(("lanes", "shape"), [(1, (48,)), (3, (3, 48))])
def test_value_and_grad_is_of_as_many_maps(lanes, shape):
    function, operands, static = tpu.build_program("value_and_grad", 2, lanes, "rows")
    value, gradient = jax.eval_shape(function, *operands, **static)
    assert gradient.shape == shape and value.shape == shape[:-1]


def test_a_drawn_map_has_structure_at_all_scales():
    fine, again = drawn_map(8), drawn_map(8)
    np.testing.assert_array_equal(fine, again)
    assert fine.dtype == np.float32 and fine.min() > 0
    logarithm = np.log(fine)
    for step in (1, 4, 16):
        # What pixels with a common parent share has the variance of all coarser grids.
        coarse = logarithm.reshape(-1, 4 * step).mean(-1)
        assert np.var(coarse) < np.var(logarithm.reshape(-1, step).mean(-1))


def test_a_missing_compiler_is_said_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert tpu.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'jax[tpu]'" in said


def test_a_table_flags_large_gathers_and_failures():
    row = {"program": "step", "nside": 2, "lanes": 1, "layout": "faces"}
    sizes = dict.fromkeys(
        ("lowering_seconds", "compile_seconds", "temporary_bytes", "code_bytes"), 1
    )
    made = tpu.build_table([row | sizes | describe_program(TEXT), row | {"error": "status -9"}])
    cells = {column.header: list(column.cells) for column in made.columns}
    assert cells["largest gather"] == ["2.4 MB (1 above 1 MB!)", ""]
    assert cells["lowering"] == ["1 s", "failed: status -9"]
