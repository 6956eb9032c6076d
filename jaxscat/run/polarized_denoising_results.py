"""The results of a denoising of polarized maps in its folder: numbers, tables, figure, page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.io.archive import write_bytes, write_text
from jaxscat.plotting import as_label, figure_png
from jaxscat.plotting.field_recovery import plot_field_recovery
from jaxscat.plotting.recovery_panels import label_of
from jaxscat.reconstruction.result import MEANING
from jaxscat.reconstruction.template_filter import best_wiener_filter
from jaxscat.report.field_recovery_page import build_field_recovery_page
from jaxscat.run.config import Config
from jaxscat.run.folder import write_json, write_table
from jaxscat.run.polarized_denoising import PolarizedDenoising
from jaxscat.run.polarized_denoising_checks import UNKNOWN
from jaxscat.run.polarized_denoising_maps import save_denoised_maps
from jaxscat.run.polarized_inputs import Fields
from jaxscat.run.provenance import Clock, describe_devices
from jaxscat.run.reconstruction_results import (
    describe_solution,
    overall_status,
    solutions,
    write_chi2,
)
from jaxscat.run.results import DOMAIN, PAPER, PAPER_DOI
from jaxscat.run.simulated import describe_simulation
from jaxscat.validation import finite_or_none
from jaxscat.validation.field_recovery import FieldRecovery, assess_fields
from jaxscat.validation.field_recovery_words import describe_field_recovery
from jaxscat.validation.recovery import bins_within
from jaxscat.validation.spectra import less_noise

METHOD = (
    "denoising of polarized HEALPix maps by the scattering covariances of E, B and T and their "
    "pairs (jaxscat)"
)
TERM = "scattering"
# Filters that know the spectrum of the truth, which no reconstruction does.
WIENER, WIENER_T = "wiener, true spectra", "wiener with T, true spectra"


def write_polarized_denoising(
    folder: Path,
    config: Config,
    found: PolarizedDenoising,
    *,
    clock: Clock,
    stage: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Any], Callable[[Path], None]]:
    """Compare denoised maps with their truth, and write all but the page into a folder.

    Writes results.json, recovery.csv, the maps (see `save_denoised_maps`), history.csv and
    summary.png.

    Args:
        folder: of the run.
        config: the settings.
        found: the estimates.
        clock: records the seconds of "validation".
        stage: receives the names of the stages.

    Returns:
        content of results.json, and the function that writes report.html into a folder.

    Raises:
        OSError: the folder cannot be written.
    """
    with clock.measure("validation"):
        stage("comparing")
        recovery = assess_denoised(found)
    stage("writing")
    results = summarize_denoised(config, found, recovery)
    write_json(folder / "results.json", results)
    write_table(folder / "recovery.csv", recovery.as_table())
    save_denoised_maps(folder, found)
    write_chi2(folder / "history.csv", found.result.stacked)
    picture = draw_denoised(found, recovery)
    write_bytes(folder / "summary.png", picture)

    def write_page(folder: Path) -> None:
        page = build_field_recovery_page(
            title=_title(found),
            lines=results["description"],
            results=results,
            figures={"summary": picture},
            provenance=json.loads((folder / "run.json").read_text(encoding="utf-8")),
            config_text=config.to_toml(),
            chi2=found.result.chi2,
            notes=_notes(found),
        )
        write_text(folder / "report.html", page)

    return results, write_page


def assess_denoised(found: PolarizedDenoising) -> FieldRecovery:
    """Compare all estimates of a run with each other, and with the truth if there is one.

    With a truth the Wiener filter that knows its spectra stands beside those that estimate them.
    """
    given = found.given
    data, single = found.estimates["data"], {}
    estimates = {name: of for name, of in found.estimates.items() if name != "reconstruction"}
    if found.seeds is None:
        single = {"reconstruction": found.estimates["reconstruction"]}
    levels = {name: given.noise.levels_of(name) for name in UNKNOWN}
    expected = None
    if given.truth is None:
        bins = bins_within(given.inputs.nside, given.inputs.lmax)
        expected = {
            name: less_noise(angular_power_spectrum(data[name]), levels[name], bins)
            for name in UNKNOWN
        }
    return assess_fields(
        {**estimates, **best_filter(found), **single},
        found.pyramid,
        truth=given.truth,
        known=given.templates,
        seeds=found.seeds,
        noise={name: of[:-1] for name, of in levels.items()},
        expected=expected,
        lmax=given.inputs.lmax,
    )


def best_filter(found: PolarizedDenoising) -> dict[str, Fields]:
    """Return the Wiener filter that knows the spectra of the truth, with T if that is known."""
    given, truth = found.given, found.given.truth
    if truth is None:
        return {}
    template = None
    if given.templates is not None:
        t = given.templates["T"].astype(np.float64)
        template = (t - t.mean())[None]
    data = found.estimates["data"]
    filtered = {
        name: best_wiener_filter(data[name], truth[name], given.noise.levels_of(name), template)
        for name in UNKNOWN
    }
    return {WIENER if given.templates is None else WIENER_T: filtered}


def summarize_denoised(
    config: Config, found: PolarizedDenoising, recovery: FieldRecovery
) -> dict[str, Any]:
    """Build the content of results.json."""
    inputs, result = found.given.inputs, found.result
    device = describe_devices()
    stacked = result.stacked
    rows = [describe_solution(seed, one) for seed, one in solutions(stacked).items()]
    status = overall_status([row["status"] for row in rows])
    return finite_or_none(
        {
            "task": config.task.kind,
            "method": METHOD,
            "original_paper": PAPER,
            "original_paper_doi": PAPER_DOI,
            "domain": DOMAIN,
            "data": inputs.source,
            "nside": inputs.nside,
            "lmax": inputs.lmax,
            "unit": inputs.unit,
            "frame": inputs.frame,
            "polarization_convention": "COSMO",
            "notes": list(inputs.notes),
            "pairs_of_target": list(found.pairs),
            "template": found.given.templates is not None,
            "status": status,
            "meaning": MEANING[status],
            "elapsed_seconds": stacked.compile_seconds + stacked.run_seconds,
            "compile_seconds": stacked.compile_seconds,
            "run_seconds": stacked.run_seconds,
            "device": f"{device['platform']}: {device['devices'][0]}",
            "precision": config.run.precision,
            "truth": found.given.truth is not None,
            "evaluations": sum(row["evaluations"] for row in rows),
            "chi2": rows[0]["chi2"],
            "seeds": rows,
            "recovery": recovery.to_json(),
            "description": [
                *describe_simulation(config),
                *describe_field_recovery(
                    recovery,
                    result.status,
                    result.chi2.get(TERM, np.array([])),
                    baselines_of(found),
                    pairs=found.pairs,
                ),
            ],
        }
    )


def baselines_of(found: PolarizedDenoising) -> list[str]:
    """Return the names of the estimates to compare with, the hardest to beat first."""
    known = "" if found.given.templates is None else " with T"
    best = f"wiener{known}" if found.given.truth is None else f"wiener{known}, true spectra"
    return [best, f"square-root wiener{known}", "data"]


def draw_denoised(found: PolarizedDenoising, recovery: FieldRecovery) -> bytes:
    """Draw the skies and curves of a run as PNG."""
    inputs = found.given.inputs
    skies = {} if found.given.truth is None else {"truth": found.given.truth}
    first = found.estimates.get("reconstruction")
    name = "reconstruction"
    if first is None and found.seeds is not None:
        first = {field: maps[0] for field, maps in found.seeds.items()}
        name += f" (seed {(found.result.seeds or (0,))[0]})"
    assert first is not None
    baseline = "wiener" if found.given.templates is None else "wiener with T"
    shown = {"data": found.estimates["data"], name: first}
    if not skies:  # noise would be the scale of all colours
        shown = dict(reversed(shown.items()))
    skies |= shown | {label_of(baseline): found.estimates[baseline]}
    known = found.given.templates or {}
    rows = {
        title: {**known, **fields, **_qu(inputs.stokes({**known, **fields}))}
        for title, fields in skies.items()
    }
    figure = plot_field_recovery(
        rows,
        recovery,
        found.result.chi2,
        pairs=found.pairs,
        title=as_label(_title(found)),
        unit=inputs.unit or "map units",
    )
    return figure_png(figure)


def _qu(stokes: Fields) -> Fields:
    return {name: stokes[name] for name in "QU"}


def _title(found: PolarizedDenoising) -> str:
    inputs = found.given.inputs
    return f"{inputs.source}, nside {inputs.nside}: denoising of E and B"


def _notes(found: PolarizedDenoising) -> list[str]:
    """List what the file has said, and what is taken for granted."""
    inputs = found.given.inputs
    notes = [f"{note[:1].upper()}{note[1:]}." for note in inputs.notes]
    if inputs.unit is not None:
        notes.append(f"The maps are in {inputs.unit}, as the file of the data states.")
    if found.given.templates is not None:
        notes.append("T is taken as free of noise: what it has of noise would go into TE and TB.")
    notes.append(
        f"E and B have multipoles up to {inputs.lmax}, in the data and in all estimates: what is "
        "beyond was left out."
    )
    return notes
