"""A sum over shifted slices of the base faces, shared among devices as slabs of the faces.

Every device gathers the whole field, surrounds the faces by their halos, and keeps the lines that
its slabs read. What follows is the sum of `FaceTable`.
"""

import dataclasses
from math import gcd
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxscat.operators.faces import FaceTable
from jaxscat.operators.shared_rows import AXIS, FIELD, FIELDS

_SLABS = PartitionSpec(None, None, None, AXIS)


class _Slabs(FaceTable):
    """The sum on one device, where slabs take the places of faces.

    Attributes:
        per_face: number of slabs of a face.
        devices: number of devices.
    """

    per_face: int = eqx.field(static=True)
    devices: int = eqx.field(static=True)

    def _pad(
        self, field: Float[Array, "channels sectors in_rows"]
    ) -> Float[Array, "columns slabs length"]:
        """Surround the faces of all devices by their halos, and take the slabs of this one."""
        slabs, lines, wide = self.weights.shape[3:]
        faces = slabs * self.devices // self.per_face
        # Halos depend on the shape of the weights only.
        shape = *self.weights.shape[:3], faces, self._side, wide
        weights: Any = jax.ShapeDtypeStruct(shape, self.weights.dtype)
        whole = FaceTable(weights, self.corners, self.offsets, self.halo, self.step)
        field = jax.lax.all_gather(field, AXIS, axis=2, tiled=True)
        padded = whole._pad(field)[..., : (self.step * wide) ** 2]
        padded = padded.reshape(-1, faces, self.step**2, wide, wide)
        size = padded.shape[0], 1, self.step**2, lines + wide - self._side, wide

        def slab(number: Array) -> Array:
            face, place = jnp.divmod(number, self.per_face)
            start = jnp.zeros_like(face)
            return jax.lax.dynamic_slice(padded, (start, face, start, place * lines, start), size)

        first = jax.lax.axis_index(AXIS) * slabs
        own = jnp.concatenate([slab(first + number) for number in range(slabs)], axis=1)
        return jnp.pad(own.reshape(*own.shape[:2], -1), ((0, 0), (0, 0), (0, wide)))


class SharedFaceTable(eqx.Module):
    """Weights by the shift between input and output, for fields shared among devices.

    Attributes:
        slabs: the weights, with slabs of all faces in place of the faces.
        mesh: the devices.

    Source: `docs/conventions.md`, "Several devices".
    """

    slabs: _Slabs
    mesh: Mesh = eqx.field(static=True)

    @property
    def weights(self) -> Float[Array, "shifts L parts slabs y wide_x"]:
        """All weights."""
        return self.slabs.weights

    @property
    def orientations(self) -> int:
        """Number of orientations of the outputs."""
        return self.slabs.orientations

    @property
    def parts(self) -> int:
        """Number of parts of the outputs: two for wavelets, real and imaginary."""
        return self.slabs.parts

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes, on all devices."""
        return self.slabs.rows

    @property
    def in_rows(self) -> int:
        """Number of rows that the matrix reads, on all devices."""
        return self.slabs.in_rows

    def absolute(self) -> "SharedFaceTable":
        """Return the matrix of the absolute weights."""
        return eqx.tree_at(lambda table: table.slabs.weights, self, jnp.abs(self.weights))

    def spread(
        self, field: Float[Array, "channels sectors in_rows"], in_blocks: bool = False
    ) -> Float[Array, "L parts channels sectors out_rows"]:
        """Apply the matrix; the rows of the result are shared as those of the field."""

        def on_device(field: Array, weights: Array, corners: Array) -> Array:
            return self._own(weights, corners).spread(field, in_blocks)

        return self._on_devices(on_device, FIELD, FIELDS)(field, self.weights, self.slabs.corners)

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"], in_blocks: bool = False
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix."""

        def on_device(fields: Array, weights: Array, corners: Array) -> Array:
            return self._own(weights, corners).collect(fields, in_blocks)

        return self._on_devices(on_device, FIELDS, FIELD)(fields, self.weights, self.slabs.corners)

    def _own(self, weights: Array, corners: Array) -> _Slabs:
        return dataclasses.replace(self.slabs, weights=weights, corners=corners)

    def _on_devices(self, function: Any, operand: PartitionSpec, result: PartitionSpec) -> Any:
        return jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=(operand, _SLABS, PartitionSpec()),
            out_specs=result,
            check_vma=False,
        )


def can_share_faces(table: FaceTable, devices: int) -> bool:
    """Return whether the lines of the faces can be shared evenly."""
    faces, side, _ = table.weights.shape[3:]
    return faces * side % devices == 0


def share_faces(table: FaceTable, mesh: Mesh) -> SharedFaceTable:
    """Share a matrix among devices, on the host.

    Args:
        table: a matrix for which `can_share_faces`.
        mesh: of one axis, `AXIS`.
    """
    *others, faces, side, wide = table.weights.shape
    # As few as all devices have whole ones of.
    per_face = mesh.size // gcd(mesh.size, faces)
    weights = np.asarray(table.weights)
    weights = weights.reshape(*others, faces * per_face, side // per_face, wide)
    slabs = _Slabs(
        jax.device_put(weights, NamedSharding(mesh, _SLABS)),
        jax.device_put(table.corners, NamedSharding(mesh, PartitionSpec())),
        table.offsets,
        table.halo,
        table.step,
        per_face,
        mesh.size,
    )
    return SharedFaceTable(slabs, mesh)
