"""How far two skies of the same kind differ: the tolerance of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.validation.coupling import band_maps, cross_skewness
from jaxscat.validation.description import Description, distances, filled_bins
from jaxscat.validation.distribution import pixel_moments
from jaxscat.validation.morphology import LEVELS, minkowski_functionals
from jaxscat.validation.part_statistics import statistics_of_halves
from jaxscat.validation.parts import balanced_halves
from jaxscat.validation.peaks import MINIMUM_LEVELS, PEAK_LEVELS, minimum_counts, peak_counts
from jaxscat.validation.reference import Reference
from jaxscat.validation.scattering import GROUPS, by_scale, errors_by_scale, relative_errors
from jaxscat.validation.spectra import chance_correlation
from jaxscat.validation.tails import tail_means

# Standard deviations that a tolerance is wide.
_WIDTH = 2.0
Halves = Sequence[tuple[ScatteringCovariance, ScatteringCovariance]]
_CURVES = ("power_ratio", "V0", "V1", "V2", "peaks", "minima", "density")


@dataclass(frozen=True)
class Tolerance:
    """How far a second sky of the original's kind would be from it, in nineteen of twenty cases.

    Attributes:
        distances: of the entries of `distances` (see `jaxscat.validation.description`).
        tails: of the mean of the faintest and of the brightest pixels, in standard deviations of
            the original.
        errors: of the relative errors of S1 to S4; empty without controls.
        errors_by_scale: the same for every scale.
        curves: of every place of the curves (see `build_curves`) that have one.
    """

    distances: Mapping[str, float]
    tails: tuple[float, float]
    errors: Mapping[str, float]
    errors_by_scale: Mapping[str, Float[np.ndarray, " scales"]]
    curves: Mapping[str, Float[np.ndarray, " places"]]

    def error_at(self, name: str, scale: int) -> float | None:
        """Return the tolerance of the relative error of a group at a scale; None if unknown."""
        found = self.errors_by_scale.get(name)
        return None if found is None else float(found[scale])


def build_tolerance(
    reference: Reference,
    original: Description,
    controls: Mapping[str, Sequence[Description]],
) -> Tolerance:
    """Measure the tolerance of a comparison.

    What is measured in pixels, and the power in bins, has it from halves of the original; S1 to S4
    from halves, too, and at least that from pairs of Gaussian controls, the wider one of the two
    kinds, times the ratio by which the power of the original scatters more than a Gaussian map's.

    Args:
        reference: the original.
        original: its quantities.
        controls: those of the Gaussian controls of each kind.

    Source: `docs/conventions.md`, "Tolerance".
    """
    powers = [band**2 for band in band_maps(reference.harmonics, reference.nside, reference.bins)]
    whole = [np.average(power, weights=reference.footprint) for power in powers]
    bands = band_maps(reference.harmonics, reference.nside, reference.bands)
    found: dict[str, list[float]] = {name: [] for name in distances(original, original, reference)}
    tails, curves = [], {name: [] for name in _CURVES}
    for weights in balanced_halves(reference.original.size, reference.footprint):
        first, second = (
            _describe_half(reference, original, half, powers, whole, bands) for half in weights
        )
        for name, value in _between(first, second, weights, reference).items():
            found[name].append(value)
        tails.append(np.subtract(first.tails, second.tails) / reference.moments["std"])
        for name in _CURVES:
            curves[name].append(_curve(first, name) - _curve(second, name))
    # The variance of what is between halves is twice that of what is between skies.
    of_curves = {
        name: _WIDTH * np.sqrt(np.mean(np.square(rows), axis=0) / 2)
        if rows
        else np.full_like(_curve(original, name), np.nan, dtype=np.float64)
        for name, rows in curves.items()
    }
    at_least = [
        2 * chance_correlation(original.spectrum, low, high, reference.footprint)
        for low, high in reference.bins
    ]
    gaussian = _WIDTH * np.array(at_least)
    more = (of_curves["power_ratio"] / gaussian)[filled_bins(original, reference)]
    wider = max(float(np.sqrt(np.mean(more**2))), 1.0) if more.size else 1.0
    of_curves["power_ratio"] = np.maximum(of_curves["power_ratio"], gaussian)
    halves: Halves = []
    # Two pairs of controls at least: halves of coarse grids alone are too much alike.
    if any(len(of_kind) > 2 for of_kind in controls.values()):
        halves = statistics_of_halves(reference)
    errors, by_scales = _errors(original.statistics, controls, wider, halves)
    of_curves |= _scattering_curves(controls, wider, halves)
    both = np.abs(np.reshape(tails, (-1, 2))) / np.sqrt(2)
    of_controls = _tails_of_controls(original, controls, reference.moments["std"])
    return Tolerance(
        {name: _reach(np.array(values) / np.sqrt(2)) for name, values in found.items()},
        (
            float(np.fmax(_reach(both[:, 0]), of_controls[0])),
            float(np.fmax(_reach(both[:, 1]), of_controls[1])),
        ),
        errors,
        by_scales,
        of_curves,
    )


def _reach(values: Float[np.ndarray, " n"]) -> float:
    """Return what nineteen of twenty values are below, if they are about Gaussian."""
    if values.size < 2:
        return np.nan
    return float(values.mean() + _WIDTH * values.std(ddof=1))


def _tails_of_controls(
    original: Description, controls: Mapping[str, Sequence[Description]], spread: float
) -> Float[np.ndarray, " 2"]:
    """Return the tolerance of both tails as Gaussian controls have it; NaN for other tails.

    It holds for a tail that is like theirs, within three of their standard deviations: a sharp end
    of the histogram scatters less.
    """
    found = np.full(2, np.nan)
    for of_kind in controls.values():
        if len(of_kind) < 2:
            continue
        tails = np.array([one.tails for one in of_kind])
        width = tails.std(axis=0, ddof=1)
        alike = np.abs(original.tails - tails.mean(axis=0)) <= 3 * width
        found = np.fmax(found, np.where(alike, _WIDTH * np.sqrt(2) * width / spread, np.nan))
    return found


def _describe_half(
    reference: Reference,
    original: Description,
    weights: Float[np.ndarray, " p"],
    powers: Sequence[Float[np.ndarray, " p"]],
    whole: Sequence[float],
    bands: Float[np.ndarray, "bands p"],
) -> Description:
    """Measure a half, with its mean taken to that of the original.

    Counts are of the half alone; the ratios of power are to its means over the whole sky, `whole`.
    """
    mean = np.average(reference.original, weights=weights)
    map = reference.original + (reference.moments["mean"] - mean)
    counts, edges = np.histogram(map, bins=reference.edges, weights=weights)
    return original._replace(
        moments=pixel_moments(map, weights),
        tails=tail_means(map, weights),
        density=counts / (weights.sum() * np.diff(edges)),
        ratios=[
            float(np.average(power, weights=weights) / mean_power)
            for power, mean_power in zip(powers, whole, strict=True)
        ],
        minkowski=minkowski_functionals(map, reference.thresholds(LEVELS), weights),
        peaks=peak_counts(map, reference.thresholds(PEAK_LEVELS), weights),
        minima=minimum_counts(map, reference.thresholds(MINIMUM_LEVELS), weights),
        coupling=cross_skewness(bands, weights),
    )


def _between(
    first: Description,
    second: Description,
    weights: tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]],
    reference: Reference,
) -> dict[str, float]:
    """Return the distances between two halves."""
    widths = np.diff(reference.edges)
    apart = np.cumsum((first.density - second.density) * widths)
    ratios = 1.0 + np.subtract(first.ratios, second.ratios)
    one = first._replace(
        ratios=ratios.tolist(),
        wasserstein=float(np.sum(np.abs(apart) * widths) / reference.moments["std"]),
    )
    return distances(one, second, reference, share=0.5)


def _curve(half: Description, name: str) -> Float[np.ndarray, " places"]:
    """Return a curve of a half as that of a sky with twice its counts."""
    shape = half.minkowski
    return {
        "power_ratio": np.array(half.ratios),
        "V0": shape.area,
        "V1": shape.boundary,
        "V2": 2 * shape.euler,
        "peaks": 2.0 * half.peaks,
        "minima": 2.0 * half.minima,
        "density": half.density,
    }[name]


def _errors(
    original: ScatteringCovariance,
    controls: Mapping[str, Sequence[Description]],
    wider: float,
    halves: Halves,
) -> tuple[dict[str, float], dict[str, Float[np.ndarray, " scales"]]]:
    """Return the tolerance of relative errors, at all scales together and at each."""
    pairs = [
        (wider, list(combinations([one.statistics for one in of_kind], 2)))
        for of_kind in controls.values()
    ]
    whole: dict[str, float] = {}
    single: dict[str, Float[np.ndarray, " scales"]] = {}
    for factor, of_kind in [*pairs, (1 / np.sqrt(2), halves)]:
        if len(of_kind) < 2:
            continue
        together = [relative_errors(*pair, of=original) for pair in of_kind]
        apart = [errors_by_scale(*pair, of=original) for pair in of_kind]
        for name in GROUPS:
            values = factor * np.array([errors[name] for errors in together])
            whole[name] = max(whole.get(name, 0.0), _reach(values))
            rows = factor * np.array([errors[name] for errors in apart])
            reach = rows.mean(axis=0) + _WIDTH * rows.std(axis=0, ddof=1)
            single[name] = np.maximum(single.get(name, 0.0), reach)
    return whole, single


def _scattering_curves(
    controls: Mapping[str, Sequence[Description]], wider: float, halves: Halves
) -> dict[str, Float[np.ndarray, " scales"]]:
    found: dict[str, Float[np.ndarray, " scales"]] = {}
    for name in GROUPS:
        widths = [
            wider
            * np.sqrt(2)
            * np.std([by_scale(one.statistics, name) for one in of_kind], axis=0, ddof=1)
            for of_kind in controls.values()
            if len(of_kind) > 1
        ]
        if halves:
            apart = [by_scale(one, name) - by_scale(other, name) for one, other in halves]
            widths.append(np.sqrt(np.mean(np.square(apart), axis=0) / 2))
        if widths:
            found[name] = _WIDTH * np.max(widths, axis=0)
    return found
