"""Measure the denoising of E and B of a known polarized sky, with and without its intensity.

Run from the repository: python -m experiments.studies polarized-denoising (some minutes on two
cores; --quick is the same in small). White noise in Q and U, as strong as the signal, is known
from two half missions alone. Prints tables of Markdown: errors of the coefficients of every pair,
residuals, and power ratios in the bins of multipoles where the signal is above half the noise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import healpy
import numpy as np
from jaxtyping import Float

import jaxscat
from experiments.studies.options import add_size_options, study_parser
from jaxscat.harmonics.spectra import angular_power_spectrum, multipole_bins
from jaxscat.reconstruction.template_filter import best_wiener_filter
from jaxscat.validation.scattering import relative_errors

Fields = dict[str, Float[np.ndarray, " p"]]
PAIRS = ("EE", "BB", "TE", "TB", "EB")
GROUPS = ("S1", "S2", "S3", "S4")
LEAST_RATIO = 0.5  # of signal and noise, in bins whose power is compared


class Data(NamedTuple):
    """Two half missions of a known truth: E and B of both, of their mean, and the truth."""

    halves: tuple[Fields, Fields]
    mean: Fields
    truth: Fields
    qu_noise: tuple[jaxscat.GaussianNoise, jaxscat.GaussianNoise]


def build_data(nside: int, ratio: float, seed: int, uneven: bool) -> Data:
    """Return half missions whose mean has the given ratio of signal and noise in E and B."""
    sky = jaxscat.load_sky("polarized-dust", nside)
    truth = sky.teb()
    generator, npix = np.random.default_rng(seed), 12 * nside**2
    # White noise keeps in the band so much of its variance.
    share = ((2 * nside + 1) ** 2 - 4) / npix
    signal = np.var(truth["E"]) + np.var(truth["B"])
    deviation = np.sqrt(signal / (2 * share)) / ratio * np.ones(npix)
    if uneven:
        height = healpy.pix2vec(nside, np.arange(npix), nest=True)[2]
        variance = 1 + 4 * (1 - height**2)
        deviation = deviation * np.sqrt(variance / variance.mean())
    halves = []
    for _ in range(2):
        q, u = np.sqrt(2) * deviation * generator.standard_normal((2, npix))
        halves.append((sky.maps["Q"] + q, sky.maps["U"] + u))
    eb = [dict(zip("EB", jaxscat.eb_from_qu(*half), strict=True)) for half in halves]
    mean = {field: (eb[0][field] + eb[1][field]) / 2 for field in "EB"}
    noise = [jaxscat.GaussianNoise.of_halves(*of) for of in zip(*halves, strict=True)]
    return Data((eb[0], eb[1]), mean, truth, (noise[0], noise[1]))


def estimate(data: Data, pyramid: jaxscat.Pyramid, uneven: bool) -> dict[str, Fields]:
    """Return estimates of E and B by their names."""
    truth, known = data.truth, {"T": data.truth["T"]}
    template = (known["T"] - known["T"].mean())[None]
    halves = {field: tuple(half[field] for half in data.halves) for field in "EB"}
    noise = {field: jaxscat.GaussianNoise.of_halves(*of) for field, of in halves.items()}
    found: dict[str, Fields] = {"data": data.mean, "Wiener": {}, "Wiener with T": {}}
    for field in "EB":
        one = data.mean[field]
        of_noise = noise[field].levels()
        found["Wiener"][field] = best_wiener_filter(one, truth[field], of_noise)
        found["Wiener with T"][field] = best_wiener_filter(one, truth[field], of_noise, template)
    model: Any = noise
    if uneven:  # in E and B it would be uneven within a band, which linear filters cannot invert
        model = jaxscat.PolarizationNoise.of(*data.qu_noise)
    else:
        alone = {field: jaxscat.denoise(data.mean[field], pyramid, noise[field]) for field in "EB"}
        found["denoise, each alone"] = {field: one.map for field, one in alone.items()}
    for templates, which in ((None, "without T"), (known, "with T")):
        began = time.perf_counter()
        result = jaxscat.denoise_fields(data.mean, pyramid, model, templates=templates)
        if templates is not None:
            filtered = result.baselines["square-root wiener with templates"]
            found["square-root Wiener with T"] = filtered
        found[f"denoise_fields {which}"] = result.maps
        chi2 = ", ".join(f"{value:.2f}" for value in result.chi2["scattering"])
        seconds = time.perf_counter() - began
        print(
            f"{which}: {result.status}, chi2 {chi2}, {result.evaluations} evaluations, "
            f"{seconds:.0f} s",
            flush=True,
        )
    return found


def assess(estimate: Fields, data: Data, pyramid: jaxscat.Pyramid) -> dict[str, list[float]]:
    """Return errors of every pair, residuals, and power ratios where there is signal."""
    truths: Any = data.truth
    fields: Any = {**estimate, "T": data.truth["T"]}
    wanted: Any = jaxscat.measure_fields(truths, pyramid, pairs=PAIRS)
    got: Any = jaxscat.measure_fields(fields, pyramid, pairs=PAIRS)
    rows = {pair: list(relative_errors(got[pair], wanted[pair]).values()) for pair in wanted}
    for field in "EB":
        truth = data.truth[field]
        rows[f"residual {field}"] = [float(np.std(estimate[field] - truth) / np.std(truth))]
        rows[f"power {field}"] = _power_ratios(estimate[field], data, field)
    return rows


def _power_ratios(map: Float[np.ndarray, " p"], data: Data, field: str) -> list[float]:
    truth = data.truth[field]
    nside = healpy.npix2nside(truth.size)
    spectra = [angular_power_spectrum(of) for of in (map, truth, data.mean[field] - truth)]
    ratios = []
    for low, high in multipole_bins(nside):
        modes = 2 * np.arange(low, high + 1) + 1
        got, wanted, noise = (modes @ of[low : high + 1] for of in spectra)
        # Beyond 2 nside there is nothing.
        if high <= 2 * nside and low >= 4 and wanted > LEAST_RATIO * noise:
            ratios.append(got / wanted)
    return ratios


def format_tables(found: Sequence[Mapping[str, Mapping[str, list[float]]]]) -> list[str]:
    """Return means over seeds as lines of Markdown."""
    lines = ["| estimate | " + " | ".join(f"{pair} {' '.join(GROUPS)}" for pair in PAIRS)]
    lines[0] += " | residual E, B | power E | power B |"
    lines.append("| --- |" + " --- |" * (len(PAIRS) + 3))
    for name in found[0]:
        cells = []
        for pair in PAIRS:
            mean = np.mean([one[name][pair] for one in found], axis=0)
            cells.append(" ".join(f"{value:.2g}" for value in mean))
        residual = [np.mean([one[name][f"residual {field}"] for one in found]) for field in "EB"]
        cells.append(", ".join(f"{value:.3f}" for value in residual))
        for field in "EB":
            ratios = np.concatenate([one[name][f"power {field}"] for one in found])
            cells.append(f"{ratios.min():.2f} to {ratios.max():.2f}" if ratios.size else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main(arguments: list[str]) -> int:
    parser = study_parser("polarized-denoising", "Denoise E and B of a known polarized sky.")
    add_size_options(parser, "-", nside_help="of the maps, 32 by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ratio", type=float, default=1.0, help="of signal and noise in E and B")
    parser.add_argument("--uneven", action="store_true", help="variance differs by a factor of 5")
    options = parser.parse_args(arguments)
    nside = options.nside or (8 if options.quick else 32)
    pyramid = jaxscat.build_pyramid(nside)
    found = []
    for seed in range(options.seeds):
        data = build_data(nside, options.ratio, seed, options.uneven)
        maps = estimate(data, pyramid, options.uneven)
        found.append({name: assess(of, data, pyramid) for name, of in maps.items()})
    print("\n".join(format_tables(found)))
    return 0
