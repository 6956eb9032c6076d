"""Batches of maps in groups give what single maps give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import batching
from jaxscat.operators.batching import fill_rows, group_size, grouped_vmap

WEIGHTS = np.arange(5.0)


def loss(map, weights, power):
    return jnp.sum(weights * map**power) + jnp.prod(map[:2])


@pytest.fixture(autouse=True)
def groups_of_two(monkeypatch):
    monkeypatch.setattr(batching, "_GROUP_PIXELS", 1)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(6, 5))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_batches_are_loops_over_maps(maps, count):
    maps = maps[:count]
    values, slopes = grouped_vmap(jax.value_and_grad(loss))(maps, WEIGHTS, 3)
    np.testing.assert_allclose(values, [loss(map, WEIGHTS, 3) for map in maps], rtol=1e-12)
    expected = [jax.grad(loss)(map, WEIGHTS, 3) for map in maps]
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)


def test_maps_and_results_may_be_pytrees(maps):
    def both(fields, scale):
        return {"sum": scale * (fields["a"] + fields["b"]), "first": fields["a"][0]}

    found = grouped_vmap(both)({"a": maps, "b": 2 * maps}, 3.0)
    np.testing.assert_allclose(found["sum"], 9 * maps, rtol=1e-14)
    np.testing.assert_array_equal(found["first"], maps[:, 0])


def test_gradients_may_be_taken_through_the_groups(maps):
    total = jax.grad(lambda maps: grouped_vmap(loss)(maps, WEIGHTS, 3).sum())(maps)
    expected = [jax.grad(loss)(map, WEIGHTS, 3) for map in maps]
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_it_works_under_other_transformations(maps):
    twice = jax.vmap(lambda pair: grouped_vmap(loss)(pair, WEIGHTS, 3))(maps.reshape(3, 2, 5))
    expected = [loss(map, WEIGHTS, 3) for map in maps]
    np.testing.assert_allclose(twice.ravel(), expected, rtol=1e-12)


def test_groups_follow_one_another_on_a_cpu_and_not_elsewhere(maps):
    traced = grouped_vmap(jax.grad(loss)).trace(maps, WEIGHTS, 3)
    loops = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.while")
        for platform in ("cpu", "cuda", "tpu")
    }
    assert loops == {"cpu": 1, "cuda": 0, "tpu": 0}


def test_one_compilation_serves_all_maps_and_operands(maps):
    traces = []

    def counted(map, weights):
        traces.append(1)
        return jnp.sum(weights * map)

    vectorized = grouped_vmap(counted)
    vectorized(maps, WEIGHTS)
    count = len(traces)
    vectorized(maps + 1, 2 * WEIGHTS)
    assert len(traces) == count


def test_groups_divide_the_batch(monkeypatch):
    monkeypatch.setattr(batching, "_GROUP_PIXELS", 24576)
    sizes = {(8, 12288): 2, (9, 768): 9, (64, 768): 32, (9, 12288): 9, (6, 49152): 2, (1, 12): 1}
    assert {key: group_size(*key) for key in sizes} == sizes


def test_rows_are_filled_up_with_the_last(maps):
    np.testing.assert_array_equal(fill_rows(maps[:2], 4), maps[[0, 1, 1, 1]])
    assert fill_rows(maps, 6) is maps
