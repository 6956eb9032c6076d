"""Measure how soon a new map is right: what no loss sees, against evaluations, for some configs.

Run from the repository: python -m experiments.studies convergence (10 minutes on two cores;
--quick is the same in small). Every number of evaluations is a synthesis of its own from the same
starts. Writes convergence.json and convergence.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.console import Console
from rich.table import Table

from experiments.studies.config_maps import prepare, synthesize_maps, with_entries
from experiments.studies.options import add_size_options, study_parser
from jaxscat.plotting import write_figure
from jaxscat.plotting.layout import new_figure
from jaxscat.run.config import load_config
from jaxscat.run.folder import write_json
from jaxscat.validation.comparison import Comparison, compare_with
from jaxscat.validation.description import distances

# Okabe-Ito colours, for the configs in their order.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console = Console(width=160)
    rows: list[dict[str, Any]] = []
    comparison: Comparison | None = None
    for path in options.configs:
        config = load_config(path)
        config = with_entries(config, "synthesis", seeds=tuple(range(options.seeds)))
        if options.nside:
            config = with_entries(config, "data", nside=options.nside)
        ready = prepare(config)
        original = ready.original.astype(np.float64)
        if comparison is None:
            comparison = compare_with(original, ready.pyramids[-1], controls=options.controls)
        elif not np.array_equal(comparison.reference.original, original):
            raise ValueError(f"{path}: got another original than in {options.configs[0]}")
        for count in options.evaluations:
            # Steps are no limit: most take one evaluation.
            new = synthesize_maps(ready, max_steps=count, max_evaluations=count)
            rows.append(measure_row(comparison, config.run.name, count, new.map))
            console.print(f"{config.run.name}, {count} evaluations", highlight=False)
    assert comparison is not None
    controls = {
        kind: [distances(one, comparison.original, comparison.reference) for one in of_kind]
        for kind, of_kind in comparison.controls.items()
    }
    console.print(build_table(rows, controls))
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "convergence.json", {"rows": rows, "controls": controls})
    write_figure(options.output / "convergence.png", draw(rows, controls))
    console.print(f"wrote {options.output / 'convergence.json'} and convergence.png beside it")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("convergence", "Measure how soon a new map is right.")
    parser.add_argument(
        "--configs",
        type=Path,
        nargs="+",
        default=[Path("configs/lss.toml"), Path("configs/lss_foscat.toml")],
    )
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 20, 50, 100, 200, 300])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--controls", type=int, default=16)
    add_size_options(parser, "runs/convergence", nside_help="instead of the configs'")
    options = parser.parse_args(arguments)
    if options.quick:
        options.evaluations, options.seeds, options.nside = [10, 30], 2, 16
    return options


def measure_row(comparison: Comparison, name: str, count: int, maps: np.ndarray) -> dict[str, Any]:
    found = [comparison.describe(np.asarray(map, dtype=np.float64)) for map in maps]
    away = [distances(one, comparison.original, comparison.reference) for one in found]
    return {
        "config": name,
        "evaluations": count,
        "distances": {key: [float(one[key]) for one in away] for key in away[0]},
    }


def build_table(rows: list[dict[str, Any]], controls: dict[str, list[dict[str, float]]]) -> Table:
    keys = list(rows[0]["distances"])
    table = Table("maps", "evaluations", *keys, title="mean over the seeds ± scatter of one")

    def cells(values: dict[str, list[float]]) -> list[str]:
        return [f"{np.mean(values[key]):.3f} ± {np.std(values[key], ddof=1):.3f}" for key in keys]

    for kind, of_kind in controls.items():
        table.add_row(
            f"{kind} controls", "", *cells({key: [c[key] for c in of_kind] for key in keys})
        )
    for row in rows:
        table.add_row(row["config"], str(row["evaluations"]), *cells(row["distances"]))
    return table


def draw(rows: list[dict[str, Any]], controls: dict[str, list[dict[str, float]]]) -> Figure:
    """Draw a panel for every distance: mean over the seeds with its standard error."""
    keys = list(rows[0]["distances"])
    figure = new_figure(15.0, 6.4)
    axes = figure.subplots(2, -(-len(keys) // 2)).ravel()
    names = list(dict.fromkeys(row["config"] for row in rows))
    for axis, key in zip(axes, keys, strict=False):
        for kind, style in (("gaussian", "--"), ("filtered", ":")):
            level = np.mean([control[key] for control in controls[kind]])
            axis.axhline(
                level, color="0.4", linestyle=style, linewidth=1.2, label=f"{kind} controls"
            )
        for name, colour in zip(names, COLOURS, strict=False):
            own = [row for row in rows if row["config"] == name]
            values = [row["distances"][key] for row in own]
            axis.errorbar(
                [row["evaluations"] for row in own],
                [np.mean(value) for value in values],
                [np.std(value, ddof=1) / np.sqrt(len(value)) for value in values],
                color=colour,
                marker="o",
                markersize=4,
                capsize=2,
                label=name,
            )
        axis.set_title(key.replace("_", " "), fontsize=11)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.3, linewidth=0.5)
        ticks = sorted({row["evaluations"] for row in rows})
        axis.set_xticks(ticks, [str(tick) for tick in ticks], rotation=60, fontsize=9)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.set_xlabel("evaluations")
    for axis in axes[len(keys) :]:
        axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
