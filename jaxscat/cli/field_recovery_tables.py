"""Tables of denoised polarization on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from jaxscat.cli.reconstruction_tables import recovery_table, solutions_table
from jaxscat.validation.recovery import ERRORS


def field_recovery_tables(results: Mapping[str, Any]) -> list[Table]:
    """Build the tables of results.json: every field alone, pairs of them, and how it ended."""
    title = f"{results['data']}, nside {results['nside']}"
    if results.get("unit"):
        title += f", in {results['unit']}"
    recovery = results["recovery"]
    tables = [
        recovery_table(one, title=f"{field} of {title}")
        for field, one in recovery["fields"].items()
    ]
    if results["truth"]:
        tables.append(pairs_table(recovery))
    return [*tables, solutions_table(results)]


def pairs_table(recovery: Mapping[str, Any]) -> Table:
    """Build the table of the errors of coefficients of two different fields."""
    pairs = {name: one for name, one in recovery["pairs"].items() if one["chance"] is not None}
    table = Table(title="errors of S1, S2, S3, S4", title_justify="left")
    table.add_column("estimate")
    for pair in pairs:
        table.add_column(pair, justify="right")
    for name in recovery["names"]:
        cells = [
            " ".join(_number(one["rows"][name][key]) for key in ERRORS) for one in pairs.values()
        ]
        table.add_row(name, *cells)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else format(value, ".2g")
