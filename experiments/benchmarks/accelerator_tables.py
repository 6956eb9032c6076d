"""The tables of `accelerator`; a row that is missing says so."""

from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.slices import NOT_MEASURED

Results = dict[str, Any]
FIGURES = {
    "gradient": ("median_seconds", "seconds_per_map", "lowering_seconds", "compile_seconds"),
    "synthesis": ("evaluation_seconds", "maps_per_minute", "run_seconds", "compile_seconds"),
}


def print_results(results: Results) -> None:
    """Print all slices: checks, times, tests."""
    console = Console(width=120)
    devices = ", ".join(results["device"]["jax"]["devices"])
    console.print(build_checks(results["slices"], devices))
    for kind in FIGURES:
        console.print(build_times(results["slices"], kind, devices))
    for line in describe_tests(results["slices"]["tests"]):
        console.print(line, markup=False)


def build_checks(slices: Results, devices: str) -> Table:
    table = Table(title=f"{devices}: relative differences from the stored numbers of a CPU")
    for heading in ("layout", "type", "worst", "difference", "allowed", "verdict"):
        table.add_column(heading)
    for row in _rows(slices, "check"):
        cells = [row["layout"], row["dtype"]]
        if row["result"] == NOT_MEASURED:
            table.add_row(*cells, NOT_MEASURED)
            continue
        over = {name: row["differences"][name] / row["bounds"][name] for name in row["bounds"]}
        worst = max(over, key=lambda name: over[name])
        figures = [f"{row[part][worst]:.1e}" for part in ("differences", "bounds")]
        verdict = f"EXCEEDS: {', '.join(row['exceeding'])}" if row["exceeding"] else "agrees"
        table.add_row(*cells, worst, *figures, verdict)
    return table


def build_times(slices: Results, kind: str, devices: str) -> Table:
    table = Table(title=f"{devices}: {kind}, float32")
    headings = [name.replace("_", " ") for name in FIGURES[kind]]
    for heading in ("nside", "layout", "seeds", *headings, "peak memory"):
        table.add_column(heading, justify="right")
    for row in _rows(slices, kind):
        cells = [str(row["nside"]), row["layout"], str(row["seeds"])]
        if row["result"] == "measured":
            cells += [f"{row[name]:.4g}" for name in FIGURES[kind]]
            cells.append(f"{row['peak_bytes'] / 1e9:.2f} GB")
        else:
            cells.append(row.get("error", NOT_MEASURED))
        table.add_row(*cells)
    return table


def describe_tests(slice: Results) -> list[str]:
    """Return what has become of the tests, with the names of those that failed."""
    if "counts" not in slice:
        why = "" if slice["ended"] == NOT_MEASURED else f" ({slice['ended']})"
        return [f"tests: {NOT_MEASURED}{why}"]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in slice["counts"].items())
    collected = slice.get("collected", "unknown")
    lines = [f"tests: {counts}, of {collected} collected; ended {slice['ended']}"]
    return lines + [f"FAILED {failure['test']}" for failure in slice.get("failures", [])]


def _rows(slices: Results, kind: str) -> list[Results]:
    return [
        {"nside": slice["options"].get("nside"), **row}
        for slice in slices.values()
        if slice["kind"] == kind
        for row in slice["rows"]
    ]
