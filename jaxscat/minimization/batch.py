"""A queue of minimizations through the lanes of one batch."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxscat.minimization.batch_size import choose_batch, default_lanes
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lane import RUNNING, Lane
from jaxscat.minimization.lanes import Records
from jaxscat.minimization.problem import Problem
from jaxscat.minimization.result import INTERRUPTED, STATUS
from jaxscat.minimization.state import UNUSED, BatchState, Record
from jaxscat.progress import Progress

# Fraction of all steps that must lie before a smaller batch, which is compiled anew.
_WORTH_COMPILING = 0.25


class Batch:
    """Runs a number of minimizations, a few at a time; a lane that has ended is given to the next.

    Once none waits and at most half of the lanes of every device go on, with a quarter of the steps
    before them, they do so in a smaller batch. Which lanes share a batch changes a map by rounding
    only.

    Args:
        problem: the loss, the unknowns, the minimizer and its limits.
        starts: function from the number of a minimization to its first parameters.
        count: number of minimizations.
        devices: their lanes are sharded over these.
        batch_size: number of lanes on each device; None chooses by its memory.
        chunk_steps: number of evaluations between two looks from the host.
        own: arrays of the loss that every minimization has for itself, with a leading axis of
            minimizations, or None.

    Attributes:
        state: where the batch stands; its records are of every minimization begun.
        interrupted: whether an interrupt has ended the run.
    """

    state: BatchState

    def __init__(
        self,
        problem: Problem,
        starts: Callable[[int], Float[np.ndarray, " n"]],
        count: int,
        devices: Devices,
        batch_size: int | None = None,
        chunk_steps: int = 10,
        own: Any = None,
    ) -> None:
        # Tables of NumPy would be sent to the device at every call.
        problem = jax.tree.map(lambda leaf: jnp.asarray(leaf) if np.ndim(leaf) else leaf, problem)
        self._devices, self._problem = devices, devices.replicate(problem)
        self._starts, self._count = starts, count
        self._batch_size = None if batch_size is None else int(batch_size)
        limits = problem.limits
        self._max_steps = int(limits.max_steps)
        # Every step takes an evaluation, as the start does.
        budget = limits.max_evaluations
        most = self._max_steps if budget is None else max(1, int(budget) - 1)
        self._possible_steps = min(self._max_steps, most)
        # One length serves all chunks: one compilation.
        self._chunk = min(int(chunk_steps), self._max_steps)
        self._own = own
        self.interrupted = False

    def run(
        self,
        callback: Callable[[Progress], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Run all to their end, or go on from a checkpoint.

        After the first evaluation, a KeyboardInterrupt ends all that have begun where they are.
        """
        began = time.perf_counter()
        minimizer = self._problem.minimizer
        found = None if checkpoints is None else checkpoints.latest(minimizer)
        if found is None:
            self._begin()
            self._advance(1)
        else:
            self.state = found._replace(lanes=self._devices.shard(found.lanes))
            self._hand_out()
            self._advance(0)
        spent = time.perf_counter() - began
        self.state = self.state._replace(compile_seconds=self.state.compile_seconds + spent)
        former, began = self.state.run_seconds, time.perf_counter()
        try:
            while True:
                self._refill()
                if not any(self.state.is_running(number) for number in self.state.numbers):
                    break
                self._advance(self._chunk)
                seconds = former + time.perf_counter() - began
                self.state = self.state._replace(run_seconds=seconds)
                if checkpoints is not None:
                    checkpoints.keep(self.state)
                if callback is not None:
                    callback(self._progress())
        except KeyboardInterrupt:
            self.interrupted = True
            if checkpoints is not None:
                checkpoints.keep(self.state, now=True)

    def _begin(self) -> None:
        devices, asked = self._devices, self._batch_size
        parameters = self._problem.parametrization.size
        most = asked or default_lanes(devices.platform, parameters)
        size = min(-(-self._count // devices.count), most)
        # Before anything is compiled: a bad start is refused at once.
        starts = [self._starts(number) for number in range(min(size * devices.count, self._count))]
        shape, dtype = starts[0].shape, starts[0].dtype
        size = choose_batch(
            size,
            devices.free_bytes(),
            lambda size: devices.step_bytes(
                jax.ShapeDtypeStruct((size * devices.count, *shape), dtype),
                replace(self._problem, own=self._own_shapes(size * devices.count)),
                self._chunk,
            ),
            asked=asked,
        )
        begun = min(size * devices.count, self._count)
        # Each device has as many of the first as any other, or one less.
        places = np.arange(size * devices.count).reshape(devices.count, size)
        numbers = places // size + devices.count * (places % size)
        numbers = np.where(numbers < begun, numbers, UNUSED).reshape(-1)
        used = numbers != UNUSED
        # Unused lanes hold arbitrary values.
        together = np.stack([starts[number] for number in np.where(used, numbers, 0)])
        lanes = devices.begin(together, used, self._problem.minimizer)
        self.state = BatchState(lanes, tuple(numbers.tolist()), begun)
        self._hand_out()

    def _own_shapes(self, lanes: int) -> Any:
        """Return shapes and types of what a number of lanes have for themselves."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), self._own
        )

    def _hand_out(self) -> None:
        """Give every lane what its minimization has for itself; unused ones get anything."""
        if self._own is not None:
            numbers = np.maximum(self.state.numbers, 0)
            taken = jax.tree.map(lambda leaf: np.asarray(leaf)[numbers], self._own)
            self._problem = replace(self._problem, own=self._devices.shard(taken))

    def _refill(self) -> None:
        """Give the lanes that have ended to those that wait, or go on without them."""
        lanes, numbers, begun = self.state.lanes, list(self.state.numbers), self.state.begun
        ended = [lane for lane, number in enumerate(numbers) if not self.state.is_running(number)]
        waiting = range(begun, min(self._count, begun + len(ended)))
        if not waiting:
            self._shrink(set(ended))
            return
        entering = dict(zip(ended, waiting, strict=False))
        chosen = np.isin(np.arange(len(numbers)), list(entering))
        drawn = {lane: self._starts(number) for lane, number in entering.items()}
        # The other lanes get arbitrary values, which are not used.
        starts = np.stack([drawn.get(lane, drawn[ended[0]]) for lane in range(len(numbers))])
        lanes = self._devices.replace_lanes(lanes, chosen, starts, self._problem.minimizer)
        for lane, number in entering.items():
            numbers[lane] = number
        self.state = self.state._replace(
            lanes=lanes, numbers=tuple(numbers), begun=begun + len(entering)
        )
        self._hand_out()

    def _shrink(self, ended: set[int]) -> None:
        """Go on in a smaller batch, if that is worth its compilation."""
        numbers = self.state.numbers
        width = len(numbers) // self._devices.count
        rows = [range(first, first + width) for first in range(0, len(numbers), width)]
        left = [[lane for lane in row if lane not in ended] for row in rows]
        wanted = max(map(len, left))
        if wanted == 0 or 2 * wanted > width:
            return
        going = [numbers[lane] for row in left for lane in row]
        most = self._possible_steps
        to_do = most - min(self.state.steps(number) for number in going)
        if to_do < _WORTH_COMPILING * most:
            return
        # Every device has as many lanes: some of those that have ended fill the rest.
        chosen = [
            (there + [lane for lane in row if lane in ended])[:wanted]
            for there, row in zip(left, rows, strict=True)
        ]
        indices = np.asarray(chosen) % width
        self.state = self.state._replace(
            lanes=self._devices.take_lanes(self.state.lanes, indices),
            numbers=tuple(numbers[lane] for row in chosen for lane in row),
        )
        self._hand_out()

    def _advance(self, count: int) -> None:
        """Evaluate the batch and record what has become of every lane."""
        # NumPy's number: arithmetic with JAX's would be compiled, one small program after another.
        lanes, rows = self._devices.advance(
            self.state.lanes, self._problem, np.int32(count), self._chunk
        )
        # The former lanes are gone: what comes after an interrupt needs the new ones.
        try:
            self.state = self._after(lanes, rows, count)
        except KeyboardInterrupt:
            self.state = self._after(lanes, rows, count)
            raise

    def _after(self, lanes: Lane, rows: Records, count: int) -> BatchState:
        return self.state._replace(
            lanes=lanes,
            records=self.state.records | self._recorded(lanes, jax.tree.map(np.asarray, rows)),
            evaluations=self.state.evaluations + count,
        )

    def _recorded(self, lanes: Lane, rows: Records) -> dict[int, Record]:
        """Return new records of the minimizations that were running."""
        # Copies: the next chunk reuses the buffers.
        parameters, best = np.array(lanes.best), np.asarray(lanes.best_loss)
        codes = np.asarray(lanes.status)
        records = {}
        for lane, number in enumerate(self.state.numbers):
            if not self.state.is_running(number):
                continue
            former = self.state.records.get(number)
            made = rows.evaluations[:, lane] > 0
            records[number] = Record(
                parameters=parameters[lane],
                loss=float(best[lane]),
                losses=(former.losses if former else []) + rows.losses[made, lane].tolist(),
                evaluations=(former.evaluations if former else [])
                + rows.evaluations[made, lane].tolist(),
                terms={
                    name: (former.terms[name] if former else []) + values[made, lane].tolist()
                    for name, values in rows.terms.items()
                },
                status=INTERRUPTED if codes[lane] == RUNNING else STATUS[int(codes[lane])],
            )
        return records

    def _progress(self) -> Progress:
        records = self.state.records
        losses = [record.loss for record in records.values() if np.isfinite(record.loss)] or [
            np.nan
        ]
        return Progress(
            step=sum(self.state.steps(number) for number in records),
            max_steps=self._count * self._max_steps,
            loss=float(np.median(losses)),
            evaluations=sum(record.evaluations[-1] for record in records.values()),
            seconds=self.state.run_seconds,
            best=min(losses),
            worst=max(losses),
            finished=sum(not self.state.is_running(number) for number in records),
            maps=self._count,
        )
