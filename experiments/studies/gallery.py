"""Make the pictures of "What S0 to S4 see", and write their numbers into that page.

Run from the repository: python -m experiments.studies gallery (two minutes on two cores). Wavelets
on the sphere, the modulus of a map at three scales, and maps of one power spectrum with their
coefficients beside, under docs/images; the numbers replace those between the marks in
docs/what-s0-to-s4-see.md. --quick is the same in small.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import Any

import healpy
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from rich.console import Console

import jaxscat
from experiments.studies.toy_maps import gaussian_map, shared_spectrum, toy_maps
from jaxscat.io.archive import write_bytes
from jaxscat.plotting import mollweide_image, render_figure, write_figure
from jaxscat.plotting.layout import new_figure
from jaxscat.validation import angular_power_spectrum

COLOURS = ("0.35", "#c1272d", "#0000a7", "#008176")
DRAWS = 24  # Gaussian maps, whose scatter is the grey band
SCALE = 2  # of the orientations that are shown
CENTRE = (60.0, 30.0)  # co-latitude and longitude of the wavelets, degrees
MARKS = ("<!-- numbers of experiments.studies gallery -->", "<!-- end of numbers -->")


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    console, nside = Console(), 16 if options.quick else 64
    draws = 4 if options.quick else DRAWS
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    pyramid = jaxscat.build_pyramid(nside)
    write_figure(folder / "wavelets.png", draw_wavelets(pyramid))
    write_figure(folder / "icon.png", draw_icon(pyramid))
    web = jaxscat.load_map("cosmic-web", nside=nside)
    write_small(folder / "modulus.png", draw_modulus(web, pyramid))
    maps = toy_maps(nside)
    write_small(folder / "same_spectrum.png", draw_maps(maps))
    found = {name: summarize(map, pyramid) for name, map in maps.items()}
    band = [summarize(gaussian_map(nside, 1000 + seed), pyramid) for seed in range(draws)]
    write_figure(folder / "same_spectrum_coefficients.png", draw_coefficients(found, band))
    table = write_numbers(maps, found, band, nside)
    if options.page is not None:
        replace_numbers(options.page, table)
    console.print(table, highlight=False, soft_wrap=True)
    return 0


def write_small(path: Path, figure: Any) -> None:
    """Write a figure of sky maps in 200 colours, which is a third of the bytes."""
    image = Image.open(io.BytesIO(render_figure(figure, "png"))).convert("RGB")
    stream = io.BytesIO()
    image.quantize(200, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
    write_bytes(path, stream.getvalue())


def wavelet(pyramid: jaxscat.Pyramid, scale: int, orientation: int) -> np.ndarray:
    """Return what one coefficient weighs the pixels of a map with, complex [p].

    That is the derivative of the coefficient by the map, downsampling included.
    """
    nside = pyramid.spec.nside
    pixel = healpy.ang2pix(nside >> scale, *np.radians(CENTRE), nest=True)

    def coefficient(map: Any) -> Any:
        for at in range(scale):
            map = jaxscat.downsample_map(map, pyramid, at)
        found = jaxscat.convolve_map(map, pyramid, scale)[orientation, pixel]
        return jnp.stack([found.real, found.imag])

    real, imaginary = jax.jacrev(coefficient)(jnp.zeros(12 * nside**2, jnp.float32))
    return np.asarray(real) + 1j * np.asarray(imaginary)


def globe(map: np.ndarray, size: int = 300) -> np.ndarray:
    """Return the hemisphere around the centre of the wavelets as an image, NaN outside."""
    x, y = np.meshgrid(np.linspace(1, -1, size), np.linspace(1, -1, size))
    inside = x**2 + y**2 < 1
    forward = healpy.ang2vec(*np.radians(CENTRE))
    theta, phi = np.radians(CENTRE)
    north = np.array([-np.cos(theta) * np.cos(phi), -np.cos(theta) * np.sin(phi), np.sin(theta)])
    east = np.cross(north, forward)
    depth = np.sqrt(1 - x[inside] ** 2 - y[inside] ** 2)
    points = depth[:, None] * forward + y[inside][:, None] * north - x[inside][:, None] * east
    ring = healpy.reorder(map, n2r=True)
    image = np.full(x.shape, np.nan)
    image[inside] = healpy.get_interp_val(ring, *healpy.vec2ang(points))
    return image


def draw_wavelets(pyramid: jaxscat.Pyramid) -> Any:
    """Draw real parts, one row for each scale and one column for each orientation."""
    scales = range(pyramid.spec.scales - 5, pyramid.spec.scales - 2)
    figure = new_figure(6.6, 1.75 * len(scales))
    axes = figure.subplots(len(scales), pyramid.spec.orientations, squeeze=False)
    for row, scale in zip(axes, scales, strict=True):
        for orientation, axis in enumerate(row):
            image = globe(np.real(wavelet(pyramid, scale, orientation)))
            _draw_globe(axis, image)
            if scale == scales[0]:
                axis.set_title(f"l = {orientation}", fontsize=13)
        row[0].text(
            -0.1,
            0.5,
            f"j = {scale}",
            transform=row[0].transAxes,
            fontsize=13,
            va="center",
            ha="right",
        )
    return figure


def draw_icon(pyramid: jaxscat.Pyramid) -> Any:
    """Draw one wavelet alone, for the tab of a browser."""
    figure = new_figure(0.64, 0.64)
    _draw_globe(figure.subplots(), globe(np.real(wavelet(pyramid, pyramid.spec.scales - 3, 1))))
    return figure


def _draw_globe(axis: Any, image: np.ndarray) -> None:
    limit = np.nanmax(np.abs(image))
    axis.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    size = image.shape[0]
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(size / 2 * (1 + np.cos(angle)), size / 2 * (1 + np.sin(angle)), "0.6", lw=0.8)
    axis.axis("off")


def draw_modulus(map: np.ndarray, pyramid: jaxscat.Pyramid) -> Any:
    """Draw a map and the modulus of its wavelet coefficients at three scales, mean over l."""
    panels, coarse = {"map": map}, jnp.asarray(map, jnp.float32)
    for scale in range(3):
        modulus = jnp.abs(jaxscat.convolve_map(coarse, pyramid, scale)).mean(0)
        panels[f"modulus, j = {scale}"] = np.asarray(modulus)
        coarse = jaxscat.downsample_map(coarse, pyramid, scale)
    return _mollweides(panels, cmap="magma")


def draw_maps(maps: dict[str, np.ndarray]) -> Any:
    """Draw the toy maps in one colour scale."""
    limit = 2.5 * float(np.std(next(iter(maps.values()))))
    return _mollweides(maps, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _mollweides(maps: dict[str, np.ndarray], **colours: Any) -> Any:
    figure = new_figure(6.6, 4.0)
    for axis, (name, map) in zip(figure.subplots(2, 2).flat, maps.items(), strict=True):
        own = colours if "vmin" in colours else colours | _percentiles(map)
        axis.imshow(mollweide_image(map, width=640), aspect="equal", **own)
        axis.set_title(name, fontsize=13)
        axis.axis("off")
    return figure


def _percentiles(map: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(map, [0.5, 99.5])
    return {"vmin": float(low), "vmax": float(high)}


def summarize(map: np.ndarray, pyramid: jaxscat.Pyramid) -> dict[str, np.ndarray]:
    """Return what is shown of the coefficients of a map, by scale but for the last.

    S1 over the root of S2; S3 of a scale with the next finer one, and S4 of that finer modulus with
    itself, at equal orientations, over the power; S4 against l1 - l2 at one scale.
    """
    values = jnp.asarray(map)
    statistics = jaxscat.measure(values, pyramid)
    normal = jaxscat.normalize(statistics, jaxscat.wavelet_power(values, pyramid))
    mean = jaxscat.IsotropicMean().mean(normal)
    table = mean.table()
    scales = range(1, mean.scales - 2)

    def entry(group: str, **index: int) -> float:
        chosen = table["group"] == group
        for axis, at in index.items():
            chosen &= table[axis] == at
        (value,) = table["value"][chosen]
        return float(value.real)

    turns = range(pyramid.spec.orientations)
    return {
        "S2": np.asarray(statistics.s2).mean(-1)[: mean.scales - 2],
        "S1": np.asarray(mean.s1)[: mean.scales - 2],
        "S3": np.array([entry("S3", j2=j - 1, j3=j, d=0) for j in scales]),
        "S4": np.array([entry("S4", j1=j - 1, j2=j - 1, j3=j, d1=0, d2=0) for j in scales]),
        "turn": np.array(
            [entry("S4", j1=SCALE - 1, j2=SCALE - 1, j3=SCALE, d1=d, d2=0) for d in turns]
        ),
    }


def draw_coefficients(found: dict[str, dict], band: list[dict]) -> Any:
    """Draw S1, S3 and S4 of the toy maps, over the band of Gaussian maps."""
    figure = new_figure(6.6, 6.2)
    panels = {
        "S1": ("S1 / √S2", "scale j"),
        "S3": ("S3, normalized", "scale j3, with j2 = j3 − 1"),
        "S4": ("S4, normalized", "scale j3, with j1 = j2 = j3 − 1"),
        "turn": (f"S4, normalized, j3 = {SCALE}", "l1 − l2, in steps of 45 degrees"),
    }
    for axis, (key, (title, label)) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        first = 0 if key in ("S1", "turn") else 1
        x = first + np.arange(band[0][key].size)
        low, high = np.percentile([draw[key] for draw in band], [2.5, 97.5], axis=0)
        axis.fill_between(x, low, high, color="0.85", label="95 % of Gaussian maps")
        for colour, (name, values) in zip(COLOURS, found.items(), strict=True):
            axis.plot(x, values[key], "o-", color=colour, label=name, ms=4)
        axis.set_title(title, fontsize=13)
        axis.set_xlabel(label, fontsize=12)
        axis.set_xticks(x)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=12, frameon=False)
    return figure


def write_numbers(
    maps: dict[str, np.ndarray], found: dict[str, dict], band: list[dict], nside: int
) -> str:
    """Return the table of the page: each number over its mean and scatter for Gaussian maps."""
    scale, shared = SCALE, shared_spectrum(nside)
    high = min(60, 2 * nside)
    gaussian = {key: np.array([draw[key] for draw in band]) for key in band[0]}
    mean = {key: values.mean(0) for key, values in gaussian.items()}
    scatter = {key: values.std(0, ddof=1) for key, values in gaussian.items()}
    lines = [
        f"| map | C_l over the shared one, l = 4 to {high} | S1 / √S2, scale {scale - 1} | "
        f"S3, scales {scale - 1} and {scale} | S4, scales {scale - 1} and {scale} | "
        "S4 at right angles over S4 in parallel |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, map in maps.items():
        ratio = (angular_power_spectrum(map) / np.maximum(shared, 1e-300))[4 : high + 1]
        cells = [name, f"{ratio.min():.3f} to {ratio.max():.3f}"]
        for key, at in (("S1", scale - 1), ("S3", scale - 1), ("S4", scale - 1)):
            value = found[name][key][at]
            sigmas = (value - mean[key][at]) / scatter[key][at]
            cells.append(f"{value:.4f} ({sigmas:+.0f} σ)")
        cells.append(f"{found[name]['turn'][2] / found[name]['turn'][0]:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def replace_numbers(page: Path, table: str) -> None:
    """Put the table between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    pattern = f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise ValueError(f"page: {page} has no {MARKS[0]!r} and {MARKS[1]!r}")
    new = f"{MARKS[0]}\n\n{table}\n\n{MARKS[1]}"
    text = re.sub(pattern, lambda _: new, text, flags=re.DOTALL)
    write_bytes(page, text.encode("utf-8"))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.studies gallery")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--page", type=Path, help="page whose numbers are replaced")
    parser.add_argument("--quick", action="store_true", help="at nside 16, with 4 Gaussian maps")
    return parser.parse_args(arguments)
