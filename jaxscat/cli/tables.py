"""Tables for the terminal: validation, synthesis, coefficients and their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from jaxscat.statistics.comparison import GroupDifference
from jaxscat.statistics.storage import StoredStatistics
from jaxscat.validation.rows import format_multipoles, iterate_rows
from jaxscat.validation.verdict import copy_verdict

COLUMNS = {
    "original": "original",
    "start": "start",
    "gaussian": "Gaussian controls",
    "filtered": "filtered controls",
    "synthesized": "synthesized",
    "tolerance": "tolerance",
}

# Less scatter than this fraction of a number is rounding.
_ROUNDING = 1e-6
# Formats of the numbers of a row, by its group.
STYLES = {
    "extremes": ".4g",
    "pixel_correlation": "+.4f",
    "power_spectrum_ratio": ".4f",
    "correlation_ranges": "+.3f",
    "power_spectrum_bins": ".4f",
    "distances": ".4f",
    "scattering": ".5f",
    "scattering_error": ".5f",
    "scattering_improvement_pct": ".3f",
}


def summary_table(stored: StoredStatistics) -> Table:
    """Build the table of coefficients: S0, S1 and S2 of every scale, S3 and S4 in short.

    There is one column of values for each mask. The error beside a mean over orientations is the
    mean error of the single orientations, since these are not independent.
    """
    statistics: Any = stored.statistics
    spec = stored.spec
    groups = {name: np.asarray(group) for name, group in statistics.groups().items()}
    errors: Any = stored.errors
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
    """Build the table of the differences between two files of coefficients, a row per group."""
    table = Table(title=title, title_justify="left")
    of_fields = any(row.pair is not None for row in rows)
    headings = [*["pair"] * of_fields, "group", "number", "relative rms difference"]
    in_errors = any(row.chi_square is not None for row in rows)
    if in_errors:
        headings += ["mean |diff/error|^2", "largest |diff/error|", "where"]
    for heading in headings:
        table.add_column(
            heading, justify="left" if heading in ("pair", "group", "where") else "right"
        )
    for row in rows:
        cells = [
            *[row.pair or ""] * of_fields,
            row.group,
            str(row.number),
            _number(row.relative_rms),
        ]
        if in_errors:
            cells += [
                _number(row.chi_square),
                _number(row.largest),
                row.name or "",
            ]
        table.add_row(*cells)
    return table


def validation_table(report: Mapping[str, Any], *, title: str) -> Table:
    """Build the table of one validation report (see `validate`).

    It has a row per quantity and a column per map; of the controls mean and scatter are shown.
    """
    rows = list(iterate_rows(report))
    shown = [name for name in COLUMNS if any(name in row.values for row in rows)]
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    for name in shown:
        table.add_column(COLUMNS[name], justify="right")
    lines = []
    for row in rows:
        style = _choose_style(row.group, row.name)
        name = _name(row.name, row.values.get("chance"))
        lines.append((row.group, [name, *(_cell(row.values, n, style) for n in shown)]))
    _add_rows(table, lines)
    return table


def ensemble_table(ensemble: Mapping[str, Any], *, title: str) -> Table:
    """Build the table of several seeds (see `ensemble_report`), a row for each quantity.

    Scatter is the standard deviation over the seeds; the last column is the number of
    their own standard deviations by which the controls of either kind are farther from the
    original.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    kinds = [
        kind
        for kind in ("gaussian", "filtered")
        if any(row[kind] is not None for row in ensemble["quantities"])
    ]
    tolerated = any(row["tolerance"] is not None for row in ensemble["quantities"])
    for name in ["original", *(COLUMNS[kind] for kind in kinds), "mean", "scatter", "16 to 84 %"]:
        table.add_column(name, justify="right")
    if tolerated:
        table.add_column("tolerance", justify="right")
    if kinds:
        table.add_column("controls worse by", justify="right")
    lines = []
    for row in ensemble["quantities"]:
        style = _choose_style(row["group"], row["name"])
        original = "" if row["original"] is None else _number(row["original"], style)
        controls = ["" if row[kind] is None else _cell(row, kind, style) for kind in kinds]
        low, high = (_number(row[f"percentile_{percent}"], style) for percent in (16, 84))
        mean, scatter = (
            _number(row["mean"], style),
            _number(row["std"], style.removeprefix("+")),
        )
        name = _name(row["name"], row["chance"])
        cells = [name, original, *controls, mean, scatter, f"{low} to {high}"]
        if tolerated:
            limit = row["tolerance"]
            cells.append("" if limit is None else _number(limit, style.removeprefix("+")))
        if kinds:
            apart = [row["separation"].get(kind) for kind in kinds]
            known = [f"{value:.1f}" for value in apart if value is not None]
            cells.append(f"{' / '.join(known)} std" if known else "")
        lines.append((row["group"], cells))
    _add_rows(table, lines)
    return table


