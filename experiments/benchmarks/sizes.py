"""Measure what one map costs against its size: time per pixel, memory, building, compilation.

    python -m experiments.benchmarks sizes [--smallest 16] [--largest 1024] [--layouts rows]
        [--repeat 5] [--output DIR]

Every size has a process of its own. Its stages, one after the other, are the operators, the target,
the compilation of value and gradient of `map_loss`, and calls of it; of each there is the time and
the peak of resident memory (Linux only), all that the process holds included. Float32, S3 and S4
at all scales, no mask; the maps are drawn. A size that this machine cannot hold says so; its
process is the first that the system ends when memory is short.
"""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.benchmarks.harness import (
    STATUS,
    argument_parser,
    compile_apart,
    devices,
    environment,
    measure_in_fresh_process,
    peak_bytes,
    repeated,
    reset_peak,
    write_json,
)
from experiments.benchmarks.problems import (
    LAYOUTS,
    drawn_map,
    make_target,
    value_and_grad_of,
    white_starts,
)
from jaxscat.operators.memory import available_bytes, table_bytes

Row = dict[str, Any]
Made = TypeVar("Made")
STAGES = ("pyramid", "target", "compile", "value_and_grad")
NOT_MEASURED = "not measured"


class Stages:
    """Times and memory of the stages of one process.

    Attributes:
        row: `STAGE_seconds` and `STAGE_peak_bytes`.
    """

    def __init__(self) -> None:
        self.row: Row = {}

    def run(self, stage: str, call: Callable[[], Made]) -> Made:
        """Run a stage to its end on the device."""
        if STATUS.exists():
            reset_peak()
        begin = time.perf_counter()
        made = jax.block_until_ready(call())
        self.row[f"{stage}_seconds"] = time.perf_counter() - begin
        self.row[f"{stage}_peak_bytes"] = peak_bytes()
        return made


def measure_size(nside: int, layout: Any, repeat: int) -> Row:
    """Measure all stages of one size in this process.

    Raises:
        ValueError: the operators, or value and gradient, do not fit in memory.
    """
    stages, original = Stages(), drawn_map(nside)
    pyramid = stages.run("pyramid", lambda: jaxscat.build_pyramid(nside, layout=layout))
    target = stages.run("target", lambda: make_target(original, pyramid))
    start = jnp.asarray(white_starts(original, 1))
    function: Any = value_and_grad_of(1)
    compiled: Any = stages.run(
        "compile", lambda: compile_apart(function, start, pyramid, target)[0]
    )
    temporary, free = compiled.memory_analysis().temp_size_in_bytes, available_bytes()
    if free is not None and temporary > free:
        sizes = [f"{number / 1e9:.1f} GB" for number in (temporary, free)]
        raise ValueError(
            f"value and gradient takes {sizes[0]} beside its operands, {sizes[1]} free"
        )
    found: Any = stages.run(
        "value_and_grad", lambda: repeated(lambda: compiled(start, pyramid, target), repeat)
    )
    stages.row["value_and_grad_seconds"] = found["median_seconds"]
    return {
        **stages.row,
        "calls": found,
        "nanoseconds_per_pixel": 1e9 * found["median_seconds"] / pyramid.spec.npix,
        "table_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(pyramid)),
        "estimated_table_bytes": table_bytes(pyramid.spec),
        "temporary_bytes": temporary,
    }


def measure_apart(nside: int, layout: str, repeat: int) -> Row:
    """Measure one size in a process of its own; a size that fails says why."""
    row: Row = {"nside": nside, "layout": layout}
    case = ("sizes", "--case", nside, layout, "--repeat", repeat)
    try:
        return row | measure_in_fresh_process("experiments.benchmarks", *case)
    except subprocess.CalledProcessError as error:
        killed = "ended by the system, memory was short" if error.returncode == -9 else ""
        return row | {NOT_MEASURED: killed or f"status {error.returncode}"}


def build_table(rows: list[Row]) -> Table:
    table = Table(title="One map, float32: value and gradient, and what comes before")
    headings = ("nside", "layout", "value and gradient", "per pixel", "building", "target")
    for heading in (*headings, "compiling", "tables", "peak: building", "target", "v & g"):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [str(row["nside"]), row["layout"]]
        if NOT_MEASURED in row:
            table.add_row(*cells, f"{NOT_MEASURED}: {row[NOT_MEASURED]}")
            continue
        cells += [f"{1e3 * row['value_and_grad_seconds']:.3g} ms"]
        cells += [f"{row['nanoseconds_per_pixel']:.0f} ns"]
        cells += [f"{row[f'{stage}_seconds']:.1f} s" for stage in STAGES[:3]]
        cells += [f"{row['table_bytes'] / 1e6:.3g} MB"]
        peaks = ("pyramid", "target", "value_and_grad")
        cells += [f"{row[f'{stage}_peak_bytes'] / 1e9:.2f} GB" for stage in peaks]
        table.add_row(*cells)
    return table


def sizes_between(smallest: int, largest: int) -> list[int]:
    """Return the powers of two from one nside to another."""
    return [1 << power for power in range(32) if smallest <= 1 << power <= largest]


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "sizes",
        "Cost of one map against its size.",
        nsides=None,
        repeat=5,
        repeat_help="calls of value and gradient",
        dataset=None,
        output=Path("runs/sizes"),
    )
    parser.add_argument("--smallest", type=int, default=16, help="nside to begin with")
    parser.add_argument("--largest", type=int, default=1024, help="nside to end with")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=["rows"])
    parser.add_argument("--case", nargs=2, metavar=("NSIDE", "LAYOUT"), help="only this one")
    options = parser.parse_args(arguments)
    if options.case:
        nside, layout = options.case
        jax.config.update("jax_enable_x64", False)
        with suppress(OSError):  # Linux only
            Path("/proc/self/oom_score_adj").write_text("1000")
        try:
            row = measure_size(int(nside), layout, options.repeat)
        except ValueError as error:
            row = {NOT_MEASURED: str(error)}
        print(json.dumps(row))
        return 0
    console = Console(stderr=True)
    results: Row = {"environment": environment("drawn"), "rows": []}
    for layout in options.layouts:
        for nside in sizes_between(options.smallest, options.largest):
            with console.status(f"nside {nside}, {layout}"):
                results["rows"].append(measure_apart(nside, layout, options.repeat))
            write_json(options.output / "sizes.json", results)
    Console(width=150).print(build_table(results["rows"]))
    results["environment"]["jax"] = devices()
    write_json(options.output / "sizes.json", results)
    console.print(f"written to {options.output}")
    return 0
