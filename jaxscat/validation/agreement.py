"""Where several solutions agree with one another, and with the truth."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.harmonics.spectra import harmonic_coefficients, multipole_bins
from jaxscat.maps import check_finite, check_mask, npix_to_nside, to_real
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.spectra import binned_correlation, chance_correlation

# Correlations of two solutions and of one with the truth that differ by less are called alike.
_CALIBRATED = 0.1
# Solutions are called alike above this correlation, and above so many times what chance gives.
_ALIKE, _BY_CHANCE = 0.5, 2.0


def agreement(
    maps: Float[np.ndarray, "B p"],
    *,
    truth: Float[np.ndarray, " p"] | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
) -> dict[str, Any]:
    """Compare several solutions of one problem with one another.

    At scales at which solutions agree, the data tell where structures are; at scales at which they
    do not, only their statistics are known. If solutions are draws from all that is possible, the
    truth is like one of them: the correlation of two of them is then that of one with the truth.

    Args:
        maps: NESTED maps of two or more solutions.
        truth: what they are solutions for.
        inside: pixels that count, such as gaps.

    Returns:
        for JSON: "solutions" (their number); "bins", each with "l_min", "l_max", "pairs" (mean
        correlation of two solutions), "chance" (standard deviation of the correlation of two
        independent maps that have the mean spectrum of the solutions),
        "single" and "mean" (correlation of a solution, on average, and of their mean with the
        truth); "spread", the rms over pixels of their standard deviation; "std", that of a single
        one; "residual_single" and "residual_mean", rms differences from the truth. All rms are in
        the unit of the maps. What needs the truth is None without one.

    Raises:
        ValueError: fewer than two maps, or maps, truth or `inside` of different or bad sizes.

    Source: `docs/reconstruction.md`, "Comparison".
    """
    solutions = to_real(maps, name="maps").astype(np.float64)
    if solutions.ndim != 2 or len(solutions) < 2:
        raise ValueError(
            f"maps: got shape {solutions.shape}, expected two solutions or more (B, npix)"
        )
    check_finite(solutions, name="maps")
    nside = npix_to_nside(solutions.shape[1], name="maps")
    seen = np.ones(solutions.shape[1], bool)
    footprint = None
    if inside is not None:
        seen = check_mask(inside, seen.size, name="inside") > 0
        footprint = seen.astype(np.float64)
    best = None
    if truth is not None:
        best = to_real(truth, name="truth").astype(np.float64)
        if best.shape != seen.shape:
            raise ValueError(f"truth: got shape {best.shape}, expected {seen.shape} as one map")
        check_finite(best, name="truth")
    bins = multipole_bins(nside, per_octave=1)
    mean = solutions.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN for constant maps
        harmonics = [harmonic_coefficients(map, footprint) for map in solutions]
        pairs = np.mean([binned_correlation(*two, bins) for two in combinations(harmonics, 2)], 0)
        chance = _chance(harmonics, bins, footprint)
        single = together = None
        if best is not None:
            of_truth = harmonic_coefficients(best, footprint)
            single = np.mean([binned_correlation(one, of_truth, bins) for one in harmonics], 0)
            together = binned_correlation(harmonic_coefficients(mean, footprint), of_truth, bins)
    rows = [
        {
            "l_min": low,
            "l_max": high,
            "pairs": float(pairs[at]),
            "chance": chance[at],
            "single": None if single is None else float(single[at]),
            "mean": None if together is None else float(together[at]),
        }
        for at, (low, high) in enumerate(bins)
    ]
    inner = solutions[:, seen]
    found: dict[str, Any] = {
        "solutions": len(solutions),
        "bins": rows,
        "spread": _rms(inner.std(axis=0, ddof=1)),
        "std": float(np.mean(inner.std(axis=1))),
        "residual_single": None,
        "residual_mean": None,
    }
    if best is not None:
        away = [_rms(one - best[seen]) for one in inner]
        found["residual_single"] = float(np.mean(away))
        found["residual_mean"] = _rms(mean[seen] - best[seen])
    return finite_or_none(found)


def describe_agreement(found: dict[str, Any]) -> list[str]:
    """Say in plain words at which scales solutions agree, and what their mean is worth.

    Args:
        found: the result of `agreement`.
    """
    lines = _where_alike(found["bins"], found["solutions"])
    calibration = _calibration(found["bins"])
    if calibration:
        lines.append(calibration)
    if found["residual_mean"] is not None:
        lines.append(
            f"Their mean differs from the truth by {found['residual_mean']:.3g} rms, a single one "
            f"by {found['residual_single']:.3g}; they differ from one another by "
            f"{found['spread']:.3g} (standard deviation)."
        )
    else:
        lines.append(
            f"They differ from one another by {found['spread']:.3g} rms (standard deviation); "
            f"each varies by {found['std']:.3g} from pixel to pixel."
        )
    return lines


def _where_alike(rows: list[dict[str, Any]], count: int) -> list[str]:
    """Say at which multipoles solutions agree, where a little, and where that cannot be told."""
    known = [row for row in rows if row["pairs"] is not None and row["chance"] is not None]
    above = [row for row in known if row["pairs"] > _BY_CHANCE * row["chance"]]
    clear = [row for row in above if row["pairs"] > _ALIKE]
    weak = [row for row in above if row["pairs"] <= _ALIKE]
    unsure = [row for row in known if row not in above and row["pairs"] > _ALIKE]
    meant = f"correlation above {_ALIKE}, and above twice what chance gives"
    if clear:
        lines = [
            f"The {count} solutions agree with one another ({meant}) at {_listed(rows, clear)}: "
            "the data tell where these structures are."
        ]
    else:
        lines = [
            f"The {count} solutions do not agree with one another ({meant}) at any scale: each "
            "shows structures that are possible, not those that are there."
        ]
    if weak:
        lines.append(
            f"At {_listed(rows, weak)} they agree weakly, but more than by chance (correlation "
            f"{_span([row['pairs'] for row in weak])}): there the data tell a part of the "
            "structures."
        )
    if unsure:
        found = _span([row["pairs"] for row in unsure])
        lines.append(
            f"At {_listed(rows, unsure)} the correlation ({found})"
            " tells nothing: independent maps are about as alike by chance (standard deviation "
            f"{_span([row['chance'] for row in unsure])})."
        )
    return lines


def _listed(rows: list[dict[str, Any]], some: list[dict[str, Any]]) -> str:
    """Write the multipoles of some bins, those side by side as one range."""
    ranges: list[list[int]] = []
    for at, row in enumerate(rows):
        if row not in some:
            continue
        if ranges and at and rows[at - 1] in some:
            ranges[-1][1] = row["l_max"]
        else:
            ranges.append([row["l_min"], row["l_max"]])
    return "l = " + " and ".join(f"{low} to {high}" for low, high in ranges)


def _span(values: list[float]) -> str:
    ends = dict.fromkeys(f"{end:.2f}" for end in (min(values), max(values)))
    return " to ".join(ends)


def _calibration(rows: list[dict[str, Any]]) -> str:
    """Say whether the truth is like one of the solutions, from l = 4 on; empty if unknown."""
    known = {
        (row["l_min"], row["l_max"]): (
            row["pairs"] - row["single"],
            max(_CALIBRATED, _BY_CHANCE * row["chance"]),
        )
        for row in rows
        if row["l_min"] >= 4 and None not in (row["pairs"], row["single"], row["chance"])
    }
    if not known:
        return ""
    apart = {bin: away for bin, (away, least) in known.items() if abs(away) > least}
    if not apart:
        return (
            "Two solutions are as alike as a solution and the truth, from l = 4 on, so that their "
            "spread is the uncertainty."
        )
    (low, high), away = max(apart.items(), key=lambda item: abs(item[1]))
    more = away > 0
    return (
        f"Two solutions are {'more' if more else 'less'} alike than a solution and the truth (by "
        f"{abs(away):.2f} in correlation at l = {low} to {high}): their spread is "
        f"{'less' if more else 'more'} than the uncertainty there."
    )


def _chance(
    harmonics: list[np.ndarray],
    bins: list[tuple[int, int]],
    footprint: Float[np.ndarray, " p"] | None,
) -> list[float]:
    import healpy

    spectrum = np.mean([healpy.alm2cl(one) for one in harmonics], axis=0)
    return [chance_correlation(spectrum, low, high, footprint) for low, high in bins]


def _rms(values: Float[np.ndarray, " p"]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
