"""Tables of the real spherical harmonics on HEALPix rings, built on the host in float64.

Symmetries reduce the tables to distinct values. Northern and southern rings have the same
longitudes, and harmonics are even or odd between them. A ring of 4 i pixels consists of the
i *slots* of its first quarter and their three images: at phi, pi - phi, pi + phi and -phi, the
cosines and sines of even and odd orders differ by signs only. Orders m = 2 k and m = L - 2 k share
one index k, with the last multipole L, which is 3 nside - 1 or a lower odd one: their total number
of multipoles is the same for all k. So do the slots of rings i and nside - i near the poles.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

# Tables beyond take more than ten gigabytes.
LARGEST_NSIDE = 256

# Even and odd between the hemispheres.
_HEMISPHERES = np.array([[1, 1], [1, -1]])
# Rows: cosines and sines of even, then of odd orders; columns: phi, pi - phi, pi + phi, -phi.
_QUARTERS = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, -1, -1, 1], [1, 1, -1, -1]])


class HarmonicTables(eqx.Module):
    """Harmonic tables of one nside, for multipoles up to 3 nside - 1 or a lower odd one.

    Attributes:
        pixels: NESTED pixel of every image of every slot; images are north and south, times the
            four quarters; slots are those of pairs of polar rings, then of equatorial rings.
        places: position of every pixel in the flattened `pixels`.
        signs: signs of the symmetry classes of harmonics (even and odd between the hemispheres,
            even and odd order, cosine and sine) in the images.
        southern: zero in the slots of the equator, which has no southern image, else one.
        owner: one-hot ring of the pair to which a polar slot belongs.
        polar: cosines and sines of orders of both parities in the slots of a pair of polar rings.
        equatorial: the same for equatorial rings, as if the first pixel of each were half a pixel
            width east of longitude zero.
        turn: cosine and sine of the rotation of equatorial rings to their true longitudes.
        legendre: associated Legendre functions, normalized to orthonormal harmonics, without the
            sign (-1)^m; rows are the multipoles of one parity of l + m, ascending from the first
            row for order 2 k and from the last row backwards for its partner.

    Source: `docs/conventions.md`, "Harmonic form".
    """

    pixels: Int[Array, "8 slots"]
    places: Int[Array, " p"]
    signs: Float[Array, "8 8"]
    southern: Float[Array, " slots"]
    owner: Float[Array, "pairs nside 2"]
    polar: Float[Array, "pairs 2 2 k nside"]
    equatorial: Float[Array, "2 2 k nside"]
    turn: Float[Array, "2 k nside 2"]
    legendre: Float[Array, "k 2 rows rings"]


def harmonic_tables(nside: int, dtype: DTypeLike, last: int | None = None) -> HarmonicTables:
    """Compute the harmonic tables of one nside.

    Args:
        nside: power of two from 2 to 512; beyond, Legendre functions underflow in float64.
        dtype: float32 or float64.
        last: last multipole, odd; 3 nside - 1 by default. Smaller tables cost less.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    last = 3 * nside - 1 if last is None else last
    pixels, polar_angle, owner = _slots(nside)
    places = np.empty(12 * nside**2, np.int32)
    # Slots without a pixel are -1. Reversed, so that northern images win on the equator.
    filled = np.flatnonzero(pixels >= 0)[::-1].astype(np.int32)
    places[pixels.ravel()[filled]] = filled
    ring = np.arange(1, nside + 1)  # counted from the first equatorial one
    southern = np.concatenate([np.ones(owner[..., 0].size), np.repeat(ring < nside, nside)])
    equatorial_angle = (np.arange(nside) + 0.5) * np.pi / (2 * nside)
    # Every other ring starts at longitude zero, beginning with the first.
    shift = np.where(ring % 2 == 1, np.pi / (4 * nside), 0.0)
    angle = orders(last).T[:, None, :] * shift[:, None]

    def to_device(table: np.ndarray) -> Array:
        return jnp.asarray(table, dtype)

    return HarmonicTables(
        pixels=jnp.asarray(np.maximum(pixels, 0)),
        places=jnp.asarray(places),
        signs=to_device(np.kron(_HEMISPHERES, _QUARTERS)),
        southern=to_device(southern),
        owner=to_device(owner),
        polar=to_device(_waves(last, polar_angle)),
        equatorial=to_device(_waves(last, equatorial_angle)),
        turn=to_device(np.stack([np.cos(angle), np.sin(angle)])),
        legendre=to_device(_legendre(nside, last)),
    )


