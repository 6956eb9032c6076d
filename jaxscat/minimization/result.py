"""What a synthesis reports: on the way, and in the end."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxscat.minimization.lanes import (
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


class SynthesisResult(NamedTuple):
    """A synthesized map, or several with a leading axis, and how they came about.

    Attributes:
        map: the map with the lowest loss that was met; always finite.
        loss: its loss.
        losses: loss before every step and after the last; `losses[0]` is the start's. Of several
            maps, NaN after the last of each.
        evaluations: values and gradients computed up to each of these losses; after the last of
            each map, its last number again. Those of a line search that was cut off do not count.
        status: the first that applies of "not finite" (loss or gradient of the start, or of all
            that a last line search tried), "converged" (the gradient has vanished), "no progress"
            (line searches lowered the loss no more), "stagnated" (25 steps lowered it too little),
            "step limit", "evaluation limit" and "interrupted"; of several maps a tuple.
        steps: steps made.
        compile_seconds: time to trace and compile and to make the first evaluations; little when
            compiled before.
        run_seconds: time of the rest.
        seeds: of several maps, the seed of each: all that were asked for, unless interrupted.
    """

    map: Float[np.ndarray, "*seeds p"]
    loss: float | Float[np.ndarray, " seeds"]
    losses: Float[np.ndarray, "*seeds steps_and_one"]
    evaluations: Int[np.ndarray, "*seeds steps_and_one"]
    status: str | tuple[str, ...]
    steps: int | Int[np.ndarray, " seeds"]
    compile_seconds: float
    run_seconds: float
    seeds: tuple[int, ...] | None = None

    def of_seed(self, seed: int) -> "SynthesisResult":
        """Return what belongs to one of several maps; it is given its share of the time.

        Raises:
            ValueError: no map was made for the seed.
        """
        if self.seeds is None or seed not in self.seeds:
            raise ValueError(f"seed: got {seed!r}, expected one of {self.seeds}")
        index = self.seeds.index(seed)
        steps, loss = np.asarray(self.steps)[index], np.asarray(self.loss)[index]
        return SynthesisResult(
            map=self.map[index],
            loss=float(loss),
            losses=self.losses[index, : steps + 1],
            evaluations=self.evaluations[index, : steps + 1],
            status=self.status[index],
            steps=int(steps),
            compile_seconds=self.compile_seconds / len(self.seeds),
            run_seconds=self.run_seconds / len(self.seeds),
        )
