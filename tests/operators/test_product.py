from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import rows
from jaxscat.operators.product import collect, spread

# The kind, sectors, orientations, parts; of downsampling between faces also nside, halo and step.
CASES = [
    ("rows", 4, 2, 2),
    ("rows", 2, 3, 1),
    ("slots", 1, 2, 2),
    ("dense", 4, 2, 2),
    ("dense", 1, 1, 1),
    ("faces", 4, 2, 2),
    ("faces", 1, 3, 1),
    ("faces", 2, 1, 1, 8, 2, 2),
]
ONE_OF_EACH = [("rows", 4, 2, 2), ("dense", 4, 2, 2), ("faces", 4, 2, 2)]


def name_of(case):
    return "-".join(map(str, case))


@pytest.fixture(scope="module", params=CASES, ids=name_of)
def problem(request, problems):
    return problems(*request.param)


@pytest.fixture(scope="module", params=ONE_OF_EACH, ids=name_of)
def one_of_each(request, problems):
    return problems(*request.param)


spread_jit = jax.jit(spread)
collect_jit = jax.jit(collect)


def close(found, expected, bound=1e-13):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


def exact_spread(problem, field):
    return np.einsum("lspoti,cti->lpcso", problem.dense, field)


def exact_collect(problem, fields):
    return np.einsum("lspoti,lpcso->cti", problem.dense, fields)


def test_spread_is_the_matrix(problem):
    field = problem.fields()
    expected = exact_spread(problem, field)
    close(spread(problem.table, field), expected)
    close(spread_jit(problem.table, field), expected)


def test_collect_is_the_transposed_matrix(problem):
    fields = problem.outputs()
    expected = exact_collect(problem, fields)
    close(collect(problem.table, fields), expected)
    close(collect_jit(problem.table, fields), expected)


def test_collect_is_the_adjoint_of_spread(problem):
    field, out = problem.fields(1), problem.outputs(2)
    forward = np.asarray(spread_jit(problem.table, field))
    back = np.asarray(collect_jit(problem.table, out))
    scale = np.linalg.norm(forward) * np.linalg.norm(out)
    assert abs(np.vdot(forward, out) - np.vdot(field, back)) <= 1e-12 * scale


# Of one block, and of several that do not divide the number of blocks.
@pytest.mark.parametrize("missing", [None, 1])
@pytest.mark.parametrize("case", [("rows", 4, 2, 2), ("slots", 1, 2, 2)], ids=name_of)
def test_groups_of_blocks_are_the_same_matrix(problems, monkeypatch, case, missing):
    problem = problems(*case)
    field, fields = jnp.asarray(problem.fields(3)), jnp.asarray(problem.outputs(3))
    whole = problem.table.spread(field), problem.table.collect(fields)
    assert np.array_equal(problem.table.spread(field, in_blocks=True), whole[0])  # still one group
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 0)
    blocks, union = problem.table.indices.shape
    group = 1 if missing is None else blocks - missing
    monkeypatch.setattr(rows, "_NUMBERS_OF_A_GROUP", group * 3 * case[1] * union)
    assert problem.table._group(3 * case[1]) == group < blocks
    close(problem.table.spread(field, in_blocks=True), whole[0], 1e-15)
    close(problem.table.collect(fields, in_blocks=True), whole[1], 1e-15)


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=name_of)
def test_large_products_are_made_in_groups_on_a_cpu_only(problems, monkeypatch, case):
    problem = problems(*case)
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 0)
    monkeypatch.setattr(rows, "_NUMBERS_OF_A_GROUP", 1)
    fields = problem.fields(4, batch=(5,))
    # New functions, which find nothing compiled with other groups.
    batched = jax.jit(jax.vmap(lambda field: spread(problem.table, field)))
    along = jax.jit(lambda x: jax.jvp(batched, (x,), (2 * x,)))
    slope = jax.jit(jax.vmap(jax.grad(lambda x: jnp.sum(spread(problem.table, x) ** 2))))
    expected = np.stack([exact_spread(problem, field) for field in fields])
    close(batched(fields), expected)
    close(along(fields)[1], 2 * expected)
    close(slope(fields), [exact_collect(problem, 2 * one) for one in expected])
    loops = {
        platform: batched.trace(fields)
        .lower(lowering_platforms=(platform,))
        .as_text()
        .count("stablehlo.while")
        for platform in ("cpu", "cuda")
    }
    of_faces = int(case[0] == "faces")  # the loop over shifts
    assert loops == {"cpu": max(of_faces, case[0] == "rows"), "cuda": of_faces}


