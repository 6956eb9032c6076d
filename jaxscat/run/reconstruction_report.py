"""Numbers, figures and the page of a reconstruction, as other rooms make them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.archive import write_text
from jaxscat.run.config import Config
from jaxscat.run.reconstruction import Reconstructed

# In the order of the page.
FIGURES = ("summary.png", "agreement.png")


def assess_run(found: Reconstructed) -> Any:
    """Compare all estimates of a run with each other, and with the truth if there is one.

    Statistics are of the gaps where there are some, or of the pixels with data.
    """
    from jaxscat.validation.recovery import assess

    result, truth = found.result, found.truth
    estimates = dict(result.baselines)
    seeds = None
    if result.seeds is None:
        estimates["reconstruction"] = result.map
    else:
        seeds = result.map
        estimates["mean"] = result.mean
    return assess(
        estimates,
        found.pyramid,
        truth=None if truth is None else truth.map,
        inside=compared_pixels(found),
        seeds=seeds,
    )


def compared_pixels(found: Reconstructed) -> np.ndarray | None:
    """Return the pixels [p] in which estimates are compared, boolean; None for all."""
    given, truth = found.given, found.truth
    inside = np.ones(given.data.shape[-1], bool)
    if given.gaps is not None:
        inside &= given.gaps
    if given.mask is not None:
        inside &= given.mask > 0
    if truth is not None:
        inside &= truth.known
    return None if inside.all() or not inside.any() else inside


def describe_run(config: Config, found: Reconstructed, recovery: Any) -> list[str]:
    """Say in plain words what was won, and what the status means."""
    from jaxscat.validation.recovery import describe_recovery

    result = found.result
    return describe_recovery(recovery, config.task.kind, result.status, result.baselines)


def compare_seeds(found: Reconstructed) -> dict[str, Any] | None:
    """Return how much the maps of several seeds agree; None for a single one."""
    if found.result.seeds is None or len(found.result.seeds) < 2:
        return None
    from jaxscat.validation.agreement import agreement

    truth = None if found.truth is None else found.truth.map
    return agreement(found.result.map, truth=truth)


def draw_run(
    folder: Path,
    config: Config,
    found: Reconstructed,
    recovery: Any,
    agreed: Mapping[str, Any] | None,
) -> None:
    """Write summary.png, and of several seeds agreement.png."""
    from jaxscat.plotting.reconstruction import save_agreement, save_reconstruction

    truth = None if found.truth is None else found.truth.map
    save_reconstruction(
        folder / "summary.png",
        config.task.kind,
        found.result,
        recovery,
        truth=truth,
        inside=compared_pixels(found),
        unit=found.given.unit,
    )
    if agreed is not None:
        save_agreement(folder / "agreement.png", found.result.map, dict(agreed), truth=truth)


def write_page(folder: Path, config: Config) -> None:
    """Write report.html from what the run has written into its folder."""
    from jaxscat.report.page import render_report

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    figures = {
        name.removesuffix(".png"): (folder / name).read_bytes()
        for name in FIGURES
        if (folder / name).is_file()
    }
    page = render_report(
        title=f"{results['data']}, nside {results['nside']}, {config.task.kind}",
        results=results,
        validation={},
        figures=figures,
        provenance=json.loads((folder / "run.json").read_text(encoding="utf-8")),
        notes=results["description"],
        config_text=config.to_toml(),
    )
    write_text(folder / "report.html", page)
