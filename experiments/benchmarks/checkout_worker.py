"""Measure one checkout of jaxscat in this process; `checkouts.py` starts it and asks.

Reads a request {"call": NAME, ...} from every line of the standard input, and answers with a line
of JSON. Only the public functions of jaxscat are used, which all checkouts have in common.
jaxscat and JAX are not imported before the request `import_jaxscat`, which times that.
"""

import json
import os
import sys
import time
from functools import cache
from typing import Any

START_SEED = 1234


def import_jaxscat() -> dict[str, Any]:
    """Import jaxscat; return the time it takes, and where it was found."""
    begin = time.perf_counter()
    import jaxscat

    return {"seconds": time.perf_counter() - begin, "file": jaxscat.__file__}


@cache
def build_problem(dataset: str, nside: int) -> tuple[Any, Any, Any]:
    """Return the operands of `map_loss`, float32: the start of a synthesis, pyramid and target."""
    import jax
    import numpy as np

    import jaxscat

    original = jaxscat.load_map(dataset, nside).astype(np.float32)
    pyramid = jaxscat.build_pyramid(nside)
    target = jaxscat.make_target(jax.numpy.asarray(original), pyramid)
    start = np.asarray(jaxscat.gaussian_noise(original, START_SEED), dtype=np.float32)
    return jax.numpy.asarray(start), pyramid, target


@cache
def value_and_grad_function() -> Any:
    """Return the compiled loss and gradient."""
    import jax

    import jaxscat

    return jax.jit(jax.value_and_grad(jaxscat.map_loss))


def compile_value_and_grad(dataset: str, nside: int) -> float:
    """Return the time to trace and compile loss and gradient, in a process that has not yet."""
    operands = build_problem(dataset, nside)
    begin = time.perf_counter()
    value_and_grad_function().lower(*operands).compile()
    return time.perf_counter() - begin


def value_and_grad(dataset: str, nside: int, calls: int) -> list[float]:
    """Return the times of some calls of loss and gradient; one before them does not count."""
    import jax

    operands = build_problem(dataset, nside)
    function = value_and_grad_function()
    times = []
    for _ in range(calls + 1):
        begin = time.perf_counter()
        jax.block_until_ready(function(*operands))
        times.append(time.perf_counter() - begin)
    return times[1:]


def synthesize(dataset: str, nside: int, steps: int) -> dict[str, Any]:
    """Run a synthesis with a fixed number of steps; return its times and evaluations."""
    import jaxscat

    start, pyramid, target = build_problem(dataset, nside)
    result = jaxscat.synthesize(target, pyramid, start, max_steps=steps, gradient_tolerance=0.0)
    return {
        "run_seconds": float(result.run_seconds),
        "compile_seconds": float(result.compile_seconds),
        "steps": int(result.steps),
        "evaluations": int(result.evaluations[-1]),
        "loss": float(result.loss),
        "status": str(result.status),
    }


CALLS = {
    call.__name__: call
    for call in (import_jaxscat, compile_value_and_grad, value_and_grad, synthesize)
}


def main() -> None:
    """Answer requests until the input ends."""
    # Answers have a channel of their own: what a library prints goes to the standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answer = CALLS[request.pop("call")](**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