def check_precision(dtype: Any) -> np.dtype:
    """Return the type of tables and maps, float32 or float64.

    Raises:
        ValueError: it is another, or float64 in JAX's 32-bit mode.
    """
    try:
        known = dtype is not None and np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"dtype: got {dtype!r}, expected float32 or float64")
    if jax.dtypes.canonicalize_dtype(dtype) != np.dtype(dtype):
        raise ValueError("dtype: got float64 while JAX is in 32-bit mode, expected float32")
    return np.dtype(dtype)


def expand_gains(nside: int, gains: Float[np.ndarray, " l"]) -> Float[np.ndarray, "..."]:
    """Expand gains of the multipoles 0 to 3 nside - 1 to all coefficients, `[k 2 rows 2]`.

    For tables with another last multipole, they are gains up to that one. The last axis is the
    parity of the order; the gain is zero where the row is not of that order.
    """
    rows = multipole_rows(nside, len(gains) - 1)
    return np.moveaxis(np.where(rows >= 0, np.asarray(gains)[rows], 0.0), 0, -1)


def orders(last: int) -> Int[np.ndarray, "2 k"]:
    """Return the even orders and their odd partners for every k, of an odd last multipole."""
    even = np.arange(0, last, 2)
    return np.stack([even, last - even])


def multipole_rows(nside: int, last: int | None = None) -> Int[np.ndarray, "2 k 2 rows"]:
    """Return the multipole of every row of the Legendre table, or -1 if not of the order.

    The last multipole is 3 nside - 1 or another odd one.

    Axes: parity of the order, k, parity of l + m, row.
    """
    last = 3 * nside - 1 if last is None else last
    rows = (last + 3) // 2
    first = orders(last)[:, :, None, None] + np.arange(2)[:, None]
    from_start = first + 2 * np.arange(rows)
    multipoles = np.stack([from_start[0], from_start[1, :, :, ::-1]])
    return np.where(multipoles <= last, multipoles, -1)


