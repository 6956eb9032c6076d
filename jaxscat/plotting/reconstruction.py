"""The figures of a reconstruction: its maps beside the truth, and how near it is in all curves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.plotting.agreement import save_agreement as save_agreement
from jaxscat.plotting.losses import draw_renewals
from jaxscat.plotting.recovery_panels import (
    draw_coefficients,
    draw_correlations,
    draw_power,
    draw_ratios,
    draw_values,
    has_ratios,
    label_of,
    legend_of,
)
from jaxscat.plotting.saving import as_label, write_figure
from jaxscat.plotting.sky_row import (
    Picture,
    describe_patch,
    difference_scale,
    draw_sky_rows,
    rows_height,
    value_scale,
)
from jaxscat.reconstruction.result import Reconstruction
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.validation.recovery import Recovery

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]


def save_reconstruction(
    path: Path,
    task: str,
    result: Reconstruction,
    recovery: Recovery,
    *,
    truth: Map | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
    unit: str | None = None,
) -> None:
    """Write the figure of `plot_reconstruction` in the format of the file's suffix.

    Args:
        path: file to write.
        task, result, recovery, truth, inside, unit: as for `plot_reconstruction`.

    Raises:
        ValueError: the suffix is that of no format.
        OSError: the folder is missing or cannot be written.
    """
    figure = plot_reconstruction(task, result, recovery, truth=truth, inside=inside, unit=unit)
    write_figure(Path(path), figure)


def plot_reconstruction(
    task: str,
    result: Reconstruction,
    recovery: Recovery,
    *,
    truth: Map | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
    unit: str | None = None,
) -> Figure:
    """Plot the maps of a reconstruction, and compare it with baselines and the truth.

    Maps of values share the colour scale of the truth (without one, of the reconstruction). Of
    several seeds, the maps are those of the first; curves are means over seeds.

    Args:
        task: "denoise", "inpaint" or "separate".
        result: maps, baselines, and the values of all terms.
        recovery: from `assess`, with a row "reconstruction".
        truth: what is to be recovered; NaN where it is not known, which is left blank.
        inside: the gaps of "inpaint", or else the pixels with data; None for all.
        unit: unit of the maps.

    Returns:
        figure without a window.
    """
    from jaxscat.plotting.layout import new_figure

    unit = as_label(unit or "map units")
    pictures = _pictures(task, result, truth, inside, unit)
    hidden = _hidden(task, inside)
    target = result.statistics.get("scattering", {}).get("target")
    if not isinstance(target, ScatteringCovariance):
        target = None
    heights = [rows_height(12.0, len(pictures)), 5.4, 3.2]
    figure = new_figure(12.0, sum(heights) + 0.4)
    figure.suptitle(_title(task, result), fontsize=15)
    parts: Any = figure.subfigures(3, 1, height_ratios=heights)
    skies, curves, coefficients = parts
    draw_sky_rows(skies, pictures, outlined=hidden)
    nside = int(np.sqrt(pictures[0].map.size / 12))
    skies.supxlabel(describe_patch(nside, hidden), fontsize=10, color="0.3")
    axes = _curve_axes(curves, truth is not None, has_ratios(recovery))
    draw_power(axes["power"], recovery, unit)
    if "ratios" in axes:
        draw_ratios(axes["ratios"], recovery)
        axes["power"].set_xlabel("")
        axes["power"].tick_params(labelbottom=False)
    if "correlations" in axes:
        draw_correlations(axes["correlations"], recovery)
    draw_values(axes["values"], _values(result, truth, inside), unit)
    level = "dashed: 1" if task == "inpaint" else "dashed: the truth on average"
    draw_renewals(axes["renewals"], result.chi2, level=level)
    draw_coefficients(coefficients.subplots(1, 4), recovery, target)
    handles, labels = legend_of(recovery, target=target is not None)
    curves.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=min(len(labels), 4),
        frameon=False,
        fontsize=12.5,
    )
    return figure


def _curve_axes(figure: Any, correlations: bool, ratios: bool) -> dict[str, Any]:
    """Return the axes of the curves, of two heights in a column."""
    parts: Any = figure.subfigures(1, 3 if correlations else 2)
    heights = {"height_ratios": [1.3, 1.0]}
    if ratios:
        power, ratio = parts[0].subplots(2, 1, **heights)
        found = {"power": power, "ratios": ratio}
    else:
        found = {"power": parts[0].subplots()}
    if correlations:
        found["correlations"] = parts[1].subplots()
    values, renewals = parts[-1].subplots(2, 1, **heights)
    return {**found, "values": values, "renewals": renewals}


def _title(task: str, result: Reconstruction) -> str:
    name = {"denoise": "denoising", "inpaint": "gaps", "separate": "separation"}.get(task, task)
    if isinstance(result.status, str):
        return as_label(f"{name}: {result.status}")
    counts = Counter(result.status).most_common()
    parts = [f"{count} {status}" for status, count in counts]
    if len(counts) == 1:
        parts = [counts[0][0]]
    shown = "; maps of the first" if len(result.status) > 1 else ""
    return as_label(f"{name}, {len(result.status)} seeds: {', '.join(parts)}{shown}")


def _hidden(task: str, inside: Bool[np.ndarray, " p"] | None) -> Bool[np.ndarray, " p"] | None:
    """Return the pixels without data."""
    if inside is None:
        return None
    seen = np.asarray(inside) > 0
    return seen if task == "inpaint" else ~seen


def _pictures(
    task: str,
    result: Reconstruction,
    truth: Map | None,
    inside: Bool[np.ndarray, " p"] | None,
    unit: str,
) -> list[Picture]:
    """Choose the maps of the row: data, reconstruction, and truth or baselines."""
    first = _first(result.map)
    hidden = _hidden(task, inside)
    data = np.asarray(result.baselines.get("data", first), np.float64)
    if hidden is not None:
        data = np.where(hidden, np.nan, data)
    values = value_scale(first if truth is None else truth, unit)
    pictures = [
        Picture("data" if task != "separate" else "combination", data, values),
        Picture("reconstruction", first, values),
    ]
    if truth is not None:
        away = first - truth
        if hidden is not None and task != "inpaint":  # there is nothing that is compared
            away = np.where(hidden, np.nan, away)
        pictures += [
            Picture("truth", truth, values),
            Picture(
                "difference",
                away,
                difference_scale(away, f"reconstruction $-$ truth\n[{unit}]"),
            ),
        ]
    elif task == "inpaint":
        names = [name for name in ("gaussian realization", "gaussian mean", "diffusive")]
        known = [name for name in names if name in result.baselines][:2]
        pictures += [
            Picture(label_of(name), np.asarray(result.baselines[name]), values) for name in known
        ]
    else:
        known = [name for name in result.baselines if name != "data"][:1]
        pictures += [
            Picture(label_of(name), np.asarray(result.baselines[name]), values) for name in known
        ]
        away = data - first
        label = f"data $-$ reconstruction\n[{unit}]"
        pictures.append(Picture("residual", away, difference_scale(away, label)))
    if result.contaminant is not None:
        rest = _first(result.contaminant)
        pictures.append(
            Picture("contaminant", rest, difference_scale(rest, f"its estimate\n[{unit}]"))
        )
    return pictures


def _values(
    result: Reconstruction, truth: Map | None, inside: Bool[np.ndarray, " p"] | None
) -> dict[str, list[Map]]:
    """Return the pixels that count of every estimate, from back to front."""
    seen = np.ones(_first(result.map).size, bool) if inside is None else np.asarray(inside) > 0
    maps = {name: [np.asarray(map)[seen]] for name, map in result.baselines.items()}
    maps["reconstruction"] = [map[seen] for map in np.atleast_2d(result.map)]
    return maps | ({} if truth is None else {"truth": [np.asarray(truth)[seen]]})


def _first(maps: Float[np.ndarray, "*seeds p"]) -> Map:
    """Return the map of the first seed."""
    return np.atleast_2d(np.asarray(maps, np.float64))[0]
