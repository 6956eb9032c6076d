"""What a reconstruction has won over simpler estimates, in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscat.reconstruction.result import MEANING

if TYPE_CHECKING:
    from jaxscat.validation.recovery import Recovery

# Numbers that differ by less than this fraction of the larger one are called alike.
_ALIKE = 0.1
# Correlations that differ by less are called alike.
_ALIKE_CORRELATION = 0.02
# Bins with lower multipoles have too few modes to tell.
LOWEST_MULTIPOLE = 4
_MOST_BASELINES = 3

_QUANTITIES: Mapping[str, str] = {
    "S1": "S1",
    "S2": "S2",
    "S3": "S3",
    "S4": "S4",
    "wasserstein": "the histogram",
    "residual": "the residual",
}
# As legends and tables show estimates; sentences have articles.
LABELS: Mapping[str, str] = {
    "wiener": "Wiener filter",
    "square-root wiener": "square-root Wiener filter",
    "wiener, true spectra": "Wiener filter, true spectra",
    "square-root wiener, true spectra": "square-root Wiener, true spectra",
    "wiener with T": "Wiener filter with T",
    "square-root wiener with T": "square-root Wiener with T",
    "wiener with T, true spectra": "Wiener filter with T, true spectra",
    "diffusive": "diffusive fill",
    "gaussian mean": "Gaussian mean",
    "gaussian realization": "Gaussian realization",
    "mean": "mean of the seeds",
}
NAMES: Mapping[str, str] = {
    "data": "the data",
    "wiener": "the Wiener filter",
    "square-root wiener": "the square-root Wiener filter",
    "wiener, true spectra": "the Wiener filter with the true spectra",
    "square-root wiener, true spectra": "the square-root Wiener filter with the true spectra",
    "wiener with T": "the Wiener filter with T",
    "square-root wiener with T": "the square-root Wiener filter with T",
    "wiener with T, true spectra": "the Wiener filter with T and the true spectra",
    "diffusive": "the diffusive fill",
    "gaussian mean": "the Gaussian mean",
    "gaussian realization": "the Gaussian realization",
}


def describe_recovery(
    recovery: Recovery, task: str, status: str | Sequence[str], baselines: Iterable[str]
) -> list[str]:
    """Say in three to six plain sentences what was won, over which baseline, and what was not.

    Args:
        recovery: from `assess`, with a row "reconstruction".
        task: "denoise", "inpaint" or "separate".
        status: of the result, or of every seed.
        baselines: names of the estimates to compare with; those without a row do not count.

    Source: `docs/reconstruction.md`, "Comparison".
    """
    rows = recovery.rows
    mine = rows["reconstruction"]
    others = [name for name in baselines if name in rows and name not in ("reconstruction", "mean")]
    others = [*(name for name in others if name != "data"), *(n for n in others if n == "data")]
    sentences = [describe_status(status)]
    if recovery.truth is None:
        return sentences + _without_truth(recovery, mine, others, task)
    won = {name: compare_rows(mine, rows[name]) for name in others}
    if others and not _anything_won(mine, [rows[name] for name in others]):
        sentences.append(
            "Nothing was won: in none of S1 to S4, histogram and residual is the reconstruction "
            "nearer to the truth than every baseline by more than a tenth."
        )
    room = _MOST_BASELINES - (len(sentences) > 1)
    sentences += [
        _against(_named(name, task), mine, rows[name], *won[name]) for name in others[:room]
    ]
    sentences.append(_correlations(recovery, mine, {name: rows[name] for name in others}))
    if "mean" in rows:
        sentences.append(_of_mean(mine, rows["mean"]))
    return sentences


def describe_status(status: str | Sequence[str]) -> str:
    """Say what a status means, or how many of several solutions have which."""
    if isinstance(status, str):
        return f"{capital(status)}: {_lower(MEANING[status])}"
    counts = Counter(status)
    if len(counts) == 1:
        (only,) = counts
        return f"All {len(status)} solutions, {only}: {_lower(MEANING[only])}"
    parts = [
        f"{count} of {len(status)} solutions, {name}: {_lower(MEANING[name])}"
        for name, count in counts.most_common()
    ]
    return " ".join(parts)


def compare_rows(mine: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return in which quantities the reconstruction is nearer to the truth, and in which not.

    A difference counts if it is above a tenth, and above the scatter over solutions.
    """
    better, worse = [], []
    scatter = mine.get("scatter") or {}
    for key in _compared(mine, other):
        ours, theirs = mine[key], other[key]
        least = max(_ALIKE * max(ours, theirs), scatter.get(key) or 0.0)
        if abs(ours - theirs) > least:
            (better if ours < theirs else worse).append(key)
    return better, worse


