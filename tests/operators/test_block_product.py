import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.block_product import product_of_blocks


@pytest.fixture(scope="module")
def arrays():
    generator = np.random.default_rng(4)
    shapes = (5, 7, 3), (5, 7, 8), (5, 3, 8)  # read, weights, outputs
    return [jnp.asarray(generator.standard_normal(shape)) for shape in shapes]


def multiply(read, weights):
    return product_of_blocks.bind(read, weights, structure=None)


def expected(read, weights):
    return np.stack([rows.T @ own for rows, own in zip(read, weights, strict=True)])


def test_every_block_is_a_product_of_matrices(arrays):
    read, weights, _ = arrays
    np.testing.assert_allclose(multiply(read, weights), expected(read, weights), atol=1e-13)


def test_transpose_and_the_transpose_of_that(arrays):
    read, weights, outputs = arrays
    transpose = jax.linear_transpose(lambda read: multiply(read, weights), read)
    (back,) = transpose(outputs)
    assert jnp.vdot(back, read) == pytest.approx(float(jnp.vdot(outputs, multiply(read, weights))))
    (again,) = jax.linear_transpose(lambda outputs: transpose(outputs)[0], outputs)(read)
    np.testing.assert_allclose(again, expected(read, weights), atol=1e-13)


def test_batches_are_columns_more(arrays):
    read, weights, outputs = arrays
    batch = jnp.stack([read, 2 * read[::-1]])
    found = jax.vmap(multiply, in_axes=(0, None))(batch, weights)
    for one, rows in zip(found, batch, strict=True):
        np.testing.assert_allclose(one, expected(rows, weights), atol=1e-13)

    def back(read, outputs):
        return jax.vjp(lambda read: multiply(read, weights), read)[1](outputs)[0]

    many = jnp.stack([outputs, outputs - 1])
    found = jax.vmap(back, in_axes=(None, 0))(read, many)
    for one, outputs in zip(found, many, strict=True):
        np.testing.assert_allclose(one, np.einsum("buo,bco->buc", weights, outputs), atol=1e-13)


def test_tangents_are_products_too(arrays):
    read, weights, _ = arrays
    _, tangent = jax.jvp(lambda read: multiply(read, weights), (read,), (read**2,))
    np.testing.assert_allclose(tangent, expected(read**2, weights), atol=1e-13)
