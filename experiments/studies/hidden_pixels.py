"""Measure what hidden pixels do to new maps, for every treatment of them.

Run from the repository: python -m experiments.studies hidden-pixels (20 minutes on two cores;
--quick is the same in small). New maps are made of four masked skies with each treatment and
compared with the original where it is seen, beside Gaussian controls under the same mask and a run
that knows the hidden pixels. Writes hidden_pixels.json and the tables of docs/quality.md as
hidden_pixels.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

import jaxscat
from experiments.studies.masked_skies import MaskedSky, build_skies
from experiments.studies.options import add_size_options, study_parser
from experiments.studies.remedies import Treated, build_membrane, build_taper
from jaxscat.run.folder import write_json
from jaxscat.validation.seeds import validate_seeds

TREATMENTS = ("include", "exclude", "taper", "membrane", "patch", "interior", "known")
COLUMNS = ("power_spectrum", "wasserstein", "skewness", "kurtosis", "V1", "V2", "peaks")
CONTROLS = ("gaussian", "filtered")


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console, rows = Console(width=200), []
    skies = build_skies(options.nside or 32, options.large_scale_structure)
    pyramid = jaxscat.build_pyramid(options.nside or 32)
    lines = [f"| {' | '.join(['map', 'treatment', *COLUMNS, 'C_l, l > 8'])} |"]
    lines += ["| --- | --- |" + " ---: |" * (len(COLUMNS) + 1)]
    for name in options.skies:
        for treatment in options.treatments:
            found = measure_treatment(skies[name], treatment, pyramid, options)
            rows.append({"sky": name, "treatment": treatment, **found})
            lines.append(format_row(name, treatment, found["distances"], found["bins"]))
            console.print(lines[-1], highlight=False, soft_wrap=True)
        for kind, of_kind in found["controls"].items():
            lines.append(format_row(name, f"{kind} controls", of_kind, None))
            console.print(lines[-1], highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "hidden_pixels.json", rows)
    (options.output / "hidden_pixels.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    console.print(f"wrote {options.output / 'hidden_pixels.md'} and hidden_pixels.json beside it")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("hidden-pixels", "Compare treatments of hidden pixels.")
    names = ["large-scale structure", "nearly Gaussian", "exponential", "ridge"]
    parser.add_argument("--skies", nargs="+", choices=names, default=names)
    parser.add_argument("--treatments", nargs="+", choices=TREATMENTS, default=list(TREATMENTS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--large-scale-structure", default="lss", help="dataset, or path of a map")
    add_size_options(parser, "runs/hidden_pixels", nside_help="default 32")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.steps, options.nside = 2, 40, 16
        options.large_scale_structure = "cosmic-web"
    return options


def measure_treatment(
    sky: MaskedSky, treatment: str, pyramid: jaxscat.Pyramid, options: argparse.Namespace
) -> dict[str, Any]:
    """Make new maps with one treatment of hidden pixels, and validate them where they are seen."""
    seeds = range(options.seeds)
    mask = sky.seen.astype(np.float32)
    original = sky.map.astype(np.float32)
    if treatment != "known":
        original = np.where(sky.seen, original, original[sky.seen].mean())

    def start(seed: int) -> np.ndarray:
        return jaxscat.gaussian_noise(original, seed, footprint=mask)

    maps = synthesize_treated(original, mask, treatment, pyramid, start, options)
    found = validate_seeds(
        original, dict(zip(seeds, maps, strict=True)), pyramid, mask=mask, hidden="exclude"
    )
    reports = list(found.reports.values())
    first = reports[0]
    return {
        "distances": {
            name: _mean_and_scatter([r["distances"][name]["synthesized"] for r in reports])
            for name in COLUMNS
        },
        "controls": {
            kind: {
                name: [first["distances"][name][kind], first["distances"][name][f"{kind}_std"]]
                for name in COLUMNS
            }
            for kind in CONTROLS
        },
        "bins": [
            [row["l_min"], row["l_max"], float(np.mean([r[at] for r in _ratios(reports)]))]
            for at, row in enumerate(first["power_spectrum_bins"])
        ],
    }


def synthesize_treated(
    original: np.ndarray,
    mask: np.ndarray,
    treatment: str,
    pyramid: jaxscat.Pyramid,
    start: Callable[[int], np.ndarray],
    options: argparse.Namespace,
) -> np.ndarray:
    """Make the new maps [n p] of one treatment; a patch is put back into the original."""
    seeds, seen, steps = list(range(options.seeds)), mask > 0, options.steps
    map, weights = jnp.asarray(original), jnp.asarray(mask)
    if treatment in ("taper", "membrane"):
        treated = (build_taper if treatment == "taper" else build_membrane)(seen)
        target = jaxscat.make_target(treated(map), pyramid, mask=weights, hidden="include")
        term = Treated(pyramid, target, treatment=treated)
        return jaxscat.minimize(term, start, seeds=seeds, max_steps=steps).map
    if treatment == "patch":
        cells = np.flatnonzero(seen)
        patch = jaxscat.build_pyramid(pyramid.spec.nside, cell_ids=cells)
        made = jaxscat.synthesize_many(
            jaxscat.make_target(map[cells], patch),
            patch,
            seeds,
            start=lambda seed: start(seed)[cells],
            max_steps=steps,
        )
        maps = np.tile(original, (len(seeds), 1))
        maps[:, cells] = made.map
        return maps
    hidden: Any = "include" if treatment == "known" else treatment
    target = jaxscat.make_target(map, pyramid, mask=weights, hidden=hidden)
    return jaxscat.synthesize_many(target, pyramid, seeds, start=start, max_steps=steps).map


def format_row(
    name: str, treatment: str, distances: dict[str, list[float]], bins: list | None
) -> str:
    cells = [
        name,
        treatment,
        *(f"{mean:.3f} ± {scatter:.3f}" for mean, scatter in distances.values()),
    ]
    if bins is not None:
        ratios = [ratio for low, _, ratio in bins if low > 8]
        cells.append(f"{min(ratios):.2f} to {max(ratios):.2f}")
    return f"| {' | '.join(cells)} |"


def _ratios(reports: list) -> list[list[float]]:
    return [
        [row["ratio"]["synthesized"] for row in report["power_spectrum_bins"]] for report in reports
    ]


def _mean_and_scatter(values: list[float]) -> list[float]:
    return [float(np.mean(values)), float(np.std(values, ddof=1))]
