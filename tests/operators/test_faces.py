import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.faces import FaceTable
from jaxscat.operators.halo import pad_faces

CASES = [(1, 4, 2), (2, 4, 2), (1, 1, 1), (2, 2, 2)]  # step, sectors, halo
SIDE = 4  # of the faces that are written
OFFSETS = ((-1, 0), (0, 0), (0, 1), (1, -1), (1, 1))


spread = jax.jit(FaceTable.spread)
collect = jax.jit(FaceTable.collect)


@pytest.fixture(scope="module", params=CASES, ids=str)
def table(request):
    """A table of random weights, with random pixels in the corners."""
    step, sectors, halo = request.param
    generator = np.random.default_rng(0)
    wide = SIDE + 2 * halo // step
    weights = generator.standard_normal((len(OFFSETS), 2, 1, 12 // sectors, SIDE, wide))
    weights[..., SIDE:] = 0
    corners = generator.integers(0, 12 * 4 * (halo + 1) ** 2, 12 * 4 * halo**2)
    return FaceTable(jnp.asarray(weights), jnp.asarray(corners), OFFSETS, halo, step)


def sectors_of(table):
    return 12 // table.weights.shape[3]


def fields_of(table, seed, channels=3):
    shape = channels, sectors_of(table), table.in_rows
    return np.random.default_rng(seed).standard_normal(shape)


def slow_spread(table, field):
    """The sum over all shifts, pixel by pixel."""
    channels, sectors, _ = field.shape
    side, faces = table.step * SIDE, 12 // sectors
    shape = channels, sectors, 3, faces // 3, side, side
    padded = pad_faces(field.reshape(shape), table.halo, np.asarray(table.corners))
    padded = padded.reshape(channels, sectors, faces, *padded.shape[-2:])
    out = np.zeros((2, 1, channels, sectors, faces, SIDE, SIDE))
    for weights, (dy, dx) in zip(np.asarray(table.weights), table.offsets, strict=True):
        for y, x in np.ndindex(SIDE, SIDE):
            read = padded[..., table.step * y + dy + table.halo, table.step * x + dx + table.halo]
            out[..., y, x] += weights[:, :, None, None, :, y, x] * read
    return out.reshape(*out.shape[:4], -1)


def test_sizes(table):
    assert (table.orientations, table.parts) == (2, 1)
    assert table.rows == 12 // sectors_of(table) * SIDE**2
    assert table.in_rows == table.rows * table.step**2


def test_spread_is_the_sum_over_shifted_pixels(table):
    field = fields_of(table, 1)
    found = np.asarray(spread(table, field))
    np.testing.assert_allclose(found, slow_spread(table, field), rtol=0, atol=1e-13)


def test_collect_is_the_adjoint(table):
    field = fields_of(table, 1)
    shape = 2, 1, 3, sectors_of(table), table.rows
    out = np.random.default_rng(2).standard_normal(shape)
    forward = np.vdot(slow_spread(table, field), out)
    back = np.vdot(field, collect(table, out))
    assert abs(forward - back) <= 1e-12 * abs(forward)


def test_absolute_weights(table):
    assert np.array_equal(table.absolute().weights, np.abs(table.weights))
    assert jax.tree.structure(table.absolute()) == jax.tree.structure(table)


def test_what_stands_beyond_the_faces_is_not_read_as_output(table):
    # Outputs that would lie in the halo have weights of zero; others there change nothing.
    beyond = jnp.arange(table.weights.shape[-1]) >= SIDE
    other = FaceTable(
        jnp.where(beyond, 7.0, table.weights), table.corners, OFFSETS, table.halo, table.step
    )
    field = fields_of(table, 3)
    assert np.array_equal(spread(other, field), spread(table, field))
