"""Measure how often the verdict on texture is wrong, on pairs of maps of which the truth is known.

Run from the repository: python -m experiments.studies verdicts (--quick is the same in small).
Writes verdicts.json, and the table of docs/quality.md as verdicts.md.

An original is Gaussian, or lognormal (exp of a Gaussian map). It is compared with a second
realization of its kind, which no verdict should call off, and, if it is lognormal, with a Gaussian
map of its own power spectrum, which every verdict should call off. A second Gaussian map of a
Gaussian original has nothing to show.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import healpy
import numpy as np
from jaxtyping import Float
from rich.console import Console

import jaxscat
from experiments.studies.options import add_size_options, study_parser
from jaxscat.io.archive import write_text
from jaxscat.run.folder import write_json

Map = Float[np.ndarray, " p"]
# The width of the Gaussian map in the exponent.
WIDTH = 0.8


def gaussian(nside: int, seed: int) -> Map:
    """Make a Gaussian map of variance 1 with C_l proportional to (l + 3)**-2, NESTED [p]."""
    multipoles = np.arange(3 * nside)
    power = np.where(multipoles < 2, 0.0, (multipoles + 3.0) ** -2)
    power *= 4 * np.pi / np.sum((2 * multipoles + 1) * power)
    white = np.random.default_rng(seed).normal(size=12 * nside**2) * np.sqrt(3 / np.pi) * nside
    coefficients = healpy.almxfl(healpy.map2alm(white, iter=3), np.sqrt(power))
    return healpy.reorder(healpy.alm2map(coefficients, nside), r2n=True)


def lognormal(nside: int, seed: int) -> Map:
    """Make a lognormal map, NESTED [p]."""
    return np.exp(WIDTH * gaussian(nside, seed))


def same_spectrum(original: Map, seed: int) -> Map:
    """Make a Gaussian map with the power spectrum of another, NESTED [p]."""
    return np.asarray(jaxscat.gaussian_noise(original, seed), np.float64)


Make = Callable[[int, int], Map]
# For every kind of original: what new maps are made, from the original, the nside and a seed.
CASES: dict[str, tuple[Make, dict[str, Callable[[Map, int, int], Map]]]] = {
    "Gaussian": (gaussian, {"another of its kind": lambda _, nside, seed: gaussian(nside, seed)}),
    "lognormal": (
        lognormal,
        {
            "another of its kind": lambda _, nside, seed: lognormal(nside, seed),
            "Gaussian with its spectrum": lambda original, _, seed: same_spectrum(original, seed),
        },
    ),
}


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console = Console(width=160)
    rows: list[dict[str, Any]] = []
    for nside in options.nside:
        pyramid = jaxscat.build_pyramid(nside)
        for kind, (make, others) in CASES.items():
            found: dict[str, list[dict[str, str]]] = {name: [] for name in others}
            for number in range(options.skies):
                original = make(nside, 2 * number)
                made = [another(original, nside, 2 * number + 1) for another in others.values()]
                report = jaxscat.validate(
                    original, np.stack(made), pyramid=pyramid, seed=1000 + number
                )
                for name, one in zip(others, report["maps"], strict=True):
                    lines = {line["name"]: line for line in one["verdict"]}
                    found[name].append(lines["Texture"])
            for name, lines in found.items():
                said = Counter(map(classify, lines))
                texts = [line["text"] for line in lines]
                rows.append(
                    {"nside": nside, "case": f"{kind}, {name}", "said": said, "texts": texts}
                )
                console.print(format_row(rows[-1]), highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "verdicts.json", {"skies": options.skies, "rows": rows})
    lines = ["| nside | original, new map | " + " | ".join(ANSWERS) + " |"]
    lines.append("|---|---|" + "---|" * len(ANSWERS))
    write_text(options.output / "verdicts.md", "\n".join([*lines, *map(format_row, rows)]) + "\n")
    return 0


ANSWERS = ("shared", "shared but for a little", "nothing to show", "off")


def classify(line: dict[str, Any]) -> str:
    """Return which of `ANSWERS` a line on texture gives."""
    if line["mark"] == "bad":
        return "off"
    if not line["text"].startswith("Shared"):
        return "nothing to show"
    return "shared" if line["mark"] == "good" else "shared but for a little"


def format_row(row: dict[str, Any]) -> str:
    """Write a row of the table."""
    counts = " | ".join(str(row["said"].get(answer, 0)) for answer in ANSWERS)
    return f"| {row['nside']} | {row['case']} | {counts} |"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("verdicts", __doc__ or "")
    add_size_options(parser, "outputs/verdicts")
    parser.add_argument("--nside", type=int, nargs="+")
    parser.add_argument("--skies", type=int, help="number of pairs of maps of each kind")
    options = parser.parse_args(arguments)
    options.nside = options.nside or ([8] if options.quick else [16])
    options.skies = options.skies or (4 if options.quick else 30)
    return options
