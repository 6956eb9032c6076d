"""Maps with hidden pixels: large-scale structure under a mask, and three hard simulated ones."""

from __future__ import annotations

from typing import NamedTuple

import healpy
import numpy as np
from jaxtyping import Bool, Float

import jaxscat


class MaskedSky(NamedTuple):
    """A map whose hidden pixels are known, so that they can be shown or not.

    Attributes:
        map: NESTED map [p], float64.
        seen: true where there are data.
        gaussian: whether it is nearly Gaussian, so that Gaussian controls are as near as any map.
    """

    map: Float[np.ndarray, " p"]
    seen: Bool[np.ndarray, " p"]
    gaussian: bool


def build_skies(nside: int, large_scale_structure: str = "lss") -> dict[str, MaskedSky]:
    """Build the maps by name; `large_scale_structure` is a dataset, or the path of a map.

    The simulated ones have a red spectrum, l^-2.5, and white noise: "nearly Gaussian", the
    "exponential" of a Gaussian field, and a "ridge" twenty times as bright that runs just behind
    the edge of the mask.
    """
    latitude = _latitude(nside)
    band = np.abs(latitude) < 20
    wide = ~(band | _discs(nside, 30, 3.0, seed=1))
    white = np.random.default_rng(5).standard_normal((3, 12 * nside**2))
    fields = [red_field(nside, seed) for seed in (1, 2, 3)]
    curved = fields[0] + 0.03 * (fields[0] ** 2 - 1)
    exponential = np.exp(0.8 * fields[1])
    ridge = fields[2] + 20 * np.exp(-0.5 * ((np.abs(latitude) - 13) / 3) ** 2)
    structure = jaxscat.load_map(large_scale_structure, nside)
    return {
        "large-scale structure": MaskedSky(
            structure, ~((np.abs(latitude) < 10) | _discs(nside, 12, 17.0, seed=0)), False
        ),
        "nearly Gaussian": MaskedSky(curved + 0.3 * white[0], wide, True),
        "exponential": MaskedSky(exponential / exponential.std() + 0.3 * white[1], wide, False),
        "ridge": MaskedSky(ridge + 0.3 * white[2], wide, True),
    }


def red_field(nside: int, seed: int, slope: float = -2.5) -> Float[np.ndarray, " p"]:
    """Draw a Gaussian NESTED map with C_l ~ l^slope from l = 2 up, of unit variance."""
    multipole = np.arange(2, 3 * nside)
    spectrum = np.concatenate([[0.0, 0.0], multipole.astype(float) ** slope])
    shape = np.sqrt(spectrum)
    noise = np.random.default_rng(seed).standard_normal(12 * nside**2)
    harmonics = healpy.almxfl(healpy.map2alm(noise, lmax=3 * nside - 1), shape)
    map = healpy.reorder(healpy.alm2map(harmonics, nside, lmax=3 * nside - 1), r2n=True)
    return map / map.std()


def five_masks(nside: int) -> dict[str, Bool[np.ndarray, " p"]]:
    """Build five masks that leave two thirds to four fifths of the sky, each another part of it."""
    latitude = _latitude(nside)
    return {
        "band and discs": ~((np.abs(latitude) < 10) | _discs(nside, 12, 17.0, seed=0)),
        "band and small discs": ~((np.abs(latitude) < 20) | _discs(nside, 30, 3.0, seed=1)),
        "cap": latitude < 30,
        "discs": ~_discs(nside, 8, 20.0, seed=3),
        "band": np.abs(latitude) > 15,
    }


def _latitude(nside: int) -> Float[np.ndarray, " p"]:
    _, latitude = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    return np.asarray(latitude)


def _discs(nside: int, count: int, radius: float, seed: int) -> Bool[np.ndarray, " p"]:
    """Return the pixels within discs of a radius in degrees about random directions."""
    centres = np.random.default_rng(seed).standard_normal((count, 3))
    inside = np.zeros(12 * nside**2, dtype=bool)
    for centre in centres:
        inside[healpy.query_disc(nside, centre, np.radians(radius), nest=True)] = True
    return inside
