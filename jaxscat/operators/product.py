"""The product of a constant sparse matrix, or of its transpose, with folded fields.

`spread` maps every pixel of a field to several outputs per row; `collect` is its exact transpose.
Both are linear JAX primitives whatever table holds the matrix: they differentiate forwards and
backwards, and `jax.vmap` folds a batch into the channels, so that one table serves all of it. No
updates collide, so results are deterministic on every device.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxscat.operators.dense import DenseTable
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.linear_primitive import linear_primitive
from jaxscat.operators.rows import RowTable
from jaxscat.operators.shared_faces import SharedFaceTable
from jaxscat.operators.shared_rows import SharedRowTable

Table = RowTable | FaceTable | DenseTable | SharedRowTable | SharedFaceTable


def spread(
    table: Table, field: Float[Array, "channels sectors in_rows"]
) -> Float[Array, "L parts channels sectors out_rows"]:
    """Apply a sparse matrix: every output is a weighted sum of pixels of the field.

    Each channel of the field is one field by itself. A wavelet has `L` orientations (in the gauge
    of each sector) of two parts, real and imaginary; downsampling has one of one.
    """
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return table.spread(field)
    leaves, structure = jax.tree.flatten(table)
    return _spread.bind(field, *leaves, structure=structure)


def collect(
    table: Table, fields: Float[Array, "L parts channels sectors out_rows"]
) -> Float[Array, "channels sectors in_rows"]:
    """Apply the transpose of the matrix of `spread`."""
    table = jax.lax.stop_gradient(table)
    if isinstance(table, DenseTable):
        return table.collect(fields)
    leaves, structure = jax.tree.flatten(table)
    return _collect.bind(fields, *leaves, structure=structure)


def _spread_leaves(field: Array, *leaves: Array, structure: Any) -> Array:
    return jax.tree.unflatten(structure, leaves).spread(field)


def _spread_in_blocks(field: Array, *leaves: Array, structure: Any) -> Array:
    return jax.tree.unflatten(structure, leaves).spread(field, in_blocks=True)


def _collect_leaves(fields: Array, *leaves: Array, structure: Any) -> Array:
    return jax.tree.unflatten(structure, leaves).collect(fields)


def _collect_in_blocks(fields: Array, *leaves: Array, structure: Any) -> Array:
    return jax.tree.unflatten(structure, leaves).collect(fields, in_blocks=True)


def _spread_shape(field: Any, *leaves: Any, structure: Any) -> Any:
    table = jax.tree.unflatten(structure, leaves)
    channels, sectors, _ = field.shape
    shape = (table.orientations, table.parts, channels, sectors, table.rows)
    return field.update(shape=shape)


def _collect_shape(fields: Any, *leaves: Sequence[Any], structure: Any) -> Any:
    table = jax.tree.unflatten(structure, leaves)
    _, _, channels, sectors, _ = fields.shape
    return fields.update(shape=(channels, sectors, table.in_rows))


_spread = linear_primitive(
    "scattering_spread",
    _spread_leaves,
    _spread_shape,
    lambda: _collect,
    axes=(0, 2),
    on_cpu=_spread_in_blocks,
)
_collect = linear_primitive(
    "scattering_collect",
    _collect_leaves,
    _collect_shape,
    lambda: _spread,
    axes=(2, 0),
    on_cpu=_collect_in_blocks,
)
