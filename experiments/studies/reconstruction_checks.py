"""Data for which a reconstruction should find nothing, or is told something wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

import jaxscat
from experiments.studies import reconstruction_cases as cases
from jaxscat.validation import validate
from jaxscat.validation.recovery import assess

# Distances of a validation that see what is not Gaussian.
NOT_GAUSSIAN = ("skewness", "kurtosis", "V0", "V1", "V2", "peaks", "minima", "cross_skewness")
LEVELS = (0.9, 1.0, 1.1)


def check_noise_alone(pyramid: jaxscat.Pyramid, seeds: Sequence[int]) -> dict[str, Any]:
    """Denoise white noise: how much of its variance is left, and how it ends."""
    nside = pyramid.spec.nside
    noise = jaxscat.GaussianNoise.white(1.0, nside)
    left, status = [], []
    for seed in seeds:
        data = np.random.default_rng(seed).standard_normal(pyramid.spec.npix)
        result = jaxscat.denoise(data, pyramid, noise)
        left.append(float(np.var(result.map) / np.var(data)))
        status.append(result.status)
    return {"share of the variance": left, "status": status}


def check_gaussian_signal(pyramid: jaxscat.Pyramid, seeds: Sequence[int]) -> dict[str, Any]:
    """Denoise a Gaussian signal: distances from it, in units of the controls' scatter.

    A distance of the result beyond that of its Gaussian controls by more than two of their standard
    deviations would be structure that was invented.
    """
    truth = cases.build_truth("gaussian", pyramid.spec.nside)
    found: dict[str, list[float]] = {name: [] for name in NOT_GAUSSIAN}
    status = []
    for seed in seeds:
        data, noise = cases.add_noise("white", truth, 1.0, seed)
        result = jaxscat.denoise(data, pyramid, noise)
        status.append(result.status)
        report = validate(truth, result.map, pyramid=pyramid)
        for name in NOT_GAUSSIAN:
            row = report["distances"][name]
            beyond = (row["synthesized"] - row["gaussian"]) / row["gaussian_std"]
            found[name].append(float(beyond))
    return {"beyond the controls": found, "status": status}


def check_wrong_level(
    truth: Float[np.ndarray, " p"], pyramid: jaxscat.Pyramid, seeds: Sequence[int]
) -> dict[str, Any]:
    """Denoise with a noise whose standard deviation is said to be too small or too large."""
    rows: dict[str, Any] = {}
    for level in LEVELS:
        each = []
        for seed in seeds:
            data, _ = cases.add_noise("white", truth, 1.0, seed)
            noise = jaxscat.GaussianNoise.white(level, pyramid.spec.nside)
            result = jaxscat.denoise(data, pyramid, noise)
            row = assess({"jaxscat": result.map}, pyramid, truth=truth).rows["jaxscat"]
            each.append({**row, "status": result.status, "chi2": result.chi2["scattering"]})
        rows[f"{level:g}"] = {
            "errors": {name: float(np.mean([one[name] for one in each])) for name in _ERRORS},
            "power_ratio": np.mean([one["power_ratio"] for one in each], axis=0).tolist(),
            "status": [one["status"] for one in each],
            "chi2 at the end": [float(one["chi2"][-1]) for one in each],
        }
    return rows


def check_ensemble(
    truth: Float[np.ndarray, " p"], pyramid: jaxscat.Pyramid, seed: int, solutions: int = 8
) -> dict[str, Any]:
    """Compare the mean of several solutions with each of them, and with a single one."""
    data, noise = cases.add_noise("white", truth, 1.0, seed)
    single = jaxscat.denoise(data, pyramid, noise)
    several = jaxscat.denoise(data, pyramid, noise, seeds=solutions)
    residuals = [_residual(map, truth) for map in several.map]
    return {
        "residual of a single solution": _residual(single.map, truth),
        "residual of each": residuals,
        "residual of the mean": _residual(several.mean, truth),
        "rms spread": float(np.sqrt(np.mean(several.spread**2)) / truth.std()),
        "status": list(several.status),
    }


_ERRORS = ("S1", "S2", "S3", "S4", "residual")


def _residual(map: Float[np.ndarray, " p"], truth: Float[np.ndarray, " p"]) -> float:
    return float(np.sqrt(np.mean((map - truth) ** 2)) / truth.std())
