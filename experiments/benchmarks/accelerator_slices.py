"""What the slices of `accelerator` measure, each in a process of its own.

    python -m experiments.benchmarks.accelerator_slices KIND OPTIONS

KIND is one of `KINDS`, OPTIONS is JSON. Lines say to which row they belong.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import stored_numbers
from experiments.benchmarks.harness import compile_apart, devices, environment, repeated
from experiments.benchmarks.problems import (
    Run,
    problem,
    synthesizer,
    value_and_grad_of,
    white_starts,
)
from experiments.benchmarks.seeds import peak_memory, rates
from experiments.benchmarks.slices import report

Options = dict[str, Any]


def describe_device(options: Options) -> None:
    """Report the device, its memory and all versions."""
    device = jax.devices()[0]
    stats = device.memory_stats() or {}
    report(
        environment("drawn")
        | {"jax": devices(), "memory_bytes": stats.get("bytes_limit")}
        | {"backend": device.client.platform_version}
    )


def store(options: Options) -> None:
    """Write the stored numbers."""
    stored_numbers.make_file()


def check(options: Options) -> None:
    """Compare coefficients, loss and gradient with those of a CPU."""
    dtype = options["dtype"]
    for layout in options["layouts"]:
        report({"layout": layout, "dtype": dtype, **stored_numbers.compare(layout, dtype)})


def gradient(options: Options) -> None:
    """Time value and gradient of more and more maps."""
    for layout in options["layouts"]:
        prepared = problem(None, options["nside"], layout)
        for seeds in options["seeds"]:
            report_row(layout, seeds, partial(_time_gradient, prepared, seeds, options["repeat"]))


def _time_gradient(prepared: Any, seeds: int, repeat: int) -> Options:
    original, *operands = prepared
    starts = jnp.asarray(white_starts(original, seeds))
    compiled, stages = compile_apart(value_and_grad_of(seeds), starts, *operands)
    found = repeated(lambda: compiled(starts, *operands), repeat)
    memory: Any = getattr(compiled, "memory_analysis", lambda: None)()
    return {
        **stages,
        **found,
        "seconds_per_map": found["median_seconds"] / seeds,
        "temporary_bytes": None if memory is None else memory.temp_size_in_bytes,
    }


def synthesis(options: Options) -> None:
    """Make the maps of more and more seeds, with a fixed number of steps."""
    for layout in options["layouts"]:
        run = synthesizer(None, options["nside"], layout)
        for seeds in options["seeds"]:
            report_row(layout, seeds, partial(_time_synthesis, run, seeds, options["steps"]))


def _time_synthesis(run: Run, seeds: int, steps: int) -> Options:
    found = rates(run(seeds, batch_size=seeds, max_steps=steps))
    del found["evaluations"]
    return found


def report_row(layout: str, seeds: int, measure: Callable[[], Options]) -> None:
    """Report what is measured of some seeds, or that they do not fit in memory."""
    row: Options = {"layout": layout, "seeds": seeds}
    try:
        row |= measure()
        row["peak_bytes"] = peak_memory()
    except (ValueError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, ValueError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        row["error"] = str(error).splitlines()[0]
    report(row)


KINDS = {
    "device": describe_device,
    "store": store,
    "check": check,
    "gradient": gradient,
    "synthesis": synthesis,
}


def main() -> None:
    """Measure one slice."""
    kind, options = sys.argv[1], json.loads(sys.argv[2])
    KINDS[kind](options)


if __name__ == "__main__":
    main()
