"""Measure what S1 to S4 add to C_l for the parameters of a simulator, and lose of Gaussian maps.

Run from the repository: python -m experiments.studies inference (5 minutes on two cores; --quick is
the same in small). Maps have a spectrum A (l / l0)^slope up to l = 2 nside - 1, become non-Gaussian
by x + f (x^2 - <x^2>) / sigma, and have white noise, as strong as the signal at l = 3/2 nside.
Fisher matrices of ln A, slope and f are compared between summaries; of Gaussian maps without noise,
that of S1 and S2 with the exact one of C_l. Writes inference.json and inference.png.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.studies.ellipses import draw_ellipses
from experiments.studies.options import add_size_options, study_parser
from jaxscat.inference import (
    Covariance,
    GaussianMaps,
    Jacobian,
    Summary,
    covariance,
    fisher,
    fisher_noise,
    jacobian,
    measure_many,
)
from jaxscat.objectives.band_power import BandPower
from jaxscat.plotting import write_figure
from jaxscat.run.folder import write_json

NAMES = ("ln A", "slope", "f")
FIDUCIAL = (0.0, -2.0, 0.1)
# Groups of the summaries that are compared.
SUMMARIES = {
    "C_l": ("C",),
    "S1, S2": ("S1", "S2"),
    "S1 to S4": ("S1", "S2", "S3", "S4"),
    "C_l, S3, S4": ("C", "S3", "S4"),
}
FIRST_COVARIANCE_SEED = 1_000_000  # other maps than those of the derivatives


class Simulator(eqx.Module):
    """Gaussian maps of two parameters, or of three that are non-Gaussian and have noise."""

    draw: GaussianMaps
    noise: float = 0.0  # C_l of the noise

    @classmethod
    def of(cls, nside: int) -> Simulator:
        """Build the simulator of an nside."""
        maps = GaussianMaps.of(nside)
        without = cls(maps)
        signal = without.spectrum(jnp.asarray(FIDUCIAL))
        return cls(maps, float(signal[3 * nside // 2]))

    def spectrum(self, parameters: Float[Array, " parameter"]) -> Float[Array, " l"]:
        """Return A (l / l0)^slope from l = 1 up, with l0 half of the last multipole."""
        multipole = jnp.arange(self.draw.lmax + 1)
        ratio = jnp.maximum(multipole, 1) / (self.draw.lmax / 2)
        power = parameters[0] + parameters[1] * jnp.log(ratio)
        return jnp.where(multipole > 0, jnp.exp(power), 0.0)

    def __call__(self, parameters: Any, seed: Any) -> Float[Array, " p"]:
        """Return a NESTED map."""
        parameters = jnp.asarray(parameters, jnp.float32)
        spectrum = self.spectrum(parameters)
        field = self.draw(spectrum, seed)
        if parameters.size == 2:
            return field
        modes = 2 * jnp.arange(spectrum.size) + 1
        variance = jnp.sum(modes * spectrum) / (4 * np.pi)
        skewed = field + parameters[2] * (field**2 - variance) / jnp.sqrt(variance)
        key = jax.random.fold_in(jax.random.key(jnp.asarray(seed)), 1)
        white = jax.random.normal(key, field.shape, field.dtype)
        return skewed + white * np.sqrt(self.noise * field.size / (4 * np.pi))


class WithPower(eqx.Module):
    """A summary that has the power of every multipole before the coefficients."""

    power: BandPower
    summary: Summary

    def __call__(self, map: Any, pyramid: jaxscat.Pyramid) -> Float[Array, " coefficient"]:
        """Return C_l and coefficients of a map."""
        return jnp.concatenate([self.power.measure(map), self.summary(map, pyramid)])


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console, began = Console(width=140), time.perf_counter()
    nside = options.nside or (8 if options.quick else 16)
    pyramid = jaxscat.build_pyramid(nside)
    simulator = Simulator.of(nside)
    gaussian = compare_with_exact(simulator, pyramid, options)
    console.print(gaussian_table(gaussian, nside))
    derivatives, covariances = measure(simulator, pyramid, options)
    rows = compare(derivatives, covariances)
    console.print(build_table(rows, nside, options))
    options.output.mkdir(parents=True, exist_ok=True)
    how = {"nside": nside, "seeds": options.seeds, "simulations": options.simulations}
    found = {**how, "gaussian": gaussian, "rows": rows}
    write_json(options.output / "inference.json", found)
    scatters = {
        f"{row['summary'].replace('C_l', '$C_l$')} ({row['coefficients']} numbers)": np.linalg.inv(
            row["fisher"]
        )
        for row in rows
    }
    title = f"one full-sky map of nside {nside}; $C_l$ alone reaches beyond the panels"
    figure = draw_ellipses(scatters, FIDUCIAL, NAMES, title)
    write_figure(options.output / "inference.png", figure)
    seconds = time.perf_counter() - began
    console.print(f"wrote inference.json and inference.png to {options.output} ({seconds:.0f} s)")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("inference", "Measure what S1 to S4 add to C_l for inference.")
    parser.add_argument("--seeds", type=int, default=512, help="for derivatives")
    parser.add_argument("--simulations", type=int, default=4096, help="for covariances")
    add_size_options(parser, "runs/inference", nside_help="default 16")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.simulations = 16, 400
    return options


def compare_with_exact(
    simulator: Simulator, pyramid: jaxscat.Pyramid, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the Fisher matrix of S1 and S2 of Gaussian maps, and the exact one of their C_l."""
    summary = Summary(groups=("S1", "S2"))
    at = np.array(FIDUCIAL[:2])
    derivatives = quietly_differentiate(simulator, at, pyramid, options.seeds, summary)
    vectors = simulate(simulator, at, pyramid, options.simulations, summary)
    of_vectors = covariance(vectors)
    found = fisher_without_noise(derivatives, of_vectors)
    multipole = np.arange(1, simulator.draw.lmax + 1)
    ratio = multipole / (simulator.draw.lmax / 2)
    by_parameter = np.stack([np.ones(ratio.size), np.log(ratio)])
    exact = (by_parameter * (2 * multipole + 1) / 2) @ by_parameter.T
    return {
        "coefficients": len(derivatives.names),
        "fisher": found.tolist(),
        "exact": exact.tolist(),
        "ratio": (np.diag(found) / np.diag(exact)).tolist(),
        "determinant": float(np.linalg.det(found) / np.linalg.det(exact)),
        # Of a Fisher matrix from a sample covariance, as of chi^2.
        "error": float(np.sqrt(2 / (options.simulations - len(derivatives.names)))),
    }


