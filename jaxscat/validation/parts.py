"""Halves of a sky, for the scatter of what is measured on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

# Plackett and Burman's design of twelve runs: its rows are the shifts of this one, without the
# last part, which is in no first half.
_DESIGN = np.array([1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0], dtype=bool)
PARTS = _DESIGN.size + 1

Weights = Float[np.ndarray, " p"]


def design() -> Bool[np.ndarray, "ways parts"]:
    """Return which parts are in the first half, for every way to halve a sky."""
    ways = [np.append(np.roll(_DESIGN, turn), False) for turn in range(_DESIGN.size)]
    return np.array(ways)


def sky_parts(npix: int, weights: Weights | None = None) -> Int[np.ndarray, " p"]:
    """Return the number, 0 to 11, of the part of the sky of every NESTED pixel.

    The parts follow one another in NESTED order and have the same weight: of the whole sky they
    are the twelve base pixels.

    Source: `docs/conventions.md`, "Tolerance".
    """
    share = np.ones(npix) if weights is None else np.asarray(weights, np.float64)
    middle = (np.cumsum(share) - share / 2) / share.sum()
    return np.clip((PARTS * middle).astype(np.int64), 0, PARTS - 1)


def balanced_halves(npix: int, weights: Weights | None = None) -> Iterator[tuple[Weights, Weights]]:
    """Yield the weights [p] of both halves of a sky, for eleven ways to halve it, one by one.

    Every half is six of the twelve parts of `sky_parts`; halves without weight, of a few pixels,
    are left out. The ways are orthogonal, so that the mean
    squared difference between halves, of whatever is a mean over the sky, is four times its
    variance over the sky as the scatter of the parts has it.

    Source: `docs/conventions.md`, "Tolerance"; McCarthy 1969, Review of the International
    Statistical Institute 37, 239.
    """
    share = np.ones(npix) if weights is None else np.asarray(weights, np.float64)
    part = sky_parts(npix, weights)
    for way in design():
        first = way[part]
        halves = np.where(first, share, 0.0), np.where(first, 0.0, share)
        if all(half.any() for half in halves):
            yield halves
