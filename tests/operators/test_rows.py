import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.product import collect, spread
from jaxscat.operators.rows import BLOCK

CASES = [("rows", 4, 2, 2), ("rows", 2, 3, 1), ("slots", 1, 2, 2)]


@pytest.fixture(scope="module", params=CASES, ids=str)
def problem(request, problems):
    return problems(*request.param)


def read_by(table, sector):
    """What every place of the blocks reads for a sector: the sector and the row."""
    rows = table.in_rows
    everything = np.arange(table.halo.shape[0] * rows)
    extended = np.concatenate(
        [everything.reshape(-1, rows)[sector], np.asarray(table.halo)[sector]]
    )
    return np.divmod(extended[np.asarray(table.indices)], rows)


def test_blocks_hold_the_entries_they_were_made_of(problem):
    table = problem.table
    blocks = table.indices.shape[0]
    slots = np.arange(table.rows) if table.slots is None else np.asarray(table.slots)
    found = np.zeros_like(problem.dense)
    weights = np.asarray(table.weights).reshape(*table.indices.shape, -1, table.parts, BLOCK)
    for sector in range(problem.shape.sectors):
        sectors, rows = read_by(table, sector)
        for row, slot in enumerate(slots):
            block, child = divmod(slot, BLOCK)
            for place in range(table.indices.shape[1]):
                to = found[:, sector, :, row, sectors[block, place], rows[block, place]]
                to += weights[block, place, :, :, child]
    np.testing.assert_allclose(found, problem.dense, rtol=0, atol=1e-15)
    # Pixels of a block that are no output have no weights.
    absent = np.setdiff1d(np.arange(BLOCK * blocks), slots)
    assert (absent.size > 0) == (table.slots is not None)
    for slot in absent:
        assert not weights[slot // BLOCK, ..., slot % BLOCK].any()


def test_every_pixel_of_a_block_is_read_once(problem):
    used = np.asarray(problem.table.weights).any(-1)
    for sector in range(problem.shape.sectors):
        where = np.stack(read_by(problem.table, sector))
        for block, own in enumerate(used):
            seen = {tuple(pair) for pair in where[:, block, own].T}
            assert len(seen) == own.sum()


def test_positions_are_all_places_where_a_pixel_is_read(problem):
    table = problem.table
    indices, used = np.asarray(table.indices).ravel(), np.asarray(table.weights).any(-1).ravel()
    assert table.positions.shape[1] == table.in_rows + table.halo.shape[1]
    for row, places in enumerate(np.asarray(table.positions).T):
        assert sorted(places[used[places]]) == np.flatnonzero(used & (indices == row)).tolist()


def test_halo_lists_every_repeated_row_and_its_copies(problem):
    table, sectors = problem.table, problem.shape.sectors
    halo = np.asarray(table.halo)
    source, rows = np.divmod(halo, table.in_rows)
    assert np.array_equal(table.repeated_rows, np.unique(rows))
    assert (source != np.arange(sectors)[:, None]).all()
    for column, row in enumerate(np.asarray(table.repeated_rows)):
        for sector in range(sectors):
            copies = np.asarray(table.repeats)[:, column, sector]
            copies = sorted(copies[copies < halo.size])
            # Halos of all sectors stand beside each other, the sector on the last axis.
            expected = np.flatnonzero(sector * table.in_rows + row == halo.T)
            assert copies == expected.tolist()


def test_indices_are_int32_and_inside_what_they_count(problem):
    table = problem.table
    sectors, halo = table.halo.shape
    bounds = {
        "indices": table.in_rows + halo,
        "positions": table.indices.size,
        "halo": sectors * table.in_rows,
        "repeated_rows": table.in_rows,
        "repeats": halo * sectors + 1,
    }
    if table.slots is not None:
        bounds["slots"] = BLOCK * table.indices.shape[0]
    for name, bound in bounds.items():
        values = np.asarray(getattr(table, name))
        assert values.dtype == np.int32, name
        assert values.size == 0 or (values.min() >= 0 and values.max() < bound), name


def test_rows_are_those_that_are_written(problem):
    assert problem.table.rows == problem.shape.rows
    assert problem.table.in_rows == problem.shape.in_rows
    assert spread(problem.table, problem.fields()).shape[-1] == problem.shape.rows


def test_absolute_weights_are_those_of_outputs(problem):
    # Weights of several entries of one pixel are added first.
    field = problem.fields()
    found = spread(problem.table.absolute(), field)
    expected = np.einsum("lspoti,cti->lpcso", np.abs(problem.dense), field)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_large_batches_are_the_same_matrix(problem):
    field, fields = problem.fields(1, channels=40), problem.outputs(2, channels=40)
    found = spread(problem.table, jnp.asarray(field))
    back = collect(problem.table, jnp.asarray(fields))
    expected = np.einsum("lspoti,cti->lpcso", problem.dense, field)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    expected = np.einsum("lspoti,lpcso->cti", problem.dense, fields)
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-12)
