import numpy as np
import pytest

from jaxscat.operators import dense
from jaxscat.operators.dense import DenseTable


@pytest.fixture(scope="module")
def table():
    weights = np.random.default_rng(0).standard_normal((3, 1, 2, 5, 2, 4))
    return DenseTable(np.asarray(weights))


@pytest.fixture(params=[192, 0], ids=["at once", "one by one"], autouse=True)
def outputs_at_once(request, monkeypatch):
    monkeypatch.setattr(dense, "_PIXELS_AT_ONCE", request.param)


def test_sizes_are_those_of_the_weights(table):
    assert (table.orientations, table.parts, table.rows, table.in_rows) == (3, 1, 5, 4)


def test_every_output_is_a_sum_over_all_sectors(table):
    field = np.random.default_rng(1).standard_normal((7, 2, 4))
    found = np.asarray(table.spread(field))
    assert found.shape == (3, 1, 7, 2, 5)
    for orientation, part, channel, sector, row in np.ndindex(*found.shape):
        expected = np.sum(table.weights[orientation, part, sector, row] * field[channel])
        assert found[orientation, part, channel, sector, row] == pytest.approx(expected, abs=1e-14)


def test_collect_is_the_transpose(table):
    fields = np.random.default_rng(2).standard_normal((3, 1, 7, 2, 5))
    matrix = np.asarray(table.weights).reshape(30, 8)
    flat = np.moveaxis(fields, 2, 0).reshape(7, 30)
    found = np.asarray(table.collect(fields))
    np.testing.assert_allclose(found, (flat @ matrix).reshape(7, 2, 4), rtol=0, atol=1e-14)


def test_absolute_weights(table):
    assert np.array_equal(table.absolute().weights, np.abs(table.weights))


def test_products_are_not_rounded_further_than_their_type(table):
    # The precision is named: some devices would take fewer digits of float32.
    single = DenseTable(np.asarray(table.weights, np.float32))
    field = np.random.default_rng(3).standard_normal((2, 2, 4)).astype(np.float32)
    assert single.spread(field).dtype == np.float32
    np.testing.assert_allclose(single.spread(field), table.spread(field), rtol=0, atol=2e-6)


def test_table_of_few_pixels_holds_its_entries_and_turns_with_the_sectors(problems):
    problem = problems("dense", 4, 2, 2)
    assert isinstance(problem.table, DenseTable)
    np.testing.assert_allclose(
        problem.table.weights, problem.dense.swapaxes(1, 2), rtol=0, atol=1e-15
    )
