"""Ellipses of parameters, from the covariances that Fisher matrices give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from jaxscat.plotting.layout import new_figure

COLOURS = ("#7F7F7F", "#E69F00", "#0072B2", "#D55E00")
CHI_SQUARE = 2.30  # within which are 68 % of two numbers


def draw_ellipses(
    scatters: Mapping[str, Float[np.ndarray, "parameter parameter"]],
    centre: Sequence[float],
    names: Sequence[str],
    title: str,
) -> Figure:
    """Draw ellipses of 68 % of all pairs of parameters, the others unknown.

    The panels are as wide as all but the first of them need; the first is a reference.
    """
    pairs = list(combinations(range(len(names)), 2))
    figure = new_figure(4.0 * len(pairs), 4.4)
    axes = np.atleast_1d(figure.subplots(1, len(pairs)))
    shown = list(scatters.values())[1:]
    for axis, (x, y) in zip(axes, pairs, strict=True):
        for scatter, colour in zip(scatters.values(), COLOURS, strict=False):
            _add_ellipse(axis, (centre[x], centre[y]), scatter[np.ix_((x, y), (x, y))], colour)
        reach = [2.4 * max(np.sqrt(scatter[at, at]) for scatter in shown) for at in (x, y)]
        axis.set_xlim(centre[x] - reach[0], centre[x] + reach[0])
        axis.set_ylim(centre[y] - reach[1], centre[y] + reach[1])
        axis.plot(centre[x], centre[y], "+", color="black")
        axis.set_xlabel(names[x])
        axis.set_ylabel(names[y])
        axis.grid(alpha=0.3, linewidth=0.5)
    handles = [
        axes[0].plot([], [], color=colour, linewidth=2, label=label)[0]
        for label, colour in zip(scatters, COLOURS, strict=False)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        title=f"68 % of two parameters, the third unknown; {title}",
    )
    return figure


def _add_ellipse(
    axis: Any, centre: tuple[float, float], scatter: Float[np.ndarray, "2 2"], colour: str
) -> None:
    values, vectors = np.linalg.eigh(scatter)
    width, height = 2 * np.sqrt(CHI_SQUARE * values)
    angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
    for style in (
        {"facecolor": colour, "edgecolor": "none", "alpha": 0.12},
        {"facecolor": "none", "edgecolor": colour, "linewidth": 1.6},
    ):
        axis.add_patch(Ellipse(centre, width, height, angle=angle, **style))
