"""Batches of maps in groups give what single maps give, in every derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives import map_groups
from jaxscat.objectives.map_groups import group_size, scalar_function


def loss(map, weights, power):
    return jnp.sum(weights * map**power) + jnp.prod(map[:2])


grouped = scalar_function(loss)


@pytest.fixture(autouse=True)
def groups_of_two(monkeypatch):
    monkeypatch.setattr(map_groups, "_PIXELS", 1)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(6, 5))


WEIGHTS = np.arange(5.0)


def test_derivatives_of_one_map_are_those_of_the_function(maps):
    map, change = maps[:2]
    for transform in (
        jax.grad,
        lambda f: lambda x: jax.jvp(f, (x,), (change,))[1],
        jax.hessian,
        lambda f: jax.jacrev(jax.jacrev(f)),
        lambda f: jax.grad(lambda x: jax.grad(f)(x) @ change),
    ):
        found, expected = (transform(lambda x, f=f: f(x, WEIGHTS, 3))(map) for f in (grouped, loss))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_other_operands_have_derivatives_too(maps):
    for function in (jax.grad, jax.jacfwd):
        found, expected = (
            function(f, argnums=(0, 1))(maps[0], WEIGHTS, 3) for f in (grouped, loss)
        )
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("jit", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_batches_are_loops_over_maps(maps, count, jit):
    maps = maps[:count]

    def both(x):
        return jax.value_and_grad(grouped)(x, WEIGHTS, 3)

    values, slopes = jit(jax.vmap(both))(maps)
    np.testing.assert_allclose(values, [loss(map, WEIGHTS, 3) for map in maps], rtol=1e-12)
    expected = [jax.grad(loss)(map, WEIGHTS, 3) for map in maps]
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)
    found = jit(jax.vmap(lambda x: grouped(x, WEIGHTS, 3)))(maps)
    np.testing.assert_allclose(found, values, rtol=1e-12)


def test_everything_may_be_batched(maps):
    weights = np.random.default_rng(1).normal(size=(6, 5))
    rows = jax.vmap(jax.grad(grouped), (0, 0, None))(maps, weights, 2)
    expected = [jax.grad(loss)(m, w, 2) for m, w in zip(maps, weights, strict=True)]
    np.testing.assert_allclose(rows, expected, rtol=1e-12)
    only = jax.vmap(lambda w: jax.grad(grouped)(maps[0], w, 2))(weights)
    np.testing.assert_allclose(only, [jax.grad(loss)(maps[0], w, 2) for w in weights], rtol=1e-12)
    twice = jax.vmap(jax.vmap(lambda x: jax.grad(grouped)(x, WEIGHTS, 2)))(maps.reshape(3, 2, 5))
    np.testing.assert_allclose(
        twice.reshape(6, 5), [jax.grad(loss)(map, WEIGHTS, 2) for map in maps], rtol=1e-12
    )


def test_groups_follow_one_another_on_a_cpu_and_not_elsewhere(maps):
    call = jax.jit(jax.vmap(lambda x: jax.grad(grouped)(x, WEIGHTS, 3)))
    traced = call.trace(maps)
    loops = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.while")
        for platform in ("cpu", "cuda", "tpu")
    }
    assert loops == {"cpu": 1, "cuda": 0, "tpu": 0}


def test_groups_divide_the_batch(monkeypatch):
    monkeypatch.setattr(map_groups, "_PIXELS", 24576)
    sizes = {(8, 12288): 2, (9, 768): 9, (64, 768): 32, (9, 12288): 9, (6, 49152): 2, (1, 12): 1}
    assert {key: group_size(*key) for key in sizes} == sizes
