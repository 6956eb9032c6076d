"""What a reconstruction of several fields has won over simpler estimates, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.validation.field_recovery import FieldRecovery
from jaxscat.validation.recovery import ERRORS
from jaxscat.validation.recovery_words import (
    LOWEST_MULTIPOLE,
    NAMES,
    compare_rows,
    describe_status,
    join_words,
)

_MOST_NAMED = 5  # of what is farther from the truth
# Noise of more than this part of the data's power is wrong: chance makes no more of it in a bin.
_TOO_STRONG = 1.5


def describe_field_recovery(
    recovery: FieldRecovery,
    status: str | Sequence[str],
    chi2: Float[np.ndarray, "*seeds renewals"],
    baselines: Sequence[str],
    *,
    pairs: Sequence[str],
) -> list[str]:
    """Say in plain sentences whether it is converged, and what was won over which baseline.

    Args:
        recovery: from `assess_fields`, with a row "reconstruction".
        status: of the result, or of every seed.
        chi2: value of the term right after each renewal, of every seed; NaN after its end.
        baselines: names of the estimates to compare with, in the order of the sentences; of powers
            and residuals the first counts. Those without a row do not count.
        pairs: names of the pairs whose coefficients were imposed.

    Source: `docs/polarization.md`, "Denoising".
    """
    others = [name for name in baselines if name in recovery.names]
    sentences = [describe_status(status)]
    if status != "no signal":  # nothing was done about it then
        sentences += _chi2(chi2, pairs)
    if recovery.has_truth:
        sentences += [_against(recovery, name, first=name == others[0]) for name in others]
        sentences += [_residuals(recovery, others[0])] if others else []
    else:
        sentences.append("There is no truth to compare with, so errors are unknown.")
    sentences += _powers(recovery, others)
    sentences += _noise(recovery)
    return sentences


def _chi2(chi2: Float[np.ndarray, "*seeds renewals"], pairs: Sequence[str]) -> list[str]:
    rows = [row[np.isfinite(row)] for row in np.atleast_2d(np.asarray(chi2, np.float64))]
    rows = [row for row in rows if row.size]
    if not rows:
        return []
    first, last = (np.mean([row[at] for row in rows]) for at in (0, -1))
    of = " on average" if len(rows) > 1 else ""
    return [
        f"χ² of the coefficients of {join_words(pairs)} is {last:.2f}{of}, and {first:.2f} at the "
        "start; it is one where no group of them is further from its target than noise explains."
    ]


def _against(recovery: FieldRecovery, name: str, *, first: bool) -> str:
    """Write one sentence on the errors of coefficients beside those of one baseline."""
    better, worse, total = 0, [], 0
    for pair, one in recovery.pairs.items():
        mine, other = one.rows["reconstruction"], one.rows[name]
        near, far = compare_rows(mine, other)
        better += len(near)
        worse += [(pair, key, mine[key], other[key]) for key in far]
        total += sum(mine[key] is not None for key in ERRORS)
    errors = f"the {total} errors"
    if first:
        errors += f" of coefficients (S1 to S4 of {join_words(list(recovery.pairs))})"
    named = NAMES.get(name, name)
    text = f"Beside {named}, {better} of {errors} {'is' if better == 1 else 'are'} smaller"
    if not better:
        text = f"Nothing was won over {named}: none of {errors} is smaller"
    text += " by more than a tenth"
    if "mean" in recovery.names:
        text += " and more than the seeds scatter"
    if not worse:
        return f"{text}, and none is larger by as much."
    # The clearest first where there are many.
    clearest = sorted(worse, key=lambda one: one[3] / one[2])[:_MOST_NAMED]
    listed = [
        f"{key} of {pair} ({mine:.2g} against {other:.2g})"
        for pair, key, mine, other in worse
        if (pair, key, mine, other) in clearest
    ]
    listed += [f"{len(worse) - len(listed)} more"] if len(worse) > len(listed) else []
    verb = "is" if len(worse) == 1 else "are"
    return f"{text}, and {len(worse)} {verb} larger by as much: {join_words(listed)}."


def _residuals(recovery: FieldRecovery, name: str) -> str:
    def of(estimate: str) -> str:
        return join_words(
            [
                f"{one.rows[estimate]['residual']:.2f} for {field}"
                for field, one in recovery.fields.items()
            ]
        )

    text = (
        "The residual, in standard deviations of the truth, is "
        f"{of('reconstruction')}; with {NAMES.get(name, name)} {of(name)}"
    )
    if "mean" in recovery.names:
        text += f", and of the mean of the seeds {of('mean')}"
    larger = any(
        one.rows["reconstruction"]["residual"] > one.rows[name]["residual"]
        for one in recovery.fields.values()
    )
    if not larger or name == "data":
        return f"{text}."
    return (
        f"{text}. Wiener filters have the least residual because they leave out power where the "
        "noise is strong; an estimate with the right power cannot have the right phases there."
    )


def _powers(recovery: FieldRecovery, others: Sequence[str]) -> list[str]:
    against = "of the truth" if recovery.has_truth else "of the data less the noise"
    mine = _ranges(recovery, "reconstruction")
    if not mine:
        return []
    text = f"From l = {LOWEST_MULTIPOLE} on, the power per bin is {mine} times that {against}"
    baseline = next((name for name in others if name != "data"), None)
    if baseline is not None and (its := _ranges(recovery, baseline)):
        text += f"; with {NAMES.get(baseline, baseline)} {its}"
    return [f"{text}."]


def _ranges(recovery: FieldRecovery, estimate: str) -> str:
    parts = []
    for field, one in recovery.fields.items():
        ratios = one.rows[estimate]["power_ratio"]
        found = _from_lowest(recovery, [] if ratios is None else ratios)
        if found:
            parts.append(f"{min(found):.2f} to {max(found):.2f} ({field})")
    return join_words(parts)


def _noise(recovery: FieldRecovery) -> list[str]:
    """Say how strong the noise is, or nothing where that is unknown."""
    parts = []
    for field, shares in recovery.noise_share.items():
        found = _from_lowest(recovery, shares)
        if found:
            ends = [f"{100 * min(max(one, 0.0), 1.0):.0f}" for one in (min(found), max(found))]
            parts.append(f"{' to '.join(dict.fromkeys(ends))} % of that of {field}")
    if not parts:
        return []
    text = f"Of the power of the data per bin, noise is {join_words(parts)}."
    above = [
        f"{max(found):.3g} times of {field}"
        for field, shares in recovery.noise_share.items()
        if (found := _from_lowest(recovery, shares)) and max(found) > _TOO_STRONG
    ]
    if above:
        text += (
            f" It is stronger than the data (up to {join_words(above)}), and so stronger than it "
            "can be: its standard deviation is that of a pixel at the nside of the run."
        )
    return [text]


def _from_lowest(recovery: FieldRecovery, values: Sequence[Any]) -> list[float]:
    """Return the values of bins with enough modes to tell."""
    if not values:
        return []
    bins = [at for at, (low, _) in enumerate(recovery.bins) if low >= LOWEST_MULTIPOLE]
    bins = bins or list(range(len(recovery.bins)))
    return [values[at] for at in bins if values[at] is not None and np.isfinite(values[at])]
