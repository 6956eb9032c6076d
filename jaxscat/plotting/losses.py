"""The history of a loss, and of its terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.axes import set_plain_logarithmic
from jaxscat.plotting.saving import as_label

# Apart from the colour of new maps, and from one another for colour-blind eyes too.
_FIRST = "#D55E00"  # that of new maps
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


def draw_renewals(
    axis: Any, chi2: Mapping[str, Float[np.ndarray, "*seeds renewals"]], *, level: str
) -> None:
    """Plot the value of every term right after each renewal, and what `level` one means."""
    from matplotlib.ticker import MaxNLocator

    finite = np.concatenate([np.ravel(of) for of in chi2.values()] or [np.array([])])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    axis.set_title(r"$\chi^2$ after every renewal", fontsize=13)
    if not finite.size:
        axis.text(0.5, 0.5, "none", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    for number, (name, of) in enumerate(chi2.items()):
        colour = _FIRST if number == 0 else COLOURS[number - 1]
        rows = np.atleast_2d(np.asarray(of, np.float64))
        for at, row in enumerate(rows):
            label = as_label(name) if at == 0 else None
            axis.plot(
                np.arange(row.size),
                row,
                marker="o",
                markersize=5,
                color=colour,
                linewidth=1.8 if len(rows) == 1 else 1.0,
                alpha=1.0 if len(rows) == 1 else 0.7,
                label=label,
            )
    axis.axhline(1.0, color="0.3", linewidth=1.0, linestyle=(0, (4, 2)))
    axis.set_yscale("log")
    axis.set_ylim(0.7 * min(1.0, finite.min()), 1.4 * max(1.0, finite.max()))
    set_plain_logarithmic(axis)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(f"renewal ({level})")
    axis.grid(alpha=0.3, linewidth=0.5)
    if len(chi2) > 1:
        axis.legend(frameon=False, fontsize=10)
