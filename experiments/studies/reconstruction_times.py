"""Seconds that reconstructions take, compiled before, and those of an ensemble beside one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxscat
from experiments.studies import reconstruction_cases as cases

SOLUTIONS = 8


def measure_times(pyramid: jaxscat.Pyramid, seed: int, repeats: int) -> dict[str, Any]:
    """Time reconstructions of the exponential map, one after the other, several times.

    Args:
        pyramid: operators for the nside to measure.
        seed: of noise and gaps.
        repeats: number of rounds, of which medians are returned.
    """
    nside = pyramid.spec.nside
    truth = cases.build_truth("exp", nside)
    data, noise = cases.add_noise("white", truth, 1.0, seed)
    gaps = cases.build_gaps("discs", nside, seed)
    filled = np.where(gaps, np.nan, truth)
    calls: dict[str, Callable[[], Any]] = {
        "denoise": lambda: jaxscat.denoise(data, pyramid, noise),
        "denoise, one of an ensemble": lambda: jaxscat.denoise(data, pyramid, noise, seeds=1),
        f"denoise, {SOLUTIONS} solutions": lambda: jaxscat.denoise(
            data, pyramid, noise, seeds=SOLUTIONS
        ),
        "inpaint": lambda: jaxscat.inpaint(filled, pyramid, gaps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    evaluations = {name: np.asarray(call().evaluations).tolist() for name, call in calls.items()}
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    of_ensemble = np.divide(
        seconds[f"denoise, {SOLUTIONS} solutions"], seconds["denoise, one of an ensemble"]
    )
    return {
        "seconds": {name: float(np.median(of)) for name, of in seconds.items()},
        "evaluations": evaluations,
        "ensemble over one": float(np.median(of_ensemble)),
    }
