"""Measure in the minutes that a GPU or TPU is at hand for: slices, each with its time budget.

    python -m experiments.benchmarks accelerator [--only SLICE ...] [--nsides 64 128 256]
        [--seeds 1 8 64] [--steps 20] [--layouts rows faces] [--budget 120] [--total SECONDS]
        [--tests tests/operators ...] [--output DIR]
    python -m experiments.benchmarks accelerator --store

The slices, in their order:

- check32, check64: coefficients, loss and gradient beside those of a CPU that are stored in the
  repository (`--store` computes and writes them);
- gradient64, gradient128, ...: value and gradient of `map_loss` for many maps at once;
- synthesis64, synthesis128, ...: steps of a synthesis;
- tests: the package's own tests on the device, and the name and last lines of each that fails.

Every slice has a process of its own, which is ended when its budget is used up. The results are
written anew after every row, and slices that are run later with the same --output are added: a
row that is missing says "not measured", never a number. Float32 but for check64, which TPUs leave
out; all scales have S3 and S4; the maps are drawn. Both layouts are measured on a GPU, "faces" on a
TPU, "rows" on a CPU, unless --layouts says otherwise. Compilation is timed apart.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.benchmarks.accelerator_tables import print_results
from experiments.benchmarks.harness import argument_parser, write_json
from experiments.benchmarks.problems import LAYOUTS
from experiments.benchmarks.slices import NOT_MEASURED, Line, run_slice

ROOT = Path(__file__).parents[2]
SLICES_MODULE = "experiments.benchmarks.accelerator_slices"
DEFAULT_LAYOUTS = {"gpu": LAYOUTS, "tpu": ("faces",), "cpu": ("rows",)}
TESTED = ("operators", "statistics", "objectives", "parametrizations", "minimization", "synthesis")
# Processes of pytest on a GPU: compiling takes most of the time.
TEST_PROCESSES = 4
# Seconds in which a device has to answer.
DEVICE_BUDGET = 120.0


def plan(options: argparse.Namespace, platform: str) -> dict[str, Line]:
    """Return all slices, in their order: kind, options, and the rows that are still missing."""
    layouts = list(options.layouts or DEFAULT_LAYOUTS.get(platform, LAYOUTS))
    slices: dict[str, Line] = {}
    for bits in (32, 64):
        if bits == 64 and platform == "tpu":
            continue
        dtype = f"float{bits}"
        rows = [{"layout": layout, "dtype": dtype} for layout in layouts]
        chosen = {"dtype": dtype, "layouts": layouts}
        slices[f"check{bits}"] = {"kind": "check", "options": chosen, "rows": rows}
    for kind in ("gradient", "synthesis"):
        for nside in options.nsides:
            rows = [
                {"layout": layout, "seeds": seeds} for layout in layouts for seeds in options.seeds
            ]
            chosen = {"nside": nside, "layouts": layouts, "seeds": options.seeds}
            chosen |= {"repeat": options.repeat} if kind == "gradient" else {"steps": options.steps}
            slices[f"{kind}{nside}"] = {"kind": kind, "options": chosen, "rows": rows}
    slices["tests"] = {"kind": "tests", "options": {"paths": options.tests}, "rows": []}
    for slice in slices.values():
        slice["ended"] = NOT_MEASURED
        for row in slice["rows"]:
            row["result"] = NOT_MEASURED
    return slices


def take_row(slice: Line, row: Line) -> None:
    """Put a row in the place of the one that was missing."""
    for place, former in enumerate(slice["rows"]):
        names = former.keys() - {"result"}
        if all(row.get(name) == former[name] for name in names):
            result = "failed" if "error" in row else "measured"
            slice["rows"][place] = row | {"result": result}
            return
    slice["rows"].append(row | {"result": "measured"})


def take_test(slice: Line, line: Line) -> None:
    """Count a test, and keep the lines of one that failed."""
    if "collected" in line:
        slice["collected"] = line["collected"]
        return
    counts = slice.setdefault("counts", {})
    counts[line["outcome"]] = counts.get(line["outcome"], 0) + 1
    if line["outcome"] == "failed":
        slice.setdefault("failures", []).append(line)


def slice_command(kind: str, options: Line, platform: str = "cpu") -> tuple[list[str], Line]:
    """Return the command of a slice, and settings of its environment."""
    settings = {"PYTHONPATH": str(ROOT)}
    if kind != "tests":
        x64 = options.get("dtype") == "float64" or kind == "store"
        settings |= {"JAX_ENABLE_X64": "1" if x64 else "0"}
        if kind == "store":
            settings |= {"JAX_PLATFORMS": "cpu"}
        return [sys.executable, "-m", SLICES_MODULE, kind, json.dumps(options)], settings
    # Processes share the memory of a GPU, and cannot share a TPU.
    settings |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "experiments.benchmarks.pytest_lines"]
    command += [
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(ROOT),
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    command += ["-o", "addopts=--import-mode=importlib --doctest-modules --strict-markers"]
    if importlib.util.find_spec("xdist") is not None and platform != "tpu":
        command += ["-n", str(TEST_PROCESSES), "--dist=worksteal"]
    return [*command, *options["paths"]], settings


def ask_device() -> Line:
    """Return what a process of its own says of the device: this one leaves it free.

    Raises:
        RuntimeError: it says nothing.
    """
    found: Line = {}
    command, settings = slice_command("device", {})
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        end = run_slice(command, DEVICE_BUDGET, Path(folder), found.update, **settings)
    if not found:
        raise RuntimeError("\n".join(["no device answered:", *end["last_lines"]]))
    return found


def build_parser() -> argparse.ArgumentParser:
    parser = argument_parser(
        "accelerator",
        "All that is worth the minutes of a GPU or TPU.",
        nsides=(64, 128, 256),
        repeat=5,
        repeat_help="calls of value and gradient",
        dataset=None,
        output=Path("runs/accelerator"),
    )
    parser.add_argument("--only", nargs="+", metavar="SLICE", help="these slices only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--steps", type=int, default=20, help="of a synthesis")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, help="by default, of the device")
    parser.add_argument("--budget", type=float, default=120.0, help="seconds of every slice")
    parser.add_argument("--total", type=float, default=float("inf"), help="seconds of all")
    folders = [str(ROOT / "tests" / name) for name in TESTED]
    parser.add_argument("--tests", nargs="+", default=folders, metavar="PATH", help="of pytest")
    parser.add_argument("--store", action="store_true", help="write the numbers of this CPU")
    return parser


def main(arguments: list[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    began, console = time.perf_counter(), Console(stderr=True)
    path = options.output / "accelerator.json"
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        if options.store:
            command, settings = slice_command("store", {})
            end = run_slice(command, float("inf"), Path(temporary), console.print, **settings)
            console.print(end)
            return int(end["ended"] != "by itself")
        device = ask_device()
        platform = device["jax"]["platform"]
        console.print(f"{platform}: {device['jax']['devices']}")
        slices = plan(options, platform)
        chosen = options.only or list(slices)
        unknown = sorted(set(chosen) - set(slices))
        if unknown:
            parser.error(f"--only: got {', '.join(unknown)}, expected some of {', '.join(slices)}")
        former = json.loads(path.read_text())["slices"] if path.exists() else {}
        results: Line = {"device": device, "slices": slices | former}
        for number, name in enumerate(chosen):
            left = options.total - (time.perf_counter() - began)
            if left <= 0:
                console.print(f"{name}: {NOT_MEASURED}, no time is left")
                continue
            slice = results["slices"][name] = slices[name] | {"device": device["jax"]["devices"]}
            folder = Path(temporary, str(number))
            folder.mkdir()
            take = take_test if slice["kind"] == "tests" else take_row

            def keep(line: Line, slice: Line = slice, take: Any = take) -> None:
                take(slice, line)
                write_json(path, results)

            command, settings = slice_command(slice["kind"], slice["options"], platform)
            budget = min(options.budget, left)
            slice |= run_slice(command, budget, folder, keep, **settings)
            write_json(path, results)
            console.print(f"{name}: ended {slice['ended']} after {slice['seconds']} s")
    print_results(results)
    console.print(f"written to {path}")
    return 0
