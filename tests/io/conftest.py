"""HEALPix FITS files as other programs write them, made for a test."""

import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

# Test modules of this folder import from here.
sys.path.append(str(Path(__file__).parents[2]))

NSIDE = 8
NPIX = 12 * NSIDE**2


def table(columns, name="", **header):
    """A binary table; columns are (name, format, array) or (name, format, array, unit)."""
    made = fits.BinTableHDU.from_columns(
        [
            fits.Column(key, form, array=array, unit=(unit or [None])[0])
            for key, form, array, *unit in columns
        ]
    )
    if name:
        made.header["EXTNAME"] = name
    for key, value in header.items():
        made.header[key] = value
    return made


def maps_header(order="NESTED", nside=NSIDE, **more):
    return {"PIXTYPE": "HEALPIX", "ORDERING": order, "NSIDE": nside, **more}


@pytest.fixture
def write_tables(tmp_path):
    """Write tables (or other HDUs) as one file and return its path."""

    def write(*tables, name="map.fits", without=()):
        path = tmp_path / name
        fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)
        if without:  # astropy writes some keywords itself; they are blanked out in the file
            data = path.read_bytes()
            for key in without:
                card = data.index(f"{key:<8}=".encode())
                data = data[:card] + b"COMMENT  " + data[card + 9 :]
            path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def nested():
    return np.random.default_rng(2).standard_normal(NPIX)
