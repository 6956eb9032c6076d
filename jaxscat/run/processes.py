"""Several processes, on one host or on many, that make one run: who makes which seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxscat.io.archive import read_archive, write_archive
from jaxscat.minimization.result import Result as SynthesisResult

_CONTENT, _VERSION = "part of a run", 1


@dataclass
class Hosts:
    """The processes that `jax.distributed.initialize` has brought together.

    Attributes:
        index: number of this one; the first writes the results of all and alone prints.
        count: how many they are.
        parted: whether one has failed; from then on none waits for another.
    """

    index: int = 0
    count: int = 1
    parted: bool = False

    def share(self, seeds: Sequence[int]) -> tuple[int, ...]:
        """Return the seeds that this process makes; none where processes outnumber seeds."""
        return tuple(seeds[self.index :: self.count])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do a part of the run of which all processes have to come to the end.

        Raises what the part raises here, and `ChildProcessError` where it was raised elsewhere:
        nobody waits for a process that has failed.
        """
        try:
            yield
        except BaseException:
            self._failures(True)
            raise
        failed = self._failures(False)
        if failed:
            raise ChildProcessError(
                f"process {failed[0]} of {self.count} could not go on, as it says itself"
            )

    def _failures(self, here: bool) -> list[int]:
        """Wait for all processes, and return the numbers of those that have failed."""
        if self.count == 1 or self.parted:
            return []
        flags = np.asarray(multihost_utils.process_allgather(np.int32(here))).reshape(-1)
        self.parted = bool(flags.any())
        return np.flatnonzero(flags).tolist()


def these_hosts() -> Hosts:
    """Return the processes of which this is one."""
    return Hosts(jax.process_index(), jax.process_count())


def write_part(folder: Path, hosts: Hosts, made: SynthesisResult | None) -> None:
    """Write what this process has made into a folder that all see, for the first to read.

    Args:
        folder: that of the unfinished run; the file in it is there whole or not at all.
        hosts: which process this is.
        made: maps [n p] with their losses, or None where it had no seed.

    Raises `OSError` where it cannot be written.
    """
    header: dict[str, object] = {"seeds": []}
    arrays = {}
    if made is not None:
        header = {
            "seeds": made.seeds,
            "status": made.status,
            "compile_seconds": made.compile_seconds,
            "run_seconds": made.run_seconds,
        }
        names = ("map", "loss", "losses", "evaluations", "steps")
        arrays = {name: np.asarray(getattr(made, name)) for name in names}
    write_archive(_part(folder, hosts.index), _CONTENT, _VERSION, header, arrays)


def read_parts(folder: Path, hosts: Hosts, seeds: Sequence[int]) -> Mapping[int, SynthesisResult]:
    """Return what all processes have made, one map [p] and its losses for each seed.

    Args:
        folder, hosts: as for `write_part`, after all have written.
        seeds: the order of what is returned; seeds that nobody has made are left out.

    Raises `FileNotFoundError` when the part of a process is not there, and `ValueError` when it
    cannot be read.
    """
    found: dict[int, SynthesisResult] = {}
    for index in range(hosts.count):
        path = _part(folder, index)
        if not path.is_file():
            raise FileNotFoundError(
                f"the maps of process {index} are not in {str(folder)!r}: expected a folder that "
                "all processes share"
            )
        header, arrays = read_archive(path, _CONTENT, _VERSION)
        if header["seeds"]:
            whole = SynthesisResult(
                **arrays,
                seeds=tuple(header["seeds"]),
                status=tuple(header["status"]),
                compile_seconds=header["compile_seconds"],
                run_seconds=header["run_seconds"],
            )
            found |= {seed: whole.of_seed(seed) for seed in header["seeds"]}
    return {seed: found[seed] for seed in seeds if seed in found}


def _part(folder: Path, index: int) -> Path:
    return folder / f"part_{index}.npz"
