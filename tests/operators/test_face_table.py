"""Face tables hold the entries they are made of, those that cross corners too."""

import healpy
import numpy as np
import pytest

from jaxscat.operators import face_table
from jaxscat.operators.entries import Entries, Grid, Shape
from jaxscat.operators.face_table import build_faces
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.resolution import build_downsampling
from jaxscat.operators.stencil import build_stencil

REFUSED = (
    "^layout: got 'faces', which these stencils do not fit around the corners of base faces, "
    "expected 'rows'$"
)


@pytest.mark.parametrize(
    "case", [("faces", 4, 2, 2), ("faces", 1, 3, 1), ("faces", 2, 1, 1, 8, 2, 2)], ids=str
)
def test_table_holds_the_entries_it_was_made_of(problems, matrix_of, case):
    problem = problems(*case)
    found = matrix_of(problem.table, problem.shape.sectors)
    np.testing.assert_allclose(found, problem.dense, rtol=0, atol=1e-15)
    step = case[-1] if len(case) > 4 else 1
    assert (problem.table.step, problem.table.halo) == (step, 2)
    assert list(problem.table.offsets) == sorted(set(problem.table.offsets))
    assert len(problem.table.offsets) == (3 * step) ** 2
    beyond = np.asarray(problem.table.weights)[..., problem.grid.nside // step :]
    assert beyond.size and not beyond.any()


def turned(nside, pixels, sectors):
    """The pixels as the sectors after the first see them."""
    theta, phi = healpy.pix2ang(nside, pixels, nest=True)
    angles = 2 * np.pi * np.arange(sectors) / sectors
    return healpy.ang2pix(nside, theta, phi + angles[:, None], nest=True)


class Local:
    """Every pixel reads itself and its neighbours; some read others too.

    `others` are pairs of pixels, given by `(face, y, x)`.
    """

    def __init__(self, nside, sectors, others, halo):
        self.grid, self.halo = Grid(nside, sectors, row_major=True), halo
        own = self.grid.pixels
        near = np.concatenate([own[None], healpy.get_all_neighbours(nside, own, nest=True)]).T
        pixels = np.full((own.size, 9 + len(others)), -1)
        pixels[:, :9] = near
        for place, (of, read) in enumerate(others):
            pixels[own == self.pixel(*of), 9 + place] = self.pixel(*read)
        self.pixels = pixels
        self.values = np.random.default_rng(0).random(pixels.shape) * (pixels >= 0)
        rows, self.shifts = self.grid.locate(np.maximum(pixels, 0))
        self.entries = Entries(0, rows, self.shifts, self.values, np.zeros(pixels.shape[1], int))
        self.shape = Shape(1, 1, own.size, own.size, sectors, np.dtype(np.float64))

    def pixel(self, face, y, x):
        return int(healpy.xyf2pix(self.grid.nside, x, y, face, nest=True))

    def build(self, advance=lambda _: None):
        return build_faces(self.compute, self.grid, self.shape, self.halo, advance)

    def compute(self, rows):
        parts = (of[rows] for of in self.entries[1:4])
        return Entries(rows.start, *parts, self.entries.orientations)

    def check(self, table, matrix_of):
        """Compare with what every sector reads, as pixels of the sphere."""
        nside, sectors = self.grid.nside, self.grid.sectors
        npix = 12 * nside**2
        outputs = turned(nside, self.grid.pixels, sectors)
        reads = turned(nside, np.maximum(self.pixels, 0).ravel(), sectors)
        expected = np.zeros((npix, npix))
        for out, read in zip(outputs, reads, strict=True):
            np.add.at(expected, (out[:, None], read.reshape(self.pixels.shape)), self.values)
        found = matrix_of(table, sectors)[0, :, 0]
        order = outputs.ravel()
        np.testing.assert_allclose(
            found.reshape(npix, npix), expected[order][:, order], rtol=0, atol=1e-15
        )


# Around the corners of face 0 and 4 at which only three faces meet, and one that has four.
STRAYS = {
    "across the face": [((0, 0, 3), (0, 3, 0))],
    "into another face": [((0, 3, 0), (8, 3, 0))],
    "into another sector": [((4, 0, 0), (6, 3, 3))],
    "three": [((0, 0, 3), (0, 3, 0)), ((0, 3, 0), (5, 1, 1)), ((8, 0, 3), (1, 0, 0))],
    "from two entries": [((0, 0, 3), (0, 3, 0)), ((0, 0, 3), (0, 3, 0))],
}


@pytest.mark.parametrize("sectors", [1, 4])
@pytest.mark.parametrize("strays", STRAYS)
def test_strays_stand_in_corners_of_the_halo(matrix_of, strays, sectors):
    local = Local(4, sectors, STRAYS[strays], halo=1)
    table = local.build()
    assert len(table.offsets) == 9  # no shift of their own
    local.check(table, matrix_of)


def test_a_shift_of_few_pixels_is_left_to_the_corners(matrix_of):
    # Two pixels further than all others read, and only here.
    local = Local(4, 4, [((0, 0, 3), (0, 2, 3))], halo=2)
    table = local.build()
    assert max(max(abs(y), abs(x)) for y, x in table.offsets) == 1
    local.check(table, matrix_of)


def test_a_shift_of_many_pixels_is_one(monkeypatch, matrix_of):
    monkeypatch.setattr(face_table, "_FEW_PIXELS", 1)
    local = Local(4, 4, [((0, 0, 3), (0, 2, 3))], halo=2)
    table = local.build()
    # And two without weight, to whole steps.
    assert (2, 0) in table.offsets and len(table.offsets) == 12
    local.check(table, matrix_of)


NO_PLACE = {
    "away from corners": (4, [((0, 1, 1), (0, 3, 3))]),
    "around a corner of four faces": (4, [((0, 3, 3), (0, 0, 0))]),
    "two for one place": (4, [((0, 0, 3), (0, 3, 0)), ((0, 0, 3), (0, 3, 3))]),
    "a pixel that no corner holds": (8, [((0, 0, 7), (0, 4, 4))]),
}


@pytest.mark.parametrize("sectors", [1, 4])
@pytest.mark.parametrize("case", NO_PLACE)
def test_what_has_no_place_is_refused(case, sectors):
    nside, others = NO_PLACE[case]
    with pytest.raises(ValueError, match=REFUSED):
        Local(nside, sectors, others, halo=1).build()


@pytest.mark.parametrize(("orientations", "sectors"), [(2, 4), (1, 2), (4, 1)])
def test_stencil_is_the_dense_matrix(no_dense_tables, matrix_of, reference, orientations, sectors):
    made = build_stencil(Grid(8, sectors, True), orientations, 3, dtype=np.float64)
    assert isinstance(made, FaceTable) and made.halo == 3
    found = matrix_of(made, sectors)[:, 0]  # of the first sector, whose gauge is the sphere's
    pixels = turned(8, Grid(8, sectors, True).pixels, sectors)
    expected = reference.wavelet_matrix(8, orientations)[:, pixels[0]][..., pixels.ravel()]
    found = found.reshape(orientations, 2, pixels.shape[1], -1)
    assert np.abs(found[:, 0] + 1j * found[:, 1] - expected).max() <= 1e-12


@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_downsampling_is_the_dense_matrix(no_dense_tables, matrix_of, reference, sectors):
    made = build_downsampling(Grid(8, sectors, True), dtype=np.float64)
    assert isinstance(made, FaceTable) and (made.halo, made.step) == (2, 2)
    fine, coarse = (turned(nside, Grid(nside, sectors, True).pixels, sectors) for nside in (8, 4))
    expected = reference.downsampling_matrix(8)[coarse.ravel()][:, fine.ravel()]
    found = matrix_of(made, sectors)
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 1e-14


def test_pieces_make_the_same_table_and_are_counted(monkeypatch):
    local = Local(4, 4, STRAYS["three"][:1], halo=2)
    whole, steps = local.build(), []
    monkeypatch.setattr(face_table, "ROWS_AT_A_TIME", 7)
    pieces = local.build(steps.append)
    assert steps == [7, 7, 7, 7, 7, 7, 6]
    assert pieces.offsets == whole.offsets
    assert np.array_equal(pieces.weights, whole.weights)
    assert np.array_equal(pieces.corners, whole.corners)
