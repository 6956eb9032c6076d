"""Time what the further statistics add to a loss, in jaxscat and in the installed FOSCAT.

    python -m experiments.benchmarks statistics [--nsides 16 32] [--repeat 7] [--pairs 20]
        [--output DIR] [--foscat-cache DIR] [--dataset NAME_OR_FILE]

Needs the extra `foscat`. Three things are compared with a plain loss of
one map, kernel 3, 4 orientations, in float32:

- cross: the map is measured together with a second one (S3P is there, too);
- kernel 5: whose finest scale works at twice the nside, so kernel 3 at that nside is plain;
- reductions: isotropic means, and one Fourier harmonic, inside the loss.

Both packages are in one process and warm. Every time of a statistic has a time of the plain call
right before or right after it, in turns, and the ratio is the median over these pairs: what slows
the machine down for a while slows down both of a pair.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.benchmarks.harness import (
    Pair,
    add_foscat_cache,
    argument_parser,
    devices,
    environment,
    paired_times,
    ratio_summary,
    summary,
    write_json,
)
from experiments.foscat_reference.conventions import FOSCAT_LOSS
from experiments.foscat_reference.losses import FoscatLoss
from experiments.foscat_reference.statistics import Foscat
from jaxscat import FourierHarmonics, IsotropicMean

START_SEED, SECOND_SEED = 1234, 4321
ReductionName = Literal["isotropic", "harmonics"]
Call = Callable[[], Any]
LABELS = {"forward": "statistics", "value_and_grad": "loss and gradient"}


@dataclass(frozen=True)
class Case:
    """One way to measure a map: resolution, kernel, a second map or not, a reduction or none."""

    nside: int
    kernel_size: int = 3
    second: bool = False
    reduction: ReductionName | None = None


@dataclass(frozen=True)
class Comparison:
    """A case beside a plain one.

    Attributes:
        name: what differs.
        plain: what the case is compared with.
        case: the case.
        limit: highest ratio of their times that jaxscat should have.
        calls: what is timed: "forward", "value_and_grad".
    """

    name: str
    plain: Case
    case: Case
    limit: float
    calls: tuple[str, ...] = ("forward", "value_and_grad")


def comparisons(nside: int) -> list[Comparison]:
    """Return everything that is compared at one nside."""
    plain = Case(nside)
    loss = ("value_and_grad",)
    return [
        Comparison("cross", plain, replace(plain, second=True), 2.5),
        Comparison("kernel 5", Case(2 * nside), replace(plain, kernel_size=5), 3.0),
        Comparison("isotropic mean", plain, replace(plain, reduction="isotropic"), 1.05, loss),
        Comparison("one harmonic", plain, replace(plain, reduction="harmonics"), 1.05, loss),
    ]


Calls = Callable[[Case], dict[str, Call]]


@dataclass(frozen=True)
class Maps:
    """The original, the start of a synthesis and a second map of one nside, float32."""

    original: np.ndarray
    start: np.ndarray
    second: np.ndarray


def read_maps(dataset: str, nside: int) -> Maps:
    original = jaxscat.load_map(dataset, nside).astype(np.float32)
    noise = [jaxscat.reference_noise(original, seed) for seed in (START_SEED, SECOND_SEED)]
    return Maps(original, *noise)


def jaxscat_calls(maps: Callable[[int], Maps]) -> Calls:
    """Return what gives the compiled calls of jaxscat for every case."""
    measure = jax.jit(jaxscat.measure)
    value_and_grad = jax.jit(jax.value_and_grad(jaxscat.map_loss))
    pyramids = cache(lambda nside, size: jaxscat.build_pyramid(nside, kernel_size=size))
    reductions = {None: None, "isotropic": IsotropicMean(), "harmonics": FourierHarmonics(1)}

    def calls(case: Case) -> dict[str, Call]:
        pyramid, given = pyramids(case.nside, case.kernel_size), maps(case.nside)
        second = jnp.asarray(given.second) if case.second else None
        target = jaxscat.make_target(
            jnp.asarray(given.original),
            pyramid,
            second=second,
            reduction=reductions[case.reduction],
            **FOSCAT_LOSS,
        )
        field = jnp.asarray(given.start)
        return {
            "forward": lambda: jax.block_until_ready(measure(field, pyramid, second=second)),
            "value_and_grad": lambda: jax.block_until_ready(value_and_grad(field, pyramid, target)),
        }

    return cache(calls)


def foscat_calls(maps: Callable[[int], Maps], folder: Path) -> Calls:
    """Return what gives the calls of FOSCAT for every case; its operators lie in the folder."""
    operators = cache(lambda size: Foscat(kernel_size=size, precision="float32", cache=folder))

    def calls(case: Case) -> dict[str, Call]:
        foscat, given = operators(case.kernel_size), maps(case.nside)
        second = given.second if case.second else None
        if case.reduction is None:
            loss = foscat.seed_loss(given.original, second=second)
        else:
            loss = reduced_loss(foscat, given.original, case.reduction)
        return {
            "forward": lambda: foscat.measure(given.start, second=second),
            "value_and_grad": lambda: loss.value_and_grad(given.start),
        }

    return cache(calls)


def reduced_loss(foscat: Foscat, original: np.ndarray, reduction: ReductionName) -> FoscatLoss:
    """Return FOSCAT's loss of one map with combined orientations."""
    operator, options = foscat.operator, foscat.evaluation_options(None)

    def reduced(statistics: Any) -> Any:
        if reduction == "isotropic":
            return statistics.iso_mean()
        return statistics.fft_ang(nharm=1, imaginary=True)

    with foscat.at_work():
        mean, sigma = operator.eval(foscat.tensor(original), calc_var=True, **options)
        mean = reduced(mean)
        if reduction == "isotropic":
            sigma = sigma.iso_mean()
        else:
            sigma = sigma.fft_ang_sigma(nharm=1, imaginary=True)

    def distance(fields: torch.Tensor) -> torch.Tensor:
        scaled = (mean - reduced(operator.eval(fields, **options))) / sigma
        return operator.reduce_mean(operator.square(scaled))

    return foscat.build_loss(distance)


