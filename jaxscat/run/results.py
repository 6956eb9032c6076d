"""The results of a run: its maps validated, and results.json, tables and figures written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.masks import build_footprint
from jaxscat.maps import npix_to_nside
from jaxscat.minimization.result import Result
from jaxscat.plotting import as_label, plot_ensemble, plot_summary, write_figure
from jaxscat.run.config import Config
from jaxscat.run.folder import write_json, write_table
from jaxscat.run.maps import save_run_maps
from jaxscat.run.provenance import Clock, describe_devices
from jaxscat.run.synthesis import Synthesized
from jaxscat.run.targets import treat_hidden
from jaxscat.run.verdict_context import build_verdict_context, endings_of
from jaxscat.validation import finite_or_none, gaussian_control
from jaxscat.validation.ensemble import quantity_table
from jaxscat.validation.seeds import SeedValidation, validate_seeds

METHOD = (
    "synthesis of a HEALPix map with given scattering covariances S0 to S4, by L-BFGS (jaxscat)"
)
PAPER = (
    "Delouis, Allys, Gauvrit and Boulanger 2022, Non-Gaussian modelling and statistical denoising "
    "of Planck dust polarisation full-sky maps using scattering transforms, A&A 668, A122"
)
PAPER_DOI = "10.1051/0004-6361/202244566"
DOMAIN = "cosmology: full-sky maps on HEALPix"

# Columns of history.csv before those of the terms.
HISTORY_COLUMNS = ("seed", "step", "loss", "evaluations")
_UNITS = {
    "none": "map units",
    "standardise": "standard deviations",
    "exp": "exponential of standard deviations",
    "log": "map units",
}


def write_results(
    folder: Path,
    config: Config,
    run: Synthesized,
    *,
    clock: Clock,
    stage: Callable[[str], None] = lambda name: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], SeedValidation]:
    """Validate the maps of a run and write them, their tables and their figures into its folder.

    Writes results.json, the maps (see `save_run_maps`), history.csv and summary.png; of two seeds
    or more also ensemble.csv and ensemble.png. `clock` records the seconds of "validation", `stage`
    receives the names of the stages, and `progress` the number of validated seeds and their total.
    Returns the content of results.json (see `summarize`), and the validation for the report.
    """
    seeds = list(run.made)
    with clock.measure("validation"):
        stage("validating")
        validation = validate_seeds(
            run.original,
            run.maps,
            run.pyramid,
            start_of=run.starts.__getitem__,
            mask=run.mask,
            hidden=treat_hidden(config),
            progress=progress,
        )
    stage("writing")
    reports = validation.reports
    context = build_verdict_context(config, validation, endings_of(run.made))
    results = summarize(config, run.source, run.made, reports, validation.ensemble, validation.sky)
    results |= {"unit": run.unit, "frame": run.frame, "verdict": validation.verdict(context)}
    write_json(folder / "results.json", results)
    save_run_maps(
        folder,
        run.original,
        run.starts[seeds[0]],
        run.made,
        run.mask,
        hidden=None if config.target.hidden == "include" else config.synthesis.hidden_part,
        unit=run.unit,
        frame=run.frame,
    )
    write_history(folder / "history.csv", run.made)
    _draw_summary(folder / "summary.png", config, run)
    if validation.correlations is not None:
        write_table(folder / "ensemble.csv", quantity_table(seeds, list(reports.values())))
        _draw_ensemble(folder / "ensemble.png", config, run, validation.correlations)
    return results, validation


def summarize(
    config: Config,
    source: str,
    made: Mapping[int, Result],
    reports: Mapping[int, Mapping[str, Any]],
    ensemble: Mapping[str, Any] | None = None,
    sky: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the content of results.json: the reference experiment's keys, and more beside them.

    Keys of a single map (`statistics`, `final_loss`, ...) are of the first seed; `seeds` lists all,
    and `ensemble`, if given, is the `ensemble_report` of them together; `sky` is
    there for a part of the sky only (see `describe_sky`). `elapsed_seconds` is the synthesis of
    all seeds with compilation.
    """
    device = describe_devices()
    first_map = next(iter(made.values())).map
    rows = [
        {
            "seed": seed,
            "status": result.status,
            "nsteps": int(result.steps),
            "start_loss": float(result.losses[0]),
            "final_loss": float(result.loss),
            "evaluations": int(result.evaluations[-1]),
            "compile_seconds": float(result.compile_seconds),
            "run_seconds": float(result.run_seconds),
            "statistics": reference_statistics(reports[seed]),
            "validation": reports[seed],
        }
        for seed, result in made.items()
    ]
    first = rows[0]
    return finite_or_none(
        {
            "method": METHOD,
            "original_paper": PAPER,
            "original_paper_doi": PAPER_DOI,
            "domain": DOMAIN,
            "data": source,
            "nside": npix_to_nside(first_map.size),
            "nsteps": first["nsteps"],
            "elapsed_seconds": sum(row["compile_seconds"] + row["run_seconds"] for row in rows),
            "device": f"{device['platform']}: {device['devices'][0]}",
            "precision": config.run.precision,
            "gaussianized": config.synthesis.gaussianize,
            "status": overall_status([row["status"] for row in rows], len(config.synthesis.seeds)),
            "statistics": first["statistics"],
            "start_loss": first["start_loss"],
            "final_loss": first["final_loss"],
            "evaluations": first["evaluations"],
            "compile_seconds": sum(row["compile_seconds"] for row in rows),
            "validation": first["validation"],
            "seeds": rows,
            **({} if ensemble is None else {"ensemble": ensemble}),
            **({} if sky is None else {"sky": sky}),
        }
    )


