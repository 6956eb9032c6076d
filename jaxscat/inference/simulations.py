"""Thousands of maps measured in chunks, by one program, in a file that can be continued."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.inference.sources import Source, check_drawn
from jaxscat.inference.storage import (
    Simulations,
    check_simulation_path,
    load_simulations,
    save_simulations,
)
from jaxscat.inference.summaries import (
    SummaryFunction,
    check_summary,
    hiding_mask,
    summarize,
    summary_names,
)
from jaxscat.maps import check_callable, is_integer
from jaxscat.operators.batching import fill_rows
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.storage import spec_differences

# A file is written again after this, and whenever the work ends or is interrupted.
_SAVE_SECONDS = 20.0
_NO_MAPS = "maps: got an iterator without maps, expected one or more"
# Programs for another number of maps at once round differently.
_SAME = 1e-3


def measure_many(
    maps: ArrayLike | Iterable[ArrayLike] | Callable[..., Any],
    pyramid: Pyramid,
    *,
    seeds: int | Iterable[int] | None = None,
    parameters: ArrayLike | None = None,
    summary: SummaryFunction | None = None,
    path: str | os.PathLike[str] | None = None,
    chunk_size: int = 64,
    progress: Callable[[int, int | None], None] | None = None,
) -> Simulations:
    """Measure many maps, in chunks of one compiled program.

    With a `path`, what is measured is written there from time to time, at the end, and when the
    work is interrupted or fails; the same call then continues with the first map that is missing.
    To continue, the first map is measured again, and has to have the stored vector. A `.zarr` store
    can be lost to a process that is killed (see `save_simulations`); a `.npz` file cannot.

    Args:
        maps: NESTED maps `[simulation, npix]`, an iterator of maps, or a simulator: a function of
            a seed, or with `parameters` of parameters and a seed. It is called map by map outside
            of compiled functions; one written in JAX is best compiled with `jax.jit`.
        pyramid: operators for their nside.
        seeds: of a simulator: integers from 0 up, or n for 0 to n - 1.
        parameters: of a simulator: the same for all maps `[parameter]`, or one row for each seed.
        summary: function of a map and the pyramid that returns coefficients or one vector, such as
            `jaxscat.measure`; None for `Summary()`, isotropic means of S1 to S4.
        path: `.npz` file, or `.zarr` store (needs `jaxscat[xarray]`), to write and to continue; a
            longer list of seeds continues a finished one.
        chunk_size: number of maps measured at once, at most; of fewer maps, their number.
        progress: called with the number of maps measured and the total (None if not known).

    Returns:
        vectors `[simulation, coefficient]` with names, seeds and parameters, in the precision of
        the pyramid.

    Raises:
        ValueError: bad arguments, a map as `jaxscat.measure` refuses it or (in float32) with a
            large mean, numbers that are not finite, or a file of other simulations.
        OSError: the file cannot be written.

    Examples:
        >>> import jaxscat, numpy as np
        >>> from jaxscat.inference import Summary, measure_many
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> draw = lambda seed: np.random.default_rng(seed).normal(size=192)
        >>> of_power = Summary(groups=("S1", "S2"))
        >>> found = measure_many(draw, pyramid, seeds=10, summary=of_power, path="noise.npz")
        >>> found.vectors.shape, found.names[0]
        ((10, 6), 'S1 j=0')

    Source: `docs/inference.md`, "Simulations".
    """
    check_pyramid(pyramid)
    source, summary = Source(maps, seeds, parameters), check_summary(summary)
    if not is_integer(chunk_size) or chunk_size < 1:
        raise ValueError(f"chunk_size: got {chunk_size!r}, expected an integer from 1 up")
    if progress is not None:
        check_callable(progress, 2, "progress", "a function of the maps measured and in total")
    work = _Work(source, summary, pyramid, int(chunk_size))
    file = None if path is None else check_simulation_path(path)
    if file is not None and file.exists():
        work.resume(load_simulations(file))
    return work.finish(file, progress)


class _Work:
    """The maps, and the vectors of those that are measured."""

    def __init__(
        self, source: Source, summary: SummaryFunction, pyramid: Pyramid, chunk_size: int
    ) -> None:
        self.source, self.summary, self.pyramid = source, summary, pyramid
        self.chunk_size = chunk_size if source.total is None else _rows_of(source.total, chunk_size)
        self.names = summary_names(summary, pyramid)
        self.mask = hiding_mask(summary)
        self.vectors: list[Float[np.ndarray, "chunk coefficient"]] = []
        self.done = 0
        self._walk: Iterator[Any] | None = None

    def resume(self, stored: Simulations) -> None:
        """Take over what a file has.

        Raises:
            ValueError: it has other simulations.
        """
        spec, source = self.pyramid.spec, self.source
        count = len(stored.vectors)
        if differences := spec_differences(stored.spec, spec):
            name, (got, expected) = next(iter(differences.items()))
            raise ValueError(f"path: got simulations of {name} {got!r}, expected {expected!r}")
        if stored.names != self.names:
            raise ValueError(
                f"path: got {len(stored.names)} coefficients from {stored.names[0]!r} on, "
                f"expected {len(self.names)} from {self.names[0]!r} on, as the summary has"
            )
        if source.total is not None and count > source.total:
            raise ValueError(f"path: got {count} simulations, expected at most {source.total}")
        for name, got, wanted in (
            ("seeds", stored.seeds, source.seeds),
            ("parameters", stored.parameters, source.parameters),
        ):
            if not _begins_with(wanted, got):
                raise ValueError(f"path: got simulations of other {name}, expected the given ones")
        self._walk = source.walk(0)
        try:
            first = self._next_checked(0)
        except StopIteration:
            raise ValueError(_NO_MAPS) from None
        if source.seeds is None and source.total is None:
            self._skip(count)
        else:
            self._walk = None
        first = self._measure([first])
        close = _SAME * np.abs(stored.vectors[0]).max()
        if not np.allclose(first[0], stored.vectors[0], rtol=_SAME, atol=_SAME * close):
            raise ValueError(
                "path: got simulations whose first vector is another one, expected those of the "
                "same maps and the same summary (or another path)"
            )
        self.vectors, self.done = [stored.vectors], count

    def _skip(self, count: int) -> None:
        """Take out of an iterator, after its first map, what was measured before.

        Raises:
            ValueError: it ends before.
        """
        assert self._walk is not None
        there = 1 + sum(1 for _ in islice(self._walk, count - 1))
        if there < count:
            raise ValueError(
                f"path: got {count} simulations, expected at most the {there} of the iterator"
            )
        ahead = list(islice(self._walk, self.chunk_size))
        self._walk = chain(ahead, self._walk)
        self.chunk_size = _rows_of(count + len(ahead), self.chunk_size)

    def finish(self, file: Path | None, progress: Callable[..., Any] | None) -> Simulations:
        """Measure the maps that are missing, and return all vectors."""
        saved, last = self.done, time.monotonic()
        if self._walk is None:
            self._walk = self.source.walk(self.done)
        try:
            while maps := self._next_chunk():
                if not self.done:  # an iterator may end here
                    self.chunk_size = _rows_of(len(maps), self.chunk_size)
                self.vectors.append(self._measure(maps))
                self.done += len(maps)
                if file is not None and time.monotonic() - last > _SAVE_SECONDS:
                    save_simulations(file, self.simulations())
                    saved, last = self.done, time.monotonic()
                if progress is not None:
                    progress(self.done, self.source.total)
        finally:
            if file is not None and self.done > saved:
                save_simulations(file, self.simulations())
        if not self.done:
            raise ValueError(_NO_MAPS)
        return self.simulations()

    def simulations(self) -> Simulations:
        """Return what is measured so far."""
        seeds, parameters = self.source.seeds, self.source.parameters
        return Simulations(
            np.concatenate(self.vectors),
            self.names,
            None if seeds is None else seeds[: self.done],
            None if parameters is None else parameters[: self.done],
            self.pyramid.spec,
        )

    def _next_chunk(self) -> list[Float[np.ndarray, " p"]]:
        maps = []
        while len(maps) < self.chunk_size:
            try:
                maps.append(self._next_checked(self.done + len(maps)))
            except StopIteration:
                break
        return maps

    def _next_checked(self, at: int) -> Float[np.ndarray, " p"]:
        assert self._walk is not None
        return check_drawn(next(self._walk), self.pyramid.spec, f"maps[{at}]", self.mask)

    def _measure(self, maps: list[Float[np.ndarray, " p"]]) -> Float[np.ndarray, "chunk n"]:
        # The last chunk is filled up, so that one program serves all.
        full = jnp.asarray(fill_rows(np.stack(maps), self.chunk_size))
        vectors = np.array(summarize(self.summary, full, self.pyramid))[: len(maps)]
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            raise ValueError(
                f"summary: got numbers that are not finite for map {self.done + int(bad[0])}, "
                "expected finite ones"
            )
        return vectors


def _rows_of(count: int, chunk_size: int) -> int:
    """Return the size of chunks for a number of maps: that number, if it is less.

    With one map more if it is odd and above three, since odd chunks have no small groups.
    """
    return min(chunk_size, count + count % 2 if count > 3 else count)


def _begins_with(wanted: np.ndarray | None, stored: np.ndarray | None) -> bool:
    if wanted is None or stored is None:
        return wanted is None and stored is None
    return np.array_equal(wanted[: len(stored)], stored)
