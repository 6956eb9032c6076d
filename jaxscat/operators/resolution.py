"""Changes of resolution by a factor of two: a Gaussian-weighted mean over a neighbourhood."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxscat.operators import healpix, symmetry
from jaxscat.operators.sparse import collect, spread
from jaxscat.operators.table import DenseTable, SparseTable, pad_transpose, tabulate

# Coarse pixels whose weights are computed at a time.
_ROWS_AT_A_TIME = 1 << 14


def downsample(
    field: Float[Array, "fine_rows fields channels sectors"], downsampling: SparseTable | DenseTable
) -> Float[Array, "coarse_rows fields channels sectors"]:
    """Take folded fields to half their nside.

    Source: `docs/conventions.md`, "Downsampling".
    """
    rows, *rest = field.shape
    return collect(downsampling, field.reshape(rows // 4, 4, *rest))


def upsample(
    field: Float[Array, "coarse_rows fields channels sectors"],
    downsampling: SparseTable | DenseTable,
) -> Float[Array, "fine_rows fields channels sectors"]:
    """Take folded fields to twice their nside: transposed downsampling, rows made to sum to one.

    Source: `docs/conventions.md`, "Upsampling".
    """
    rows, *_, sectors = field.shape
    total = spread(downsampling, jnp.ones((rows, 1, 1, sectors), field.dtype))
    raised = spread(downsampling, field) / total
    return raised.reshape(4 * rows, *field.shape[1:])


def build_downsampling(
    nside: int, sectors: int, exact: bool = True, dtype: DTypeLike = np.float32
) -> SparseTable | DenseTable:
    """Tabulate the step from `nside` to half of it on the host.

    The table reads coarse pixels and writes the four NESTED children of every coarse pixel, which
    is upsampling before its rows are normalised; `downsample` applies its transpose.

    Args:
        nside: resolution of the fine map, at least 2.
        sectors: number of sectors of the fold.
        exact: weights in float64; False rounds them to float32 as the FOSCAT package does.
        dtype: type of the weights.

    Source: `docs/conventions.md`, "Downsampling".
    """
    coarse = nside // 2
    pixels = np.arange(12 * coarse**2)
    parents = healpix.parents_with_neighbours(coarse, pixels)
    weights = np.empty((9, pixels.size, 4), dtype=dtype)
    for start in range(0, pixels.size, _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        children = 4 * parents[part, :, None] + np.arange(4)
        angle = healpix.angular_distance(coarse, pixels[part, None, None], nside, children)
        shares = np.exp(-2 * (angle / healpix.resolution(coarse)) ** 2)
        shares /= shares.sum(axis=(1, 2), keepdims=True)
        if not exact:
            shares = shares.astype(np.float32)
        weights[:, part] = shares.transpose(1, 0, 2)
    # Turned around: for every parent, the coarse pixels that take its children.
    entries = np.ones((9, pixels.size), dtype=bool)
    takers, shares = pad_transpose(parents.T, weights, entries, pixels.size)
    used = (shares != 0).any(axis=2)
    first = symmetry.sector_pixels(coarse, sectors)
    return tabulate(
        coarse, takers[:, first], jnp.asarray(shares[:, first]), used[:, first], sectors
    )
