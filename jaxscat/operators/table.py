"""Tables of constant sparse matrices between folded fields, built on the host."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact, Int

from jaxscat.operators.dense import DenseTable
from jaxscat.operators.entries import Entries, Grid, Shape, in_pieces
from jaxscat.operators.face_table import build_faces
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.rows import BLOCK, RowTable
from jaxscat.operators.windows import number_windows

# Number of pixels of a grid up to which a matrix product is faster than gathers, and compiles fast.
DENSE_PIXELS = 192
# The same where there are units for matrix products and gathers are slow.
DENSE_PIXELS_OF_FACES = 768

# Rows computed in one piece, so that building needs little more memory than the table itself.
ROWS_AT_A_TIME = 1 << 9

# Bytes, of XLA's buffers on CPUs.
_ALIGNMENT = 64


def tabulate(
    compute: Callable[[slice], Entries],
    grid: Grid,
    shape: Shape,
    slots: Int[np.ndarray, " rows"] | None = None,
    halo: int = 0,
    progress: Callable[[int], None] | None = None,
) -> RowTable | FaceTable | DenseTable:
    """Tabulate a sparse matrix, given the entries of the output rows of the first sector.

    Args:
        compute: entries of some output rows.
        grid: pixels of the input field.
        shape: size of the matrix.
        slots: positions of the output rows among all children of their parents; None if they are
            in blocks of four already.
        halo: width of the halo of faces.
        progress: called with the number of output rows finished since the last call.

    Raises:
        ValueError: the layout does not have such a matrix.
    """

    def advance(done: int) -> None:
        if progress is not None:
            progress(done)

    most = DENSE_PIXELS_OF_FACES if grid.row_major else DENSE_PIXELS
    if shape.in_rows * shape.sectors <= most:
        table = _build_dense(compute(slice(0, shape.rows)), shape)
        advance(shape.rows)
        return table
    if grid.row_major:
        return build_faces(compute, grid, shape, halo, advance)
    return _build_rows(compute, shape, slots, advance)


def _build_dense(entries: Entries, shape: Shape) -> DenseTable:
    size = (shape.orientations, shape.rows, shape.sectors, shape.in_rows)
    row = np.arange(shape.rows)[:, None]
    flat = np.ravel_multi_index(
        np.broadcast_arrays(entries.orientations, row, entries.shifts, entries.rows), size
    )
    first = np.stack(
        [
            np.bincount(flat.ravel(), part.ravel(), minlength=int(np.prod(size))).reshape(size)
            for part in entries.parts
        ],
        axis=1,
    )
    # The other sectors read the sectors beside them alike.
    dense = np.stack([np.roll(first, sector, axis=3) for sector in range(shape.sectors)], axis=2)
    return DenseTable(jnp.asarray(dense, shape.dtype))


def _build_rows(
    compute: Callable[[slice], Entries],
    shape: Shape,
    slots: Int[np.ndarray, " rows"] | None,
    advance: Callable[[int], None],
) -> RowTable:
    place = np.arange(shape.rows) if slots is None else slots
    blocks = int(place[-1]) // BLOCK + 1
    outputs = shape.orientations * shape.parts * BLOCK
    read = np.full((blocks, 0), -1, dtype=np.int32)
    weights = _zeros((blocks, 0, outputs), shape.dtype)

    def convert(entries: Entries) -> tuple[np.ndarray, np.ndarray]:
        own = place[entries.start : entries.start + entries.rows.shape[0]]
        return _blocks(entries, own, shape)

    starts = np.searchsorted(place, range(0, BLOCK * blocks, ROWS_AT_A_TIME))
    for part, (codes, values) in in_pieces(compute, starts.tolist(), shape.rows, convert):
        first = int(place[part.start]) // BLOCK
        missing = codes.shape[1] - read.shape[1]
        if missing > 0:  # almost always at the first pieces only, before much is written
            read, weights = _widened(read, weights, missing, first)
        own = slice(first, first + codes.shape[0])
        read[own, : codes.shape[1]] = codes
        weights[own, : codes.shape[1]] = values
        advance(part.stop - part.start)
    if (read >= 0).all():  # the padding of the transpose needs a place of zero weight
        read, weights = _widened(read, weights, 1, blocks)
    indices = number_rows(read, shape)
    groups = number_windows(indices["indices"]) if shape.parts == 2 else None
    windows, places = (None, None) if groups is None else map(_indices, groups)
    return RowTable(
        weights=jax.device_put(weights),
        **{name: _indices(values) for name, values in indices.items()},
        slots=None if slots is None else _indices(slots),
        windows=windows,
        places=places,
        orientations=shape.orientations,
        parts=shape.parts,
        in_rows=shape.in_rows,
    )


def _widened(
    read: Int[np.ndarray, "blocks union"],
    weights: Float[np.ndarray, "blocks union outputs"],
    more: int,
    written: int,
) -> tuple[Int[np.ndarray, "blocks wider"], Float[np.ndarray, "blocks wider outputs"]]:
    """Give every block room for more inputs; all but the first blocks are still empty."""
    blocks, union, outputs = weights.shape
    wider = _zeros((blocks, union + more, outputs), weights.dtype)
    wider[:written, :union] = weights[:written]
    return np.pad(read, ((0, 0), (0, more)), constant_values=-1), wider


def _zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return zeros in memory that JAX takes over on a CPU; it copies what is aligned otherwise."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _blocks(
    entries: Entries, place: Int[np.ndarray, " n"], shape: Shape
) -> tuple[Int[np.ndarray, "blocks union"], Float[np.ndarray, "blocks union outputs"]]:
    """Return the inputs of every block (-1 where padded), and the weights of its outputs."""
    first = place[0] // BLOCK
    count = int(place[-1] // BLOCK + 1 - first)
    slots = place - first * BLOCK
    codes = np.where(entries.values == 0, -1, entries.shifts * shape.in_rows + entries.rows)
    codes = _by_block(codes, slots, count, -1)
    # Sorting brings entries of one pixel together; each distinct pixel gets the next slot. The last
    # bits of a key tell where in the block it was, so that equal pixels stay in order.
    size = codes.shape[1]
    bits = (size - 1).bit_length()
    keys = np.sort((codes << bits) | np.arange(size), axis=1)
    codes, order = keys >> bits, keys & ((1 << bits) - 1)
    fresh = (np.diff(codes, axis=1, prepend=-1) != 0) & (codes >= 0)
    slot = np.maximum(np.cumsum(fresh, axis=1) - 1, 0)  # what is no entry adds zero to the first
    union = int(slot.max()) + 1
    row, column = np.nonzero(fresh)
    found = np.full((count, union), -1, dtype=np.int32)
    found[row, slot[row, column]] = codes[row, column]
    child = np.arange(BLOCK)[:, None]
    output = (entries.orientations * BLOCK + child).ravel()
    outputs = shape.orientations * BLOCK
    flat = (np.arange(count)[:, None] * union + slot) * outputs + output[order]
    values = np.take_along_axis(_by_block(entries.values, slots, count, 0), order, axis=1)
    weights = np.empty((count, union, shape.orientations, shape.parts, BLOCK), dtype=shape.dtype)
    for part, numbers in enumerate(entries._replace(values=values).parts):
        sums = np.bincount(flat.ravel(), numbers.ravel(), minlength=count * union * outputs)
        weights[:, :, :, part] = sums.reshape(count, union, shape.orientations, BLOCK)
    return found, weights.reshape(count, union, -1)


def _by_block(
    values: Inexact[np.ndarray, "n entries"] | Int[np.ndarray, "n entries"],
    slots: Int[np.ndarray, " n"],
    count: int,
    padding: int,
) -> Any:
    """Arrange the entries of rows by blocks, `[blocks, entries of all rows of a block]`."""
    rows = count * BLOCK
    if slots.size < rows:
        padded = np.full((rows, values.shape[1]), padding, dtype=values.dtype)
        padded[slots] = values
        values = padded
    return values.reshape(count, -1)


def number_rows(read: Int[np.ndarray, "blocks union"], shape: Shape) -> dict[str, np.ndarray]:
    """Number the rows that are read, and list where each of them is read (see `RowTable`)."""
    used = read >= 0
    indices = np.where(used, read, 0)
    codes = np.unique(indices[indices >= shape.in_rows])
    in_halo = shape.in_rows + np.searchsorted(codes, indices)
    indices = np.where(indices >= shape.in_rows, in_halo, indices).astype(np.int32)
    shifts, rows = np.divmod(codes, shape.in_rows)
    places = np.flatnonzero(used)
    of = indices.ravel()[places]
    order = np.argsort(of, kind="stable")
    free = int(np.argmin(used))
    positions = _by_row(of[order], places[order], shape.in_rows + codes.size, free)
    repeated, copies = np.unique(rows, return_inverse=True)
    # The copy of a row for a sector stands in the halo of the sector that reads it.
    readers = (np.arange(shape.sectors) - shifts[:, None]) % shape.sectors
    repeats = np.full(
        (max(shape.sectors - 1, 1), repeated.size, shape.sectors), codes.size * shape.sectors
    )
    repeats[shifts - 1, copies] = np.arange(codes.size)[:, None] * shape.sectors + readers
    source = (np.arange(shape.sectors)[:, None] + shifts) % shape.sectors
    return {
        "indices": indices,
        "positions": positions,
        "halo": source * shape.in_rows + rows,
        "repeated_rows": repeated,
        "repeats": repeats,
    }


def _by_row(
    rows: Int[np.ndarray, " n"], values: Int[np.ndarray, " n"], count: int, padding: int
) -> Int[np.ndarray, "most count"]:
    """Arrange values by their rows, which are ascending, in a padded table."""
    counts = np.bincount(rows, minlength=count)
    first = np.cumsum(counts) - counts
    table = np.full((int(counts.max()), count), padding, dtype=np.int32)
    table[np.arange(rows.size) - np.repeat(first, counts), rows] = values
    return table


def _indices(values: np.ndarray) -> Array:
    return jax.device_put(values.astype(np.int32, copy=False))
