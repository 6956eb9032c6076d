"""Times, medians, memory, environment and options that all benchmarks share.

jaxscat and JAX are imported only by the functions that need them: some measurements are about a
process without them.
"""

import argparse
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

GIGABYTE = 1e9
STATUS = Path("/proc/self/status")
Item = TypeVar("Item")
Pair = tuple[float, float]


def seconds(call: Callable[[], Any]) -> float:
    """Return the wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def summary(samples: Sequence[float]) -> dict[str, float | int]:
    """Return the median, the extremes and the number of some times."""
    return {
        "median_seconds": statistics.median(samples),
        "fastest_seconds": min(samples),
        "slowest_seconds": max(samples),
        "calls": len(samples),
    }


def alternate(
    first: Callable[[], Item], second: Callable[[], Item], pairs: int, swap: bool = False
) -> list[tuple[Item, Item]]:
    """Return pairs of results, called in alternating order: first second, second first, ...

    With `swap` the first pair begins with the second call.
    """
    found = []
    for turn in range(pairs):
        if (turn % 2 == 1) != swap:
            late = second()
            found.append((first(), late))
        else:
            found.append((first(), second()))
    return found


def paired_times(
    first: Callable[[], Any], second: Callable[[], Any], pairs: int, swap: bool = False
) -> list[Pair]:
    """Time pairs of calls whose order alternates as in `alternate`."""
    return alternate(lambda: seconds(first), lambda: seconds(second), pairs, swap)


def ratio_summary(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return the median over pairs of the second time over the first, and its standard error.

    The error is that of a median of independent normal numbers, 1.25 of the mean's.
    """
    ratios = [second / first for first, second in pairs]
    spread = (np.quantile(ratios, 0.84) - np.quantile(ratios, 0.16)) / 2
    return {
        "ratio": statistics.median(ratios),
        "ratio_error": float(1.25 * spread / len(ratios) ** 0.5),
    }


def compile_apart(
    function: Callable[..., Any], *operands: Any
) -> tuple[Callable[..., Any], dict[str, float]]:
    """Compile a function for some operands; return it, and the seconds of both stages.

    Operands may be arrays, or shapes on a device.
    """
    import jax

    begin = time.perf_counter()
    lowered = jax.jit(function).lower(*operands)
    lowering = time.perf_counter() - begin
    compiled = lowered.compile()
    compiling = time.perf_counter() - begin - lowering
    return compiled, {"lowering_seconds": lowering, "compile_seconds": compiling}


def repeated(call: Callable[[], Any], repeat: int) -> dict[str, float | int]:
    """Return the summary of the times of some calls that end on the device, after a first one."""
    import jax

    def finished() -> None:
        jax.block_until_ready(call())

    finished()
    return summary([seconds(finished) for _ in range(repeat)])


def resident_bytes(name: str) -> int:
    """Return a figure of this process's resident memory: "VmRSS", or "VmHWM", its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def peak_bytes() -> int:
    """Return the peak of the resident memory of this process so far.

    Linux hands `getrusage`'s figure on from the parent process; VmHWM is this program's own.
    """
    if STATUS.exists():
        return resident_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> None:
    """Give freed memory back to the system, and let the peak begin at what is left (Linux)."""
    import ctypes

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def default_dataset() -> str:
    """Return "lss" where its file is on this machine, "cosmic-web" otherwise."""
    from jaxscat.datasets.registry import describe

    available = {row.name for row in describe() if row.available}
    return "lss" if "lss" in available else "cosmic-web"


def environment(dataset: str, libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Describe machine, dataset and versions, also those of libraries beside jaxscat's own."""
    from jaxscat.run.provenance import versions

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": dataset,
        "precision": "float32",
        "cpu_count": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "machine": platform.machine(),
        "platform": platform.platform(),
        "versions": versions() | {library: version(library) for library in libraries},
        "thread_settings": {
            name: value for name, value in os.environ.items() if name.endswith("NUM_THREADS")
        },
    }


def devices() -> dict[str, Any]:
    """Describe the platform and the devices that JAX computes on."""
    from jaxscat.run.provenance import describe_devices

    return describe_devices()


def argument_parser(
    command: str,
    description: str,
    *,
    nsides: Sequence[int] | None,
    nsides_help: str | None = None,
    repeat: int | None = None,
    repeat_help: str | None = None,
    dataset: str | None = "",
    output: Path | None = None,
) -> argparse.ArgumentParser:
    """Return the parser of one benchmark, with the options that they share.

    Args:
        command: name of the benchmark on the command line.
        description: one sentence.
        nsides: default of --nsides; None leaves that option out.
        nsides_help: text for --nsides.
        repeat: default of --repeat; None leaves that option out.
        repeat_help: text for --repeat.
        dataset: default of --dataset; "" is `default_dataset`, and None leaves that option out.
        output: default of --output, the folder of the results; None writes none by default.
    """
    program = f"python -m experiments.benchmarks {command}"
    parser = argparse.ArgumentParser(prog=program, description=description)
    if nsides is not None:
        parser.add_argument("--nsides", type=int, nargs="+", default=list(nsides), help=nsides_help)
    if repeat is not None:
        parser.add_argument("--repeat", type=int, default=repeat, help=repeat_help)
    if dataset is not None:
        chosen = dataset or default_dataset()
        parser.add_argument("--dataset", default=chosen, help="dataset or map file")
    text = "folder for the results"
    parser.add_argument("--output", type=Path, default=output, metavar="DIR", help=text)
    return parser


def add_foscat_cache(parser: argparse.ArgumentParser) -> None:
    """Add the option for the folder of FOSCAT's operators."""
    parser.add_argument("--foscat-cache", type=Path, metavar="DIR", help="keep its operators here")


def fresh_environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with other settings, for a process to be timed.

    A cache of compiled programs would make compilation look free.
    """
    kept = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    return kept | settings


def checkout_environment(checkout: Path, **settings: str) -> dict[str, str]:
    """Return an environment whose Python, run with -P, imports jaxscat from a checkout.

    Raises ValueError for a folder without jaxscat.
    """
    if not (checkout / "jaxscat" / "__init__.py").is_file():
        raise ValueError(f"checkout: got {str(checkout)!r}, expected a folder with jaxscat in it")
    paths = [str(checkout.resolve()), os.environ.get("PYTHONPATH", "")]
    return fresh_environment(PYTHONPATH=os.pathsep.join(filter(None, paths)), **settings)


def measure_in_fresh_process(module: str, *arguments: object, **settings: str) -> dict[str, Any]:
    """Run `python -m module` in a process of its own and return the JSON of its last line.

    Keywords are settings of the environment.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, env=fresh_environment(**settings), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people to read; the folder is made, and a former file replaced at the end."""
    from jaxscat.io.archive import write_text  # here, because importing jaxscat loads JAX

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=2) + "\n")
