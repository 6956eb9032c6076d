"""Comparison of the maps of several seeds with each other and with the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxscat.validation.gaussian import CONTROLS
from jaxscat.validation.rows import finite_or_none, iterate_rows

_CONTROL_COLUMNS = [column for kind in CONTROLS for column in (kind, f"{kind}_std")]
# A mean correlation above this multiple of the chance level is a copy.
_COPIED = 3.0
# Probability of three standard deviations to one side.
_SELDOM = 1 / 741
# If that multiple of the chance level is larger than this, the test is inconclusive.
_TELLING = 0.3
# Of many ranges and runs, chance alone takes one beyond any threshold, by a correlation that is
# small: a map with this one shares a hundredth of its variance with the original.
_SMALLEST = 0.1
# Number of pixels of all maps that are converted to float64 at a time.
_PIXELS = 2**16


class Pair(NamedTuple):
    """Two rows of a correlation matrix and their correlation coefficient."""

    first: int
    second: int
    correlation: float


def correlation_matrix(
    maps: Sequence[Float[np.ndarray, " p"]], weights: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, "maps maps"]:
    """Return Pearson's correlation coefficients of all pairs of maps over pixels.

    `weights` (>= 0) weight the pixels, also in the mean that is subtracted; what maps hold where
    they are zero does not matter. Rows and columns of
    constant maps are NaN. Computed in float64.

    Source: `docs/conventions.md`, "Ensembles".
    """
    inside = np.ones(len(maps[0]), dtype=bool) if weights is None else np.asarray(weights) > 0
    share = None if weights is None else np.asarray(weights)[inside]
    means = [np.average(np.asarray(map, np.float64)[inside], weights=share) for map in maps]
    products = np.zeros((len(maps), len(maps)))
    for begin in range(0, len(maps[0]), _PIXELS):
        part = slice(begin, begin + _PIXELS)
        centred = np.stack([np.asarray(map[part], np.float64) for map in maps])
        centred = np.where(inside[part], centred - np.array(means)[:, None], 0.0)
        products += (centred if weights is None else centred * weights[part]) @ centred.T
    spread = np.sqrt(np.diagonal(products))
    with np.errstate(divide="ignore", invalid="ignore"):
        return products / (spread[:, None] * spread)


def largest_correlation(matrix: Float[np.ndarray, "maps maps"]) -> Pair:
    """Return the pair of different maps with the largest |correlation|, ignoring NaN.

    Raises `ValueError` for fewer than two maps.
    """
    if len(matrix) < 2:
        raise ValueError(f"matrix: got {len(matrix)} map, expected two or more")
    return _largest(matrix, *np.triu_indices(len(matrix), k=1))


def largest_with_first(matrix: Float[np.ndarray, "maps maps"]) -> Pair:
    """Return the pair of the first map (the original) and another of largest |correlation|."""
    others = np.arange(1, len(matrix))
    return _largest(matrix, np.zeros_like(others), others)


def quantity_scatter(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Summarize every row of the validation reports over seeds: mean, scatter and percentiles.

    Each entry has the `group`, `name` and `sees` of the row; the value of the `original`; for
    correlations the `chance` level of one map; the `tolerance` of what has one; for the controls,
    `gaussian` and `filtered`, the mean and the scatter of a single one (`gaussian_std`,
    `filtered_std`); over the synthesized
    maps `mean`, `std` (with n - 1 in the denominator), `percentile_16`, `percentile_50` and
    `percentile_84` (linear interpolation), all in the unit of the row; the number of `seeds` with
    a value; and for distances, `separation`: by how many standard deviations of the controls of
    each kind these are farther from the original than the synthesized maps. Undefined values are
    None.

    Source: `docs/conventions.md`, "Ensembles".
    """
    entries = []
    for rows in zip(*map(iterate_rows, reports), strict=True):
        found = [row.values["synthesized"] for row in rows]
        values = np.array([value for value in found if value is not None], dtype=np.float64)
        percentiles = np.percentile(values, [16, 50, 84]) if len(values) else np.full(3, np.nan)
        first = rows[0]
        mean = float(values.mean()) if len(values) else np.nan
        entries.append(
            {
                "group": first.group,
                "name": first.name,
                "sees": first.sees,
                "original": first.values.get("original"),
                "chance": first.values.get("chance"),
                "tolerance": first.values.get("tolerance"),
                **{column: first.values.get(column) for column in _CONTROL_COLUMNS},
                "mean": mean,
                "std": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                "percentile_16": float(percentiles[0]),
                "percentile_50": float(percentiles[1]),
                "percentile_84": float(percentiles[2]),
                "seeds": len(values),
                "separation": {
                    kind: _separation(first.values, kind, mean)
                    for kind in CONTROLS
                    if first.group == "distances" and kind in first.values
                },
            }
        )
    return finite_or_none(entries)


