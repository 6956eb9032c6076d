"""Dense matrices between folded fields, for the coarsest grids."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Number of pixels up to which all outputs are made by one product.
_PIXELS_AT_ONCE = 192


class DenseTable(eqx.Module):
    """A matrix between folded fields of a few pixels, with all its zeros and all sectors.

    Attributes:
        weights: for every output (orientation, part, sector, row), those of all input pixels.
    """

    weights: Float[Array, "L parts sectors out_rows in_sectors in_rows"]

    @property
    def orientations(self) -> int:
        """Number of orientations of the outputs."""
        return self.weights.shape[0]

    @property
    def parts(self) -> int:
        """Number of parts of the outputs: two for wavelets, real and imaginary."""
        return self.weights.shape[1]

    @property
    def rows(self) -> int:
        """Number of rows that the matrix writes."""
        return self.weights.shape[3]

    @property
    def in_rows(self) -> int:
        """Number of rows that the matrix reads."""
        return self.weights.shape[5]

    def absolute(self) -> "DenseTable":
        """Return the matrix of the absolute weights."""
        return DenseTable(jnp.abs(self.weights))

    def spread(
        self, field: Float[Array, "channels sectors in_rows"]
    ) -> Float[Array, "L parts channels sectors out_rows"]:
        """Apply the matrix."""
        weights = self._of_outputs()

        def apply(matrix: Array) -> Float[Array, "channels sectors out_rows"]:
            return jnp.einsum("soti,cti->cso", matrix, field, precision="highest")

        out = jax.lax.map(apply, weights) if self._one_by_one else jax.vmap(apply)(weights)
        return out.reshape(self.orientations, self.parts, *out.shape[1:])

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"]
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix."""
        weights = self._of_outputs()
        fields = fields.reshape(-1, *fields.shape[2:])
        if not self._one_by_one:
            return jnp.einsum("asoti,acso->cti", weights, fields, precision="highest")

        def add(total: Array, output: tuple[Array, Array]) -> tuple[Array, None]:
            part = jnp.einsum("soti,cso->cti", *output, precision="highest")
            return total + part, None

        total = jnp.zeros((fields.shape[1], *weights.shape[-2:]), fields.dtype)
        return jax.lax.scan(add, total, (weights, fields))[0]

    @property
    def _one_by_one(self) -> bool:
        """Whether orientations and parts follow one another: TPUs compile that in half the time."""
        return self.weights.shape[2] * self.rows > _PIXELS_AT_ONCE

    def _of_outputs(self) -> Float[Array, "outputs sectors out_rows in_sectors in_rows"]:
        return self.weights.reshape(-1, *self.weights.shape[2:])
