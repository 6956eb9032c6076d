"""Whether new maps have the texture of the original, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jaxscat.validation.line import OFF, Line, Mark, excess, listed, mean_of, told_apart
from jaxscat.validation.scattering import GROUPS

_SHAPES = {
    "V1": "contours (V1)",
    "V2": "islands and holes (V2)",
    "peaks": "peaks",
    "minima": "minima",
    "cross_skewness": "coupling of scales",
}
# The worst of many thresholds is beyond the tolerance of one more often than one is.
_THRESHOLDS = 1.5
_VALUES = ("wasserstein", "skewness", "V0")
GAUSSIAN = "a Gaussian map with this spectrum matches just as well"

Reports = Sequence[Mapping[str, Any]]


def texture_line(reports: Reports, imposed: int | None = None) -> Line:
    """Say whether new maps have the texture of the original, and which statistics are off.

    Args:
        reports: what `validate` found of each map.
        imposed: number of scales, from the finest, at which S3 and S4 are held; None for all.
            Others are not judged.
    """
    rows = {name: [report["distances"][key] for report in reports] for key, name in _SHAPES.items()}
    amounts = {name: excess(of) for name, of in rows.items()}
    miscounted = {name: _miscounted(of) for name, of in rows.items()}
    off = {name: amount for name, amount in amounts.items() if amount > OFF}
    near = [
        name + miscounted[name]
        for name, amount in amounts.items()
        if name not in off and (amount > 1 or miscounted[name])
    ]
    within = [name for name, amount in amounts.items() if amount <= 1 and not miscounted[name]]
    told = [name for name in within if told_apart(rows[name])]
    scales_off = _scales_off(reports, imposed)
    told += _groups_told(reports, imposed, scales_off)
    if off or scales_off:
        parts = [f"{name} ({amount:.1f} times the tolerance)" for name, amount in off.items()]
        start = "shared in part" if told else "not shared"
        kept = f"; {listed(told)} are right" if told else ""
        return Line("Texture", "bad", f"{start}: off in {listed([*parts, *scales_off])}{kept}.")
    if unknown := _unknown(reports, imposed):
        text = f"not told: {listed(unknown)} cannot be computed in this unit and precision."
        return Line("Texture", "uncertain", text)
    if not _has_controls(reports):
        kept = f"within the tolerance in {listed(within)}; " if within else ""
        text = f"{kept}no Gaussian controls to compare with."
        return Line("Texture", "uncertain", text)
    if not told and not near:
        values = [report["distances"] for report in reports]
        apart = [key for key in _VALUES if told_apart([of[key] for of in values])]
        text = f"nothing to show: {GAUSSIAN}."
        if len(apart) > 1:
            text = f"{GAUSSIAN}, except in its histogram."
        return Line("Texture", "uncertain", text)
    edge = f"; a little beyond: {listed(near)}" if near else ""
    mark: Mark = "uncertain" if near else "good"
    if not told:
        return Line("Texture", mark, f"within the tolerance in {listed(within)}{edge}.")
    text = f"shared: within the tolerance in {listed(told)}, where Gaussian maps are not{edge}."
    return Line("Texture", mark, text)


def _miscounted(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say by how much counts are off at one threshold; empty if not, or for what is no count."""
    if not mean_of(rows, "worst_threshold") > _THRESHOLDS:
        return ""
    away = mean_of(rows, "worst_difference")
    return f" ({abs(100 * away):.0f} % too {'many' if away > 0 else 'few'})"


def _has_controls(reports: Reports) -> bool:
    return any(kind in reports[0]["distances"]["V1"] for kind in ("gaussian", "filtered"))


def _judged(
    reports: Reports, group: str, imposed: int | None
) -> list[tuple[int, list[Mapping[str, Any]]]]:
    """Return the rows of a group at the scales that are held, with the nside of each."""
    scales = reports[0]["scattering_scales"]
    last = len(scales) if imposed is None or group in ("S1", "S2") else imposed
    return [
        (scale["nside"], [report["scattering_scales"][at][group] for report in reports])
        for at, scale in enumerate(scales[:last])
    ]


def _scales_off(reports: Reports, imposed: int | None) -> list[str]:
    """Name the groups of coefficients that are off, with the grids where they are."""
    found = []
    for group in GROUPS:
        rows = _judged(reports, group, imposed)
        off = [nside for nside, of in rows if excess(of) > OFF]
        if off:
            where = "at all scales" if len(off) == len(rows) else f"at nside {listed_sides(off)}"
            found.append(f"{group} {where}")
    return found


def _unknown(reports: Reports, imposed: int | None) -> list[str]:
    """Name the groups that are undefined at every scale although the map varies."""
    if not mean_of([report["distribution"]["std"] for report in reports], "original") > 0:
        return []
    return [
        group
        for group in GROUPS
        if all(np.isnan(mean_of(of)) for _, of in _judged(reports, group, imposed))
    ]


def _groups_told(reports: Reports, imposed: int | None, off: Sequence[str]) -> list[str]:
    """Name S3 and S4 where they are right at all scales that are held, and are not by chance."""
    found = []
    for group in ("S3", "S4"):
        rows = _judged(reports, group, imposed)
        right = all(not excess(of) > 1 for _, of in rows)
        if right and any(told_apart(of) for _, of in rows) and not _names(off, group):
            found.append(group)
    return found


def _names(texts: Sequence[str], group: str) -> bool:
    return any(text.startswith(group) for text in texts)


def listed_sides(sides: Sequence[int]) -> str:
    """List values of nside, as "32 to 8" where they follow one another."""
    follow = all(2 * second == first for first, second in pairwise(sides))
    return f"{sides[0]} to {sides[-1]}" if len(sides) > 2 and follow else listed([*map(str, sides)])
