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


def test_tables_have_parts_and_errors_and_make_a_data_frame():
    generator = np.random.default_rng(0)
    zeros, real = coefficients((2,)), coefficients((2,), float)
    statistics = jax.tree.map(
        lambda group: generator.normal(size=group.shape).astype(group.dtype), zeros
    )
    statistics = jax.tree.map(
        lambda group: group * np.exp(1j) if np.iscomplexobj(group) else group, statistics
    )
    errors = jax.tree.map(lambda group: generator.gamma(1.0, size=group.shape), real)
    table = statistics.table(errors)
    assert list(table)[-4:] == ["real", "imaginary", "value", "error"]
    assert {len(column) for column in table.values()} == {2 * 118}
    np.testing.assert_array_equal(table["value"], np.asarray(statistics.ravel()).reshape(-1))
    np.testing.assert_array_equal(table["real"] + 1j * table["imaginary"], table["value"])
    np.testing.assert_array_equal(table["error"], np.asarray(errors.ravel()).reshape(-1))
    assert table["real"].dtype == table["imaginary"].dtype == float
    with pytest.raises(ValueError, match=r"^errors: got complex numbers, expected real"):
        statistics.table(statistics)
    with pytest.raises(ValueError, match=r"got s0 of shapes \(2, 2\) and \(2,\)"):
        statistics.table(coefficients())
    with pytest.raises(ValueError, match=r"^errors: got 0.1, expected standard errors"):
        statistics.table(0.1)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(table)
    chosen = frame.query("group == 'S4' and mask == 1 and l1 == 1 and real > 0")
    assert 0 < len(chosen) < 80 and set(chosen.l1) == {1}
    assert np.isfinite(frame.groupby("group").error.mean()).all()


@pytest.mark.parametrize("masks", [(), (3,)], ids=["one", "masks"])
def test_datasets_have_an_axis_for_every_index(masks):
    pytest.importorskip("xarray", reason="xarray is not installed (extra `xarray`)")
    generator = np.random.default_rng(0)
    statistics, errors = (
        jax.tree.map(
            lambda group: generator.normal(size=group.shape).astype(group.dtype),
            coefficients(masks, dtype),
        )
        for dtype in (complex, float)
    )
    dataset = statistics.to_xarray(errors)
    assert dataset.S4.dims == (*(["mask"] if masks else []), "j1", "j2", "j3", "l1", "l2", "l3")
    assert dataset.S4.dtype == complex and dataset.S4_error.dtype == float
    places = dict(zip(statistics.names(), np.moveaxis(statistics.ravel(), -1, 0), strict=True))
    for name, value in places.items():
        group, _, rest = name.partition(" ")
        if group == "S0":
            at = {"part": {"mean": "mean", "error": "error of the mean"}[rest]}
        else:
            at = {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", rest)}
        np.testing.assert_array_equal(dataset[group].sel(at), value)
    # What is not measured is missing, and nothing else.
    for group in ("S3", "S4"):
        there = dataset[group].notnull().sum()
        assert there == statistics.groups()[group].size < dataset[group].size
        assert dataset[group + "_error"].notnull().sum() == there
    assert set(statistics.to_xarray()) == {"S0", "S1", "S2", "S3", "S4"}
