"""What a run has come to, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from jaxscat.cli.console import print_table, say
from jaxscat.cli.field_recovery_tables import field_recovery_tables
from jaxscat.cli.polarization_tables import polarization_tables
from jaxscat.cli.reconstruction_tables import reconstruction_tables
from jaxscat.cli.tables import (
    describe_copies,
    describe_independence,
    describe_verdict,
    result_tables,
)
from jaxscat.run.execute import Outcome
from jaxscat.validation.ensemble import copy_test
from jaxscat.validation.sky import sky_sentence

_TABLES = {
    "polarization": polarization_tables,
    "denoise-polarization": field_recovery_tables,
}


def show_outcome(outcome: Outcome) -> None:
    """Print the tables of a run and where its results are."""
    if not outcome.computed:
        say(f"{outcome.folder} is finished; nothing to do")
        return
    if "task" in outcome.results:
        tables = _TABLES.get(outcome.results["task"], reconstruction_tables)
        _show_task(outcome, tables(outcome.results))
        return
    for table in result_tables(outcome.results):
        print_table(table)
    if "sky" in outcome.results:
        say(sky_sentence(outcome.results["sky"]))
    if "ensemble" in outcome.results:
        say(describe_independence(outcome.results["ensemble"]))
    reports = [row["validation"] for row in outcome.results["seeds"]]
    say(describe_copies(copy_test(reports)))
    say("")
    for line in describe_verdict(outcome.results["verdict"]):
        say(line)
    say(f"wrote {outcome.folder}; the report is {outcome.folder / 'report.html'}")


def _show_task(outcome: Outcome, tables: Sequence[Table]) -> None:
    for table in tables:
        print_table(table)
    for sentence in outcome.results["description"]:
        say(sentence)
    if "sky" in outcome.results:
        say(sky_sentence(outcome.results["sky"]))
    say(f"wrote {outcome.folder}; the report is {outcome.folder / 'report.html'}")