def ring_depths(nside: int) -> Float[np.ndarray, " rings"]:
    """Return 1 - cos(theta) of all northern rings, in the order of the slots.

    Two of them, 0 and nside + 1, are of no ring: zero, and that of ring nside / 2 once more.
    """
    pair = np.arange(nside // 2 + 1)
    polar, equatorial = np.stack([pair, nside - pair], axis=1), np.arange(nside + 1, 2 * nside + 1)
    belt = 2 * equatorial / (3 * nside) - 1 / 3
    belt[-1] = 1.0  # exact at the equator, so that odd functions vanish there
    return np.concatenate([polar.ravel() ** 2 / (3 * nside**2), belt])


def sectoral_functions(nside: int, last: int) -> Float[np.ndarray, "m rings"]:
    """Return the normalized Legendre functions of l = m up to the last order, at all `ring_depths`.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    depth = ring_depths(nside)
    sine = np.sqrt(depth * (2 - depth))
    sine[0] = 1.0  # a slot without a ring; any number with a finite logarithm
    m = np.arange(last + 1)[:, None]
    ratio = np.where(m > 0, 1 + 1 / (2 * np.maximum(m, 1)), 1 / (4 * np.pi))
    sectoral = np.exp(0.5 * np.cumsum(np.log(ratio), axis=0) + m * np.log(sine))
    sectoral[:, [0, nside + 1]] = 0.0  # slots without a ring
    return sectoral


def _slots(
    nside: int,
) -> tuple[
    Int[np.ndarray, "8 slots"],
    Float[np.ndarray, "pairs nside"],
    Float[np.ndarray, "pairs nside 2"],
]:
    """Return the pixels `[8 slots]`, and longitudes and owners of the slots of polar pairs.

    The first i slots of pair i are ring i, the others ring nside - i; the last pair is ring
    nside / 2 alone.
    """
    import healpy  # loads matplotlib, so not at import

    pair, slot = np.ogrid[: nside // 2 + 1, :nside]
    ring = np.where(slot < pair, pair, nside - pair)
    column = np.where(slot < pair, slot, slot - pair)
    owner = np.stack([slot < pair, (slot >= pair) & (2 * pair < nside)], axis=-1)
    angle = (column + 0.5) * np.pi / (2 * ring)
    cap_start = 2 * ring * (ring - 1)
    in_cap = _images(ring, column)
    belt = np.arange(nside)[:, None]
    belt_start = 2 * nside * (nside + 1) + 4 * nside * belt
    in_belt = _images(nside, np.arange(nside)) + 0 * belt
    north = [np.where(owner.any(axis=-1), cap_start + in_cap, -1), belt_start + in_belt]
    # A southern ring ends as far before the last pixel as its mirror image starts after the first.
    south = [
        np.where(owner.any(axis=-1), 12 * nside**2 - cap_start - 4 * ring + in_cap, -1),
        12 * nside**2 - belt_start - 4 * nside + in_belt,
    ]
    ringed = np.concatenate(
        [np.concatenate([part.reshape(4, -1) for part in half], axis=1) for half in (north, south)]
    )
    nested = healpy.ring2nest(nside, np.maximum(ringed, 0))
    return np.where(ringed < 0, -1, nested).astype(np.int32), angle, owner


def _images(ring: np.ndarray | int, column: np.ndarray) -> np.ndarray:
    """Return the positions of the images of a slot in a ring of 4 `ring` pixels: `[4 ... slot]`.

    The images are at phi, pi - phi, pi + phi and -phi, if the ring starts half a pixel width east.
    """
    column = column + np.zeros_like(ring)
    return np.stack(
        [column, 2 * ring - 1 - column, 2 * ring + column, 4 * ring - 1 - column]
    ).reshape(4, -1, column.shape[-1])


def _waves(last: int, angle: Float[np.ndarray, "*pairs slots"]) -> Float[np.ndarray, "..."]:
    """Return normalized cosines and sines at angles `[... slot]`: `[... 2 2 k slot]`.

    The first axis of two is the parity of the order, the second cosine and sine.
    """
    order = orders(last)[:, :, None]
    phase = angle[..., None, None, :] * order
    norm = np.where(order == 0, 1.0, np.sqrt(2.0))
    return np.stack([np.cos(phase) * norm, np.sin(phase) * norm], axis=-3)


def _legendre(nside: int, last: int) -> Float[np.ndarray, "k 2 rows rings"]:
    """Compute the Legendre functions `[k 2 rows rings]`, rings in the order of the slots.

    By upward recurrence in l, for all orders and rings at once.
    """
    height, m = 1 - ring_depths(nside), np.arange(last + 1)[:, None]
    sectoral = sectoral_functions(nside, last)
    before, now = np.zeros_like(sectoral), np.zeros_like(sectoral)
    order, rows = orders(last), multipole_rows(nside, last)
    table = np.zeros((*rows.shape[1:], height.size))
    for multipole in range(last + 1):
        low, squared = m[:multipole] ** 2, multipole**2
        up = np.sqrt((4 * squared - 1) / (squared - low))
        down = (multipole - 1) ** 2 - low
        down = np.sqrt(np.maximum(down, 0) / (4 * (multipole - 1) ** 2 - 1))
        higher = up * (height * now[:multipole] - down * before[:multipole])
        before[:multipole], now[:multipole] = now[:multipole], higher
        now[multipole] = sectoral[multipole]
        parity_of_order, k, parity, row = np.nonzero(rows == multipole)
        table[k, parity, row] = now[order[parity_of_order, k]]
    return table
