"""The results of a reconstruction in its folder: results.json, maps, table and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscat.io.maps import save_maps
from jaxscat.io.precision import large_mean
from jaxscat.maps import UNSEEN
from jaxscat.reconstruction.result import MEANING, Reconstruction
from jaxscat.run.config import Config
from jaxscat.run.folder import write_json, write_table
from jaxscat.run.given import Given, Truth
from jaxscat.run.provenance import Clock, creator, describe_devices
from jaxscat.run.reconstruction import Reconstructed
from jaxscat.run.reconstruction_report import assess_run, compare_seeds, describe_run, draw_run
from jaxscat.run.results import DOMAIN, PAPER, PAPER_DOI
from jaxscat.run.simulated import describe_simulation
from jaxscat.validation import finite_or_none

METHODS = {
    "denoise": "denoising of a HEALPix map by its scattering covariance (jaxscat)",
    "inpaint": "filling of gaps in a HEALPix map by its scattering covariance (jaxscat)",
    "separate": "separation of HEALPix channels by the scattering covariance (jaxscat)",
}
HISTORY = ("renewal", "seed", "term", "chi2")
# The worst first: a run is as its worst seed.
_WORST = (
    *("interrupted", "not finite", "no progress", "renewal limit"),
    *("no signal", "renewals done", "converged", "start accepted"),
)


def write_reconstruction(
    folder: Path,
    config: Config,
    found: Reconstructed,
    *,
    clock: Clock,
    stage: Callable[[str], None] = lambda name: None,
    warned: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare a reconstruction with its truth, and write all but the report into its folder.

    Args:
        folder: of the run.
        config: the settings.
        found: the reconstruction.
        clock: records the seconds of "validation".
        stage: receives the names of the stages.
        warned: texts of warnings so far, to which the comparison may add.

    Returns:
        content of results.json.

    Raises:
        OSError: the folder cannot be written.
    """
    with clock.measure("validation"):
        stage("comparing")
        recovery = assess_run(config, found)
        agreed = compare_seeds(found)
    stage("writing")
    results = summarize_reconstruction(config, found)
    results |= {"recovery": recovery.to_json()}
    results |= {} if agreed is None else {"agreement": agreed}
    said = [*describe_simulation(config), *describe_run(config, found, recovery)]
    results |= {"description": said} | ({"warnings": list(warned)} if warned else {})
    results = finite_or_none(results)
    write_json(folder / "results.json", results)
    save_reconstruction_maps(folder / "maps.fits", found.given, found.truth, found.result)
    write_chi2(folder / "history.csv", found.result)
    draw_run(folder, config, found, recovery, agreed)
    return results


def summarize_reconstruction(config: Config, found: Reconstructed) -> dict[str, Any]:
    """Return what results.json says of a reconstruction itself."""
    given, result = found.given, found.result
    device = describe_devices()
    rows = [describe_solution(seed, one) for seed, one in solutions(result).items()]
    status = overall_status([row["status"] for row in rows])
    return {
        "task": config.task.kind,
        "method": METHODS[config.task.kind],
        "original_paper": PAPER,
        "original_paper_doi": PAPER_DOI,
        "domain": DOMAIN,
        "data": given.source,
        "nside": given.nside,
        "unit": given.unit,
        "frame": given.frame,
        "status": status,
        "meaning": MEANING[status],
        "elapsed_seconds": result.compile_seconds + result.run_seconds,
        "compile_seconds": result.compile_seconds,
        "run_seconds": result.run_seconds,
        "device": f"{device['platform']}: {device['devices'][0]}",
        "precision": config.run.precision,
        "truth": found.truth is not None,
        "sky_fraction": _sky_fraction(given),
        "evaluations": sum(row["evaluations"] for row in rows),
        "chi2": rows[0]["chi2"],
        "seeds": rows,
    }


def solutions(result: Reconstruction) -> dict[int | None, Reconstruction]:
    """Return the solutions of a reconstruction by their seeds; None for the only one."""
    if result.seeds is None:
        return {None: result}
    return {seed: result.of_seed(seed) for seed in result.seeds}


