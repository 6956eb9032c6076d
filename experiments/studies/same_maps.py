"""Compare the maps that two checkouts of jaxscat make of the same configs, bit for bit.

    python -m experiments.studies same-maps BEFORE [AFTER] [--configs lss quickstart]
        [--tolerance 0] [--section.key value ...]

AFTER is this checkout by default. Every run is a process of its own; overrides of the configs are
passed on to both checkouts. Prints a row for every config: whether all columns of maps.fits have
the same bits, or their largest difference over the spread of the map; whether the losses of
history.csv and results.json are equal, or their largest relative difference; and whether steps,
evaluations and status are the same. The exit status is 1 where maps or losses differ by more than
the tolerance (0: where a bit differs), or anything else differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.harness import checkout_environment
from experiments.studies.options import split_overrides, study_parser
from experiments.studies.run_folders import finish, read_history, read_maps, read_results

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("lss", "lss_foscat", "quickstart", "ensemble_quick")
LOSSES, COUNTS = ("start_loss", "final_loss"), ("status", "nsteps", "evaluations")
# The command line stands in `jaxscat.cli.main`, or in `jaxscat.cli` of older checkouts. With -P
# only PYTHONPATH says which jaxscat is imported, wherever this program runs.
RUN = """
import importlib
try:
    command_line = importlib.import_module("jaxscat.cli.main")
except ModuleNotFoundError as error:
    if error.name != "jaxscat.cli.main":
        raise
    command_line = importlib.import_module("jaxscat.cli")
command_line.main()
"""


@dataclass(frozen=True)
class RunDifference:
    """How far two runs of one config differ.

    Attributes:
        bits_equal: whether all columns of the maps have the same bits.
        map: largest difference in a column over the standard deviation of that column; infinite
            where columns or their types differ.
        loss: largest relative difference of the losses; infinite where their numbers differ.
        counts: names of other entries that differ: seeds, steps, evaluations, status.
    """

    bits_equal: bool
    map: float
    loss: float
    counts: tuple[str, ...]

    def exceeds(self, tolerance: float) -> bool:
        """Return whether maps or losses differ by more than a tolerance, or counts at all."""
        same_maps = self.bits_equal or (tolerance > 0 and self.map <= tolerance)
        return not (same_maps and self.loss <= tolerance and not self.counts)


def compare_runs(before: Path, after: Path) -> RunDifference:
    """Compare the folders of two runs of one config; further entries of `after` are ignored."""
    maps, new_maps = read_maps(before), read_maps(after)
    pairs = [(column, new_maps.get(name)) for name, column in maps.items()]
    found = [map_difference(column, new) for column, new in pairs]
    history, new_history = read_history(before), read_history(after)
    results, new_results = (_flatten(read_results(folder)) for folder in (before, after))
    losses = [relative_difference(history["loss"], new_history["loss"])]
    counts = [
        f"{name} of history.csv"
        for name in ("seed", "step", "evaluations")
        if not np.array_equal(history[name], new_history[name])
    ]
    for name, value in results.items():
        if name.endswith(LOSSES):
            losses.append(relative_difference(_array(value), _array(new_results.get(name))))
        elif value != new_results.get(name):
            counts.append(f"{name} of results.json")
    return RunDifference(
        bits_equal=maps.keys() == new_maps.keys() and all(equal for equal, _ in found),
        map=max(away for _, away in found) if maps.keys() == new_maps.keys() else np.inf,
        loss=max(losses),
        counts=tuple(counts),
    )


def map_difference(before: np.ndarray, after: np.ndarray | None) -> tuple[bool, float]:
    """Return whether two maps have the same bits, and their largest difference over the spread.

    Pixels that are NaN in both maps count as equal, and NaN in one as infinitely far away.
    """
    if after is None or before.dtype != after.dtype or before.shape != after.shape:
        return False, np.inf
    if before.tobytes() == after.tobytes():
        return True, 0.0
    before, after = before.astype(np.float64), after.astype(np.float64)
    known = ~(np.isnan(before) & np.isnan(after))
    largest = np.max(np.abs(after - before)[known], initial=0.0)
    spread = float(np.nanstd(before))
    return False, _over(float(largest), spread)


def relative_difference(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest difference of two arrays relative to the first; NaN equals NaN only."""
    if before.shape != after.shape:
        return np.inf
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    pairs = zip(before[~same], after[~same], strict=True)
    return max((_over(abs(float(b - a)), abs(float(a))) for a, b in pairs), default=0.0)


