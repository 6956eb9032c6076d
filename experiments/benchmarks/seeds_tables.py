"""Tables of the benchmark of seeds: a list for the rows of each of its parts."""

from functools import partial
from typing import Any

import numpy as np
from rich.table import Table

from experiments.benchmarks.harness import GIGABYTE

Row = dict[str, Any]


def vmap_tables(rows: list[Row], where: str) -> list[Table]:
    headings = ("nside", "loss", "by", "one map", f"{rows[0]['batch']} maps", "per map", "ratio")
    title = f"Loss and gradient, medians; {where}"
    table = _table(title, *headings, "ratio of neighbours", "first calls")
    for row in rows:
        times = [row[call]["median_seconds"] for call in ("alone", "together")]
        cells = [f"{1e3 * time:.2f} ms" for time in (*times, row["seconds_per_map"])]
        cells += [f"{row[name]:.3f}" for name in ("ratio", "ratio_of_neighbours")]
        first = " / ".join(f"{row['compile_seconds'][call]:.1f}" for call in ("alone", "together"))
        names = (str(row["nside"]), row["loss"], row["by"])
        table.add_row(*names, *cells, f"{first} s")
    return [table]


def synthesis_tables(rows: list[Row], where: str) -> list[Table]:
    return [table for row in rows for table in (_times(row, where), _losses(row), _maps(row))]


def _times(row: Row, where: str) -> Table:
    title = f"Synthesis, nside {row['nside']}, {row['steps']} steps; {where}"
    headings = ("", "per map", "evaluations per step", "fewest steps", "compilation")
    table = _table(title, *headings)
    for way, label in (("together", f"{row['batch']} at once"), ("alone", "alone")):
        cells = [f"{row[way]['seconds_per_map']:.3f} s", f"{row[way]['evaluations_per_step']:.3f}"]
        cells.append(str(row[way]["fewest_steps"]))
        table.add_row(label, *cells, f"{row['compile_seconds'][way]:.1f} s")
    table.add_row("ratio", f"{row['ratio']:.3f}")
    return table


def _losses(row: Row) -> Table:
    together, alone = (row["losses"][way] for way in ("together", "alone"))
    table = _table("Final losses", "seed", f"{row['batch']} at once", "alone", "difference")
    for seed, loss in enumerate(together):
        cells = [f"{loss:.5f}"]
        if seed < len(alone):
            cells += [f"{alone[seed]:.5f}", f"{100 * (loss / alone[seed] - 1):+.4f} %"]
        table.add_row(str(seed), *cells)
    groups = {"all": [together]}
    # Both columns have to be of the same seeds to be compared.
    groups |= {f"first {len(alone)}": [together[: len(alone)], alone]}
    for label, columns in groups.items():
        if len(columns[0]) < 2:
            continue
        table.add_section()
        for name, number in (("mean", np.mean), ("scatter", partial(np.std, ddof=1))):
            table.add_row(f"{name}, {label}", *(f"{number(losses):.5f}" for losses in columns))
    return table


def _maps(row: Row) -> Table:
    title = f"Maps after {row['map_steps']} steps, beside those of {row['batch']} at once"
    table = _table(title, "made", "largest relative difference")
    for way, difference in row["map_differences"].items():
        table.add_row(way, f"{difference:.1e}")
    return table


def throughput_tables(rows: list[Row], where: str) -> list[Table]:
    maps = f"maps of {rows[0]['steps_of_a_map']} steps per minute"
    headings = ("evaluation of all", "map evaluations per second", maps, "compilation")
    title = f"All seeds in one batch, {rows[0]['steps']} steps; {where}"
    table = _table(title, "nside", "seeds", *headings, "peak memory", labels=2)
    table.caption = "≤: something before has needed as much"
    errors = []
    for row in sorted(rows, key=lambda row: (row["nside"], row["seeds"])):
        cells = [str(row["nside"]), str(row["seeds"])]
        if "error" in row:
            table.add_row(*cells, "failed")
            errors.append(f"nside {cells[0]}, {cells[1]} seeds: {row['error']}")
            continue
        cells.append(f"{1e3 * row['evaluation_seconds']:.2f} ms")
        cells += [f"{row[rate]:.4g}" for rate in ("map_evaluations_per_second", "maps_per_minute")]
        peak = f"{'' if row['peak_has_risen'] else '≤ '}{row['peak_bytes'] / GIGABYTE:.2f} GB"
        table.add_row(*cells, f"{row['compile_seconds']:.1f} s", peak)
    table.caption = "\n".join([table.caption, *errors])
    return [table]


def _table(title: str, *headings: str, labels: int = 1) -> Table:
    table = Table(title=title)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="left" if column < labels else "right")
    return table
