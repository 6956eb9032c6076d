"""Where maps come from that are measured in bulk: arrays, iterators and simulators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxscat.io.precision import in_precision, large_mean
from jaxscat.maps import check_callable, check_map, cover_hidden, describe, is_integer, to_numpy
from jaxscat.operators.spec import PyramidSpec

_EXPECTED = "an array [simulation, npix], an iterator of maps, or a function of a seed"


class Source:
    """Maps in an order, with their seeds and parameters where a function makes them.

    Attributes:
        total: number of maps, or None if only their end will tell.
        seeds, parameters: one for each map, or None.
    """

    def __init__(self, maps: Any, seeds: Any, parameters: Any) -> None:
        self.seeds: Int[np.ndarray, " simulation"] | None = None
        self.parameters: Float[np.ndarray, "simulation parameter"] | None = None
        if callable(maps) and not hasattr(maps, "__array__"):
            if seeds is None:
                raise ValueError(
                    "seeds: got None for a function, expected the seeds of its maps, or their "
                    "number"
                )
            self.seeds = check_seeds(seeds)
            if parameters is not None:
                self.parameters = _check_parameters(parameters, self.seeds.size)
            check_simulator(maps, 1 if parameters is None else 2, "maps")
            self.total = self.seeds.size
        else:
            self.total = _check_maps(maps)
            for name, given in (("seeds", seeds), ("parameters", parameters)):
                if given is not None:
                    raise ValueError(
                        f"{name}: got some for maps that are there already, expected None"
                    )
        self._maps: Any = maps

    def walk(self, start: int) -> Iterator[Any]:
        """Yield the maps from one on; those before it are not made, or of an iterator skipped."""
        if self.seeds is None:
            if self.total is None:
                yield from islice(self._maps, start, None)
            else:
                yield from (self._maps[at] for at in range(start, self.total))
        elif self.parameters is None:
            yield from (self._maps(int(seed)) for seed in self.seeds[start:])
        else:
            both = zip(self.parameters[start:], self.seeds[start:], strict=True)
            yield from (self._maps(parameters, int(seed)) for parameters, seed in both)


def check_seeds(seeds: Any) -> Int[np.ndarray, " simulation"]:
    """Return seeds as an array; a number n stands for 0 to n - 1.

    Raises:
        ValueError: no number of seeds from 1 up, or no different integers from 0 to 2^31 - 1.
    """
    if is_integer(seeds):
        if seeds < 1:
            raise ValueError(f"seeds: got {seeds}, expected one or more")
        return np.arange(seeds)
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise ValueError(f"seeds: got {describe(seeds)}, expected integers, or their number")
    found = to_numpy(list(seeds), name="seeds")
    if found.ndim != 1 or found.dtype.kind not in "iu" or not found.size:
        raise ValueError(f"seeds: got {describe(found)}, expected integers, or their number")
    if found.min() < 0 or found.max() >= 2**31 or np.unique(found).size < found.size:
        raise ValueError("seeds: got some twice or out of range, expected 0 to 2^31 - 1, each once")
    return found.astype(np.int64)


def check_simulator(simulator: Any, arguments: int, name: str) -> Callable[..., Any]:
    """Refuse what is no function of parameters and a seed, or of a seed, with a `ValueError`."""
    of = "a seed" if arguments == 1 else "parameters and a seed"
    check_callable(simulator, arguments, name, f"a function of {of} that returns a map")
    return simulator


def check_drawn(
    map: Any, spec: PyramidSpec, name: str, mask: np.ndarray | None = None
) -> Float[np.ndarray, " p"]:
    """Check a map and bring it into the type of the pyramid.

    Pixels without weight in a mask, if one is given, may hold anything.

    Raises:
        ValueError: as `check_map`; or its mean is so large that float32 would lose digits.
    """
    if mask is not None:
        map = cover_hidden(map, mask, name=name)
    found = check_map(map, name=name, nside=spec.nside, cells=spec.cell_count, allow_constant=True)
    found = in_precision(found, spec.dtype, name)
    if found.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"{name}: got a mean of {large_mean(found):.3g}, more than 16 times the spread, of "
            "which float32 would lose digits; expected the map without it, or a float64 pyramid"
        )
    return found


def _check_maps(maps: Any) -> int | None:
    """Return the number of maps of an array, None of an iterator."""
    shape = getattr(maps, "shape", None)
    if isinstance(maps, np.ma.MaskedArray):
        to_numpy(maps, name="maps")
    if shape is None:
        if isinstance(maps, str | bytes | dict) or not isinstance(maps, Iterable):
            raise ValueError(f"maps: got {describe(maps)}, expected {_EXPECTED}")
        return len(maps) if isinstance(maps, list | tuple) else None
    if len(shape) != 2 or not shape[0] or not hasattr(maps, "__getitem__"):
        raise ValueError(f"maps: got an array of shape {tuple(shape)}, expected {_EXPECTED}")
    return int(shape[0])


def _check_parameters(parameters: Any, count: int) -> Float[np.ndarray, "simulation parameter"]:
    found = to_numpy(parameters, name="parameters")
    if found.dtype.kind not in "iuf" or found.ndim not in (1, 2) or 0 in found.shape:
        raise ValueError(
            f"parameters: got {describe(found)}, expected numbers of shape (parameter,) or "
            "(simulation, parameter)"
        )
    if not np.isfinite(found).all():
        raise ValueError("parameters: got some that are not finite, expected numbers")
    if found.ndim == 2 and len(found) != count:
        raise ValueError(f"parameters: got {len(found)} rows, expected {count}, one for each seed")
    return np.array(np.broadcast_to(found, (count, found.shape[-1])), np.float64)
