"""Compile programs for a TPU v5e that is not there, and say what they consist of.

    python -m experiments.benchmarks tpu [--nsides 32 64] [--lanes 1 8] [--step-nsides 32]
        [--programs value_and_grad step] [--layouts faces] [--output DIR]

Needs `jax[tpu]`, whose compiler needs no TPU; nothing is run, so nothing is timed but lowering and
compilation. Programs are value and gradient of `map_loss` for some lanes, and the whole step of a
synthesis (`jaxscat.minimization.lanes.advance`), in float32 by the default target. Each has a
process of its own, since a compilation takes one or two minutes and much memory.

Gathers and scatters are slow on a TPU: those of more than 1 MB are flagged. Bytes are those of the
largest operand or result, without padding.
"""

import importlib.util
import json
import subprocess
import time
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.harness import (
    argument_parser,
    environment,
    measure_in_fresh_process,
    write_json,
)
from experiments.benchmarks.problems import (
    CHUNK,
    LAYOUTS,
    problem,
    synthesis_problem,
    value_and_grad_of,
)
from experiments.benchmarks.program_text import KINDS, LARGE_BYTES, describe_program
from jaxscat.minimization import lanes as batched

Row = dict[str, Any]
PROGRAMS = ("value_and_grad", "step")
TOPOLOGY = "v5e:2x2"
MISSING = (
    "The compiler for TPUs is not installed: `pip install 'jax[tpu]'`, in an environment of its own"
)
# Nothing is asked of a cloud, and the programs around what is compiled run here.
# Several may compile at once: none holds a TPU.
SETTINGS = {
    "TPU_SKIP_MDS_QUERY": "1",
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def build_program(program: str, nside: int, lanes: int, layout: Any) -> tuple[Any, tuple, Row]:
    """Return a jitted function, its operands or their shapes, and its static arguments.

    Args:
        program: "value_and_grad" of `map_loss`, or the "step" of a synthesis.
        nside, lanes, layout: sizes and operators.
    """
    _, pyramid, target = problem(None, nside, layout, coarsest_nside=None)
    npix = pyramid.spec.npix
    if program == "value_and_grad":
        maps = jax.ShapeDtypeStruct((npix,) if lanes == 1 else (lanes, npix), np.float32)
        return value_and_grad_of(lanes), (maps, pyramid, target), {}
    step = synthesis_problem(target, pyramid, steps=300)
    starts = jax.ShapeDtypeStruct((lanes, npix), np.float32)
    begun = jax.eval_shape(batched.begin, starts, None, step.minimizer)
    return batched.advance, (begun, step, np.int32(1)), {"chunk": CHUNK}


def compile_case(program: str, nside: int, lanes: int, layout: str) -> Row:
    """Compile one program for a TPU and describe it."""
    from jax.experimental import topologies
    from jax.sharding import SingleDeviceSharding

    topology = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY)
    chip = SingleDeviceSharding(topology.devices[0])
    function, operands, static = build_program(program, nside, lanes, layout)
    operands = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=chip), operands
    )
    begin = time.perf_counter()
    lowered = function.trace(*operands, **static).lower(lowering_platforms=("tpu",))
    middle = time.perf_counter()
    compiled = lowered.compile()
    end = time.perf_counter()
    memory = compiled.memory_analysis()
    return {
        "lowering_seconds": middle - begin,
        "compile_seconds": end - middle,
        **describe_program(compiled.as_text()),
        "temporary_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
    }


def build_table(rows: list[Row]) -> Table:
    table = Table(title="Programs for a TPU v5e, compiled without one: nothing was run")
    names = ("program", "nside", "lanes", "layout", "lowering", "compiling", *KINDS[:7])
    names += ("largest gather", "largest scatter", "temporaries", "code")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [row["program"], str(row["nside"]), str(row["lanes"]), row["layout"]]
        if "error" in row:
            table.add_row(*cells, f"failed: {row['error']}")
            continue
        cells += [f"{row[name]:.0f} s" for name in ("lowering_seconds", "compile_seconds")]
        cells += [str(row["instructions"][kind]) for kind in KINDS[:7]]
        cells += [_largest(row[name]) for name in ("gathers", "scatters")]
        cells += [f"{row[name] / 1e6:.0f} MB" for name in ("temporary_bytes", "code_bytes")]
        table.add_row(*cells)
    return table


def _largest(found: Row) -> str:
    if not found["count"]:
        return "none"
    flag = f" ({found['large']} above {LARGE_BYTES / 1e6:.0f} MB!)" if found["large"] else ""
    return f"{found['largest_bytes'] / 1e6:.2g} MB{flag}"


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "tpu", "Programs for a TPU, compiled without one.", nsides=(32, 64), dataset=None
    )
    parser.add_argument(
        "--lanes", type=int, nargs="*", default=[1, 8], help="of value and gradient"
    )
    parser.add_argument("--step-nsides", type=int, nargs="*", default=[32], help="of the step")
    parser.add_argument("--step-lanes", type=int, default=1)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=["faces"])
    names = ("PROGRAM", "NSIDE", "LANES", "LAYOUT")
    parser.add_argument("--case", nargs=4, metavar=names, help="only this one, as a line of JSON")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("libtpu") is None:
        Console(stderr=True).print(MISSING, markup=False, highlight=False, soft_wrap=True)
        return 1
    if options.case:
        program, nside, lanes, layout = options.case
        print(json.dumps(compile_case(program, int(nside), int(lanes), layout)))
        return 0
    cases = [
        ("value_and_grad", nside, lanes, layout)
        for layout in options.layouts
        for nside in options.nsides
        for lanes in options.lanes
    ]
    steps = [(nside, layout) for layout in options.layouts for nside in options.step_nsides]
    cases += [("step", nside, options.step_lanes, layout) for nside, layout in steps]
    cases = [case for case in cases if case[0] in options.programs]
    results: Row = {"environment": environment("drawn", ("libtpu",)), "target": TOPOLOGY}
    rows = results["rows"] = []
    console = Console(stderr=True)
    for case in cases:
        row: Row = dict(zip(("program", "nside", "lanes", "layout"), case, strict=True))
        with console.status(" ".join(map(str, case))):
            try:
                module, command = "experiments.benchmarks", ("tpu", "--case", *case)
                row |= measure_in_fresh_process(module, *command, **SETTINGS)
            except subprocess.CalledProcessError as error:
                row["error"] = f"status {error.returncode}"
        rows.append(row)
        if options.output is not None:
            write_json(options.output / "tpu.json", results)
    Console(width=200).print(build_table(rows))
    return 0
