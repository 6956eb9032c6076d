"""Checkpoints of a batch of minimizations: the last two states, in files of a folder."""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxscat.io.archive import read_archive, write_archive
from jaxscat.maps import check_kind, check_path
from jaxscat.minimization.lane import Lane, Minimizer
from jaxscat.minimization.lanes import begin
from jaxscat.minimization.state import BatchState, Record
from jaxscat.reasons import reason_of

_CONTENT, _FORMAT = "checkpoint", 4
# A crash while the last one is written leaves the one before.
_KEPT = 2


class Checkpoints:
    """Saves the state of a minimization from time to time, and restores it.

    The last two states are kept, each whole or not at all. `synthesize_many` and `minimize` look
    for the newest whole one and go on from there; on the same device, with the same versions of JAX
    and of this package, the maps are those of an uninterrupted run bit for bit.

    Args:
        folder: folder of the files; made if it does not exist. Nothing else may be in it.
        every_steps: number of evaluations of the batch between two checkpoints, written when the
            host next looks (`chunk_steps`); None if steps do not count.
        every_minutes: number of minutes between two checkpoints; None if time does not count.
        identity: entries that a minimization must share with a checkpoint to go on from it, by
            names that messages use, beside those that `synthesize_many` adds; JSON can hold them.

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
        check_path(folder, "folder")
        check_kind(identity, Mapping | None, "identity", "a dictionary, or None")
        real = int | float | np.integer | np.floating
        for name, value in (("every_steps", every_steps), ("every_minutes", every_minutes)):
            number = isinstance(value, real) and not isinstance(value, bool)
            if value is not None and not (number and value > 0):
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

    def inside(self, name: str) -> Checkpoints:
        """Return checkpoints of the same identity and intervals in a folder of this folder."""
        changed = copy.copy(self)
        changed.folder = self.folder / name
        changed._last_evaluations = 0
        return changed

    @property
    def identity(self) -> dict[str, Any]:
        """What a minimization must share with a checkpoint to go on from it."""
        return self._identity

    def steps(self) -> list[int]:
        """Return the numbers of the checkpoints, in evaluations of the batch, the newest last."""
        files = self.folder.glob("*.npz") if self.folder.is_dir() else ()
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    def latest(self, minimizer: Minimizer) -> BatchState | None:
        """Return the newest state that is whole, with lanes in memory of the host.

        Damaged newer ones are passed over with a warning; without any checkpoint, return None.

        Raises:
            ValueError: the checkpoint is of another minimization, or all are damaged.
            OSError: the folder cannot be read or made.
        """
        self._make()
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                header, arrays = read_archive(self._path(step), _CONTENT, _FORMAT)
            except ValueError as error:
                damaged[step] = _reason(error)
                continue
            self.check_identity(header["identity"])
            for other, reason in damaged.items():
                warnings.warn(
                    f"checkpoint {other} in {str(self.folder)!r} is damaged ({reason}); going "
                    f"on from checkpoint {step}",
                    stacklevel=2,
                )
                self._path(other).unlink(missing_ok=True)
            self._last_evaluations, self._last_time = step, time.monotonic()
            return _unpack(header, arrays, minimizer)
        if damaged:
            raise ValueError(
                f"checkpoints in {str(self.folder)!r}: got {len(damaged)}, all of them damaged "
                f"({list(damaged.values())[-1]}), expected a whole one; remove the folder to begin "
                "anew"
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
        header, arrays = _pack(state)
        header["identity"] = self._identity
        try:
            write_archive(self._path(state.evaluations), _CONTENT, _FORMAT, header, arrays)
        except OSError as error:
            raise OSError(
                f"checkpoint {state.evaluations} could not be written to {str(self.folder)!r} "
                f"({_reason(error)}); those before are as they were"
            ) from error
        for old in self.steps()[:-_KEPT]:
            self._path(old).unlink(missing_ok=True)
        self._last_evaluations, self._last_time = state.evaluations, time.monotonic()

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:09}.npz"

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in self.folder.glob(".*.npz.*"):  # left by a kill
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.folder)) from None

    def check_identity(self, found: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another minimization, and say in what it differs.

        Raises:
            ValueError: an entry is another one.
        """
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
        raise ValueError(f"identity: got what JSON cannot hold ({reason_of(error)})") from None


def _reason(error: Exception) -> str:
    """Return the end of a long message, which says what happened."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"...{text[-160:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _pack(state: BatchState) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a state as what JSON can hold, and arrays."""
    records = list(state.records.values())
    arrays = {f"lane{path}": np.asarray(leaf) for path, leaf in _leaves(state.lanes)}
    arrays["parameters"] = np.stack([record.parameters for record in records])
    arrays["loss"] = np.asarray([record.loss for record in records], np.float64)
    arrays["losses"] = np.concatenate([np.asarray(r.losses, np.float64) for r in records])
    arrays["evaluations"] = np.concatenate([np.asarray(r.evaluations, np.int64) for r in records])
    for name in records[0].terms:
        parts = [np.asarray(record.terms[name], np.float64) for record in records]
        arrays[f"term {name}"] = np.concatenate(parts)
    header = {
        "numbers": state.numbers,
        "begun": state.begun,
        "evaluations": state.evaluations,
        "compile_seconds": state.compile_seconds,
        "run_seconds": state.run_seconds,
        "records": list(state.records),
        "lengths": [len(record.losses) for record in records],
        "statuses": [record.status for record in records],
        "terms": list(records[0].terms),
    }
    return header, arrays


def _unpack(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], minimizer: Minimizer
) -> BatchState:
    ends = np.cumsum(header["lengths"])[:-1]

    def split(name: str) -> list[list[Any]]:
        return [part.tolist() for part in np.split(arrays[name], ends)]

    terms = {name: split(f"term {name}") for name in header["terms"]}
    losses, evaluations = split("losses"), split("evaluations")
    records = {
        number: Record(
            parameters=arrays["parameters"][row],
            loss=float(arrays["loss"][row]),
            losses=losses[row],
            evaluations=evaluations[row],
            terms={name: values[row] for name, values in terms.items()},
            status=header["statuses"][row],
        )
        for row, number in enumerate(header["records"])
    }
    return BatchState(
        lanes=_unpack_lanes(arrays, len(header["numbers"]), minimizer),
        numbers=tuple(header["numbers"]),
        begun=header["begun"],
        records=records,
        evaluations=header["evaluations"],
        compile_seconds=header["compile_seconds"],
        run_seconds=header["run_seconds"],
    )


def _unpack_lanes(arrays: Mapping[str, np.ndarray], count: int, minimizer: Minimizer) -> Lane:
    parameters = arrays["parameters"]
    starts = jax.ShapeDtypeStruct((count, parameters.shape[1]), parameters.dtype)
    like = jax.eval_shape(begin, starts, jax.ShapeDtypeStruct((count,), bool), minimizer)
    leaves = [arrays[f"lane{path}"] for path, _ in _leaves(like)]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _leaves(lanes: Lane) -> list[tuple[str, Any]]:
    """Return the leaves of lanes by their paths, such as `.memory.params`."""
    found = jax.tree_util.tree_leaves_with_path(lanes)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in found]
