"""Time jaxscat against the installed FOSCAT, and write JSON and a plot.

    python -m experiments.benchmarks foscat [--nsides 32 64 128] [--repeat 5] [--skip-synthesis]
        [--output DIR] [--foscat-cache DIR] [--dataset NAME_OR_FILE]

Needs the extra `foscat`. Both packages work in float32 with as many threads as they choose
themselves. Every row is measured in a fresh process (`foscat_rows.py`): "timing" has both
packages in one process, warm, with alternating calls; "compile" and "memory" have one package in
a process each. FOSCAT takes minutes to build its operators at nside 128; keep `--foscat-cache`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.harness import (
    GIGABYTE,
    add_foscat_cache,
    argument_parser,
    environment,
    measure_in_fresh_process,
    write_json,
)
from jaxscat import load_map, reference_noise
from jaxscat.plotting import write_figure

ROWS = "experiments.benchmarks.foscat_rows"
PACKAGES = {"foscat": ("FOSCAT", "tab:orange"), "jaxscat": ("jaxscat", "tab:blue")}
SEED = 1234


def write_maps(dataset: str, nside: int, folder: Path) -> Path:
    """Write the original and its white-noise start, float32, for the measurements to read."""
    original = load_map(dataset, nside).astype(np.float32)
    path = folder / f"maps_nside{nside}.npz"
    np.savez(path, original=original, start=reference_noise(original, SEED))
    return path


def measure_all(options: argparse.Namespace, temporary: Path, console: Console) -> dict[str, Any]:
    """Run every row; `temporary` holds what the rows share."""
    cache = (options.foscat_cache or temporary).resolve()
    results: dict[str, Any] = {
        "environment": environment(options.dataset, ("foscat", "torch")),
        "nsides": {},
    }
    for nside in options.nsides:
        here = ("--maps", write_maps(options.dataset, nside, temporary), "--cache", cache)
        rows: dict[str, Any] = {}
        with console.status(f"nside {nside}: timing"):
            rows["timing"] = measure_in_fresh_process(
                ROWS, "timing", *here, "--repeat", options.repeat
            )
        with console.status(f"nside {nside}: compile time"):
            rows["compile"] = measure_in_fresh_process(ROWS, "compile", *here)
        rows["memory"] = {}
        for package in PACKAGES:
            with console.status(f"nside {nside}: memory of {package}"):
                rows["memory"][package] = measure_in_fresh_process(
                    ROWS, "memory", *here, "--package", package
                )
        results["nsides"][str(nside)] = rows
    if not options.skip_synthesis:
        results["synthesis"] = measure_synthesis(options, temporary, cache, console)
    return results


def measure_synthesis(
    options: argparse.Namespace, temporary: Path, cache: Path, console: Console
) -> dict[str, Any]:
    """Run the whole synthesis with each package in a process of its own.

    SciPy's optimiser, which FOSCAT uses, has threads of its own that get in the way of torch's.
    FOSCAT therefore runs twice, as it is and with a single such thread; the faster run counts.
    """
    nside = options.synthesis_nside
    arguments = [
        *("--maps", write_maps(options.dataset, nside, temporary), "--cache", cache),
        *("--map-file", temporary / "jaxscat_map.npy", "--iterations", options.iterations),
    ]
    with console.status(f"nside {nside}: synthesis by jaxscat"):
        ours = measure_in_fresh_process(ROWS, "synthesis", *arguments, "--package", "jaxscat")
    arguments += ["--package", "foscat"]
    with console.status(f"nside {nside}: synthesis by FOSCAT"):
        runs = {"default": measure_in_fresh_process(ROWS, "synthesis", *arguments)}
    with console.status(f"nside {nside}: synthesis by FOSCAT, one thread for SciPy"):
        runs["one thread for SciPy"] = measure_in_fresh_process(
            ROWS, "synthesis", *arguments, OPENBLAS_NUM_THREADS="1"
        )
    theirs = min(runs.values(), key=lambda run: run["seconds"])
    first = ours["first"]
    return {
        "nside": nside,
        "iterations": options.iterations,
        "foscat": theirs,
        "foscat_seconds": {name: run["seconds"] for name, run in runs.items()},
        "jaxscat": ours,
        "ratio_without_compilation": theirs["seconds"] / ours["run_seconds"],
        "ratio_with_compilation": theirs["seconds"]
        / (first["run_seconds"] + first["compile_seconds"]),
    }


def build_tables(results: dict[str, Any]) -> list[Table]:
    title = f"Medians, float32, {results['environment']['cpu_count']} CPUs, " + (
        f"map: {results['environment']['dataset']}"
    )
    calls = Table("nside", "call", title=title)
    for heading in ("FOSCAT", "jaxscat", "ratio"):
        calls.add_column(heading, justify="right")
    for nside, rows in results["nsides"].items():
        calls.add_section()
        for name, label in (("forward", "statistics"), ("value_and_grad", "loss and gradient")):
            row = rows["timing"][name]
            times = [f"{1e3 * row[package]['median_seconds']:.1f} ms" for package in PACKAGES]
            calls.add_row(nside, label, *times, f"{row['ratio']:.1f}")
        compiling = rows["compile"]["total_seconds"]
        calls.add_row(nside, "compilation of loss and gradient", "", f"{compiling:.1f} s", "")
        peaks = [rows["memory"][package]["peak_bytes"] / GIGABYTE for package in PACKAGES]
        calls.add_row(
            nside, "peak memory", *(f"{p:.2f} GB" for p in peaks), f"{peaks[0] / peaks[1]:.2f}"
        )
    if "synthesis" not in results:
        return [calls]
    row = results["synthesis"]
    whole = Table(title=f"Synthesis, nside {row['nside']}, {row['iterations']} iterations")
    for heading in ("", "seconds", "ratio", "evaluations", "final loss", "by FOSCAT"):
        whole.add_column(heading, justify="right" if heading else "left")
    theirs, ours = row["foscat"], row["jaxscat"]["first"]
    loss = f"{theirs['final_loss']:.3f}"
    whole.add_row("FOSCAT", f"{theirs['seconds']:.1f}", "", str(theirs["evaluations"]), loss, loss)
    for label, taken, ratio in (
        ("jaxscat", row["jaxscat"]["run_seconds"], row["ratio_without_compilation"]),
        (
            "with compilation",
            ours["run_seconds"] + ours["compile_seconds"],
            row["ratio_with_compilation"],
        ),
    ):
        losses = (f"{ours['final_loss']:.3f}", f"{theirs['loss_of_jaxscat_map']:.3f}")
        whole.add_row(label, f"{taken:.1f}", f"{ratio:.1f}", str(ours["evaluations"]), *losses)
    return [calls, whole]


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw time and memory against nside, and loss against seconds of the synthesis."""
    panels = 3 if "synthesis" in results else 2
    figure, axes = plt.subplots(1, panels, figsize=(4.6 * panels, 4), layout="constrained")
    nsides = [int(nside) for nside in results["nsides"]]
    rows = list(results["nsides"].values())
    for package, (label, colour) in PACKAGES.items():
        for name, style, call in (
            ("value_and_grad", "o-", "loss and gradient"),
            ("forward", "s--", "statistics"),
        ):
            times = [1e3 * row["timing"][name][package]["median_seconds"] for row in rows]
            axes[0].plot(nsides, times, style, color=colour, label=f"{label}, {call}")
        peaks = [row["memory"][package]["peak_bytes"] / GIGABYTE for row in rows]
        axes[1].plot(nsides, peaks, "o-", color=colour, label=label)
    axes[0].margins(y=0.3)  # room for the legend
    axes[0].set(title="One call, warm", ylabel="time [ms]", yscale="log")
    axes[1].set(title="Whole process, loss and gradient", ylabel="peak memory [GB]", ylim=(0, None))
    for axis in axes[:2]:
        axis.set(xlabel="nside", xscale="log", xticks=nsides, xticklabels=nsides)
        axis.minorticks_off()
    if panels == 3:
        row = results["synthesis"]
        axes[2].plot(*row["foscat"]["history"], color=PACKAGES["foscat"][1], label="FOSCAT")
        ours, colour = row["jaxscat"]["first"], PACKAGES["jaxscat"][1]
        times, losses = ours["history"]
        axes[2].plot(times, losses, color=colour, label="jaxscat, compiled")
        later = [moment + ours["compile_seconds"] for moment in times]
        axes[2].plot(later, losses, "--", color=colour, label="jaxscat with compilation")
        title = f"Synthesis, nside {row['nside']}, {row['iterations']} iterations"
        axes[2].set(title=title, xlabel="time [s]", ylabel="loss", xscale="log", yscale="log")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    cpus, dataset = results["environment"]["cpu_count"], results["environment"]["dataset"]
    figure.suptitle(f"jaxscat and FOSCAT, float32, {cpus} CPUs, map: {dataset}")
    figure.set_dpi(150)
    write_figure(path, figure)


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "foscat",
        "Time jaxscat against the installed FOSCAT.",
        nsides=(32, 64, 128),
        repeat=5,
        repeat_help="calls of FOSCAT per median",
        output=Path("runs/benchmark"),
    )
    add_foscat_cache(parser)
    parser.add_argument("--skip-synthesis", action="store_true")
    parser.add_argument("--synthesis-nside", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=300, help="of the synthesis")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    console.print(f"map: {options.dataset}")
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        results = measure_all(options, Path(temporary), console)
    for table in build_tables(results):
        Console().print(table)
    write_json(options.output / "benchmark.json", results)
    plot(results, options.output / ".benchmark.png")
    (options.output / ".benchmark.png").replace(options.output / "benchmark.png")
    console.print(f"written to {options.output}")
    return 0
