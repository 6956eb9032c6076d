import jax
import numpy as np
import pytest

from jaxscat.operators import face_table, table
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.entries import Entries, Grid, Shape
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.rows import RowTable
from jaxscat.operators.table import tabulate

CASES = [
    ("rows", 4, 2, 2),
    ("rows", 2, 3, 1),
    ("slots", 1, 2, 2),
    ("dense", 4, 2, 2),
    ("dense", 1, 1, 1),
    ("faces", 4, 2, 2),
    ("faces", 2, 1, 1, 8, 2, 2),
]


@pytest.fixture(params=CASES, ids=str)
def problem(request, problems, monkeypatch):
    few = 10**6 if request.param[0] == "dense" else 0
    for name in ("DENSE_PIXELS", "DENSE_PIXELS_OF_FACES"):
        monkeypatch.setattr(table, name, few)
    return problems(*request.param)


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


def test_table_holds_the_entries_it_was_made_of(problem, matrix_of):
    found = matrix_of(problem.table, problem.shape.sectors)
    np.testing.assert_allclose(found, problem.dense, rtol=0, atol=1e-15)


def test_sizes_are_those_of_the_matrix(problem):
    made, shape = problem.table, problem.shape
    assert (made.orientations, made.parts) == (shape.orientations, shape.parts)
    assert (made.rows, made.in_rows) == (shape.rows, shape.in_rows)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_rounded_to_their_type(problem, dtype):
    made = problem.tabulate(dtype=np.dtype(dtype))
    leaves = jax.tree.leaves(made)
    assert {leaf.dtype.name for leaf in leaves} <= {dtype, "int32"}
    assert np.array_equal(made.weights, np.asarray(problem.table.weights).astype(dtype))


def test_pieces_of_any_size_make_the_same_table(problem, monkeypatch):
    for module in (face_table, table):
        monkeypatch.setattr(module, "ROWS_AT_A_TIME", 4)
    assert_same(problem.tabulate(), problem.table)


def test_table_grows_where_later_rows_read_more(monkeypatch, problems, matrix_of):
    monkeypatch.setattr(table, "DENSE_PIXELS", 0)
    monkeypatch.setattr(table, "ROWS_AT_A_TIME", 4)
    problem = problems("rows", 4, 2, 2)
    few = problem.entries.values.copy()
    few[:4, 2:] = 0
    before, after = problem.entries, problem.entries._replace(values=few)

    def compute(rows):
        parts = (of[rows] for of in after[1:4])
        return Entries(rows.start, *parts, after.orientations)

    made = tabulate(compute, problem.grid, problem.shape)
    found = matrix_of(made, 4)
    np.testing.assert_allclose(found[:, :, :, 4:], problem.dense[:, :, :, 4:], rtol=0, atol=1e-15)
    assert np.count_nonzero(found[:, 0, :, :4]) <= 2 * 8 < np.count_nonzero(before.values[:4])


def test_progress_counts_every_row_once(problem):
    steps = []
    made = tabulate(
        problem.compute, problem.grid, problem.shape, problem.slots, problem.halo, steps.append
    )
    assert sum(steps) == problem.shape.rows
    assert_same(made, problem.table)


def itself(nside, sectors, row_major):
    """The identity of one grid."""
    grid = Grid(nside, sectors, row_major)

    def compute(part):
        rows = np.arange(grid.rows)[part, None]
        return Entries(part.start, rows, 0 * rows, np.ones(rows.shape), np.zeros(1, int))

    shape = Shape(1, 1, grid.rows, grid.rows, sectors, np.dtype(np.float64))
    return tabulate(compute, grid, shape, halo=1)


@pytest.mark.parametrize("sectors", [1, 4])
@pytest.mark.parametrize(
    ("row_major", "kinds"),
    [
        (False, {4: DenseTable, 8: RowTable, 16: RowTable}),
        (True, {4: DenseTable, 8: DenseTable, 16: FaceTable}),
    ],
)
def test_grids_of_few_pixels_have_dense_tables(sectors, row_major, kinds):
    for nside, kind in kinds.items():
        made = itself(nside, sectors, row_major)
        assert type(made) is kind
        field = np.random.default_rng(0).standard_normal((2, sectors, 12 * nside**2 // sectors))
        found = np.asarray(jax.jit(type(made).spread)(made, field))
        assert np.array_equal(found[0, 0], field)


@pytest.mark.parametrize("no_dense_table", [False, True])
def test_entries_of_one_pixel_are_added_and_zeros_are_none(monkeypatch, matrix_of, no_dense_table):
    if no_dense_table:
        monkeypatch.setattr(table, "DENSE_PIXELS", 0)
    rows = np.array([[7, 7, 9], [3, 7, 3], [0, 0, 0], [1, 2, 3]])
    values = np.array([[1.0, 2.0, 0.0], [4.0, 8.0, 16.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    orientations = np.array([0, 0, 1])
    made = tabulate(
        lambda part: Entries(part.start, rows[part], 0 * rows[part], values[part], orientations),
        Grid(2, 1),
        Shape(2, 1, 4, 48, 1, np.dtype(np.float64)),
    )
    found = matrix_of(made, 1)[:, 0, 0, :, 0]
    expected = np.zeros((2, 4, 48))
    expected[0, 0, 7], expected[0, 1, 3], expected[0, 1, 7] = 3, 4, 8
    expected[1, 1, 3], expected[0, 3, 1], expected[0, 3, 2], expected[1, 3, 3] = 16, 1, 1, 1
    assert np.array_equal(found, expected)
    if no_dense_table:
        # 3, 7, 1 and 2 and a place for padding: pixel 9 is no entry.
        assert made.indices.shape[1] - (np.asarray(made.weights) == 0).all(-1).sum() == 4


def test_weights_are_in_memory_once(monkeypatch):
    """A CPU takes over the memory they were gathered in, whatever its place and their type."""
    if jax.default_backend() != "cpu":
        pytest.skip("weights are on another device")
    for dtype in ("float32", "float64"):
        for size in (1, 3, 10**6):
            host = table._zeros((size, 2), np.dtype(dtype))
            assert host.shape == (size, 2)
            assert not host.any()
            assert jax.device_put(host).unsafe_buffer_pointer() == host.ctypes.data
    made, put = [], jax.device_put
    monkeypatch.setattr(jax, "device_put", lambda array: made.append(array) or put(array))
    weights = itself(8, 4, False).weights
    assert weights.unsafe_buffer_pointer() in {array.ctypes.data for array in made}
