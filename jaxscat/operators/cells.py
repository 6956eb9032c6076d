"""Partial skies: the pixels of a patch at every scale, and their order."""

import hashlib

import numpy as np
from jaxtyping import Bool, Int

from jaxscat.maps import to_numpy

PixelArray = Int[np.ndarray, " p"]


def check_cells(cell_ids: object, nside: int) -> tuple[PixelArray, PixelArray | None]:
    """Sort the pixels of a patch.

    Args:
        cell_ids: distinct NESTED indices in any order.
        nside: resolution of the map.

    Returns:
        ascending int64 indices, and the permutation `order` that sorts a map (`map[order]`); None
        if the indices are ascending already.

    Raises:
        ValueError: not a one-dimensional array of integers, empty, or with an index that is
            repeated or outside the sphere.
    """
    ids = to_numpy(cell_ids, name="cell_ids")
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"cell_ids: got {ids.dtype} of shape {ids.shape}, expected one row of pixel indices"
        )
    npix = 12 * nside**2
    # Compared before the cast: unsigned integers would wrap.
    outside = (ids < 0) | (ids >= npix)
    if outside.any():
        raise ValueError(
            f"cell_ids: got {ids[outside][0]}, expected 0 to {npix - 1} at nside {nside}"
        )
    ids = ids.astype(np.int64)
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    twice = np.flatnonzero(np.diff(ascending) == 0)
    if twice.size:
        raise ValueError(f"cell_ids: got pixel {ascending[twice[0]]} twice, expected each once")
    return ascending, None if np.array_equal(ascending, ids) else order


def digest(nside: int, cells: PixelArray) -> str:
    """Return a short checksum of the ascending pixels of a patch, which identifies them."""
    text = f"{nside} ".encode() + np.ascontiguousarray(cells, dtype="<i8").tobytes()
    return hashlib.sha256(text).hexdigest()[:16]


def default_scales(cells: int, maximum: int) -> int:
    """Return the default number of scales of a patch, as FOSCAT chooses it.

    The coarsest grid keeps at least about 16 pixels.

    Args:
        cells: number of pixels of the finest grid.
        maximum: number of scales of the full sky.
    """
    return max(1, min(maximum, (int(cells).bit_length() - 1) // 2 - 1))


def children(cells: PixelArray) -> PixelArray:
    """Return the pixels of a patch on the next finer grid."""
    return (4 * cells[:, None] + np.arange(4)).reshape(-1)


def parents(cells: PixelArray) -> PixelArray:
    """Return the ascending pixels of the next coarser grid that have a child in the patch."""
    return np.unique(cells // 4)


def block_slots(cells: PixelArray) -> PixelArray | None:
    """Return the positions of the pixels of a patch among all children of their parents.

    None if every child is in the patch: the pixels are in blocks of four already.
    """
    above = parents(cells)
    if cells.size == 4 * above.size:
        return None
    return 4 * np.searchsorted(above, cells // 4) + cells % 4


def find(
    cells: PixelArray, pixels: Int[np.ndarray, "*shape"]
) -> tuple[Int[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
    """Return the positions of pixels in a patch (0 if absent), and which of them are present."""
    position = np.minimum(np.searchsorted(cells, pixels), cells.size - 1)
    present = cells[position] == pixels
    return np.where(present, position, 0), present
