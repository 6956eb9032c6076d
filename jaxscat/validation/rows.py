"""The rows of a validation report as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# Meaning of each row, by its group and, where rows of a group differ, its key.
SEES: Mapping[str, str] = {
    "distribution": "Moments and extremes of the pixel values, without regard to where they are.",
    "extremes": "The tails of the histogram: a thousandth of the pixels (at least ten), and how "
    "many are beyond the original's range.",
    "pixel_correlation": "Whether bright pixels are where the original's are; it hides copies of "
    "large scales, which have few modes.",
    "correlation_ranges": "The copy test: how much of the original's own structure the map has at "
    "these scales; independent maps are within twice the chance level in 19 of 20 cases.",
    "power_spectrum_ratio": "Whether there is the right power on average over all multipoles, "
    "also those where the original has next to none.",
    "power_spectrum_bins": "Power in each bin of multipoles over the original's.",
    "distances.power_spectrum": "Deviations of the power spectrum in shape: bins with l >= 9.",
    "distances.wasserstein": "How far values would have to be moved to get the original's "
    "histogram, in standard deviations.",
    "distances.skewness": "Asymmetry of the histogram.",
    "distances.kurtosis": "Weight of the tails of the histogram.",
    "distances.V0": "The fraction of the sky above each of eleven thresholds.",
    "distances.V1": "The length of the contours: how rough the map is.",
    "distances.V2": "How many more islands than holes there are at each threshold: topology.",
    "distances.peaks": "How many local maxima rise above each height: clumps.",
    "distances.minima": "How many local minima fall below each depth: voids.",
    "distances.cross_skewness": "Whether the power of one scale follows the field of another.",
    "scattering": "Coefficients that a synthesis may have been made to have, at all scales; "
    "of a target that leaves out coarse scales, S3 and S4 are free there. The verdict goes by the "
    "scales that count, each by itself (scattering_scales in validation.json, and the figure).",
    "scattering_error": "S1 alone, squared, as in the reference experiment.",
    "scattering_improvement_pct": "How much closer S1 is than that of the start.",
}

_DISTANCES = {
    "power_spectrum": "C_l, rms over bins with l >= 9",
    "wasserstein": "Wasserstein distance, in std",
    "skewness": "skewness, difference",
    "kurtosis": "kurtosis, difference",
    "V0": "V0 (area), largest difference",
    "V1": "V1 (contours), largest relative difference",
    "V2": "V2 (Euler characteristic), largest relative difference",
    "peaks": "peaks, largest relative difference",
    "minima": "minima, largest relative difference",
    "cross_skewness": "cross-skewness of bands, rms",
}

_EXTREMES = {
    "faintest": "mean of the faintest 0.1 %",
    "brightest": "mean of the brightest 0.1 %",
    "below": "fraction below the original's min",
    "above": "fraction above the original's max",
}


class Row(NamedTuple):
    """One quantity of a report.

    Attributes:
        group: key of the report that contains the quantity.
        name: unique name in tables.
        values: values by map ("original", "start", "synthesized"; for the controls the means
            "gaussian" and "filtered" and the scatter of a single one, "gaussian_std" and
            "filtered_std"; for correlations "chance"; for what has one, the "tolerance"), None if
            undefined.
        sees: meaning of the quantity, in one sentence.
    """

    group: str
    name: str
    values: Mapping[str, float | None]
    sees: str


def iterate_rows(report: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of a report of `validate` on one map."""

    def row(group: str, name: str, values: Mapping[str, float | None], key: str = "") -> Row:
        return Row(group, name, values, SEES[f"{group}.{key}" if key else group])

    for name, values in report["distribution"].items():
        yield row("distribution", name, values)
    for key, values in report.get("extremes", {}).items():
        yield row("extremes", _EXTREMES[key], values)
    yield row("pixel_correlation", "pixel correlation", report["pixel_correlation"])
    for range in report["correlation_ranges"]:
        values = {**range["correlation"], "chance": range["chance"]}
        yield row("correlation_ranges", f"correlation, {format_multipoles(range)}", values)
    yield row("power_spectrum_ratio", "C_l ratio, mean over l >= 2", report["power_spectrum_ratio"])
    for bin in report["power_spectrum_bins"]:
        yield row("power_spectrum_bins", f"C_l ratio, {format_multipoles(bin)}", bin["ratio"])
    for key, values in report["distances"].items():
        yield row("distances", _DISTANCES[key], values, key)
    for name, values in report["scattering"].items():
        yield row("scattering", f"{name} relative error", values)
    single = "scattering coefficient error (S1, squared)"
    yield row("scattering_error", single, report["scattering_error"])
    gain = "scattering_improvement_pct"
    if gain in report:
        yield row(gain, "improvement of S1 on the start, percent", {"synthesized": report[gain]})


def finite_or_none(tree: Any) -> Any:
    """Replace NaN and infinity in nested dicts and lists by None, since JSON has neither."""
    if isinstance(tree, dict):
        return {key: finite_or_none(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [finite_or_none(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree


def format_multipoles(range: Mapping[str, Any]) -> str:
    """Format the multipoles of a range or a bin, from `l_min` to `l_max`."""
    low, high = range["l_min"], range["l_max"]
    return f"l = {low}" if low == high else f"l = {low} to {high}"