def compare(
    comparison: Comparison, packages: dict[str, Calls], repeat: int, pairs: int
) -> dict[str, Any]:
    """Time one comparison with both packages.

    There are `repeat` turns. In each FOSCAT has one pair of calls, and then jaxscat `pairs` of
    them after one that does not count: FOSCAT's threads are still settling.
    """
    row: dict[str, Any] = {"limit": comparison.limit, "plain_nside": comparison.plain.nside}
    for name in comparison.calls:
        theirs, ours = (
            [calls_of(case)[name] for case in (comparison.plain, comparison.case)]
            for calls_of in (packages["foscat"], packages["jaxscat"])
        )
        for call in (*theirs, *theirs, *ours, *ours):
            call()
        times: dict[str, list[Pair]] = {"foscat": [], "jaxscat": []}
        for turn in range(repeat):
            times["foscat"] += paired_times(*theirs, pairs=1, swap=turn % 2 == 1)
            times["jaxscat"] += paired_times(*ours, pairs=pairs + 1)[1:]
        row[name] = {package: figures(found) for package, found in times.items()}
        medians = [row[name][p]["case"]["median_seconds"] for p in ("foscat", "jaxscat")]
        row[name]["foscat_to_jaxscat"] = medians[0] / medians[1]
    return row


def figures(times: list[Pair]) -> dict[str, Any]:
    """Return medians of both calls, and of their ratio with the error of that median."""
    return {
        "plain": summary([plain for plain, _ in times]),
        "case": summary([case for _, case in times]),
        **ratio_summary(times),
    }


def build_table(results: dict[str, Any]) -> Table:
    head = results["environment"]
    title = f"Medians, float32, {head['cpu_count']} CPUs, map: {head['dataset']}"
    table = Table("nside", "statistic", "call", title=title)
    headings = ("FOSCAT plain", "this", "ratio", "jaxscat plain", "this", "ratio", "at most")
    for heading in (*headings, "FOSCAT / jaxscat"):
        table.add_column(heading, justify="right")
    for nside, rows in results["nsides"].items():
        table.add_section()
        for statistic, row in rows.items():
            for name, label in LABELS.items():
                if name not in row:
                    continue
                cells = []
                for package in ("foscat", "jaxscat"):
                    found = row[name][package]
                    medians = [found[call]["median_seconds"] for call in ("plain", "case")]
                    cells += [f"{1e3 * median:.1f} ms" for median in medians]
                    cells.append(f"{found['ratio']:.3f} ± {found['ratio_error']:.3f}")
                faster = row[name]["foscat_to_jaxscat"]
                table.add_row(
                    nside, statistic, label, *cells, f"{row['limit']:.2f}", f"{faster:.1f}"
                )
    return table


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "statistics",
        "Time what the further statistics add.",
        nsides=(16, 32),
        repeat=7,
        repeat_help="turns, one pair of FOSCAT's each",
        output=Path("runs/benchmark-statistics"),
    )
    add_foscat_cache(parser)
    parser.add_argument("--pairs", type=int, default=20, help="pairs of jaxscat's calls in a turn")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    options.output.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "environment": environment(options.dataset, ("foscat", "torch")),
        "nsides": {},
    }
    results["environment"]["jax"] = devices()
    maps = cache(lambda nside: read_maps(options.dataset, nside))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as temporary:
        folder = (options.foscat_cache or Path(temporary)).resolve()
        packages = {"foscat": foscat_calls(maps, folder), "jaxscat": jaxscat_calls(maps)}
        for nside in options.nsides:
            rows = results["nsides"][str(nside)] = {}
            for comparison in comparisons(nside):
                with console.status(f"nside {nside}: {comparison.name}"):
                    rows[comparison.name] = compare(
                        comparison, packages, options.repeat, options.pairs
                    )
    Console(width=160).print(build_table(results))
    write_json(options.output / "benchmark.json", results)
    console.print(f"written to {options.output}")
    return 0
