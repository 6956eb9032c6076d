"""The history of a loss, and of its terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Apart from the colour of new maps, and from one another for colour-blind eyes too.
COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#000000")


def draw_terms(axis: Any, terms: Sequence[Mapping[str, Any]], style: Mapping[str, Any]) -> None:
    """Plot the terms of a loss, if there are several, dashed and with a legend."""
    names = list(terms[0]) if terms else []
    if len(names) < 2:
        return
    for number, name in enumerate(names):
        shown = {**style, "color": COLOURS[number % len(COLOURS)], "linestyle": "--"}
        for place, one in enumerate(terms):
            values = np.asarray(one[name], dtype=np.float64)
            label = {} if place else {"label": name}
            axis.plot(np.arange(values.size), values, **shown, **label)
    axis.legend(frameon=False, fontsize=9, title="terms")


def label_loss(terms: Sequence[Mapping[str, Any]]) -> str:
    """Return the label of the axis of a loss: the chi-square, or the sum of several terms."""
    several = bool(terms) and len(terms[0]) > 1
    return "loss (solid) and its terms" if several else r"loss: mean $|\Delta/\sigma|^2$"
