"""The computed dataset: a thin shell of matter in the Zel'dovich approximation."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from jaxscat.datasets.arguments import check_arguments

# Flat LCDM at z = 0, lengths in Mpc/h, wave numbers in h/Mpc.
HUBBLE = 0.68
MATTER = 0.31
BARYONS = 0.049
SPECTRAL_INDEX = 0.965
SIGMA_8 = 0.81
CMB_TEMPERATURE = 2.7255  # kelvin

# The periodic box is larger than the shell, so that no structure appears twice on the map.
GRID = 175  # displacement grid cells per side; odd, so that there is no Nyquist mode
BOX = 400.0  # side of the periodic box
RADIUS = 165.0  # mean radius of the shell around the centre of the box
DEPTH = 14.0  # distance from the mean radius at which the weight of particles reaches zero
TRUNCATION = 1.5  # Gaussian smoothing length of the initial field
REFINEMENT = 3  # particles per grid cell and axis
FLOOR = 0.5  # density, in units of the mean, that softens the logarithm in empty voids
LARGEST_NSIDE = 64
DEFAULT_SEED = 20260101
# So few columns that BLAS multiplies them in one thread: the planes have threads already.
_COLUMNS = 1024


def transfer_function(k: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return the matter transfer function without acoustic oscillations.

    `k` is float64, positive, in h/Mpc; the result is dimensionless and tends to 1 at small `k`.
    Source: Eisenstein & Hu 1998, ApJ 496, 605, equations 26 and 28 to 31.
    """
    matter, baryons = MATTER * HUBBLE**2, BARYONS * HUBBLE**2
    fraction = baryons / matter
    sound_horizon = 44.5 * np.log(9.83 / matter) / np.sqrt(1.0 + 10.0 * baryons**0.75)  # Mpc
    alpha = (
        1.0 - 0.328 * np.log(431.0 * matter) * fraction + 0.38 * np.log(22.3 * matter) * fraction**2
    )
    damping = 1.0 + (0.43 * k * HUBBLE * sound_horizon) ** 4
    shape = MATTER * HUBBLE * (alpha + (1.0 - alpha) / damping)
    q = k * (CMB_TEMPERATURE / 2.7) ** 2 / shape
    logarithm = np.log(2.0 * np.e + 1.8 * q)
    return logarithm / (logarithm + (14.2 + 731.0 / (1.0 + 62.5 * q)) * q**2)


