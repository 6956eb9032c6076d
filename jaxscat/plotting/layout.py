"""Figures whose panels have the same places whenever they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

# The constrained layout repeats itself to 1e-15 of the figure only, and a pixel of a sky map at
# whose edge a panel begins is then drawn in one of two colours.
_DECIMALS = 9


class RepeatableLayout(ConstrainedLayoutEngine):
    """Matplotlib's constrained layout, with places that are rounded."""

    def execute(self, fig: Any) -> None:
        """Lay out a figure."""
        super().execute(fig)
        _round_subfigures(fig)
        for axes in fig.axes:
            bounds = axes.get_position(original=True).bounds
            axes.set_position(Bbox.from_bounds(*np.round(bounds, _DECIMALS)))
            axes.set_in_layout(True)  # which setting a position turns off


def _round_subfigures(figure: Any) -> None:
    for inner in figure.subfigs:
        box = inner.bbox_relative
        box.p0, box.p1 = np.round(box.p0, _DECIMALS), np.round(box.p1, _DECIMALS)
        _round_subfigures(inner)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure without a window; width and height in inches."""
    return Figure(figsize=(width, height), dpi=150, layout=RepeatableLayout())
