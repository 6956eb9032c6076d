"""Tables of syntheses of several fields on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from jaxscat.cli.tables import outcome_table
from jaxscat.fields.pairs import pair_name
from jaxscat.validation.coherence import GROUPS
from jaxscat.validation.field_words import significant_bins
from jaxscat.validation.rows import format_multipoles

# Headings of the errors of coefficients.
_COLUMNS = {"S3P": "S3 exchanged"}
_FREE = "*"  # after what was not imposed
_EVERYWHERE = 2**32  # no last multipole is as large


def polarization_tables(results: Mapping[str, Any]) -> list[Table]:
    """Build the tables of results.json: fields and their pairs, and how the seeds ended."""
    title = f"{results['data']}, nside {results['nside']}"
    if results.get("unit"):
        title += f", in {results['unit']}"
    seeds = results["seeds"]
    title += f", {len(seeds)} seeds" if len(seeds) > 1 else f", seed {seeds[0]['seed']}"
    lmax = results.get("lmax") or _EVERYWHERE
    return [
        fields_table(results["fields"], lmax=lmax, title=title),
        pairs_table(results["fields"], results["pairs"], lmax=lmax),
        outcome_table(seeds),
    ]


def fields_table(fields: Mapping[str, Mapping[str, Any]], *, lmax: int, title: str) -> Table:
    """Build the table of each field alone: power, copies, and how many distances are nearer.

    Args:
        fields: as in `FieldsValidation.as_json`.
        lmax: last multipole that is compared.
        title: title of the table.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("field")
    for heading in ("power over the original's", "largest correlation with the original"):
        table.add_column(heading, justify="right")
    table.add_column("at")
    table.add_column("by chance", justify="right")
    table.add_column("copied", justify="right")
    for field, one in fields.items():
        bins = significant_bins(one["power"], lmax)
        ratios = [bin["mean"] for bin in bins if bin["mean"] is not None]
        power = f"{min(ratios):.3f} to {max(ratios):.3f}" if ratios else ""
        worst = _nearest_to_a_copy(one["copies"], lmax)
        cells = ["", "", "", ""]
        if worst is not None:
            said = {True: "yes", False: "no", None: "cannot be told"}[worst["copied"]]
            chance = _number(worst["by_chance"], ".2g")
            cells = [_number(worst["mean"], "+.3f"), format_multipoles(worst), chance, said]
        table.add_row(field, power, *cells)
    return table


def pairs_table(
    fields: Mapping[str, Mapping[str, Any]],
    pairs: Mapping[str, Mapping[str, Any]],
    *,
    lmax: int,
) -> Table:
    """Build the table of the errors of S1 to S4 and of correlations, a row for every pair.

    Args:
        fields, pairs: as in `FieldsValidation.as_json`.
        lmax: last multipole that is compared.
    """
    alone = {pair_name((field, field)): one for field, one in fields.items()}
    every = {**alone, **pairs}
    names = [name for name in GROUPS if any(_row(one, name) is not None for one in every.values())]
    compared = next(row["compared"] for one in every.values() for row in one["coherence"])
    table = Table(
        title=f"errors of {compared} over their bounds (of Gaussian controls)",
        title_justify="left",
        caption=f"{_FREE} not imposed" if _has_free(every.values()) else None,
        caption_justify="left",
    )
    table.add_column("pair")
    for name in names:
        table.add_column(_COLUMNS.get(name, name), justify="right")
    if pairs:
        table.add_column("correlation off by", justify="right")
    for name, one in every.items():
        if name == next(iter(pairs), None):
            table.add_section()
        cells = [_error(_row(one, group)) for group in names]
        if pairs:
            cells.append(_largest_difference(one.get("correlation", []), lmax))
        table.add_row(name, *cells)
    return table


def _row(one: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return next((row for row in one["coherence"] if row["name"] == name), None)


def _has_free(every: Any) -> bool:
    return any(not row["imposed"] for one in every for row in one["coherence"])


def _nearest_to_a_copy(tests: Sequence[Mapping[str, Any]], lmax: int) -> Mapping[str, Any] | None:
    """Return the range of the largest correlation, of those where a copy can be told if any."""
    inside = [test for test in tests if test["l_min"] <= lmax and test["mean"] is not None]
    told = [test for test in inside if test["copied"] is not None] or inside
    copied = [test for test in told if test["copied"]] or told
    return max(copied, key=lambda test: abs(test["mean"]), default=None)


def _largest_difference(bins: Sequence[Mapping[str, Any]], lmax: int) -> str:
    away = [
        abs(bin["mean"] - bin["original"])
        for bin in significant_bins(bins, lmax)
        if None not in (bin["mean"], bin["original"])
    ]
    return f"{max(away):.3f}" if away else ""


def _error(row: Mapping[str, Any] | None) -> str:
    """Format the error of new maps, in brackets that of controls, with a mark if it is free."""
    if row is None or row["mean"] is None:
        return ""
    text = f"{row['mean']:.3f}"
    if row.get("gaussian") is not None:
        text += f" ({row['gaussian']:.3f})"
    return text if row["imposed"] else f"{text}{_FREE}"


def _number(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)
