from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import sparse, symmetry
from jaxscat.operators.sparse import apply_matrix, apply_transpose
from jaxscat.operators.table import DenseTable, SparseTable, tabulate

ROWS, OUTPUTS, FIELDS = 5, 3, 2

# nside (up to 4 the table is dense), sectors and channels.
CASES = [(8, 4, 1), (8, 4, 4), (8, 2, 3), (8, 1, 2), (4, 4, 4), (2, 2, 3), (1, 4, 2)]


def exact_product(entries, field, nside):
    """Every sector reads the pixels of the first, turned with it."""
    pixels, weights, _ = entries
    _, fields, channels, sectors = field.shape
    row, ahead = symmetry.locate(nside, pixels, sectors)
    turn = 2 * channels // sectors if channels > 1 else 0
    out = np.zeros((*weights.shape[1:], fields, channels, sectors))
    for k in range(len(pixels)):
        for channel in range(channels):
            for sector in range(sectors):
                seen = (channel - ahead[k] * turn) % channels, (sector + ahead[k]) % sectors
                read = field[row[k], :, *seen][:, None, :]
                out[..., channel, sector] += weights[k][:, :, None] * read
    return out


class Problem:
    """A random matrix as a table and as the dense matrix `[output, input]` of one field."""

    def __init__(self, nside, sectors, channels, make):
        self.nside = nside
        self.entries = make(nside, rows=ROWS, outputs=OUTPUTS)
        self.table = tabulate(nside, *self.entries, sectors)
        assert isinstance(self.table, DenseTable if nside <= 4 else SparseTable)
        in_rows = 12 * nside**2 // sectors
        self.in_shape = in_rows, FIELDS, channels, sectors
        self.out_shape = ROWS, OUTPUTS, FIELDS, channels, sectors
        size = in_rows * channels * sectors
        units = np.eye(size).reshape(in_rows, channels, sectors, size).transpose(0, 3, 1, 2)
        columns = exact_product(self.entries, units, nside)
        self.matrix = np.moveaxis(columns, 2, -1).reshape(-1, size)

    def field(self, seed=0, *batch):
        generator = np.random.default_rng(seed)
        return jnp.asarray(generator.standard_normal((*batch, *self.in_shape)))

    def output(self, seed=0, *batch):
        generator = np.random.default_rng(seed)
        return jnp.asarray(generator.standard_normal((*batch, *self.out_shape)))

    def one_field(self, seed=0):
        return self.field(seed)[:, :1]

    def one_output(self, seed=0):
        return self.output(seed)[:, :, :1]


@pytest.fixture(scope="module", params=CASES, ids=str)
def problem(request, random_entries):
    return Problem(*request.param, random_entries)


@pytest.fixture(scope="module", params=[(8, 4, 4), (4, 4, 4)], ids=["sparse", "dense"])
def turning(request, random_entries):
    return Problem(*request.param, random_entries)


def close(found, expected, bound=1e-13):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


def test_apply_is_the_matrix(problem):
    field = problem.field()
    expected = exact_product(problem.entries, np.asarray(field), problem.nside)
    close(apply_matrix(problem.table, field), expected)
    close(jax.jit(apply_matrix)(problem.table, field), expected)


def test_transpose_is_the_transposed_matrix(problem):
    out = np.asarray(problem.output())
    flat = np.moveaxis(out, 2, 0).reshape(FIELDS, -1)
    rows, _, channels, sectors = problem.in_shape
    expected = np.moveaxis((flat @ problem.matrix).reshape(FIELDS, rows, channels, sectors), 0, 1)
    close(apply_transpose(problem.table, out), expected)
    close(jax.jit(apply_transpose)(problem.table, out), expected)


def test_transpose_is_the_adjoint_of_the_matrix(problem):
    field, out = problem.field(1), problem.output(2)
    forward = jnp.vdot(apply_matrix(problem.table, field), out)
    back = jnp.vdot(field, apply_transpose(problem.table, out))
    scale = jnp.linalg.norm(apply_matrix(problem.table, field).ravel()) * jnp.linalg.norm(
        out.ravel()
    )
    assert abs(forward - back) <= 1e-13 * scale


# Few and many rows are summed in different ways.
@pytest.mark.parametrize(("rows", "fields"), [(40, 1), (40, 4), (8200, 1), (8200, 4)])
@pytest.mark.parametrize("nside", [4, 8])
def test_large_tables_are_the_same_matrix(random_entries, nside, rows, fields):
    entries = random_entries(nside, width=10, rows=rows, outputs=2)
    table = tabulate(nside, *entries, 4)
    generator = np.random.default_rng(3)
    field = generator.standard_normal((3 * nside**2, fields, 2, 4))
    out = generator.standard_normal((rows, 2, fields, 2, 4))
    expected = exact_product(entries, field, nside)
    close(apply_matrix(table, field), expected)
    forward, back = np.vdot(expected, out), np.vdot(field, apply_transpose(table, out))
    assert abs(forward - back) <= 1e-13 * np.linalg.norm(expected) * np.linalg.norm(out)


