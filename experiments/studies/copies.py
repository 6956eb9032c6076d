"""Measure how far new maps copy the original: correlation with it, per range of multipoles.

Run from the repository: python -m experiments.studies copies (20 minutes on two cores; --quick is
the same in small). Against the coarsest nside at which S3 and S4 count in the target, at one nside;
and against nside, with all scales and with the default. Writes copies.json and copies.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy.stats import ks_2samp

from experiments.studies.config_maps import prepare, synthesize_maps, with_entries
from experiments.studies.options import add_size_options, study_parser
from jaxscat.harmonics.spectra import angular_power_spectrum, harmonic_coefficients
from jaxscat.plotting import write_figure
from jaxscat.plotting.layout import new_figure
from jaxscat.run.config import Config, load_config
from jaxscat.run.folder import write_json
from jaxscat.validation import gaussian_control
from jaxscat.validation.spectra import binned_correlation, chance_correlation, octave_ranges

# Independent Gaussian maps that stand for chance.
GAUSSIANS = 400
# Ranges that are shown: beyond, the number of modes is too large for copies.
RANGES = 3


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    config = load_config(options.config)
    if options.quick:
        config = with_entries(config, "data", nside=16)
        config = with_entries(config, "synthesis", max_steps=60)
    assert config.data.nside is not None
    console = Console(width=140)
    rows = []
    for coarsest in options.coarsest:
        rows.append(measure_copies(config, config.data.nside, coarsest, options.seeds))
        print_row(console, rows[-1])
    for nside in options.nsides:
        for coarsest in (1, min(8, nside)):
            known = [row for row in rows if (row["nside"], row["coarsest"]) == (nside, coarsest)]
            if known:
                continue
            rows.append(measure_copies(config, nside, coarsest, options.seeds))
            print_row(console, rows[-1])
    console.print(build_table(rows))
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "copies.json", {"config": config.model_dump(), "rows": rows})
    write_figure(options.output / "copies.png", draw(rows, config.data.nside, options.coarsest))
    console.print(f"wrote {options.output / 'copies.json'} and {options.output / 'copies.png'}")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("copies", "Measure how far new maps copy the original.")
    parser.add_argument("--config", type=Path, default=Path("configs/copies.toml"))
    parser.add_argument("--coarsest", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--nsides", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=None, help="number of seeds of the config")
    add_size_options(parser, "runs/copies")
    options = parser.parse_args(arguments)
    if options.quick:
        options.coarsest, options.nsides = [1, 8], [16]
        options.seeds = options.seeds or 3
    return options


def measure_copies(config: Config, nside: int, coarsest: int, seeds: int | None) -> dict[str, Any]:
    """Synthesize at one nside, and correlate the new maps with the original."""
    config = with_entries(config, "data", nside=nside)
    config = with_entries(config, "target", coarsest_nside=coarsest)
    config = with_entries(config, "synthesis", seeds=config.synthesis.seeds[:seeds])
    ready = prepare(config)
    original, new = ready.original, synthesize_maps(ready)
    ranges = octave_ranges(nside)[:RANGES]
    reference = harmonic_coefficients(original)
    power = angular_power_spectrum(original)

    def correlations(maps: Any) -> np.ndarray:
        rows = [binned_correlation(harmonic_coefficients(map), reference, ranges) for map in maps]
        return np.array(rows)

    found = correlations(new.map)
    controls = (
        gaussian_control(original, seed=10**6 + n, kind="filtered") for n in range(GAUSSIANS)
    )
    chance = correlations(controls)
    return {
        "nside": nside,
        "coarsest": coarsest,
        "seeds": len(new.map),
        "loss": np.asarray(new.loss, dtype=float).tolist(),
        "pixel_correlation": [float(np.corrcoef(map, original)[0, 1]) for map in new.map],
        "ranges": [
            {
                "l_min": low,
                "l_max": high,
                "mean": float(found[:, at].mean()),
                "standard_error": float(found[:, at].std(ddof=1) / np.sqrt(len(found))),
                "chance": chance_correlation(power, low, high),
                "chance_measured": float(chance[:, at].std(ddof=1)),
                "ks_p": _ks_p(found[:, at], chance[:, at]),
                "correlations": found[:, at].tolist(),
            }
            for at, (low, high) in enumerate(ranges)
        ],
    }


def _ks_p(found: np.ndarray, chance: np.ndarray) -> float:
    """Return the p value of a Kolmogorov-Smirnov test that two samples are of one distribution."""
    tested: Any = ks_2samp(found, chance)
    return float(tested.pvalue)


def print_row(console: Console, row: dict[str, Any]) -> None:
    means = ", ".join(
        f"{part['mean']:+.3f} ± {part['standard_error']:.3f}" for part in row["ranges"]
    )
    console.print(f"nside {row['nside']}, S3 and S4 from nside {row['coarsest']}: {means}")


def build_table(rows: list[dict[str, Any]]) -> Table:
    tests = len(rows) * len(rows[0]["ranges"])
    title = f"correlation with the original, and p of {tests} Kolmogorov-Smirnov tests"
    table = Table("nside", "S3, S4 from", "seeds", "loss", "pixels", title=title)
    for part in rows[-1]["ranges"]:
        table.add_column(f"l = {part['l_min']} to {part['l_max']}")
        table.add_column("KS p")
    for row in rows:
        cells = [str(row["nside"]), str(row["coarsest"]), str(row["seeds"])]
        cells += [f"{np.mean(row['loss']):.2g}", f"{np.mean(row['pixel_correlation']):+.3f}"]
        for part in row["ranges"]:
            cells.append(f"{part['mean']:+.3f} ± {part['standard_error']:.3f}")
            cells.append(f"{part['ks_p']:.2g}")
        table.add_row(*cells)
    return table


def draw(rows: list[dict[str, Any]], nside: int, coarsest: list[int]) -> Figure:
    """Draw two panels: against the coarsest nside of S3 and S4, and against nside."""
    figure = new_figure(12.0, 5.0)
    left, right = figure.subplots(1, 2, sharey=True)
    colours = ("#D55E00", "#0072B2", "#009E73")
    ranges = rows[0]["ranges"]

    def points(axis: Any, chosen: list[dict[str, Any]], key: str, **style: Any) -> None:
        places = np.log2([row[key] for row in chosen])
        for at, colour in enumerate(colours):
            parts = [row["ranges"][at] for row in chosen]
            shift = 0.12 * (at - 1)
            for place, part in zip(places, parts, strict=True):
                values = part["correlations"]
                axis.plot([place + shift] * len(values), values, ".", color=colour, alpha=0.25)
            axis.errorbar(
                places + shift,
                [part["mean"] for part in parts],
                [part["standard_error"] for part in parts],
                color=colour,
                marker="o",
                capsize=3,
                **style,
            )
        axis.set_xticks(places, [str(row[key]) for row in chosen])

    first = [row for row in rows if row["nside"] == nside and row["coarsest"] in coarsest]
    points(left, first, "coarsest")
    left.set_xlabel("coarsest nside of S3 and S4 in the loss (1: all, as FOSCAT)")
    left.set_ylabel("correlation with the original")
    left.set_title(f"nside {nside}, {first[0]['seeds']} seeds")
    nsides = sorted({row["nside"] for row in rows})
    for limit, style in ((1, {"linestyle": "-"}), (8, {"linestyle": ":"})):
        chosen = [
            row for n in nsides for row in rows if (row["nside"], row["coarsest"]) == (n, limit)
        ]
        points(right, chosen, "nside", **style)
    right.set_xlabel("nside (solid: all scales, dotted: from nside 8)")
    right.set_title(f"{rows[-1]['seeds']} seeds")
    for axis in (left, right):
        axis.axhline(0.0, color="black", linewidth=0.8)
        axis.set_ylim(-1.0, 1.05)
        axis.grid(alpha=0.3, linewidth=0.5)
        for part, colour in zip(ranges, colours, strict=True):
            axis.axhspan(-part["chance"], part["chance"], color=colour, alpha=0.07, linewidth=0)
    handles = [
        left.plot([], [], "o-", color=colour, label=f"l = {part['l_min']} to {part['l_max']}")[0]
        for part, colour in zip(ranges, colours, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=3,
        frameon=False,
        title="each dot a seed, circles their mean; bands: one standard deviation by chance",
    )
    return figure
