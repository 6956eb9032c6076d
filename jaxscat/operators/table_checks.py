"""Checks of tables that come from a file: whether they are those of a specification."""

from typing import Any

from jaxscat.operators.dense import DenseTable
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import Table
from jaxscat.operators.rows import BLOCK, RowTable
from jaxscat.operators.spec import PyramidSpec


def check_table(table: Table, name: str, spec: PyramidSpec, expected: tuple[int, ...]) -> None:
    """Check that the arrays of a table fit each other and its place in a pyramid.

    Args:
        table: what was read.
        name: of its place, for the message.
        spec: of the pyramid.
        expected: orientations, parts, rows and rows read.

    Raises:
        ValueError: they do not fit.
    """
    kinds = (DenseTable, FaceTable if spec.row_major else RowTable)
    if not isinstance(table, kinds):
        raise ValueError(f"{name} is a {type(table).__name__}")
    shapes = {
        RowTable: _fits_rows,
        FaceTable: _fits_faces,
        DenseTable: _fits_dense,
    }
    if not shapes[type(table)](table, spec.sectors):
        raise ValueError(f"{name} has arrays that do not fit each other")
    found = (table.orientations, table.parts, table.rows, table.in_rows)
    if found != expected or table.weights.dtype.name != spec.dtype:
        raise ValueError(f"{name} is of {found} and {table.weights.dtype}, not of {expected}")


def _fits_rows(table: Any, sectors: int) -> bool:
    if table.indices.ndim != 2 or table.halo.ndim != 2 or table.repeats.ndim != 3:
        return False
    blocks, union = table.indices.shape
    outputs = table.orientations * table.parts * BLOCK
    extended = table.in_rows + table.halo.shape[1]
    return (
        table.weights.shape == (blocks, union, outputs)
        and table.positions.ndim == 2
        and table.positions.shape[1] == extended
        and table.halo.shape[0] == sectors
        and table.repeats.shape[1:] == (*table.repeated_rows.shape, sectors)
        and _fits_windows(table)
    )


def _fits_windows(table: Any) -> bool:
    if table.windows is None or table.places is None:
        return table.windows is None and table.places is None
    if table.windows.ndim != 2 or table.places.ndim != 3:
        return False
    blocks, union = table.indices.shape
    groups, own, read = table.places.shape
    return (
        table.windows.shape[0] == groups
        and read == union
        and 0 < own <= blocks
        and groups == -(-blocks // own)
    )


def _fits_faces(table: Any, sectors: int) -> bool:
    if table.weights.ndim != 6 or table.step not in (1, 2):
        return False
    shifts, _, _, faces, side, wide = table.weights.shape
    reach = range(-table.halo, table.halo + table.step)
    return (
        len(table.offsets) == shifts
        and all(len(offset) == 2 and set(offset) <= set(reach) for offset in table.offsets)
        and faces * sectors == 12
        and wide == side + 2 * table.halo // table.step
        and table.corners.shape == (12 * 4 * table.halo**2,)
    )


def _fits_dense(table: Any, sectors: int) -> bool:
    shape = table.weights.shape
    return len(shape) == 6 and shape[2] == shape[4] == sectors
