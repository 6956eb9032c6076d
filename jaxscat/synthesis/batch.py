"""A queue of syntheses through the lanes of one batch: who enters, who leaves, what is recorded."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.synthesis.lanes import RUNNING, Lanes, begin, replace_lanes, take_lanes
from jaxscat.synthesis.lbfgs import advance
from jaxscat.synthesis.results import INTERRUPTED, STATUS, Progress

# A smaller batch is another program: it is compiled for this part of all steps, not for less.
_WORTH_COMPILING = 0.25


class Settings(NamedTuple):
    """Limits of a synthesis (see `synthesize`) and the number of lanes of its batch."""

    max_steps: int
    memory: int
    gradient_tolerance: float
    chunk_steps: int
    batch_size: int = 1


class Record(NamedTuple):
    """What has become of one synthesis so far, on the host."""

    map: Float[np.ndarray, "*shape"]
    loss: float
    losses: list[float]
    evaluations: list[int]
    status: str


class Batch:
    """Runs a number of syntheses, a few at a time; a lane that has ended is given to the next.

    Once none waits and at most half of the lanes go on, with a quarter of the steps before them,
    they do so in a smaller batch. Which lanes share a batch changes a map by rounding only.

    Attributes:
        records: one for every synthesis begun, by its number.
        compile_seconds, run_seconds: as in `SynthesisResult`.
    """

    def __init__(
        self,
        target: Target,
        pyramid: Pyramid,
        unit: np.floating,
        starts: Callable[[int], Float[np.ndarray, "*shape"]],
        count: int,
        settings: Settings,
    ) -> None:
        self._objective = (pyramid, target, unit)
        self._starts, self._count, self._settings = starts, count, settings
        # One length serves all chunks: one compilation.
        self._chunk = min(settings.chunk_steps, settings.max_steps)
        self.records: dict[int, Record] = {}
        self.compile_seconds = self.run_seconds = 0.0

    def run(self, callback: Callable[[Progress], None] | None = None) -> None:
        """Run all to their end; after the first evaluation, a KeyboardInterrupt ends them there."""
        began = time.perf_counter()
        numbers = list(range(min(self._settings.batch_size, self._count)))
        waiting = iter(range(len(numbers), self._count))
        lanes = begin(self._stacked(dict(enumerate(numbers)), len(numbers)), self._settings.memory)
        lanes = self._advanced(lanes, numbers, 1)
        self.compile_seconds = time.perf_counter() - began
        began = time.perf_counter()
        try:
            while True:
                lanes, numbers = self._refilled(lanes, numbers, waiting)
                if not any(self._goes_on(number) for number in numbers):
                    break
                lanes = self._advanced(lanes, numbers, self._chunk)
                self.run_seconds = time.perf_counter() - began
                if callback is not None:
                    callback(self._progress())
        except KeyboardInterrupt:
            pass
        self.run_seconds = time.perf_counter() - began

    def _goes_on(self, number: int) -> bool:
        return number not in self.records or self.records[number].status == INTERRUPTED

    def _stacked(self, entering: dict[int, int], lanes: int) -> Float[np.ndarray, "B *shape"]:
        """Return the starts of the syntheses that enter, by their lanes; others are anything."""
        starts = {lane: self._starts(number) for lane, number in entering.items()}
        anything = next(iter(starts.values()))
        return np.stack([starts.get(lane, anything) for lane in range(lanes)])

    def _refilled(
        self, lanes: Lanes, numbers: list[int], waiting: Iterator[int]
    ) -> tuple[Lanes, list[int]]:
        """Give the lanes that have ended to those that wait, or go on without them."""
        ended = [lane for lane, number in enumerate(numbers) if not self._goes_on(number)]
        entering = dict(zip(ended, waiting, strict=False))
        if entering:
            chosen = np.isin(np.arange(len(numbers)), list(entering))
            starts = self._stacked(entering, len(numbers))
            numbers = [entering.get(lane, number) for lane, number in enumerate(numbers)]
            return replace_lanes(lanes, chosen, starts), numbers
        left = [lane for lane in range(len(numbers)) if lane not in ended]
        if not left or 2 * len(left) > len(numbers):
            return lanes, numbers
        to_do = self._settings.max_steps - min(self._steps(numbers[lane]) for lane in left)
        if to_do < _WORTH_COMPILING * self._settings.max_steps:
            return lanes, numbers
        return take_lanes(lanes, np.asarray(left)), [numbers[lane] for lane in left]

    def _steps(self, number: int) -> int:
        return len(self.records[number].losses) - 1

    def _advanced(self, lanes: Lanes, numbers: list[int], count: int) -> Lanes:
        """Evaluate the batch and record what has become of every lane."""
        pyramid, target, unit = self._objective
        settings = self._settings
        # NumPy's numbers: arithmetic with JAX's would be compiled, one small program after another.
        limit, tolerance = (
            np.int32(settings.max_steps),
            unit.dtype.type(settings.gradient_tolerance),
        )
        lanes, *rows = advance(
            lanes, pyramid, target, unit, np.int32(count), limit, tolerance, self._chunk
        )
        losses, evaluations = (np.asarray(array) for array in rows)
        # Copies: the next chunk reuses the buffers.
        maps, best = np.array(lanes.best_map) * unit, np.asarray(lanes.best_loss)
        codes = np.asarray(lanes.status)
        for lane, number in enumerate(numbers):
            if not self._goes_on(number):
                continue
            former = self.records.get(number)
            made = evaluations[:, lane] > 0
            self.records[number] = Record(
                map=maps[lane],
                loss=float(best[lane]),
                losses=(former.losses if former else []) + losses[made, lane].tolist(),
                evaluations=(former.evaluations if former else [])
                + evaluations[made, lane].tolist(),
                status=INTERRUPTED if codes[lane] == RUNNING else STATUS[int(codes[lane])],
            )
        return lanes

    def _progress(self) -> Progress:
        losses = [record.loss for record in self.records.values()]
        return Progress(
            step=sum(self._steps(number) for number in self.records),
            max_steps=self._count * self._settings.max_steps,
            loss=float(np.median(losses)),
            evaluations=sum(record.evaluations[-1] for record in self.records.values()),
            seconds=self.run_seconds,
            best=min(losses),
            worst=max(losses),
            finished=sum(not self._goes_on(number) for number in self.records),
            maps=self._count,
        )
