"""The twelve base faces of HEALPix, each with a halo of the pixels around it.

A face row is one of north, equator and south. Fields of faces are `[channels, sectors, face row,
face of the sector, y, x]`; y and x grow to the north-west and to the north-east.

Source: Gorski et al. 2005, ApJ 622, 759, figures 3 and 4; `docs/conventions.md`, "Layouts".
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxscat.operators.symmetry import FACE_ROWS

_NORTH, _EQUATOR, _SOUTH = range(FACE_ROWS)


class _Side(NamedTuple):
    """The face beyond one edge: its face row, the number of faces to the east, whether turned.

    Two polar faces meet in an edge that is "right" of one and "up" of the other (or "left" and
    "down"): there x and y change places.
    """

    face_row: int
    east: int
    turned: bool = False


# Beyond the edges at the largest x, the smallest x, the largest y and the smallest y.
_SIDES = {
    _NORTH: (
        _Side(_NORTH, 1, True),
        _Side(_EQUATOR, 0),
        _Side(_NORTH, -1, True),
        _Side(_EQUATOR, 1),
    ),
    _EQUATOR: (_Side(_NORTH, 0), _Side(_SOUTH, -1), _Side(_NORTH, -1), _Side(_SOUTH, 0)),
    _SOUTH: (
        _Side(_EQUATOR, 1),
        _Side(_SOUTH, -1, True),
        _Side(_EQUATOR, 0),
        _Side(_SOUTH, 1, True),
    ),
}


def pad_faces(
    faces: Array | np.ndarray, halo: int, corners: Int[Array, " corners"] | np.ndarray
) -> Any:
    """Surround every face by a halo: strips of its neighbours, and pixels chosen for the corners.

    Args:
        faces: `[channels, sectors, face rows, faces, nside, nside]`, of JAX or NumPy.
        halo: width.
        corners: which of the pixels of `corner_pixels` stand in the squares at the corners of every
            face, `[sectors, face rows, faces, 4, halo, halo]` flattened.
    """
    numpy: Any = np if isinstance(faces, np.ndarray) else jnp
    channels, sectors, rows, count, nside, _ = faces.shape
    # Arrays of few axes are compiled fastest.
    faces = faces.reshape(channels, -1, nside, nside)
    low, high = slice(None, halo), slice(-halo, None)
    # Of every face the strips along its four edges, of which the lines are in the order of y or x.
    along = [
        faces[..., high].swapaxes(-1, -2),
        faces[..., low].swapaxes(-1, -2),
        faces[..., high, :],
        faces[..., low, :],
    ]
    along = [strips.reshape(channels, sectors, rows, count, halo, nside) for strips in along]
    strips = [
        numpy.stack([_strips_beyond(along, row, number) for row in range(rows)], 2)
        for number in range(4)
    ]
    right, left, up, down = (of.reshape(channels, -1, halo, nside) for of in strips)
    squares = corner_pixels(faces, halo)[:, corners].reshape(channels, -1, 4, halo, halo)

    def row(*parts: Any) -> Any:
        return numpy.concatenate(parts, -1)

    left, right = left.swapaxes(-1, -2), right.swapaxes(-1, -2)
    padded = numpy.concatenate(
        [
            row(squares[:, :, 0], down, squares[:, :, 1]),
            row(left, faces, right),
            row(squares[:, :, 2], up, squares[:, :, 3]),
        ],
        -2,
    )
    return padded.reshape(channels, sectors, rows, count, *padded.shape[-2:])


def _strips_beyond(along: list[Any], face_row: int, number: int) -> Any:
    """Return what lies beyond one edge of all faces of a row, of the strips along all edges.

    Args:
        along: strips of every edge, `[channels, sectors, face rows, faces, halo, nside]`.
        face_row: row of the faces.
        number: number of the edge.
    """
    other, east, turned = _SIDES[face_row][number]
    edge = (2, 3, 0, 1)[number] if turned else (1, 0, 3, 2)[number]
    strips = along[edge][:, :, other]
    numpy: Any = np if isinstance(strips, np.ndarray) else jnp
    if edge % 2 == number % 2:  # the nearest line is the last in the face and the first beyond it
        strips = numpy.flip(strips, -2)
    channels, sectors, count, *size = strips.shape
    flat = strips.reshape(channels, -1, *size)
    return numpy.roll(flat, -east, axis=1).reshape(channels, sectors, count, *size)


def _beside(faces: np.ndarray, east: int) -> np.ndarray:
    """Return what lies `east` faces from every face, `[sectors, faces, ...]`."""
    flat = faces.reshape(-1, *faces.shape[2:])
    return np.roll(flat, -east, axis=0).reshape(faces.shape)


def corner_pixels(faces: Array | np.ndarray, halo: int) -> Any:
    """Return the pixels near the corners of all faces, `[channels, pixels]`.

    They are, of each face, four squares whose side is one more than the halo.
    """
    numpy: Any = np if isinstance(faces, np.ndarray) else jnp
    low, high = slice(None, halo + 1), slice(-halo - 1, None)
    squares = [faces[..., y, x] for y in (low, high) for x in (low, high)]
    return numpy.stack(squares, -3).reshape(faces.shape[0], -1)


def corner_squares(halo: int) -> list[tuple[slice, slice]]:
    """Return the squares (y, x) at the corners of a face with its halo."""
    low, high = slice(None, halo), slice(-halo, None)
    return [(low, low), (low, high), (high, low), (high, high)]


def beyond_corners(codes: Int[np.ndarray, "sectors rows faces y x"], halo: int) -> np.ndarray:
    """Return the pixels across the corners of faces, and -1 where only three faces meet.

    Args:
        codes: names of the pixels.
        halo: width.

    Returns:
        `[sectors, face rows, faces, 4, halo, halo]`, in the order of `corner_squares`.
    """
    low, high = slice(None, halo), slice(-halo, None)
    found = np.full((*codes.shape[:-2], 4, halo, halo), -1)
    north, equator, south = (codes[:, face_row] for face_row in range(FACE_ROWS))
    # At the poles two faces stand opposite each other; else the four corners of a square meet.
    found[:, _NORTH, :, 3] = _beside(north[..., high, high], 2)[..., ::-1, ::-1]
    found[:, _NORTH, :, 0] = south[..., high, high]
    found[:, _EQUATOR, :, 1] = _beside(equator[..., high, low], 1)
    found[:, _EQUATOR, :, 2] = _beside(equator[..., low, high], -1)
    found[:, _SOUTH, :, 3] = north[..., low, low]
    found[:, _SOUTH, :, 0] = _beside(south[..., low, low], 2)[..., ::-1, ::-1]
    return found
