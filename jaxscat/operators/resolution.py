"""Downsampling and upsampling by a factor of two, with Gaussian weights over a neighbourhood."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxscat.operators import healpix
from jaxscat.operators.cells import block_slots, find
from jaxscat.operators.cells import parents as cell_parents
from jaxscat.operators.entries import Entries, Grid, Shape
from jaxscat.operators.product import Table, collect, spread
from jaxscat.operators.table import tabulate

# How many pixels a coarse pixel's neighbours reach beyond a face.
_HALO = 2


def downsample(
    field: Float[Array, "channels sectors fine_rows"], downsampling: Table
) -> Float[Array, "channels sectors coarse_rows"]:
    """Downsample folded fields to half their nside.

    Args:
        field: fine fields.
        downsampling: table from `build_downsampling`.
    """
    # Of one orientation and one part.
    return spread(downsampling, field)[0, 0]


def upsample(
    field: Float[Array, "channels sectors coarse_rows"], downsampling: Table
) -> Float[Array, "channels sectors fine_rows"]:
    """Upsample folded fields to twice their nside, with downsampling's transpose, normalised.

    Args:
        field: coarse fields.
        downsampling: table from `build_downsampling`.
    """

    def distribute(field: Array) -> Array:
        return collect(downsampling, field[None, None])

    return distribute(field) / distribute(jnp.ones_like(field[:1]))


def build_downsampling(grid: Grid, exact: bool = True, dtype: DTypeLike = np.float32) -> Table:
    """Tabulate the downsampling from a grid to half its nside, on the host.

    Args:
        grid: pixels of the fine map, of nside 2 at least.
        exact: weights in float64; False rounds them to float32 as the FOSCAT package does.
        dtype: type of the weights.

    Source: `docs/conventions.md`, "Downsampling" and "Partial sky".
    """
    above = None if grid.cells is None else cell_parents(grid.cells)
    coarse = grid._replace(nside=grid.nside // 2, cells=above)
    pixels = coarse.pixels

    def compute(part: slice) -> Entries:
        own = pixels[part]
        parents = healpix.parents_with_neighbours(coarse.nside, own)
        children = (4 * parents[:, :, None] + np.arange(4)).reshape(own.size, -1)
        angle = healpix.angular_distance(coarse.nside, own[:, None], grid.nside, children)
        shares = np.exp(-2 * (angle / healpix.resolution(coarse.nside)) ** 2)
        if grid.cells is not None:
            shares = np.where(find(grid.cells, children)[1], shares, 0.0)
        shares /= shares.sum(axis=1, keepdims=True)
        if not exact:
            shares = shares.astype(np.float32)
        rows, shifts = grid.locate(children)
        return Entries(part.start, rows, shifts, shares, np.zeros(rows.shape[1], dtype=int))

    shape = Shape(1, 1, coarse.rows, grid.rows, grid.sectors, np.dtype(dtype))
    slots = None if above is None else block_slots(above)
    return tabulate(compute, grid, shape, slots, _HALO)
