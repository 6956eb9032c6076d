"""Rows of the comparison with FOSCAT in the terminal and in files, and the exit status."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.console import Console

from experiments.crosscheck.bounds import COMPARISONS, STORED_COMPARISONS
from experiments.crosscheck.cases import Case
from experiments.crosscheck.table import Row, build_table, markdown_page
from jaxscat.io.archive import write_text

Item = TypeVar("Item")
PAGE_COMMAND = "python -m experiments.crosscheck --markdown docs/agreement.md"


def clear_between_operators(
    items: Iterable[Item], get_case: Callable[[Item], Case]
) -> Iterator[Item]:
    """Yield items; clear JAX's compiled functions when the next one has other operators.

    The number of memory maps of a process is limited, and every compiled function takes some.
    """
    wavelets = None
    for item in items:
        if wavelets not in (None, get_case(item).wavelets):
            jax.clear_caches()
        wavelets = get_case(item).wavelets
        yield item


def sort_rows(rows: Iterable[Row]) -> list[Row]:
    """Bring rows of one comparison together, and among them those with the same bounds."""
    rows = list(rows)
    titles = [comparison.title for comparison in (*COMPARISONS, *STORED_COMPARISONS)]
    bounds = [row.bounds for row in rows]
    return sorted(rows, key=lambda row: (titles.index(row.comparison), bounds.index(row.bounds)))


def write_json(path: Path, content: Any) -> None:
    """Write JSON; NaN and infinity are allowed, since a comparison may find them."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def report(
    rows: Sequence[Row],
    dataset: str,
    *,
    title: str,
    json_path: Path | None = None,
    page_path: Path | None = None,
) -> int:
    """Print rows, write them where paths are given, and return 1 if one exceeds a bound, or 0."""
    console = Console(stderr=True)
    Console(width=max(165, console.width)).print(build_table(rows, title))
    if json_path is not None:
        figures = [{**asdict(row), "exceeded": row.exceeded} for row in rows]
        write_json(json_path, {"dataset": dataset, "rows": figures})
    if page_path is not None:
        write_text(page_path, markdown_page(rows, PAGE_COMMAND, dataset))
    failures = [f"{r.comparison}, {r.case}: {', '.join(r.exceeded)}" for r in rows if r.exceeded]
    for failure in failures:
        console.print(f"[red]beyond its bound[/]: {failure}")
    return 1 if failures else 0
