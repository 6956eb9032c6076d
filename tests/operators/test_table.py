import jax
import numpy as np
import pytest

from jaxscat.operators import symmetry
from jaxscat.operators.resolution import build_downsampling
from jaxscat.operators.stencil import build_stencil
from jaxscat.operators.table import DenseTable, SparseTable, pad_transpose, tabulate

TABLES = {
    "random, 4 sectors": 4,
    "random, 2 sectors": 2,
    "random, 1 sector": 1,
    "stencil": 4,
    "downsampling": 4,
}


@pytest.fixture(scope="module", params=TABLES)
def table(request, random_entries):
    if request.param == "stencil":
        return build_stencil(8, 4, 3, dtype=np.float64)
    if request.param == "downsampling":
        return build_downsampling(16, 4, dtype=np.float64)
    pixels, weights, used = random_entries(8, width=9, rows=30)
    return tabulate(8, pixels, weights, used, TABLES[request.param])


def matrix(indices, weights, columns):
    """Dense matrix `[row, column, output]` of padded indices and weights."""
    indices, weights = np.asarray(indices), np.asarray(weights)
    dense = np.zeros((indices.shape[1], columns, weights.shape[2]))
    for row, column in zip(indices, weights, strict=True):
        dense[np.arange(indices.shape[1]), row] += column
    return dense


def test_transposed_table_is_the_transpose(table):
    forward = matrix(table.indices, table.weights, table.transposed_indices.shape[1])
    back = matrix(table.transposed_indices, table.transposed_weights, table.indices.shape[1])
    assert np.abs(forward).max() > 0
    np.testing.assert_allclose(back.transpose(1, 0, 2), forward, rtol=0, atol=1e-15)


def test_indices_are_int32_and_inside_the_rows_they_count(table):
    in_rows = table.transposed_indices.shape[1] - table.halo_rows.shape[0]
    bounds = {
        "indices": table.transposed_indices.shape[1],
        "transposed_indices": table.indices.shape[1],
        "halo_rows": in_rows,
        "repeated_rows": in_rows,
        "repeats": table.halo_rows.shape[0] + 1,
    }
    for name, bound in bounds.items():
        values = np.asarray(getattr(table, name))
        assert values.dtype == np.int32, name
        assert values.size == 0 or (values.min() >= 0 and values.max() < bound), name
    assert table.halo_shifts.dtype == np.int32
    assert table.halo_shifts[-1] == 0


def test_halo_lists_every_repeated_row_once_for_a_shift(table):
    rows, shifts = np.asarray(table.halo_rows), np.asarray(table.halo_shifts)[:-1]
    assert np.all(shifts > 0)
    assert len(set(zip(rows, shifts, strict=True))) == rows.size
    repeated = np.asarray(table.repeated_rows)
    assert np.array_equal(repeated, np.unique(rows))
    copies = np.asarray(table.repeats)
    for column, row in enumerate(repeated):
        found = copies[:, column]
        assert sorted(found[found < rows.size]) == np.flatnonzero(rows == row).tolist()


@pytest.mark.parametrize("nside", [2, 4, 8])
@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_table_holds_the_entries_it_was_made_of(random_entries, nside, sectors):
    pixels, weights, used = random_entries(nside, width=9, rows=30, seed=nside)
    table = tabulate(nside, pixels, weights, used, sectors)
    in_rows = 12 * nside**2 // sectors
    expected = np.zeros((30, sectors, in_rows, 3))
    position = {
        p: where for where, p in np.ndenumerate(symmetry.fold(np.arange(12 * nside**2), sectors))
    }
    for k, row in zip(*np.nonzero(used), strict=True):
        source, shift = position[pixels[k, row]]
        expected[row, shift, source] += weights[k, row]
    if nside <= 4:
        assert isinstance(table, DenseTable)
        found = np.asarray(table.weights).transpose(0, 2, 3, 1)
    else:
        assert isinstance(table, SparseTable)
        halo = table.halo_rows.shape[0]
        extended = matrix(table.indices, table.weights, in_rows + halo)
        found = np.zeros_like(expected)
        found[:, 0] = extended[:, :in_rows]
        for place, (row, shift) in enumerate(
            zip(np.asarray(table.halo_rows), np.asarray(table.halo_shifts)[:-1], strict=True)
        ):
            found[:, shift, row] += extended[:, in_rows + place]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_entries_of_one_pixel_are_added():
    pixels = np.full((3, 1), 7)
    weights = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    table = tabulate(2, pixels, weights, np.array([[True], [True], [False]]), 1)
    assert np.asarray(table.weights)[0, 0, 0, 7] == 3.0
    assert np.asarray(table.weights).sum() == 3.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nside", [4, 8])
def test_weights_keep_their_type(random_entries, nside, dtype):
    pixels, weights, used = random_entries(nside)
    table = tabulate(nside, pixels, weights.astype(dtype), used, 4)
    floats = [leaf for leaf in jax.tree.leaves(table) if leaf.dtype.kind == "f"]
    assert floats and all(leaf.dtype == dtype for leaf in floats)


def test_pad_transpose_leaves_padding_at_zero():
    indices = np.array([[0, 2, 2], [2, 0, 1]])
    used = np.array([[True, True, True], [True, False, True]])
    weights = np.array([[1.0, 2.0, 3.0], [4.0, 9.0, 5.0]])[:, :, None]
    back_indices, back_weights = pad_transpose(indices, weights, used, 4)
    assert back_indices.shape == (3, 4) and back_weights.shape == (3, 4, 1)
    expected = np.zeros((4, 3))
    expected[0, 0], expected[1, 2], expected[2] = 1.0, 5.0, [4.0, 2.0, 3.0]
    assert np.array_equal(matrix(back_indices, back_weights, 3)[:, :, 0], expected)
    assert np.count_nonzero(back_weights) == 5