def measure(
    simulator: Simulator, pyramid: jaxscat.Pyramid, options: argparse.Namespace
) -> tuple[dict[str, Jacobian], dict[str, Covariance]]:
    """Return derivatives and covariances of all summaries, of the same maps."""
    nside = pyramid.spec.nside
    multipoles = range(1, 3 * nside)
    power = BandPower.of(nside, [(multipole, multipole) for multipole in multipoles])
    scales = min(3, pyramid.spec.scales) if not options.quick else 2
    summary = WithPower(power, Summary(pair_scales=scales))
    names = [f"C l={multipole}" for multipole in multipoles] + summary.summary.names(pyramid)
    at = np.array(FIDUCIAL)
    derivatives = quietly_differentiate(simulator, at, pyramid, options.seeds, summary)
    vectors = simulate(simulator, at, pyramid, options.simulations, summary)
    group = np.array([name.removeprefix("Re ").removeprefix("Im ").split()[0] for name in names])
    of_groups, of_covariances = {}, {}
    for name, groups in SUMMARIES.items():
        chosen = np.flatnonzero(np.isin(group, groups))
        of_groups[name] = derivatives._replace(
            values=derivatives.values[chosen],
            errors=derivatives.errors[chosen],
            each=derivatives.each[:, chosen],
            names=tuple(names[at] for at in chosen),
        )
        of_covariances[name] = covariance(vectors[:, chosen])
    return of_groups, of_covariances


