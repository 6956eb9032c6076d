"""Quarter turns about the pole: one sector of the sphere carries the operators of all sectors.

HEALPix looks the same after a quarter turn about its axis, and so does the wavelet gauge, except
that orientation `l` becomes `l + L / 2`. Operators are therefore tabulated for the pixels of one
sector only, and a map is *folded*: `[npix]` becomes `[row, sector]` with `npix / sectors` rows.
See `docs/conventions.md`, "Sectors".
"""

import numpy as np
from jaxtyping import Array, Float, Int

FACE_ROWS = 3  # HEALPix has 12 base faces: 4 around each of north, equator and south.


def sector_count(orientations: int, exact: bool) -> int:
    """Return into how many equal sectors the sphere can be cut for a number of orientations.

    Four when half the orientations make a quarter turn, two otherwise; one when the geometry is
    not `exact`, because rounding noise does not repeat from sector to sector.

    Source: `docs/conventions.md`, "Sectors".
    """
    if not exact:
        return 1
    return 4 if orientations % 2 == 0 else 2


def sector_pixels(nside: int, sectors: int) -> Int[np.ndarray, " rows"]:
    """Return the NESTED pixels of the first sector, one for each row of a folded map.

    Source: `docs/conventions.md`, "Sectors".
    """
    rows = 12 * nside**2 // sectors
    per_face_row = rows // FACE_ROWS
    row = np.arange(rows)
    return (row // per_face_row) * (per_face_row * sectors) + row % per_face_row


def locate(
    nside: int, pixels: Int[np.ndarray, "*shape"], sectors: int
) -> tuple[Int[np.ndarray, "*shape"], Int[np.ndarray, "*shape"]]:
    """Return the row and the sector of NESTED pixels.

    Source: `docs/conventions.md`, "Sectors".
    """
    per_face_row = 12 * nside**2 // (sectors * FACE_ROWS)
    face_row, within = np.divmod(pixels, per_face_row * sectors)
    sector, position = np.divmod(within, per_face_row)
    return face_row * per_face_row + position, sector


def fold(maps: Float[Array, "*batch p"], sectors: int) -> Float[Array, "*batch rows sectors"]:
    """Return maps with their pixels arranged by row and sector.

    Source: `docs/conventions.md`, "Sectors".
    """
    *batch, npix = maps.shape
    if sectors == 1:  # a patch of the sphere has no three rows of faces
        return maps[..., None]
    split = maps.reshape(*batch, FACE_ROWS, sectors, npix // (FACE_ROWS * sectors))
    return split.swapaxes(-1, -2).reshape(*batch, npix // sectors, sectors)


def unfold(folded: Float[Array, "*batch rows sectors"]) -> Float[Array, "*batch p"]:
    """Return folded maps as NESTED maps; the inverse of `fold`.

    Source: `docs/conventions.md`, "Sectors".
    """
    *batch, rows, sectors = folded.shape
    if sectors == 1:
        return folded[..., 0]
    split = folded.reshape(*batch, FACE_ROWS, rows // FACE_ROWS, sectors)
    return split.swapaxes(-1, -2).reshape(*batch, rows * sectors)


def true_orientations(
    orientations: int, sectors: int
) -> tuple[Int[np.ndarray, "sectors L"], Float[np.ndarray, "sectors L"]]:
    """Return where the orientations of every sector stand in the gauge of the whole sphere.

    Returns:
        `source`: for a sector and a true orientation, the orientation inside the sector;
        `parity`: +1, or -1 where the coefficient is the complex conjugate, because an
        orientation and its opposite (half a turn on) are conjugates for a real map.

    Source: `docs/conventions.md`, "Sectors".
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
    """Return how a row of a folded field looks from another sector.

    Args:
        channels: orientations of the field, or 1 if it has none.
        sectors: number of sectors.

    Returns:
        for every shift, the column (`channel * sectors + sector`) that stands at each column of
        the row as it is seen from `shift` sectors before.

    Source: `docs/conventions.md`, "Sectors".
    """
    columns = np.arange(channels * sectors).reshape(channels, sectors)
    turn = 2 * channels // sectors if channels > 1 else 0
    seen = [
        np.roll(np.roll(columns, shift * turn, axis=0), -shift, axis=1) for shift in range(sectors)
    ]
    return np.stack(seen).reshape(sectors, -1)
