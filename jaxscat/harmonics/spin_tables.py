"""Tables of the spin-2 harmonics on HEALPix rings, built on the host in float64.

The functions of spin 2 and -2 are mirror images of each other. Half their sum and half their
difference are even or odd between the hemispheres, as the Legendre functions are, and real.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxscat.harmonics.tables import (
    HarmonicTables,
    harmonic_tables,
    multipole_rows,
    orders,
    ring_depths,
    sectoral_functions,
)

_SPINS = np.array([2, -2])[:, None, None]


class SpinTables(eqx.Module):
    """Tables of the harmonics of spin 0 and 2 of one nside, for multipoles up to 3 nside - 1 or a
    lower odd one.

    Attributes:
        scalar: those of spin 0; the waves on the rings serve spin 2 as well.
        plus: minus half the sum of the functions of spin 2 and -2, without the sign (-1)^m, in
            rows as those of `scalar.legendre`. Its rows have the parity of l + m between the
            hemispheres. Zero for l < 2.
        minus: the same of the difference, of the other parity.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """

    scalar: HarmonicTables
    plus: Float[Array, "k 2 rows rings"]
    minus: Float[Array, "k 2 rows rings"]


def spin_harmonic_tables(nside: int, dtype: DTypeLike, last: int | None = None) -> SpinTables:
    """Compute the tables of the harmonics of spin 0 and 2 of one nside.

    Args:
        nside: power of two from 2 to 512; beyond, Legendre functions underflow in float64.
        dtype: float32 or float64.
        last: last multipole, odd; 3 nside - 1 by default. Smaller tables cost less.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    last = 3 * nside - 1 if last is None else last
    plus, minus = _spin_functions(nside, last)
    return SpinTables(
        scalar=harmonic_tables(nside, dtype, last),
        plus=jnp.asarray(plus, dtype),
        minus=jnp.asarray(minus, dtype),
    )


def _spin_functions(nside: int, last: int) -> Float[np.ndarray, "2 k 2 rows rings"]:
    """Compute both functions, by upward recurrence in l of those of spin 2 and of spin -2.

    Source: Kostelec and Rockmore 2008, "FFTs on the rotation group"; `docs/polarization.md`,
    "Spin-2 transform".
    """
    height, m = 1 - ring_depths(nside), np.arange(last + 1)[:, None]
    sectoral = _first_functions(nside, last)
    before, now = np.zeros_like(sectoral), np.zeros_like(sectoral)
    order, rows = orders(last), multipole_rows(nside, last)
    table = np.zeros((2, *rows.shape[1:], height.size))
    for multipole in range(2, last + 1):
        # Orders up to l - 1 rise from l - 1; those of l = 2 below 2 have no function there either.
        low = m[:multipole] if multipole > 2 else m[:0]
        count, below = low.size, multipole - 1
        tilt = _SPINS * low / (multipole * below)
        higher = (height + tilt) * now[:, :count] - _step(below, low) * before[:, :count]
        before[:, :count], now[:, :count] = now[:, :count], higher / _step(multipole, low)
        first = slice(count, multipole + 1)
        now[:, first] = sectoral[:, first]
        parity_of_order, k, parity, row = np.nonzero(rows == multipole)
        of_both = now[:, order[parity_of_order, k]]
        table[0, k, parity, row] = -(of_both[0] + of_both[1]) / 2
        table[1, k, parity, row] = -(of_both[0] - of_both[1]) / 2
    return table


def _step(multipole: int, m: np.ndarray) -> np.ndarray:
    """Return the weight of the function of l in cos(theta) times that of l - 1; zero at l = 2."""
    squared = multipole**2
    weight = (squared - m**2).clip(0) * (squared - 4) / (4 * squared - 1)
    return np.sqrt(weight) / multipole


def _first_functions(nside: int, last: int) -> Float[np.ndarray, "2 m rings"]:
    """Return the functions of spin 2 and -2 of every order at its first multipole, max(m, 2)."""
    depth, legendre = ring_depths(nside), sectoral_functions(nside, last)
    m = np.arange(last + 1)[:, None]
    depth = np.where(depth > 0, depth, 1.0)  # slots without a ring; their functions are zero
    # Squares of the tangent of half the colatitude, and of its inverse.
    tangents = np.stack([depth / (2 - depth), (2 - depth) / depth])[:, None]
    functions = np.sqrt(m * (m - 1) / ((m + 1) * (m + 2))) * legendre * tangents
    # Of l = 2: orders 0 and 1 are smaller than the spin.
    sine, norm = np.sqrt(depth * (2 - depth)), np.sqrt(5 / (4 * np.pi)) * (legendre[0] > 0)
    functions[:, 0] = norm * np.sqrt(6) / 4 * sine**2
    functions[:, 1] = norm * sine * np.stack([depth, depth - 2]) / 2
    return functions
