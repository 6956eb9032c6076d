"""Where a batch of minimizations stands between two looks from the host."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxscat.minimization.lane import Lane
from jaxscat.minimization.result import INTERRUPTED, Result

# In place of the number of a minimization: the lane is not used.
UNUSED = -1


class Record(NamedTuple):
    """One minimization so far, on the host.

    Attributes:
        parameters: those with the lowest loss.
        loss: their loss.
        losses, evaluations, terms: after every step, as in `Result`.
        status: as in `Result`.
    """

    parameters: Float[np.ndarray, " n"]
    loss: float
    losses: list[float]
    evaluations: list[int]
    terms: dict[str, list[float]]
    status: str


class BatchState(NamedTuple):
    """All that a batch needs to go on.

    Attributes:
        lanes: minimizations side by side, those of the first device first.
        numbers: number of the minimization in every lane, or `UNUSED`.
        begun: number of minimizations that have entered; the next to enter has this number.
        records: one for every minimization that was evaluated, by its number.
        evaluations: number of evaluations of the batch.
        compile_seconds, run_seconds: as in `Result`.
    """

    lanes: Lane
    numbers: tuple[int, ...]
    begun: int
    records: dict[int, Record] = {}  # noqa: RUF012  # never changed in place
    evaluations: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0

    def is_running(self, number: int) -> bool:
        """Say whether a minimization has not ended."""
        if number == UNUSED:
            return False
        return number not in self.records or self.records[number].status == INTERRUPTED

    def steps(self, number: int) -> int:
        """Return the number of steps of a minimization."""
        record = self.records.get(number)
        return 0 if record is None else len(record.losses) - 1


def join_records(
    state: BatchState,
    seeds: tuple[int, ...],
    dtype: DTypeLike,
    maps_of: Callable[[Float[np.ndarray, " n"]], Any],
    interrupted: bool,
) -> Result:
    """Return one result of all minimizations that were begun, in the order of their seeds.

    Args:
        state: at the end.
        seeds: of all minimizations.
        dtype: type of the losses.
        maps_of: makes the maps of parameters.
        interrupted: whether an interrupt has ended them.
    """
    begun = sorted(state.records)
    records = [state.records[number] for number in begun]
    steps = np.asarray([len(record.losses) - 1 for record in records])
    shape = (len(records), steps.max() + 1)
    losses, evaluations = np.full(shape, np.nan, dtype), np.zeros(shape, np.int64)
    terms = {name: np.full(shape, np.nan, dtype) for name in records[0].terms}
    for row, record in enumerate(records):
        losses[row, : steps[row] + 1] = record.losses
        evaluations[row] = record.evaluations[-1]
        evaluations[row, : steps[row] + 1] = record.evaluations
        for name, values in record.terms.items():
            terms[name][row, : steps[row] + 1] = values
    maps = [maps_of(record.parameters) for record in records]
    return Result(
        map=jax.tree.map(lambda *leaves: np.stack(leaves), *maps),
        loss=np.asarray([record.loss for record in records], dtype),
        losses=losses,
        evaluations=evaluations,
        status=tuple(record.status for record in records),
        steps=steps,
        compile_seconds=state.compile_seconds,
        run_seconds=state.run_seconds,
        seeds=tuple(seeds[number] for number in begun),
        terms=terms,
        interrupted=interrupted,
    )
