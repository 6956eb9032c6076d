"""What the tests of several operators need."""

import functools
import os
from pathlib import Path

import healpy
import numpy as np
import pytest

from jaxscat.operators import table
from jaxscat.operators.dense import DenseTable
from jaxscat.operators.entries import Entries, Grid, Shape
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.product import spread
from jaxscat.operators.rows import RowTable

KINDS = {"rows": RowTable, "slots": RowTable, "dense": DenseTable, "faces": FaceTable}


@pytest.fixture(scope="session")
def foscat_numbers():
    """The folder of operators that FOSCAT made, beside the data."""
    data = os.environ.get("JAXSCAT_DATA")
    if data is None:
        pytest.skip("JAXSCAT_DATA is not set: no operators of FOSCAT as it is shipped")
    folder = Path(data).resolve().parent / "golden"
    if not (folder / "exact64_ops.npz").is_file():
        pytest.skip(f"no operators of FOSCAT in {folder}")
    return folder


class Problem:
    """A sparse matrix of random weights: its entries, its table and the dense matrix.

    Attributes:
        dense: `[orientation, sector, part, row, sector that is read, row that is read]`.
    """

    def __init__(self, kind, sectors, orientations=2, parts=2, nside=4, halo=2, step=1):
        generator = np.random.default_rng(7)
        self.grid = Grid(nside, sectors, row_major=kind == "faces")
        self.slots = np.array([1, 2, 4, 7, 8, 9, 10, 11, 14]) if kind == "slots" else None
        self.halo = halo
        if kind == "faces":
            pixels = self._around(step)
        else:
            pixels = generator.integers(0, 12 * nside**2, (9 if kind == "slots" else 12, 8))
        used = (generator.random(pixels.shape) < 0.9) & (pixels >= 0)
        values = generator.standard_normal(pixels.shape) * used
        if parts == 2:
            values = values + 1j * generator.standard_normal(pixels.shape) * used
        rows, shifts = self.grid.locate(np.where(used, pixels, 0))
        orientation = np.arange(pixels.shape[1]) % orientations
        self.entries = Entries(0, rows, shifts, values, orientation)
        in_rows = self.grid.rows
        size = len(pixels), in_rows, sectors
        self.shape = Shape(orientations, parts, *size, np.dtype(np.float64))
        self.dense = self._dense()
        few = 10**6 if kind == "dense" else 0
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DENSE_PIXELS", "DENSE_PIXELS_OF_FACES"):
                patch.setattr(table, name, few)
            self.table = self.tabulate()
        assert isinstance(self.table, KINDS[kind])

    def compute(self, rows):
        """The entries of some rows."""
        parts = (of[rows] for of in (self.entries.rows, self.entries.shifts, self.entries.values))
        return Entries(rows.start, *parts, self.entries.orientations)

    def tabulate(self, **changes):
        shape = self.shape._replace(**changes)
        return table.tabulate(self.compute, self.grid, shape, self.slots, self.halo)

    def _around(self, step):
        """Every pixel of the first sector and its neighbours, or their children; -1 is none."""
        nside = self.grid.nside // step
        own = self.grid._replace(nside=nside).pixels
        near = healpy.get_all_neighbours(nside, own, nest=True)
        pixels = np.concatenate([own[None], near]).T
        if step == 2:
            children = 4 * pixels[..., None] + np.arange(4)
            pixels = np.where(pixels[..., None] < 0, -1, children).reshape(own.size, -1)
        return pixels

    def _dense(self):
        orientations, parts, rows, in_rows, sectors, _ = self.shape
        dense = np.zeros((orientations, sectors, parts, rows, sectors, in_rows))
        for (row, entry), value in np.ndenumerate(self.entries.values):
            at, shift = self.entries.rows[row, entry], self.entries.shifts[row, entry]
            numbers = (value.real, value.imag)[:parts]
            for sector in range(sectors):
                place = self.entries.orientations[entry], sector
                dense[*place, :, row, (sector + shift) % sectors, at] += numbers
        return dense

    @property
    def matrix(self):
        """The matrix between one flat field and its flat outputs."""
        return self.dense.swapaxes(1, 2).reshape(-1, self.shape.sectors * self.shape.in_rows)

    def fields(self, seed=0, channels=3, batch=()):
        shape = (*batch, channels, self.shape.sectors, self.shape.in_rows)
        return np.random.default_rng(seed).standard_normal(shape)

    def outputs(self, seed=0, channels=3, batch=()):
        orientations, parts, rows, _, sectors, _ = self.shape
        shape = orientations, parts, channels, sectors, rows
        return np.random.default_rng(seed).standard_normal((*batch, *shape))


@pytest.fixture(scope="session")
def problems():
    """Makes a random matrix of one kind (rows, slots, dense, faces), once in a process."""
    return functools.cache(Problem)


@pytest.fixture
def no_dense_tables(monkeypatch):
    """Grids have tables of their layout however small they are."""
    for name in ("DENSE_PIXELS", "DENSE_PIXELS_OF_FACES"):
        monkeypatch.setattr(table, name, 0)


@pytest.fixture(scope="session")
def matrix_of():
    """Makes the dense matrix of any table, `[orientation, sector, part, row, sector, row]`."""

    def make(table, sectors):
        units = np.eye(sectors * table.in_rows).reshape(-1, sectors, table.in_rows)
        return (
            np.asarray(spread(table, units))
            .transpose(0, 3, 1, 4, 2)
            .reshape(
                *(table.orientations, sectors, table.parts, table.rows, sectors, table.in_rows)
            )
        )

    return make