def _compared(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the quantities that both rows have."""
    return [
        key
        for key in _QUANTITIES
        if None not in (mine.get(key), other.get(key))
        and np.isfinite([mine[key], other[key]]).all()
    ]


def _anything_won(mine: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
    sets = [set(compare_rows(mine, other)[0]) for other in others]
    return bool(set.intersection(*sets))


def _against(
    name: str,
    mine: Mapping[str, Any],
    other: Mapping[str, Any],
    better: Sequence[str],
    worse: Sequence[str],
) -> str:
    """Write one sentence on one baseline."""

    def listed(keys: Sequence[str]) -> str:
        return join_words(
            [f"{_QUANTITIES[key]} ({mine[key]:.2g} against {other[key]:.2g})" for key in keys]
        )

    alike = [key for key in _compared(mine, other) if key not in (*better, *worse)]
    least = "a tenth, or the scatter of the solutions," if mine.get("scatter") else "a tenth"
    rest = f"; the difference is below {least} in {listed(alike)}" if alike else ""
    if not better and not worse:
        return f"Compared with {name}, the reconstruction is about as near to the truth{rest}."
    if not better:
        return f"{capital(name)} is nearer to the truth in {listed(worse)}{rest}."
    text = f"Compared with {name}, the reconstruction is nearer to the truth in {listed(better)}"
    if worse:
        return f"{text}, but farther in {listed(worse)}{rest}."
    return f"{text}{rest}." if alike else f"{text}, and farther in none."


def _correlations(
    recovery: Recovery, mine: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]
) -> str:
    """Write one sentence on power, and on the correlation against the best baseline in each bin."""
    bins = [at for at, (low, _) in enumerate(recovery.bins) if low >= LOWEST_MULTIPOLE]
    bins = bins or list(range(len(recovery.bins)))
    low, high = recovery.bins[bins[0]][0], recovery.bins[bins[-1]][1]
    powers = [mine["power_ratio"][at] for at in bins]
    text = (
        f"From l = {low} to {high} the reconstruction has {min(powers):.2f} to {max(powers):.2f} "
        "times the power of the truth in every bin of multipoles"
    )
    found = [mine["correlation"][at] for at in bins]
    if not np.isfinite(found).all():
        return f"{text}; its correlation with the truth is undefined where it has none."
    if not others:
        return f"{text}, and a correlation with the truth of {min(found):.2f} to {max(found):.2f}."
    gains = {
        at: mine["correlation"][at]
        - np.max([_or_zero(row["correlation"][at]) for row in others.values()])
        for at in bins
    }
    above = [at for at in bins if gains[at] > _ALIKE_CORRELATION]
    below = [at for at in bins if gains[at] < -_ALIKE_CORRELATION]
    if not above and not below:
        return f"{text}; its correlation with the truth is that of the best baseline."
    parts = []
    if above:
        best = max(above, key=lambda at: gains[at])
        parts.append(
            f"higher in {len(above)} of {len(bins)} bins (by up to {gains[best]:.2f}, at "
            f"l = {recovery.bins[best][0]} to {recovery.bins[best][1]})"
        )
    if below:
        worst = min(below, key=lambda at: gains[at])
        parts.append(
            f"lower in {len(below)} of {len(bins)} (by up to {-gains[worst]:.2f}, at "
            f"l = {recovery.bins[worst][0]} to {recovery.bins[worst][1]})"
        )
    return (
        f"{text}; its correlation with the truth is {' and '.join(parts)} than that of the best "
        "baseline there."
    )


def _of_mean(mine: Mapping[str, Any], mean: Mapping[str, Any]) -> str:
    return (
        "Numbers are means over solutions; the mean of the maps has a residual of "
        f"{mean['residual']:.2f} standard deviations of the truth (a single one "
        f"{mine['residual']:.2f}), but is smoother: an error of S2 of {mean['S2']:.2g} "
        f"({mine['S2']:.2g})."
    )


def _without_truth(
    recovery: Recovery, mine: Mapping[str, Any], others: Sequence[str], task: str
) -> list[str]:
    rows = recovery.rows
    where = " in the gaps" if task == "inpaint" else ""
    sentences = ["There is no truth to compare with, so errors and correlations are unknown."]
    for key, name in (("skewness", "skewness"), ("std", "standard deviation")):
        if not np.isfinite(mine[key]):
            continue
        listed = [f"{rows[other][key]:.2g} for {_named(other, task)}" for other in others]
        beside = f" ({join_words(listed)})" if listed else ""
        sentences.append(f"Its {name}{where} is {mine[key]:.2g}{beside}.")
    if mine["power_ratio"] is not None:
        powers = [
            ratio
            for ratio, (low, _) in zip(mine["power_ratio"], recovery.bins, strict=True)
            if low >= LOWEST_MULTIPOLE and np.isfinite(ratio)
        ]
        if powers:
            sentences.append(
                f"Its power per bin is {min(powers):.2f} to {max(powers):.2f} times that of "
                f"{expected_power(task)}, from l = {LOWEST_MULTIPOLE} on."
            )
    return sentences


def expected_power(task: str) -> str:
    """Return what power is compared with where there is no truth."""
    return "the observed part" if task == "inpaint" else "the data less the noise"


def _or_zero(value: float) -> float:
    """Return a correlation, zero where it is undefined."""
    return value if np.isfinite(value) else 0.0


def _named(name: str, task: str) -> str:
    if task == "separate":
        joint = {
            "data": "the combination of the channels",
            "wiener": "the joint Wiener filter",
            "square-root wiener": "the joint square-root Wiener filter",
            "wiener, true spectra": "the joint Wiener filter with the true spectra",
        }
        if name in joint:
            return joint[name]
    return NAMES.get(name, f"“{name}”")


def join_words(parts: Sequence[str]) -> str:
    """Join parts of a sentence by commas, and the last two by "and"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def capital(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
