"""Where a batch of syntheses stands between two looks from the host."""

from typing import NamedTuple

import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxscat.minimization.lanes import Lanes
from jaxscat.minimization.result import INTERRUPTED, SynthesisResult

# In the place of a synthesis's number: the lane is not used.
NOBODY = -1


class Record(NamedTuple):
    """What has become of one synthesis so far, on the host."""

    map: Float[np.ndarray, "*shape"]
    loss: float
    losses: list[float]
    evaluations: list[int]
    status: str


class BatchState(NamedTuple):
    """All that a batch needs to go on.

    Attributes:
        lanes: the syntheses side by side, those of the first device first.
        numbers: for every lane the number of its synthesis, or `NOBODY`.
        begun: how many syntheses have entered; the next to enter has this number.
        records: one for every synthesis that was evaluated, by its number.
        evaluations: how many evaluations of the batch were asked for.
        compile_seconds, run_seconds: as in `SynthesisResult`.
    """

    lanes: Lanes
    numbers: tuple[int, ...]
    begun: int
    records: dict[int, Record] = {}  # noqa: RUF012  # never changed in place
    evaluations: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0

    def goes_on(self, number: int) -> bool:
        """Say whether a synthesis has something to do."""
        if number == NOBODY:
            return False
        return number not in self.records or self.records[number].status == INTERRUPTED

    def steps(self, number: int) -> int:
        """Return how many steps a synthesis has made."""
        record = self.records.get(number)
        return 0 if record is None else len(record.losses) - 1


def joined(
    state: BatchState, seeds: tuple[int, ...], dtype: DTypeLike, coupled: bool = False
) -> SynthesisResult:
    """Return one result of all that were begun, in the order of their seeds."""
    begun = sorted(state.records)
    records = [state.records[number] for number in begun]
    maps = [record.map for record in records]
    if coupled:
        maps, records = list(records[0].map), records * len(seeds)
    steps = np.asarray([len(record.losses) - 1 for record in records])
    losses = np.full((len(records), steps.max() + 1), np.nan, dtype)
    evaluations = np.zeros(losses.shape, np.int64)
    for row, record in enumerate(records):
        losses[row, : steps[row] + 1] = record.losses
        evaluations[row] = record.evaluations[-1]
        evaluations[row, : steps[row] + 1] = record.evaluations
    return SynthesisResult(
        map=np.stack(maps),
        loss=np.asarray([record.loss for record in records], dtype),
        losses=losses,
        evaluations=evaluations,
        status=tuple(record.status for record in records),
        steps=steps,
        compile_seconds=state.compile_seconds,
        run_seconds=state.run_seconds,
        seeds=tuple(seeds[number] for number in begun) if not coupled else seeds,
    )
