import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics.coefficients import ScatteringCovariance

SCALES, ORIENTATIONS = 3, 2
SHAPES = {"s0": (2,), "s1": (3, 2), "s2": (3, 2), "s3": (6, 2, 2), "s4": (10, 2, 2, 2)}
PAIRS = [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
TRIPLES = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 2)]
TRIPLES += [(0, 1, 2), (1, 1, 2), (0, 2, 2), (1, 2, 2), (2, 2, 2)]


def coefficients(masks: tuple[int, ...] = (), dtype=complex) -> ScatteringCovariance:
    types = {name: dtype if name in ("s3", "s4") else float for name in SHAPES}
    return ScatteringCovariance(
        **{name: jnp.zeros(masks + shape, types[name]) for name, shape in SHAPES.items()}
    )


def entry(name: str) -> tuple[str, tuple[int, ...]]:
    """The group and the index that a name speaks of, from what the axes mean."""
    if name.startswith("S0"):
        return "s0", ({"S0 mean": 0, "S0 error": 1}[name],)
    group, rest = name.split(" ", 1)
    at = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)}
    if group in ("S1", "S2"):
        return group.lower(), (at["j"], at["l"])
    if group == "S3":
        return "s3", (PAIRS.index((at["j2"], at["j3"])), at["l2"], at["l3"])
    triple = TRIPLES.index((at["j1"], at["j2"], at["j3"]))
    return "s4", (triple, at["l2"], at["l1"], at["l3"])


def test_every_name_stands_where_its_coefficient_is_ravelled():
    names = coefficients().names()
    assert len(set(names)) == len(names) == sum(int(np.prod(shape)) for shape in SHAPES.values())
    for position, name in enumerate(names):
        group, index = entry(name)
        arrays = {key: np.zeros(shape) for key, shape in SHAPES.items()}
        arrays[group][index] = 1
        raveled = ScatteringCovariance(**arrays).ravel()
        assert np.flatnonzero(raveled).tolist() == [position], name


def test_names_stand_group_by_group():
    groups = [name[:2] for name in coefficients().names()]
    assert groups == ["S0"] * 2 + ["S1"] * 6 + ["S2"] * 6 + ["S3"] * 24 + ["S4"] * 80


def test_names_of_fewer_covariances_are_those_that_are_there():
    full = coefficients()
    fewer = ScatteringCovariance(full.s0, full.s1, full.s2, full.s3[:3], full.s4[:4])
    assert len(fewer.names()) == fewer.ravel().size == 2 + 6 + 6 + 12 + 32
    assert fewer.names() == [name for name in full.names() if "j3=2" not in name]


def test_masks_stay_on_the_leading_axis():
    generator = np.random.default_rng(0)
    statistics = jax.tree.map(
        lambda group: jnp.asarray(generator.standard_normal(group.shape)), coefficients((4,))
    )
    raveled = statistics.ravel()
    assert raveled.shape == (4, 118)
    for mask in range(4):
        one = jax.tree.map(lambda group, mask=mask: group[mask], statistics)
        np.testing.assert_array_equal(raveled[mask], one.ravel())
    assert statistics.names() == coefficients().names()
    assert (statistics.scales, statistics.orientations) == (SCALES, ORIENTATIONS)


@pytest.mark.parametrize("dtype", [complex, float])
def test_raveled_coefficients_are_complex_only_if_a_group_is(dtype):
    assert coefficients(dtype=dtype).ravel().dtype == dtype


def test_arithmetic_on_trees_reaches_every_group():
    ones = jax.tree.map(jnp.ones_like, coefficients())
    threes = jax.tree.map(lambda left, right: left + 2 * right, ones, ones)
    assert list(threes.groups()) == ["S0", "S1", "S2", "S3", "S4"]
    assert all((group == 3).all() for group in threes.groups().values())
    assert [group.shape for group in threes.groups().values()] == list(SHAPES.values())
