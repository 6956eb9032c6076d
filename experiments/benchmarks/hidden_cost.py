"""Measure what each treatment of hidden pixels costs beside the whole sky, and write JSON.

    python -m experiments.benchmarks hidden [--nsides 32 64] [--output DIR] [--dataset NAME_OR_FILE]

Value and gradient of the default loss, float32, one map, under a mask that leaves two thirds of the
sky. Calls of every treatment alternate with calls without a mask; the ratio is the median over
pairs.
"""

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
    ratio_summary,
    write_json,
)
from experiments.studies.masked_skies import five_masks

TREATMENTS = ("include", "exclude", "interior", "patch")
PAIRS = 40


def build_call(
    original: np.ndarray, pyramid: jaxscat.Pyramid, seen: np.ndarray | None, treatment: str
) -> Callable[[], Any]:
    """Return a call of the compiled value and gradient of a loss, warmed up."""
    map, how = jnp.asarray(original), {}
    if seen is not None and treatment == "patch":
        cells = np.flatnonzero(seen)
        map = map[cells]
        pyramid = jaxscat.build_pyramid(pyramid.spec.nside, cell_ids=cells)
    elif seen is not None:
        how = {"mask": jnp.asarray(seen, jnp.float32), "hidden": treatment}
    target = jaxscat.make_target(map, pyramid, **how)
    # An operand: a start that is known would be folded into the program.
    start = map[::-1]
    function = jax.jit(jax.value_and_grad(jaxscat.map_loss))

    def call() -> Any:
        return jax.block_until_ready(function(start, pyramid, target))

    call()
    return call


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "hidden", "Cost of hidden pixels.", nsides=(32, 64), output=Path("runs/hidden_cost")
    )
    options = parser.parse_args(arguments)
    table = Table(title="Value and gradient beside those of the whole sky, float32")
    for heading in ("nside", "treatment", "whole sky [ms]", "ratio"):
        table.add_column(heading, justify="left" if heading == "treatment" else "right")
    rows = []
    for nside in options.nsides:
        original = jaxscat.load_map(options.dataset, nside).astype(np.float32)
        pyramid = jaxscat.build_pyramid(nside)
        seen = five_masks(nside)["band and discs"]
        whole = build_call(original, pyramid, None, "")
        for treatment in TREATMENTS:
            masked = build_call(original, pyramid, seen, treatment)
            pairs = paired_times(whole, masked, PAIRS)
            found = ratio_summary(pairs)
            milliseconds = 1e3 * float(np.median([first for first, _ in pairs]))
            rows.append({"nside": nside, "treatment": treatment, "whole": milliseconds, **found})
            ratio = f"{found['ratio']:.3f} ± {found['ratio_error']:.3f}"
            table.add_row(str(nside), treatment, f"{milliseconds:.2f}", ratio)
    Console().print(table)
    figures = {"environment": environment(options.dataset), "rows": rows}
    write_json(options.output / "hidden_cost.json", figures)
    return 0
