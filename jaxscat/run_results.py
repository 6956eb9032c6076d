"""What a run makes of its new maps: validation, tables, files and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.config import Config
from jaxscat.inputs import footprint_of
from jaxscat.maps import nside_of
from jaxscat.operators.pyramid import Pyramid
from jaxscat.plotting import plot_ensemble, plot_summary
from jaxscat.provenance import Clock
from jaxscat.results import summarize
from jaxscat.run_folder import write_history, write_json, write_table
from jaxscat.run_maps import save_run_maps
from jaxscat.synthesis.results import SynthesisResult
from jaxscat.validation import gaussian_control, validate
from jaxscat.validation.ensemble import correlation_matrix, ensemble_report, quantity_table


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
) -> dict[str, Any]:
    """Validate the maps of a run and write all that is to be known of them into its folder.

    Writes results.json, the maps (see `save_run_maps`), history.csv and summary.png; of two seeds
    or more also ensemble.csv and ensemble.png. `clock` is told the time of the validation, `stage`
    the names of the parts of the work. Returns the content of results.json (see `summarize`).
    """
    seeds, footprint = list(run.made), footprint_of(run.mask)
    ensemble = correlations = None
    with clock.measure("validation"):
        stage("validating")
        gaussian = gaussian_control(run.original, footprint=footprint)
        reports = {
            seed: validate(
                run.original,
                result.map,
                start=run.starts[seed],
                gaussian=gaussian,
                pyramid=pyramid,
                mask=run.mask,
            )
            for seed, result in run.made.items()
        }
        if len(seeds) > 1:
            correlations = correlation_matrix([run.original, *run.maps], footprint)
            ensemble = ensemble_report(seeds, list(reports.values()), correlations)
    stage("writing")
    results = summarize(config, run.source, dict(run.made), reports, ensemble=ensemble)
    write_json(folder / "results.json", results)
    save_run_maps(folder, run.original, run.starts[seeds[0]], run.made, run.mask)
    write_history(folder / "history.csv", _history(run.made))
    _draw_summary(folder / "summary.png", config, run, gaussian)
    if correlations is not None:
        write_table(folder / "ensemble.csv", quantity_table(seeds, list(reports.values())))
        _draw_ensemble(folder / "ensemble.png", config, run, correlations)
    return results


def _draw_summary(path: Path, config: Config, run: Synthesized, gaussian: np.ndarray) -> None:
    first = next(iter(run.made))
    several = len(run.made) > 1
    shown = f"{len(run.made)} seeds (maps: seed {first})" if several else f"seed {first}"
    plot_summary(
        run.original,
        run.starts[first],
        run.made[first].map,
        gaussian,
        run.made[first].losses,
        footprint=footprint_of(run.mask),
        title=_title(run, shown),
        unit=_unit(config),
        ensemble=run.maps if several else (),
        ensemble_losses=[result.losses for result in run.made.values()] if several else (),
    ).savefig(path)


def _draw_ensemble(path: Path, config: Config, run: Synthesized, correlations: np.ndarray) -> None:
    plot_ensemble(
        run.original,
        {seed: result.map for seed, result in run.made.items()},
        correlations,
        footprint=footprint_of(run.mask),
        title=_title(run, f"{len(run.made)} seeds"),
        unit=_unit(config),
    ).savefig(path)


def _title(run: Synthesized, of: str) -> str:
    return f"{run.source}, nside {nside_of(run.original.size)}, {of}"


def _unit(config: Config) -> str:
    return "standard deviations" if config.data.transform == "standardise" else "map units"


def _history(made: Mapping[int, SynthesisResult]) -> list[tuple[int, int, float, int]]:
    return [
        (seed, step, float(loss), int(count))
        for seed, result in made.items()
        for step, (loss, count) in enumerate(zip(result.losses, result.evaluations, strict=True))
    ]
