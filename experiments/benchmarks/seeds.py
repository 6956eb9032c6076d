"""Time many seeds at once against one alone, and against each other on the device that is there.

    python -m experiments.benchmarks seeds [--parts vmap synthesis throughput] [--seeds 1 8 64]
        [--output DIR] [--dataset NAME_OR_FILE] ...

Everything is float32, with 4 orientations, on one device, the first that JAX finds. The parts:

- vmap: value and gradient of the loss of a batch of maps, by `grouped_vmap` and by `jax.vmap`, and
  of one map alone: of `map_loss`, and of a loss that a user may write;
- synthesis: the same seeds in one batch and one by one, what it takes and what comes out;
- throughput: syntheses of more and more seeds, all of them in one batch, and their memory.

Compilation is timed apart. What is measured is written and shown at once, so that a run that is
stopped has left it behind.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

import jaxscat
from experiments.benchmarks.harness import (
    argument_parser,
    devices,
    environment,
    peak_bytes,
    seconds,
    summary,
    write_json,
)
from experiments.benchmarks.problems import CHUNK, Run, problem, synthesizer, white_starts
from experiments.benchmarks.seeds_tables import (
    Row,
    synthesis_tables,
    throughput_tables,
    vmap_tables,
)

# A call of one map is short: so many of them stand beside one of the batch. One more, right after
# the batch, does not count: threads are still settling.
ALONE_CALLS_PER_TURN = 4
# Maps are compared while rounding has not grown far.
MAP_STEPS = 20
STEPS_OF_A_MAP = 300


def own_loss(map: jax.Array, pyramid: jaxscat.Pyramid, target: jaxscat.Target) -> jax.Array:
    """Return the loss as a user may write it, in place of `map_loss`."""
    return jaxscat.chi_square(jaxscat.measure(map, pyramid), target)


LOSSES = {"map_loss": jaxscat.map_loss, "own": own_loss}


def vmap(options: argparse.Namespace) -> Iterator[Row]:
    """Alternate calls of one map and of two batches, after all are compiled and warm."""
    for nside, (loss, function) in product(options.nsides, LOSSES.items()):
        original, *operands = problem(options.dataset, nside)
        both = jax.value_and_grad(function)
        maps = jnp.asarray(np.atleast_2d(white_starts(original, options.batch)))
        calls = {
            "alone": partial(_timed, jax.jit(both), maps[0], *operands),
            "grouped_vmap": partial(_timed, jaxscat.grouped_vmap(both), maps, *operands),
            "vmap": partial(_timed, jax.jit(jax.vmap(both, (0, None, None))), maps, *operands),
        }
        alone = calls["alone"]
        first = {name: call() for name, call in calls.items()}
        for call in (*calls.values(), *calls.values()):
            call()
        ones, batches, ratios = [], {}, {}
        for _ in range(options.repeat):
            for name in ("grouped_vmap", "vmap"):
                few = [alone() for _ in range(ALONE_CALLS_PER_TURN + 1)][1:]
                ones += few
                batches.setdefault(name, []).append(calls[name]())
                per_map = batches[name][-1] / options.batch
                ratios.setdefault(name, []).append(per_map / statistics.median(few))
        for name, times in batches.items():
            per_map = statistics.median(times) / options.batch
            yield {
                "nside": nside,
                "batch": options.batch,
                "loss": loss,
                "by": name,
                "alone": summary(ones),
                "together": summary(times),
                "seconds_per_map": per_map,
                "ratio": per_map / statistics.median(ones),
                "ratio_of_neighbours": statistics.median(ratios[name]),
                "ratios_of_neighbours": ratios[name],
                "compile_seconds": {"alone": first["alone"], "together": first[name]},
            }


def _timed(function: Callable[..., Any], *operands: Any) -> float:
    return seconds(lambda: jax.block_until_ready(function(*operands)))


def synthesis(options: argparse.Namespace) -> Iterator[Row]:
    """Run the same seeds in one batch, alone, and in one batch again, all of it warm."""
    run = synthesizer(options.dataset, options.synthesis_nside)
    seeds = list(range(options.batch))
    together = partial(run, seeds, batch_size=len(seeds))
    # A warm-up has to make a chunk of the same length: it is part of the compiled program.
    warm = min(CHUNK, options.steps)
    first = {"together": together(max_steps=warm), "alone": run([0], max_steps=warm)}
    batches = [together(max_steps=options.steps)]
    singles = [run([seed], max_steps=options.steps) for seed in seeds[: options.alone]]
    batches.append(together(max_steps=options.steps))
    together_losses = np.asarray(batches[0].loss)
    alone_losses = np.concatenate([np.asarray(made.loss) for made in singles])
    both = together_losses[: alone_losses.size]
    found = {"together": _figures(batches), "alone": _figures(singles)}
    yield {
        "nside": options.synthesis_nside,
        "steps": options.steps,
        "batch": options.batch,
        **found,
        "ratio": found["together"]["seconds_per_map"] / found["alone"]["seconds_per_map"],
        "compile_seconds": {way: made.compile_seconds for way, made in first.items()},
        "losses": {"together": together_losses.tolist(), "alone": alone_losses.tolist()},
        "largest_loss_difference": float(np.max(np.abs(both / alone_losses - 1))),
        "map_steps": MAP_STEPS,
        "map_differences": map_differences(partial(run, max_steps=MAP_STEPS), seeds),
    }


def _figures(runs: list[jaxscat.SynthesisResult]) -> Row:
    steps = np.stack([np.asarray(run.steps) for run in runs])
    evaluations = np.stack([run.evaluations[:, -1] for run in runs])
    times = [run.run_seconds for run in runs]
    return {
        "run_seconds": times,
        "seconds_per_map": statistics.median(times) / steps.shape[1],
        "evaluations_per_step": float(np.mean(evaluations / steps)),
        "evaluations": evaluations.tolist(),
        "fewest_steps": int(steps.min()),
    }


def map_differences(run: Run, seeds: list[int]) -> dict[str, float]:
    """Return how far maps are from those of all seeds in one batch, by how else they are made.

    It is the norm of the difference over that of the map, the largest of all seeds.
    """
    size, few = len(seeds), min(3, len(seeds))
    reference = run(seeds, batch_size=size).map
    ways = {
        "alone": np.stack([run([seed]).map[0] for seed in seeds]),
        "in the opposite order": run(seeds[::-1], batch_size=size).map[::-1],
        f"{few} at once": run(seeds, batch_size=few).map,
    }
    norm = partial(np.linalg.norm, axis=-1)
    return {
        way: float(np.max(norm(maps - reference) / norm(reference))) for way, maps in ways.items()
    }


def throughput(options: argparse.Namespace) -> Iterator[Row]:
    """Run batches of all sizes; one that does not fit in memory is reported as such."""
    jax.clear_caches()  # or a program of the parts before would take no time to compile
    sizes = product(options.throughput_nsides, options.seeds)
    # A device tells only its highest use so far: what needs more comes later.
    for nside, count in sorted(sizes, key=lambda size: size[0] ** 2 * size[1]):
        before = peak_memory()
        row: Row = {"nside": nside, "seeds": count, "steps": options.throughput_steps}
        row["steps_of_a_map"] = STEPS_OF_A_MAP
        try:
            run = synthesizer(options.dataset, nside)
            made = run(count, batch_size=count, max_steps=options.throughput_steps)
            row |= rates(made) | {"peak_bytes": peak_memory()}
            row["peak_has_risen"] = row["peak_bytes"] > before
        except (ValueError, jax.errors.JaxRuntimeError) as error:
            if not isinstance(error, ValueError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            row["error"] = str(error).splitlines()[0]
        yield row


def rates(made: jaxscat.SynthesisResult) -> Row:
    """Return what a batch makes in a time; its first evaluation is part of the compilation."""
    evaluations, steps = made.evaluations[:, -1] - 1, np.asarray(made.steps)
    return {
        "evaluation_seconds": made.run_seconds / int(evaluations.max()),
        "map_evaluations_per_second": int(evaluations.sum()) / made.run_seconds,
        "maps_per_minute": 60 * int(steps.sum()) / STEPS_OF_A_MAP / made.run_seconds,
        "run_seconds": made.run_seconds,
        "compile_seconds": made.compile_seconds,
        "fewest_steps": int(steps.min()),
        "evaluations": evaluations.tolist(),
    }


def peak_memory() -> int:
    """Return the highest use of the device's memory so far; on a CPU, of the whole process."""
    found = jax.local_devices()[0].memory_stats() or {}
    return found.get("peak_bytes_in_use") or peak_bytes()


PARTS = {
    "vmap": (vmap, vmap_tables),
    "synthesis": (synthesis, synthesis_tables),
    "throughput": (throughput, throughput_tables),
}


def format_row(row: Row) -> str:
    """Return the size and the figures of a row; lists and tables have to wait."""
    chosen = {name: n for name, n in row.items() if isinstance(n, float) or name == "error"}
    chosen = {name: row[name] for name in ("nside", "seeds") if name in row} | chosen
    figures = {name: f"{n:.4g}" if isinstance(n, float) else n for name, n in chosen.items()}
    return ", ".join(f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items())


def main(arguments: list[str]) -> int:
    parser = argument_parser(
        "seeds",
        "Time many seeds at once.",
        nsides=(32, 64),
        nsides_help="of vmap",
        repeat=15,
        repeat_help="turns of vmap",
        output=Path("runs/benchmark_seeds"),
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--batch", type=int, default=8, help="maps of vmap and synthesis")
    parser.add_argument("--synthesis-nside", type=int, default=32)
    parser.add_argument("--steps", type=int, default=300, help="of synthesis")
    parser.add_argument("--alone", type=int, default=4, help="seeds that are also run alone")
    parser.add_argument("--throughput-nsides", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 8, 64], help="of throughput")
    parser.add_argument("--throughput-steps", type=int, default=50)
    options = parser.parse_args(arguments)
    # A cache of compiled programs would make compilation look free.
    jax.config.update("jax_enable_compilation_cache", False)
    jax.config.update("jax_enable_x64", False)
    console = Console(stderr=True)
    head = environment(options.dataset) | {"jax": devices()}
    results: Row = {"environment": head}
    where = f"float32, {head['jax']['devices'][0]}, map: {options.dataset}"
    for part in options.parts:
        measure, tables = PARTS[part]
        rows = results[part] = []
        for row in measure(options):
            rows.append(row)
            write_json(options.output / "benchmark_seeds.json", results)
            console.print(f"{part}, {format_row(row)}")
        for table in tables(rows, where):
            Console(width=120).print(table)
    console.print(f"written to {options.output}")
    return 0
