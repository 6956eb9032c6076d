"""The entries of a constant sparse matrix between folded fields, on the host."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Inexact, Int

from jaxscat.operators import symmetry
from jaxscat.operators.cells import find

# Pieces computed at once: NumPy and healpy leave Python's lock for most of the time.
_THREADS = 4

# Pieces that are begun before the first of them is taken.
_WAITING = 2 * _THREADS

_Result = TypeVar("_Result")


class Entries(NamedTuple):
    """The entries of some output rows of a sparse matrix; several of a row may name one input.

    Attributes:
        start: number of the first output row.
        rows: input rows, `[n, entries]`.
        shifts: number of sectors between the output row and the input row.
        values: weights; zero is no entry. Complex ones count as two outputs, the real part and
            the imaginary part.
        orientations: orientation of every entry.
    """

    start: int
    rows: Int[np.ndarray, "n entries"]
    shifts: Int[np.ndarray, "n entries"]
    values: Inexact[np.ndarray, "n entries"]
    orientations: Int[np.ndarray, " entries"]

    @property
    def parts(self) -> list[Float[np.ndarray, "n entries"]]:
        """The weights of the outputs: the real and the imaginary parts of complex ones."""
        if np.iscomplexobj(self.values):
            return [np.real(self.values), np.imag(self.values)]
        return [self.values]


class Shape(NamedTuple):
    """The size of a sparse matrix between folded fields, and the grid that it reads.

    Attributes:
        orientations: number of orientations of the outputs.
        parts: number of outputs of each orientation.
        rows: number of output rows.
        in_rows: number of input rows.
        sectors: number of sectors of the fold.
        dtype: type of the weights.
    """

    orientations: int
    parts: int
    rows: int
    in_rows: int
    sectors: int
    dtype: np.dtype


class Grid(NamedTuple):
    """The pixels of a folded field: the full sky, or a patch.

    Attributes:
        nside: resolution.
        sectors: number of sectors of the fold.
        row_major: whether the pixels of base faces are ordered by row and column.
        cells: pixels of a patch, ascending (then there is one sector); None is the full sky.
    """

    nside: int
    sectors: int
    row_major: bool = False
    cells: Int[np.ndarray, " p"] | None = None

    @property
    def rows(self) -> int:
        """Number of pixels of a sector."""
        return 12 * self.nside**2 // self.sectors if self.cells is None else self.cells.size

    @property
    def pixels(self) -> Int[np.ndarray, " rows"]:
        """NESTED pixels of the first sector, one per row."""
        if self.cells is not None:
            return self.cells
        return symmetry.sector_pixels(self.nside, self.sectors, self.row_major)

    def locate(
        self, pixels: Int[np.ndarray, "*shape"]
    ) -> tuple[Int[np.ndarray, "*shape"], Int[np.ndarray, "*shape"]]:
        """Return the row and the sector of NESTED pixels; those outside a patch are at row zero."""
        if self.cells is not None:
            return find(self.cells, pixels)[0], np.zeros_like(pixels)
        return symmetry.locate(self.nside, pixels, self.sectors, self.row_major)


def in_pieces(
    compute: Callable[[slice], Entries],
    starts: Iterable[int],
    rows: int,
    convert: Callable[[Entries], _Result],
) -> Iterator[tuple[slice, _Result]]:
    """Compute the entries of all output rows piece by piece, on several threads.

    Args:
        compute: entries of the rows of a slice.
        starts: first row of every piece.
        rows: number of output rows.
        convert: what is made of the entries of a piece, on the same thread.
    """

    def one(part: slice) -> _Result:
        return convert(compute(part))

    with ThreadPoolExecutor(_THREADS) as threads:
        begun: deque[tuple[slice, Future[_Result]]] = deque()
        try:
            for pair in pairwise([*starts, rows]):
                # A few at a time: results that wait take memory.
                if len(begun) == _WAITING:
                    part, result = begun.popleft()
                    yield part, result.result()
                part = slice(*pair)
                begun.append((part, threads.submit(one, part)))
            while begun:
                part, result = begun.popleft()
                yield part, result.result()
        finally:
            for _, result in begun:
                result.cancel()
