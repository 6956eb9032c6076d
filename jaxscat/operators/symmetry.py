"""The quarter-turn symmetry of HEALPix: operators of one sector serve all sectors.

HEALPix is invariant under a quarter turn about its axis, and so is the wavelet gauge, except that
orientation `l` becomes `l + L / 2`. Operators are therefore tabulated for the pixels of one sector
only, and a map is *folded*: `[npix]` becomes `[sector, row]` with `npix / sectors` rows.
See `docs/conventions.md`, "Sectors".
"""

from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

FACE_ROWS = 3  # HEALPix has 12 base faces: 4 around each of north, equator and south.

_AnyArray = TypeVar("_AnyArray", Array, np.ndarray)


def sector_count(orientations: int, exact: bool) -> int:
    """Return the number of equivalent sectors of the sphere for a number of orientations.

    Four if a quarter turn is a whole number of orientations, two otherwise; one if the geometry is
    not `exact`, because rounding differs from sector to sector.
    """
    if not exact:
        return 1
    return 4 if orientations % 2 == 0 else 2


def sector_pixels(nside: int, sectors: int, row_major: bool = False) -> Int[np.ndarray, " rows"]:
    """Return the NESTED pixels of the first sector, one per row of a folded map.

    Args:
        nside: resolution.
        sectors: number of sectors.
        row_major: order the pixels of every base face by row and column, not NESTED.
    """
    return fold(np.arange(12 * nside**2), sectors, row_major)[0]


def locate(
    nside: int, pixels: Int[np.ndarray, "*shape"], sectors: int, row_major: bool = False
) -> tuple[Int[np.ndarray, "*shape"], Int[np.ndarray, "*shape"]]:
    """Return the row and the sector of NESTED pixels."""
    per_face_row = 12 * nside**2 // (sectors * FACE_ROWS)
    # All are powers of two: shifts and masks are quotients and remainders, without the divisions.
    bits, sector_bits = per_face_row.bit_length() - 1, sectors.bit_length() - 1
    face_row, position = pixels >> (bits + sector_bits), pixels & (per_face_row - 1)
    sector = (pixels >> bits) & (sectors - 1)
    if row_major:
        face, nested = np.divmod(position, nside**2)
        order = np.empty(nside**2, dtype=np.int64)
        order[to_row_major(np.arange(nside**2), nside)] = np.arange(nside**2)
        position = face * nside**2 + order[nested]
    return face_row * per_face_row + position, sector


def fold(
    maps: _AnyArray, sectors: int, row_major: bool = False
) -> Float[_AnyArray, "*batch sectors rows"]:
    """Arrange the pixels of NESTED maps by sector and row.

    Args:
        maps: `[*batch p]`, of JAX or NumPy.
        sectors: number of sectors.
        row_major: order the pixels of every base face by row and column, not NESTED.
    """
    *batch, npix = maps.shape
    if sectors == 1 and not row_major:  # a patch does not have three whole rows of faces
        return maps[..., None, :]
    split = maps.reshape(*batch, FACE_ROWS, sectors, -1)
    if row_major:
        split = to_row_major(split, round((npix // 12) ** 0.5))
    return split.swapaxes(-2, -3).reshape(*batch, sectors, npix // sectors)


def unfold(folded: _AnyArray, row_major: bool = False) -> Float[_AnyArray, "*batch p"]:
    """Arrange the pixels of folded maps in NESTED order; the inverse of `fold`."""
    *batch, sectors, rows = folded.shape
    if sectors == 1 and not row_major:
        return folded[..., 0, :]
    split = folded.reshape(*batch, sectors, FACE_ROWS, -1).swapaxes(-2, -3)
    if row_major:
        split = from_row_major(split, round((sectors * rows // 12) ** 0.5))
    return split.reshape(*batch, rows * sectors)


def to_row_major(pixels: _AnyArray, nside: int) -> _AnyArray:
    """Order the pixels of base faces, `[*batch faces*nside^2]`, by row (y) and column (x).

    NESTED indices interleave the bits of y and x; squares of four are merged step by step.
    """
    shape, side = pixels.shape, 1
    while side < nside:
        split = pixels.reshape(*shape[:-1], -1, 2, 2, side, side)
        pixels = split.swapaxes(-2, -3)
        side *= 2
    return pixels.reshape(shape)


def from_row_major(pixels: _AnyArray, nside: int) -> _AnyArray:
    """Order the pixels of base faces NESTED; the inverse of `to_row_major`."""
    shape, side = pixels.shape, nside
    while side > 1:
        side //= 2
        split = pixels.reshape(*shape[:-1], -1, 2, side, 2, side)
        pixels = split.swapaxes(-2, -3)
    return pixels.reshape(shape)


def turn_coefficients(
    fields: Float[Array, "L 2 channels sectors rows"],
) -> Float[Array, "L 2 channels sectors rows"]:
    """Count the orientations of every sector as the whole sphere does.

    Args:
        fields: wavelet coefficients in the gauge of each sector, real and imaginary parts.
    """
    orientations, *_, sectors, _ = fields.shape
    if sectors == 1:
        return fields
    source, parity = true_orientations(orientations, sectors)
    odd = (source != source[0]).any(axis=1)
    if odd.any():  # by half of the orientations
        half = orientations // 2
        other = jnp.concatenate([fields[half:], fields[:half]])
        fields = jnp.where(odd[:, None], other, fields)
    signs = np.stack([np.ones_like(parity), parity]).transpose(2, 0, 1)
    return fields * jnp.asarray(signs, fields.dtype)[:, :, None, :, None]


def turn_orientations(
    field: Float[Array, "*batch L sectors rows"],
) -> Float[Array, "*batch L sectors rows"]:
    """Count the orientations of every sector as the whole sphere does.

    For fields that are the same after half a turn, such as moduli.
    """
    orientations, sectors = field.shape[-3:-1]
    if sectors < 4 or orientations == 1:  # whole half-turns
        return field
    half = orientations // 2
    turned = jnp.concatenate([field[..., half:, :, :], field[..., :half, :, :]], axis=-3)
    odd = np.arange(sectors)[:, None] % 2 == 1
    return jnp.where(odd, turned, field)


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
