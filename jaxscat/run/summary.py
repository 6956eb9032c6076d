"""What results.json says: the reference experiment's keys and more beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxscat.maps import npix_to_nside
from jaxscat.minimization.result import Result as SynthesisResult
from jaxscat.run.config import Config
from jaxscat.run.provenance import describe_devices
from jaxscat.validation import finite_or_none

METHOD = (
    "synthesis of a HEALPix map with given scattering covariances S0 to S4, by L-BFGS (jaxscat)"
)
PAPER = (
    "Delouis, Allys, Gauvrit and Boulanger 2022, Non-Gaussian modelling and statistical denoising "
    "of Planck dust polarisation full-sky maps using scattering transforms, A&A 668, A122"
)
PAPER_DOI = "10.1051/0004-6361/202244566"
DOMAIN = "cosmology: full-sky maps on HEALPix"


def summarize(
    config: Config,
    source: str,
    made: Mapping[int, SynthesisResult],
    reports: Mapping[int, Mapping[str, Any]],
    ensemble: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of results.json: the reference experiment's keys, and more beside them.

    Keys of a single map (`statistics`, `final_loss`, ...) are of the first seed; `seeds` lists all,
    and `ensemble`, if given, is what `ensemble_report` says of them together.
    `elapsed_seconds` is the synthesis of all seeds with compilation.
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
        }
    )


def overall_status(statuses: list[str], asked: int) -> str:
    """The status of a run: what went wrong with any seed, or else that of the first.

    A run that did not come to all seeds that were asked for was interrupted.
    """
    if len(statuses) < asked:
        return "interrupted"
    for status in ("interrupted", "not finite"):
        if status in statuses:
            return status
    return statuses[0]


def reference_statistics(report: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of the reference experiment, under its names, out of one validation report."""
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