def test_derivative_of_a_linear_map_is_the_map(problem):
    for apply, at, along in (
        (spread_jit, problem.fields(1), problem.fields(2)),
        (collect_jit, problem.outputs(3), problem.outputs(4)),
    ):
        linear = partial(apply, problem.table)
        value, tangent = jax.jvp(linear, (at,), (along,))
        close(value, linear(at), 1e-15)
        close(tangent, linear(along), 1e-15)


def test_transposes_are_each_other(problem):
    field, out = problem.fields(), problem.outputs()
    (back,) = jax.linear_transpose(partial(spread, problem.table), field)(out)
    close(back, collect(problem.table, out), 1e-14)
    (forward,) = jax.linear_transpose(partial(collect, problem.table), out)(field)
    close(forward, spread(problem.table, field), 1e-14)


@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_jacobians_are_the_dense_matrix(one_of_each, jacobian):
    for apply, at, expected in (
        (spread, one_of_each.fields(channels=1), one_of_each.matrix),
        (collect, one_of_each.outputs(channels=1), one_of_each.matrix.T),
    ):
        found = jacobian(partial(apply, one_of_each.table))(at)
        close(np.asarray(found).reshape(expected.shape), expected)


def test_vmap_over_fields_is_a_loop(problem):
    for apply, exact, batch in (
        (spread, exact_spread, problem.fields(1, batch=(4,))),
        (collect, exact_collect, problem.outputs(2, batch=(4,))),
    ):
        loop = np.stack([exact(problem, one) for one in batch])
        linear = partial(apply, problem.table)
        close(jax.jit(jax.vmap(linear))(batch), loop)
        last = jax.jit(jax.vmap(linear, in_axes=-1, out_axes=2))
        close(np.moveaxis(np.asarray(last(np.moveaxis(batch, 0, -1))), 2, 0), loop)


def test_nested_vmap_is_two_loops(one_of_each):
    for apply, exact, batch in (
        (spread, exact_spread, one_of_each.fields(1, batch=(4, 2))),
        (collect, exact_collect, one_of_each.outputs(2, batch=(4, 2))),
    ):
        linear = partial(apply, one_of_each.table)
        loop = np.stack([[exact(one_of_each, one) for one in some] for some in batch])
        close(jax.vmap(jax.vmap(linear))(batch), loop)
        crossed = jax.vmap(jax.vmap(linear, in_axes=1, out_axes=1), in_axes=0)
        close(crossed(np.swapaxes(batch, 1, 2)), np.moveaxis(loop, 1, 2))


def scaled(table, factor):
    """The table of the matrix times a number."""
    return jax.tree.map(
        lambda leaf: leaf * factor if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, table
    )


def test_vmap_over_tables_is_a_loop(one_of_each):
    factors = jnp.array([1.0, -2.0, 0.5])
    tables = jax.vmap(partial(scaled, one_of_each.table))(factors)
    for apply, at in ((spread, one_of_each.fields()), (collect, one_of_each.outputs())):
        single = apply(one_of_each.table, at)
        loop = factors.reshape(-1, *[1] * single.ndim) * single
        close(jax.vmap(apply, in_axes=(0, None))(tables, at), loop)
        batch = np.stack([at, 2 * at, 3 * at], axis=-1)
        both = jax.vmap(apply, in_axes=(0, -1))(tables, batch)
        close(both, loop * jnp.array([1.0, 2.0, 3.0]).reshape(-1, *[1] * single.ndim))

        def total(field, table, apply=apply):
            return apply(table, field).sum()

        slope = jax.grad(total)(at, one_of_each.table)
        found = jax.vmap(jax.grad(total), (None, 0))(at, tables)
        close(found, factors.reshape(-1, *[1] * slope.ndim) * slope)


