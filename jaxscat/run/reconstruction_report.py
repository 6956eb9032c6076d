"""Numbers, figures and the page of a reconstruction, as other rooms make them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.fields.noise import mean_levels
from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.io.archive import write_text
from jaxscat.reconstruction.channels import joint_wiener_filter
from jaxscat.reconstruction.spectra import noise_levels, observed_spectrum
from jaxscat.reconstruction.wiener import square_root_wiener_filter, wiener_filter
from jaxscat.run.config import Config
from jaxscat.run.given import Given
from jaxscat.run.reconstruction import Reconstructed
from jaxscat.validation.recovery import bins_within
from jaxscat.validation.spectra import less_noise

# In the order of the page.
FIGURES = ("summary.png", "agreement.png")
# Filters that know the spectrum of the truth, which no reconstruction does.
WIENER, SQUARE_ROOT = "wiener, true spectra", "square-root wiener, true spectra"


def assess_run(config: Config, found: Reconstructed) -> Any:
    """Compare all estimates of a run with each other, and with the truth if there is one.

    Statistics are of the gaps where there are some, or of the pixels with data. With a truth the
    filters that know its spectrum stand beside those that estimate it.
    """
    from jaxscat.validation.recovery import assess

    given, result, truth = found.given, found.result, found.truth
    single = {} if result.seeds is not None else {"reconstruction": result.map}
    return assess(
        {**result.baselines, **best_filters(config, found), **single},
        found.pyramid,
        truth=None if truth is None else truth.map,
        inside=compared_pixels(found),
        seeds=None if result.seeds is None else result.map,
        spectrum=None if truth is not None else _expected_spectrum(given),
        hidden="include" if given.gaps is not None else "exclude",
    )


def best_filters(config: Config, found: Reconstructed) -> dict[str, np.ndarray]:
    """Return the linear filters that know the spectrum of the truth; none without one."""
    given, truth = found.given, found.truth
    if truth is None or given.gaps is not None:
        return {}
    footprint = None if truth.known.all() else truth.known.astype(np.float64)
    signal = mean_levels(truth.map[None].astype(np.float64), footprint)
    if config.task.kind == "separate":
        known = {"contaminant": given.contaminant, "noise": given.noise}
        mixing = np.asarray(config.channels.mixing)
        return {WIENER: joint_wiener_filter(given.data, mixing, signal, **known)[0]}
    assert given.noise is not None
    filtered = {WIENER: wiener_filter(given.data, signal, given.noise, mask=given.mask)}
    if given.mask is None:
        filtered[SQUARE_ROOT] = square_root_wiener_filter(given.data, signal, given.noise)
    return filtered


def _expected_spectrum(given: Given) -> np.ndarray | None:
    """Return the C_l that an estimate should have, as far as data without a truth say it."""
    if given.gaps is not None:
        return observed_spectrum(given.data.astype(np.float64), (~given.gaps).astype(float))[:-1]
    if given.data.ndim > 1 or given.noise is None:
        return None
    data = given.data.astype(np.float64)
    mask = None if given.mask is None else given.mask.astype(np.float64)
    spectrum = angular_power_spectrum(data, mask)
    noise = noise_levels(given.noise, data.size, mask)
    return less_noise(spectrum, noise, bins_within(given.nside))


def compared_pixels(found: Reconstructed) -> np.ndarray | None:
    """Return the pixels [p] in which estimates are compared, boolean; None for all."""
    given, truth = found.given, found.truth
    inside = given.compared()
    if truth is not None:
        inside &= truth.known
    return None if inside.all() else inside


def describe_run(config: Config, found: Reconstructed, recovery: Any) -> list[str]:
    """Say in plain words what was won, and what the status means."""
    from jaxscat.validation.recovery import describe_recovery

    result = found.result
    # First those that are the hardest to beat.
    names = [name for name in (WIENER, SQUARE_ROOT) if name in recovery.rows]
    names = [*names, *(name for name in result.baselines if name not in names)]
    return describe_recovery(recovery, config.task.kind, result.status, names)


def compare_seeds(found: Reconstructed) -> dict[str, Any] | None:
    """Return how much the maps of several seeds agree; None for a single one."""
    if found.result.seeds is None or len(found.result.seeds) < 2:
        return None
    from jaxscat.validation.agreement import agreement

    truth = None if found.truth is None else found.truth.map
    return agreement(found.result.map, truth=truth, inside=compared_pixels(found))


def draw_run(
    folder: Path,
    config: Config,
    found: Reconstructed,
    recovery: Any,
    agreed: Mapping[str, Any] | None,
) -> None:
    """Write summary.png, and of several seeds agreement.png."""
    from jaxscat.plotting.reconstruction import save_agreement, save_reconstruction

    truth = None
    if found.truth is not None:  # elsewhere stands a mean, or what a file has for no value
        truth = np.where(found.truth.known, found.truth.map, np.nan)
    shown: Any = {"truth": truth, "inside": compared_pixels(found), "unit": found.given.unit}
    path = folder / "summary.png"
    save_reconstruction(path, config.task.kind, found.result, recovery, **shown)
    if agreed is not None:
        save_agreement(folder / "agreement.png", found.result.map, agreed, **shown)


def write_page(folder: Path, config: Config) -> None:
    """Write report.html from what the run has written into its folder."""
    from jaxscat.report.reconstruction_page import build_reconstruction_page

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    figures = {
        name.removesuffix(".png"): (folder / name).read_bytes()
        for name in FIGURES
        if (folder / name).is_file()
    }
    unit = results.get("unit")
    notes = [f"{text[:1].upper()}{text[1:]}." for text in results.get("warnings", [])]
    if unit is not None:
        notes.append(f"The maps are in {unit}, as the file of the data states.")
    page = build_reconstruction_page(
        title=f"{results['data']}, nside {results['nside']}",
        task=config.task.kind,
        lines=results["description"],
        results=results,
        recovery=results["recovery"],
        figures=figures,
        provenance=json.loads((folder / "run.json").read_text(encoding="utf-8")),
        config_text=config.to_toml(),
        chi2=join_chi2(results["seeds"]),
        agreement=results.get("agreement"),
        notes=notes,
    )
    write_text(folder / "report.html", page)


def join_chi2(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return values of all terms from results.json as `Reconstruction.chi2`: NaN after an end."""
    if len(rows) == 1:
        return {name: np.asarray(of, float) for name, of in rows[0]["chi2"].items()}
    found = {}
    for name in rows[0]["chi2"]:
        longest = max(len(row["chi2"][name]) for row in rows)
        found[name] = np.full((len(rows), longest), np.nan)
        for row, values in zip(rows, found[name], strict=True):
            values[: len(row["chi2"][name])] = row["chi2"][name]
    return found
