"""Coefficients and their differences as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from jaxscat.statistics.comparison import GroupDifference
from jaxscat.statistics.storage import StoredStatistics


def summary_table(stored: StoredStatistics) -> Table:
    """Coefficients in short: S0, S1 and S2 of every scale, the root mean square of S3 and S4.

    One column of values for each mask; the error beside a mean over orientations is the mean
    error of the single orientations, since these are not independent.
    """
    statistics, spec = stored.statistics, stored.spec
    groups = {name: np.asarray(group) for name, group in statistics.groups().items()}
    errors = stored.errors
    their_errors = (
        {} if errors is None else {name: np.asarray(e) for name, e in errors.groups().items()}
    )
    masks = [...] if statistics.masks is None else list(range(statistics.masks))
    total = sum(group.size for group in groups.values()) // len(masks)
    kind = "one map" if statistics.kind == "auto" else "two maps"
    title = f"{stored.description or 'coefficients'}: nside {spec.nside}, {kind}, {total} numbers"
    if len(masks) > 1:
        title += " per mask"
    table = Table(title=title, title_justify="left")
    for heading in ("coefficients", "number"):
        table.add_column(heading, justify="right" if heading == "number" else "left")
    for mask in masks:
        table.add_column("value" if mask is ... else f"mask {mask}", justify="right")

    def row(label: str, number: int, name: str, at: tuple, mean: bool = True) -> None:
        cells = []
        for mask in masks:
            value = groups[name][mask][at] if mask is not ... else groups[name][at]
            cell = f"{value.mean() if mean else np.sqrt((np.abs(value) ** 2).mean()):.5g}"
            if name in their_errors:
                error = their_errors[name][mask][at] if mask is not ... else their_errors[name][at]
                cell += f" ± {error.mean():.2g}"
            cells.append(cell)
        table.add_row(label, str(number), *cells)

    row("S0, mean of the map" if statistics.kind == "auto" else "S0", 2, "S0", (0,))
    for name in ("S1", "S2"):
        table.add_section()
        for j in range(spec.scales):
            nside = spec.finest_nside >> j
            row(f"{name}, scale {j} (nside {nside})", spec.orientations, name, (j,))
    table.add_section()
    for name in [name for name in groups if name not in ("S0", "S1", "S2")]:
        number = groups[name].size // len(masks)
        row(f"{name}, root mean square", number, name, (slice(None),), mean=False)
    return table


def comparison_table(rows: Sequence[GroupDifference], *, title: str) -> Table:
    """Differences between two files of coefficients: a row for each group."""
    table = Table(title=title, title_justify="left")
    headings = ["group", "number", "relative rms difference"]
    in_errors = any(row.chi_square is not None for row in rows)
    if in_errors:
        headings += ["mean |diff/error|^2", "largest |diff/error|", "where"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("group", "where") else "right")
    for row in rows:
        cells = [row.group, str(row.number), _number(row.relative_rms)]
        if in_errors:
            cells += [_number(row.chi_square), _number(row.largest), row.name or ""]
        table.add_row(*cells)
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
