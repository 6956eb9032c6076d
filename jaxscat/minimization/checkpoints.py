"""Checkpoints of a batch of syntheses in a folder, written by orbax."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxscat.minimization.lanes import begin
from jaxscat.minimization.state import BatchState, Record

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager

# Of what is written; a checkpoint of another format is refused.
_FORMAT = 3
# A crash while the last one is written leaves the one before.
_KEPT = 2


class Checkpoints:
    """A folder that keeps the last two states of a synthesis, from which it goes on.

    Each is written whole or not at all. `synthesize_many` looks for the newest whole one and goes
    on from there; on the same device, with the same versions of JAX and of this package, the maps
    are those of an uninterrupted synthesis bit for bit.

    Args:
        folder: where they are; made if it does not exist. Nothing else may be in it.
        every_steps: write one after so many evaluations of the batch, at the next look from the
            host (`chunk_steps`); None means that steps do not count.
        every_minutes: write one after so many minutes; None means that time does not count.
        identity: what a synthesis must share with a checkpoint to go on from it, by names that
            messages use, beside what `synthesize_many` adds: what JSON can hold.

    Raises:
        ValueError: a number that is not positive, or none of the two; an identity that JSON cannot
            hold.

    Source: `docs/conventions.md`, "Checkpoints".
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every_steps: int | None = None,
        every_minutes: float | None = 5.0,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value in (("every_steps", every_steps), ("every_minutes", every_minutes)):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: got {value!r}, expected a positive number")
        if every_steps is None and every_minutes is None:
            raise ValueError("every_steps, every_minutes: got None for both, expected a number")
        self.folder = Path(folder).absolute()
        self._every_steps = every_steps
        self._every_seconds = None if every_minutes is None else 60 * every_minutes
        self._identity = _checked_identity(identity or {})
        self._last_evaluations, self._last_time = 0, time.monotonic()

    def of(self, identity: Mapping[str, Any]) -> Checkpoints:
        """Return the same checkpoints with more entries in their identity."""
        changed = copy.copy(self)
        changed._identity = _checked_identity({**self._identity, **identity})
        return changed

    def steps(self) -> list[int]:
        """Return the numbers of the checkpoints, in evaluations of the batch, the newest last."""
        if not self.folder.is_dir():
            return []
        with self._manager() as manager:
            return sorted(manager.all_steps())

    def latest(self) -> BatchState | None:
        """Return the newest state that is whole, with lanes in memory of the host.

        Where a newer one is damaged, a warning says so; where there is none, return None.

        Raises:
            ValueError: the checkpoint is of another synthesis, or all are damaged.
            OSError: the folder cannot be read.
        """
        if not self.folder.is_dir():
            self._make()
            return None
        with self._manager() as manager:
            steps = sorted(manager.all_steps(), reverse=True)
            damaged: list[int] = []
            for step in steps:
                try:
                    header, arrays = _read(manager, step)
                except MemoryError:
                    raise
                except Exception as error:  # orbax, JSON and zip files raise all kinds
                    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                        raise  # such as too many open files: that is no damage
                    damaged.append(step)
                    reason = _reason(error)
                    continue
                self._check(header)
                for other in damaged:
                    warnings.warn(
                        f"checkpoint {other} in {str(self.folder)!r} is damaged ({reason}); going "
                        f"on from checkpoint {step}",
                        stacklevel=2,
                    )
                    manager.delete(other)
                self._last_evaluations, self._last_time = step, time.monotonic()
                return _state(header, arrays)
        if damaged:
            raise ValueError(
                f"checkpoints in {str(self.folder)!r}: got {len(damaged)}, all of them damaged "
                f"({reason}), expected a whole one; remove the folder to begin anew"
            )
        return None

    def keep(self, state: BatchState, *, now: bool = False) -> None:
        """Write a state if one is due, or at once; unless it is the one that was written last.

        Raises:
            OSError: it cannot be written; those before are as they were.
        """
        since = state.evaluations - self._last_evaluations
        passed = time.monotonic() - self._last_time
        due = now or (self._every_steps is not None and since >= self._every_steps)
        due = due or (self._every_seconds is not None and passed >= self._every_seconds)
        # An interrupt during an evaluation takes the lanes away.
        lost = any(leaf.is_deleted() for leaf in jax.tree.leaves(state.lanes))
        if not due or since <= 0 or lost:
            return
        try:
            with self._manager() as manager:
                _write(manager, state, {"format": _FORMAT, "identity": self._identity})
        except Exception as error:  # orbax, JSON and zip files raise all kinds
            raise OSError(
                f"checkpoint {state.evaluations} could not be written to {str(self.folder)!r} "
                f"({_reason(error)}); those before are as they were"
            ) from error
        self._last_evaluations, self._last_time = state.evaluations, time.monotonic()

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.folder)) from None

    @contextmanager
    def _manager(self) -> Iterator[CheckpointManager]:
        """Open the folder; what orbax would write on the terminal is in what it raises, too."""
        import orbax.checkpoint as orbax  # takes a second, which a run without need not wait

        from jaxscat.minimization.array_files import ArrayFile

        logger = logging.getLogger("absl")
        former = logger.level
        logger.setLevel(logging.CRITICAL)
        alone = orbax.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
            barrier_sync_key_prefix=f"process_{jax.process_index()}",
        )
        options = orbax.CheckpointManagerOptions(
            max_to_keep=_KEPT,
            create=False,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=False,
            multiprocessing_options=alone,
        )
        # Without these options it would write in the first of several processes only.
        handlers = {
            "arrays": ArrayFile(),
            "header": orbax.JsonCheckpointHandler(multiprocessing_options=alone),
        }
        try:
            with orbax.CheckpointManager(
                self.folder, options=options, item_handlers=handlers
            ) as manager:
                yield manager
        finally:
            logger.setLevel(former)

    def _check(self, header: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another synthesis, and say in what it differs."""
        found = header["identity"]
        if header["format"] != _FORMAT:
            raise ValueError(
                f"checkpoint in {str(self.folder)!r}: got format {header['format']}, expected "
                f"{_FORMAT}"
            )
        wanted = self._identity
        for name in [*wanted, *sorted(found.keys() - wanted.keys())]:
            if found.get(name) != wanted.get(name):
                raise ValueError(
                    f"checkpoint in {str(self.folder)!r}: got {name} = {_short(found.get(name))}, "
                    f"expected {_short(wanted.get(name))} as in this synthesis"
                )


def _checked_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(identity)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"identity: got what JSON cannot hold ({error})") from None


def _reason(error: Exception) -> str:
    """Return the end of a long message, which says what happened."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"...{text[-160:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _write(manager: CheckpointManager, state: BatchState, header: dict[str, Any]) -> None:
    import orbax.checkpoint as orbax

    from jaxscat.minimization.array_files import SaveArrays

    records = list(state.records.values())
    arrays = {f"lane_{i:02}": np.asarray(a) for i, a in enumerate(jax.tree.leaves(state.lanes))}
    arrays["maps"] = np.stack([record.map for record in records])
    arrays["loss"] = np.asarray([record.loss for record in records], np.float64)
    arrays["losses"] = np.concatenate([np.asarray(r.losses, np.float64) for r in records])
    arrays["evaluations"] = np.concatenate([np.asarray(r.evaluations, np.int64) for r in records])
    header |= {
        "numbers": state.numbers,
        "begun": state.begun,
        "evaluations": state.evaluations,
        "compile_seconds": state.compile_seconds,
        "run_seconds": state.run_seconds,
        "memory": state.lanes.memory.weights_memory.shape[1],
        "records": list(state.records),
        "lengths": [len(record.losses) for record in records],
        "statuses": [record.status for record in records],
        "sha256": _digest(arrays),
    }
    manager.save(
        state.evaluations,
        args=orbax.args.Composite(arrays=SaveArrays(arrays), header=orbax.args.JsonSave(header)),
    )


def _read(manager: CheckpointManager, step: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import orbax.checkpoint as orbax

    from jaxscat.minimization.array_files import RestoreArrays

    found = manager.restore(
        step,
        args=orbax.args.Composite(arrays=RestoreArrays(), header=orbax.args.JsonRestore()),
    )
    header, arrays = found["header"], found["arrays"]
    if header["sha256"] != _digest(arrays):
        raise ValueError("its arrays are not those that were written")
    return header, arrays


def _state(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> BatchState:
    leaves = [arrays[name] for name in sorted(arrays) if name.startswith("lane_")]
    shape = jax.ShapeDtypeStruct(arrays["maps"].shape[1:], arrays["maps"].dtype)
    starts = jax.ShapeDtypeStruct((len(header["numbers"]), *shape.shape), shape.dtype)
    used = jax.ShapeDtypeStruct(starts.shape[:1], bool)
    abstract = jax.eval_shape(lambda s, u: begin(s, u, header["memory"]), starts, used)
    ends = np.cumsum(header["lengths"])[:-1]
    records = {
        number: Record(map, float(loss), losses.tolist(), evaluations.tolist(), status)
        for number, map, loss, losses, evaluations, status in zip(
            header["records"],
            arrays["maps"],
            arrays["loss"],
            np.split(arrays["losses"], ends),
            np.split(arrays["evaluations"], ends),
            header["statuses"],
            strict=True,
        )
    }
    return BatchState(
        lanes=jax.tree.unflatten(jax.tree.structure(abstract), leaves),
        numbers=tuple(header["numbers"]),
        begun=header["begun"],
        records=records,
        evaluations=header["evaluations"],
        compile_seconds=header["compile_seconds"],
        run_seconds=header["run_seconds"],
    )


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
