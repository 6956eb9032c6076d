"""Tables of reconstructions on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

# Keys of the rows of a recovery that are single numbers, by the headings of their columns.
_COLUMNS = {
    "residual": "residual / signal",
    "S1": "error of S1",
    "S2": "of S2",
    "S3": "of S3",
    "S4": "of S4",
    "wasserstein": "histogram",
    "skewness": "skewness",
    "std": "std",
}


def reconstruction_tables(results: Mapping[str, Any]) -> list[Table]:
    """Build the tables of results.json: estimates against the truth, and how solutions ended."""
    title = f"{results['data']}, nside {results['nside']}"
    if results.get("unit"):
        title += f", in {results['unit']}"
    return [recovery_table(results["recovery"], title=title), solutions_table(results)]


def recovery_table(recovery: Mapping[str, Any], *, title: str) -> Table:
    """Build the table of all estimates; columns of which nothing is known are left out."""
    rows: Mapping[str, Mapping[str, Any]] = recovery["rows"]
    known = {
        key: heading
        for key, heading in _COLUMNS.items()
        if any(row.get(key) is not None for row in rows.values())
    }
    table = Table(title=title, title_justify="left")
    table.add_column("estimate")
    for heading in known.values():
        table.add_column(heading, justify="right")
    truth = recovery.get("truth")
    if truth:
        table.add_row("truth", *(_number(truth.get(key)) for key in known))
        table.add_section()
    for name in recovery.get("names") or list(rows):
        table.add_row(name, *(_number(rows[name].get(key)) for key in known))
    return table


def solutions_table(results: Mapping[str, Any]) -> Table:
    """Build the table of the solutions: status, renewals, and the value of each term at the end."""
    table = Table(title=str(results["task"]), title_justify="left")
    rows = results["seeds"]
    several = "seed" in rows[0]
    if several:
        table.add_column("seed", justify="right")
    table.add_column("status")
    for heading in ("renewals", "evaluations"):
        table.add_column(heading, justify="right")
    terms = list(rows[0]["chi2"])
    for term in terms:
        table.add_column(f"{term}: start", justify="right")
        table.add_column("end", justify="right")
    for row in rows:
        cells = [str(row["seed"])] if several else []
        cells += [row["status"], str(row["renewals"]), str(row["evaluations"])]
        for term in terms:
            values = row["chi2"].get(term) or [None]
            cells += [_number(values[0]), _number(values[-1])]
        table.add_row(*cells)
    return table


def _number(value: Any) -> str:
    return "" if value is None else format(value, ".4g")
