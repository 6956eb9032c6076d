"""Compare the memory that a batch is said to take with what it takes, and write JSON.

    python -m experiments.benchmarks memory [--nsides 32 64 128] [--lanes 16 32] [--output DIR]
        [--dataset NAME_OR_FILE]

Float32, 50 corrections, 4 orientations. "Predicted" is `Devices.step_bytes`, from the compiled
step; "measured" is the peak of a synthesis beyond what the process held before. Every row has a
process of its own, and its program is compiled by a synthesis that is not measured. On a CPU the
peak is that of resident memory (Linux only), on other devices that of their allocator.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.benchmarks.harness import (
    argument_parser,
    devices,
    environment,
    measure_in_fresh_process,
    reset_peak,
    resident_bytes,
    write_json,
)
from experiments.benchmarks.problems import problem, synthesis_problem
from jaxscat.minimization.batch_size import choose_batch, default_lanes
from jaxscat.minimization.devices import Devices

MEBIBYTE = 2**20
MEMORY, CHUNK = 50, 4


def measure_row(nside: int, lanes: int, dataset: str) -> dict[str, Any]:
    """Return predicted and measured bytes of a batch; zero lanes for as many as are chosen."""
    original, pyramid, target = problem(dataset, nside)
    device, step = Devices(), synthesis_problem(target, pyramid, 2 * CHUNK, MEMORY)

    def predicted(size: int) -> int | None:
        starts: Any = jax.ShapeDtypeStruct((size, original.size), np.float32)
        return device.step_bytes(starts, step, CHUNK)

    def synthesize() -> None:
        # All go on until their last step: there is no second program for fewer lanes.
        jaxscat.synthesize_many(
            target,
            pyramid,
            size,
            batch_size=size,
            max_steps=2 * CHUNK,
            memory=MEMORY,
            chunk_steps=CHUNK,
            gradient_tolerance=0.0,
        )

    most = lanes or default_lanes(device.platform, original.size)
    size = choose_batch(most, device.free_bytes(), predicted, asked=lanes or None)
    stats: Any = jax.local_devices()[0].memory_stats()
    before = 0 if stats is None else stats["bytes_in_use"]
    synthesize()
    if stats is None:
        reset_peak()
        before = resident_bytes("VmRSS")
        synthesize()
        peak = resident_bytes("VmHWM")
    else:
        stats = jax.local_devices()[0].memory_stats()
        peak = stats["peak_bytes_in_use"]
    return {
        "nside": nside,
        "lanes": size,
        "predicted": predicted(size),
        "measured": peak - before,
    }


def build_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"A batch, float32, {MEMORY} corrections: MiB")
    for heading in ("nside", "lanes", "predicted", "per lane", "measured", "per lane", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        numbers = [row[name] / MEBIBYTE for name in ("predicted", "measured")]
        cells = [
            text for number in numbers for text in (f"{number:.0f}", f"{number / row['lanes']:.1f}")
        ]
        lanes = f"{row['lanes']} (chosen)" if row["chosen"] else str(row["lanes"])
        table.add_row(str(row["nside"]), lanes, *cells, f"{numbers[0] / numbers[1]:.2f}")
    return table


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "memory",
        "Memory of a batch, predicted and measured.",
        nsides=(32, 64, 128),
        output=Path("runs/batch_memory"),
    )
    parser.add_argument("--lanes", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--row", type=int, nargs=2, metavar=("NSIDE", "LANES"))
    options = parser.parse_args(arguments)
    if options.row:
        nside, lanes = options.row
        print(json.dumps(measure_row(nside, lanes, options.dataset)))
        return 0
    rows = []
    for nside in options.nsides:
        for lanes in (0, *options.lanes):
            row = ("memory", "--row", nside, lanes, "--dataset", options.dataset)
            found = measure_in_fresh_process("experiments.benchmarks", *row)
            rows.append(found | {"chosen": lanes == 0})
    Console().print(build_table(rows))
    figures = {"environment": environment(options.dataset), "device": devices(), "rows": rows}
    write_json(options.output / "batch_memory.json", figures)
    return 0
