"""Tables of constant sparse matrices between folded fields, built on the host."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxscat.operators import symmetry
from jaxscat.operators.cells import find


class SparseTable(eqx.Module):
    """Padded indices and weights of a sparse matrix between folded fields, and of its transpose.

    Indices refer to the rows of the input field, followed by its halo: copies of rows of other
    sectors.

    Attributes:
        indices: `[k, out_rows]`, input rows of every output row.
        weights: `[k, out_rows, outputs]`, zero where padded.
        transposed_indices: `[k', in_rows + halo]`, output rows of every input row.
        transposed_weights: `[k', in_rows + halo, outputs]`, zero where padded.
        halo_rows: input rows copied to the halo.
        halo_shifts: number of sectors between a copied row and the row that reads it; the last
            entry, 0, is for the padding of `repeats`.
        repeated_rows: the distinct rows of `halo_rows`, ascending.
        repeats: `[c, repeated]`, positions in the halo of the copies of every repeated row; padded
            with the length of the halo.
    """

    indices: Int[Array, "k out_rows"]
    weights: Float[Array, "k out_rows outputs"]
    transposed_indices: Int[Array, "kt extended_rows"]
    transposed_weights: Float[Array, "kt extended_rows outputs"]
    halo_rows: Int[Array, " halo"]
    halo_shifts: Int[Array, " halo_and_one"]
    repeated_rows: Int[Array, " repeated"]
    repeats: Int[Array, "copies repeated"]

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes."""
        return self.weights.shape[1]


class DenseTable(eqx.Module):
    """Dense matrix between folded fields, for the coarsest grids.

    Attributes:
        weights: `[out_rows, outputs, shift, in_rows]`; the shift is the number of sectors between
            the output row and the input row.
    """

    weights: Float[Array, "out_rows outputs sectors in_rows"]

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes."""
        return self.weights.shape[0]


# Number of pixels (nside 4) up to which a matrix product is faster than gathers, and compiles fast.
_DENSE_PIXELS = 192


def tabulate(
    nside: int,
    pixels: Int[np.ndarray, "k rows"],
    weights: Float[Array, "k rows outputs"],
    used: np.ndarray,
    sectors: int,
    cells: Int[np.ndarray, " p"] | None = None,
) -> SparseTable | DenseTable:
    """Tabulate a sparse matrix, given the input pixels of every output row of the first sector.

    Args:
        nside: resolution of the input map.
        pixels: NESTED input pixels.
        weights: their weights, zero where unused; already on the device, so that there is no
            second copy of the largest array.
        used: boolean, false where an entry is padding.
        sectors: number of sectors of the fold.
        cells: pixels of the input map if it is a patch, ascending (then there is one sector).
    """
    values = np.asarray(weights)  # a view, not a copy
    if cells is None:
        rows, sector = symmetry.locate(nside, pixels, sectors)
        in_rows = 12 * nside**2 // sectors
    else:
        rows, sector, in_rows = find(cells, pixels)[0], np.zeros_like(pixels), cells.size
    sector = np.where(used, sector, 0)
    rows = np.where(used, rows, 0).astype(np.int32)
    if in_rows * sectors <= _DENSE_PIXELS:
        dense = np.zeros((values.shape[1], sectors, in_rows, values.shape[2]), values.dtype)
        out_rows = np.broadcast_to(np.arange(values.shape[1]), rows.shape)
        np.add.at(dense, (out_rows[used], sector[used], rows[used]), values[used])
        return DenseTable(weights=jnp.asarray(dense.transpose(0, 3, 1, 2)))
    away = sector > 0
    halo, position = np.unique(sector[away] * in_rows + rows[away], return_inverse=True)
    rows[away] = in_rows + position
    halo_shifts, halo_rows = np.divmod(halo, in_rows)
    repeated, copies = np.unique(halo_rows, return_inverse=True)
    repeats = np.full((max(sectors - 1, 1), repeated.size), halo.size)
    repeats[halo_shifts - 1, copies] = np.arange(halo.size)
    extended = in_rows + halo.size
    transposed_indices, transposed_weights = pad_transpose(rows, values, used, extended)
    integers = {
        "indices": rows,
        "transposed_indices": transposed_indices,
        "halo_rows": halo_rows,
        "halo_shifts": np.append(halo_shifts, 0),
        "repeated_rows": repeated,
        "repeats": repeats,
    }
    return SparseTable(
        weights=weights,
        transposed_weights=jnp.asarray(transposed_weights),
        **{name: jnp.asarray(array, dtype=jnp.int32) for name, array in integers.items()},
    )


def pad_transpose(
    indices: Int[np.ndarray, "k out_rows"],
    weights: Float[np.ndarray, "k out_rows outputs"],
    used: np.ndarray,
    extended_rows: int,
) -> tuple[Int[np.ndarray, "kt extended_rows"], Float[np.ndarray, "kt extended_rows outputs"]]:
    """Transpose the padded tables of a sparse matrix, on the host.

    Args:
        indices: input row of every entry.
        weights: weights of every entry.
        used: boolean `[k, out_rows]`, false where an entry is padding.
        extended_rows: number of input rows including the halo.
    """
    counts = np.zeros(extended_rows, dtype=np.int64)
    for k in range(indices.shape[0]):
        counts += np.bincount(indices[k][used[k]], minlength=extended_rows)
    transposed_indices = np.zeros((int(counts.max()), extended_rows), dtype=np.int32)
    transposed_weights = np.zeros((*transposed_indices.shape, weights.shape[2]), weights.dtype)
    filled = np.zeros(extended_rows, dtype=np.int64)
    for k in range(indices.shape[0]):  # one at a time, to keep temporary arrays small
        out_rows = np.flatnonzero(used[k])
        target = indices[k, out_rows]
        order = np.argsort(target, kind="stable")
        out_rows, target = out_rows[order], target[order]
        first = np.flatnonzero(np.diff(target, prepend=-1))
        sizes = np.diff(first, append=target.size)
        slot = filled[target] + np.arange(target.size) - np.repeat(first, sizes)
        transposed_indices[slot, target] = out_rows
        transposed_weights[slot, target] = weights[k, out_rows]
        filled[target[first]] += sizes
    return transposed_indices, transposed_weights
