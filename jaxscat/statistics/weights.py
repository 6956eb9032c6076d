"""Masks of one scale, and the weighted means that they make of fields."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.statistics.moments import gram, products


class Weights(NamedTuple):
    """Masks of one scale, or None; `total` is the sum of each mask, or the number of pixels."""

    rows: Float[Array, "M sectors rows"] | None
    total: Float[Array, " M"]

    def mean(self, field: Float[Array, "*rest sectors rows"]) -> Float[Array, "M *rest sectors"]:
        """Return weighted sums over rows, divided by the total weight of all sectors."""
        if self.rows is None:
            return field.sum(-1)[None] / self.total[0]
        sums = jnp.einsum("msr,...sr->m...s", self.rows, field, precision="highest")
        return sums / self.divisor(sums)

    def products(
        self,
        left: Float[Array, "L sectors X rows"],
        right: Float[Array, "L sectors Y rows"] | None = None,
        *,
        sums: Callable[..., Array] | None = None,
    ) -> Float[Array, "M L sectors X Y"]:
        """Return the weighted sums of the products of every `left` with every `right`, normalized.

        Args:
            left, right: fields; without `right`, the pairs are those of the fields of `left`.
            sums: another of the functions of `moments`, where one is preferred to `products`.
        """

        def sum_pairs(weights: Array | None) -> Array:
            if right is None and sums is None:
                return gram(left, weights)
            return (sums or products)(left, left if right is None else right, weights)

        found = sum_pairs(None)[None] if self.rows is None else jax.vmap(sum_pairs)(self.rows)
        return found / self.divisor(found)

    def of_one_sector(self) -> "Weights":
        """Return the weights of fields whose sectors are joined to one."""
        rows = None if self.rows is None else self.rows.reshape(self.rows.shape[0], 1, -1)
        return Weights(rows, self.total)

    def divisor(self, array: Float[Array, "M *rest"]) -> Array:
        """Return the total weights, reshaped to divide an array."""
        return self.total.reshape(-1, *[1] * (array.ndim - 1))


class ScaleWeights(NamedTuple):
    """Masks of one scale: for S1 and S2, and for S3 and S4."""

    weights: Weights
    pair_weights: Weights
