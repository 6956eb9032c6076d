"""The one-point distribution of pixel values and the correlation of two maps."""

import numpy as np
from jaxtyping import Float


def pixel_moments(
    map: Float[np.ndarray, " p"], weights: Float[np.ndarray, " p"] | None = None
) -> dict[str, float]:
    """Return mean, standard deviation, extremes, skewness and excess kurtosis of pixel values.

    Mean, std, min and max are in map units; skewness and kurtosis are dimensionless (0 for a
    Gaussian). `weights` (>= 0) weight the pixels; extremes are over pixels of positive weight.
    Moments are averages, without bias correction.

    Source: `docs/conventions.md`, "Validation".
    """
    map = np.asarray(map, dtype=np.float64)
    inside = map if weights is None else map[np.asarray(weights) > 0]
    mean = np.average(map, weights=weights)
    second, third, fourth = (
        np.average((map - mean) ** power, weights=weights) for power in (2, 3, 4)
    )
    return {
        "mean": float(mean),
        "std": float(np.sqrt(second)),
        "min": float(inside.min()),
        "max": float(inside.max()),
        "skewness": float(third / second**1.5),
        "kurtosis": float(fourth / second**2 - 3.0),
    }


def pixel_correlation(
    first: Float[np.ndarray, " p"],
    second: Float[np.ndarray, " p"],
    weights: Float[np.ndarray, " p"] | None = None,
) -> float:
    """Return Pearson's correlation coefficient of two maps over pixels, optionally weighted."""
    pair = np.stack([first, second]).astype(np.float64)
    covariance = np.cov(pair, aweights=weights, ddof=0)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def wasserstein_distance(
    map: Float[np.ndarray, " p"],
    original: Float[np.ndarray, " p"],
    weights: Float[np.ndarray, " p"] | None = None,
) -> float:
    """Return the first Wasserstein distance between the pixel values of a map and the original.

    It is the mean distance by which values must move to turn one distribution into the other, in
    standard deviations of the original. `weights` (>= 0) weight the pixels of both. NaN or
    infinite if the original is constant.

    Source: `docs/conventions.md`, "Validation"; `scipy.stats.wasserstein_distance`.
    """
    map, original = np.asarray(map, np.float64), np.asarray(original, np.float64)
    mean = np.average(original, weights=weights)
    spread = np.sqrt(np.average((original - mean) ** 2, weights=weights))
    if weights is None:
        distance = np.mean(np.abs(np.sort(map) - np.sort(original)))
    else:
        from scipy import stats  # loads slowly, so not at import

        distance = stats.wasserstein_distance(map, original, weights, weights)
    return float(distance / spread)