def describe_copies(ranges: Sequence[Mapping[str, Any]]) -> str:
    """Describe how much of the original's own structure new maps have (see `copy_test`)."""
    listed = ", ".join(
        f"{_number(part['mean'], '+.2f')} (chance {_number(part['by_chance'], '.2g')}) at "
        f"{format_multipoles(part)}"
        for part in ranges
    )
    return f"correlation with the original: {listed}. {copy_verdict(ranges)}"


def describe_verdict(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """Write the lines of a verdict (see `verdict_lines`), each after its mark."""
    return [f"{line['mark']:>9}  {line['name']}: {line['text']}" for line in lines]


def describe_independence(ensemble: Mapping[str, Any]) -> str:
    """Describe how much the maps of several seeds have in common (see `ensemble_report`)."""
    largest = ensemble["pixel_correlation"]["largest_between_seeds"]
    original = ensemble["pixel_correlation"]["largest_with_original"]
    first, second = largest["seeds"]
    return (
        f"largest |correlation| between two maps: {_magnitude(largest['correlation'])} "
        f"(seeds {first} and {second}), with the original: {_magnitude(original['correlation'])} "
        f"(seed {original['seed']})"
    )


def result_tables(results: Mapping[str, Any]) -> list[Table]:
    """Build the tables of results.json: the validation, of all seeds together, and the outcome."""
    title, seeds = f"{results['data']}, nside {results['nside']}", results["seeds"]
    if results.get("unit"):
        title += f", in {results['unit']}"
    if "ensemble" in results:
        table = ensemble_table(results["ensemble"], title=f"{title}, {len(seeds)} seeds")
    else:
        (row,) = seeds
        table = validation_table(row["validation"], title=f"{title}, seed {row['seed']}")
    return [table, outcome_table(seeds)]


def outcome_table(seeds: Sequence[Mapping[str, Any]]) -> Table:
    """Build the table of the seeds of results.json: status, steps, losses, times."""
    table = Table(title="synthesis", title_justify="left")
    for heading in ("seed", "status", "steps", "evaluations", "loss at start", "loss at end"):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    table.add_column("compile [s]", justify="right")
    table.add_column("run [s]", justify="right")
    for row in seeds:
        table.add_row(
            str(row["seed"]),
            row["status"],
            str(row["nsteps"]),
            str(row["evaluations"]),
            _number(row["start_loss"], ".6g"),
            _number(row["final_loss"], ".6g"),
            _number(row["compile_seconds"], ".1f"),
            _number(row["run_seconds"], ".1f"),
        )
    return table


def _add_rows(table: Table, lines: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Add rows with their groups; a line parts those of pixels, of spectra and of scattering."""
    before = None
    for group, cells in lines:
        part = group.split("_")[0]
        part = "pixel" if group in ("distribution", "extremes", "correlation_ranges") else part
        if before not in (None, part):
            table.add_section()
        table.add_row(*cells)
        before = part


def _choose_style(group: str, name: str) -> str:
    """Choose the format of the numbers of a row."""
    if group == "distribution":
        return ".4f" if name in ("skewness", "kurtosis") else ".5g"
    return STYLES[group]


def _name(name: str, chance: float | None) -> str:
    """Format the name of a row, with the level of chance where there is one."""
    return name if chance is None else f"{name} (chance {chance:.2g})"


def _cell(values: Mapping[str, Any], column: str, style: str) -> str:
    """Format a number, of controls with their scatter; empty where there is no such number."""
    if column not in values:
        return ""
    value, scatter = values[column], values.get(f"{column}_std")
    text = _number(value, style)
    if value is None or scatter is None or scatter <= _ROUNDING * abs(value):
        return text
    return f"{text} ± {format(scatter, style.removeprefix('+'))}"


def _magnitude(value: float | None) -> str:
    return "none" if value is None else f"{abs(value):.2g}"


def _number(value: float | None, style: str = ".4g") -> str:
    return "none" if value is None else format(value, style)