def linear_power(k: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return the linear power spectrum of matter today, in (Mpc/h)^3.

    `k` is float64, positive, in h/Mpc. The amplitude is normalized to `SIGMA_8`, the standard
    deviation of the density in spheres of 8 Mpc/h.
    Source: Eisenstein & Hu 1998, ApJ 496, 605 (see `transfer_function`).
    """
    nodes = np.geomspace(1e-5, 1e2, 4096)
    x = 8.0 * nodes
    top_hat = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    shape = nodes**SPECTRAL_INDEX * transfer_function(nodes) ** 2
    variance = (shape * top_hat**2 * nodes**3).sum() * np.log(nodes[1] / nodes[0])
    variance /= 2.0 * np.pi**2
    return SIGMA_8**2 / variance * k**SPECTRAL_INDEX * transfer_function(k) ** 2


def displacement_field(seed: int) -> Float[np.ndarray, "3 g g g"]:
    """Sample the Zel'dovich displacement field on the periodic grid, in Mpc/h.

    The field is float64, `GRID` cells per side, one array per direction: the gradient of the
    potential of a Gaussian density with `linear_power`, smoothed over `TRUNCATION` to keep
    filaments thin after shell crossing.
    Source: Zel'dovich 1970, A&A 5, 84; the smoothing is the truncated form of Coles, Melott &
    Shandarin 1993, MNRAS 260, 765.
    """
    white = np.random.Generator(np.random.PCG64(seed)).standard_normal((GRID, GRID, GRID))
    modes = np.fft.rfftn(white)
    k = 2.0 * np.pi / BOX * np.fft.fftfreq(GRID, 1.0 / GRID)
    directions = (k[:, None, None], k[None, :, None], k[None, None, : GRID // 2 + 1])
    square = directions[0] ** 2 + directions[1] ** 2 + directions[2] ** 2
    square[0, 0, 0] = 1.0
    # Interpolated in log k, to save three million evaluations of the formula.
    nodes = np.geomspace(0.5 * 2.0 * np.pi / BOX, 2.0 * np.sqrt(3.0) * np.pi * GRID / BOX, 4096)
    logarithm = np.interp(np.log(square), 2.0 * np.log(nodes), 0.5 * np.log(linear_power(nodes)))
    modes *= np.exp(logarithm - 0.5 * TRUNCATION**2 * square)
    modes *= (GRID / BOX) ** 1.5 / square
    modes[0, 0, 0] = 0.0
    field = np.empty((3, GRID, GRID, GRID))

    def differentiate(axis: int) -> None:
        gradient = 1j * directions[axis] * modes
        field[axis] = np.fft.irfftn(gradient, s=(GRID, GRID, GRID), axes=(0, 1, 2))

    with ThreadPoolExecutor(_threads()) as pool:
        list(pool.map(differentiate, range(3)))
    return field


def shell_particles(
    displacement: Float[np.ndarray, "3 g g g"],
) -> Iterator[Callable[[], Float[np.ndarray, "3 n"]]]:
    """Yield functions that place the particles near the shell, one for every plane of the grid.

    Their results are positions in Mpc/h from the observer, float64: `REFINEMENT` cubed particles
    per cell of the displacement grid that overlaps the shell. Their displacements are interpolated
    linearly between the corners of the cell, as in the dark-matter sheet of Abel, Hahn & Kaehler
    2012, MNRAS 427, 61, so that shot noise is negligible.
    """
    cell = BOX / GRID
    lattice = (np.arange(GRID + 1) - 0.5 * GRID) * cell
    padded = np.pad(displacement, ((0, 0), (0, 1), (0, 1), (0, 1)), mode="wrap")
    rise = (np.arange(REFINEMENT) + 0.5) / REFINEMENT
    share = np.stack([1.0 - rise, rise])
    shares = np.einsum("ax,by,cz->xyzabc", share, share, share).reshape(REFINEMENT**3, 8)
    for i in range(GRID):
        moved = padded[:, i : i + 2].copy()
        moved[0] += lattice[i : i + 2, None, None]
        moved[1] += lattice[None, :, None]
        moved[2] += lattice[None, None, :]
        yield functools.partial(_place, moved, shares)


def _place(
    moved: Float[np.ndarray, "3 2 h h"], shares: Float[np.ndarray, "r 8"]
) -> Float[np.ndarray, "3 n"]:
    """Place the particles of one plane of cells, given the places of its corners."""

    def corners(values: np.ndarray) -> list[np.ndarray]:
        sides = (slice(None, -1), slice(1, None))
        return [values[..., a, sides[b], sides[c]] for a in (0, 1) for b in (0, 1) for c in (0, 1)]

    wrap = np.round(moved[:, 0, :-1, :-1] / BOX)  # periodic wrapping of whole cells
    # Radii of corners, which cells share; those of cells that are wrapped come to lie elsewhere.
    radii = corners(_norm(moved))
    wrapped = wrap.any(axis=0)
    near = (functools.reduce(np.minimum, radii) < RADIUS + DEPTH) & (
        functools.reduce(np.maximum, radii) > RADIUS - DEPTH
    )
    rows, columns = np.nonzero(near | wrapped)
    found = np.stack([corner[:, rows, columns] for corner in corners(moved)], axis=1)
    found -= BOX * wrap[:, None, rows, columns]
    radius = _norm(found)
    near = (radius.min(axis=0) < RADIUS + DEPTH) & (radius.max(axis=0) > RADIUS - DEPTH)
    found = found[:, :, near].swapaxes(0, 1).reshape(8, -1)
    particles = np.empty((REFINEMENT**3, found.shape[1]))
    for begin in range(0, found.shape[1], _COLUMNS):
        part = slice(begin, begin + _COLUMNS)
        np.matmul(shares, found[:, part], out=particles[:, part])
    return particles.reshape(REFINEMENT**3, 3, -1).swapaxes(0, 1).reshape(3, -1)


def _norm(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of vectors [3, ...]."""
    square = vectors[0] * vectors[0]
    square += vectors[1] * vectors[1]
    square += vectors[2] * vectors[2]
    return np.sqrt(square, out=square)


def shell_density(nside: int, seed: int) -> Float[np.ndarray, " p"]:
    """Return the projected density of the shell in units of its mean, NESTED, float64.

    Particles are assigned to the pixel in which an observer in the centre sees them, weighted by
    the inverse square of the distance and a window that falls smoothly from one at `RADIUS` to
    zero at a distance of `DEPTH` from it.
    """
    import healpy  # here, because importing it loads matplotlib

    def project(place: Callable[[], Float[np.ndarray, "3 n"]]) -> Float[np.ndarray, " p"]:
        positions = place()
        radius = _norm(positions)
        near = np.flatnonzero(np.abs(radius - RADIUS) < DEPTH)
        positions, radius = positions.take(near, axis=1), radius.take(near)
        weight = np.cos(0.5 * np.pi * (radius - RADIUS) / DEPTH) ** 2 / radius**2
        pixel = healpy.vec2pix(nside, *positions, nest=True)
        return np.bincount(pixel, weights=weight, minlength=12 * nside**2)

    mass = np.zeros(12 * nside**2)
    planes = shell_particles(displacement_field(seed))
    with ThreadPoolExecutor(_threads()) as pool:
        while several := list(itertools.islice(planes, 16)):  # not all of them in memory at once
            for part in pool.map(project, several):  # in their order, so that sums repeat
                mass += part
    return mass / mass.mean()


def _threads() -> int:
    """Return the number of threads to share work among: NumPy lets others go on meanwhile."""
    available = getattr(os, "sched_getaffinity", None)
    cores = os.cpu_count() or 1 if available is None else len(available(0))
    return min(cores, 4)


def cosmic_web_map(nside: int = 64, seed: int = DEFAULT_SEED) -> Float[np.ndarray, " p"]:
    """Simulate a map of the filaments and voids of a thin shell of the Universe.

    The result is float64, NESTED, `12 nside^2` pixels, dimensionless: the logarithm of the
    projected density (softened by `FLOOR` in empty pixels), with mean 0 and standard deviation 1.
    It is the same on every machine up to rounding, needs no file and no network, and takes a few
    seconds. Raises ValueError unless `nside` is a power of two up to `LARGEST_NSIDE` and `seed`
    is an integer from 0 up. Sources: `linear_power`, `displacement_field`, `shell_particles`.
    """
    nside, seed = check_arguments(
        nside, seed, LARGEST_NSIDE, "finer pixels would hold too few particles"
    )
    contrast = np.log(FLOOR + shell_density(nside, seed))
    return (contrast - contrast.mean()) / contrast.std()
