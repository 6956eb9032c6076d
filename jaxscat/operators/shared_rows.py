"""A sparse matrix shared among devices: each has the blocks that write its part of the rows.

Rows that a device reads and another has are exchanged first. What follows is the product of
`RowTable`, on every device with its own blocks.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxscat.operators.entries import Shape
from jaxscat.operators.rows import BLOCK, RowTable
from jaxscat.operators.table import number_rows

AXIS = "devices"
_OWN = PartitionSpec(AXIS)
FIELD = PartitionSpec(None, None, AXIS)
FIELDS = PartitionSpec(None, None, None, None, AXIS)


class SharedRowTable(eqx.Module):
    """Blocks of a sparse matrix between folded fields whose rows are shared among devices.

    Attributes:
        table: blocks of every device, on a leading axis of devices. It reads the rows that the
            device has, and behind them those that it gets from each of the others.
        sent: for every device, which of its rows it sends to each; padded with numbers of no row.
        mesh: the devices.

    Source: `docs/conventions.md`, "Several devices".
    """

    table: RowTable
    sent: Int[Array, "devices devices most"]
    mesh: Mesh = eqx.field(static=True)

    @property
    def weights(self) -> Float[Array, "devices blocks union outputs"]:
        """Weights of all blocks."""
        return self.table.weights

    @property
    def orientations(self) -> int:
        """Number of orientations of the outputs."""
        return self.table.orientations

    @property
    def parts(self) -> int:
        """Number of parts of the outputs: two for wavelets, real and imaginary."""
        return self.table.parts

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes, on all devices."""
        devices, blocks, *_ = self.table.weights.shape
        return devices * blocks * BLOCK

    @property
    def in_rows(self) -> int:
        """Number of rows that the matrix reads, on all devices."""
        devices, _, most = self.sent.shape
        return devices * (self.table.in_rows - devices * most)

    def absolute(self) -> "SharedRowTable":
        """Return the matrix of the absolute weights."""
        return eqx.tree_at(lambda shared: shared.table, self, self.table.absolute())

    def spread(
        self, field: Float[Array, "channels sectors in_rows"], in_blocks: bool = False
    ) -> Float[Array, "L parts channels sectors out_rows"]:
        """Apply the matrix; the rows of the result are shared as those of the field.

        Args:
            field: what it is applied to.
            in_blocks: as for `RowTable`.
        """

        def on_device(field: Array, table: RowTable, sent: Array) -> Array:
            table, sent = _first((table, sent))
            return table.spread(_receive(field, sent), in_blocks)

        mapped = jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=(FIELD, _OWN, _OWN),
            out_specs=FIELDS,
            check_vma=False,
        )
        return mapped(field, self.table, self.sent)

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"], in_blocks: bool = False
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix.

        Args:
            fields: what it is applied to.
            in_blocks: as for `RowTable`.
        """
        own = self.in_rows // self.mesh.size

        def on_device(fields: Array, table: RowTable, sent: Array) -> Array:
            table, sent = _first((table, sent))
            together = table.collect(fields, in_blocks)
            field = jax.ShapeDtypeStruct((*together.shape[:2], own), together.dtype)
            back = jax.linear_transpose(lambda field: _receive(field, sent), field)
            return back(together)[0]

        mapped = jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=(FIELDS, _OWN, _OWN),
            out_specs=FIELD,
            check_vma=False,
        )
        return mapped(fields, self.table, self.sent)


def _first(tree: Any) -> Any:
    """Return the part of this device, the only one that it sees on the axis of devices."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _receive(
    field: Float[Array, "channels sectors own"], sent: Int[Array, "devices most"]
) -> Float[Array, "channels sectors own_and_received"]:
    """Append the rows that the other devices send to this one."""
    # One gather for each device: within one all rows differ, so that its transpose has no updates
    # that collide.
    leaving = [
        field.at[:, :, rows].get(mode="fill", fill_value=0, unique_indices=True) for rows in sent
    ]
    arrived = jax.lax.all_to_all(jnp.stack(leaving), AXIS, split_axis=0, concat_axis=0)
    arrived = jnp.moveaxis(arrived, 0, 2).reshape(*field.shape[:2], -1)
    return jnp.concatenate([field, arrived], axis=-1)


def can_share_rows(table: RowTable, devices: int) -> bool:
    """Return whether the rows of a matrix can be shared evenly, in whole blocks."""
    return (
        table.slots is None
        and table.in_rows % devices == 0
        and table.indices.shape[0] % devices == 0
    )


