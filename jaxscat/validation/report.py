"""One report on one new map: the same rows for it, for its start and for a Gaussian control."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.maps import check_map, check_mask, nside_of
from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.spectra import harmonic_coefficients
from jaxscat.validation.distribution import pixel_correlation, pixel_moments
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.scattering import measure_on_host, relative_errors, scattering_error
from jaxscat.validation.spectra import (
    binned_correlation,
    binned_ratio,
    mean_ratio,
    multipole_bins,
)

Map = Float[np.ndarray, " p"]


def validate(
    original: Map,
    synthesized: Map,
    *,
    pyramid: Pyramid | None = None,
    start: Map | None = None,
    gaussian: Map | None = None,
    mask: Float[np.ndarray, "*M p"] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare a synthesized NESTED map with its original; the result goes to JSON as it is.

    Every row has an entry for `synthesized`, for `start` (if given) and for `gaussian`, the
    control with the right power spectrum (made with `seed` if not given), because a power
    spectrum alone must not look like success:

    - `distribution`: mean, std, min, max (map units), skewness, excess kurtosis; also `original`.
    - `pixel_correlation` with the original.
    - `power_spectrum_ratio`: mean over all l >= 2 of C_l / C_l of the original.
    - `power_spectrum_bins`: per logarithmic bin `l_min`, `l_max`, the `ratio` of power and the
      `correlation` with the original (near one at low l: the map copies the original there).
    - `scattering`: for each of S1, S2, S3, S4 the rms difference over the rms of the original's.
    - `scattering_error`: mean squared difference of S1 over the mean square of the original's; and
      `scattering_improvement_pct` = 100 (1 - synthesized / start), if `start` is given.

    All maps are [p] with the pyramid's nside; without a `pyramid` the default one is built for
    the original. With a `mask` ([p] or [M p]) scattering covariances
    are those of the masks; everything else is computed inside their union. Numbers that do not
    exist (a skewness of a constant map, say) are None.

    Raises `ValueError` when a map or the mask has another number of pixels or is not finite and
    real, or when the mask is negative or without weight.

    Source: `docs/conventions.md`, "Validation".
    """
    if pyramid is None:
        pyramid = build_pyramid(nside_of(np.size(original), name="original"))
    nside = pyramid.spec.nside
    named = {"original": original, "start": start, "gaussian": gaussian, "synthesized": synthesized}
    maps = {
        name: check_map(map, name=name, nside=nside, allow_constant=True).astype(np.float64)
        for name, map in named.items()
        if map is not None
    }
    footprint = None
    if mask is not None:
        mask = check_mask(mask, maps["original"].size).astype(np.float64)
        footprint = np.atleast_2d(mask).max(axis=0)
    if gaussian is None:
        maps["gaussian"] = gaussian_control(maps["original"], seed=seed, footprint=footprint)
    original = maps.pop("original")

    # What divides by the spread or the power of a constant map is NaN here and None in the end.
    with np.errstate(divide="ignore", invalid="ignore"):
        report = _pixel_rows(original, maps, footprint)
        report |= _spectral_rows(original, maps, nside, footprint)
        report |= _scattering_rows(original, maps, pyramid, mask)
    return finite_or_none(report)


def _pixel_rows(original: Map, others: dict[str, Map], footprint: Any) -> dict[str, Any]:
    everything = {"original": original, **others}
    moments = {name: pixel_moments(map, footprint) for name, map in everything.items()}
    return {
        "distribution": {
            row: {name: moments[name][row] for name in moments} for row in moments["original"]
        },
        "pixel_correlation": {
            name: pixel_correlation(map, original, footprint) for name, map in others.items()
        },
    }


def _spectral_rows(
    original: Map, others: dict[str, Map], nside: int, footprint: Any
) -> dict[str, Any]:
    import healpy  # loads matplotlib, so not at import

    reference = harmonic_coefficients(original, footprint)
    power = healpy.alm2cl(reference)
    bins = multipole_bins(nside)
    mean, ratios, correlations = {}, {}, {}
    for name, map in others.items():
        harmonics = harmonic_coefficients(map, footprint)
        spectrum = healpy.alm2cl(harmonics)
        mean[name] = mean_ratio(spectrum, power)
        ratios[name] = binned_ratio(spectrum, power, bins)
        correlations[name] = binned_correlation(harmonics, reference, bins)
    rows = [
        {
            "l_min": low,
            "l_max": high,
            "ratio": {name: ratios[name][index] for name in others},
            "correlation": {name: correlations[name][index] for name in others},
        }
        for index, (low, high) in enumerate(bins)
    ]
    return {"power_spectrum_ratio": mean, "power_spectrum_bins": rows}


def _scattering_rows(
    original: Map, others: dict[str, Map], pyramid: Pyramid, mask: Any
) -> dict[str, Any]:
    target = measure_on_host(original, pyramid, mask)
    measured = {name: measure_on_host(map, pyramid, mask) for name, map in others.items()}
    errors = {name: relative_errors(value, target) for name, value in measured.items()}
    single = {name: scattering_error(value, target) for name, value in measured.items()}
    rows: dict[str, Any] = {
        "scattering": {
            row: {name: errors[name][row] for name in others} for row in errors["synthesized"]
        },
        "scattering_error": single,
    }
    if "start" in single:
        gain = 1.0 - np.divide(single["synthesized"], single["start"])
        rows["scattering_improvement_pct"] = float(100.0 * gain)
    return rows


def finite_or_none(tree: Any) -> Any:
    """The same dicts and lists with None for every float that is not finite: JSON has no NaN."""
    if isinstance(tree, dict):
        return {key: finite_or_none(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [finite_or_none(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree
