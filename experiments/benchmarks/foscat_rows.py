"""Measure one row of the benchmark against FOSCAT in this process, and print it as JSON.

    python -m experiments.benchmarks.foscat_rows timing|compile|memory|synthesis --maps FILE
        --cache DIR

FOSCAT is imported only where it is measured. Everything is float32, with 4 orientations, no mask
and FOSCAT's loss; FOSCAT's operators lie in the folder `--cache`.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.harness import peak_bytes, seconds, summary
from experiments.foscat_reference.conventions import FOSCAT_LOSS

# A call of jaxscat is short and follows a long one of FOSCAT, whose threads are still settling.
JAXSCAT_CALLS_PER_TURN = 5


def load_maps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the original and the start from a file; neither package is imported for it."""
    with np.load(path) as stored:
        return stored["original"], stored["start"]


def jaxscat_problem(original: np.ndarray) -> tuple[Any, Any]:
    """Return the pyramid and the target that FOSCAT's loss corresponds to."""
    import jax

    import jaxscat

    pyramid = jaxscat.build_pyramid(npix_to_nside(original))
    return pyramid, jaxscat.make_target(jax.numpy.asarray(original), pyramid, **FOSCAT_LOSS)


def npix_to_nside(field: np.ndarray) -> int:
    return round((field.size / 12) ** 0.5)


def timing(options: argparse.Namespace) -> dict:
    """Alternate calls of both packages in one process, after both are warm."""
    import jax
    import torch

    import jaxscat
    from experiments.foscat_reference.statistics import Foscat
    from jaxscat.run.provenance import describe_devices

    original, start = load_maps(options.maps)
    foscat = Foscat(precision="float32", cache=options.cache)
    loss = foscat.seed_loss(original)
    pyramid, target = jaxscat_problem(original)
    field = jax.numpy.asarray(start)
    measure = jax.jit(jaxscat.measure)
    value_and_grad = jax.jit(jax.value_and_grad(jaxscat.map_loss))
    calls = {
        "forward": (
            lambda: foscat.measure(start),
            lambda: jax.block_until_ready(measure(field, pyramid)),
        ),
        "value_and_grad": (
            lambda: loss.value_and_grad(start),
            lambda: jax.block_until_ready(value_and_grad(field, pyramid, target)),
        ),
    }
    result: dict[str, Any] = {
        "jax": describe_devices(),
        "torch": {
            "device": str(foscat.operator.backend.torch_device),
            "threads": torch.get_num_threads(),
        },
        "foscat_loss": loss.value_and_grad(start)[0],
        "jaxscat_loss": float(value_and_grad(field, pyramid, target)[0]),
    }
    for name, (theirs, ours) in calls.items():
        theirs()
        ours()
        samples: dict[str, list[float]] = {"foscat": [], "jaxscat": []}
        for _ in range(options.repeat):
            samples["foscat"].append(seconds(theirs))
            samples["jaxscat"] += [seconds(ours) for _ in range(JAXSCAT_CALLS_PER_TURN)]
        result[name] = {package: summary(values) for package, values in samples.items()}
        result[name]["ratio"] = (
            result[name]["foscat"]["median_seconds"] / result[name]["jaxscat"]["median_seconds"]
        )
    return result


def compile_time(options: argparse.Namespace) -> dict:
    """Time tracing and compiling value and gradient in a process that has compiled no such thing.

    The target is made from its shapes only, so nothing else is compiled before.
    """
    import jax

    import jaxscat

    original, _ = load_maps(options.maps)
    pyramid = jaxscat.build_pyramid(npix_to_nside(original))
    mean = jax.eval_shape(jaxscat.measure, original, pyramid)
    sigma = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, np.float32), mean)
    target = jaxscat.Target(mean=mean, sigma=sigma, mask=None)
    begin = time.perf_counter()
    lowered = jax.jit(jax.value_and_grad(jaxscat.map_loss)).lower(original, pyramid, target)
    middle = time.perf_counter()
    lowered.compile()
    end = time.perf_counter()
    return {
        "trace_seconds": middle - begin,
        "compile_seconds": end - middle,
        "total_seconds": end - begin,
    }


