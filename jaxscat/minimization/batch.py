"""A queue of syntheses through the lanes of one batch: who enters, who leaves, what is recorded."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.minimization.batch_size import choose_batch, most_lanes
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lanes import RUNNING, Lanes
from jaxscat.minimization.result import INTERRUPTED, STATUS
from jaxscat.minimization.settings import Settings
from jaxscat.minimization.state import NOBODY, BatchState, Record
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.form import Form
from jaxscat.progress import Progress

# A smaller batch is another program: it is compiled for this part of all steps, not for less.
_WORTH_COMPILING = 0.25


class Batch:
    """Runs a number of syntheses, a few at a time; a lane that has ended is given to the next.

    Once none waits and at most half of the lanes of every device go on, with a quarter of the steps
    before them, they do so in a smaller batch. Which lanes share a batch changes a map by rounding
    only.

    Attributes:
        state: where the batch stands; its records are of every synthesis begun.
    """

    state: BatchState

    def __init__(
        self,
        target: Target,
        pyramid: Pyramid,
        unit: np.floating,
        starts: Callable[[int], Float[np.ndarray, "*shape"]],
        count: int,
        settings: Settings,
        devices: Devices,
        form: Form | None = None,
    ) -> None:
        self._devices = devices
        # A form may hold NumPy's arrays, which would be sent to the device at every call.
        form = jax.tree.map(jnp.asarray, form)
        self._pyramid, self._target, self._form = devices.copied((pyramid, target, form))
        self._unit = unit
        self._starts, self._count, self._settings = starts, count, settings
        self._options = self._asked_for()
        # One length serves all chunks: one compilation.
        self._chunk = min(settings.chunk_steps, settings.max_steps)

    def _asked_for(self) -> dict[str, Any]:
        """Return the options of `advance`; what nobody asked for is not even compiled."""
        stagnation, budget = self._settings.stagnation, self._settings.max_evaluations
        options: dict[str, Any] = {} if self._form is None else {"form": self._form}
        if stagnation is not None:
            options["stagnation"] = self._unit.dtype.type(stagnation)
        if budget is not None:
            options["max_evaluations"] = np.int32(min(budget, np.iinfo(np.int32).max))
        return options

    def run(
        self,
        callback: Callable[[Progress], None] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Run all to their end, or go on from a checkpoint.

        After the first evaluation, a KeyboardInterrupt ends all that have begun where they are.
        """
        began = time.perf_counter()
        found = None if checkpoints is None else checkpoints.latest()
        if found is None:
            self._begin()
            self._advance(1)
        else:
            self.state = found._replace(lanes=self._devices.shared_out(found.lanes))
            self._advance(0)
        spent = time.perf_counter() - began
        self.state = self.state._replace(compile_seconds=self.state.compile_seconds + spent)
        former, began = self.state.run_seconds, time.perf_counter()
        try:
            while True:
                self._refill()
                if not any(self.state.goes_on(number) for number in self.state.numbers):
                    break
                self._advance(self._chunk)
                seconds = former + time.perf_counter() - began
                self.state = self.state._replace(run_seconds=seconds)
                if checkpoints is not None:
                    checkpoints.keep(self.state)
                if callback is not None:
                    callback(self._progress())
        except KeyboardInterrupt:
            if checkpoints is not None:
                checkpoints.keep(self.state, now=True)

    def _begin(self) -> None:
        devices, asked = self._devices, self._settings.batch_size
        most = asked or most_lanes(devices.platform, self._pyramid.spec.npix)
        size = min(-(-self._count // devices.count), most)
        # Before anything is compiled: a bad start is refused at once.
        starts = [self._starts(number) for number in range(min(size * devices.count, self._count))]
        shape, dtype = starts[0].shape, starts[0].dtype
        size = choose_batch(
            size,
            devices.free_bytes(),
            lambda size: devices.step_bytes(
                jax.ShapeDtypeStruct((size * devices.count, *shape), dtype),
                self._settings.memory,
                self._pyramid,
                self._target,
                self._chunk,
                self._options,
            ),
            asked=asked,
        )
        begun = min(size * devices.count, self._count)
        # Each device has as many of the first as any other, or one less.
        places = np.arange(size * devices.count).reshape(devices.count, size)
        numbers = places // size + devices.count * (places % size)
        numbers = np.where(numbers < begun, numbers, NOBODY).reshape(-1)
        used = numbers != NOBODY
        # What stands in a lane that is not used is of no account.
        together = np.stack([starts[number] for number in np.where(used, numbers, 0)])
        lanes = devices.begin(together, used, self._settings.memory)
        self.state = BatchState(lanes, tuple(numbers.tolist()), begun)

    def _refill(self) -> None:
        """Give the lanes that have ended to those that wait, or go on without them."""
        lanes, numbers, begun = self.state.lanes, list(self.state.numbers), self.state.begun
        ended = [lane for lane, number in enumerate(numbers) if not self.state.goes_on(number)]
        waiting = range(begun, min(self._count, begun + len(ended)))
        if not waiting:
            self._shrink(set(ended))
            return
        entering = dict(zip(ended, waiting, strict=False))
        chosen = np.isin(np.arange(len(numbers)), list(entering))
        drawn = {lane: self._starts(number) for lane, number in entering.items()}
        # What stands in the other lanes is of no account.
        starts = np.stack([drawn.get(lane, drawn[ended[0]]) for lane in range(len(numbers))])
        lanes = self._devices.replace_lanes(lanes, chosen, starts)
        for lane, number in entering.items():
            numbers[lane] = number
        self.state = self.state._replace(
            lanes=lanes, numbers=tuple(numbers), begun=begun + len(entering)
        )

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
        most = self._settings.most_steps
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

    def _advance(self, count: int) -> None:
        """Evaluate the batch and record what has become of every lane."""
        settings, unit = self._settings, self._unit
        # NumPy's numbers: arithmetic with JAX's would be compiled, one small program after another.
        limit, tolerance = (
            np.int32(settings.max_steps),
            unit.dtype.type(settings.gradient_tolerance),
        )
        lanes, *rows = self._devices.advance(
            self.state.lanes,
            self._pyramid,
            self._target,
            unit,
            np.int32(count),
            limit,
            tolerance,
            self._chunk,
            self._options,
        )
        # The former lanes are gone: what comes after an interrupt needs the new ones.
        try:
            self.state = self._after(lanes, rows, count)
        except KeyboardInterrupt:
            self.state = self._after(lanes, rows, count)
            raise

    def _after(self, lanes: Lanes, rows: Sequence[Array], count: int) -> BatchState:
        return self.state._replace(
            lanes=lanes,
            records=self.state.records | self._recorded(lanes, *map(np.asarray, rows)),
            evaluations=self.state.evaluations + count,
        )

    def _recorded(
        self, lanes: Lanes, losses: np.ndarray, evaluations: np.ndarray
    ) -> dict[int, Record]:
        """Return new records of the syntheses that were going on."""
        # Copies: the next chunk reuses the buffers.
        found = lanes.best_map
        if self._form is not None:
            found = self._devices.maps_of_lanes(found, self._form)
        maps, best = np.array(found) * self._unit, np.asarray(lanes.best_loss)
        codes = np.asarray(lanes.status)
        records = {}
        for lane, number in enumerate(self.state.numbers):
            if not self.state.goes_on(number):
                continue
            former = self.state.records.get(number)
            made = evaluations[:, lane] > 0
            records[number] = Record(
                map=maps[lane],
                loss=float(best[lane]),
                losses=(former.losses if former else []) + losses[made, lane].tolist(),
                evaluations=(former.evaluations if former else [])
                + evaluations[made, lane].tolist(),
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
            max_steps=self._count * self._settings.max_steps,
            loss=float(np.median(losses)),
            evaluations=sum(record.evaluations[-1] for record in records.values()),
            seconds=self.state.run_seconds,
            best=min(losses),
            worst=max(losses),
            finished=sum(not self.state.goes_on(number) for number in records),
            maps=self._count,
        )