def overall_status(statuses: list[str], asked: int) -> str:
    """Choose the status of a run from those of its seeds: a failure, or else that of the first.

    A run with fewer seeds than were `asked` for was interrupted.
    """
    if len(statuses) < asked or "interrupted" in statuses:
        return "interrupted"
    return next(filter(has_diverged, statuses), statuses[0])


def has_diverged(status: str) -> bool:
    """Say whether the status of a synthesis is "not finite", with or without a named term."""
    return status.startswith("not finite")


def reference_statistics(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Select the numbers of the reference experiment from a validation report, by its names."""
    distribution = report["distribution"]
    return {
        "original_mean": distribution["mean"]["original"],
        "original_std": distribution["std"]["original"],
        "synthesized_mean": distribution["mean"]["synthesized"],
        "synthesized_std": distribution["std"]["synthesized"],
        "pixel_correlation": report["pixel_correlation"]["synthesized"],
        "power_spectrum_ratio": report["power_spectrum_ratio"]["synthesized"],
        "scattering_error_start": report["scattering_error"]["start"],
        "scattering_error_synth": report["scattering_error"]["synthesized"],
        "scattering_improvement_pct": report["scattering_improvement_pct"],
    }


def _draw_summary(path: Path, config: Config, run: Synthesized) -> None:
    first = next(iter(run.made))
    several = len(run.made) > 1
    shown = f"{len(run.made)} seeds (maps: seed {first})" if several else f"seed {first}"
    figure = plot_summary(
        run.original,
        run.starts[first],
        run.made[first].map,
        gaussian_control(run.original, footprint=build_footprint(run.mask)),
        run.made[first].losses,
        footprint=build_footprint(run.mask),
        title=as_label(format_title(run.source, run.original, shown)),
        unit=describe_unit(config, run.unit),
        ensemble=list(run.maps.values()) if several else (),
        ensemble_losses=[result.losses for result in run.made.values()] if several else (),
        terms=[result.terms for result in run.made.values()],
    )
    write_figure(path, figure)


def _draw_ensemble(path: Path, config: Config, run: Synthesized, correlations: np.ndarray) -> None:
    figure = plot_ensemble(
        run.original,
        run.maps,
        correlations,
        footprint=build_footprint(run.mask),
        title=as_label(format_title(run.source, run.original, f"{len(run.made)} seeds")),
        unit=describe_unit(config, run.unit),
    )
    write_figure(path, figure)


def format_title(source: str, original: np.ndarray, shown: str) -> str:
    """Format the title of a figure: where the original is from, its nside, and what is shown."""
    return f"{source}, nside {npix_to_nside(original.size)}, {shown}"


def describe_unit(config: Config, stated: str | None = None) -> str:
    """Describe the unit of the maps of a config, as their file has stated it if it did."""
    if config.data.transform in ("none", "log") and stated is not None:
        return as_label(stated)
    return _UNITS[config.data.transform]


def write_history(path: Path, made: Mapping[int, Result]) -> None:
    """Write the losses of every step of every seed as CSV; step 0 is the start map.

    The columns are seed, step, loss, evaluations, and one for each term of the loss.
    """
    results = list(made.values())
    terms = [result.terms for result in results]
    names = list(terms[0]) if terms else []
    lines: list[list[str | float]] = [[*HISTORY_COLUMNS, *names]]
    for seed, result, values in zip(made, results, terms, strict=True):
        losses = zip(result.losses, result.evaluations, strict=True)
        for step, (loss, count) in enumerate(losses):
            row = [seed, step, float(loss), int(count)]
            lines.append([*row, *(float(values[name][step]) for name in names)])
    write_table(path, lines)
