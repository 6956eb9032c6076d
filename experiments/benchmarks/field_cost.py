"""Measure what several fields cost beside one map, and a whole polarized map, and write JSON.

    python -m experiments.benchmarks fields [--nsides 32 64 128] [--output DIR] [--steps 100]

Float32. Calls of value and gradient of the loss of T, E and B with all six pairs (and of the three
alone) alternate with those of one scalar map; the ratio is the median over pairs of calls. With
`--steps` a new polarized map is made with so many steps in the harmonic form, as a run makes it,
after a first one that compiles.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.benchmarks.harness import (
    argument_parser,
    environment,
    paired_times,
    peak_bytes,
    ratio_summary,
    write_json,
)

PAIRS = 15
CASES = {"T, E, B alone": ["TT", "EE", "BB"], "all six pairs": None}


def drawn_fields(nside: int) -> dict[str, Any]:
    """Return three correlated, skewed maps: times do not depend on what they show."""
    t, e, b = np.random.default_rng(0).gamma(2.0, size=(3, 12 * nside**2)).astype(np.float32)
    return {"T": t, "E": e + 0.5 * t, "B": b}


def build_call(loss: Callable[..., Any], start: Any, pyramid: Any, target: Any) -> Any:
    """Return a call of the compiled value and gradient of a loss, warmed up."""
    function = jax.jit(jax.value_and_grad(loss))

    def call() -> Any:
        return jax.block_until_ready(function(start, pyramid, target))

    call()
    return call


def measure_evaluations(fields: dict[str, Any], pyramid: jaxscat.Pyramid) -> list[dict[str, Any]]:
    """Return the ratios of all cases to one scalar map at one nside."""
    starts = {name: jnp.asarray(map[::-1]) for name, map in fields.items()}
    scalar = jaxscat.make_target(fields["T"], pyramid)
    one = build_call(jaxscat.map_loss, starts["T"], pyramid, scalar)
    rows = []
    for name, pairs in CASES.items():
        target = jaxscat.make_field_target(fields, pyramid, pairs=pairs)
        several = build_call(jaxscat.fields_loss, starts, pyramid, target)
        times = paired_times(one, several, PAIRS)
        milliseconds = 1e3 * float(np.median([first for first, _ in times]))
        rows.append({"case": name, "scalar_ms": milliseconds, **ratio_summary(times)})
    return rows


def measure_map(fields: dict[str, Any], pyramid: jaxscat.Pyramid, steps: int) -> dict[str, float]:
    """Return the seconds of a new polarized map, with and without compilation."""
    target = jaxscat.make_field_target(fields, pyramid)
    form = jaxscat.harmonic_fields_form(fields)
    draw = functools.partial(jaxscat.gaussian_fields, fields)
    made = [
        jaxscat.synthesize_fields(
            target, pyramid, [seed], start=draw, form=form, max_steps=steps, memory=20
        )
        for seed in (0, 1)
    ]
    return {
        "compile_seconds": made[0].compile_seconds,
        "seconds": made[1].run_seconds,
        "evaluations": float(made[1].evaluations[0, -1]),
        "peak_gigabytes": peak_bytes() / 1e9,
    }


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "fields",
        "Cost of several fields.",
        nsides=(32, 64, 128),
        output=Path("runs/field_cost"),
    )
    parser.add_argument("--steps", type=int, default=0, help="steps of a map; 0 makes none")
    options = parser.parse_args(arguments)
    table = Table(title="Value and gradient beside those of one scalar map, float32")
    for heading in ("nside", "case", "one map [ms]", "ratio"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    made = Table(title=f"A new map of T, E and B: {options.steps} steps, harmonic form, float32")
    for heading in ("nside", "compilation [s]", "map [s]", "evaluations", "peak memory [GB]"):
        made.add_column(heading, justify="right")
    rows, maps = [], []
    for nside in options.nsides:
        fields, pyramid = drawn_fields(nside), jaxscat.build_pyramid(nside)
        for row in measure_evaluations(fields, pyramid):
            rows.append({"nside": nside, **row})
            ratio = f"{row['ratio']:.2f} ± {row['ratio_error']:.2f}"
            table.add_row(str(nside), row["case"], f"{row['scalar_ms']:.2f}", ratio)
        if options.steps:
            found = measure_map(fields, pyramid, options.steps)
            maps.append({"nside": nside, **found})
            made.add_row(
                str(nside),
                f"{found['compile_seconds']:.0f}",
                f"{found['seconds']:.1f}",
                f"{found['evaluations']:.0f}",
                f"{found['peak_gigabytes']:.2f}",
            )
    Console().print(table)
    if options.steps:
        Console().print(made)
    figures = {"environment": environment(options.dataset), "rows": rows, "maps": maps}
    write_json(options.output / "field_cost.json", figures)
    return 0
