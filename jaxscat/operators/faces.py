"""A sparse matrix as a sum over shifted slices of the base faces, for accelerators.

On a face of HEALPix the pixels that a stencil reads are neighbours in two dimensions: the same few
shifts serve all pixels. With the rows of a face one after the other, each a halo wider than the
face, a shift in two dimensions is one in memory: a slice. The sum over them reads no index per
pixel and streams the weights once; its transpose is the same sum backwards, with the same weights.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxscat.operators.halo import pad_faces
from jaxscat.operators.symmetry import FACE_ROWS

Offsets = tuple[tuple[int, int], ...]

# Shifts summed in one step of the loop: more compile slowly, fewer write the sums more often.
# Tables are best made of whole steps: what is left over is compiled by itself.
SHIFTS_OF_A_STEP = 3


class FaceTable(eqx.Module):
    """Weights of a sparse matrix between folded fields, by the shift between input and output.

    Rows are ordered by face, y and x.

    Attributes:
        weights: those of the output pixels; x counts on into the halo, where weights are zero.
        corners: pixels that stand in the corners of the halo (see `pad_faces`).
        offsets: shift of every weight in y and x, in input pixels, from the output pixel or from
            the first of its children.
        halo: width of the halo.
        step: input pixels per output pixel: 1, or 2 for downsampling.

    Source: `docs/conventions.md`, "Layouts".
    """

    weights: Float[Array, "shifts L parts faces y wide_x"]
    corners: Int[Array, " corners"]
    offsets: Offsets = eqx.field(static=True)
    halo: int = eqx.field(static=True)
    step: int = eqx.field(static=True)

    @property
    def orientations(self) -> int:
        """Number of orientations of the outputs."""
        return self.weights.shape[1]

    @property
    def parts(self) -> int:
        """Number of parts of the outputs: two for wavelets, real and imaginary."""
        return self.weights.shape[2]

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes."""
        faces, lines, _ = self.weights.shape[3:]
        return faces * lines * self._side

    @property
    def in_rows(self) -> int:
        """Number of rows that the matrix reads."""
        return self.rows * self.step**2

    def absolute(self) -> "FaceTable":
        """Return the matrix of the absolute weights."""
        return eqx.tree_at(lambda table: table.weights, self, jnp.abs(self.weights))

    def spread(
        self, field: Float[Array, "channels sectors in_rows"], in_blocks: bool = False
    ) -> Float[Array, "L parts channels sectors out_rows"]:
        """Apply the matrix."""
        channels, sectors, _ = field.shape
        padded = self._pad(field)
        _, outputs, faces, length = self._flat_weights().shape

        def add(total: Array, entry: tuple[Array, Array]) -> tuple[Array, None]:
            weights, start = entry
            part = jax.lax.dynamic_slice_in_dim(padded, start, length, 2)
            return total + weights[:, None] * part, None

        total = jnp.zeros((outputs, channels * sectors, faces, length), field.dtype)
        entries = self._flat_weights(), jnp.asarray(self._starts())
        total = jax.lax.scan(add, total, entries, unroll=SHIFTS_OF_A_STEP)[0]
        lines, wide = self.weights.shape[-2:]
        total = total.reshape(outputs, channels * sectors, faces, lines, wide)
        total = total[..., : self._side]
        return total.reshape(self.orientations, self.parts, channels, sectors, self.rows)

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"], in_blocks: bool = False
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix."""
        _, _, channels, sectors, _ = fields.shape
        weights = self._flat_weights()
        _, outputs, faces, length = weights.shape
        lines, wide = self.weights.shape[-2:]
        fields = fields.reshape(outputs, channels * sectors, faces, lines, self._side)
        fields = jnp.pad(fields, [(0, 0)] * 4 + [(0, wide - self._side)])
        fields = fields.reshape(outputs, channels * sectors, faces, length)

        def add(total: Array, entry: tuple[Array, Array]) -> tuple[Array, None]:
            weights, start = entry
            part = jax.lax.dynamic_slice_in_dim(total, start, length, 2)
            part = part + (weights[:, None] * fields).sum(0)
            return jax.lax.dynamic_update_slice_in_dim(total, part, start, 2), None

        shape = jax.ShapeDtypeStruct((channels, sectors, self.in_rows), fields.dtype)
        padded = jax.eval_shape(self._pad, shape)
        total = jnp.zeros(padded.shape, padded.dtype)
        entries = weights, jnp.asarray(self._starts())
        total = jax.lax.scan(add, total, entries, unroll=SHIFTS_OF_A_STEP)[0]
        return jax.linear_transpose(self._pad, shape)(total)[0]

    @property
    def _side(self) -> int:
        """Number of output pixels along x."""
        return self.weights.shape[-1] - 2 * self.halo // self.step

    def _flat_weights(self) -> Float[Array, "shifts outputs faces length"]:
        shifts, *_, faces, side, wide = self.weights.shape
        return self.weights.reshape(shifts, -1, faces, side * wide)

    def _starts(self) -> Int[np.ndarray, " shifts"]:
        """Return where the slices of all shifts begin in `_pad`."""
        lines, wide = self.weights.shape[-2:]
        high = lines + wide - self._side
        at = np.array(self.offsets) + self.halo
        (phase_y, phase_x), (y, x) = (at % self.step).T, (at // self.step).T
        return (phase_y * self.step + phase_x) * high * wide + y * wide + x

    def _pad(
        self, field: Float[Array, "channels sectors in_rows"]
    ) -> Float[Array, "columns faces length"]:
        """Surround the faces by their halos, and sort pixels by their phase of the steps."""
        faces, side, wide = self.weights.shape[3:]
        shape = FACE_ROWS, faces // FACE_ROWS, self.step * side, self.step * side
        padded = pad_faces(field.reshape(*field.shape[:2], *shape), self.halo, self.corners)
        if self.step > 1:
            padded = padded.reshape(-1, wide, self.step, wide, self.step)
            padded = padded.transpose(0, 2, 4, 1, 3)
        padded = padded.reshape(-1, faces, (self.step * wide) ** 2)
        # The last slice ends behind the last pixel.
        return jnp.pad(padded, ((0, 0), (0, 0), (0, wide)))
