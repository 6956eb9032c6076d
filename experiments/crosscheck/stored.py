"""Compare jaxscat with stored numbers of FOSCAT, in float64; FOSCAT is not needed.

    python -m experiments.crosscheck stored [--quick] [--json PATH]

The numbers are in a folder `golden` beside the one that `JAXSCAT_DATA` names.
"""

import argparse
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import jax
from rich.console import Console

from experiments.crosscheck.golden import Stored, golden_folder, stored_numbers
from experiments.crosscheck.measurements import jaxscat_numbers
from experiments.crosscheck.report import clear_between_operators, report, sort_rows
from experiments.crosscheck.table import Row, compare


def check_stored(numbers: Iterable[Stored]) -> list[Row]:
    """Compare jaxscat with stored numbers."""
    rows = []
    for stored in clear_between_operators(numbers, lambda stored: stored.case):
        given = stored.numbers if stored.comparison.foscat_target else None
        ours = jaxscat_numbers(stored.case, stored.comparison.jaxscat, stored.inputs, given)
        rows.append(compare(stored.comparison, stored.case, stored.numbers, ours))
    return rows


def check_folder(folder: Path, quick: bool) -> list[Row]:
    """Compare jaxscat with the stored numbers of a folder; a quick run takes the first case."""
    numbers = stored_numbers(folder, (8,) if quick else (8, 16, 32))
    return check_stored(islice(numbers, 1) if quick else numbers)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.crosscheck stored",
        description="Compare jaxscat with stored numbers of FOSCAT.",
    )
    parser.add_argument("--quick", action="store_true", help="the first case only")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    options = parser.parse_args(arguments)
    folder = golden_folder()
    if folder is None:
        parser.error("JAXSCAT_DATA: got no folder `golden` beside it, expected stored numbers")
    jax.config.update("jax_enable_x64", True)
    with Console(stderr=True).status("stored numbers"):
        rows = sort_rows(check_folder(folder, options.quick))
    title = "Stored numbers of FOSCAT and jaxscat: relative differences"
    return report(rows, "stored", title=title, json_path=options.json)
