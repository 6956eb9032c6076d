"""The quarter-turn symmetry of HEALPix: operators of one sector serve all sectors.

HEALPix is invariant under a quarter turn about its axis, and so is the wavelet gauge, except that
orientation `l` becomes `l + L / 2`. Operators are therefore tabulated for the pixels of one sector
only, and a map is *folded*: `[npix]` becomes `[row, sector]` with `npix / sectors` rows.
See `docs/conventions.md`, "Sectors".
"""

import numpy as np
from jaxtyping import Array, Float, Int

FACE_ROWS = 3  # HEALPix has 12 base faces: 4 around each of north, equator and south.


def sector_count(orientations: int, exact: bool) -> int:
    """Return the number of equivalent sectors of the sphere for a number of orientations.

    Four if a quarter turn is a whole number of orientations, two otherwise; one if the geometry is
    not `exact`, because rounding differs from sector to sector.
    """
    if not exact:
        return 1
    return 4 if orientations % 2 == 0 else 2


def sector_pixels(nside: int, sectors: int) -> Int[np.ndarray, " rows"]:
    """Return the NESTED pixels of the first sector, one per row of a folded map."""
    rows = 12 * nside**2 // sectors
    per_face_row = rows // FACE_ROWS
    row = np.arange(rows)
    return (row // per_face_row) * (per_face_row * sectors) + row % per_face_row


def locate(
    nside: int, pixels: Int[np.ndarray, "*shape"], sectors: int
) -> tuple[Int[np.ndarray, "*shape"], Int[np.ndarray, "*shape"]]:
    """Return the row and the sector of NESTED pixels."""
    per_face_row = 12 * nside**2 // (sectors * FACE_ROWS)
    face_row, within = np.divmod(pixels, per_face_row * sectors)
    sector, position = np.divmod(within, per_face_row)
    return face_row * per_face_row + position, sector


def fold(maps: Float[Array, "*batch p"], sectors: int) -> Float[Array, "*batch rows sectors"]:
    """Arrange the pixels of NESTED maps by row and sector."""
    *batch, npix = maps.shape
    if sectors == 1:  # a patch does not have three whole rows of faces
        return maps[..., None]
    split = maps.reshape(*batch, FACE_ROWS, sectors, npix // (FACE_ROWS * sectors))
    return split.swapaxes(-1, -2).reshape(*batch, npix // sectors, sectors)


def unfold(folded: Float[Array, "*batch rows sectors"]) -> Float[Array, "*batch p"]:
    """Arrange the pixels of folded maps in NESTED order; the inverse of `fold`."""
    *batch, rows, sectors = folded.shape
    if sectors == 1:
        return folded[..., 0]
    split = folded.reshape(*batch, FACE_ROWS, rows // FACE_ROWS, sectors)
    return split.swapaxes(-1, -2).reshape(*batch, rows * sectors)


def true_orientations(
    orientations: int, sectors: int
) -> tuple[Int[np.ndarray, "sectors L"], Float[np.ndarray, "sectors L"]]:
    """Map the orientations of the whole sphere's gauge to those of every sector.

    Returns:
        `source`: for a sector and an orientation of the sphere, the orientation in the sector;
        `parity`: +1, or -1 where the coefficient is the complex conjugate: orientations half a
        turn apart are conjugates for a real map.
    """
    turned = np.arange(orientations) + (np.arange(sectors) * (2 * orientations // sectors))[:, None]
    half_turns, position = np.divmod(turned, orientations)
    source = np.empty((sectors, orientations), dtype=int)
    parity = np.empty((sectors, orientations))
    for sector in range(sectors):
        source[sector, position[sector]] = np.arange(orientations)
        parity[sector, position[sector]] = 1.0 - 2.0 * (half_turns[sector] % 2)
    return source, parity


def seen_columns(channels: int, sectors: int) -> Int[np.ndarray, "sectors columns"]:
    """Return the permutation of a row's columns from one sector's gauge to another's.

    Args:
        channels: number of orientations of the field, or 1 if it has none.
        sectors: number of sectors.

    Returns:
        for every shift, the source of each column (`channel * sectors + sector`) of a row, as
        read by the sector `shift` places before.
    """
    columns = np.arange(channels * sectors).reshape(channels, sectors)
    turn = 2 * channels // sectors if channels > 1 else 0
    seen = [
        np.roll(np.roll(columns, shift * turn, axis=0), -shift, axis=1) for shift in range(sectors)
    ]
    return np.stack(seen).reshape(sectors, -1)
