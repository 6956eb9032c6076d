"""Truths, noises, gaps and channels on which reconstructions are measured."""

from __future__ import annotations

from typing import Any, NamedTuple

import healpy
import numpy as np
from jaxtyping import Bool, Float

import jaxscat
from jaxscat.io.degrade import average_children

UNEVEN = 5.0  # largest over least variance of noise that differs over the sky


class Noisy(NamedTuple):
    """Data of a known truth.

    Attributes:
        data: truth and noise, `[p]`.
        noise: what the solver is told of the noise.
    """

    data: Float[np.ndarray, " p"]
    noise: Any


def build_truth(name: str, nside: int) -> Float[np.ndarray, " p"]:
    """Build a NESTED map of mean zero and variance one.

    Args:
        name: "exp", the exponential of the large-scale structure over its standard deviation, at
            nside 128 and then degraded; "lss", that map itself; "web", the cosmic web; or
            "gaussian", a Gaussian map with the spectrum of "exp".
        nside: of the map.
    """
    if name == "gaussian":
        like = build_truth("exp", nside)
        return _standardized(jaxscat.gaussian_noise(like, seed=77).astype(np.float64))
    if name == "web":
        return _standardized(jaxscat.load_map("cosmic-web", nside).astype(np.float64))
    structure = jaxscat.load_map("lss").astype(np.float64)
    if name == "exp":
        structure = np.exp((structure - structure.mean()) / structure.std())
    return _standardized(average_children(structure, np.zeros(structure.size, bool), nside))


def add_noise(kind: str, truth: Float[np.ndarray, " p"], ratio: float, seed: int) -> Noisy:
    """Add noise to a truth of variance one.

    Args:
        kind: "white"; "red", with C_l as 1 / l; "uneven", white with a variance that differs over
            the sky by a factor of five as that of a scan along meridians does; or "halves", white
            noise that the solver has to learn from two halves.
        truth: map without noise.
        ratio: standard deviation of the truth over that of the noise.
        seed: of the noise.
    """
    generator, npix = np.random.default_rng(seed), truth.size
    nside = healpy.npix2nside(npix)
    if kind == "red":
        multipole = np.arange(3 * nside)
        spectrum = np.where(multipole > 1, 1 / np.maximum(multipole, 1.0), 0.0)
        spectrum /= np.sum((2 * multipole + 1) * spectrum) / (4 * np.pi) * ratio**2
        return Noisy(
            truth + draw_isotropic(spectrum, nside, seed),
            jaxscat.GaussianNoise.of_spectrum(spectrum, nside),
        )
    if kind == "uneven":
        deviation = scan_deviation(nside) / ratio
        noise = jaxscat.GaussianNoise.white(deviation, nside)
        return Noisy(truth + deviation * generator.standard_normal(npix), noise)
    if kind == "halves":
        first, second = truth + generator.standard_normal((2, npix)) * np.sqrt(2) / ratio
        return Noisy((first + second) / 2, jaxscat.GaussianNoise.of_halves(first, second))
    noise = jaxscat.GaussianNoise.white(1 / ratio, nside)
    return Noisy(truth + generator.standard_normal(npix) / ratio, noise)


def scan_deviation(nside: int) -> Float[np.ndarray, " p"]:
    """Return a standard deviation of noise, of mean square one, smallest at the poles of a scan."""
    height = healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)[2]
    variance = 1 + (UNEVEN - 1) * (1 - height**2)
    return np.sqrt(variance / variance.mean())


def draw_isotropic(
    spectrum: Float[np.ndarray, " l"], nside: int, seed: int
) -> Float[np.ndarray, " p"]:
    """Draw a Gaussian NESTED map by healpy, another way than the noise of the solver is drawn."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        map = healpy.synfast(spectrum, nside, lmax=3 * nside - 1)
    finally:
        np.random.set_state(state)
    return healpy.reorder(map, r2n=True)


def contaminant_spectrum(nside: int, ratio: float) -> Float[np.ndarray, " l"]:
    """Return C_l as l^-2 from l = 2 up, of a field with the standard deviation 1 / ratio."""
    multipole = np.arange(3 * nside)
    spectrum = np.where(multipole > 1, np.maximum(multipole, 1.0) ** -2.0, 0.0)
    return spectrum / (np.sum((2 * multipole + 1) * spectrum) / (4 * np.pi) * ratio**2)


def build_gaps(kind: str, nside: int, seed: int) -> Bool[np.ndarray, " p"]:
    """Build gaps: "discs" of 10 degrees on a fifth of the sky, a "swath" of a fifth or a "band".

    Swath and band lie about another axis for every seed; the band covers two fifths.
    """
    generator = np.random.default_rng(seed)
    pixels = np.asarray(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T
    if kind == "discs":
        gaps = np.zeros(len(pixels), bool)
        while gaps.mean() < 0.2:
            centre = generator.standard_normal(3)
            gaps |= pixels @ (centre / np.linalg.norm(centre)) > np.cos(np.radians(10))
        return gaps
    axis = generator.standard_normal(3)
    half = {"swath": 0.2, "band": 0.39}[kind]
    return np.abs(pixels @ (axis / np.linalg.norm(axis))) < half


def quarter_turns(map: Float[np.ndarray, " p"]) -> list[Float[np.ndarray, " p"]]:
    """Return a map turned by one, two and three quarters about the poles, to the last bit."""
    nside = healpy.npix2nside(map.size)
    theta, phi = healpy.pix2ang(nside, np.arange(map.size), nest=True)
    return [
        map[healpy.ang2pix(nside, theta, phi + turn * np.pi / 2, nest=True)] for turn in (1, 2, 3)
    ]


def _standardized(map: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    return (map - map.mean()) / map.std()