def test_blocks_of_rows_are_the_same_matrix(problem, monkeypatch):
    blocks = isinstance(problem.table, SparseTable)  # a dense table has none
    slope = partial(jax.grad(energy, argnums=1), problem.table)
    fields, outs = (np.asarray(batch) for batch in (problem.field(1, 7), problem.output(2, 7)))
    functions = partial(apply_matrix, problem.table), partial(apply_transpose, problem.table), slope
    singles = [jax.jit(lambda x, f=f: jax.jvp(f, (x,), (x,))) for f in functions]
    cases = [
        (function, batch, *(np.stack(parts) for parts in zip(*map(single, batch), strict=True)))
        for function, single, batch in zip(functions, singles, (fields, outs, fields), strict=True)
    ]
    monkeypatch.setattr(sparse, "_FEW_COLUMNS", 1)
    monkeypatch.setattr(sparse, "_FEW_NUMBERS", 0)
    for function, batch, loop, tangents in cases:
        # Small blocks, so that several are needed; 7 divides neither number of rows. Each has
        # a batch of its own, which finds nothing compiled with other blocks.
        for numbers, count in ((1, 5), (16 * 7, 6), (16 * 64, 7))[: 3 if blocks else 1]:
            monkeypatch.setattr(sparse, "_NUMBERS_OF_A_BLOCK", numbers)
            whole = jax.jit(lambda x, f=function: jax.jvp(jax.vmap(f), (x,), (x,)))
            lowered = whole.lower(batch[:count])
            assert ("stablehlo.while" in lowered.as_text()) == blocks
            found, along = lowered.compile()(batch[:count])
            close(found, loop[:count], 1e-12)
            close(along, tangents[:count], 1e-12)


def test_derivative_of_a_linear_map_is_the_map(problem):
    field, change = problem.field(1), problem.field(2)
    out, slope = problem.output(3), problem.output(4)
    for apply, at, along in ((apply_matrix, field, change), (apply_transpose, out, slope)):
        linear = partial(apply, problem.table)
        value, tangent = jax.jvp(linear, (at,), (along,))
        assert np.array_equal(value, linear(at))
        assert np.array_equal(tangent, linear(along))
        value, push = jax.linearize(linear, at)
        close(value, linear(at), 1e-15)
        close(push(along), linear(along), 1e-15)


def test_transposes_are_each_other(problem):
    field, out = problem.field(), problem.output()
    (back,) = jax.linear_transpose(partial(apply_matrix, problem.table), field)(out)
    close(back, apply_transpose(problem.table, out), 1e-15)
    (forward,) = jax.linear_transpose(partial(apply_transpose, problem.table), out)(field)
    close(forward, apply_matrix(problem.table, field), 1e-15)


def assert_jacobians(problem, transform):
    for apply, at, expected in (
        (apply_matrix, problem.one_field(), problem.matrix),
        (apply_transpose, problem.one_output(), problem.matrix.T),
    ):
        found = transform(partial(apply, problem.table))(at)
        close(np.asarray(found).reshape(expected.shape), expected)


@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_jacobians_are_the_dense_matrix(problem, jacobian):
    assert_jacobians(problem, lambda function: jax.jit(jacobian(function)))


@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_jacobians_need_no_jit(turning, jacobian):
    assert_jacobians(turning, jacobian)


def test_vmap_over_fields_is_a_loop(problem):
    fields, outs = problem.field(1, 3), problem.output(2, 3)
    for apply, batch in ((apply_matrix, fields), (apply_transpose, outs)):
        linear = partial(apply, problem.table)
        loop = np.stack([linear(one) for one in batch])
        close(jax.jit(jax.vmap(linear))(batch), loop)
        last = np.moveaxis(np.asarray(batch), 0, -1)
        found = jax.jit(jax.vmap(linear, in_axes=-1, out_axes=2))(last)
        close(np.moveaxis(np.asarray(found), 2, 0), loop)


def test_nested_vmap_is_two_loops(turning):
    fields, outs = turning.field(1, 3, 2), turning.output(2, 3, 2)
    for apply, batch in ((apply_matrix, fields), (apply_transpose, outs)):
        linear = partial(apply, turning.table)
        loop = np.stack([[linear(one) for one in some] for some in batch])
        close(jax.vmap(jax.vmap(linear))(batch), loop)
        crossed = jax.vmap(jax.vmap(linear, in_axes=1, out_axes=1), in_axes=0)
        close(crossed(jnp.swapaxes(batch, 1, 2)), np.moveaxis(loop, 1, 2))


def scaled(table, factor):
    """The table of the matrix times a number."""
    return jax.tree.map(
        lambda leaf: leaf * factor if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, table
    )


