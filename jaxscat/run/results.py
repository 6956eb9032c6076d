"""What a run makes of its new maps: validation, tables, files and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.masks import build_footprint
from jaxscat.maps import npix_to_nside
from jaxscat.minimization.result import Result as SynthesisResult
from jaxscat.operators.pyramid import Pyramid
from jaxscat.plotting import plot_ensemble, plot_summary
from jaxscat.run.config import Config
from jaxscat.run.folder import write_history, write_json, write_table
from jaxscat.run.maps import save_run_maps
from jaxscat.run.provenance import Clock
from jaxscat.run.summary import summarize
from jaxscat.validation import gaussian_control
from jaxscat.validation.ensemble import quantity_table
from jaxscat.validation.seeds import SeedValidation, validate_seeds

_UNITS = {
    "none": "map units",
    "standardise": "standard deviations",
    "exp": "exponential of standard deviations",
}


@dataclass(frozen=True)
class Synthesized:
    """The maps of a run, all in the original's values, and how the new ones came about.

    Attributes:
        source: the file or dataset of the original.
        original: the original map [p], NESTED.
        mask: the mask [p] or masks [M p], or None.
        starts: the start [p] of every seed.
        made: the new map of every seed, in the order of the seeds; at least one.
    """

    source: str
    original: np.ndarray
    mask: np.ndarray | None
    starts: Mapping[int, np.ndarray]
    made: Mapping[int, SynthesisResult]

    @property
    def maps(self) -> list[np.ndarray]:
        """The new maps, in the order of the seeds."""
        return [result.map for result in self.made.values()]


def write_results(
    folder: Path,
    config: Config,
    run: Synthesized,
    pyramid: Pyramid,
    *,
    clock: Clock,
    stage: Callable[[str], None] = lambda name: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], SeedValidation]:
    """Validate the maps of a run and write all that is to be known of them into its folder.

    Writes results.json, the maps (see `save_run_maps`), history.csv and summary.png; of two seeds
    or more also ensemble.csv and ensemble.png. `clock` is told the time of the validation, `stage`
    the names of the parts of the work, and `progress` how many seeds are validated. Returns the
    content of results.json (see `summarize`), and the validation for the report.
    """
    seeds = list(run.made)
    with clock.measure("validation"):
        stage("validating")
        maps = {seed: result.map for seed, result in run.made.items()}
        validation = validate_seeds(
            run.original,
            maps,
            pyramid,
            start_of=run.starts.__getitem__,
            mask=run.mask,
            progress=progress,
        )
    stage("writing")
    reports = validation.reports
    results = summarize(config, run.source, run.made, reports, ensemble=validation.ensemble)
    write_json(folder / "results.json", results)
    save_run_maps(folder, run.original, run.starts[seeds[0]], run.made, run.mask)
    write_history(folder / "history.csv", _history(run.made))
    _draw_summary(folder / "summary.png", config, run)
    if validation.correlations is not None:
        write_table(folder / "ensemble.csv", quantity_table(seeds, list(reports.values())))
        _draw_ensemble(folder / "ensemble.png", config, run, validation.correlations)
    return results, validation


def _draw_summary(path: Path, config: Config, run: Synthesized) -> None:
    first = next(iter(run.made))
    several = len(run.made) > 1
    shown = f"{len(run.made)} seeds (maps: seed {first})" if several else f"seed {first}"
    plot_summary(
        run.original,
        run.starts[first],
        run.made[first].map,
        gaussian_control(run.original, footprint=build_footprint(run.mask)),
        run.made[first].losses,
        footprint=build_footprint(run.mask),
        title=title_of(run.source, run.original, shown),
        unit=unit_of(config),
        ensemble=run.maps if several else (),
        ensemble_losses=[result.losses for result in run.made.values()] if several else (),
    ).savefig(path)


def _draw_ensemble(path: Path, config: Config, run: Synthesized, correlations: np.ndarray) -> None:
    plot_ensemble(
        run.original,
        {seed: result.map for seed, result in run.made.items()},
        correlations,
        footprint=build_footprint(run.mask),
        title=title_of(run.source, run.original, f"{len(run.made)} seeds"),
        unit=unit_of(config),
    ).savefig(path)


def title_of(source: str, original: np.ndarray, of: str) -> str:
    """What stands above a figure: where the original is from, its nside, and what is shown."""
    return f"{source}, nside {npix_to_nside(original.size)}, {of}"


def unit_of(config: Config) -> str:
    """The unit of the maps of a config, in words."""
    return _UNITS[config.data.transform]


def _history(made: Mapping[int, SynthesisResult]) -> list[tuple[int, int, float, int]]:
    return [
        (seed, step, float(loss), int(count))
        for seed, result in made.items()
        for step, (loss, count) in enumerate(zip(result.losses, result.evaluations, strict=True))
    ]
