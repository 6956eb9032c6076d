"""Run the installed FOSCAT beside jaxscat on the same map, in float64, and print how they agree.

    python experiments/foscat_crosscheck.py [--quick] [--dataset NAME_OR_FILE] [--json PATH]
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
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TypeVar

import jax
from crosscheck_bounds import COMPARISONS, STORED_COMPARISONS
from crosscheck_cases import CASES, QUICK_CASES, Case, Map, make_inputs
from crosscheck_cases import two_masks as two_masks
from crosscheck_numbers import Numbers, foscat_numbers, jaxscat_numbers
from crosscheck_stored import Stored, golden_folder, stored_numbers
from crosscheck_table import Row, compare, markdown_page, table_of
from foscat_reference import Geometry
from rich.console import Console

import jaxscat

Item = TypeVar("Item")
PAGE_COMMAND = "python experiments/foscat_crosscheck.py --markdown docs/agreement.md"


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


def check_stored(numbers: Iterable[Stored]) -> list[Row]:
    """Compare jaxscat with stored numbers."""
    rows = []
    for stored in forgetful(numbers, lambda stored: stored.case):
        given = stored.numbers if stored.comparison.foscat_target else None
        ours = jaxscat_numbers(stored.case, stored.comparison.jaxscat, stored.inputs, given)
        rows.append(compare(stored.comparison, stored.case, stored.numbers, ours))
    return rows


def forgetful(items: Iterable[Item], case_of: Callable[[Item], Case]) -> Iterator[Item]:
    """Yield items; JAX forgets what it has compiled when the next one has other operators.

    A process may have so many memory maps, and every compiled function takes some.
    """
    wavelets = None
    for item in items:
        if wavelets not in (None, case_of(item).wavelets):
            jax.clear_caches()
        wavelets = case_of(item).wavelets
        yield item


def check_all(dataset: str, quick: bool, console: Console) -> list[Row]:
    """Run every comparison, in the order of the table.

    Of the stored numbers a quick run takes the first case only.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="foscat-") as cache:
        for case in forgetful(QUICK_CASES if quick else CASES, lambda case: case):
            console.print(f"[dim]{case.name}")
            with console.status(case.name):
                rows += check_case(case, jaxscat.load_map(dataset, case.nside), Path(cache))
    folder = golden_folder()
    if folder is None:
        return in_sections(rows)
    with console.status("stored numbers"):
        stored = stored_numbers(folder, (8,) if quick else (8, 16, 32))
        rows += check_stored(islice(stored, 1) if quick else stored)
    return in_sections(rows)


def in_sections(rows: list[Row]) -> list[Row]:
    """Bring rows of one comparison together, and among them those with the same bounds."""
    titles = [comparison.title for comparison in (*COMPARISONS, *STORED_COMPARISONS)]
    bounds = [row.bounds for row in rows]
    return sorted(rows, key=lambda row: (titles.index(row.comparison), bounds.index(row.bounds)))


def write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare jaxscat with the installed FOSCAT.")
    parser.add_argument("--quick", action="store_true", help="small maps, and fewer of them")
    parser.add_argument("--dataset", default="cosmic-web", help="dataset or map file")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="also write them as a page")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    console = Console(stderr=True)
    rows = check_all(options.dataset, options.quick, console)
    wide = Console(width=max(165, console.width))
    wide.print(table_of(rows, f"FOSCAT and jaxscat on {options.dataset}: relative differences"))
    if options.json is not None:
        figures = [{**asdict(row), "exceeded": row.exceeded} for row in rows]
        report = {"dataset": options.dataset, "rows": figures}
        write(options.json, json.dumps(report, indent=2) + "\n")
    if options.markdown is not None:
        write(options.markdown, markdown_page(rows, PAGE_COMMAND, options.dataset))
    failures = [f"{r.comparison}, {r.case}: {', '.join(r.exceeded)}" for r in rows if r.exceeded]
    for failure in failures:
        console.print(f"[red]beyond its bound[/]: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
