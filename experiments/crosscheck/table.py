"""Rows of the comparison with FOSCAT, as a table of the terminal and as a page."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby

import numpy as np
from rich.table import Table

from experiments.crosscheck.bounds import QUANTITIES, Bounds, Comparison
from experiments.crosscheck.cases import Case
from experiments.crosscheck.measurements import Numbers
from experiments.foscat_reference.conventions import CROSS_GROUPS, Groups

HEADINGS = (
    "numbers",
    *(name.upper() for name in CROSS_GROUPS),
    "sigma",
    "loss",
    "gradient",
    "loss, FOSCAT",
    "jaxscat",
)
EXPLANATIONS = {
    "formulas": "FOSCAT with its float32 geometry switched to float64, and jaxscat's default: the "
    "formulas are the same. The loss has FOSCAT's coefficients and standard errors as its target.",
    "float32 geometry": 'FOSCAT as it is, and jaxscat with `geometry="foscat"`, which rounds '
    "where FOSCAT does. The target of the loss is FOSCAT's here too.",
    "as shipped": "FOSCAT as it is, and jaxscat's default: what a user sees who moves over. Each "
    "side has its own target. The loss is the most sensitive figure, because FOSCAT's formula puts "
    "some standard errors near zero, where rounding moves them (and FOSCAT's own loss) most.",
    "formulas, stored numbers": 'The comparison "formulas" with numbers that FOSCAT computed '
    "elsewhere, from other maps.",
    "float32 geometry, stored numbers": 'The comparison "float32 geometry" with such numbers.',
}
PAGE_HEAD = """# Agreement with FOSCAT

Written by `{command}`; do not edit.

Both packages measure the same maps (dataset `{dataset}`) in float64:
{packages}.
The figures are rms differences relative to the rms value of a group of coefficients; `sigma` is the
worst group of FOSCAT's standard errors; loss and gradient are those of FOSCAT's demonstrations at a
white-noise map. A figure beyond its bound is bold, and the command then fails.

`L` is the number of orientations (4 unless said) and `K` the side of the wavelet kernel (3). The
second map of `cross` is a noisy copy of the first. `isotropic mean`, `harmonics` and `spread` are
FOSCAT's `iso_mean`, `fft_ang` (errors: `fft_ang_sigma`) and `iso_std`. Of `normalized` FOSCAT
computes S2 only; it leaves the other groups undivided, and here they are divided by the powers
that it measures.
"""


@dataclass(frozen=True)
class Row:
    """How the packages agree in one case; differences are relative.

    Only quantities that FOSCAT gives have a difference.
    """

    comparison: str
    case: str
    coefficients: int
    differences: dict[str, float]
    bounds: Bounds
    foscat_loss: float | None
    jaxscat_loss: float | None

    @property
    def exceeded(self) -> list[str]:
        """The quantities that differ by more than their bound."""
        # Written so that NaN exceeds every bound.
        return [name for name, value in self.differences.items() if not value <= self.bounds[name]]


def relative_rms(value: np.ndarray, expected: np.ndarray) -> float:
    """Return the rms difference over the rms value; infinite where shapes differ."""
    if np.shape(value) != np.shape(expected):
        return float("inf")
    difference = np.sqrt(np.sum(np.abs(np.subtract(value, expected)) ** 2))
    size = np.sqrt(np.sum(np.abs(expected) ** 2))
    if size == 0:
        return 0.0 if difference == 0 else float("inf")
    return float(difference / size)


def compare(comparison: Comparison, case: Case, foscat: Numbers, ours: Numbers) -> Row:
    differences = {name: _difference(name, ours.mean, foscat.mean) for name in foscat.mean}
    if foscat.sigma:
        sigmas = [_difference(name, ours.sigma, foscat.sigma) for name in foscat.sigma]
        differences["sigma"] = float(np.max(sigmas))  # NaN stays NaN
    for name in ("loss", "gradient"):
        expected, value = getattr(foscat, name), getattr(ours, name)
        if expected is not None:
            differences[name] = relative_rms(np.asarray(value, float), np.asarray(expected))
    return Row(
        comparison=comparison.title,
        case=case.name,
        coefficients=sum(group.size for group in foscat.mean.values()),
        differences=differences,
        bounds=comparison.bounds(case),
        foscat_loss=foscat.loss,
        jaxscat_loss=ours.loss,
    )


def _difference(name: str, ours: Groups, foscat: Groups) -> float:
    return relative_rms(ours[name], foscat[name]) if name in ours else float("inf")


def build_table(rows: Sequence[Row], title: str) -> Table:
    """Return all rows as a table for the terminal."""
    table = Table(title=title)
    table.add_column("case", no_wrap=True)
    for name in HEADINGS:
        table.add_column(name, justify="right", no_wrap=True)
    for heading, group in sections(rows):
        table.add_section()
        table.add_row(f"[bold]{heading}", "bound", *_figures(group[0].bounds), "", "")
        for row in group:
            cells = _figures(row.differences, {name: "[red]{}[/]" for name in row.exceeded})
            table.add_row(row.case, str(row.coefficients), *cells, *_losses(row))
    return table


def sections(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows that are held to the same bounds, with the name of their comparison."""
    for (title, _), group in groupby(rows, lambda row: (row.comparison, row.bounds)):
        yield title, list(group)


def markdown_page(rows: Sequence[Row], command: str, dataset: str) -> str:
    """Return all rows as a page, with how they were made."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("jaxscat", "foscat", "jax", "torch", "healpy")
    )
    lines = [PAGE_HEAD.format(command=command, dataset=dataset, packages=packages)]
    for title, by_title in groupby(rows, lambda row: row.comparison):
        lines += [f"\n## {title[0].upper()}{title[1:]}\n\n{EXPLANATIONS[title]}\n"]
        lines += ["| case | " + " | ".join(HEADINGS) + " |"]
        lines += ["| --- |" + " ---: |" * len(HEADINGS)]
        for _, group in sections(by_title):
            bounds = _figures(group[0].bounds)
            lines += [_markdown_row(["*bound*", "", *bounds, "", ""])]
            for row in group:
                cells = _figures(row.differences, {name: "**{}**" for name in row.exceeded})
                lines += [_markdown_row([row.case, str(row.coefficients), *cells, *_losses(row)])]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figures(values: dict[str, float], marks: dict[str, str] | None = None) -> list[str]:
    marks = marks or {}
    return [
        marks.get(name, "{}").format(f"{values[name]:.0e}") if name in values else ""
        for name in QUANTITIES
    ]


def _losses(row: Row) -> list[str]:
    losses = (row.foscat_loss, row.jaxscat_loss)
    return ["" if loss is None else f"{loss:.6f}" for loss in losses]
