"""Measure what spin-2 transforms cost beside scalar ones and a loss, and write JSON.

    python -m experiments.benchmarks polarization [--nsides 32 64] [--output DIR]

Float32. A transform of two maps and its transpose alternate with those of two scalar maps; with
jaxht installed, with its own, for the same multipoles. Value and gradient of a loss of Q and U as a
function of E and B alternate with those of the default loss of one map. Ratios are medians over
pairs.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
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
    ratio_summary,
    write_json,
)
from jaxscat.harmonics.spin_tables import spin_harmonic_tables
from jaxscat.harmonics.spin_transform import spin_analysis, spin_synthesis
from jaxscat.harmonics.tables import expand_gains
from jaxscat.harmonics.transform import analysis, synthesis

PAIRS = 40
Call = Callable[[], Any]


def build_transforms(nside: int, maps: jax.Array) -> dict[str, Call]:
    """Return a call of every transform of two maps and its transpose."""
    tables = spin_harmonic_tables(nside, np.float32)
    exists = jnp.asarray(expand_gains(nside, np.ones(3 * nside)), jnp.float32)[..., None]

    @jax.jit
    def scalar(tables: Any, maps: Any) -> Any:
        coefficients = jax.vmap(lambda map: exists * analysis(tables.scalar, map))(maps)
        return jax.vmap(lambda one: synthesis(tables.scalar, one))(coefficients)

    @jax.jit
    def spin(tables: Any, maps: Any) -> Any:
        e, b = spin_analysis(tables, *maps)
        return spin_synthesis(tables, exists * e, exists * b)

    calls: dict[str, Call] = {
        "two scalar maps": lambda: scalar(tables, maps),
        "Q and U": lambda: spin(tables, maps),
    }
    if importlib.util.find_spec("jht") is not None:
        jht, last = importlib.import_module("jht"), 3 * nside - 1

        @jax.jit
        def other(maps: Any) -> Any:
            return jht.synthesis(jht.adjoint_synthesis(maps, nside, last, spin=2), nside, last, 2)

        calls["Q and U, jaxht"] = lambda: other(maps)
    return calls


def build_losses(nside: int, maps: jax.Array) -> dict[str, Call]:
    """Return a call of value and gradient of the default loss, and of losses of Q and U."""
    pyramid = jaxscat.build_pyramid(nside)
    target = jaxscat.make_target(maps[0], pyramid)
    loss = jax.jit(jax.value_and_grad(jaxscat.map_loss))
    calls: dict[str, Call] = {"default loss": lambda: loss(maps[0], pyramid, target)}

    @eqx.filter_jit
    def of_stokes(maps: Any, transform: jaxscat.PolarizationTransform) -> Any:
        def squares(maps: Any) -> Any:
            return sum(jnp.sum(map**2) for map in transform.qu_of_eb(*maps))

        return jax.value_and_grad(squares)(maps)

    for iterations in (0, 3, 5):
        transform = jaxscat.PolarizationTransform.of(nside, iterations=iterations)
        calls[f"loss of Q and U, {iterations} iterations"] = lambda transform=transform: of_stokes(
            maps, transform
        )
    return calls


def ratios(nside: int, calls: dict[str, Call]) -> list[dict[str, Any]]:
    """Return the time of the first call, and of every other one as a ratio to it."""
    timed = [lambda call=call: jax.block_until_ready(call()) for call in calls.values()]
    for call in timed:
        call()
    rows = []
    for name, call in zip(list(calls)[1:], timed[1:], strict=True):
        pairs = paired_times(timed[0], call, PAIRS)
        first = 1e3 * float(np.median([first for first, _ in pairs]))
        rows.append({"nside": nside, "beside": next(iter(calls)), "first": first, "what": name})
        rows[-1] |= ratio_summary(pairs)
    return rows


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "polarization", "Cost of Q and U.", nsides=(32, 64), output=Path("runs/polarization_cost")
    )
    options = parser.parse_args(arguments)
    table = Table(title="Q and U beside scalar maps, float32")
    for heading in ("nside", "beside", "ms", "what", "ratio"):
        table.add_column(heading, justify="left" if heading in ("beside", "what") else "right")
    rows = []
    for nside in options.nsides:
        original = jaxscat.load_map(options.dataset, nside).astype(np.float32)
        maps = jnp.stack([jnp.asarray(original), jnp.asarray(original)[::-1]])
        rows += ratios(nside, build_transforms(nside, maps))
        rows += ratios(nside, build_losses(nside, maps))
    for row in rows:
        ratio = f"{row['ratio']:.2f} ± {row['ratio_error']:.2f}"
        table.add_row(str(row["nside"]), row["beside"], f"{row['first']:.2f}", row["what"], ratio)
    Console().print(table)
    figures = {"environment": environment(options.dataset), "rows": rows}
    write_json(options.output / "polarization_cost.json", figures)
    return 0
