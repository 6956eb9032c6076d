"""The data of the panels that compare coefficients, without any drawing."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from jaxscat.statistics.coefficients import ScatteringCovariance

Values = Shaped[np.ndarray, "places orientations"]
# Maximum number of entries with a label each; beyond, only j2 is labelled.
_MAXIMUM_TICKS = 40


class Blocks(NamedTuple):
    """Layout of the entries of a group on an axis, with gaps between blocks of scales.

    Attributes:
        places: coordinates of the entries.
        starts: indices of the first entries of connected stretches.
        ticks: labels of the axis, by coordinate.
        blocks: first and last coordinate of every `j3`.
    """

    places: Float[np.ndarray, " places"]
    starts: list[int]
    ticks: dict[float, str]
    blocks: list[tuple[float, float]]


class Panel(NamedTuple):
    """One panel: its labels, its axis, and its values as a function of the coefficients.

    Attributes:
        title: title of the panel.
        xlabel: label of the entries.
        ylabel: label of the values, without unit.
        power: 1 if the values have the unit of the maps, 2 for its square.
        axis: layout of the entries.
        values: function of the coefficients to `[entry, orientations]`; the last axis is averaged
            over.
        shown: function of the values that is drawn: real part or magnitude.
    """

    title: str
    xlabel: str
    ylabel: str
    power: int
    axis: Blocks
    values: Callable[[ScatteringCovariance], Values]
    shown: Callable[[Values], Values]


def build_panels(statistics: ScatteringCovariance) -> list[list[Panel]]:
    """Lay out the rows of panels for coefficients of given shapes."""
    cross, pairs, triples = statistics.kind == "cross", statistics.pairs, statistics.triples
    scales = Blocks(
        np.arange(statistics.scales, dtype=float),
        [0],
        {float(j): str(j) for j in range(statistics.scales)},
        [],
    )
    j = "scale $j$ (0 is the finest)"
    if cross:
        titles = ("S1, signed root of the product", "S2, cross power")
        labels = ("S1", "S2")
    else:
        titles = ("S1, mean modulus", "S2, power")
        labels = (r"$\langle\,|x \star \psi|\,\rangle$", r"$\langle\,|x \star \psi|^2\,\rangle$")
    averages = [
        Panel(titles[0], j, labels[0], 1, scales, _s1, np.real),
        Panel(titles[1], j, labels[1], 2, scales, _s2, np.real),
    ]
    if not pairs:
        return [averages]
    groups = {"S3": _s3, "S3P": _s3p} if cross else {"S3": _s3}
    couplings = [
        Panel(
            f"{group}, {'maps exchanged' if group == 'S3P' else 'wavelet coefficient × modulus'}",
            "scale $j_2$ of the modulus",
            f"|{group}|",
            2,
            _blocks(pairs),
            values,
            np.abs,
        )
        for group, values in groups.items()
    ]
    modules = Panel(
        "S4, modulus × modulus",
        "scales $j_1$ $j_2$ of the moduli"
        if len(triples) <= _MAXIMUM_TICKS
        else "scale $j_2$ of one modulus; along each line $j_1$ of the other, from 0 up",
        "|S4|",
        2,
        _blocks(triples),
        _s4,
        np.abs,
    )
    rows = [averages, couplings, [modules]] if cross else [averages + couplings, [modules]]
    if statistics.orientations == 1:
        return rows
    return [*rows, _turns(statistics, groups)]


def _turns(statistics: ScatteringCovariance, groups: dict[str, Callable]) -> list[Panel]:
    """Return the panels of the dependence on the angle between two orientations.

    They show the finest combination of different scales, which has the best statistics.
    """
    orientations = statistics.orientations
    angles = np.arange(orientations + 1) * 180.0 / orientations  # both ends are the same angle
    every = max(1, orientations // 4)
    ticks = {float(angle): f"{angle:.4g}°" for angle in angles[::every]}
    axis = Blocks(angles, [0], ticks, [])
    triples = [(0, 1, 2), (0, 1, 1), (0, 0, 0)]
    triple = next(triple for triple in triples if triple in statistics.triples)
    pair = (0, 1) if (0, 1) in statistics.pairs else (0, 0)
    at_pair, at_triple = statistics.pairs.index(pair), statistics.triples.index(triple)
    panels = [
        Panel(
            rf"{group} at $(j_2, j_3)$ = {pair}",
            "angle from $l_2$ to $l_3$",
            f"Re {group}",
            2,
            axis,
            lambda s, values=values: _turned_pair(
                values(s)[at_pair].reshape(orientations, orientations)
            ),
            np.real,
        )
        for group, values in groups.items()
    ]
    return panels + [
        Panel(
            rf"S4 at $(j_1, j_2, j_3)$ = {triple}",
            f"angle from $l_1$ to ${name}$",
            "Re S4",
            2,
            axis,
            lambda s, turned=turned: turned(np.asarray(s.s4)[at_triple]),
            np.real,
        )
        for name, turned in (("l_2", _turned_moduli), ("l_3", _turned_wavelet))
    ]


def _s1(statistics: ScatteringCovariance) -> Values:
    return np.asarray(statistics.s1)


def _s2(statistics: ScatteringCovariance) -> Values:
    return np.asarray(statistics.s2)


def _s3(statistics: ScatteringCovariance) -> Values:
    return _flat(statistics.s3)


def _s3p(statistics: ScatteringCovariance) -> Values:
    return _flat(statistics.s3p)


def _s4(statistics: ScatteringCovariance) -> Values:
    return _flat(statistics.s4)


def _flat(group: object) -> Values:
    array = np.asarray(group)
    return array.reshape(len(array), -1)


def _turned_pair(s3: Shaped[np.ndarray, "L L"]) -> Values:
    """Return S3 of one pair of scales, `[l3 - l2, l2]`, closed at half a turn."""
    first = np.arange(len(s3))
    return np.stack([s3[first, (first + turn) % len(s3)] for turn in range(len(s3) + 1)])


def _turned_moduli(s4: Shaped[np.ndarray, "L L L"]) -> Values:
    """Return S4 of one triple of scales (axes l2, l1, l3) as `[l2 - l1, (l1, l3)]`."""
    first = np.arange(len(s4))
    turned = [s4[(first + turn) % len(s4), first] for turn in range(len(s4) + 1)]
    return np.stack(turned).reshape(len(s4) + 1, -1)


def _turned_wavelet(s4: Shaped[np.ndarray, "L L L"]) -> Values:
    """Return S4 of one triple of scales (axes l2, l1, l3) as `[l3 - l1, (l2, l1)]`."""
    first = np.arange(len(s4))
    turned = [s4[:, first, (first + turn) % len(s4)] for turn in range(len(s4) + 1)]
    return np.stack(turned).reshape(len(s4) + 1, -1)


def _blocks(entries: list[tuple[int, ...]]) -> Blocks:
    """Lay out pairs (j2, j3) or triples (j1, j2, j3), with gaps before each new j3 and j2."""
    places, starts, ticks = [0.0], [0], {}
    triples = len(entries[0]) == 3
    for number in range(1, len(entries)):
        before, entry = entries[number - 1], entries[number]
        new_block, new_part = entry[-1] != before[-1], triples and entry[1] != before[1]
        places.append(places[-1] + (2.0 if new_block else 1.6 if new_part else 1.0))
        if new_block or new_part:
            starts.append(number)
    if len(entries) <= _MAXIMUM_TICKS:
        ticks = {
            place: " ".join(str(j) for j in entry[:-1])
            for place, entry in zip(places, entries, strict=True)
        }
    else:
        for first, end in zip(starts, [*starts[1:], len(entries)], strict=True):
            middle = (places[first] + places[end - 1]) / 2
            ticks[middle] = str(entries[first][1])
    of_block = [
        [place for place, entry in zip(places, entries, strict=True) if entry[-1] == j3]
        for j3 in range(entries[-1][-1] + 1)
    ]
    return Blocks(np.array(places), starts, ticks, [(min(some), max(some)) for some in of_block])
