"""The processes that make one run together, on one host or on many, and their shares of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxscat.io.archive import read_archive, write_archive
from jaxscat.minimization.result import Result

_CONTENT, _VERSION = "part of a run", 2
_ARRAYS = ("map", "loss", "losses", "evaluations", "steps")


@dataclass
class Processes:
    """The processes that `jax.distributed.initialize` has brought together.

    Attributes:
        index: number of this one; the first alone prints and writes the results of all.
        count: number of processes.
        failed: whether one has failed; from then on none waits for another.
    """

    index: int = 0
    count: int = 1
    failed: bool = False

    def share(self, seeds: Sequence[int]) -> tuple[int, ...]:
        """Return the seeds of this process; none where processes outnumber seeds."""
        return tuple(seeds[self.index :: self.count])

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Raise on every process if the block fails on one.

        Raises what the block raises here, and `ChildProcessError` where it was raised elsewhere:
        no process waits for one that has failed.
        """
        try:
            yield
        except BaseException:
            self._gather_failures(True)
            raise
        failures = self._gather_failures(False)
        if failures:
            raise ChildProcessError(
                f"process {failures[0]} of {self.count} could not go on, as it says itself"
            )

    def _gather_failures(self, here: bool) -> list[int]:
        """Wait for all processes, and return the numbers of those that have failed."""
        if self.count == 1 or self.failed:
            return []
        flags = np.asarray(multihost_utils.process_allgather(np.int32(here))).reshape(-1)
        self.failed = bool(flags.any())
        return np.flatnonzero(flags).tolist()


def current_processes() -> Processes:
    """Return the processes of which this is one."""
    return Processes(jax.process_index(), jax.process_count())


def write_part(folder: Path, processes: Processes, result: Result | None) -> None:
    """Write the maps of this process into a folder that all see, for the first to read.

    Args:
        folder: that of the unfinished run; the file in it is there whole or not at all.
        processes: which process this is.
        result: maps [n p] with their losses, or None where the process had no seed.

    Raises `OSError` where it cannot be written.
    """
    header: dict[str, object] = {"seeds": []}
    arrays = {}
    if result is not None:
        terms = result.terms
        header = {
            "seeds": result.seeds,
            "status": result.status,
            "compile_seconds": result.compile_seconds,
            "run_seconds": result.run_seconds,
            "terms": list(terms),
        }
        arrays = {name: np.asarray(getattr(result, name)) for name in _ARRAYS}
        arrays |= {f"term_{i}": np.asarray(terms[name]) for i, name in enumerate(terms)}
    write_archive(_part_path(folder, processes.index), _CONTENT, _VERSION, header, arrays)


def read_parts(folder: Path, processes: Processes, seeds: Sequence[int]) -> Mapping[int, Result]:
    """Read the maps of all processes, one map [p] and its losses for each seed.

    Args:
        folder, processes: as for `write_part`, after all have written.
        seeds: the order of what is returned; seeds without a map are left out.

    Raises `FileNotFoundError` when the part of a process is not there, and `ValueError` when it
    cannot be read.
    """
    found: dict[int, Result] = {}
    for index in range(processes.count):
        path = _part_path(folder, index)
        if not path.is_file():
            raise FileNotFoundError(
                f"the maps of process {index} are not in {str(folder)!r}: expected a folder that "
                "all processes share"
            )
        header, arrays = read_archive(path, _CONTENT, _VERSION)
        if header["seeds"]:
            content: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
            if header["terms"]:
                names = enumerate(header["terms"])
                content["terms"] = {name: arrays[f"term_{i}"] for i, name in names}
            whole = Result(
                **content,
                seeds=tuple(header["seeds"]),
                status=tuple(header["status"]),
                compile_seconds=header["compile_seconds"],
                run_seconds=header["run_seconds"],
            )
            found |= {seed: whole.of_seed(seed) for seed in header["seeds"]}
    return {seed: found[seed] for seed in seeds if seed in found}


def _part_path(folder: Path, index: int) -> Path:
    return folder / f"part_{index}.npz"
