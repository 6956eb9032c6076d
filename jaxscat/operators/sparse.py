"""A constant sparse matrix as padded gathers, with its transpose as gathers too.

`spread` takes a folded field to several outputs per row; `collect` is its exact transpose. Both
are linear JAX primitives: they differentiate forwards and backwards, neither scatters with
colliding indices (so results are deterministic on every device), and `jax.vmap` folds the batch
into the channels, so that one gathered row serves all of it.
"""

from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.operators.symmetry import seen_columns
from jaxscat.operators.table import DenseTable, SparseTable

# With at most so many rows, all gathered rows are held at once: they fit a cache.
_FEW_ROWS = 8192


def spread(
    table: SparseTable | DenseTable, field: Float[Array, "in_rows fields channels sectors"]
) -> Float[Array, "out_rows outputs fields channels sectors"]:
    """Apply the matrix: every output row is a weighted sum of gathered input rows.

    The channels are orientations (or a single one): a row repeated from the neighbouring sector
    is turned to the orientations of the sector that reads it.

    Source: `docs/conventions.md`, "Sectors".
    """
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return _spread_dense(table.weights, field)
    return _spread_primitive.bind(field, *_leaves(table))


def collect(
    table: SparseTable | DenseTable,
    field: Float[Array, "out_rows outputs fields channels sectors"],
) -> Float[Array, "in_rows fields channels sectors"]:
    """Apply the transpose of the matrix that `spread` applies.

    Source: `docs/conventions.md`, "Sectors".
    """
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return _collect_dense(table.weights, field)
    return _collect_primitive.bind(field, *_leaves(table))


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
    # The tables are checked when built, so no clamping is asked for.
    return rows.at[indices].get(mode="promise_in_bounds")


def _gather_rows(rows: Float[Array, "n columns"], index: Int[Array, "*k"]) -> Array:
    """Return whole rows; said in XLA's own terms, which saves the check for negative indices."""
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(index.ndim,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    size = (1, rows.shape[1])
    return jax.lax.gather(rows, index[..., None], numbers, size, mode="promise_in_bounds")


def _seen_matrices(channels: int, sectors: int, dtype: DTypeLike) -> Array:
    """Permutation matrices `[shift, column, seen column]` of `symmetry.seen_columns`."""
    columns = seen_columns(channels, sectors)
    return jnp.asarray(np.eye(columns.shape[1])[:, columns].swapaxes(0, 1), dtype)


def _spread_dense(weights: Array, field: Array) -> Array:
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


def _collect_dense(weights: Array, field: Array) -> Array:
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
    """Append the halo, rows as they are seen from another sector; all on two axes."""
    count, fields, channels, sectors = field.shape
    seen = _field_columns(seen_columns(channels, sectors), fields)
    rows = field.reshape(count, -1)
    halo = _gather(rows, halo_rows[:, None], _gather(seen, halo_shifts[:-1]))
    return jnp.concatenate([rows, halo])


def _reduce_halo(extended: Array, shape: tuple[int, ...], tables: Sequence[Array]) -> Array:
    """Add the halo back to the rows it repeats: the transpose of `_extend`."""
    halo_rows, halo_shifts, repeated_rows, repeats = tables
    fields, channels, sectors = shape
    back = np.argsort(seen_columns(channels, sectors), axis=1)
    columns = _gather(_field_columns(back, fields), _gather(halo_shifts, repeats))
    count = extended.shape[0] - halo_rows.shape[0]
    halo = jnp.concatenate([extended[count:], jnp.zeros_like(extended[:1])])
    # Every repeated row is written once: no two updates collide.
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


def _spread_rows(
    field, indices, weights, _transposed_indices, _transposed_weights, rows, shifts, *_repeats
):
    shape = field.shape[1:]
    rows = _extend(field, rows, shifts)
    if weights.shape[1] <= _FEW_ROWS:
        # One batched product compiles in a third of the time.
        total = jnp.einsum(
            "kro,krc->roc", weights, _gather_rows(rows, indices), precision="highest"
        )
    else:

        def add(total, entry):
            index, weight = entry
            return total + weight[:, :, None] * _gather_rows(rows, index)[:, None, :], None

        start = jnp.zeros((*weights.shape[1:], rows.shape[1]), rows.dtype)
        # Unrolled, the sums never leave the registers.
        total, _ = jax.lax.scan(add, start, (indices, weights), unroll=True)
    return total.reshape(weights.shape[1], weights.shape[2], *shape)


def _collect_rows(field, _indices, _weights, transposed_indices, transposed_weights, *halo):
    outputs, shape = field.shape[1], field.shape[2:]
    rows = field.reshape(-1, outputs * np.prod(shape))
    parts = [
        weight[:, :, None] * _gather_rows(rows, index).reshape(-1, outputs, np.prod(shape))
        for index, weight in zip(transposed_indices, transposed_weights, strict=True)
    ]
    return _reduce_halo(reduce(jnp.add, parts).sum(1), shape, halo).reshape(-1, *shape)


def _spread_shape(field, _indices, weights, *_rest):
    return field.update(shape=(*weights.shape[1:], *field.shape[1:]))


def _collect_shape(field, _indices, _weights, transposed_indices, _transposed_weights, *halo):
    rows = transposed_indices.shape[1] - halo[0].shape[0]
    return field.update(shape=(rows, *field.shape[2:]))


def _linear_jvp(primitive, primals, tangents):
    out = primitive.bind(*primals)
    if type(tangents[0]) is ad.Zero:
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, primitive.bind(tangents[0], *primals[1:])


def _linear_transpose(transposed, cotangent, field, *tables):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(field.aval)] + [None] * len(tables)
    return [transposed().bind(cotangent, *tables)] + [None] * len(tables)


