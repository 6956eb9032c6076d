import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscat
from jaxscat.operators import windows
from jaxscat.operators.product import spread
from jaxscat.statistics import convolved
from jaxscat.statistics.convolved import FieldsInGroups, WholeFields, in_order, is_in_groups
from jaxscat.statistics.scattering import sum_pairs
from jaxscat.statistics.weights import Weights

NSIDE = 16
RAGGED = np.random.default_rng(0).permutation(3072)[:2000]


def build(size, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCKS_OF_A_GROUP", size)
        return jaxscat.build_pyramid(NSIDE, scales=2, dtype="float64", **arguments)


@pytest.fixture(scope="module")
def pyramids():
    """A pyramid whose groups leave a rest, and one without groups."""
    return build(50), build(10**6)


@pytest.fixture
def in_groups(monkeypatch):
    monkeypatch.setattr(convolved, "_NUMBERS_AT_ONCE", 0)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def make_fields(pyramid, maps, masks, roots):
    """Convolved fields of drawn coefficients and moduli in groups, and the same as a whole."""
    table = pyramid.levels[0].stencil
    sectors, rows = table.halo.shape[0], table.rows
    weights = Weights(None, jnp.ones(1))
    if masks:
        weights = Weights(draw(masks, sectors, rows, seed=3) ** 2, 1.0 + jnp.arange(masks))
    factors = draw(sectors, rows, seed=4) if roots else None

    def grouped(coefficients, moduli):
        return FieldsInGroups(table, coefficients, moduli, weights, factors)

    def whole(coefficients, moduli):
        again = spread(table, moduli.reshape(-1, sectors, rows))
        again = again.reshape(*again.shape[:2], maps, -1, *again.shape[3:])
        fields = in_order(jnp.concatenate([coefficients[:, :, :, None], again], axis=3))
        if factors is not None:
            fields = fields * factors[:, None, :]
        return WholeFields(fields, weights)

    operands = draw(4, 2, maps, sectors, rows), draw(maps, 3, sectors, rows, seed=1)
    return grouped, whole, operands


@pytest.mark.parametrize(
    ("maps", "masks", "roots"), [(1, 0, False), (1, 0, True), (1, 2, False), (2, 1, False)]
)
def test_sums_and_derivatives_are_those_of_whole_fields(pyramids, maps, masks, roots):
    grouped, whole, operands = make_fields(pyramids[0], maps, masks, roots)
    changes = tuple(draw(*operand.shape, seed=5) for operand in operands)

    @jax.jit
    def differentiate(kind, operands):
        def sums(*operands):
            return kind(*operands).sum(sum_pairs)

        found, tangents = jax.jvp(sums, operands, changes)
        back = jax.vjp(sums, *operands)[1](found)
        return found, tangents, back

    grouped, whole = (jax.tree_util.Partial(kind) for kind in (grouped, whole))
    found, expected = (differentiate(kind, operands) for kind in (grouped, whole))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(other).max())


def test_batches_are_one_map_after_the_other(pyramids):
    grouped, _, operands = make_fields(pyramids[0], 1, 0, False)
    batch = jax.tree.map(lambda array: jnp.stack([array, array[::-1]]), operands)

    def loss(operands):
        return sum(jnp.sum(sums**3) for sums in grouped(*operands).sum(sum_pairs))

    found = jax.jit(jax.vmap(jax.grad(loss)))(batch)
    alone = jax.jit(jax.grad(loss))
    for lane in range(2):
        expected = alone(jax.tree.map(lambda array, lane=lane: array[lane], batch))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[lane], other, rtol=0, atol=1e-12 * np.abs(other).max())


def test_groups_take_less_memory(pyramids):
    grouped, whole, operands = make_fields(build(32), 1, 0, False)

    def temporary(kind):
        def loss(*operands):
            return jnp.sum(kind(*operands).sum(sum_pairs)[0] ** 2)

        compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*operands).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(grouped) < 0.6 * temporary(whole)


def test_only_large_fields_on_cpus_are_made_in_groups(pyramids, monkeypatch):
    grouped, whole = (pyramid.levels[0].stencil for pyramid in pyramids)
    numbers = 5 * 8 * 12 * NSIDE**2
    monkeypatch.setattr(convolved, "_NUMBERS_AT_ONCE", numbers)
    assert is_in_groups(grouped, 5) and not is_in_groups(grouped, 4)
    assert not is_in_groups(whole, 5)
    assert not is_in_groups(jaxscat.build_pyramid(NSIDE, layout="faces").levels[0].stencil, 5)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not is_in_groups(grouped, 5)


def assert_same_statistics(ours, others, map, **options):
    for function in (jaxscat.measure, jaxscat.standard_error):
        found, expected = (function(map, pyramid, **options) for pyramid in (ours, others))
        for name, group in expected.groups().items():
            # Errors are roots of differences of sums.
            scale = np.abs(group).max()
            np.testing.assert_allclose(
                found.groups()[name], group, rtol=0, atol=1e-11 * scale, err_msg=name
            )


def test_statistics_do_not_depend_on_groups(pyramids, in_groups):
    generator = np.random.default_rng(1)
    map, second = generator.standard_normal((2, 12 * NSIDE**2))
    mask = (generator.random(map.size) > 0.3).astype(float)
    assert_same_statistics(*pyramids, map, mask=mask)
    assert_same_statistics(*pyramids, map, second=second, mask=mask)


def test_statistics_of_patches_do_not_depend_on_groups(in_groups):
    ours, others = (build(size, cell_ids=RAGGED) for size in (50, 10**6))
    map = np.random.default_rng(2).standard_normal(RAGGED.size)
    assert_same_statistics(ours, others, map)
