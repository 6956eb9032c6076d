"""Measure reconstructions of known truths, beside linear and Gaussian estimates.

Run from the repository: python -m experiments.studies reconstruction (an hour on two cores;
--quick is the same in small). Every case has several realizations of its noise, gaps or
contaminant; figures are their mean and scatter. Writes reconstruction.json, all figures as
reconstruction.md, and the tables of docs/reconstruction.md as summary.md; with --join of several
reconstruction.json these tables alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from rich.console import Console

import jaxscat
from experiments.studies import reconstruction_cases as cases
from experiments.studies import reconstruction_checks as checks
from experiments.studies.options import add_size_options, study_parser
from experiments.studies.reconstruction_summary import format_summary
from experiments.studies.reconstruction_tables import format_case, join_seeds
from experiments.studies.reconstruction_times import measure_times
from jaxscat.fields.noise import mean_levels
from jaxscat.run.folder import write_json
from jaxscat.validation.recovery import assess

# Signal, noise and ratio of their standard deviations.
DENOISE = [
    ("exp", "white", 1.0),
    ("exp", "white", 3.0),
    ("exp", "white", 0.3),
    ("exp", "red", 1.0),
    ("exp", "uneven", 1.0),
    ("exp", "halves", 1.0),
    ("web", "white", 1.0),
    ("lss", "white", 1.0),
    ("gaussian", "white", 1.0),
]
GAPS = [("exp", kind) for kind in ("discs", "swath", "band")] + [("lss", "discs")]
SEPARATE = [(channels, ratio) for channels in (1, 2) for ratio in (1.0, 0.3, 3.0)]
STRENGTHS, WHITE = np.array([1.0, 3.0]), 0.5


class Estimates(NamedTuple):
    """Estimates of one truth from one realization of the data.

    Attributes:
        maps: by their names.
        numbers: single figures by their names, such as seconds and chi-squares.
        inside: pixels that count, or None for all.
    """

    maps: Mapping[str, Float[np.ndarray, " p"]]
    numbers: Mapping[str, float]
    inside: Any = None


def denoise_case(
    truth: Float[np.ndarray, " p"], kind: str, ratio: float, pyramid: jaxscat.Pyramid
) -> Callable[[int], Estimates]:
    """Return the function from the seed of the noise to estimates of the truth."""
    levels = mean_levels(truth[None])

    def measure(seed: int) -> Estimates:
        data, noise = cases.add_noise(kind, truth, ratio, seed)
        result, seconds = timed(lambda: jaxscat.denoise(data, pyramid, noise))
        power = jaxscat.denoise(data, pyramid, noise, terms=("scattering", "power"))
        once = jaxscat.Renewals(number=1, steps=1)
        of_truth = jaxscat.denoise(data, pyramid, noise, start=truth, renewals=once)
        maps = {
            "data": data,
            "Wiener, true spectra": jaxscat.wiener_filter(data, levels, noise),
            "square-root Wiener, true": jaxscat.square_root_wiener_filter(data, levels, noise),
            "square-root Wiener, estimated": result.baselines["square-root wiener"],
            "Gaussian realization": jaxscat.constrained_realization(data, levels, noise, seed),
            "jaxscat": result.map,
            "jaxscat with power": power.map,
        }
        numbers = summarize(result, seconds)
        return Estimates(maps, {**numbers, "chi2 of the truth": of_truth.chi2["scattering"][0]})

    return measure


def gap_case(
    truth: Float[np.ndarray, " p"], kind: str, pyramid: jaxscat.Pyramid
) -> Callable[[int], Estimates]:
    """Return the function from the seed of the gaps to fills of the truth."""

    def measure(seed: int) -> Estimates:
        gaps = cases.build_gaps(kind, pyramid.spec.nside, seed)
        data = np.where(gaps, np.nan, truth)
        result, seconds = timed(lambda: jaxscat.inpaint(data, pyramid, gaps))
        same = bool((result.map[~gaps] == truth[~gaps]).all())
        far = jaxscat.inpaint(data, pyramid, gaps, reach=None)
        turned = {
            f"elsewhere {number}": map for number, map in enumerate(cases.quarter_turns(truth))
        }
        maps = {**turned, **result.baselines, "jaxscat": result.map, "reach None": far.map}
        return Estimates(maps, {**summarize(result, seconds), "observed as given": same}, gaps)

    return measure


def separate_case(
    truth: Float[np.ndarray, " p"], channels: int, ratio: float, pyramid: jaxscat.Pyramid
) -> Callable[[int], Estimates]:
    """Return the function from the seed of the contaminant to estimates of the truth.

    Those of the contaminant, divided by its standard deviation, are under names that begin with
    "contaminant".
    """
    nside = pyramid.spec.nside
    spectrum = cases.contaminant_spectrum(nside, ratio)
    common = jaxscat.GaussianNoise.of_spectrum(spectrum, nside)
    white = jaxscat.GaussianNoise.white(WHITE, nside) if channels > 1 else None
    strengths, levels = STRENGTHS[:channels], mean_levels(truth[None])

    def measure(seed: int) -> Estimates:
        contaminant = cases.draw_isotropic(spectrum, nside, seed)
        maps = strengths[:, None] * truth + contaminant
        if white is not None:
            maps += WHITE * np.random.default_rng(seed).standard_normal(maps.shape)
        joint = jaxscat.joint_wiener_filter(maps, strengths, levels, common, white)
        options: Any = {"contaminant": common, "noise": white}
        result, seconds = timed(lambda: jaxscat.separate(maps, pyramid, strengths, **options))
        both = jaxscat.separate(
            maps, pyramid, strengths, terms=("scattering", "residual"), **options
        )
        found = {
            "data": result.baselines["data"],
            "joint Wiener, true spectra": joint[0],
            "jaxscat": result.map,
            "jaxscat with residual": both.map,
        }
        rest = {"joint Wiener, true spectra": joint[1], "jaxscat": result.contaminant}
        rest["jaxscat with residual"] = both.contaminant
        # Assessed with the contaminant as the truth.
        hidden = {f"contaminant: {name}": map for name, map in rest.items()}
        hidden["contaminant"] = contaminant
        return Estimates({**found, **hidden}, summarize(result, seconds))

    return measure


def summarize(result: jaxscat.Reconstruction, seconds: float) -> dict[str, float]:
    """Return single figures of a reconstruction."""
    chi2 = result.chi2["scattering"]
    return {
        "chi2 at the start": float(chi2[0]),
        "chi2 at the end": float(chi2[-1]),
        "renewals": len(chi2) - 1,
        "evaluations": int(np.asarray(result.evaluations)),
        "seconds": seconds,
        "converged": result.status in ("converged", "start accepted"),
    }


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of a call, and the seconds that a second call takes, compiled before."""
    call()
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def assess_case(
    measure: Callable[[int], Estimates],
    truth: Float[np.ndarray, " p"],
    pyramid: jaxscat.Pyramid,
    seeds: int,
) -> dict[str, Any]:
    """Measure one case for several seeds, and return mean and scatter of every figure."""
    found = []
    for seed in range(1000, 1000 + seeds):
        maps, numbers, inside = measure(seed)
        of_signal = {name: map for name, map in maps.items() if "contaminant" not in name}
        recovery = assess(of_signal, pyramid, truth=truth, inside=inside)
        rows = dict(recovery.rows)
        if "contaminant" in maps:
            of_rest = {name: map for name, map in maps.items() if "contaminant:" in name}
            rows |= assess(of_rest, pyramid, truth=maps["contaminant"]).rows
        found.append({"rows": rows, "numbers": dict(numbers), "bins": recovery.bins})
    return join_seeds(found)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console, lines, written = Console(width=250), [], []
    options.output.mkdir(parents=True, exist_ok=True)
    if options.join:
        texts = [path.read_text(encoding="utf-8") for path in options.join]
        write_summary(options.output, [case for text in texts for case in json.loads(text)])
        return 0
    if "checks" in options.tasks:
        for nside in options.nsides:
            found = run_checks(nside, range(1000, 1000 + options.seeds))
            console.print_json(data=found)
            write_json(options.output / f"checks_{nside}.json", found)
    if "times" in options.tasks:
        for nside in options.nsides:
            found = measure_times(jaxscat.build_pyramid(nside), 1000, repeats=3)
            console.print_json(data=found)
            write_json(options.output / f"times_{nside}.json", found)
    for title, nside, truth, measure in iterate_cases(options):
        found = assess_case(measure, truth, jaxscat.build_pyramid(nside), options.seeds)
        written.append({"case": title, "nside": nside, **found})
        lines += format_case(title, nside, found)
        console.print("\n".join(format_case(title, nside, found)), highlight=False, soft_wrap=True)
        write_json(options.output / "reconstruction.json", written)
        (options.output / "reconstruction.md").write_text("\n".join(lines), encoding="utf-8")
        write_summary(options.output, written)
    console.print(f"wrote {options.output / 'reconstruction.md'} and reconstruction.json beside it")
    return 0


