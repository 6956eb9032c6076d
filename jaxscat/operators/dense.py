"""Dense matrices between folded fields, for the coarsest grids."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class DenseTable(eqx.Module):
    """A matrix between folded fields of a few pixels, with all its zeros and all sectors.

    Attributes:
        weights: for every output (orientation, sector, part, row), those of all input pixels.
    """

    weights: Float[Array, "L sectors parts out_rows in_sectors in_rows"]

    @property
    def orientations(self) -> int:
        """Number of orientations of the outputs."""
        return self.weights.shape[0]

    @property
    def parts(self) -> int:
        """Number of parts of the outputs: two for wavelets, real and imaginary."""
        return self.weights.shape[2]

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
        return jnp.einsum("lspoti,cti->lpcso", self.weights, field, precision="highest")

    def collect(
        self, fields: Float[Array, "L parts channels sectors out_rows"]
    ) -> Float[Array, "channels sectors in_rows"]:
        """Apply the transpose of the matrix."""
        return jnp.einsum("lspoti,lpcso->cti", self.weights, fields, precision="highest")
