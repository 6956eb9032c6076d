"""Partial skies: which pixels a pyramid has at every scale, and how they are named."""

import hashlib

import numpy as np
from jaxtyping import Bool, Int

PixelArray = Int[np.ndarray, " p"]


def check_cells(cell_ids: object, nside: int) -> tuple[PixelArray, PixelArray | None]:
    """Return the pixels of a patch in ascending order, and how to bring a map into that order.

    Args:
        cell_ids: different NESTED indices in any order.
        nside: resolution of the map.

    Returns:
        ascending int64 indices, and the permutation `order` with `map[order]` ascending; None if
        they were ascending already.

    Raises:
        ValueError: not one row of whole numbers, none at all, one outside the sphere or twice.

    Source: `docs/conventions.md`, "Partial sky".
    """
    ids = np.asarray(cell_ids)
    if ids.ndim != 1 or ids.size == 0 or ids.dtype.kind not in "iu":
        raise ValueError(
            f"cell_ids: got {ids.dtype} of shape {ids.shape}, expected one row of pixel indices"
        )
    npix = 12 * nside**2
    # Unsigned numbers would wrap; the comparison is made before the cast.
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
    """Return a short checksum of ascending pixels of a patch, by which a pyramid knows them."""
    text = f"{nside} ".encode() + np.ascontiguousarray(cells, dtype="<i8").tobytes()
    return hashlib.sha256(text).hexdigest()[:16]


def default_scales(cells: int, most: int) -> int:
    """Return at how many scales a patch is measured unless the caller says otherwise.

    The coarsest grid keeps about 16 pixels or more.

    Args:
        cells: number of pixels of the finest grid.
        most: number of scales of the full sky.

    Source: FOSCAT's rule; `docs/conventions.md`, "Partial sky".
    """
    return max(1, min(most, (int(cells).bit_length() - 1) // 2 - 1))


def children(cells: PixelArray) -> PixelArray:
    """Return the pixels of a patch on the next finer grid."""
    return (4 * cells[:, None] + np.arange(4)).reshape(-1)


def parents(cells: PixelArray) -> PixelArray:
    """Return the pixels of the next coarser grid that have a child in the patch, ascending."""
    return np.unique(cells // 4)


def block_slots(cells: PixelArray) -> PixelArray | None:
    """Return where the pixels of a patch stand among all children of their parents.

    None if all children are there: then pixels already stand in blocks of four.
    """
    above = parents(cells)
    if cells.size == 4 * above.size:
        return None
    return 4 * np.searchsorted(above, cells // 4) + cells % 4


def find(
    cells: PixelArray, pixels: Int[np.ndarray, "*shape"]
) -> tuple[Int[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
    """Return where pixels stand in a patch (0 if nowhere), and which of them it has."""
    position = np.minimum(np.searchsorted(cells, pixels), cells.size - 1)
    present = cells[position] == pixels
    return np.where(present, position, 0), present