def copy_test(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Test whether maps copy the original, by their mean correlation with it in ranges of l.

    Each entry has the range, `l_min` and `l_max`; the `mean` over maps; `by_chance`, the standard
    deviation of the mean of as many independent Gaussian maps; `scatter`, the standard deviation
    over maps (None for one map); and `copied`: True if the magnitude of the mean exceeds three
    times `by_chance` and 0.1, below which a map shares less than a hundredth of its variance with
    the original; False if it does not although 0.3 would, None if the test is inconclusive.
    Maps that follow the original up to their sign have no mean: `rms` is the root mean square
    correlation, and `aligned` whether it is above 0.3 and larger than it is by chance once in 741
    cases; None if it cannot be.

    Source: `docs/conventions.md`, "Ensembles".
    """
    entries = []
    for ranges in zip(*(report["correlation_ranges"] for report in reports), strict=True):
        found = [range["correlation"]["synthesized"] for range in ranges]
        values = np.array([np.nan if value is None else value for value in found])
        chance = ranges[0]["chance"]
        by_chance = np.nan if chance is None else chance / np.sqrt(len(values))
        mean = float(values.mean())
        copied = None
        if np.isfinite(mean) and abs(mean) > max(_COPIED * by_chance, _SMALLEST):
            copied = True
        elif np.isfinite(mean) and _COPIED * by_chance <= _TELLING:
            copied = False
        rms, largest = float(np.sqrt(np.mean(values**2))), _largest_rms(chance, len(values))
        entries.append(
            {
                "l_min": ranges[0]["l_min"],
                "l_max": ranges[0]["l_max"],
                "mean": mean,
                "by_chance": float(by_chance),
                "scatter": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                "copied": copied,
                "rms": rms,
                "chance": np.nan if chance is None else chance,
                "aligned": (
                    rms > max(largest, _TELLING) if np.isfinite(rms) and largest < 1 else None
                ),
            }
        )
    return finite_or_none(entries)


def _largest_rms(chance: float | None, count: int) -> float:
    """Return the root mean square correlation of `count` maps that chance seldom exceeds.

    The square of the cosine of two random directions in n = 1 / chance^2 dimensions has the mean
    1 / n and the variance 2 (n - 1) / n^2 (n + 2); its mean over maps is about gamma distributed.
    """
    from scipy.special import gammainccinv

    if chance is None or not 0 < chance < 1:
        return np.inf
    dimensions = chance**-2
    shape = count * (dimensions + 2) / (2 * (dimensions - 1))
    return float(chance * np.sqrt(gammainccinv(shape, _SELDOM) / shape))


def ensemble_report(
    seeds: Sequence[int],
    reports: Sequence[Mapping[str, Any]],
    correlations: Float[np.ndarray, "maps maps"],
) -> dict[str, Any]:
    """Return the report on several seeds together, ready for JSON.

    `correlations` is the correlation matrix of the original and one map per seed, in that order;
    `reports` are the reports on the seeds. The result has

    - `seeds`;
    - `pixel_correlation`: the `matrix` and the names of its rows (`maps`), and the pairs with the
      largest |correlation|, `largest_between_seeds` and `largest_with_original`;
    - `quantities`: see `quantity_scatter`;
    - `copies`: see `copy_test`.

    Undefined values are None. Raises `ValueError` for fewer than two seeds or a matrix of another
    size.

    Source: `docs/conventions.md`, "Ensembles".
    """
    seeds = [int(seed) for seed in seeds]
    if len(seeds) < 2 or len(reports) != len(seeds):
        raise ValueError(
            f"reports: got {len(reports)} for {len(seeds)} seeds, expected two or more"
        )
    if correlations.shape != (len(seeds) + 1, len(seeds) + 1):
        raise ValueError(
            f"correlations: got shape {correlations.shape}, expected a row for the original "
            f"and for each of {len(seeds)} seeds"
        )
    between, with_original = (
        largest_correlation(correlations[1:, 1:]),
        largest_with_first(correlations),
    )
    return finite_or_none(
        {
            "seeds": seeds,
            "pixel_correlation": {
                "maps": ["ORIGINAL", *(f"SEED_{seed}" for seed in seeds)],
                "matrix": correlations.tolist(),
                "largest_between_seeds": {
                    "seeds": [seeds[between.first], seeds[between.second]],
                    "correlation": between.correlation,
                },
                "largest_with_original": {
                    "seed": seeds[with_original.second - 1],
                    "correlation": with_original.correlation,
                },
            },
            "quantities": quantity_scatter(reports),
            "copies": copy_test(reports),
        }
    )


def quantity_table(
    seeds: Sequence[int], reports: Sequence[Mapping[str, Any]]
) -> list[list[str | float | None]]:
    """Return the table of all rows of the validation reports, with one column per seed.

    The first line is the header: quantity, original, chance (of correlations), mean and scatter of
    the controls (gaussian, gaussian_std, filtered, filtered_std), SEED_<n>. Undefined values are
    None.
    """
    given = ["original", "chance", *_CONTROL_COLUMNS]
    lines: list[list[str | float | None]] = [
        ["quantity", *given, *(f"SEED_{seed}" for seed in seeds)]
    ]
    for rows in zip(*map(iterate_rows, reports), strict=True):
        made = [row.values["synthesized"] for row in rows]
        lines.append([rows[0].name, *(rows[0].values.get(column) for column in given), *made])
    return lines


def _separation(values: Mapping[str, float | None], kind: str, mean: float) -> float | None:
    control, scatter = values[kind], values[f"{kind}_std"]
    if control is None or not scatter:
        return None
    return float((control - mean) / scatter)


def _largest(
    matrix: Float[np.ndarray, "maps maps"],
    rows: Int[np.ndarray, " pairs"],
    columns: Int[np.ndarray, " pairs"],
) -> Pair:
    found = matrix[rows, columns]
    at = np.argmax(np.nan_to_num(np.abs(found), nan=-1.0))
    return Pair(int(rows[at]), int(columns[at]), float(found[at]))
