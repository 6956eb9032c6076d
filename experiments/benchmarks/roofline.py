"""Hold every operation of a value and gradient against what the device can do at best.

    python -m experiments.benchmarks roofline [--nsides 64] [--layouts rows faces] [--maps 1]
        [--repeat 7] [--predict-nsides 64 128] [--output DIR]

Bytes and flops are counted from the tables of a pyramid (`roofline_counts`), and the device's
bandwidth and rate of matrix products are measured in the same run. The floor of an operation is
the longer of bytes over bandwidth and flops over rate. Beside it stands the median time of the
operation by itself, compiled and warm, and for the sum of all the whole of value and gradient.
On coarse grids the start of a call takes longer than its work, and what fits in a cache may take
less than its floor. On a CPU, many maps follow each other in the groups of `grouped_vmap`.

Predictions are floors of named accelerators for the same counts: none of them is measured.

All scales have S3 and S4; there is no mask. The map is drawn; its values do not matter.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.benchmarks.harness import (
    argument_parser,
    compile_apart,
    devices,
    environment,
    repeated,
    write_json,
)
from experiments.benchmarks.problems import (
    LAYOUTS,
    problem,
    value_and_grad_of,
    white_starts,
)
from experiments.benchmarks.roofline_calls import time_operations
from experiments.benchmarks.roofline_counts import Work, count_work
from experiments.benchmarks.roofline_rates import NAMED, Rates, measure_rates
from jaxscat.operators.batching import group_size

Row = dict[str, Any]
PREDICTED_MAPS = (1, 64)


def group_of(maps: int, npix: int) -> int:
    """Return how many maps are evaluated at once on the default device."""
    return group_size(maps, npix) if jax.default_backend() == "cpu" else maps


def measure_whole(nside: int, layout: Any, maps: int, repeat: int) -> tuple[Row, jaxscat.Pyramid]:
    """Time value and gradient of some maps; return the times, and the operators."""
    original, pyramid, target = problem(None, nside, layout)
    starts = jnp.asarray(white_starts(original, maps))
    compiled, stages = compile_apart(value_and_grad_of(maps), starts, pyramid, target)
    found = repeated(lambda: compiled(starts, pyramid, target), repeat)
    return stages | found, pyramid


def measure_case(rates: Rates, nside: int, layout: Any, maps: int, repeat: int) -> Row:
    """Return counts, floors and times of all operations of a layout at one nside."""
    whole, pyramid = measure_whole(nside, layout, maps, repeat)
    together = group_of(maps, pyramid.spec.npix)
    groups, scales = maps // together, len(pyramid.levels)
    rows = [
        describe_work(work, rates, groups) | {"seconds": 0.0}
        for work in count_work(pyramid, scales, together)
    ]
    by_name = {(row["nside"], row["operation"]): row for row in rows}
    for level, operation, taken in time_operations(pyramid, scales, together, repeat):
        by_name[level, operation]["seconds"] += groups * taken
    return {
        "nside": nside,
        "layout": layout,
        "maps": maps,
        "maps_at_once": together,
        "operations": rows,
        "sum": {name: sum(row[name] for row in rows) for name in SUMMED},
        "whole": whole,
    }


SUMMED = ("bytes", "flops", "floor_seconds", "seconds")


def describe_work(work: Work, rates: Rates, groups: int = 1) -> Row:
    """Return the counts of some equal groups and their floor."""
    return work._asdict() | {
        "bytes": groups * work.bytes,
        "flops": groups * work.flops,
        "floor_seconds": groups * rates.floor(work),
        "bound": "bytes" if rates.floor(work) == work.bytes / rates.bandwidth else "flops",
    }


def predict(nside: int, layout: Any) -> list[Row]:
    """Return the floors of named accelerators, for one map and for many at once."""
    pyramid = jaxscat.build_pyramid(nside, orientations=4, layout=layout)
    rows = []
    for maps in PREDICTED_MAPS:
        works = count_work(pyramid, len(pyramid.levels), maps)
        for rates in NAMED:
            found = [describe_work(work, rates) for work in works]
            total = {name: sum(row[name] for row in found) for name in SUMMED[:3]}
            by_flops = sum(row["floor_seconds"] for row in found if row["bound"] == "flops")
            rows.append(
                {
                    "predicted, not measured": rates.name,
                    "nside": nside,
                    "layout": layout,
                    "maps": maps,
                    **total,
                    "floor_seconds_per_map": total["floor_seconds"] / maps,
                    "share_bound_by_flops": by_flops / total["floor_seconds"],
                }
            )
    return rows


def build_table(case: Row) -> Table:
    size = f"nside {case['nside']}, {case['layout']}, {case['maps']} map(s)"
    at_once = f"{case['maps_at_once']} at once"
    table = Table(title=f"Value and gradient, float32, {size}, {at_once}")
    for heading in ("nside", "operation", "MB", "Mflop", "filled", "floor", "by", "measured"):
        table.add_column(heading, justify="left" if heading == "operation" else "right")
    table.add_column("ratio", justify="right")
    former = None
    for row in case["operations"]:
        if row["nside"] != former and former is not None:
            table.add_section()
        former = row["nside"]
        filled = "" if row["filled"] is None else f"{row['filled']:.2f}"
        table.add_row(
            str(row["nside"]), row["operation"], *_amounts(row), filled, *_times(row, row["bound"])
        )
    table.add_section()
    total, whole = case["sum"], case["whole"]["median_seconds"]
    table.add_row("all", "sum of the above", *_amounts(total), "", *_times(total, ""))
    table.add_row("all", "whole", "", "", "", *_times(total | {"seconds": whole}, ""))
    return table


def _amounts(row: Row) -> tuple[str, str]:
    return f"{row['bytes'] / 1e6:.3g}", f"{row['flops'] / 1e6:.3g}"


def _times(row: Row, bound: str) -> tuple[str, str, str, str]:
    floor, taken = row["floor_seconds"], row["seconds"]
    return f"{1e3 * floor:.3g} ms", bound, f"{1e3 * taken:.3g} ms", f"{taken / floor:.1f}"


def build_predictions(rows: list[Row]) -> Table:
    table = Table(title="PREDICTED floors of value and gradient, float32: nothing here is measured")
    for heading in ("accelerator", "nside", "layout", "maps", "floor", "per map", "flop-bound"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["predicted, not measured"],
            str(row["nside"]),
            row["layout"],
            str(row["maps"]),
            f"{1e3 * row['floor_seconds']:.3g} ms",
            f"{1e6 * row['floor_seconds_per_map']:.3g} µs",
            f"{100 * row['share_bound_by_flops']:.0f} %",
        )
    return table


def build_parser() -> argparse.ArgumentParser:
    parser = argument_parser(
        "roofline",
        "Operations beside what the device can do at best.",
        nsides=(64,),
        repeat=7,
        repeat_help="calls of every operation",
        dataset=None,
        output=Path("runs/roofline"),
    )
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--maps", type=int, default=1, help="evaluated by one call")
    parser.add_argument(
        "--predict-nsides", type=int, nargs="*", default=[64, 128], help="of named accelerators"
    )
    return parser


def main(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_enable_x64", False)
    console, printed = Console(stderr=True), Console(width=130)
    rates = measure_rates()
    speed = f"{rates.bandwidth / 1e9:.4g} GB/s, {rates.matrix / 1e9:.4g} Gflop/s"
    console.print(f"{rates.name}: {speed} ({rates.source})")
    results: Row = {
        "environment": environment("drawn") | {"jax": devices()},
        "rates": rates._asdict(),
        "cases": [],
        "predictions": [],
        "rates of predictions": [named._asdict() for named in NAMED],
    }
    for nside in options.nsides:
        for layout in options.layouts:
            case = measure_case(rates, nside, layout, options.maps, options.repeat)
            results["cases"].append(case)
            printed.print(build_table(case))
            write_json(options.output / "roofline.json", results)
    for nside in options.predict_nsides:
        for layout in options.layouts:
            results["predictions"] += predict(nside, layout)
    if results["predictions"]:
        printed.print(build_predictions(results["predictions"]))
        for named in NAMED:
            printed.print(f"{named.name}: {named.source}")
    write_json(options.output / "roofline.json", results)
    console.print(f"written to {options.output}")
    return 0
