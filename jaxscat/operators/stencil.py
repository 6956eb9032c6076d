"""The oriented wavelet stencil of one nside: the pixels and weights of every wavelet."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Complex, Float, Int

from jaxscat.operators import healpix, symmetry
from jaxscat.operators.cells import find
from jaxscat.operators.sparse import apply_matrix
from jaxscat.operators.table import DenseTable, SparseTable, tabulate
from jaxscat.operators.wavelet import wavelet_kernel

# Rows computed in one piece, so that building needs little more memory than the table itself.
_ROWS_AT_A_TIME = 1 << 13


def convolve(
    field: Float[Array, "rows fields channels sectors"], stencil: SparseTable | DenseTable
) -> Float[Array, "rows 2 L fields channels sectors"]:
    """Correlate folded fields with the wavelet in every orientation.

    Axis 1 holds the real and the imaginary part.
    """
    out = apply_matrix(stencil, field)
    rows, outputs, *rest = out.shape
    return out.reshape(rows, 2, outputs // 2, *rest)


def build_stencil(
    nside: int,
    orientations: int,
    kernel_size: int,
    exact: bool = True,
    dtype: DTypeLike = np.float32,
    progress: Callable[[int], None] | None = None,
    cells: Int[np.ndarray, " p"] | None = None,
) -> SparseTable | DenseTable:
    """Tabulate the oriented wavelet stencil of one nside, on the host.

    Args:
        nside: resolution of the map.
        orientations: number of orientations in half a turn.
        kernel_size: side of the kernel, pixels.
        exact: geometry in float64; False rounds it to float32 as the FOSCAT package does.
        dtype: type of the weights.
        progress: called with the number of pixels finished since the last call.
        cells: pixels of a patch, ascending; None is the full sky.

    Returns:
        table whose outputs are the real parts of all orientations, then the imaginary parts.

    Source: `docs/conventions.md`, "Stencil" and "Partial sky".
    """
    if cells is None:
        sectors = symmetry.sector_count(orientations, exact)
        pixels = symmetry.sector_pixels(nside, sectors)
    else:
        sectors, pixels = 1, cells
    columns = np.full((0, pixels.size), -1, dtype=np.int32)
    weights = np.zeros((0, pixels.size, 2 * orientations), dtype=dtype)
    for start in range(0, pixels.size, _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        seen, shares = _rows(nside, pixels[part], orientations, kernel_size, exact, cells)
        missing = seen.shape[0] - columns.shape[0]
        if missing > 0:  # almost always at the first piece only, before anything is written
            more = np.full((missing, pixels.size), -1, dtype=np.int32)
            columns = np.concatenate([columns, more])
            zeros = np.zeros((missing, *weights.shape[1:]), dtype=dtype)
            weights = np.concatenate([weights, zeros]) if weights.size else zeros
        columns[: seen.shape[0], part] = seen
        weights[: seen.shape[0], part] = shares
        if progress is not None:
            progress(seen.shape[1] * sectors)
    used = columns >= 0
    columns = np.maximum(columns, 0, out=columns)
    weights = jnp.asarray(weights)
    return tabulate(nside, columns, weights, used, sectors, cells)


def _rows(
    nside: int,
    pixels: np.ndarray,
    orientations: int,
    kernel_size: int,
    exact: bool,
    cells: np.ndarray | None,
) -> tuple[Int[np.ndarray, "k p"], Float[np.ndarray, "k p 2L"]]:
    """Return the pixels (-1 where unused) and weights of some rows, over all orientations."""
    kernel = wavelet_kernel(kernel_size)
    seen, weights = [], []
    for orientation in range(orientations):
        theta, phi = healpix.stencil_points(
            nside, pixels, orientation, orientations, kernel_size, single_precision=not exact
        )
        columns, shares = healpix.interpolation(nside, theta, phi, single_precision=not exact)
        if cells is not None:
            columns, shares = _inside(columns, shares, cells)
        seen.append(columns.transpose(1, 2, 0).reshape(pixels.size, -1))
        weights.append((shares * kernel).transpose(1, 2, 0).reshape(pixels.size, -1))
    columns = np.concatenate(seen, axis=1)
    values: Complex[np.ndarray, "p entries"] = np.concatenate(weights, axis=1)
    orientation = np.repeat(np.arange(orientations), seen[0].shape[1])
    columns = np.where(values == 0, -1, columns)

    # Sorting brings entries of one pixel together; each distinct pixel gets the next slot.
    order = np.argsort(columns, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    fresh = np.diff(columns, axis=1, prepend=-1) != 0
    slot = np.cumsum(fresh, axis=1) - 1
    kept = columns >= 0
    row = np.broadcast_to(np.arange(pixels.size)[:, None], columns.shape)
    width = int(slot.max()) + 1
    table = np.full((width, pixels.size), -1, dtype=np.int64)
    table[slot[kept], row[kept]] = columns[kept]
    flat = (slot * pixels.size + row)[kept] * orientations + orientation[order][kept]
    size = width * pixels.size * orientations
    parts = [
        np.bincount(flat, part[kept], minlength=size).reshape(width, pixels.size, orientations)
        for part in (np.real(values), np.imag(values))
    ]
    return table, np.concatenate(parts, axis=2)


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
