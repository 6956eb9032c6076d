"""The validation of a run in its folder: numbers, a figure, and a page to read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.archive import write_bytes
from jaxscat.plotting import as_label, figure_png, plot_validation, validation_figures
from jaxscat.reasons import reason_of
from jaxscat.report.page import render_report
from jaxscat.run.config import Config
from jaxscat.run.folder import write_json
from jaxscat.run.maps import read_run_unit
from jaxscat.run.results import HISTORY_COLUMNS, describe_unit, format_title
from jaxscat.run.verdict_context import build_verdict_context, stored_endings
from jaxscat.validation import gaussian_control
from jaxscat.validation.seeds import SeedValidation
from jaxscat.validation.sky import sky_sentence

FREE_PART = (
    "What new maps hold in hidden pixels is what the synthesis left there, the Gaussian start: it "
    "has no texture, and is not compared."
)


def write_report(
    folder: Path, config: Config, validation: SeedValidation, maps: Mapping[int, np.ndarray]
) -> None:
    """Write validation.json, validation.png and report.html into the folder of a run.

    `maps` has the new map [p] of every seed. What the run itself has written there (results.json,
    run.json, history.csv, config.toml) goes into the page as far as it is there; files of a former
    validation are replaced in the end, once all that takes their place is made.

    Raises `OSError` when the folder cannot be written, and `ValueError` when a file of the run
    that goes into the page is damaged.
    """
    reference = validation.comparison.reference
    seeds = validation.seeds
    shown = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    # As it was given, where config.toml has an absolute path.
    source = _read_json(folder / "results.json").get("data")
    source = source or config.data.dataset or config.data.path or ""
    title = format_title(source, reference.original, shown)
    unit = read_run_unit(folder)
    drawn: dict[str, Any] = {
        "footprint": reference.footprint,
        "unit": describe_unit(config, unit),
    }
    control = gaussian_control(reference.original, footprint=reference.footprint)
    losses, terms = _read_history(folder / "history.csv", seeds)
    drawn["terms"] = terms
    results = _read_json(folder / "results.json")
    endings = stored_endings(results.get("seeds", []), losses)
    context = build_verdict_context(config, validation, endings)
    content = validation.as_json(context)
    drawn["imposed"] = context.imposed
    given = validation, reference.original, maps, control, losses
    picture = figure_png(plot_validation(*given, title=as_label(title), **drawn))
    figures = validation_figures(*given, **drawn)
    stored = folder / "config.toml"
    page = render_report(
        title=title,
        results=results,
        validation=content,
        figures={name: figure_png(figure) for name, figure in figures.items()},
        provenance=_read_json(folder / "run.json"),
        notes=_notes(config, validation, unit),
        # The config.toml of an older run lacks newer settings.
        config_text=stored.read_text(encoding="utf-8") if stored.is_file() else config.to_toml(),
    )
    write_json(folder / "validation.json", content)
    for name, data in {"validation.png": picture, "report.html": page.encode()}.items():
        write_bytes(folder / name, data)


def _notes(config: Config, validation: SeedValidation, unit: str | None) -> list[str]:
    """List the unit of the maps, the part of the sky, and what settings impose on the maps."""
    notes = [] if unit is None else [f"The maps are in {unit}, as the original's file states."]
    if validation.sky is not None:
        notes.append(sky_sentence(validation.sky))
        if config.synthesis.hidden_part == "free":
            notes.append(FREE_PART)
    if config.data.transform == "log":
        notes.append(
            "New maps were made from the logarithm of the map (data.transform = 'log'), with its "
            "statistics, and taken back: they are positive. Maps are compared by their values."
        )
    if config.synthesis.gaussianize:
        notes.append(
            "Values were taken back through the original's histogram (gaussianize): the histogram "
            "is imposed, not found, and all that follows from it is nearer than of the controls."
        )
    if config.synthesis.form == "harmonic":
        notes.append("The harmonic form holds the power spectrum: it is imposed, not found.")
    return notes


def _read_history(
    path: Path, seeds: list[int]
) -> tuple[list[np.ndarray], list[dict[str, np.ndarray]]]:
    """Read losses and terms of every seed from the table of a run; none where there is no table."""
    if not path.is_file():
        return [], []
    rows: dict[int, list[dict[str, float]]] = {seed: [] for seed in seeds}
    with _undamaged(path), path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        names = [name for name in reader.fieldnames or () if name not in HISTORY_COLUMNS]
        for row in reader:
            if int(row["seed"]) in rows:
                numbers = {name: float(row[name]) for name in ("loss", *names)}
                rows[int(row["seed"])].append(numbers)
    found = [of_seed for of_seed in rows.values() if of_seed]

    def column(of_seed: list[dict[str, float]], name: str) -> np.ndarray:
        return np.array([row[name] for row in of_seed])

    losses = [column(of_seed, "loss") for of_seed in found]
    return losses, [{name: column(of_seed, name) for name in names} for of_seed in found]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    with _undamaged(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no entries with names")
        return found


def read_verdict(folder: Path) -> list[dict[str, str]]:
    """Read the lines of the verdict that `write_report` has written."""
    return _read_json(folder / "validation.json").get("verdict", [])


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {reason_of(error)}") from None