def _over(difference: float, unit: float) -> float:
    if difference == 0.0:
        return 0.0
    ratio = difference / unit if unit > 0 else np.inf
    return np.inf if np.isnan(ratio) else ratio


def _flatten(results: dict[str, Any]) -> dict[str, Any]:
    """Return losses and counts of the run, and of every seed, by their place in results.json."""
    places = {"": results} | {f"seed {row['seed']}: ": row for row in results["seeds"]}
    return {
        f"{place}{name}": entries[name]
        for place, entries in places.items()
        for name in (*LOSSES, *COUNTS)
    }


def _array(value: float | None) -> np.ndarray:
    return np.array([] if value is None else [value], dtype=float)


def run_config(checkout: Path, config: Path, folder: Path, overrides: Iterable[str]) -> None:
    """Run a config with the code of a checkout."""
    command = [sys.executable, "-P", "-c", RUN, "run", str(config), "--output", str(folder)]
    finish([*command, *overrides], checkout_environment(checkout))


def find_config(name: str) -> Path:
    """Return a config by its path, or by its name in `configs`."""
    path, own = Path(name), ROOT / "configs" / f"{name.removesuffix('.toml')}.toml"
    if not path.is_file() and not own.is_file():
        raise ValueError(f"configs: got {name!r}, expected a file, or a name of one in configs")
    return path if path.is_file() else own


def build_table(rows: dict[str, RunDifference], tolerance: float) -> Table:
    table = Table("config", "maps", "losses", "steps, evaluations, status", "")
    for name, row in rows.items():
        maps = "bits equal" if row.bits_equal else f"{row.map:.1e} of the spread"
        losses = "equal" if row.loss == 0.0 else f"{row.loss:.1e}"
        counts = ", ".join(row.counts) or "equal"
        table.add_row(name, maps, losses, counts, "DIFFERS" if row.exceeds(tolerance) else "")
    return table


def main(arguments: list[str]) -> int:
    arguments, overrides = split_overrides(arguments)
    parser = study_parser("same-maps", "Compare the maps that two checkouts of jaxscat make.")
    parser.epilog = "Overrides --section.key value are passed on to both checkouts; put them last."
    parser.add_argument("before", type=Path, help="a checkout of jaxscat")
    parser.add_argument("after", type=Path, nargs="?", default=ROOT, help="by default this one")
    parser.add_argument("--configs", nargs="+", default=CONFIGS, help="files, or names in configs")
    parser.add_argument("--tolerance", type=float, default=0.0, help="of maps and of losses")
    options = parser.parse_args(arguments)
    rows = compare_checkouts(options, overrides, Console(stderr=True))
    Console().print(build_table(rows, options.tolerance))
    return int(any(row.exceeds(options.tolerance) for row in rows.values()))


def compare_checkouts(
    options: argparse.Namespace, overrides: list[str], console: Console
) -> dict[str, RunDifference]:
    """Run all configs with both checkouts and compare their folders."""
    configs = [find_config(name) for name in options.configs]
    rows: dict[str, RunDifference] = {}
    with tempfile.TemporaryDirectory(prefix="same-maps-") as temporary:
        for number, config in enumerate(configs):
            folders = [Path(temporary) / f"{number}_{way}" for way in ("before", "after")]
            for checkout, folder in zip((options.before, options.after), folders, strict=True):
                with console.status(f"{config.name} with {checkout}"):
                    run_config(checkout, config, folder, overrides)
            rows[config.name] = compare_runs(*folders)
    return rows