def write_summary(folder: Path, written: Sequence[Mapping[str, Any]]) -> None:
    """Write the tables of the page on reconstructions."""
    text = "\n".join(format_summary(written)) + "\n"
    (folder / "summary.md").write_text(text, encoding="utf-8")


def run_checks(nside: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what is found where nothing should be, or where the noise is said to be another."""
    pyramid, truth = jaxscat.build_pyramid(nside), cases.build_truth("exp", nside)
    return {
        "noise alone": checks.check_noise_alone(pyramid, seeds),
        "Gaussian signal": checks.check_gaussian_signal(pyramid, seeds),
        "noise level": checks.check_wrong_level(truth, pyramid, seeds),
        "ensemble": checks.check_ensemble(truth, pyramid, seeds[0]),
    }


def iterate_cases(options: argparse.Namespace) -> Any:
    """Yield title, nside, truth and measurement of every case that was asked for."""
    for nside in options.nsides:
        pyramid = jaxscat.build_pyramid(nside)
        if "denoise" in options.tasks:
            for name, kind, ratio in DENOISE:
                truth = cases.build_truth(name, nside)
                title = f"denoise {name}, {kind} noise, signal-to-noise {ratio:g}"
                yield title, nside, truth, denoise_case(truth, kind, ratio, pyramid)
        if "inpaint" in options.tasks:
            for name, kind in GAPS:
                truth = cases.build_truth(name, nside)
                yield f"inpaint {name}, {kind}", nside, truth, gap_case(truth, kind, pyramid)
        if "separate" in options.tasks:
            truth = cases.build_truth("exp", nside)
            for channels, ratio in SEPARATE:
                count = "1 channel" if channels == 1 else f"{channels} channels"
                title = f"separate exp, {count}, ratio {ratio:g}"
                yield title, nside, truth, separate_case(truth, channels, ratio, pyramid)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("reconstruction", "Compare reconstructions with linear estimates.")
    tasks = ["denoise", "inpaint", "separate", "checks", "times"]
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--nsides", nargs="+", type=int, default=[64])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--join", nargs="+", type=Path, help="results to make tables of")
    add_size_options(parser, "runs/reconstruction")
    options = parser.parse_args(arguments)
    if options.quick:
        options.nsides, options.seeds = [8], 2
    return options
