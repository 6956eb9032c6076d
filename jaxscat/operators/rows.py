"""A sparse matrix as products of small dense blocks: four pixels and all that they read.

The four NESTED pixels below one coarse pixel read nearly the same neighbours. Their union is
gathered once, and one dense product with all channels makes all outputs of the four: the library
of the device does it at the speed of matrix products. The transpose uses the same weights, and
adds the products up by gathers: no updates collide.
"""

from collections.abc import Callable
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxscat.operators.block_product import multiply, multiply_transposed, product_of_blocks

# Output pixels of a block.
BLOCK = 4

# On CPUs, products of more numbers than this are made group by group, in the cache.
_NUMBERS_AT_ONCE = 1 << 21
_NUMBERS_OF_A_GROUP = 1 << 20


class RowTable(eqx.Module):
    """Blocks of a sparse matrix between folded fields, of four output rows each.

    Attributes:
        indices: input rows that the block reads; those beyond `in_rows` are in the halo.
        weights: of every output of the block (orientation, part, row), zero where padded.
        positions: of every input row and then the halo, the places in `indices` where it is read;
            padded with a place of zero weights.
        halo: rows that are read from other sectors: for every sector that reads, their places in
            all sectors.
        repeated_rows: the distinct rows of the halo, ascending.
        repeats: where their copies are in the halo of all sectors; padded with its length.
        slots: positions of the output rows in the blocks, if some blocks have fewer than four.
        windows, places: of large stencils, the rows that every group of blocks reads, and where
            its blocks find them there (see `windows`).
        orientations, parts: numbers of outputs of a row.
        in_rows: number of rows that the matrix reads.

    Source: `docs/conventions.md`, "Layouts".
    """

    indices: Int[Array, "blocks union"]
    weights: Float[Array, "blocks union outputs"]
    positions: Int[Array, "reads extended_rows"]
    halo: Int[Array, "sectors halo"]
    repeated_rows: Int[Array, " repeated"]
    repeats: Int[Array, "copies repeated sectors"]
    slots: Int[Array, " rows"] | None
    windows: Int[Array, "groups window"] | None
    places: Int[Array, "groups own union"] | None
    orientations: int = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    in_rows: int = eqx.field(static=True)

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes."""
        return BLOCK * self.indices.shape[0] if self.slots is None else self.slots.shape[0]

    def absolute(self) -> "RowTable":
        """Return the matrix of the absolute weights."""
        return eqx.tree_at(lambda table: table.weights, self, jnp.abs(self.weights))

    def spread(
        self, field: Float[Array, "channels sectors in_rows"], in_blocks: bool = False
    ) -> Float[Array, "L parts channels sectors out_rows"]:
        """Apply the matrix.

        Args:
            field: what it is applied to.
            in_blocks: make large products group by group.
        """
        channels, sectors, _ = field.shape
        extended = self._extend(field)

        def product(indices: Array, weights: Array) -> Array:
            product = multiply(_gather(extended, indices), weights)
            return self._by_output(product, channels, sectors)

        group = self._group(channels * sectors) if in_blocks else None
        out = _in_groups(product, group, self.indices, self.weights)
        return out if self.slots is None else out[..., self.slots]

    def gather_windows(
        self, field: Float[Array, "channels sectors in_rows"]
    ) -> Float[Array, "groups window channels sectors"]:
        """Return what every group of blocks reads of a field, row by row, for `spread_group`."""
        assert self.windows is not None
        extended = jax.lax.optimization_barrier(self._extend(field).T)
        return _gather_rows(extended, self.windows).reshape(*self.windows.shape, *field.shape[:2])

    def spread_group(
        self, window: Float[Array, "window channels sectors"], group: Int[Array, ""]
    ) -> Float[Array, "L parts channels sectors rows_of_group"]:
        """Apply the matrix for one group of blocks.

        All four rows of a block are written, whether they are outputs or not.

        Args:
            window: of this group, from `gather_windows`.
            group: its number.
        """
        assert self.places is not None
        _, channels, sectors = window.shape
        blocks = self.places.shape[1]
        start = jnp.minimum(group * blocks, self.indices.shape[0] - blocks)
        weights = jax.lax.dynamic_slice_in_dim(self.weights, start, blocks)
        places = jax.lax.dynamic_index_in_dim(self.places, group, keepdims=False)
        read = _gather_rows(window.reshape(-1, channels * sectors), places)
        return self._by_output(
            product_of_blocks.bind(read, weights, structure=None), channels, sectors
        )

    def split_in_groups(
        self, fields: Float[Array, "*batch rows"]
    ) -> Float[Array, "groups *batch rows_of_group"]:
        """Return fields of output rows group by group, zero where a block has no such row."""
        assert self.places is not None
        groups, blocks, _ = self.places.shape
        fields, size = self._pad_to_blocks(fields), BLOCK * blocks
        rest = fields.shape[-1] % size
        if rest:
            last = fields[..., -size:]
            fields = jnp.concatenate([fields[..., :-rest], last], axis=-1)
        split = fields.reshape(*fields.shape[:-1], groups, size)
        return jnp.moveaxis(split, -2, 0)

    def fresh_rows(self, group: Int[Array, ""]) -> Bool[Array, " rows_of_group"] | None:
        """Return which rows of a group are in no group before; None where all are, always."""
        assert self.places is not None
        _, blocks, _ = self.places.shape
        repeated = -self.indices.shape[0] % blocks
        if not repeated:
            return None
        last = group == self.places.shape[0] - 1
        return ~last | (jnp.arange(BLOCK * blocks) >= BLOCK * repeated)

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"], in_blocks: bool = False
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix.

        Args:
            fields: what it is applied to.
            in_blocks: make large products channel by channel: they are summed over all blocks.
        """
        channels = fields.shape[2]
        some = self._channels_at_once(fields) if in_blocks else channels
        if some == channels:
            return self._collect(fields)

        def of_some(start: Array) -> Array:
            return self._collect(jax.lax.dynamic_slice_in_dim(fields, start, some, 2))

        parts = jax.lax.map(of_some, jnp.arange(0, channels, some))
        return parts.reshape(channels, *parts.shape[2:])

    def _pad_to_blocks(
        self, fields: Float[Array, "*batch rows"]
    ) -> Float[Array, "*batch block_rows"]:
        """Return fields of output rows at the rows of all blocks, zero where these are none."""
        if self.slots is None:
            return fields
        blocks = jnp.zeros((*fields.shape[:-1], BLOCK * self.indices.shape[0]), fields.dtype)
        return blocks.at[..., self.slots].set(fields, unique_indices=True)

    def _by_output(
        self, product: Float[Array, "blocks columns outputs"], channels: int, sectors: int
    ) -> Float[Array, "L parts channels sectors rows_of_blocks"]:
        out = product.reshape(-1, channels, sectors, self.orientations, self.parts, BLOCK)
        out = out.transpose(3, 4, 1, 2, 0, 5)
        return out.reshape(*out.shape[:4], -1)

    def _collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"]
    ) -> Float[Array, "channels sectors in_rows"]:
        fields = self._pad_to_blocks(fields)
        _, _, channels, sectors, _ = fields.shape
        split = fields.reshape(*fields.shape[:-1], -1, BLOCK).transpose(4, 2, 3, 0, 1, 5)
        split = split.reshape(split.shape[0], channels * sectors, -1)
        read = multiply_transposed(split, self.weights).reshape(-1, channels * sectors)
        # Unrolled, the gathers and sums are one loop.
        parts = [_gather_rows(read, self.positions[k]) for k in range(self.positions.shape[0])]
        return self._reduce(reduce(jnp.add, parts), channels, sectors)

    def _extend(
        self, field: Float[Array, "channels sectors rows"]
    ) -> Float[Array, "columns extended_rows"]:
        """Append the halo: rows of other sectors."""
        channels, sectors, rows = field.shape
        halo = field.reshape(channels, -1).at[:, self.halo].get(mode="promise_in_bounds")
        extended = jnp.concatenate([field, halo], axis=-1)
        return extended.reshape(channels * sectors, rows + self.halo.shape[1])

    def _reduce(
        self, extended: Float[Array, "extended_rows columns"], channels: int, sectors: int
    ) -> Float[Array, "channels sectors in_rows"]:
        """Add the halo to the rows it was copied from: the transpose of `_extend`."""
        split = extended.reshape(-1, channels, sectors)
        halo = split[self.in_rows :].transpose(0, 2, 1).reshape(-1, channels)
        halo = jnp.concatenate([halo, jnp.zeros_like(halo[:1])])
        parts = [_gather_rows(halo, self.repeats[k]) for k in range(self.repeats.shape[0])]
        # Every row is written once: no updates collide.
        out = (
            split[: self.in_rows]
            .at[self.repeated_rows]
            .add(
                reduce(jnp.add, parts).swapaxes(1, 2),
                mode="promise_in_bounds",
                unique_indices=True,
                indices_are_sorted=True,
            )
        )
        return out.transpose(1, 2, 0)

    def _channels_at_once(self, fields: Float[Array, "L parts channels sectors out_rows"]) -> int:
        """Return how many channels are collected at once: a divisor of their number."""
        channels, sectors = fields.shape[2:4]
        most = _NUMBERS_AT_ONCE // (sectors * self.indices.size)
        return max(
            count
            for count in range(1, channels + 1)
            if count <= max(1, most) and channels % count == 0
        )

    def _group(self, columns: int) -> int | None:
        """Return the number of blocks of a group, or None for all at once."""
        numbers = columns * self.indices.shape[1]
        if numbers * self.indices.shape[0] <= _NUMBERS_AT_ONCE:
            return None
        return max(1, _NUMBERS_OF_A_GROUP // numbers)


def _in_groups(
    product: Callable[[Array, Array], Array], group: int | None, *tables: Array
) -> Array:
    """Return products of blocks, whose results are joined on the last axis, group by group."""
    count = tables[0].shape[0]
    if group is None or group >= count:
        return product(*tables)

    def some(start: Array | int) -> Array:
        return product(*(jax.lax.dynamic_slice_in_dim(table, start, group) for table in tables))

    one = jax.eval_shape(some, 0)

    def write(step: Array, out: Array) -> Array:
        # The last group has the same length, and overwrites results of the one before.
        start = jnp.minimum(step * group, count - group)
        return jax.lax.dynamic_update_slice_in_dim(out, some(start), BLOCK * start, out.ndim - 1)

    out = jnp.zeros((*one.shape[:-1], BLOCK * count), one.dtype)
    return jax.lax.fori_loop(0, -(-count // group), write, out)


def _gather(
    columns: Float[Array, "columns rows"], indices: Int[Array, "blocks union"]
) -> Float[Array, "blocks columns union"]:
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(1,), collapsed_slice_dims=(1,), start_index_map=(1,)
    )
    size = (columns.shape[0], 1)
    # Indices are in bounds by construction, so no clamping is needed.
    return jax.lax.gather(columns, indices[..., None], numbers, size, mode="promise_in_bounds")


def _gather_rows(rows: Float[Array, "n columns"], index: Int[Array, "*k"]) -> Array:
    """Gather whole rows, by `lax.gather` to avoid the check for negative indices."""
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=(index.ndim,), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    size = (1, rows.shape[1])
    return jax.lax.gather(rows, index[..., None], numbers, size, mode="promise_in_bounds")
