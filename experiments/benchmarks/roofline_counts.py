"""Bytes and flops of one value and gradient of `map_loss`, by level and operation.

They are counted from the tables of a pyramid, for a target without a mask. Every operation reads
its tables and fields once and writes its results once; what a program does beyond that (copies,
transposes, results that are written and read again) is what a measured time has above the floor.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

import jaxscat
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import Table
from jaxscat.operators.pyramid import Level
from jaxscat.operators.rows import RowTable

# By which unit of a device an operation is done: that of matrix products, or that of vectors.
Unit = Literal["matrix", "vector"]

SPREAD, COLLECT = "stencil spread", "stencil collect"
DOWN, UP = "downsampling", "downsampling, transposed"
GRAM, GRAM_REVERSE = "Gram product", "Gram product, reverse"
MODULUS, MODULUS_REVERSE = "modulus", "modulus, reverse"
OPERATIONS = (SPREAD, COLLECT, DOWN, UP, GRAM, GRAM_REVERSE, MODULUS, MODULUS_REVERSE)

# The arrays of a table that each direction reads.
_READ = {
    RowTable: (
        ("weights", "indices", "halo", "slots"),
        ("weights", "positions", "repeated_rows", "repeats", "slots"),
    ),
    FaceTable: (("weights", "corners"),) * 2,
    DenseTable: (("weights",),) * 2,
}
# Two squares, their sum, the floor, the root; a quotient and two products.
_MODULUS_FLOPS, _MODULUS_REVERSE_FLOPS = 5, 3
# Real fields that are read and written for one of moduli: coefficients and modulus; the derivative
# by the modulus, coefficients, and the derivatives by them.
_MODULUS_FIELDS, _MODULUS_REVERSE_FIELDS = 3, 5


# Weights below this fraction of the largest are zeros of the wavelet that are rounded.
ROUNDING = 1e-12


class Channels(NamedTuple):
    """How many fields of one map a level handles.

    Attributes:
        entering: fields from the level before: the map, and moduli while S3 and S4 are wanted.
        moduli: moduli of this level that are convolved again.
        leaving: fields that are downsampled.
    """

    level: Level
    entering: int
    moduli: int
    leaving: int

    @property
    def paired(self) -> int:
        """Number of convolved fields of one orientation whose products are summed."""
        return self.entering + self.moduli

    @property
    def convolved(self) -> tuple[int, ...]:
        """Fields of every call of the stencil: moduli come after the map is convolved."""
        return (self.entering, self.moduli) if self.moduli else (self.entering,)


class Work(NamedTuple):
    """What one operation has to do at one level.

    Attributes:
        nside: resolution of the level.
        operation: one of `OPERATIONS`.
        bytes: read and written.
        flops: additions and multiplications, those with padded zeros included.
        unit: of the device.
        filled: fraction of the weights that are not zero, None where there are none.
    """

    nside: int
    operation: str
    bytes: int
    flops: int
    unit: Unit
    filled: float | None = None


def walk_levels(pyramid: jaxscat.Pyramid, covariances: int) -> Iterator[Channels]:
    """Yield how many fields of one map every level handles.

    Args:
        pyramid: operators.
        covariances: number of scales, from the finest, at which S3 and S4 are wanted.
    """
    fields = 1
    for scale, level in enumerate(pyramid.levels):
        moduli = pyramid.spec.orientations if scale < covariances else 0
        last = scale + 1 == len(pyramid.levels)
        leaving = 0 if last else 1 if scale + 1 >= covariances else fields + moduli
        yield Channels(level, fields, moduli, leaving)
        fields = leaving


def count_work(pyramid: jaxscat.Pyramid, covariances: int, maps: int = 1) -> list[Work]:
    """Return what every operation of every level has to do, from fine to coarse.

    Args:
        pyramid: operators.
        covariances: as for `walk_levels`.
        maps: number of maps that are evaluated at once, and share what is read of tables.
    """
    sectors, orientations = pyramid.spec.sectors, pyramid.spec.orientations
    real = np.dtype(pyramid.spec.dtype).itemsize
    found = []
    for channels in walk_levels(pyramid, covariances):
        level = channels.level
        calls = [maps * count for count in channels.convolved]
        found += _product(level.nside, (SPREAD, COLLECT), level.stencil, calls, sectors)
        if channels.leaving:
            calls = [maps * channels.leaving]
            assert level.downsampling is not None
            found += _product(level.nside, (DOWN, UP), level.downsampling, calls, sectors)
        # Of the convolved fields, real and imaginary parts are fields by themselves.
        fields, numbers = 2 * channels.paired, maps * orientations * level.npix
        flops = 2 * fields**2 * numbers
        sums = fields**2 * maps * orientations * sectors
        once, twice = (real * (times * fields * numbers + sums) for times in (1, 2))
        found.append(Work(level.nside, GRAM, once, flops, "matrix"))
        found.append(Work(level.nside, GRAM_REVERSE, twice, flops, "matrix"))
        for name, fields, flops in (
            (MODULUS, _MODULUS_FIELDS, _MODULUS_FLOPS),
            (MODULUS_REVERSE, _MODULUS_REVERSE_FIELDS, _MODULUS_REVERSE_FLOPS),
        ):
            found.append(
                Work(level.nside, name, real * fields * numbers, flops * numbers, "vector")
            )
    return found


def _product(
    nside: int, names: tuple[str, str], table: Table, calls: list[int], sectors: int
) -> Iterator[Work]:
    """Yield the work of a sparse matrix and of its transpose, each called for some fields."""
    kind = type(table)
    weights = table.weights
    sizes = np.abs(np.asarray(weights))
    filled = float(np.mean(sizes > ROUNDING * sizes.max()))
    outputs = table.orientations * table.parts
    per_field = sectors * (table.in_rows + outputs * table.rows) * weights.dtype.itemsize
    # A dense matrix holds all sectors, other tables one.
    flops = 2 * weights.size * (1 if kind is DenseTable else sectors) * sum(calls)
    for name, read in zip(names, _READ[kind], strict=True):
        bytes_read = sum(table_bytes(getattr(table, array)) for array in read)
        yield Work(
            nside,
            name,
            len(calls) * bytes_read + sum(calls) * per_field,
            flops,
            "vector" if kind is FaceTable else "matrix",
            filled,
        )


def table_bytes(tree: Any) -> int:
    """Return the bytes of an array; none where a table does without it."""
    return 0 if tree is None else tree.nbytes
