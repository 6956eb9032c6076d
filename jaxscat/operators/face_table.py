"""Face tables, built on the host from the entries of a sparse matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxscat.operators.entries import Entries, Grid, Shape, in_pieces
from jaxscat.operators.faces import SHIFTS_OF_A_STEP, FaceTable
from jaxscat.operators.halo import beyond_corners, corner_pixels, corner_squares, pad_faces
from jaxscat.operators.symmetry import FACE_ROWS

# Rows computed in one piece. Where strays go depends on it.
ROWS_AT_A_TIME = 1 << 13

# Shifts that fewer pixels need are left to the corners of the halo.
_FEW_PIXELS = 12

Offset = tuple[int, int]


class _Stray(NamedTuple):
    """An input pixel (by its code) of an output row that is at none of the common shifts."""

    row: int
    code: int
    weights: Float[np.ndarray, "L parts"]


def build_faces(
    compute: Callable[[slice], Entries],
    grid: Grid,
    shape: Shape,
    halo: int,
    advance: Callable[[int], None],
) -> FaceTable:
    """Build the face table of a sparse matrix.

    Args:
        compute: entries of some output rows.
        grid: pixels of the input field.
        shape: size of the matrix.
        halo: width of the halo.
        advance: called with the number of output rows finished since the last call.

    Raises:
        ValueError: stencils reach further around the corners of faces than the halo holds.
    """
    step = round((shape.in_rows / shape.rows) ** 0.5)
    surroundings = _surroundings(grid, halo)
    side = grid.nside // step
    row = np.arange(shape.rows)
    face = row // side**2
    y, x = row // side % side * step + halo, row % side * step + halo
    weights: dict[Offset, np.ndarray] = {}
    strays: list[_Stray] = []

    def read_at(offset: Offset, rows: Any) -> Int[np.ndarray, " n"]:
        return surroundings.codes[face[rows], y[rows] + offset[0], x[rows] + offset[1]]

    def convert(entries: Entries) -> tuple[dict[Offset, np.ndarray], list[_Stray]]:
        rows = slice(entries.start, entries.start + entries.rows.shape[0])
        of_shifts = {offset: read_at(offset, rows) for offset in _offsets(halo, step)}
        return _match(entries, of_shifts, shape)

    starts = range(0, shape.rows, ROWS_AT_A_TIME)
    for part, (found, left) in in_pieces(compute, starts, shape.rows, convert):
        for offset, values in found.items():
            if offset not in weights:
                size = (shape.orientations, shape.parts, shape.rows)
                weights[offset] = np.zeros(size, shape.dtype)
            weights[offset][..., part] = values
        strays += left
        advance(part.stop - part.start)
    for offset in list(weights):
        used = np.flatnonzero(weights[offset].any(axis=(0, 1)))
        if used.size < _FEW_PIXELS:
            few = weights.pop(offset)
            strays += [
                _Stray(int(at), int(code), few[..., at])
                for at, code in zip(used, read_at(offset, used), strict=True)
            ]
    offsets = sorted(weights)
    corners = _place_strays(strays, weights, surroundings, (face, y, x))
    wide = side + 2 * halo // step
    of_shift = (shape.orientations, shape.parts, shape.rows // side**2, side)
    left_over = -len(offsets) % SHIFTS_OF_A_STEP  # shifts of no weight
    stacked = np.zeros((len(offsets) + left_over, *of_shift, wide), shape.dtype)
    for number, offset in enumerate(offsets):
        stacked[number, ..., :side] = weights.pop(offset).reshape(*of_shift, side)
    return FaceTable(
        weights=jnp.asarray(stacked),
        corners=jnp.asarray(corners, dtype=jnp.int32),
        offsets=(*offsets, *[(0, 0)] * left_over),
        halo=halo,
        step=step,
    )


def _offsets(halo: int, step: int) -> list[Offset]:
    # From the first child of a coarse pixel; the last may stand one further.
    reach = range(-halo, halo + step)
    return [(y, x) for y in reach for x in reach]


def _match(
    entries: Entries, codes: dict[Offset, np.ndarray], shape: Shape
) -> tuple[dict[Offset, np.ndarray], list[_Stray]]:
    """Sort entries by shift: the weights of all rows at each that is used, and what is left."""
    read = np.where(entries.values == 0, -2, entries.shifts * shape.in_rows + entries.rows)
    one_hot = np.eye(shape.orientations)[entries.orientations]
    parts, found = entries.parts, {}
    for offset, at in codes.items():
        here = read == at[:, None]
        if here.any():
            read[here] = -2
            found[offset] = np.stack(
                [(np.where(here, part, 0) @ one_hot).T for part in parts], axis=1
            ).astype(shape.dtype)
    strays: dict[tuple[int, int], np.ndarray] = {}
    for row, entry in np.argwhere(read >= 0):
        key = int(row) + entries.start, int(read[row, entry])
        sums = strays.setdefault(key, np.zeros((shape.orientations, shape.parts)))
        sums[entries.orientations[entry]] += [part[row, entry] for part in parts]
    return found, [_Stray(*key, sums.astype(shape.dtype)) for key, sums in strays.items()]


class _Surroundings(NamedTuple):
    """The pixels of every face with its halo, by their codes.

    The code of a pixel is the number of its sector times the number of rows, plus its row.

    Attributes:
        codes: `[faces, y, x]`, -1 in the corners where three faces meet and nothing lies between.
        numbers: number in `pad_faces` of every place in the corners, -1 elsewhere.
        corners: which of the codes `near` stands there, for all sectors.
        near: codes of the pixels of `corner_pixels`.
        grid: pixels of the field.
    """

    codes: Int[np.ndarray, "faces y x"]
    numbers: Int[np.ndarray, "faces y x"]
    corners: Int[np.ndarray, " corners"]
    near: Int[np.ndarray, " near"]
    grid: Grid

    def stand(self, number: int, code: int) -> None:
        """Let a pixel stand in a place of the corners, and its like in those of other sectors."""
        per_sector = self.corners.size // self.grid.sectors
        shift, row = divmod(code, self.grid.rows)
        for sector in range(self.grid.sectors):
            seen = (shift + sector) % self.grid.sectors * self.grid.rows + row
            self.corners[sector * per_sector + number] = np.flatnonzero(self.near == seen)[0]


def _surroundings(grid: Grid, halo: int) -> _Surroundings:
    size = (grid.sectors, FACE_ROWS, 4 // grid.sectors, grid.nside, grid.nside)
    faces = np.arange(grid.rows * grid.sectors).reshape(size)
    near = corner_pixels(faces[None], halo)[0]
    beyond = beyond_corners(faces, halo)
    order = np.argsort(near, kind="stable")
    corners = order[np.searchsorted(near[order], np.maximum(beyond, 0))].ravel()
    codes = pad_faces(faces[None], halo, corners)[0, 0]  # around the first sector
    codes = codes.reshape(-1, *codes.shape[-2:])
    numbers = np.full_like(codes, -1)
    count = np.arange(codes.shape[0] * 4 * halo**2).reshape(-1, 4, halo, halo)
    for corner, square in enumerate(corner_squares(halo)):
        numbers[:, *square] = count[:, corner]
        codes[:, *square] = beyond[0].reshape(count.shape)[:, corner]
    return _Surroundings(codes, numbers, corners, near, grid)


def _place_strays(
    strays: list[_Stray],
    weights: dict[Offset, np.ndarray],
    around: _Surroundings,
    position: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Int[np.ndarray, " corners"]:
    """Put strays into free corners of the halo, where a shift finds them; add their weights.

    Returns:
        which of the pixels near corners stands in every corner.

    Raises:
        ValueError: there is no place for one.
    """
    taken = dict[int, int]()
    known = set(around.near.tolist())

    def places(stray: _Stray) -> list[tuple[Offset, int]]:
        of, at_y, at_x = (int(axis[stray.row]) for axis in position)
        found = []
        for offset in weights:
            place = of, at_y + offset[0], at_x + offset[1]
            if around.numbers[place] >= 0 and around.codes[place] == -1:
                found.append((offset, int(around.numbers[place])))
        return found

    for stray in sorted(strays, key=lambda stray: len(places(stray))):
        possible = places(stray)
        shared = [one for one in possible if taken.get(one[1]) == stray.code]
        free = [one for one in possible if one[1] not in taken]
        if stray.code not in known or not (shared or free):
            raise ValueError(
                "layout: got 'faces', which these stencils do not fit around the corners of base "
                "faces, expected 'rows'"
            )
        offset, number = (shared or free)[0]
        taken[number] = stray.code
        around.stand(number, stray.code)
        weights[offset][..., stray.row] += stray.weights
    return around.corners
