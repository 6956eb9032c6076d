"""The tables of docs/reconstruction.md from what the study of reconstructions has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Estimates of every task that stand in the tables, as the study names them.
SHOWN = {
    "denoise": (
        "Wiener, true spectra",
        "square-root Wiener, estimated",
        "jaxscat",
        "jaxscat with power",
    ),
    "inpaint": ("elsewhere", "gaussian mean", "gaussian realization", "jaxscat", "reach None"),
    "separate": ("joint Wiener, true spectra", "jaxscat", "jaxscat with residual"),
}
FIGURES = {"E1": "S1", "E2": "S2", "E3": "S3", "E4": "S4", "residual": "residual"}
# Above this multipole ratios of power are no longer ruled by few modes.
FIRST = 4


def format_summary(written: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return Markdown tables with a row of every case and estimate.

    Args:
        written: cases as in reconstruction.json.
    """
    lines: list[str] = []
    for task, shown in SHOWN.items():
        cases = [case for case in written if case["case"].startswith(task)]
        if not cases:
            continue
        lines += [
            "",
            f"| {task}, nside | estimate | {' | '.join(FIGURES)} | C_l ratio | correlation |",
            "| --- | --- |" + " ---: |" * len(FIGURES) + " ---: | ---: |",
        ]
        for case in cases:
            title = f"{case['case'].removeprefix(task).strip()}, {case['nside']}"
            for name in shown:
                lines.append(f"| {title} | {name} | {' | '.join(_row(case, case['rows'][name]))} |")
                title = ""
            lines += [
                f"| | contaminant: {name} | | | | | {' | '.join(_row(case, row)[4:])} |"
                for name, row in (
                    (name, case["rows"].get(f"contaminant: {name}")) for name in shown
                )
                if row is not None
            ]
    return lines


def _row(case: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return the figures of an estimate: errors, range of power ratios, finest correlation."""
    figures = [_with_scatter(*row[key]) for key in FIGURES.values()]
    counted = [
        ratio
        for (low, _), ratio in zip(case["bins"], row["power_ratio"][0], strict=True)
        if low >= FIRST
    ]
    return [
        *figures,
        f"{min(counted):.2f} to {max(counted):.2f}",
        f"{row['correlation'][0][-1]:.2f}",
    ]


def _with_scatter(mean: float, scatter: float) -> str:
    return f"{mean:.{3 if mean < 0.0995 else 2}f} ± {float(f'{scatter:.1g}'):g}"
