"""Means and tables of what several seeds of a case have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FIGURES = ("S1", "S2", "S3", "S4", "residual", "skewness", "wasserstein")


def join_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and scatter over seeds of the rows of estimates, and of single figures."""
    names = found[0]["rows"]
    rows = {name: _mean_and_scatter([one["rows"][name] for one in found]) for name in names}
    elsewhere = [name for name in rows if name.startswith("elsewhere")]
    if elsewhere:
        pooled = [one["rows"][name] for one in found for name in elsewhere]
        rows = {name: row for name, row in rows.items() if name not in elsewhere}
        rows = {"elsewhere": _mean_and_scatter(pooled), **rows}
    numbers = _mean_and_scatter([one["numbers"] for one in found])
    return {"rows": rows, "numbers": numbers, "bins": found[0]["bins"], "seeds": len(found)}


def format_case(title: str, nside: int, found: Mapping[str, Any]) -> list[str]:
    """Return one case as lines of Markdown."""
    bins = [f"{low} to {high}" for low, high in found["bins"]]
    lines = [
        "",
        f"**{title}, nside {nside}, {found['seeds']} seeds**",
        "",
        "| estimate | E1 | E2 | E3 | E4 | residual | skewness | W1 | C_l ratio | correlation |",
        "| --- |" + " ---: |" * 7 + " --- | --- |",
    ]
    for name, row in found["rows"].items():
        figures = [_plain(*row[key]) for key in FIGURES]
        curves = [_curve(row[key][0]) for key in ("power_ratio", "correlation")]
        lines.append(f"| {' | '.join([name, *figures, *curves])} |")
    numbers = [f"{name} {_plain(*value)}" for name, value in found["numbers"].items()]
    return [*lines, "", f"Multipoles {', '.join(bins)}. {'; '.join(numbers)}."]


def _mean_and_scatter(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    joined = {}
    for key in rows[0]:
        values = [one[key] for one in rows]
        if any(value is None for value in values) or isinstance(values[0], str | Mapping):
            joined[key] = (None, None)
            continue
        numbers = np.asarray(values, np.float64)
        scatter = numbers.std(axis=0, ddof=1) if len(numbers) > 1 else np.zeros_like(numbers[0])
        joined[key] = (numbers.mean(axis=0).tolist(), scatter.tolist())
    return joined


def _plain(mean: Any, scatter: Any) -> str:
    return "-" if mean is None else f"{mean:.3g} ± {scatter:.2g}"


def _curve(values: Any) -> str:
    return "-" if values is None else " ".join(f"{value:.2f}" for value in values)
