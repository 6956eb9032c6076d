"""The results of a run of polarized maps: validated, and written into its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.fields.field_starts import gaussian_fields
from jaxscat.io.archive import write_bytes, write_text
from jaxscat.io.masks import build_footprint
from jaxscat.plotting import (
    as_label,
    figure_png,
    plot_field_coefficients,
    plot_polarization,
    plot_validation,
)
from jaxscat.report.polarization_page import build_polarization_page
from jaxscat.run.config import Config
from jaxscat.run.folder import write_json, write_table
from jaxscat.run.polarized_inputs import Fields
from jaxscat.run.polarized_maps import save_polarized_maps
from jaxscat.run.polarized_notes import polarized_notes
from jaxscat.run.polarized_synthesis import PolarizedSynthesis
from jaxscat.run.provenance import Clock, describe_devices
from jaxscat.run.results import (
    DOMAIN,
    PAPER,
    PAPER_DOI,
    format_title,
    overall_status,
    write_history,
)
from jaxscat.run.targets import treat_hidden
from jaxscat.validation import finite_or_none, gaussian_control
from jaxscat.validation.field_words import describe_fields
from jaxscat.validation.fields import FIRST_CONTROL, FieldsValidation, validate_fields

METHOD = (
    "synthesis of polarized HEALPix maps with given scattering covariances of several fields and "
    "their pairs, by L-BFGS (jaxscat)"
)


def write_polarized(
    folder: Path,
    config: Config,
    found: PolarizedSynthesis,
    *,
    clock: Clock,
    observer: Any,
) -> tuple[dict[str, Any], Callable[[Path], None]]:
    """Validate the polarized maps of a run, and write all but the page into its folder.

    Writes results.json, validation.json, the maps (see `save_polarized_maps`), history.csv,
    ensemble.csv, summary.png, coefficients.png and, for every field, validation_<field>.png.

    Args:
        folder: of the run.
        config: the settings.
        found: the maps.
        clock: records the seconds of "validation".
        observer: hears of the stages and of the seeds that are validated.

    Returns:
        content of results.json, and the function that writes report.html into a folder.

    Raises:
        OSError: the folder cannot be written.
    """
    with clock.measure("validation"):
        observer.stage("validating")
        validation = validate_fields(
            found.inputs.originals,
            {seed: result.map for seed, result in found.made.items()},
            found.pyramid,
            target=found.target,
            start_of=found.starts.__getitem__,
            mask=found.inputs.mask,
            hidden=treat_hidden(config),
            lmax=found.inputs.lmax,
            progress=observer.building,
        )
    observer.stage("writing")
    results = summarize_polarized(config, found, validation)
    write_json(folder / "results.json", results)
    write_json(folder / "validation.json", validation.as_json())
    write_table(folder / "ensemble.csv", validation.as_table())
    seeds = list(found.made)
    save_polarized_maps(
        folder,
        found.inputs,
        dict(found.starts[seeds[0]]),
        {seed: result.map for seed, result in found.made.items()},
        {seed: str(result.status) for seed, result in found.made.items()},
        hidden=None if config.target.hidden == "include" else config.synthesis.hidden_part,
    )
    write_history(folder / "history.csv", found.made)
    figures = draw_polarized(config, found, validation)
    for name, picture in figures.items():
        write_bytes(folder / f"{name}.png", picture)

    def write_page(folder: Path) -> None:
        page = build_polarization_page(
            title=_title(found),
            lines=results["description"],
            results=results,
            validation=validation.as_json(),
            figures=figures,
            provenance=json.loads((folder / "run.json").read_text(encoding="utf-8")),
            config_text=config.to_toml(),
            notes=polarized_notes(config, found, validation),
        )
        write_text(folder / "report.html", page)

    return results, write_page


def summarize_polarized(
    config: Config, found: PolarizedSynthesis, validation: FieldsValidation
) -> dict[str, Any]:
    """Build the content of results.json of polarized maps."""
    device = describe_devices()
    rows = [
        {
            "seed": seed,
            "status": str(result.status),
            "nsteps": int(result.steps),
            "start_loss": float(result.losses[0]),
            "final_loss": float(result.loss),
            "written_loss": found.written_losses[seed],
            "evaluations": int(result.evaluations[-1]),
            "compile_seconds": float(result.compile_seconds),
            "run_seconds": float(result.run_seconds),
        }
        for seed, result in found.made.items()
    ]
    first, content = rows[0], validation.as_json()
    return finite_or_none(
        {
            "task": "polarization",
            "method": METHOD,
            "original_paper": PAPER,
            "original_paper_doi": PAPER_DOI,
            "domain": DOMAIN,
            "data": found.inputs.source,
            "nside": found.inputs.nside,
            "lmax": found.inputs.lmax,
            "unit": found.inputs.unit,
            "frame": found.inputs.frame,
            "polarization_convention": "COSMO",
            "notes": list(found.inputs.notes),
            "pairs_of_target": list(found.target.mean.keys()),
            "parity": found.target.parity,
            "nsteps": first["nsteps"],
            "elapsed_seconds": sum(row["compile_seconds"] + row["run_seconds"] for row in rows),
            "compile_seconds": sum(row["compile_seconds"] for row in rows),
            "device": f"{device['platform']}: {device['devices'][0]}",
            "precision": config.run.precision,
            "status": overall_status([row["status"] for row in rows], len(config.synthesis.seeds)),
            "start_loss": first["start_loss"],
            "final_loss": first["final_loss"],
            "written_loss": first["written_loss"],
            "evaluations": first["evaluations"],
            "seeds": rows,
            **({} if content["sky"] is None else {"sky": content["sky"]}),
            "description": describe_fields(validation),
            "fields": content["fields"],
            "pairs": content["pairs"],
        }
    )


def draw_polarized(
    config: Config, found: PolarizedSynthesis, validation: FieldsValidation
) -> dict[str, bytes]:
    """Draw the summary of polarized maps, and the validation of every field, as PNG by name."""
    inputs = found.inputs
    footprint = build_footprint(inputs.mask)
    control = gaussian_fields(inputs.originals, FIRST_CONTROL, footprint=footprint)
    control = inputs.limit(control)
    summary = plot_polarization(
        _with_stokes(found, inputs.originals),
        {seed: _with_stokes(found, result.map) for seed, result in found.made.items()},
        control=_with_stokes(found, control),
        lmax=inputs.lmax,
        footprint=footprint,
        title=as_label(_title(found)),
        unit=as_label(inputs.unit or "map units"),
    )
    coefficients = plot_field_coefficients(
        validation.statistics,
        form=validation.form,
        title=as_label(_title(found)),
        unit=as_label(inputs.unit or "map units"),
    )
    pictures = {"summary": figure_png(summary), "coefficients": figure_png(coefficients)}
    losses = [result.losses for result in found.made.values()]
    for name, one in validation.fields.items():
        reference = one.comparison.reference
        figure = plot_validation(
            one,
            reference.original,
            {seed: result.map[name] for seed, result in found.made.items()},
            gaussian_control(reference.original, footprint=reference.footprint),
            losses,
            title=as_label(f"{name} of {_title(found)}"),
            footprint=reference.footprint,
            unit=as_label(inputs.unit or "map units"),
        )
        pictures[f"validation_{name}"] = figure_png(figure)
    return pictures


def _with_stokes(found: PolarizedSynthesis, fields: Mapping[str, np.ndarray]) -> Fields:
    """Return fields with the Q and U of E and B beside them."""
    stokes = found.inputs.stokes(dict(fields))
    return {**fields, "Q": stokes["Q"], "U": stokes["U"]}


def _title(found: PolarizedSynthesis) -> str:
    seeds = list(found.made)
    shown = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    first = next(iter(found.inputs.fields.values()))
    return format_title(found.inputs.source, first, shown)
