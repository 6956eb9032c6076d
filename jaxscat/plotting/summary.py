"""The summary figure of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.validation import angular_power_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]

# Colours of the Okabe-Ito set, which colour-blind readers can tell apart.
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
) -> Figure:
    """Draw maps, power spectra, histograms and the loss of one synthesis.

    All maps are NESTED [p] of one nside and in one `unit`; `losses` starts with the loss of the
    start map. The three Mollweide maps share one colour scale, that of the original between its
    0.5 and 99.5 percentiles. With a `footprint` (weights of the pixels, such as a mask) pixels
    without weight are left blank, and spectra and histograms are those of the footprint. Returns
    the figure, which belongs to no window.
    """
    from matplotlib.figure import Figure

    maps = {"original": original, "start": start, "synthesized": synthesized}
    curves = {**maps, "Gaussian control": gaussian}
    figure = Figure(figsize=(13.0, 7.6), dpi=150, layout="constrained")
    if title:
        figure.suptitle(title, fontsize=13)
    grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.25])
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    _draw_maps(upper, maps, footprint, unit)
    spectra, histograms, history = lower.subplots(1, 3)
    _draw_spectra(spectra, curves, footprint, unit)
    _draw_histograms(histograms, curves, footprint, unit)
    _draw_losses(history, losses)
    handles, labels = spectra.get_legend_handles_labels()
    lower.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def mollweide_image(map: Map, *, width: int = 800) -> Float[np.ndarray, "h w"]:
    """A NESTED map in Mollweide projection, [width / 2, width], NaN outside the ellipse.

    Longitude zero is in the middle and longitude grows to the left, as the sky is seen from
    inside; the first row is the north pole.
    """
    import healpy  # loads matplotlib, so not at import

    x, y = np.meshgrid(
        2.0 * (np.arange(width) + 0.5) / width - 1.0,
        1.0 - 2.0 * (np.arange(width // 2) + 0.5) / (width // 2),
    )
    inside = x**2 + y**2 < 1.0
    auxiliary = np.arcsin(y[inside])
    latitude = np.arcsin((2.0 * auxiliary + np.sin(2.0 * auxiliary)) / np.pi)
    longitude = -np.pi * x[inside] / np.cos(auxiliary)
    pixels = healpy.ang2pix(
        healpy.npix2nside(len(map)), np.pi / 2.0 - latitude, longitude, nest=True
    )
    image = np.full(x.shape, np.nan)
    image[inside] = np.asarray(map, dtype=np.float64)[pixels]
    return image


def _draw_maps(figure: Any, maps: Mapping[str, Map], footprint: Map | None, unit: str) -> None:
    from matplotlib.patches import Ellipse

    inside = np.ones(len(maps["original"]), bool) if footprint is None else footprint > 0
    low, high = np.percentile(maps["original"][inside], [0.5, 99.5])
    axes = figure.subplots(1, len(maps))
    image = None
    for axis, (name, map) in zip(axes, maps.items(), strict=True):
        image = axis.imshow(
            mollweide_image(np.where(inside, map, np.nan)),
            extent=(-2.0, 2.0, -1.0, 1.0),
            vmin=low,
            vmax=high,
            cmap="inferno",
            interpolation="nearest",
        )
        axis.add_patch(Ellipse((0, 0), 4.0, 2.0, fill=False, linewidth=1.0, color="0.2"))
        axis.set_axis_off()
        axis.set_xlim(-2.03, 2.03)
        axis.set_ylim(-1.03, 1.03)
        axis.set_title(name, fontsize=12)
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", extend="both", shrink=0.35, aspect=35, pad=0.03
    )
    bar.set_label(unit)


def _draw_spectra(axis: Any, maps: Mapping[str, Map], footprint: Map | None, unit: str) -> None:
    for name, map in _in_order(maps):
        spectrum = angular_power_spectrum(map, footprint)
        multipole = np.arange(len(spectrum))
        shown = slice(1, None)
        power = multipole * (multipole + 1) * spectrum / (2.0 * np.pi)
        axis.plot(multipole[shown], power[shown], label=name, **STYLES[name])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(r"multipole $\ell$")
    axis.set_ylabel(rf"$\ell(\ell+1)\,C_\ell/2\pi$  [({unit})$^2$]")
    axis.set_title("angular power spectrum", fontsize=12)


def _draw_histograms(axis: Any, maps: Mapping[str, Map], footprint: Map | None, unit: str) -> None:
    weights = np.ones(len(maps["original"])) if footprint is None else footprint
    values = np.concatenate([maps[name][weights > 0] for name in ("original", "synthesized")])
    edges = np.linspace(values.min(), values.max(), 61)
    for name, map in _in_order(maps):
        density, _ = np.histogram(map, bins=edges, weights=weights, density=True)
        axis.stairs(density, edges, label=name, **STYLES[name])
    axis.set_yscale("log")
    axis.set_xlabel(f"pixel value [{unit}]")
    axis.set_ylabel("probability density")
    axis.set_title("pixel values", fontsize=12)


def _draw_losses(axis: Any, losses: Any) -> None:
    losses = np.asarray(losses, dtype=np.float64)
    axis.plot(np.arange(len(losses)), losses, **STYLES["synthesized"])
    axis.set_yscale("log")
    axis.set_xlabel("iteration")
    axis.set_ylabel(r"loss: mean $|\Delta/\sigma|^2$")
    axis.set_title(f"loss: {losses[0]:.4g} at the start, {losses[-1]:.4g} at the end", fontsize=12)
    axis.grid(alpha=0.3, linewidth=0.5)


def _in_order(maps: Mapping[str, Map]) -> list[tuple[str, Map]]:
    """The curves from back to front."""
    return [(name, maps[name]) for name in ("start", "Gaussian control", "original", "synthesized")]
