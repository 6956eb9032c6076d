"""The figure of several solutions: their mean, their spread, and where they agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.plotting.axes import set_multipoles
from jaxscat.plotting.saving import as_label, write_figure
from jaxscat.plotting.sky_row import (
    Picture,
    Scale,
    describe_patch,
    draw_sky_rows,
    rows_height,
    value_scale,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]

_CURVES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pairs": ("two solutions", {"color": "#0072B2", "linewidth": 2.0}),
    "single": (
        "a solution and the truth",
        {"color": "#D55E00", "linewidth": 2.0, "linestyle": (0, (5, 2))},
    ),
    "mean": (
        "the mean of the solutions and the truth",
        {"color": "#CC79A7", "linewidth": 2.0, "linestyle": (0, (6, 1.5, 1, 1.5))},
    ),
}
_BARS = {
    "std": ("one solution, from\npixel to pixel", "0.6"),
    "spread": ("spread of\nthe solutions", "#0072B2"),
    "residual_single": ("one solution\nless the truth", "#D55E00"),
    "residual_mean": ("their mean\nless the truth", "#CC79A7"),
}


def save_agreement(
    path: Path,
    maps: Float[np.ndarray, "B p"],
    found: Mapping[str, Any],
    *,
    truth: Map | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
    unit: str | None = None,
) -> None:
    """Write the figure of `plot_agreement` in the format of the file's suffix.

    Args:
        path: file to write.
        maps, found, truth, inside, unit: as for `plot_agreement`.

    Raises:
        ValueError: the suffix is that of no format.
        OSError: the folder is missing or cannot be written.
    """
    write_figure(Path(path), plot_agreement(maps, found, truth=truth, inside=inside, unit=unit))


def plot_agreement(
    maps: Float[np.ndarray, "B p"],
    found: Mapping[str, Any],
    *,
    truth: Map | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
    unit: str | None = None,
) -> Figure:
    """Plot the mean and the spread of several solutions, and at which scales they agree.

    Args:
        maps: NESTED maps of the solutions.
        found: the result of `jaxscat.validation.agreement.agreement`.
        truth: what they are solutions for.
        inside: pixels that count, such as gaps; outlined.
        unit: unit of the maps.

    Returns:
        figure without a window.
    """
    from jaxscat.plotting.layout import new_figure

    unit = as_label(unit or "map units")
    solutions = np.asarray(maps, np.float64)
    seen = None if inside is None else np.asarray(inside) > 0
    spread = solutions.std(axis=0, ddof=1)
    shown = spread if seen is None else np.where(seen, spread, np.nan)
    top = float(np.nanpercentile(shown, 99.5)) or 1.0
    values = value_scale(solutions[0] if truth is None else truth, unit)
    pictures = [
        Picture("one solution", solutions[0], values),
        Picture(f"mean of {len(solutions)}", solutions.mean(axis=0), values),
    ]
    if truth is not None:
        pictures.append(Picture("truth", np.asarray(truth, np.float64), values))
    pictures.append(
        Picture("spread", shown, Scale(0.0, top, "viridis", f"standard deviation\n[{unit}]"))
    )
    heights = [rows_height(12.0, len(pictures)), 3.9]
    figure = new_figure(12.0, sum(heights) + 0.4)
    figure.suptitle(f"agreement of {len(solutions)} solutions", fontsize=15)
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    skies, curves = parts
    draw_sky_rows(skies, pictures, outlined=seen)
    nside = int(np.sqrt(solutions.shape[1] / 12))
    skies.supxlabel(describe_patch(nside, seen), fontsize=10, color="0.3")
    left, right = curves.subplots(1, 2, width_ratios=[1.5, 1.0])
    _draw_correlations(left, found)
    _draw_sizes(right, found, unit)
    return figure


def _draw_correlations(axis: Any, found: Mapping[str, Any]) -> None:
    bins = [(row["l_min"], row["l_max"]) for row in found["bins"]]
    middles = np.array([np.sqrt(low * high) for low, high in bins])
    chance = _numbers([row["chance"] for row in found["bins"]])
    axis.fill_between(
        middles, -chance, chance, color="0.87", linewidth=0, zorder=0.5, label="by chance"
    )
    axis.axhline(0.0, color="0.4", linewidth=0.8, zorder=0.8)
    least = 0.0
    for key, (label, style) in _CURVES.items():
        values = _numbers([row[key] for row in found["bins"]])
        if np.isfinite(values).any():
            axis.plot(middles, values, marker="o", markersize=5, label=label, **style)
            least = min(least, float(np.nanmin(values)))
    axis.set_ylim(min(-0.08, 1.1 * least), 1.04)
    set_multipoles(axis, bins)
    axis.set_xlabel(r"multipole $\ell$", fontsize=12)
    axis.set_ylabel("correlation coefficient", fontsize=12)
    axis.set_title("structures are known where solutions agree", fontsize=14)
    axis.legend(frameon=False, fontsize=12, loc="best")


def _draw_sizes(axis: Any, found: Mapping[str, Any], unit: str) -> None:
    known = {key: bar for key, bar in _BARS.items() if found.get(key) is not None}
    places = np.arange(len(known))[::-1]
    axis.barh(places, [found[key] for key in known], color=[bar[1] for bar in known.values()])
    for place, key in zip(places, known, strict=True):
        axis.text(found[key], place, f" {found[key]:#.3g}", va="center", fontsize=12)
    axis.set_yticks(places, [bar[0] for bar in known.values()], fontsize=12)
    axis.set_xlim(0.0, 1.2 * max([found[key] for key in known] + [1e-300]))
    axis.set_xlabel(f"rms [{unit}]", fontsize=12)
    axis.set_title("how much maps vary", fontsize=14)
    axis.grid(axis="x", alpha=0.3, linewidth=0.5)


def _numbers(values: list[float | None]) -> Float[np.ndarray, " n"]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
