import threading

import numpy as np
import pytest

from jaxscat.operators.entries import Entries, Grid, in_pieces
from jaxscat.operators.symmetry import fold


def test_complex_weights_are_two_parts():
    values = np.array([[1 + 2j, 3 - 1j]])
    nothing = np.zeros((1, 2), int)
    entries = Entries(0, nothing, nothing, values, nothing[0])
    assert [part.tolist() for part in entries.parts] == [[[1, 3]], [[2, -1]]]
    (only,) = entries._replace(values=values.real).parts
    assert only.tolist() == [[1, 3]]


@pytest.mark.parametrize("sectors", [1, 2, 4])
@pytest.mark.parametrize("row_major", [False, True])
def test_grid_of_the_sky_is_a_folded_field(sectors, row_major):
    grid = Grid(4, sectors, row_major)
    folded = fold(np.arange(192), sectors, row_major)
    assert grid.rows == 192 // sectors
    assert np.array_equal(grid.pixels, folded[0])
    rows, shifts = grid.locate(np.arange(192).reshape(2, 96))
    assert rows.shape == shifts.shape == (2, 96)
    assert np.array_equal(folded[shifts, rows].ravel(), np.arange(192))


def test_grid_of_a_patch_has_its_pixels():
    cells = np.array([3, 4, 9, 100])
    grid = Grid(4, 1, cells=cells)
    assert grid.rows == 4
    assert np.array_equal(grid.pixels, cells)
    rows, shifts = grid.locate(np.array([[100, 9], [5, 3]]))
    assert rows.tolist() == [[3, 2], [0, 0]]  # 5 is outside
    assert not shifts.any()


# Fewer pieces than threads, and more.
@pytest.mark.parametrize("starts", [[0], [0, 4], [0, 1, 2, 5, 7, 8, 9, 10, 11]])
def test_pieces_come_in_order_and_are_converted(starts):
    def compute(part):
        return np.arange(part.start, part.stop)

    found = list(in_pieces(compute, starts, 13, lambda values: 2 * values))
    assert [part.start for part, _ in found] == starts
    assert found[-1][0].stop == 13
    assert np.concatenate([values for _, values in found]).tolist() == list(range(0, 26, 2))
    for part, values in found:
        assert values.tolist() == list(range(2 * part.start, 2 * part.stop, 2))


def test_pieces_are_computed_beside_each_other():
    together = threading.Barrier(4, timeout=20)

    def compute(_):
        together.wait()  # breaks unless four are there at once

    assert len(list(in_pieces(compute, [0, 1, 2, 3], 4, lambda values: values))) == 4


def test_an_error_in_a_piece_is_raised():
    def compute(part):
        if part.start == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_pieces(compute, [0, 1, 2, 3], 4, lambda values: values))


def test_pieces_wait_for_who_takes_them():
    begun = []
    pieces = in_pieces(lambda part: begun.append(part), range(100), 100, lambda values: values)
    for taken in range(1, 5):
        next(pieces)
        assert len(begun) < 20 + taken  # results that wait take memory
    pieces.close()
    assert len(begun) < 30