def overall_status(statuses: list[str]) -> str:
    """Choose the status of a run: the worst of those of its solutions."""
    return min(statuses, key=_WORST.index)


def write_chi2(path: Path, result: Reconstruction) -> None:
    """Write the value of every term of every seed right after each renewal as CSV."""
    lines: list[list[Any]] = [list(HISTORY)]
    for seed, one in solutions(result).items():
        for term, values in one.chi2.items():
            lines += [[at, seed, term, float(value)] for at, value in enumerate(values)]
    write_table(path, lines)


def save_reconstruction_maps(
    path: Path, given: Given, truth: Truth | None, result: Reconstruction
) -> None:
    """Write the maps of a reconstruction as columns of one file, NESTED.

    The columns are DATA (of channels CHANNEL_1, ... and their combination COMBINED), RECONSTRUCTION
    (of several seeds RECONSTRUCTION_<seed>, and their MEAN), the baselines by their names,
    CONTAMINANT, TRUTH, and MASK or GAPS. DATA and TRUTH are UNSEEN where there are none. Of column
    <k> the keywords SEED<k> and STATUS<k> say of which seed it is and how that ended.
    """
    columns = _data_columns(given)
    header = creator()
    for seed, one in solutions(result).items():
        suffix = "" if seed is None else f"_{seed}"
        columns[f"RECONSTRUCTION{suffix}"] = one.map
        number = len(columns)
        header[f"STATUS{number}"] = str(one.status)
        header |= {} if seed is None else {f"SEED{number}": seed}
    if result.seeds is not None:
        columns["MEAN"] = result.mean
    for name, baseline in result.baselines.items():
        if name != "data":
            columns[name.upper().replace(" ", "_").replace("-", "_")] = baseline
        elif given.data.ndim > 1:
            columns["COMBINED"] = baseline
    for seed, one in solutions(result).items():
        if one.contaminant is not None:
            columns["CONTAMINANT" if seed is None else f"CONTAMINANT_{seed}"] = one.contaminant
    if truth is not None:
        columns["TRUTH"] = _shown(truth.map, truth.known)
    units = dict.fromkeys(columns, given.unit)
    if given.mask is not None:
        columns["MASK"] = given.mask
    if given.gaps is not None:
        columns["GAPS"] = given.gaps.astype(np.float64)
    save_maps(
        path,
        columns,
        header=header,
        units=units,
        frame=given.frame,
        dtype="float64" if any(map(large_mean, np.atleast_2d(given.data))) else "float32",
    )


def _data_columns(given: Given) -> dict[str, np.ndarray]:
    if given.data.ndim > 1:
        return {f"CHANNEL_{number}": map for number, map in enumerate(given.data, start=1)}
    known = np.ones(given.data.shape, bool)
    if given.mask is not None:
        known &= given.mask > 0
    if given.gaps is not None:
        known &= ~given.gaps
    return {"DATA": _shown(given.data, known)}


def _shown(map: np.ndarray, known: np.ndarray) -> np.ndarray:
    return map if known.all() else np.where(known, map, np.asarray(UNSEEN, map.dtype))


def _sky_fraction(given: Given) -> float:
    """Return which part of the sky has data."""
    if given.gaps is not None:
        return float(np.mean(~given.gaps))
    return 1.0 if given.mask is None else float(np.mean(given.mask > 0))


def describe_solution(seed: int | None, one: Reconstruction) -> dict[str, Any]:
    """Return what results.json says of one solution."""
    chi2: Mapping[str, Any] = one.chi2
    return {
        **({} if seed is None else {"seed": seed}),
        "status": str(one.status),
        "meaning": MEANING[str(one.status)],
        "evaluations": int(np.asarray(one.evaluations)),
        "renewals": max((max(len(values) - 1, 0) for values in chi2.values()), default=0),
        "chi2": {name: [float(value) for value in values] for name, values in chi2.items()},
    }
