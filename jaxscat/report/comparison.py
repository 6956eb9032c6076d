"""Rows of the table that compares estimates with one another and with the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxscat.report.rendering import NONE, number, with_scatter
from jaxscat.validation.recovery_words import expected_power
from jaxscat.validation.rows import format_multipoles

_DIGITS = 3


def comparison_groups(
    recovery: Mapping[str, Any], task: str, *, of: str = ""
) -> list[dict[str, Any]]:
    """Return the groups of rows of the table of estimates; without a truth there are fewer.

    Args:
        recovery: content of `Recovery.to_json`.
        task: "denoise", "inpaint" or "separate".
        of: the field, which headings then name.
    """
    truth = recovery["truth"]
    bins = list(enumerate(recovery["bins"]))
    chance = recovery.get("chance") or [None] * len(bins)

    def near(wanted: float | None) -> Callable[[float], float] | None:
        return None if wanted is None else lambda value: abs(value - wanted)

    errors = [comparison_row(recovery, name, name, better=abs) for name in ("S1", "S2", "S3", "S4")]
    pixels = [comparison_row(recovery, "residual", "residual", better=abs)]
    pixels += [comparison_row(recovery, "wasserstein", "Wasserstein distance", better=abs)]
    for key, name in (("skewness", "skewness"), ("std", "standard deviation")):
        wanted = None if truth is None else truth[key]
        row = comparison_row(recovery, key, name, better=near(wanted))
        pixels.append(row and {**row, "truth": number(wanted, _DIGITS)})
    powers = [
        comparison_row(recovery, "power_ratio", format_multipoles(bin), at=at, better=_factor)
        for at, bin in bins
    ]
    correlations = [
        comparison_row(
            recovery,
            "correlation",
            format_multipoles(bin)
            + ("" if chance[at] is None else f" (chance {number(chance[at], 2)})"),
            at=at,
            better=lambda value: -value,
        )
        for at, bin in bins
    ]
    against = "the truth's" if truth is not None else f"that of {expected_power(task)}"
    listed = [
        (
            "Scattering coefficients",
            "Rms difference from the truth's, over their rms.",
            errors,
        ),
        (
            "Pixel values",
            "Residual: rms difference from the truth. It and the distance between histograms are "
            "in standard deviations of the truth."
            if truth is not None
            else "Of the pixels that count.",
            pixels,
        ),
        ("Power in bins", f"Over {against}; one is right.", powers),
        (
            "Correlation with the truth",
            "One for the same structures. Chance: standard deviation of the correlation of the "
            "truth with an independent map that has its spectrum.",
            correlations,
        ),
    ]
    found = []
    for heading, sees, rows in listed:
        known = [row for row in rows if row is not None]
        if known:
            found.append({"heading": heading_of(of, heading), "sees": sees, "rows": known})
    return found


def comparison_row(
    recovery: Mapping[str, Any],
    key: str,
    name: str,
    *,
    better: Callable[[float], float] | None,
    at: int | None = None,
) -> dict[str, Any] | None:
    """Return a row of all estimates, with the best of them marked; None if nothing is known.

    Args:
        recovery, key: where the numbers are.
        name: of the row.
        better: what is smallest for the best value; None if none is best.
        at: place in the list of bins.
    """

    def pick(values: Any) -> float | None:
        return values if at is None or values is None else values[at]

    rows = [recovery["rows"][name] for name in recovery["names"]]
    values = [pick(row[key]) for row in rows]
    if all(value is None for value in values):
        return None
    texts = [
        with_scatter(value, pick((row.get("scatter") or {}).get(key)), _DIGITS)
        for value, row in zip(values, rows, strict=True)
    ]
    best: set[str] = set()
    if better is not None:
        known = [value for value in values if value is not None]
        # What looks the same is as good.
        best = {number(min(known, key=better), _DIGITS)}
    cells = [
        {"text": text, "best": value is not None and number(value, _DIGITS) in best}
        for text, value in zip(texts, values, strict=True)
    ]
    return {"name": name, "truth": NONE, "cells": cells}


def heading_of(of: str, heading: str) -> str:
    """Return a heading with the field (or the pair of fields) that it is of."""
    return f"{of}: {heading[:1].lower()}{heading[1:]}" if of else heading


def _factor(ratio: float) -> float:
    """Return how far a ratio is from one; a half is as far as two."""
    return abs(math.log(ratio)) if ratio > 0 else math.inf