def quietly_differentiate(
    simulator: Simulator, at: np.ndarray, pyramid: jaxscat.Pyramid, seeds: int, summary: Any
) -> Jacobian:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of noise, which the table has
        return jacobian(simulator, at, pyramid, seeds=seeds, summary=summary)


def fisher_without_noise(derivatives: Jacobian, of_vectors: Covariance) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of noise, which is taken off
        return fisher(derivatives, of_vectors) - fisher_noise(derivatives, of_vectors)


def simulate(
    simulator: Simulator, at: np.ndarray, pyramid: jaxscat.Pyramid, count: int, summary: Any
) -> Float[np.ndarray, "simulation coefficient"]:
    seeds = range(FIRST_COVARIANCE_SEED, FIRST_COVARIANCE_SEED + count)
    compiled = eqx.filter_jit(lambda parameters, seed: simulator(parameters, seed))
    # As arrays, so that one program serves all seeds.
    return measure_many(
        lambda parameters, seed: compiled(parameters, jnp.asarray(seed)),
        pyramid,
        seeds=seeds,
        parameters=at,
        summary=summary,
        chunk_size=128,
    ).vectors.astype(np.float64)


def compare(
    derivatives: Mapping[str, Jacobian], covariances: Mapping[str, Covariance]
) -> list[dict[str, Any]]:
    """Return errors of the parameters of every summary, without the noise of derivatives."""
    rows = []
    for name, of_summary in derivatives.items():
        of_vectors = covariances[name]
        matrix = fisher_without_noise(of_summary, of_vectors)
        combined = fisher(of_summary, of_vectors, estimator="combined")
        noise = fisher_noise(of_summary, of_vectors)
        rows.append(
            {
                "summary": name,
                "coefficients": len(of_summary.names),
                "hartlap": of_vectors.hartlap,
                "condition": of_vectors.condition,
                "noise": float(scipy.linalg.eigvalsh(noise, matrix + noise)[-1]),
                "fisher": matrix.tolist(),
                "errors": np.sqrt(np.diag(np.linalg.inv(matrix))).tolist(),
                "errors, others known": (1 / np.sqrt(np.diag(matrix))).tolist(),
                "errors, combined": np.sqrt(np.diag(np.linalg.inv(combined))).tolist(),
            }
        )
    return rows


def gaussian_table(found: Mapping[str, Any], nside: int) -> Table:
    title = (
        f"Gaussian maps, nside {nside}: Fisher of S1, S2 over that of C_l, ± {found['error']:.3f}"
    )
    table = Table(title=title)
    for heading in ("coefficients", *NAMES[:2], "determinant"):
        table.add_column(heading, justify="right")
    numbers = [*found["ratio"], found["determinant"]]
    table.add_row(str(found["coefficients"]), *(f"{number:.3f}" for number in numbers))
    return table


def build_table(
    rows: Iterable[Mapping[str, Any]], nside: int, options: argparse.Namespace
) -> Table:
    table = Table(
        title=f"errors of parameters, nside {nside}, {options.seeds} seeds for derivatives, "
        f"{options.simulations} simulations for covariances"
    )
    table.add_column("summary")
    for heading in ("number", *(f"σ({name})" for name in NAMES), "σ(f), others known"):
        table.add_column(heading, justify="right")
    for heading in ("σ(f), combined", "Hartlap", "condition", "noise taken off"):
        table.add_column(heading, justify="right")
    for row in rows:
        numbers = [*row["errors"], row["errors, others known"][2], row["errors, combined"][2]]
        table.add_row(
            row["summary"],
            str(row["coefficients"]),
            *(f"{number:.4f}" for number in numbers),
            f"{row['hartlap']:.3f}",
            f"{row['condition']:.0f}",
            f"{100 * row['noise']:.1f} %",
        )
    return table
