"""Run the installed FOSCAT beside jaxscat on the same map, in float64, and print how they agree.

    python -m experiments.crosscheck [--quick] [--dataset NAME_OR_FILE] [--json PATH]
        [--markdown PATH]

Needs the extra `foscat`. Three comparisons are made:

- "formulas": FOSCAT with its float32 geometry switched to float64, against jaxscat: to rounding.
- "float32 geometry": FOSCAT as it is, against `geometry="foscat"`.
- "as shipped": FOSCAT as it is, against jaxscat's default; what a user sees who moves over.

The target of the loss is FOSCAT's own coefficients and standard errors in the first two, and each
package's own in the last.

The first two are made again with stored numbers where a folder `golden` stands beside the one that
`JAXSCAT_DATA` names. The figures are relative rms differences over a group of coefficients
("sigma": the worst group of standard errors; "loss", "gradient": of the seed loss at a white-noise
map). The exit status is 1 when one exceeds its bound.
"""

import argparse
import tempfile
from pathlib import Path

import jax
from rich.console import Console

import jaxscat
from experiments.crosscheck.bounds import COMPARISONS
from experiments.crosscheck.cases import CASES, QUICK_CASES, Case, make_inputs
from experiments.crosscheck.foscat_measurements import foscat_numbers
from experiments.crosscheck.golden import golden_folder
from experiments.crosscheck.measurements import Numbers, jaxscat_numbers
from experiments.crosscheck.report import clear_between_operators, report, sort_rows
from experiments.crosscheck.stored import check_folder
from experiments.crosscheck.table import Row, compare
from experiments.foscat_reference.conventions import Geometry, Map


def check_case(case: Case, original: Map, cache: Path | None = None) -> list[Row]:
    """Run one case in every comparison; `cache` keeps FOSCAT's operators."""
    inputs = make_inputs(case, original)
    ours: dict[tuple[Geometry, bool], Numbers] = {}
    theirs: dict[Geometry, Numbers] = {}
    rows = []
    for comparison in COMPARISONS:
        if comparison.jaxscat == "foscat" and not case.rounded:
            continue
        if comparison.foscat not in theirs:
            theirs[comparison.foscat] = foscat_numbers(case, comparison.foscat, inputs, cache)
        key = comparison.jaxscat, comparison.foscat_target
        if key not in ours:
            given = theirs[comparison.foscat] if comparison.foscat_target else None
            ours[key] = jaxscat_numbers(case, comparison.jaxscat, inputs, given)
        rows.append(compare(comparison, case, theirs[comparison.foscat], ours[key]))
    return rows


def check_all(dataset: str, quick: bool, console: Console) -> list[Row]:
    """Run every comparison, in the order of the table.

    Of the stored numbers a quick run takes the first case only.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="foscat-") as cache:
        for case in clear_between_operators(QUICK_CASES if quick else CASES, lambda case: case):
            console.print(f"[dim]{case.name}")
            with console.status(case.name):
                rows += check_case(case, jaxscat.load_map(dataset, case.nside), Path(cache))
    folder = golden_folder()
    if folder is not None:
        with console.status("stored numbers"):
            rows += check_folder(folder, quick)
    return sort_rows(rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.crosscheck",
        description="Compare jaxscat with the installed FOSCAT.",
    )
    parser.add_argument("--quick", action="store_true", help="small maps, and fewer of them")
    parser.add_argument("--dataset", default="cosmic-web", help="dataset or map file")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="also write them as a page")
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    rows = check_all(options.dataset, options.quick, Console(stderr=True))
    title = f"FOSCAT and jaxscat on {options.dataset}: relative differences"
    return report(
        rows, options.dataset, title=title, json_path=options.json, page_path=options.markdown
    )
