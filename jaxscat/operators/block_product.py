"""Products of the dense blocks of a `RowTable` with what they read, in the order that is fastest.

The orders of axes, and the barriers that keep XLA from turning the operands, were measured on CPUs:
without them a product takes two to three times as long.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.linear_primitive import linear_primitive


def multiply(
    read: Float[Array, "blocks columns union"], weights: Float[Array, "blocks union outputs"]
) -> Float[Array, "blocks columns outputs"]:
    """Return the outputs of every block for all columns: channels and sectors."""
    read = jax.lax.optimization_barrier(read)
    out = jnp.einsum("bcu,buo->bco", read, weights, precision="highest")
    return jax.lax.optimization_barrier(out)


def multiply_transposed(
    outputs: Float[Array, "blocks columns outputs"], weights: Float[Array, "blocks union outputs"]
) -> Float[Array, "blocks union columns"]:
    """Return the transpose of `multiply`, with one row of all columns for each input."""
    outputs = jax.lax.optimization_barrier(outputs)
    read = jnp.einsum("buo,bco->buc", weights, outputs, precision="highest")
    return jax.lax.optimization_barrier(read)


# `multiply` of rows `[blocks, union, columns]`: JAX's own transpose has another order of axes.
product_of_blocks = linear_primitive(
    "scattering_product_of_blocks",
    lambda read, weights, structure: multiply(read.swapaxes(1, 2), weights),
    lambda read, weights, structure: read.update(
        shape=(read.shape[0], read.shape[2], weights.shape[2])
    ),
    lambda: _transposed_product_of_blocks,
    axes=(2, 1),
)
_transposed_product_of_blocks = linear_primitive(
    "scattering_transposed_product_of_blocks",
    lambda outputs, weights, structure: multiply_transposed(outputs, weights),
    lambda outputs, weights, structure: outputs.update(
        shape=(outputs.shape[0], weights.shape[1], outputs.shape[1])
    ),
    lambda: product_of_blocks,
    axes=(1, 2),
)
