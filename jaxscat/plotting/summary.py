"""The summary figure of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.plotting.losses import draw_terms, label_loss
from jaxscat.plotting.maps import draw_maps
from jaxscat.validation import angular_power_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]
Curves = Mapping[str, Sequence[Map]]

# Colours of the colour-blind safe Okabe-Ito set.
STYLES: Mapping[str, Mapping[str, Any]] = {
    "original": {"color": "#000000", "linewidth": 1.8},
    "start": {"color": "#999999", "linewidth": 1.2},
    "Gaussian control": {"color": "#0072B2", "linewidth": 1.2, "linestyle": (0, (4, 2))},
    "synthesized": {"color": "#D55E00", "linewidth": 1.5},
}


def plot_summary(
    original: Map,
    start: Map,
    synthesized: Map,
    gaussian: Map,
    losses: Sequence[float] | Float[np.ndarray, " steps"],
    *,
    footprint: Map | None = None,
    title: str = "",
    unit: str = "map units",
    ensemble: Sequence[Map] = (),
    ensemble_losses: Sequence[Sequence[float] | Float[np.ndarray, " steps"]] = (),
    terms: Sequence[Mapping[str, Any]] = (),
) -> Figure:
    """Plot maps, power spectra, histograms and the loss of a synthesis with one or more seeds.

    All maps are NESTED [p], of one nside and in one `unit`; `losses` starts with the loss of the
    start map. The three Mollweide maps share a colour scale, the 0.5 to 99.5 percentiles of the
    original. With a `footprint` (weights of the pixels, such as a mask), pixels of zero weight are
    blank, and spectra and histograms are weighted.

    With an `ensemble` (the maps of all seeds, including `synthesized`) and the losses of each,
    spectra and histograms of synthesized maps are medians over the ensemble, in a band from the
    16th to the 84th percentile, and each loss is a thin line. `terms` has the values of the terms
    of each loss (`Result.terms`), which are drawn if there are several. Returns a figure without a
    window.

    Source: `docs/conventions.md`, "Ensembles".
    """
    from jaxscat.plotting.layout import new_figure

    maps = {"original": original, "start": start, "synthesized": synthesized}
    curves = {
        "start": [start],
        "Gaussian control": [gaussian],
        "original": [original],
        "synthesized": list(ensemble) or [synthesized],
    }  # from back to front
    figure = new_figure(13.0, 7.6)
    if title:
        figure.suptitle(title, fontsize=13)
    grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.25])
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_maps(upper, maps, footprint, unit)
    spectra, histograms, history = lower.subplots(1, 3)
    _draw_spectra(spectra, curves, footprint, unit)
    _draw_histograms(histograms, curves, footprint, unit)
    _draw_losses(history, list(ensemble_losses) or [losses], terms)
    handles, labels = spectra.get_legend_handles_labels()
    lower.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _draw_maps(figure: Any, maps: Mapping[str, Map], footprint: Map | None, unit: str) -> None:
    bar = {"orientation": "horizontal", "shrink": 0.35, "aspect": 35, "pad": 0.03}
    axes = figure.subplots(1, len(maps))
    draw_maps(figure, axes, maps, footprint=footprint, unit=unit, bar=bar)


def _draw_spectra(axis: Any, curves: Curves, footprint: Map | None, unit: str) -> None:
    for name, maps in curves.items():
        spectra = np.stack([angular_power_spectrum(map, footprint) for map in maps])[:, 1:]
        multipole = np.arange(1, spectra.shape[1] + 1)
        low, middle, high = _band(multipole * (multipole + 1) * spectra / (2.0 * np.pi))
        if len(maps) > 1:
            axis.fill_between(multipole, low, high, **_filled(name))
        axis.plot(multipole, middle, label=_label(name, maps), **STYLES[name])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(r"multipole $\ell$")
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [({unit})$^2$]")
    axis.set_title("angular power spectrum", fontsize=12)


def _draw_histograms(axis: Any, curves: Curves, footprint: Map | None, unit: str) -> None:
    weights = np.ones(len(curves["original"][0])) if footprint is None else footprint
    shown = [map[weights > 0] for name in ("original", "synthesized") for map in curves[name]]
    edges = np.linspace(min(map.min() for map in shown), max(map.max() for map in shown), 61)
    for name, maps in curves.items():
        densities = [
            np.histogram(map, bins=edges, weights=weights, density=True)[0] for map in maps
        ]
        low, middle, high = _band(np.stack(densities))
        if len(maps) > 1:
            axis.stairs(high, edges, baseline=low, fill=True, **_filled(name))
        axis.stairs(middle, edges, label=_label(name, maps), **STYLES[name])
    axis.set_yscale("log")
    axis.set_xlabel(f"pixel value [{unit}]")
    axis.set_ylabel("probability density")
    axis.set_title("pixel values", fontsize=12)


def _draw_losses(axis: Any, losses: Sequence[Any], terms: Sequence[Mapping[str, Any]]) -> None:
    style = dict(STYLES["synthesized"])
    if len(losses) > 1:
        style |= {"linewidth": 0.6, "alpha": max(0.15, 0.8 / len(losses) ** 0.3)}
    for one in losses:
        axis.plot(np.arange(len(one)), np.asarray(one, dtype=np.float64), **style)
    draw_terms(axis, terms, style)
    first, last = (np.array([float(one[at]) for one in losses]) for at in (0, -1))
    title = f"loss: {first[0]:.4g} at the start, {last[0]:.4g} at the end"
    if len(losses) > 1:
        best, worst = np.fmin.reduce(last), np.fmax.reduce(last)  # ignoring NaN
        title = f"loss at the end: {best:.4g} to {worst:.4g}"
    axis.set_yscale("log")
    axis.set_xlabel("iteration")
    axis.set_ylabel(label_loss(terms))
    axis.set_title(title, fontsize=12)
    axis.grid(alpha=0.3, linewidth=0.5)


def _band(rows: Float[np.ndarray, "maps points"]) -> Float[np.ndarray, "3 points"]:
    """Return the 16th, 50th and 84th percentile over the maps."""
    return np.percentile(rows, [16.0, 50.0, 84.0], axis=0)


def _filled(name: str) -> dict[str, Any]:
    return {"color": STYLES[name]["color"], "alpha": 0.3, "linewidth": 0.0}


def _label(name: str, maps: Sequence[Map]) -> str:
    return name if len(maps) == 1 else f"{name}: median and 16 to 84 % of {len(maps)} seeds"