def energy(table, field):
    """A function that is not quadratic, so that its second derivative depends on the field."""
    return jnp.sum(jnp.sin(collect(table, jnp.tanh(spread(table, field)))))


energy_and_slope = jax.jit(jax.value_and_grad(energy, argnums=1))


def exact_slope(problem, field):
    vector = np.asarray(field).ravel()
    inner = np.tanh(problem.matrix @ vector)
    outer = np.cos(problem.matrix.T @ inner)
    return problem.matrix.T @ ((1 - inner**2) * (problem.matrix @ outer))


def test_gradient_through_both_is_the_chain_rule(one_of_each):
    field = one_of_each.fields(5, channels=1)
    inner = np.tanh(one_of_each.matrix @ field.ravel())
    expected = np.sin(one_of_each.matrix.T @ inner).sum()
    value, slope = energy_and_slope(one_of_each.table, field)
    assert value == pytest.approx(expected, rel=1e-12)
    close(slope.ravel(), exact_slope(one_of_each, field), 1e-12)
    slow = jax.grad(energy, argnums=1)(one_of_each.table, field)
    close(slow.ravel(), exact_slope(one_of_each, field), 1e-12)


def test_vmap_of_the_gradient_is_a_loop(one_of_each):
    fields = one_of_each.fields(6, channels=1, batch=(3,))
    _, slopes = jax.jit(jax.vmap(partial(energy_and_slope, one_of_each.table)))(fields)
    expected = np.stack([exact_slope(one_of_each, one) for one in fields])
    close(slopes.reshape(expected.shape), expected, 1e-12)


def test_second_derivative_is_the_difference_of_gradients(one_of_each):
    field, along = (one_of_each.fields(seed, channels=1) for seed in (7, 8))
    slope = partial(jax.grad(energy, argnums=1), one_of_each.table)
    _, forward = jax.jit(lambda x: jax.jvp(slope, (x,), (along,)))(field)
    reverse = jax.jit(jax.grad(lambda x: jnp.vdot(slope(x), along)))(field)
    close(reverse, forward, 1e-12)
    step = 1e-5
    difference = exact_slope(one_of_each, field + step * along)
    difference = (difference - exact_slope(one_of_each, field - step * along)) / (2 * step)
    close(forward.ravel(), difference, 1e-7)


def test_tables_are_constants_to_derivatives(one_of_each):
    slopes = eqx.filter_grad(energy)(one_of_each.table, one_of_each.fields(5, channels=1))
    leaves = [leaf for leaf in jax.tree.leaves(slopes) if leaf.dtype.kind == "f"]
    assert leaves and all(not np.any(leaf) for leaf in leaves)


def test_repeated_runs_agree_to_the_last_bit(one_of_each):
    field = one_of_each.fields(9, channels=1)
    first = np.asarray(energy_and_slope(one_of_each.table, field)[1])
    for _ in range(5):
        assert np.array_equal(energy_and_slope(one_of_each.table, field)[1], first)


def test_float32_stays_float32(one_of_each):
    table = scaled(one_of_each.table, 1)
    table = eqx.tree_at(lambda table: table.weights, table, table.weights.astype(np.float32))
    field, out = one_of_each.fields(channels=1), one_of_each.outputs(channels=1)
    found = spread_jit(table, field.astype(np.float32))
    back = collect_jit(table, out.astype(np.float32))
    slope = energy_and_slope(table, field.astype(np.float32))[1]
    assert found.dtype == back.dtype == slope.dtype == jnp.float32
    close(found, exact_spread(one_of_each, field), 2e-6)
    close(back, exact_collect(one_of_each, out), 2e-6)
    close(slope.ravel(), exact_slope(one_of_each, field), 1e-5)
