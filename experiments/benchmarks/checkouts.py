"""Time two checkouts of jaxscat side by side, and print the ratios.

    python -m experiments.benchmarks checkouts BEFORE [AFTER] [--nsides 32 64] [--quick]
        [--parts import compile calls synthesis] [--output DIR] [--dataset NAME_OR_FILE]

AFTER is this checkout by default. Each checkout has a process of its own; they work in turns
(before after, after before, ...) and everything is float32. The parts:

- import: the time of `import jaxscat`, in fresh processes;
- compile: compilation of loss and gradient, and of a synthesis, in fresh processes;
- calls: loss and gradient of one map, warm;
- synthesis: a synthesis with a fixed number of steps, warm; also per evaluation of the loss.

Ratios are medians over the pairs of a turn, after over before, with the error of that median.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.harness import (
    Pair,
    alternate,
    argument_parser,
    checkout_environment,
    environment,
    ratio_summary,
    summary,
    write_json,
)

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("checkout_worker.py")
# Calls of one map are short: the median of some of them stands for a turn.
CALLS_PER_TURN = 10
# Steps of a synthesis whose compilation is timed: a chunk of them.
COMPILED_STEPS = 10
Row = dict[str, Any]


class Worker:
    """A process that measures one checkout, asked through pipes; a context that ends it."""

    def __init__(self, checkout: Path):
        self._checkout = checkout.resolve()
        # -P: the folder of the worker is not searched for modules.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            env=checkout_environment(checkout, JAX_ENABLE_X64="0"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        imported = self.ask("import_jaxscat")
        self.import_seconds: float = imported["seconds"]
        if not Path(imported["file"]).resolve().is_relative_to(self._checkout):
            self._process.communicate()
            raise RuntimeError(f"{self._checkout}: got jaxscat from {imported['file']}")

    def ask(self, call: str, **arguments: Any) -> Any:
        """Return the answer to one request (see `checkout_worker.py`)."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps({"call": call, **arguments}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._checkout}: {call} failed, see the messages above")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, at which it ends


def ask_fresh(checkout: Path, call: str, **arguments: Any) -> Any:
    """Return the answer of a process that has done nothing else."""
    with Worker(checkout) as worker:
        return worker.ask(call, **arguments)


def measure_import(checkout: Path) -> float:
    """Return the time of `import jaxscat` in a fresh process."""
    with Worker(checkout) as worker:
        return worker.import_seconds


def measure_row(quantity: str, nside: int | None, pairs: Sequence[Pair]) -> Row:
    """Return what is known of one quantity from its times before and after."""
    return {
        "quantity": quantity,
        "nside": nside,
        "before": summary([before for before, _ in pairs]),
        "after": summary([after for _, after in pairs]),
        **ratio_summary(pairs),
        "pairs": [list(pair) for pair in pairs],
    }


def measure_imports(options: argparse.Namespace) -> Iterator[Row]:
    """Time `import jaxscat`; the first import of each checkout does not count."""
    before, after = (partial(measure_import, path) for path in (options.before, options.after))
    pairs = alternate(before, after, options.imports + 1)[1:]
    yield measure_row("import jaxscat", None, pairs)


def measure_compilation(options: argparse.Namespace) -> Iterator[Row]:
    """Time the compilation of loss and gradient, and of a synthesis."""
    for nside in options.nsides:
        problem = {"dataset": options.dataset, "nside": nside}

        def loss(checkout: Path, problem: dict[str, Any] = problem) -> float:
            return ask_fresh(checkout, "compile_value_and_grad", **problem)

        def synthesis(checkout: Path, problem: dict[str, Any] = problem) -> float:
            made = ask_fresh(checkout, "synthesize", **problem, steps=COMPILED_STEPS)
            return made["compile_seconds"]

        for quantity, call in (("loss and gradient", loss), ("synthesis", synthesis)):
            before, after = (partial(call, path) for path in (options.before, options.after))
            pairs = alternate(before, after, options.compilations)
            yield measure_row(f"compile {quantity}", nside, pairs)


