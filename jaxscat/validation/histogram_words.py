"""Whether new maps have the histogram and the power spectrum of the original, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscat.validation.line import OFF, Line, Mark, capital, excess, mean_of, worst
from jaxscat.validation.rows import format_multipoles

Reports = Sequence[Mapping[str, Any]]

# Beyond the original's range: a fraction of the pixels that is worth a word, and one that is much.
_SOME, _MANY = 1e-3, 1e-2
# Ratios of what stands out from the mean, in the tail, that are named whatever the tolerance.
_FAINT, _BRIGHT = 0.75, 1.33
# Differences of the mean (in standard deviations) and of the standard deviation that are named.
_SHIFT = 0.05


def values_line(
    reports: Reports,
    *,
    gaussianized: bool = False,
    transform: str | None = "none",
    form: str | None = None,
) -> Line:
    """Say what is wrong with the histogram and the power spectrum of new maps.

    Args:
        reports: what `validate` found of each map.
        gaussianized: whether maps were made with a Gaussian histogram (`synthesis.gaussianize`).
        transform: the transform of the data (`data.transform`); None for maps without a run, whose
            settings are not named.
        form: how maps are written in unknowns (`synthesis.form`); None if unknown.

    Source: `docs/conventions.md`, "Verdict".
    """
    defects, marks = _histogram(reports)
    texts = [f"histogram: {'; '.join(defects)}"] if defects else []
    if defects and not gaussianized and _has_tail_defect(reports):
        texts[0] += f": try {_advice(reports, transform)}"
    if not defects:
        ratio = _brightness(reports)
        tail = f"; the brightest 0.1 % rise {ratio:.2f} times as far" if np.isfinite(ratio) else ""
        texts.append(f"histogram within the tolerance{tail}")
    spectrum, mark = _spectrum(reports)
    if mark == "bad" and form == "pixels":
        spectrum += ': try `synthesis.form = "harmonic"`'
        spectrum += ", also with `gaussianize`" if gaussianized or defects else ""
    text = ". ".join(map(capital, [*texts, spectrum]))
    return Line("Histogram and spectrum", worst([*marks, mark]), f"{text}.")


def _advice(reports: Reports, transform: str | None) -> str:
    if transform is None:
        return "a map with a Gaussian histogram (jaxscat.gaussianize)"
    positive = (reports[0]["distribution"]["min"]["original"] or 0.0) > 0
    log = ' or `data.transform = "log"`' if positive and transform == "none" else ""
    return f"`synthesis.gaussianize = true`{log}"


def _has_tail_defect(reports: Reports) -> bool:
    return bool(_beyond(reports, "min")[0] or _beyond(reports, "max")[0] or _tail(reports)[0])


def _histogram(reports: Reports) -> tuple[list[str], list[Mark]]:
    """Return what is wrong with the histogram, and the mark of each defect."""
    found: list[tuple[str, Mark]] = []
    spread = _moment(reports, "std", "original")
    if not spread > 0:
        return ["the original has one value only, so that there is nothing to compare"], [
            "uncertain"
        ]
    shift = (_moment(reports, "mean") - _moment(reports, "mean", "original")) / spread
    if abs(shift) > _SHIFT:
        found.append((f"the mean is {abs(shift):.2g} standard deviations too {_way(shift)}", "bad"))
    ratio = _moment(reports, "std") / spread
    away = excess([report["distances"]["wasserstein"] for report in reports])
    if abs(ratio - 1) > _SHIFT and away > 1:  # what another sky would have is not off
        percent = f"{abs(100 * (ratio - 1)):.0f} %"
        found.append((f"the standard deviation is {percent} too {_way(ratio - 1)}", _mark_of(away)))
    if away > 1 and not found:
        moved = mean_of([report["distances"]["wasserstein"] for report in reports])
        said = f"values are {moved:.2g} standard deviations off on average"
        found.append((f"{said} ({away:.1f} times the tolerance)", _mark_of(away)))
    for key in ("min", "max"):
        found += [beyond for beyond in [_beyond(reports, key)] if beyond[0]]
    found += [tail for tail in [_tail(reports)] if tail[0]]
    return [text for text, _ in found], [mark for _, mark in found]


def _beyond(reports: Reports, key: str) -> tuple[str, Mark]:
    """Say how far, and how many, pixels are beyond the original's minimum or maximum."""
    low = key == "min"
    name, tail, noun = (
        ("below", "faintest", "minimum") if low else ("above", "brightest", "maximum")
    )
    limit = _moment(reports, key, "original")
    found = [report["distribution"][key]["synthesized"] for report in reports]
    reached = [value for value in found if value is not None]
    if not reached:
        return "", "good"
    farthest = min(reached) if low else max(reached)
    fraction = mean_of([report["extremes"][name] for report in reports])
    off = excess([_distance(report["extremes"][tail]) for report in reports])
    negative = low and limit >= 0 > farthest
    if not negative and (fraction < _SOME or not off > OFF):
        return "", "good"
    wasserstein = excess([report["distances"]["wasserstein"] for report in reports])
    mark: Mark = "bad" if negative or fraction > _MANY or wasserstein > 1 else "uncertain"
    said = _percent(fraction)
    if negative:
        text = (
            f"negative values, where the original has none ({said} of the pixels are {name} its "
            f"{noun} {limit:.3g}, down to {farthest:.3g})"
        )
        return text, mark
    reach = f"{'down' if low else 'up'} to {farthest:.3g}"
    return f"{said} of the pixels are {name} the original's {noun} {limit:.3g}, {reach}", mark


