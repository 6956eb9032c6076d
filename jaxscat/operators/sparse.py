"""A constant sparse matrix as padded gathers, with its transpose as gathers too.

`apply_matrix` maps a folded field to several outputs per row; `apply_transpose` is its exact
transpose. Both are linear JAX primitives: they differentiate forwards and backwards, neither
scatters with colliding indices (so results are deterministic on every device), and `jax.vmap`
folds the batch into the fields, so that one gathered row serves all of it.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.operators.linear_primitive import linear_primitive
from jaxscat.operators.symmetry import seen_columns
from jaxscat.operators.table import DenseTable, SparseTable

# Maximum number of rows for which all gathered rows are held at once: they fit into a cache.
_FEW_ROWS = 8192

# On CPUs, larger results (rows by columns) are computed in blocks whose gathered rows fit into a
# cache, unless rows have so few columns that this gains nothing.
_FEW_NUMBERS = 1 << 17
_NUMBERS_OF_A_BLOCK = 3 << 13
_FEW_COLUMNS = 8


def apply_matrix(
    table: SparseTable | DenseTable, field: Float[Array, "in_rows fields channels sectors"]
) -> Float[Array, "out_rows outputs fields channels sectors"]:
    """Apply a sparse matrix: every output row is a weighted sum of gathered input rows.

    The channels are orientations (or a single one): a row of another sector is rotated to the
    orientations of the sector that reads it.
    """
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return _apply_dense(table.weights, field)
    return _apply_primitive.bind(field, *_leaves(table))


def apply_transpose(
    table: SparseTable | DenseTable,
    field: Float[Array, "out_rows outputs fields channels sectors"],
) -> Float[Array, "in_rows fields channels sectors"]:
    """Apply the transpose of the matrix of `apply_matrix`."""
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return _transpose_dense(table.weights, field)
    return _transpose_primitive.bind(field, *_leaves(table))


def _leaves(table: SparseTable) -> Sequence[Array]:
    return (
        table.indices,
        table.weights,
        table.transposed_indices,
        table.transposed_weights,
        table.halo_rows,
        table.halo_shifts,
        table.repeated_rows,
        table.repeats,
    )


def _gather(rows: Array, *indices: Array) -> Array:
    # Indices are in bounds by construction, so no clamping is needed.
    return rows.at[indices].get(mode="promise_in_bounds")


def _gather_rows(rows: Float[Array, "n columns"], index: Int[Array, "*k"]) -> Array:
    """Gather whole rows, by `lax.gather` to avoid the check for negative indices."""
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(index.ndim,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    size = (1, rows.shape[1])
    return jax.lax.gather(rows, index[..., None], numbers, size, mode="promise_in_bounds")


def _seen_matrices(channels: int, sectors: int, dtype: DTypeLike) -> Array:
    """Return the permutation matrices `[shift, column, seen column]` of `seen_columns`."""
    columns = seen_columns(channels, sectors)
    return jnp.asarray(np.eye(columns.shape[1])[:, columns].swapaxes(0, 1), dtype)


def _apply_dense(weights: Array, field: Array) -> Array:
    rows, fields, channels, sectors = field.shape
    seen = _seen_matrices(channels, sectors, field.dtype)
    out = jnp.einsum(
        "roti,txy,ifx->rofy",
        weights,
        seen,
        field.reshape(rows, fields, -1),
        precision="highest",
    )
    return out.reshape(*out.shape[:3], channels, sectors)


def _transpose_dense(weights: Array, field: Array) -> Array:
    rows, outputs, fields, channels, sectors = field.shape
    seen = _seen_matrices(channels, sectors, field.dtype)
    out = jnp.einsum(
        "roti,txy,rofy->ifx",
        weights,
        seen,
        field.reshape(rows, outputs, fields, -1),
        precision="highest",
    )
    return out.reshape(*out.shape[:2], channels, sectors)


def _extend(field: Array, halo_rows: Array, halo_shifts: Array) -> Array:
    """Append the halo (rows as seen from another sector); returns `[rows, columns]`."""
    count, fields, channels, sectors = field.shape
    seen = _field_columns(seen_columns(channels, sectors), fields)
    rows = field.reshape(count, -1)
    halo = _gather(rows, halo_rows[:, None], _gather(seen, halo_shifts[:-1]))
    return jnp.concatenate([rows, halo])


def _reduce_halo(extended: Array, shape: tuple[int, ...], tables: Sequence[Array]) -> Array:
    """Add the halo to the rows it was copied from: the transpose of `_extend`."""
    halo_rows, halo_shifts, repeated_rows, repeats = tables
    fields, channels, sectors = shape
    back = np.argsort(seen_columns(channels, sectors), axis=1)
    columns = _gather(_field_columns(back, fields), _gather(halo_shifts, repeats))
    count = extended.shape[0] - halo_rows.shape[0]
    halo = jnp.concatenate([extended[count:], jnp.zeros_like(extended[:1])])
    # Every row is written once: no updates collide.
    return (
        extended[:count]
        .at[repeated_rows]
        .add(
            _gather(halo, repeats[:, :, None], columns).sum(0),
            mode="promise_in_bounds",
            unique_indices=True,
            indices_are_sorted=True,
        )
    )


def _field_columns(columns: np.ndarray, fields: int) -> Array:
    """Repeat the columns of one field for all fields of a row."""
    width = columns.shape[1]
    return jnp.asarray(
        (columns[:, None, :] + width * np.arange(fields)[:, None]).reshape(len(columns), -1)
    )


def _apply_rows(
    field, indices, weights, _transposed_indices, _transposed_weights, rows, shifts, *_repeats
):
    shape = field.shape[1:]
    rows = _extend(field, rows, shifts)
    return _weighted_sums(rows, indices, weights).reshape(*weights.shape[1:], *shape)


def _weighted_sums(
    rows: Float[Array, "n columns"],
    indices: Int[Array, "k out_rows"],
    weights: Float[Array, "k out_rows outputs"],
) -> Float[Array, "out_rows outputs columns"]:
    if weights.shape[1] <= _FEW_ROWS:
        # A single batched product compiles in a third of the time.
        return jnp.einsum("kro,krc->roc", weights, _gather_rows(rows, indices), precision="highest")

    def add(total, entry):
        index, weight = entry
        return total + weight[:, :, None] * _gather_rows(rows, index)[:, None, :], None

    start = jnp.zeros((*weights.shape[1:], rows.shape[1]), rows.dtype)
    # Unrolled, the sums stay in registers.
    return jax.lax.scan(add, start, (indices, weights), unroll=True)[0]


def _apply_blocks(
    field, indices, weights, _transposed_indices, _transposed_weights, rows, shifts, *_repeats
):
    shape = field.shape[1:]
    rows = _extend(field, rows, shifts)
    sums = _in_blocks(partial(_weighted_sums, rows), rows.shape[1], indices, weights)
    return sums.reshape(*weights.shape[1:], *shape)


def _transpose_rows(field, _indices, _weights, indices, weights, *halo):
    sums = _transposed_sums(field, indices, weights)
    return _reduce_halo(sums, field.shape[2:], halo).reshape(-1, *field.shape[2:])


def _transposed_sums(
    field: Float[Array, "out_rows outputs *shape"],
    indices: Int[Array, "k extended"],
    weights: Float[Array, "k extended outputs"],
) -> Float[Array, "extended columns"]:
    outputs, columns = field.shape[1], np.prod(field.shape[2:])
    rows = field.reshape(-1, outputs * columns)
    parts = [
        weight[:, :, None] * _gather_rows(rows, index).reshape(-1, outputs, columns)
        for index, weight in zip(indices, weights, strict=True)
    ]
    return reduce(jnp.add, parts).sum(1)


def _transpose_blocks(field, _indices, _weights, indices, weights, *halo):
    sums = _in_blocks(partial(_transposed_sums, field), np.prod(field.shape[2:]), indices, weights)
    return _reduce_halo(sums, field.shape[2:], halo).reshape(-1, *field.shape[2:])


def _in_blocks(
    sums: Callable[[Array, Array], Array],
    columns: int,
    indices: Int[Array, "k rows"],
    weights: Float[Array, "k rows outputs"],
) -> Float[Array, "rows *rest"]:
    """Return `sums(indices, weights)`, block by block where the rows would not fit the cache."""
    count = indices.shape[1]
    if columns < _FEW_COLUMNS or count * columns <= _FEW_NUMBERS:
        return sums(indices, weights)
    block = min(count, max(1, _NUMBERS_OF_A_BLOCK // columns))

    def block_sums(start):
        return sums(
            *(jax.lax.dynamic_slice_in_dim(table, start, block, 1) for table in (indices, weights))
        )

    def write(step, out):
        # The last block has the same length, and overwrites rows of the one before.
        start = jnp.minimum(step * block, count - block)
        return jax.lax.dynamic_update_slice_in_dim(out, block_sums(start), start, 0)

    one = jax.eval_shape(block_sums, 0)
    start = jnp.zeros((count, *one.shape[1:]), one.dtype)
    return jax.lax.fori_loop(0, -(-count // block), write, start)


def _apply_shape(field, _indices, weights, *_rest):
    return field.update(shape=(*weights.shape[1:], *field.shape[1:]))


def _transpose_shape(field, _indices, _weights, transposed_indices, _transposed_weights, *halo):
    rows = transposed_indices.shape[1] - halo[0].shape[0]
    return field.update(shape=(rows, *field.shape[2:]))


_apply_primitive = linear_primitive(
    "scattering_matrix",
    _apply_rows,
    _apply_blocks,
    _apply_shape,
    lambda: _transpose_primitive,
    lead=1,
)
_transpose_primitive = linear_primitive(
    "scattering_transpose",
    _transpose_rows,
    _transpose_blocks,
    _transpose_shape,
    lambda: _apply_primitive,
    lead=2,
)
