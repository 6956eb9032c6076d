"""Whether an array of pixels is in RING or in NESTED order, as far as its values tell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from jaxscat.io.fields import Field
from jaxscat.maps import npix_to_nside

ORDERS = ("NESTED", "RING")
# Up to nside 32 all pixels are looked at, of larger maps that many.
_MOST_PIXELS = 12 * 32**2
# Correlations of neighbours differ by that many standard errors of independent pixels, at least.
_ERRORS = 6.0
# Squared differences of neighbours are so many times less, and neighbours are so alike, at least.
_TIMES, _LEAST_CORRELATION = 1.3, 0.25
_EDGES = [0, 2, 4, 6]  # of the eight neighbours, those that share an edge: SW, NW, NE, SE


class PixelOrderWarning(UserWarning):
    """Warns that a map is much smoother in the other pixel order than in the one it is read in.

    Such a map may be scrambled. Where the order is known to be right, it is silenced by
    `warnings.filterwarnings("ignore", category=jaxscat.PixelOrderWarning)`.

    Source: `docs/map-files.md`, "Order of arrays and `.npy`".
    """


@dataclass(frozen=True)
class Smoothness:
    """How alike neighbouring pixels of an array are, if it is in either order.

    Attributes:
        nested, ring: correlation of the ranks of pixels that share an edge.
        error: standard error of the difference of both, for pixels that are independent.
    """

    nested: float
    ring: float
    error: float

    @property
    def clearly(self) -> str | None:
        """The order in which the array is much smoother, "NESTED" or "RING", or None.

        Arrays of independent pixels are in neither, whatever their histogram: with them this is
        wrong once in about a billion times.
        """
        other, order = sorted([(self.nested, "NESTED"), (self.ring, "RING")])
        apart = order[0] - other[0] > _ERRORS * self.error
        smoother = 1 - other[0] > _TIMES * (1 - order[0])
        return order[1] if apart and smoother and order[0] > _LEAST_CORRELATION else None

    @property
    def factor(self) -> float:
        """How many times less neighbours differ in one order than in the other, in ranks."""
        low, high = sorted(1 - part for part in (self.nested, self.ring))
        return float(np.sqrt(high / max(low, 1e-6)))

    def describe(self) -> str:
        """Say in which order it is smoother and by how much, in words."""
        order, other = ("NESTED", "RING") if self.nested >= self.ring else ("RING", "NESTED")
        times = f"{self.factor:.1f}" if self.factor < 10 else f"{self.factor:.0f}"
        return f"as {order} neighbouring pixels differ {times} times less than as {other}"


def compare_orders(
    values: Num[np.ndarray, " p"],
    seen: Bool[np.ndarray, " p"] | None = None,
    *,
    stored: str | None = None,
) -> Smoothness | None:
    """Measure how alike neighbours are in an array, if it is read as NESTED and as RING.

    Ranks are compared, so that neither units nor tails matter.

    Args:
        values: one map of `12 nside^2` pixels.
        seen: pixels that have data; by default all.
        stored: "RING" for values that are NESTED now and were RING in their file; else they are in
            the sequence of the file.

    Returns:
        the smoothness, or None for maps of too few pixels or of one value.

    Raises:
        ValueError: the number of pixels is none of a map.

    Source: `docs/map-files.md`, "Order of arrays and `.npy`".
    """
    nside = npix_to_nside(values.size)
    if nside < 4:
        return None
    import healpy  # here, because importing it loads matplotlib

    def place(numbers: np.ndarray) -> np.ndarray:
        return healpy.ring2nest(nside, numbers) if stored == "RING" else numbers

    if values.size <= _MOST_PIXELS:
        centres = np.arange(values.size)
    else:
        centres = np.random.default_rng(0).integers(values.size, size=_MOST_PIXELS)
    beside = {
        order: healpy.get_all_neighbours(nside, centres, nest=order == "NESTED")[_EDGES]
        for order in ORDERS
    }
    known = np.ones(values.size, bool) if seen is None else seen
    middle = np.broadcast_to(place(centres), beside["RING"].shape)
    pairs = {}
    for order, numbers in beside.items():
        around = place(np.maximum(numbers, 0))
        both = (numbers >= 0) & known[middle] & known[around]
        pairs[order] = values[middle[both]], values[around[both]]
    fewest = min(first.size for first, _ in pairs.values())
    if fewest < 100:
        return None
    found = {order: _rank_correlation(*pair) for order, pair in pairs.items()}
    if not all(np.isfinite(list(found.values()))):
        return None
    # Of small maps every pair is there twice.
    error = np.sqrt(sum(2 / first.size for first, _ in pairs.values()))
    return Smoothness(found["NESTED"], found["RING"], float(error))


def warn_of_other_order(found: Sequence[Field], name: str) -> None:
    """Warn (`PixelOrderWarning`) of the first field of a file that is smoother in the other order.

    Args:
        found: fields with their order in the file; those without one are not looked at.
        name: the file, with which the warning begins.
    """
    for one in found:
        if one.order is None:
            continue
        smoothness = compare_orders(one.values, ~one.missing, stored=one.order)
        if smoothness is not None and smoothness.clearly not in (None, one.order):
            doubt = f"{name}: {_describe_doubt(smoothness, one.order)}"
            warnings.warn(doubt, PixelOrderWarning, stacklevel=4)
            return


def warn_of_ring(
    map: Float[np.ndarray, " p"], name: str, seen: Bool[np.ndarray, " p"] | None = None
) -> None:
    """Warn (`PixelOrderWarning`) of an array, which is to be NESTED, that is smoother as RING.

    Args:
        map: one map of `12 nside^2` pixels.
        name: the argument, with which the warning begins.
        seen: pixels that have data; by default all.
    """
    smoothness = compare_orders(map, seen)
    if smoothness is not None and smoothness.clearly == "RING":
        hint = " (jaxscat.from_healpy takes maps in either order)"
        doubt = f"{name}: {_describe_doubt(smoothness, 'NESTED')}{hint}"
        warnings.warn(doubt, PixelOrderWarning, stacklevel=3)


def _describe_doubt(smoothness: Smoothness, order: str) -> str:
    return (
        f"read as {order}, but {smoothness.describe()}, so that its order seems to be "
        f"{smoothness.clearly}"
    )


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of the ranks of pairs, ranked together; NaN for one value."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([first, second]))
    one, other = ranks.reshape(2, -1) - ranks.mean()
    spread = np.mean(one**2) + np.mean(other**2)
    return float(2 * np.mean(one * other) / spread) if spread > 0 else float("nan")