def _fold_batch(primitive, lead, args, dims):
    """Move a batch of fields to the axis of fields, which every gathered row carries along."""
    if any(dim is not batching.not_mapped for dim in dims[1:]):
        moved = [
            arg if dim is batching.not_mapped else jnp.moveaxis(arg, dim, 0)
            for arg, dim in zip(args, dims, strict=True)
        ]
        mapped = [dim is not batching.not_mapped for dim in dims]

        def one(index):
            return primitive.bind(
                *(a[index] if is_mapped else a for a, is_mapped in zip(moved, mapped, strict=True))
            )

        size = next(a.shape[0] for a, is_mapped in zip(moved, mapped, strict=True) if is_mapped)
        return jax.lax.map(one, jnp.arange(size)), 0
    field = jnp.moveaxis(args[0], dims[0], lead)
    batch, fields = field.shape[lead], field.shape[lead + 1]
    shape = field.shape
    out = primitive.bind(
        field.reshape(*shape[:lead], batch * fields, *shape[lead + 2 :]), *args[1:]
    )
    axis = 3 - lead  # the fields stand one axis later (spread) or earlier (collect)
    split = out.reshape(*out.shape[:axis], batch, fields, *out.shape[axis + 1 :])
    return split, axis


def _as_one_call(apply):
    """Keep a computation together as one call.

    XLA's CPU compiler would otherwise fuse it into every use of its result and do all the gathers
    again there.
    """
    together = jax.jit(apply)

    def call(*operands):
        with set_xla_metadata(inlineable="false"):
            return together(*operands)

    return call


def _linear_primitive(name, apply, shape, transposed, lead):
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(apply))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(apply, multiple_results=False))
    mlir.register_lowering(
        primitive, mlir.lower_fun(_as_one_call(apply), multiple_results=False), platform="cpu"
    )
    ad.primitive_jvps[primitive] = partial(_linear_jvp, primitive)
    ad.primitive_transposes[primitive] = partial(_linear_transpose, transposed)
    batching.primitive_batchers[primitive] = partial(_fold_batch, primitive, lead)
    return primitive


_spread_primitive = _linear_primitive(
    "scattering_spread", _spread_rows, _spread_shape, lambda: _collect_primitive, lead=1
)
_collect_primitive = _linear_primitive(
    "scattering_collect", _collect_rows, _collect_shape, lambda: _spread_primitive, lead=2
)
