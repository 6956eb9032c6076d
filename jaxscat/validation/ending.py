"""How a synthesis has ended, and whether more steps would gain anything, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.validation.line import Line

# A chi-square per coefficient below is that of coefficients well within their errors.
_MATCHED = 0.1
# Number of the last steps whose gain is told, and a gain that is worth more steps.
_LAST, _GAIN = 20, 0.1
_ENDED = {
    "step limit": "stopped at max_steps, as most runs are",
    "evaluation limit": "stopped at max_evaluations",
    "stagnated": "stopped because steps gained too little (stagnation)",
    "converged": "stopped at a minimum",
    "no progress": "stopped because no step lowers the loss in this precision",
    "interrupted": "interrupted",
}
# What makes more steps of a run that a limit has ended.
_LIMITS = {
    "step limit": "raise synthesis.max_steps",
    "evaluation limit": "raise synthesis.max_evaluations",
    "interrupted": "go on by --resume",
}


class Ending(NamedTuple):
    """How the synthesis of a map has ended.

    Attributes:
        status: see `Result`.
        losses: loss before every step and after the last.
    """

    status: str
    losses: Float[np.ndarray, " steps_and_one"] | Sequence[float]


def synthesis_line(endings: Sequence[Ending]) -> Line:
    """Say how the synthesis of maps has ended, that of the highest loss if there are several.

    The loss is the mean of |difference / standard error|^2 over coefficients: maps with a loss
    below .1 match them within a third of what the original itself tells of them.
    """
    failed = [ending for ending in endings if ending.status.startswith("not finite")]
    if failed:
        text = f"failed ({failed[0].status}): {_count(failed, endings)}the map is of no use."
        return Line("Synthesis", "bad", text)
    last = max(endings, key=lambda ending: float(ending.losses[-1]))
    losses = np.asarray(last.losses, np.float64)
    steps, loss = losses.size - 1, losses[-1]
    ended = _ENDED.get(last.status, last.status)
    back = min(_LAST, steps)
    gain = 1.0 - loss / losses[-1 - back] if back and losses[-1 - back] > 0 else 0.0
    fell = f"the loss fell by {100 * gain:.0f} % in the last {back} steps" if back else "no step"
    at = f"loss {loss:.2g}"
    matched = f"coefficients match well within their errors ({at})"
    if loss <= _MATCHED and last.status == "interrupted":
        text = f"interrupted after {steps} steps, {matched}; {_LIMITS[last.status]}."
        return Line("Synthesis", "uncertain", text)
    if loss <= _MATCHED:
        falling = f"; {fell}, below what can be told here"
        falls = falling if last.status in _LIMITS and gain > _GAIN else ""
        return Line("Synthesis", "good", f"finished: {matched}; {ended}{falls}.")
    if last.status in _LIMITS and (gain > _GAIN or steps < _LAST):
        text = (
            f"not converged after {steps} step{'' if steps == 1 else 's'} ({at}, {fell}): "
            f"{_LIMITS[last.status]}; the lines above are of an unfinished map."
        )
        return Line("Synthesis", "bad", text)
    slow = f"{fell}: more steps would gain little" if last.status in _LIMITS else ended
    text = f"coefficients are off by {np.sqrt(loss):.2g} of their errors (rms; {at}); {slow}."
    return Line("Synthesis", "uncertain", text)


def _count(some: Sequence[Ending], all: Sequence[Ending]) -> str:
    return "" if len(all) == 1 else f"{len(some)} of {len(all)} seeds; "
