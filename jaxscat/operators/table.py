"""Tables of constant sparse matrices between folded fields, built on the host."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxscat.operators.dense import DenseTable
from jaxscat.operators.entries import ROWS_AT_A_TIME, Entries, Grid, Shape, in_pieces
from jaxscat.operators.face_table import build_faces
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.rows import BLOCK, RowTable

# Number of pixels of a grid up to which a matrix product is faster than gathers, and compiles fast.
DENSE_PIXELS = 192
# The same where there are units for matrix products and gathers are slow.
DENSE_PIXELS_OF_FACES = 768


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
    dense = np.stack([np.roll(first, sector, axis=3) for sector in range(shape.sectors)], axis=1)
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
    weights = np.zeros((blocks, 0, outputs), dtype=shape.dtype)

    def convert(entries: Entries) -> tuple[np.ndarray, np.ndarray]:
        own = place[entries.start : entries.start + entries.rows.shape[0]]
        return _blocks(entries, own, shape)

    starts = np.searchsorted(place, range(0, BLOCK * blocks, ROWS_AT_A_TIME))
    for part, (codes, values) in in_pieces(compute, starts.tolist(), shape.rows, convert):
        missing = codes.shape[1] - read.shape[1]
        if missing > 0:  # almost always at the first piece only, before anything is written
            read = np.pad(read, ((0, 0), (0, missing)), constant_values=-1)
            wider = np.zeros((blocks, read.shape[1], outputs), dtype=shape.dtype)
            wider[:, : weights.shape[1]] = weights
            weights = wider
        first = int(place[part.start]) // BLOCK
        own = slice(first, first + codes.shape[0])
        read[own, : codes.shape[1]] = codes
        weights[own, : codes.shape[1]] = values
        advance(part.stop - part.start)
    if (read >= 0).all():  # the padding of the transpose needs a place of zero weight
        read = np.pad(read, ((0, 0), (0, 1)), constant_values=-1)
        weights = np.pad(weights, ((0, 0), (0, 1), (0, 0)))
    indices = number_rows(read, shape)
    return RowTable(
        weights=jnp.asarray(weights),
        **{name: _indices(values) for name, values in indices.items()},
        slots=None if slots is None else _indices(slots),
        orientations=shape.orientations,
        parts=shape.parts,
        in_rows=shape.in_rows,
    )


def _blocks(
    entries: Entries, place: Int[np.ndarray, " n"], shape: Shape
) -> tuple[Int[np.ndarray, "blocks union"], Float[np.ndarray, "blocks union outputs"]]:
    """Return the inputs of every block (-1 where padded), and the weights of its outputs."""
    first = place[0] // BLOCK
    count = place[-1] // BLOCK + 1 - first
    codes = np.where(entries.values == 0, -1, entries.shifts * shape.in_rows + entries.rows)
    width = codes.shape[1]
    by_place = np.full((count * BLOCK, width), -1, dtype=np.int32)
    by_place[place - first * BLOCK] = codes
    by_block = by_place.reshape(count, BLOCK * width)
    # Sorting brings entries of one pixel together; each distinct pixel gets the next slot.
    order = np.argsort(by_block, axis=1, kind="stable")
    codes = np.take_along_axis(by_block, order, axis=1)
    kept = codes >= 0
    fresh = np.diff(codes, axis=1, prepend=-1) != 0
    slot = np.cumsum(fresh & kept, axis=1) - 1
    union = int(slot.max()) + 1
    row = np.broadcast_to(np.arange(count)[:, None], codes.shape)
    found = np.full((count, union), -1, dtype=np.int32)
    found[row[kept], slot[kept]] = codes[kept]
    child, entry = np.divmod(order[kept], width)
    output = entries.orientations[entry] * len(entries.parts) * BLOCK + child
    outputs = shape.orientations * shape.parts * BLOCK
    source = np.full(count * BLOCK, 0)
    source[place - first * BLOCK] = np.arange(place.size)
    source = source[row[kept] * BLOCK + child]
    weights = np.zeros((count, union, outputs), dtype=shape.dtype)
    for part, values in enumerate(entries.parts):
        flat = (row[kept] * union + slot[kept]) * outputs + output + part * BLOCK
        sums = np.bincount(flat, values[source, entry], minlength=weights.size)
        weights += sums.reshape(weights.shape).astype(shape.dtype)
    return found, weights


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
    return jnp.asarray(values, dtype=jnp.int32)
