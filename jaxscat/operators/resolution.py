"""Downsampling and upsampling by a factor of two, with Gaussian weights over a neighbourhood."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.operators import healpix, symmetry
from jaxscat.operators.cells import find
from jaxscat.operators.cells import parents as cell_parents
from jaxscat.operators.sparse import apply_matrix, apply_transpose
from jaxscat.operators.table import DenseTable, SparseTable, pad_transpose, tabulate

# Coarse pixels whose weights are computed in one piece.
_ROWS_AT_A_TIME = 1 << 14


def downsample(
    field: Float[Array, "fine_rows fields channels sectors"],
    downsampling: SparseTable | DenseTable,
    slots: Int[Array, " fine_rows"] | None = None,
) -> Float[Array, "coarse_rows fields channels sectors"]:
    """Downsample folded fields to half their nside.

    Args:
        field: fine fields.
        downsampling: table from `build_downsampling`.
        slots: positions of the rows among all children of the coarse rows; None if all children
            are present.
    """
    rows, *rest = field.shape
    if slots is not None:
        rows = 4 * downsampling.rows
        blocks = jnp.zeros((rows, *rest), field.dtype)
        field = blocks.at[slots].set(field, unique_indices=True, indices_are_sorted=True)
    return apply_transpose(downsampling, field.reshape(rows // 4, 4, *rest))


def upsample(
    field: Float[Array, "coarse_rows fields channels sectors"],
    downsampling: SparseTable | DenseTable,
    slots: Int[Array, " fine_rows"] | None = None,
) -> Float[Array, "fine_rows fields channels sectors"]:
    """Upsample folded fields to twice their nside, with downsampling's transpose, normalised.

    Args:
        field: coarse fields.
        downsampling: table from `build_downsampling`.
        slots: as for `downsample`.
    """
    rows, *_, sectors = field.shape
    total = apply_matrix(downsampling, jnp.ones((rows, 1, 1, sectors), field.dtype))
    # Children outside the patch have no weight; they are dropped below.
    upsampled = apply_matrix(downsampling, field) / jnp.where(total > 0, total, 1)
    upsampled = upsampled.reshape(4 * rows, *field.shape[1:])
    return upsampled if slots is None else upsampled[slots]


def build_downsampling(
    nside: int,
    sectors: int,
    exact: bool = True,
    dtype: DTypeLike = np.float32,
    cells: Int[np.ndarray, " p"] | None = None,
) -> SparseTable | DenseTable:
    """Tabulate the downsampling from `nside` to half of it, on the host.

    The table maps coarse pixels to the four NESTED children of every coarse pixel, which is
    upsampling before its rows are normalised; `downsample` applies its transpose.

    Args:
        nside: resolution of the fine map, at least 2.
        sectors: number of sectors of the fold.
        exact: weights in float64; False rounds them to float32 as the FOSCAT package does.
        dtype: type of the weights.
        cells: pixels of the fine map if it is a patch, ascending; None is the full sky.

    Source: `docs/conventions.md`, "Downsampling" and "Partial sky".
    """
    coarse = nside // 2
    above = None if cells is None else cell_parents(cells)
    pixels = np.arange(12 * coarse**2) if above is None else above
    parents = healpix.parents_with_neighbours(coarse, pixels)
    weights = np.empty((9, pixels.size, 4), dtype=dtype)
    for start in range(0, pixels.size, _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        children = 4 * parents[part, :, None] + np.arange(4)
        angle = healpix.angular_distance(coarse, pixels[part, None, None], nside, children)
        shares = np.exp(-2 * (angle / healpix.resolution(coarse)) ** 2)
        if cells is not None:
            shares = np.where(find(cells, children)[1], shares, 0.0)
        shares /= shares.sum(axis=(1, 2), keepdims=True)
        if not exact:
            shares = shares.astype(np.float32)
        weights[:, part] = shares.transpose(1, 0, 2)
    # Transposed: for every parent, the coarse pixels that average over its children.
    rows, entries = parents.T, np.ones((9, pixels.size), dtype=bool)
    if above is not None:
        rows, entries = find(above, rows)
    takers, shares = pad_transpose(rows, weights, entries, pixels.size)
    used = (shares != 0).any(axis=2)
    first = slice(None) if above is not None else symmetry.sector_pixels(coarse, sectors)
    shares = jnp.asarray(shares[:, first])
    return tabulate(coarse, pixels[takers[:, first]], shares, used[:, first], sectors, above)
