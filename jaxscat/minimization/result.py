"""The result of a minimization."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxscat.minimization.lane import (
    CONVERGED,
    EVALUATION_LIMIT,
    NO_PROGRESS,
    NOT_FINITE,
    STAGNATED,
    STEP_LIMIT,
)

INTERRUPTED = "interrupted"
STATUS = {
    CONVERGED: "converged",
    NO_PROGRESS: "no progress",
    NOT_FINITE: "not finite",
    STEP_LIMIT: "step limit",
    STAGNATED: "stagnated",
    EVALUATION_LIMIT: "evaluation limit",
}
_NONE: Mapping[str, Any] = MappingProxyType({})


class Result(NamedTuple):
    """The maps that a minimization has found, or those of several seeds, and how it went.

    Attributes:
        map: the map with the lowest loss, or the pytree of maps; always finite. Of several seeds
            with a leading axis.
        loss: its loss.
        losses: loss before every step and after the last; `losses[0]` is that of the start. Of
            several seeds, NaN after the last of each.
        evaluations: number of values and gradients computed up to each of these losses; after the
            last of each seed, its last number again. Those of a line search that was cut off do
            not count.
        status: the first that applies of "not finite" (loss or gradient of the start, or of all
            that a last line search tried; of several terms, those that are not finite at the
            start are named after a colon), "converged" (the gradient has vanished), "no progress"
            (line searches lowered the loss no more), "stagnated" (25 steps lowered it too little),
            "step limit", "evaluation limit" and "interrupted"; of several seeds a tuple.
        steps: number of steps.
        compile_seconds: time to trace and compile and to make the first evaluations; little when
            compiled before.
        run_seconds: time of the rest.
        seeds: of several maps, the seed of each: all that were asked for, unless interrupted.
        terms: value of every term of the loss, without its weight, in arrays like `losses`.
        interrupted: whether an interrupt has ended the minimization.
    """

    map: Any
    loss: float | Float[np.ndarray, " seeds"]
    losses: Float[np.ndarray, "*seeds steps_and_one"]
    evaluations: Int[np.ndarray, "*seeds steps_and_one"]
    status: str | tuple[str, ...]
    steps: int | Int[np.ndarray, " seeds"]
    compile_seconds: float
    run_seconds: float
    seeds: tuple[int, ...] | None = None
    terms: Mapping[str, Float[np.ndarray, "*seeds steps_and_one"]] = _NONE
    interrupted: bool = False

    @property
    def maps(self) -> Any:
        """The same as `map`, under the name that suits a pytree of several."""
        return self.map

    def of_seed(self, seed: int) -> "Result":
        """Select one of several seeds; times are divided evenly among the seeds.

        Raises:
            ValueError: no map was made for the seed.
        """
        if self.seeds is None or seed not in self.seeds:
            raise ValueError(f"seed: got {seed!r}, expected one of {self.seeds}")
        index = self.seeds.index(seed)
        steps, loss = np.asarray(self.steps)[index], np.asarray(self.loss)[index]
        return Result(
            map=jax.tree.map(lambda leaf: leaf[index], self.map),
            loss=float(loss),
            losses=self.losses[index, : steps + 1],
            evaluations=self.evaluations[index, : steps + 1],
            status=self.status[index],
            steps=int(steps),
            compile_seconds=self.compile_seconds / len(self.seeds),
            run_seconds=self.run_seconds / len(self.seeds),
            terms={name: values[index, : steps + 1] for name, values in self.terms.items()},
            interrupted=self.interrupted,
        )


# The name of releases before terms and parametrizations.
SynthesisResult = Result