def share_rows(table: RowTable, mesh: Mesh) -> SharedRowTable:
    """Share a matrix among devices, on the host.

    Args:
        table: a matrix for which `can_share_rows`.
        mesh: of one axis, `AXIS`.
    """
    devices, sectors = mesh.size, table.halo.shape[0]
    own = table.in_rows // devices
    weights = np.asarray(table.weights)
    weights = weights.reshape(devices, -1, *weights.shape[1:])
    used = (weights != 0).any(-1)
    if used.all(axis=(1, 2)).any():  # the padding of the transpose needs a place of zero weight
        weights = np.pad(weights, [(0, 0)] * 2 + [(0, 1), (0, 0)])
        used = (weights != 0).any(-1)
    pad = [(0, 0)] * 2 + [(0, used.shape[2] - table.indices.shape[1])]
    shifts, rows = (
        np.pad(part.reshape(devices, -1, part.shape[1]), pad) for part in _read_by(table)
    )
    owners = rows // own
    # What every device (the first axis) reads of every other.
    wanted = [
        [
            np.unique(rows[to][used[to] & (owners[to] == of)]) % own
            if of != to
            else np.zeros(0, int)
            for of in range(devices)
        ]
        for to in range(devices)
    ]
    most = max(places.size for of_one in wanted for places in of_one)
    extended = own + devices * most
    sent = np.tile(np.arange(own, own + most), (devices, devices, 1))
    shape = Shape(table.orientations, table.parts, table.rows, extended, sectors, weights.dtype)
    found = []
    for to, of_one in enumerate(wanted):
        local = rows[to] - to * own
        for of, places in enumerate(of_one):
            sent[of, to, : places.size] = places
            there = used[to] & (owners[to] == of) & (of != to)
            local[there] = own + of * most + np.searchsorted(places, rows[to][there] % own)
        found.append(number_rows(np.where(used[to], shifts[to] * extended + local, -1), shape))
    arrays = _stack([_Numbered(**of_one) for of_one in found], used, extended)

    def put(array: np.ndarray) -> Array:
        return jax.device_put(array, NamedSharding(mesh, _OWN))

    return SharedRowTable(
        RowTable(
            weights=put(weights),
            **{name: put(values.astype(np.int32)) for name, values in arrays._asdict().items()},
            slots=None,
            windows=None,
            places=None,
            orientations=table.orientations,
            parts=table.parts,
            in_rows=extended,
        ),
        put(sent.astype(np.int32)),
        mesh,
    )


def _read_by(table: RowTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the sector (counted from the one that reads) and the row of every place."""
    rows = np.asarray(table.indices)
    shifts = np.zeros_like(rows)
    beyond = rows >= table.in_rows
    halo = np.asarray(table.halo)[0][rows[beyond] - table.in_rows]
    rows = rows.copy()
    shifts[beyond], rows[beyond] = np.divmod(halo, table.in_rows)
    return shifts, rows


class _Numbered(NamedTuple):
    """What `number_rows` returns of one device, or of all on a leading axis."""

    indices: np.ndarray
    positions: np.ndarray
    halo: np.ndarray
    repeated_rows: np.ndarray
    repeats: np.ndarray


def _stack(found: list[_Numbered], used: np.ndarray, rows: int) -> _Numbered:
    """Stack the numbers of all devices, padded to the same shapes."""
    halo = max(one.halo.shape[1] for one in found)
    reads = max(one.positions.shape[0] for one in found)
    repeated = max(one.repeated_rows.size for one in found)
    padded = []
    for one, places in zip(found, used, strict=True):
        sectors, own_halo = one.halo.shape
        free = int(np.argmin(places))
        missing = (0, reads - one.positions.shape[0]), (0, halo - own_halo)
        # Rows of which there is no copy.
        others = np.setdiff1d(np.arange(rows), one.repeated_rows)
        others = others[: repeated - one.repeated_rows.size]
        repeated_rows = np.concatenate([one.repeated_rows, others])
        repeats = np.where(one.repeats == sectors * own_halo, sectors * halo, one.repeats)
        repeats = np.pad(
            repeats, ((0, 0), (0, others.size), (0, 0)), constant_values=sectors * halo
        )
        order = np.argsort(repeated_rows)
        padded.append(
            _Numbered(
                one.indices,
                np.pad(one.positions, missing, constant_values=free),
                np.pad(one.halo, ((0, 0), (0, halo - own_halo))),
                repeated_rows[order],
                repeats[:, order],
            )
        )
    return _Numbered(*(np.stack(parts) for parts in zip(*padded, strict=True)))