def memory(options: argparse.Namespace) -> dict:
    """Measure the peak of one package from its import to a value and gradient.

    It counts everything resident in the process: Python, libraries, operators, the making of the
    target, the compiler.
    FOSCAT reads its operators from the cache when they are there; jaxscat always builds them.
    """
    original, start = load_maps(options.maps)
    before = peak_bytes()
    if options.package == "foscat":
        from experiments.foscat_reference.statistics import Foscat

        loss = Foscat(precision="float32", cache=options.cache).seed_loss(original)
        loss.value_and_grad(start)
        loss.value_and_grad(start)
    else:
        import jax

        import jaxscat

        pyramid, target = jaxscat_problem(original)
        value_and_grad = jax.jit(jax.value_and_grad(jaxscat.map_loss))
        jax.block_until_ready(value_and_grad(start, pyramid, target))
        jax.block_until_ready(value_and_grad(start, pyramid, target))
    return {"peak_bytes": peak_bytes(), "peak_bytes_after_loading_the_map": before}


def synthesis(options: argparse.Namespace) -> dict:
    """Run the whole synthesis with one package, alone in the process."""
    original, start = load_maps(options.maps)
    run = foscat_synthesis if options.package == "foscat" else jaxscat_synthesis
    return run(original, start, options)


def foscat_synthesis(original: np.ndarray, start: np.ndarray, options: argparse.Namespace) -> dict:
    """Run FOSCAT's synthesis, warm; also measure with its loss the map that jaxscat has left."""
    from experiments.foscat_reference.statistics import Foscat
    from experiments.foscat_reference.synthesis import synthesize

    loss = Foscat(precision="float32", cache=options.cache).seed_loss(original)
    loss.value_and_grad(start)
    made = synthesize(loss, start, options.iterations)
    return {
        "seconds": made.seconds,
        "evaluations": len(made.evaluation_losses),
        "iterations": made.losses.size - 1,
        "final_loss": loss.value(made.map),
        "loss_of_jaxscat_map": loss.value(np.load(options.map_file)),
        "history": [made.evaluation_seconds, made.evaluation_losses],
    }


def jaxscat_synthesis(original: np.ndarray, start: np.ndarray, options: argparse.Namespace) -> dict:
    """Run jaxscat's synthesis twice: the first compiles; leave its map in a file."""
    pyramid, target = jaxscat_problem(original)
    runs = []
    for _ in range(2):
        made, run = one_jaxscat_synthesis(target, pyramid, start, options.iterations)
        np.save(options.map_file, made)
        runs.append(run)
    return {
        "first": runs[0],
        "second": runs[1],
        "run_seconds": statistics.median(run["run_seconds"] for run in runs),
    }


def one_jaxscat_synthesis(
    target: Any, pyramid: Any, start: np.ndarray, iterations: int
) -> tuple[np.ndarray, dict]:
    import jax

    import jaxscat

    history: tuple[list[float], list[float]] = ([], [])

    def record(progress: Any) -> None:
        history[0].append(float(progress.seconds))
        history[1].append(float(progress.loss))

    begin = time.perf_counter()
    result = jaxscat.synthesize(
        target, pyramid, jax.numpy.asarray(start), max_steps=iterations, callback=record
    )
    wall = time.perf_counter() - begin
    return np.asarray(result.map), {
        "run_seconds": result.run_seconds,
        "compile_seconds": result.compile_seconds,
        "wall_seconds": wall,
        "status": result.status,
        "steps": int(result.steps),
        "evaluations": int(result.evaluations[-1]),
        "final_loss": float(result.losses[-1]),
        "history": history,
    }


ROWS = {"timing": timing, "compile": compile_time, "memory": memory, "synthesis": synthesis}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure one row of the benchmark and print it as JSON."
    )
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--maps", type=Path, required=True, help="npz of original and start")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--package", choices=("foscat", "jaxscat"), default="jaxscat")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--map-file", type=Path, help="npy, from jaxscat's synthesis to FOSCAT")
    parser.add_argument("--iterations", type=int, default=300)
    options = parser.parse_args()
    print(json.dumps(ROWS[options.row](options)))


if __name__ == "__main__":
    main()