def test_vmap_over_tables_is_a_loop(turning):
    factors = jnp.array([1.0, -2.0, 0.5])
    tables = jax.vmap(partial(scaled, turning.table))(factors)
    for apply, at in ((apply_matrix, turning.field()), (apply_transpose, turning.output())):
        loop = factors.reshape(-1, *[1] * apply(turning.table, at).ndim) * apply(turning.table, at)
        close(jax.vmap(apply, in_axes=(0, None))(tables, at), loop)
        batch = jnp.stack([at, 2 * at, 3 * at])
        both = jax.vmap(apply, in_axes=(0, -1))(tables, jnp.moveaxis(batch, 0, -1))
        close(both, loop * jnp.array([1.0, 2.0, 3.0]).reshape(-1, *[1] * (loop.ndim - 1)))
        slope = jax.vmap(jax.grad(lambda x, table, apply=apply: apply(table, x).sum()), (None, 0))(
            at, tables
        )
        single = jax.grad(lambda x, apply=apply: apply(turning.table, x).sum())(at)
        close(slope, factors.reshape(-1, *[1] * single.ndim) * single)


def energy(table, field):
    """A function that is not quadratic, so that its second derivative depends on the field."""
    return jnp.sum(jnp.sin(apply_transpose(table, jnp.tanh(apply_matrix(table, field)))))


def exact_energy(problem, vector):
    return np.sin(problem.matrix.T @ np.tanh(problem.matrix @ vector)).sum()


def exact_slope(problem, vector):
    inner = np.tanh(problem.matrix @ vector)
    outer = np.cos(problem.matrix.T @ inner)
    return problem.matrix.T @ ((1 - inner**2) * (problem.matrix @ outer))


@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_through_both_is_the_chain_rule(turning, compiled):
    field = turning.one_field(5)
    value_and_slope = jax.value_and_grad(energy, argnums=1)
    value, slope = (jax.jit(value_and_slope) if compiled else value_and_slope)(turning.table, field)
    vector = np.asarray(field).ravel()
    assert value == pytest.approx(exact_energy(turning, vector), rel=1e-13)
    close(slope.ravel(), exact_slope(turning, vector), 1e-12)


def test_vmap_of_the_gradient_is_a_loop(turning):
    fields = turning.field(6, 3)
    slope = jax.jit(partial(jax.grad(energy, argnums=1), turning.table))
    close(jax.vmap(slope)(fields), np.stack([slope(one) for one in fields]))


def test_second_derivative_is_the_difference_of_gradients(turning):
    field, along = turning.one_field(7), turning.one_field(8)
    slope = partial(jax.grad(energy, argnums=1), turning.table)
    _, forward = jax.jit(lambda x: jax.jvp(slope, (x,), (along,)))(field)
    reverse = jax.jit(jax.grad(lambda x: jnp.vdot(slope(x), along)))(field)
    close(reverse, forward, 1e-12)
    vector, direction, step = np.asarray(field).ravel(), np.asarray(along).ravel(), 1e-5
    difference = exact_slope(turning, vector + step * direction)
    difference = (difference - exact_slope(turning, vector - step * direction)) / (2 * step)
    close(forward.ravel(), difference, 1e-7)


def test_hessian_of_a_square_is_the_matrix_squared(random_entries):
    problem = Problem(8, 4, 1, random_entries)
    hessian = jax.jit(
        jax.hessian(lambda field: 0.5 * jnp.sum(apply_matrix(problem.table, field) ** 2))
    )
    found = np.asarray(hessian(problem.one_field())).reshape(2 * [problem.matrix.shape[1]])
    close(found, problem.matrix.T @ problem.matrix)


def test_tables_are_constants_to_derivatives(turning):
    slopes = eqx.filter_grad(energy)(turning.table, turning.one_field())
    leaves = [leaf for leaf in jax.tree.leaves(slopes) if leaf.dtype.kind == "f"]
    assert leaves and all(not np.any(leaf) for leaf in leaves)


def test_repeated_runs_agree_to_the_last_bit(turning):
    slope = jax.jit(jax.grad(energy, argnums=1))
    field = turning.field(9)
    first = np.asarray(slope(turning.table, field))
    assert all(np.array_equal(slope(turning.table, field), first) for _ in range(5))


def test_float32_stays_float32(turning):
    pixels, weights, used = turning.entries
    table = tabulate(turning.nside, pixels, weights.astype(np.float32), used, 4)
    field = turning.field().astype(jnp.float32)
    out = turning.output().astype(jnp.float32)
    found, back = apply_matrix(table, field), apply_transpose(table, out)
    assert found.dtype == back.dtype == jnp.float32
    close(found, apply_matrix(turning.table, turning.field()), 2e-6)
    close(back, apply_transpose(turning.table, turning.output()), 2e-6)
    slope = jax.grad(energy, argnums=1)(table, field)
    assert slope.dtype == jnp.float32
    close(slope, jax.grad(energy, argnums=1)(turning.table, turning.field()), 1e-5)
