"""The oriented wavelet stencil of one nside: the pixels and weights of every wavelet."""

from collections.abc import Callable

import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.operators import healpix
from jaxscat.operators.cells import block_slots, find
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.entries import Entries, Grid, Shape
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import Table, spread
from jaxscat.operators.rows import RowTable
from jaxscat.operators.shared_faces import SharedFaceTable
from jaxscat.operators.shared_rows import SharedRowTable
from jaxscat.operators.symmetry import turn_coefficients
from jaxscat.operators.table import tabulate
from jaxscat.operators.wavelet import wavelet_kernel

# How many pixels stencils reach beyond a face at most.
_HALOS = {3: 3, 5: 5, 7: 7}


def convolve(
    field: Float[Array, "channels sectors rows"], stencil: Table
) -> Float[Array, "L 2 channels sectors rows"]:
    """Correlate folded fields with the wavelet in every orientation.

    Orientations are those of the whole sphere, or those of each sector (see `counts_by_sector`);
    axis 1 holds the real and the imaginary part.
    """
    coefficients = spread(stencil, field)
    return turn_coefficients(coefficients) if isinstance(stencil, FaceTable) else coefficients


def counts_by_sector(stencil: Table) -> bool:
    """Return whether every sector has coefficients in its own gauge.

    That takes least time on CPUs, and leaves sectors apart, which several devices can share.
    Matrices of few pixels have the sphere's gauge, and faces are brought to it, for TPUs compile
    products of fields of many sectors slowly.
    """
    return isinstance(stencil, RowTable | SharedRowTable | SharedFaceTable)


def build_stencil(
    grid: Grid,
    orientations: int,
    kernel_size: int,
    exact: bool = True,
    dtype: DTypeLike = np.float32,
    progress: Callable[[int], None] | None = None,
) -> Table:
    """Tabulate the oriented wavelet stencil of one nside, on the host.

    Args:
        grid: pixels of the map.
        orientations: number of orientations in half a turn.
        kernel_size: side of the kernel, pixels.
        exact: geometry in float64; False rounds it to float32 as the FOSCAT package does.
        dtype: type of the weights.
        progress: called with the number of pixels finished since the last call.

    Returns:
        table whose outputs are the real and imaginary parts of all orientations.

    Raises:
        ValueError: the layout does not have such a stencil.

    Source: `docs/conventions.md`, "Stencil" and "Partial sky".
    """
    pixels = grid.pixels

    def compute(part: slice) -> Entries:
        return _entries(grid, part.start, pixels[part], orientations, kernel_size, exact)

    def advance(rows: int) -> None:
        if progress is not None:
            progress(rows * grid.sectors)

    shape = Shape(orientations, 2, grid.rows, grid.rows, grid.sectors, np.dtype(dtype))
    slots = None if grid.cells is None else block_slots(grid.cells)
    table = tabulate(compute, grid, shape, slots, _HALOS[kernel_size], advance)
    return _turned(table) if isinstance(table, DenseTable) else table


def _turned(table: DenseTable) -> DenseTable:
    """Return the matrix whose outputs are those of the sphere's orientations, not of sectors'."""
    columns = table.weights.transpose(0, 1, 4, 5, 2, 3)
    fields = turn_coefficients(columns.reshape(*columns.shape[:2], -1, *columns.shape[4:]))
    return DenseTable(fields.reshape(columns.shape).transpose(0, 1, 4, 5, 2, 3))


def _entries(
    grid: Grid,
    start: int,
    pixels: np.ndarray,
    orientations: int,
    kernel_size: int,
    exact: bool,
) -> Entries:
    """Compute the pixels and weights of some rows, over all orientations."""
    kernel = wavelet_kernel(kernel_size)
    size = (pixels.size, orientations, kernel.size, 4)
    seen, weights = np.empty(size, dtype=np.int64), np.empty(size, dtype=kernel.dtype)
    for orientation in range(orientations):
        theta, phi = healpix.stencil_points(
            grid.nside, pixels, orientation, orientations, kernel_size, single_precision=not exact
        )
        columns, shares = healpix.interpolation(grid.nside, theta, phi, single_precision=not exact)
        if grid.cells is not None:
            columns, shares = _inside(columns, shares, grid.cells)
        seen[:, orientation] = columns.transpose(1, 2, 0)
        weights[:, orientation] = (shares * kernel).transpose(1, 2, 0)
    rows, shifts = grid.locate(seen.reshape(pixels.size, -1))
    orientation = np.repeat(np.arange(orientations), kernel.size * 4)
    return Entries(start, rows, shifts, weights.reshape(pixels.size, -1), orientation)


def _inside(
    columns: Int[np.ndarray, "4 p points"],
    shares: Float[np.ndarray, "4 p points"],
    cells: Int[np.ndarray, " c"],
) -> tuple[Int[np.ndarray, "4 p points"], Float[np.ndarray, "4 p points"]]:
    """Restrict the interpolation to a patch; points wholly outside move to the stencil's centre."""
    shares = np.where(find(cells, columns)[1], shares, 0.0)
    total = shares.sum(axis=0)
    lost = total == 0
    shares = shares / np.where(lost, 1.0, total)
    centre = columns.shape[2] // 2
    columns = np.where(lost, columns[:, :, centre, None], columns)
    return columns, np.where(lost, shares[:, :, centre, None], shares)