def _tail(reports: Reports) -> tuple[str, Mark]:
    """Say whether the brightest pixels stand out from the mean as much as the original's."""
    mean = _moment(reports, "mean", "original")
    ratio = _brightness(reports)
    away = excess([_distance(report["extremes"]["brightest"]) for report in reports])
    named = ratio < _FAINT or ratio > _BRIGHT
    if not named and not (away > OFF and abs(ratio - 1) > _SHIFT):
        return "", "good"
    mark: Mark = "bad" if away > OFF else "uncertain"
    top = _moment(reports, "max", "original") - mean
    single = (_moment(reports, "max") - mean) / top if top > 0 else np.nan
    return (
        f"the tail is {'short' if ratio < 1 else 'long'}: the brightest 0.1 % rise {ratio:.2f} "
        f"times as far above the mean as the original's, the brightest pixel {single:.2f} times"
    ), mark


def _brightness(reports: Reports) -> float:
    """Return how far the brightest pixels rise above the mean, over the original's; NaN if flat."""
    rows = [report["extremes"]["brightest"] for report in reports]
    mean = _moment(reports, "mean", "original")
    height = mean_of(rows, "original") - mean
    return (mean_of(rows) - mean) / height if height > 0 else np.nan


def _distance(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the row of a tail's mean as that of its distance from the original's."""
    if None in (row.get("synthesized"), row.get("original")):
        return {}
    return {
        "synthesized": abs(row["synthesized"] - row["original"]),
        "tolerance": row.get("tolerance"),
    }


def _spectrum(reports: Reports) -> tuple[str, Mark]:
    """Say in which bins of multipoles the power is off, and by how much."""
    bins = []
    for at, one in enumerate(reports[0]["power_spectrum_bins"]):
        rows = [report["power_spectrum_bins"][at]["ratio"] for report in reports]
        bins.append((one, mean_of(rows) - 1.0, mean_of(rows, "tolerance")))
    judged = [one for one in bins if np.isfinite(one[1]) and one[2] > 0]
    if not judged:
        return "no power spectrum to compare", "uncertain"
    off = [one for one in judged if _is_off(1.0 + one[1], one[2])]
    if not off:  # of so many bins some are a little beyond by chance
        return "power spectrum within the tolerance", "good"
    parts = [
        f"{abs(100 * away):.0f} % {'low' if away < 0 else 'high'} at {format_multipoles(of)} "
        f"(tolerance {100 * tolerance:.0f} %)"
        for of, away, tolerance in _joined(off)
    ]
    return f"power spectrum off: {'; '.join(parts)}", "bad"


def _is_off(ratio: float, tolerance: float) -> bool:
    """Return whether a ratio of power is beyond three standard deviations of two skies' ratio.

    The power in a bin of n modes is a chi-square of n degrees, and the ratio of two is
    F-distributed: of few modes it is far above one more often than below.
    """
    from scipy.stats import f, norm  # here, because importing it takes a second

    modes = (4.0 / tolerance) ** 2  # a tolerance is two standard deviations, of 2 / sqrt(modes)
    limit = f.isf(norm.sf(2 * OFF), modes, modes)
    return not 1.0 / limit <= ratio <= limit


def _joined(bins: Sequence[tuple[Mapping[str, Any], float, float]]) -> list:
    """Join bins that follow one another and are off in the same direction."""
    found: list[tuple[dict[str, Any], float, float]] = []
    for one, away, tolerance in bins:
        last = found[-1] if found else None
        if last and last[0]["l_max"] + 1 == one["l_min"] and last[1] * away > 0:
            joined = {"l_min": last[0]["l_min"], "l_max": one["l_max"]}
            # Of joined bins the one that is farthest off in its tolerance.
            far = max((last[1:], (away, tolerance)), key=lambda of: abs(of[0]) / of[1])
            found[-1] = (joined, *far)
        else:
            found.append(({"l_min": one["l_min"], "l_max": one["l_max"]}, away, tolerance))
    return found


def _moment(reports: Reports, name: str, column: str = "synthesized") -> float:
    return mean_of([report["distribution"][name] for report in reports], column)


def _mark_of(away: float) -> Mark:
    return "bad" if away > OFF else "uncertain"


def _way(difference: float) -> str:
    return "high" if difference > 0 else "low"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
