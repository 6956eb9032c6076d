"""Compare the memory that a batch is said to take with what it takes, and write JSON.

    python experiments/batch_memory.py [--nsides 32 64 128] [--lanes 16 32] [--output DIR]
        [--dataset NAME_OR_FILE]

Float32, 50 corrections, 4 orientations. "Predicted" is `Devices.step_bytes`, from the compiled
step; "measured" is the peak of a synthesis beyond what the process held before. Every row has a
process of its own, and its program is compiled by a synthesis that is not measured. On a CPU the
peak is that of resident memory (Linux only), on other devices that of their allocator.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from benchmark import default_dataset
from rich.console import Console
from rich.table import Table

import jaxscat
from jaxscat.minimization.batch_size import choose_batch, default_lanes
from jaxscat.minimization.devices import Devices
from jaxscat.run.provenance import describe_devices, versions

MEBIBYTE = 2**20
MEMORY, CHUNK = 50, 4


def resident(name: str) -> int:
    """Return a figure of this process's resident memory in bytes: "VmRSS", or "VmHWM", its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def forget_the_peak() -> None:
    """Give freed memory back to the system, and let the peak begin at what is left."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def one_row(nside: int, lanes: int, dataset: str) -> dict[str, Any]:
    """Return predicted and measured bytes of a batch; zero lanes for as many as are chosen."""
    original = jaxscat.load_map(dataset, nside).astype(np.float32)
    pyramid = jaxscat.build_pyramid(nside)
    # All scales, as the figures of docs/performance.md: the default leaves some work out.
    target = jaxscat.make_target(
        jax.numpy.asarray(original), pyramid, coarsest_nside=1, weights="plain"
    )
    device = Devices()

    def predicted(size: int) -> int | None:
        starts: Any = jax.ShapeDtypeStruct((size, original.size), original.dtype)
        return device.step_bytes(starts, MEMORY, pyramid, target, CHUNK)

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
        forget_the_peak()
        before = resident("VmRSS")
        synthesize()
        peak = resident("VmHWM")
    else:
        stats = jax.local_devices()[0].memory_stats()
        peak = stats["peak_bytes_in_use"]
    return {
        "nside": nside,
        "lanes": size,
        "predicted": predicted(size),
        "measured": peak - before,
    }


def table_of(rows: list[dict[str, Any]]) -> Table:
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a batch, predicted and measured.")
    parser.add_argument("--nsides", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--lanes", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--dataset", default=default_dataset(), help="dataset or map file")
    parser.add_argument("--output", type=Path, default=Path("runs/batch_memory"), metavar="DIR")
    parser.add_argument("--row", type=int, nargs=2, metavar=("NSIDE", "LANES"))
    options = parser.parse_args()
    if options.row:
        nside, lanes = options.row
        print(json.dumps(one_row(nside, lanes, options.dataset)))
        return
    rows = []
    for nside in options.nsides:
        for lanes in (0, *options.lanes):
            arguments = ["--row", str(nside), str(lanes), "--dataset", options.dataset]
            command = [sys.executable, __file__, *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]) | {"chosen": lanes == 0})
    Console().print(table_of(rows))
    figures = {"versions": versions(), "device": describe_devices(), "rows": rows}
    options.output.mkdir(parents=True, exist_ok=True)
    draft = options.output / ".batch_memory.json"
    draft.write_text(json.dumps(figures, indent=2) + "\n")
    draft.replace(options.output / "batch_memory.json")


if __name__ == "__main__":
    main()
