"""The quantities of one map that validation compares with the original."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxscat.harmonics.spectra import harmonic_coefficients
from jaxscat.maps import cover_hidden
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.validation.coupling import band_maps, coupling_difference, cross_skewness
from jaxscat.validation.distribution import (
    pixel_correlation,
    pixel_moments,
    wasserstein_distance,
)
from jaxscat.validation.morphology import LEVELS, Minkowski, minkowski_functionals
from jaxscat.validation.peaks import (
    MINIMUM_LEVELS,
    PEAK_LEVELS,
    count_difference,
    minimum_counts,
    peak_counts,
)
from jaxscat.validation.reference import Reference
from jaxscat.validation.scattering import measure_on_host
from jaxscat.validation.spectra import binned_correlation, binned_ratio, mean_ratio
from jaxscat.validation.tails import fractions_beyond, tail_means

# Bins of the power spectrum below have too few modes to be significant.
_LOWEST_MULTIPOLE = 9
# Bins with a smaller fraction of the largest bin's power are empty, except for pixel noise.
_MINIMUM_POWER = 1e-4
# Counts of a whole sky below scatter too much.
ENOUGH = 40


class Description(NamedTuple):
    """The quantities of one map, including its correlation with the original.

    Attributes:
        moments: see `pixel_moments`.
        tails: mean of the faintest and of the brightest pixels (see `tail_means`).
        beyond: fractions of the pixels below the original's minimum and above its maximum.
        density: probability density of the pixel values in the histogram bins of the reference.
        pixel_correlation: correlation with the original over the pixels.
        wasserstein: see `wasserstein_distance`.
        spectrum: C_l, in map units squared.
        mean_ratio: see `mean_ratio`.
        ratios: ratio of power to the original's in every bin of the reference.
        correlations: correlation with the original in every range of the reference.
        minkowski: Minkowski functionals at `LEVELS`.
        peaks: number of local maxima above each of `PEAK_LEVELS`.
        minima: number of local minima below each of `MINIMUM_LEVELS`.
        coupling: cross-skewness of the bands of the reference.
        statistics: scattering covariances.
    """

    moments: dict[str, float]
    tails: tuple[float, float]
    beyond: tuple[float, float]
    density: Float[np.ndarray, " stretches"]
    pixel_correlation: float
    wasserstein: float
    spectrum: Float[np.ndarray, " l"]
    mean_ratio: float
    ratios: list[float]
    correlations: list[float]
    minkowski: Minkowski
    peaks: Int[np.ndarray, " thresholds"]
    minima: Int[np.ndarray, " thresholds"]
    coupling: Float[np.ndarray, "bands bands"]
    statistics: ScatteringCovariance


def describe(map: Float[np.ndarray, " p"], reference: Reference) -> Description:
    """Measure the quantities of one NESTED map [p], float64 and already checked.

    What it holds outside the footprint does not matter, unless scattering covariances include it.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy  # loads matplotlib, so not at import

    footprint, original = reference.footprint, reference.original
    statistics = measure_on_host(map, reference.measurement)
    if footprint is not None:
        map = cover_hidden(map, footprint)
    harmonics = harmonic_coefficients(map, footprint)
    spectrum, power = healpy.alm2cl(harmonics), healpy.alm2cl(reference.harmonics)
    bands = band_maps(harmonics, reference.nside, reference.bands)
    return Description(
        moments=pixel_moments(map, footprint),
        tails=tail_means(map, footprint),
        beyond=fractions_beyond(map, reference.moments["min"], reference.moments["max"], footprint),
        density=_density(map, reference),
        pixel_correlation=pixel_correlation(map, original, footprint),
        wasserstein=wasserstein_distance(map, original, footprint),
        spectrum=spectrum if footprint is None else spectrum / np.mean(np.square(footprint)),
        mean_ratio=mean_ratio(spectrum, power),
        ratios=binned_ratio(spectrum, power, reference.bins),
        correlations=binned_correlation(harmonics, reference.harmonics, reference.ranges),
        minkowski=minkowski_functionals(map, reference.thresholds(LEVELS), footprint),
        peaks=peak_counts(map, reference.thresholds(PEAK_LEVELS), footprint),
        minima=minimum_counts(map, reference.thresholds(MINIMUM_LEVELS), footprint),
        coupling=cross_skewness(bands, footprint),
        statistics=statistics,
    )


def distances(
    made: Description, original: Description, reference: Reference, *, share: float = 1.0
) -> dict[str, float]:
    """Return the distances of a map from the original in quantities that are not in the loss.

    All are dimensionless, and NaN if undefined: `power_spectrum`, root mean square of (ratio of
    power - 1) over the non-empty bins with l >= 9; `wasserstein`; `skewness` and `kurtosis`,
    absolute differences; `V0`, maximum difference of the area fraction over thresholds; `V1` and
    `V2`, maximum difference of boundary and Euler characteristic, relative to the maximum of the
    original; `peaks` and `minima`, maximum relative difference of cumulative counts where the
    original has at least 40; `cross_skewness`, root mean square difference over pairs of bands.
    `share` is the fraction of the sky that both are of: of half a sky, 20 are enough.

    Source: `docs/conventions.md`, "Validation".
    """
    ratios = np.asarray(made.ratios)[filled_bins(original, reference)]
    made_shape, shape = made.minkowski, original.minkowski
    return {
        "power_spectrum": float(np.sqrt(np.mean((ratios - 1.0) ** 2))) if ratios.size else np.nan,
        "wasserstein": made.wasserstein,
        "skewness": abs(made.moments["skewness"] - original.moments["skewness"]),
        "kurtosis": abs(made.moments["kurtosis"] - original.moments["kurtosis"]),
        "V0": float(np.abs(made_shape.area - shape.area).max()),
        "V1": _largest(made_shape.boundary, shape.boundary),
        "V2": _largest(made_shape.euler, shape.euler),
        "peaks": count_difference(made.peaks, original.peaks, round(ENOUGH * share)),
        "minima": count_difference(made.minima, original.minima, round(ENOUGH * share)),
        "cross_skewness": coupling_difference(made.coupling, original.coupling),
    }


def filled_bins(original: Description, reference: Reference) -> Bool[np.ndarray, " bins"]:
    """Return which bins of multipoles have enough modes, and more power than pixel noise.

    They begin at l = 9 or above, and have at least 1e-4 of the power of the fullest bin.
    """
    modes = 2 * np.arange(original.spectrum.size) + 1
    powers = [np.sum((modes * original.spectrum)[low : high + 1]) for low, high in reference.bins]
    enough = np.array([low >= _LOWEST_MULTIPOLE for low, _ in reference.bins], dtype=bool)
    return enough & (np.array(powers) > _MINIMUM_POWER * max(powers, default=0.0))


def _largest(curve: Float[np.ndarray, " n"], of_original: Float[np.ndarray, " n"]) -> float:
    return float(np.abs(curve - of_original).max() / np.abs(of_original).max())


def _density(map: Float[np.ndarray, " p"], reference: Reference) -> Float[np.ndarray, " stretches"]:
    """Density over all pixels, also those outside the stretches, which are in none."""
    weights = np.ones(map.size) if reference.footprint is None else reference.footprint
    counts, edges = np.histogram(map, bins=reference.edges, weights=weights)
    return counts / (weights.sum() * np.diff(edges))
