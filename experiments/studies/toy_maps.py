"""Toy maps with one power spectrum, which nothing but S1, S3 and S4 tells apart."""

from __future__ import annotations

import healpy
import numpy as np

SPOT = np.radians(6.0)  # full width at half maximum of a spot, whose power is that of every map
NAMES = ("Gaussian", "spots", "bright and dark spots", "bright and dark threads")


def toy_maps(nside: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Make the four maps: NESTED, with the same C_l at every multipole from 2 to 3 nside - 1.

    Every map is made by itself and then brought to the spectrum of spots at random places, the
    square of a beam, by a factor for each multipole.
    """
    rng = np.random.default_rng(seed)
    npix, count = 12 * nside**2, 300
    bright, signs = np.ones(count), np.tile([1.0, -1.0], count // 2)
    fields = [
        rng.normal(size=npix),
        _spots(nside, bright, rng),
        _spots(nside, signs, rng),
        _threads(nside, signs[: count // 2], rng),
    ]
    return {name: _share(field, nside) for name, field in zip(NAMES, fields, strict=True)}


def gaussian_map(nside: int, seed: int) -> np.ndarray:
    """Make another Gaussian map with the same C_l."""
    return _share(np.random.default_rng(seed).normal(size=12 * nside**2), nside)


def shared_spectrum(nside: int) -> np.ndarray:
    """Return the C_l that all maps have, for l = 0 to 3 nside - 1; none below l = 2."""
    spectrum = healpy.gauss_beam(SPOT, 3 * nside - 1) ** 2
    spectrum[:2] = 0.0
    return spectrum


def _spots(nside: int, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    field = np.zeros(12 * nside**2)
    np.add.at(field, rng.integers(0, field.size, heights.size), heights)
    return healpy.smoothing(field, fwhm=SPOT)


def _threads(nside: int, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Parts of great circles, 40 degrees long and 2 wide, in any direction."""
    field = np.zeros(12 * nside**2)
    along = np.linspace(0.0, np.radians(40.0), 16 * nside)[:, None]
    for height in heights:
        begin, other = rng.normal(size=(2, 3))
        begin /= np.linalg.norm(begin)
        ahead = np.cross(begin, other)
        points = np.cos(along) * begin + np.sin(along) * ahead / np.linalg.norm(ahead)
        field[np.unique(healpy.vec2pix(nside, *points.T))] += height
    return healpy.smoothing(field, fwhm=np.radians(2.0))


def _share(field: np.ndarray, nside: int) -> np.ndarray:
    """Bring a RING map to the shared spectrum, and to NESTED order."""
    spectrum = shared_spectrum(nside)
    lmax = spectrum.size - 1
    coefficients = healpy.map2alm(field, lmax=lmax, iter=3)
    power = np.maximum(healpy.alm2cl(coefficients), np.finfo(float).tiny)
    gains = np.sqrt(spectrum / power)
    return healpy.reorder(healpy.alm2map(healpy.almxfl(coefficients, gains), nside), r2n=True)
