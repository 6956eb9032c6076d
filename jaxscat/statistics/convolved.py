"""The convolved fields of one scale, of which sums over rows are made: whole, or part by part."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.product import Table
from jaxscat.operators.rows import RowTable
from jaxscat.statistics.weights import Weights

# Numbers of all convolved fields that do not stay in the cache of a CPU (measured by
# `experiments/benchmarks`).
_NUMBERS_AT_ONCE = 1 << 20

# Makes sums over rows of convolved fields `[m, L, sectors, 2X, rows]` under the weights of them.
SumOverRows = Callable[[Array, Weights], Any]


class WholeFields(NamedTuple):
    """Convolved fields that are in memory.

    Attributes:
        fields: wavelet coefficients of every map and of all its moduli of finer scales; real
            parts, then imaginary parts.
        weights: masks of the scale, for S3 and S4.
    """

    fields: Float[Array, "m L sectors 2X rows"]
    weights: Weights

    def sum(self, function: SumOverRows) -> Any:
        """Return sums over all rows."""
        return function(self.fields, self.weights)


class FieldsInGroups(NamedTuple):
    """Convolved fields that are made group by group of blocks, whenever they are summed over.

    Neither they nor the derivatives by them are ever in memory as a whole, which they would be
    most of: the reverse pass makes a group again.

    Source: `docs/conventions.md`, "Layouts".

    Attributes:
        table: stencil.
        coefficients: wavelet coefficients of the maps, real and imaginary parts.
        moduli: the fields that are convolved beside the maps.
        weights: masks of the scale, for S3 and S4.
        factors: what convolved fields are multiplied by, or None.
    """

    table: RowTable
    coefficients: Float[Array, "L 2 m sectors rows"]
    moduli: Float[Array, "m Y sectors rows"]
    weights: Weights
    factors: Float[Array, "sectors rows"] | None

    def sum(self, function: SumOverRows) -> Any:
        """Return sums over all rows."""
        maps, others, sectors, rows = self.moduli.shape
        table = jax.lax.stop_gradient(self.table)
        read = table.gather_windows(self.moduli.reshape(-1, sectors, rows))
        beside = self.coefficients, self.weights.rows, self.factors
        beside = jax.tree.map(table.split_in_groups, beside)

        @jax.checkpoint
        def of_group(group: Array, window: Array, beside: Any) -> Any:
            coefficients, weights, factors = beside
            again = table.spread_group(window, group)
            again = again.reshape(*again.shape[:2], maps, others, *again.shape[3:])
            fields = in_order(jnp.concatenate([coefficients[:, :, :, None], again], axis=3))
            if factors is not None:
                fields = fields * factors[:, None, :]
            fresh = table.fresh_rows(group)
            if fresh is not None:
                fields = jnp.where(fresh, fields, 0)
            # Made once, in the order that matrix products want.
            fields = jax.lax.optimization_barrier(fields)
            return function(fields, Weights(weights, self.weights.total))

        def add(total: Any, operands: tuple[Any, ...]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_group(*operands)), None

        operands = jnp.arange(read.shape[0]), read, beside
        shapes = jax.eval_shape(of_group, *jax.tree.map(lambda array: array[0], operands))
        total = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.scan(add, total, operands)[0]


Convolved = WholeFields | FieldsInGroups


def in_order(
    fields: Float[Array, "L 2 m X sectors rows"],
) -> Float[Array, "m L sectors 2X rows"]:
    """Return convolved fields in the order of `WholeFields`."""
    fields = fields.transpose(2, 0, 4, 1, 3, 5)
    return fields.reshape(*fields.shape[:3], -1, fields.shape[-1])


def is_in_groups(stencil: Table, fields: int) -> bool:
    """Return whether convolved fields are made group by group.

    That takes less memory, and on CPUs less time where they are larger than the cache. Other
    devices would be slowed by many small operations.

    Args:
        stencil: operator of the scale.
        fields: number of maps and moduli that are convolved.
    """
    if not isinstance(stencil, RowTable) or stencil.windows is None:
        return False
    if jax.default_backend() != "cpu":
        return False
    sectors = stencil.halo.shape[0]
    numbers = fields * stencil.orientations * stencil.parts * sectors * stencil.rows
    return numbers >= _NUMBERS_AT_ONCE
