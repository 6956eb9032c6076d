"""Content of the folders that `jaxscat run` writes, for comparisons of runs."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def finish(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; end this program, showing its errors, where it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        shown = " ".join(command)
        raise SystemExit(f"{shown} ended with {done.returncode}: {done.stderr}")


def read_maps(folder: Path) -> dict[str, np.ndarray]:
    """Read every column [p] of the maps of a run, in the bytes of the files, by file and name."""
    from astropy.io import fits

    columns: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("maps*.fits")):
        with fits.open(path) as units:
            table: Any = units[1].data  # pyright: ignore[reportAttributeAccessIssue]
            for name in table.names:
                columns[f"{path.stem}.{name}"] = np.array(table[name]).ravel()
    if not columns:
        raise ValueError(f"folder {str(folder)!r}: got no maps.fits, expected that of a run")
    return columns


def read_history(folder: Path) -> dict[str, np.ndarray]:
    """Read the columns of history.csv, float64, by their headings; an empty cell is NaN."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as stream:
        heading, *rows = csv.reader(stream)
    cells = [[float(cell) if cell else np.nan for cell in row] for row in rows]
    values = np.array(cells).reshape(len(rows), len(heading))
    return dict(zip(heading, values.T, strict=True))


def read_results(folder: Path) -> dict[str, Any]:
    """Read results.json without its times."""
    return drop_times(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def drop_times(tree: Any) -> Any:
    """Return a tree of JSON without the entries that are times."""
    if isinstance(tree, dict):
        return {name: drop_times(v) for name, v in tree.items() if "seconds" not in name}
    return [drop_times(value) for value in tree] if isinstance(tree, list) else tree