def measure_calls(options: argparse.Namespace) -> Iterator[Row]:
    """Time loss and gradient of one map by the medians of some calls in a turn."""

    def measure(worker: Worker, nside: int) -> float:
        problem = {"dataset": options.dataset, "nside": nside}
        return statistics.median(worker.ask("value_and_grad", **problem, calls=CALLS_PER_TURN))

    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(path)) for path in (options.before, options.after)]
        for nside in options.nsides:
            ways = [partial(measure, worker, nside) for worker in workers]
            pairs = alternate(ways[0], ways[1], options.repeat + 1)[1:]  # the first compiles
            yield measure_row("loss and gradient", nside, pairs)


def measure_syntheses(options: argparse.Namespace) -> Iterator[Row]:
    """Time a synthesis with a fixed number of steps, and one evaluation in it."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(path)) for path in (options.before, options.after)]
        for nside in options.nsides:
            problem = {"dataset": options.dataset, "nside": nside, "steps": options.steps}
            ways = [partial(worker.ask, "synthesize", **problem) for worker in workers]
            runs = alternate(ways[0], ways[1], options.syntheses + 1)[1:]  # the first compiles
            made = {"runs": [list(pair) for pair in runs]}
            whole = [(a["run_seconds"], b["run_seconds"]) for a, b in runs]
            yield measure_row(_label_steps(runs), nside, whole) | made
            yield measure_row("one evaluation", nside, [_per_evaluation(pair) for pair in runs])


def _label_steps(runs: Sequence[tuple[Row, Row]]) -> str:
    """Name the number of steps that were made: less than asked for where no progress was left."""
    steps = sorted({run["steps"] for pair in runs for run in pair})
    return " to ".join(str(count) for count in dict.fromkeys((steps[0], steps[-1]))) + " steps"


def _per_evaluation(runs: tuple[Row, Row]) -> Pair:
    before, after = (run["run_seconds"] / run["evaluations"] for run in runs)
    return before, after


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "import": measure_imports,
    "compile": measure_compilation,
    "calls": measure_calls,
    "synthesis": measure_syntheses,
}


def build_table(rows: Sequence[Row], dataset: str) -> Table:
    title = f"Medians, float32, {os.cpu_count()} CPUs, map: {dataset}"
    table = Table("time", "nside", title=title)
    for heading in ("before", "after", "after / before"):
        table.add_column(heading, justify="right")
    for row in rows:
        medians = [row[side]["median_seconds"] for side in ("before", "after")]
        cells = [f"{1e3 * m:.2f} ms" if m < 0.1 else f"{m:.3f} s" for m in medians]
        nside = "" if row["nside"] is None else str(row["nside"])
        ratio = f"{row['ratio']:.3f} ± {row['ratio_error']:.3f}"
        table.add_row(row["quantity"], nside, *cells, ratio)
    return table


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argument_parser(
        "checkouts",
        "Time two checkouts of jaxscat side by side.",
        nsides=(32, 64),
        repeat=20,
        repeat_help="turns of loss and gradient",
        dataset="cosmic-web",
    )
    parser.add_argument("before", type=Path, help="a checkout of jaxscat")
    parser.add_argument("after", type=Path, nargs="?", default=ROOT, help="by default this one")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--imports", type=int, default=9, help="turns of import")
    parser.add_argument("--compilations", type=int, default=4, help="turns of compilation")
    parser.add_argument("--syntheses", type=int, default=6, help="turns of synthesis")
    parser.add_argument("--steps", type=int, default=300, help="of a synthesis")
    parser.add_argument("--quick", action="store_true", help="small maps and few turns")
    options = parser.parse_args(arguments)
    if options.quick:
        options.nsides, options.repeat, options.steps = [8], 4, 20
        options.imports, options.compilations, options.syntheses = 2, 1, 2
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console = Console(stderr=True)
    rows: list[Row] = []
    for part in options.parts:
        with console.status(part):
            for row in PARTS[part](options):
                rows.append(row)
                console.print(f"{row['quantity']}: ratio {row['ratio']:.3f}", highlight=False)
    Console().print(build_table(rows, options.dataset))
    if options.output is not None:
        checkouts = {side: str(getattr(options, side).resolve()) for side in ("before", "after")}
        head = environment(options.dataset) | {"checkouts": checkouts}
        write_json(options.output / "checkouts.json", {"environment": head, "rows": rows})
    return 0
