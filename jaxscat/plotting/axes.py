"""Axes of multipoles and of ratios, with plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

# Ratios beyond are drawn at the edge.
_LEAST_RATIO, _LARGEST_RATIO = 0.05, 20.0
# What was not imposed.
FREE: Mapping[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.75",
    "hatch": "///",
    "linewidth": 0.0,
}
# Room around what is drawn, as a fraction of its extent.
_MARGIN = 0.06


def clipped(values: Any) -> Float[np.ndarray, " n"]:
    """Return ratios within what is drawn; NaN (a gap of the line) where undefined."""
    ratios = np.asarray(values, np.float64)
    return np.where(np.isfinite(ratios), np.clip(ratios, _LEAST_RATIO, _LARGEST_RATIO), np.nan)


def fit_vertical(
    axis: Any,
    drawn: Sequence[Float[np.ndarray, " ..."]],
    beside: Sequence[Float[np.ndarray, " ..."]] = (),
) -> None:
    """Set a linear vertical axis around all that is drawn; a logarithmic one stays as it is.

    What is `beside` may extend the axis by its own length at either end, and is cut off beyond.
    """
    numbers = _finite(drawn)
    if axis.get_yscale() == "log" or not numbers.size:
        return
    low, high = numbers.min(), numbers.max()
    extent = (high - low) or max(abs(low), 1.0)
    more = np.clip(_finite(beside), low - extent, high + extent)
    low, high = min(low, more.min(initial=low)), max(high, more.max(initial=high))
    axis.set_ylim(low - _MARGIN * extent, high + _MARGIN * extent)


def _finite(rows: Sequence[Float[np.ndarray, " ..."]]) -> Float[np.ndarray, " n"]:
    numbers = np.concatenate([np.ravel(row) for row in rows] or [np.zeros(0)])
    return numbers[np.isfinite(numbers)]


def set_ratio(axis: Any, values: Sequence[float]) -> None:
    """Set a logarithmic axis around one, with plain numbers."""
    finite = clipped(values)
    finite = finite[np.isfinite(finite)]
    axis.set_yscale("log")
    axis.set_ylim(min(0.8, 0.9 * finite.min(initial=1.0)), max(1.25, 1.1 * finite.max(initial=1.0)))
    set_plain_logarithmic(axis)
    axis.grid(alpha=0.3, linewidth=0.5)


def set_plain_logarithmic(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers, few enough not to touch."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    low, high = axis.get_ylim()
    decades = np.log10(high / low)
    if decades > 0.6:
        steps = (1.0,) if decades > 3 else (1.0, 2.0, 5.0)
        ticks = [10.0**power * step for power in range(-9, 10) for step in steps]
    else:
        ticks = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0]
    inside = [tick for tick in ticks if low <= tick <= high]
    axis.yaxis.set_major_locator(FixedLocator(inside))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def set_multipoles(axis: Any, bins: Sequence[tuple[int, int]]) -> None:
    """Set a logarithmic axis of multipoles, with ticks at powers of two (or four, if many)."""
    low, high = 0.9 * bins[0][0], 1.05 * bins[-1][1]
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    powers = range(int(np.ceil(np.log2(low))), int(np.log2(high)) + 1)
    ticks = [2**power for power in powers if power % (1 if len(powers) < 8 else 2) == 0]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3, linewidth=0.5)
