"""Measure what every default changes in new maps: one synthesis for each, with all else equal.

Run from the repository: python -m experiments.studies defaults (15 minutes on two cores; --quick
is the same in small). Writes defaults.json, and the table of docs/quality.md as defaults.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.studies.config_maps import prepare, synthesize_maps, with_entries
from experiments.studies.options import add_size_options, study_parser
from jaxscat.io.archive import write_text
from jaxscat.run.config import Config, load_config
from jaxscat.run.folder import write_json
from jaxscat.validation.ensemble import copy_test
from jaxscat.validation.seeds import validate_seeds

# Each differs from the defaults in what it names.
CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "defaults": {},
    "100 steps": {"synthesis": {"max_steps": 100}},
    "S3, S4 from nside 4": {"target": {"coarsest_nside": 4}},
    "S3, S4 at all scales": {"target": {"coarsest_nside": 1}},
    "all scales, plain weights": {"target": {"coarsest_nside": 1, "weights": "plain"}},
    "plain weights": {"target": {"weights": "plain"}},
    "white start": {"synthesis": {"start": "white_noise"}},
    "FOSCAT's sigma": {"target": {"sigma": "foscat"}},
    "FOSCAT's sigma, no floor": {"target": {"sigma": "foscat", "sigma_floor": 0.0}},
    "no sigma floor": {"target": {"sigma_floor": 0.0}},
    "harmonic form": {"synthesis": {"form": "harmonic"}},
    "levels from nside 8": {"synthesis": {"first_nside": 8}},
    "stagnation 0.1": {"synthesis": {"stagnation": 0.1}},
    "FOSCAT's settings": {
        "target": {
            "sigma": "foscat",
            "sigma_floor": 0.0,
            "coarsest_nside": 1,
            "weights": "plain",
        },
        "synthesis": {"start": "reference_noise"},
    },
}
COLUMNS = (
    "power_spectrum",
    "wasserstein",
    "skewness",
    "kurtosis",
    "V1",
    "V2",
    "peaks",
    "minima",
    "cross_skewness",
)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    base = load_config(options.config)
    if options.quick:
        base = with_entries(base, "synthesis", max_steps=60)
    if options.nside:
        base = with_entries(base, "data", nside=options.nside)
    console = Console(width=200)
    rows: list[dict[str, Any]] = []
    for name in options.choices:
        config = with_entries(base, "synthesis", seeds=tuple(range(options.seeds)))
        for section, entries in CHOICES[name].items():
            config = with_entries(config, section, **entries)
        rows.append({"choice": name, **measure_choice(config)})
        console.print(format_row(rows[-1]), highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "defaults.json", {"config": base.model_dump(), "rows": rows})
    heading = ["choice", *(name.replace("_", " ") for name in COLUMNS), "S3", "S4"]
    heading += ["l = 1 to 3", "l = 4 to 7", "loss", "evaluations"]
    lines = [f"| {' | '.join(heading)} |", "| --- |" + " ---: |" * (len(heading) - 1)]
    lines += [format_row(row) for row in rows]
    write_text(options.output / "defaults.md", "\n".join(lines) + "\n")
    console.print(f"wrote {options.output / 'defaults.md'} and defaults.json beside it")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("defaults", "Measure what every default changes in new maps.")
    parser.add_argument("--config", type=Path, default=Path("configs/lss.toml"))
    parser.add_argument("--choices", nargs="+", choices=list(CHOICES), default=list(CHOICES))
    parser.add_argument("--seeds", type=int, default=8)
    add_size_options(parser, "runs/defaults", nside_help="instead of the config's")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.nside, options.choices = 2, 16, list(CHOICES)[:3]
    return options


def measure_choice(config: Config) -> dict[str, Any]:
    """Synthesize the maps of a config, and validate them."""
    ready = prepare(config)
    new = synthesize_maps(ready)
    maps = dict(zip(config.synthesis.seeds, new.map, strict=True))
    found = validate_seeds(ready.original, maps, ready.pyramids[-1], controls=0)
    reports = list(found.reports.values())

    def mean(group: str, name: str) -> list[float]:
        values = np.array([report[group][name]["synthesized"] for report in reports])
        return [float(np.mean(values)), float(np.std(values, ddof=1))]

    return {
        "distances": {name: mean("distances", name) for name in COLUMNS},
        "scattering": {name: mean("scattering", name) for name in ("S3", "S4")},
        "copies": copy_test(reports)[:2],
        "loss": float(np.mean(new.loss)),
        "evaluations": float(np.mean(new.evaluations[:, -1])),
    }


def format_row(row: dict[str, Any]) -> str:
    cells = [row["choice"]]
    cells += [f"{mean:.3f} ± {scatter:.3f}" for mean, scatter in row["distances"].values()]
    cells += [f"{mean:.3f}" for mean, _ in row["scattering"].values()]
    cells += [f"{part['mean']:+.2f} ± {part['by_chance']:.2f}" for part in row["copies"]]
    cells += [f"{row['loss']:.2g}", f"{row['evaluations']:.0f}"]
    return f"| {' | '.join(cells)} |"
