"""Options of a synthesis, by the names that all functions of the synthesis share."""

import difflib
from collections.abc import Mapping
from typing import Any, TypedDict

from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.minimize import Batching


class SynthesisOptions(TypedDict, total=False):
    """Limits and settings of the minimizer, all of them keywords with a default.

    Attributes:
        max_steps: maximum number of steps (default 300).
        max_evaluations: maximum number of values and gradients, which may end a line search too
            (default None, no limit).
        gradient_tolerance: "converged" once the norm of the gradient has fallen to this fraction of
            its first value (default 1e-6).
        stagnation: "stagnated" once 25 steps, counted from the start without overlap, have lowered
            the loss by less than this fraction of it, such as 0.01 (default None, never).
        memory: number of corrections that L-BFGS keeps, `2 * memory * npix` numbers (default 50).
        chunk_steps: number of evaluations on the device between two looks from the host
            (default 10).
    """

    max_steps: int
    max_evaluations: int | None
    gradient_tolerance: float
    stagnation: float | None
    memory: int
    chunk_steps: int


class EnsembleOptions(SynthesisOptions, total=False):
    """Options of the synthesis of many seeds at one resolution, beside those of the minimizer.

    Attributes:
        coupled: lower one loss, of the mean coefficients of all maps (default False).
        batch_size: maximum number of maps that are changed at once on each device (default None,
            chosen by the memory of the device).
        devices: devices over which the seeds are sharded (default None, all of this process).
    """

    coupled: bool
    batch_size: int | None
    devices: Any


def minimizer_options(options: Mapping[str, Any], function: str, **batching: Any) -> dict[str, Any]:
    """Return the arguments of `minimize` that options stand for.

    Args:
        options: keywords as in `SynthesisOptions`.
        function: that was called, for messages.
        batching: the other fields of `Batching`.

    Raises:
        TypeError: a keyword that is none of them.
        ValueError: a limit out of its range.
    """
    known = list(SynthesisOptions.__annotations__)
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")

    def chosen(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names if name in options}

    return {
        **chosen("max_steps", "max_evaluations"),
        "minimizer": LBFGS(**chosen("gradient_tolerance", "stagnation", "memory")),
        "batching": Batching(**batching, **chosen("chunk_steps")),
    }
