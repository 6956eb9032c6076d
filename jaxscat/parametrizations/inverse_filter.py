"""The field of which a filter makes a map, by conjugate gradients on the host."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxscat.maps import npix_to_nside

_ITERATIONS = 200
# Of fields that a filter mixes: nearly singular where they end at 2 nside, at low nside above all.
_TOLERANCE = 1e-6
_MIXING_ITERATIONS = 500
Filter = Callable[[Float[np.ndarray, "*shape"]], Float[np.ndarray, "*shape"]]


def solve_precisely(
    matrix: Filter,
    preconditioner: Filter,
    target: Float[np.ndarray, "*shape"],
    tolerance: float,
    *,
    refinements: int = 5,
    iterations: int = _ITERATIONS,
) -> tuple[Float[np.ndarray, "*shape"], float]:
    """Return a solution of a symmetric positive system, and its error over the target's spread.

    Args:
        matrix: the system, applied to values.
        preconditioner: an approximate inverse, symmetric and positive too.
        target: what the matrix should make of the solution, in the shape of the values.
        tolerance: error at which it ends.
        refinements: maximum number of runs of conjugate gradients.
        iterations: maximum number of iterations of a run. What a new run starts without are the
            directions of the one before: it is no way to have more.
    """
    spread = np.sqrt(np.mean(target**2)) or 1.0
    found, residual = np.zeros_like(target), target
    error = np.sqrt(np.mean(residual**2)) / spread
    # Rounding ends a run of conjugate gradients early; the next one starts from the true residual.
    for _ in range(refinements):
        if error <= tolerance:
            break
        found = found + _solve(matrix, preconditioner, residual, tolerance * spread, iterations)
        residual = target - matrix(found)
        error = np.sqrt(np.mean(residual**2)) / spread
    return found, float(error)


def _solve(
    matrix: Filter,
    preconditioner: Filter,
    target: Float[np.ndarray, "*shape"],
    tolerance: float,
    iterations: int,
) -> Float[np.ndarray, "*shape"]:
    """Return an approximate solution of a symmetric positive system."""
    solution, residual = np.zeros_like(target), target
    direction = preconditioned = preconditioner(residual)
    power = np.vdot(residual, preconditioned)
    for _ in range(iterations):
        product = matrix(direction)
        step = power / (np.vdot(direction, product))
        solution, residual = solution + step * direction, residual - step * product
        if np.sqrt(np.mean(residual**2)) <= tolerance:
            break
        preconditioned = preconditioner(residual)
        power, previous = np.vdot(residual, preconditioned), power
        direction = preconditioned + power / previous * direction
    return solution


def invert_mixing(
    roots: Float[np.ndarray, "l f f"],
    beyond: Float[np.ndarray, " f"],
    maps: Float[np.ndarray, "f p"],
) -> tuple[Float[np.ndarray, "f p"], float]:
    """Return the fields whose filtered maps are the given ones, and the error over their spread."""
    import healpy  # loads matplotlib, so not at import

    nside, last = npix_to_nside(maps.shape[1]), len(roots) - 1
    multipole = healpy.Alm.getlm(last)[0]
    values, vectors = np.linalg.eigh(roots)

    def filtered(fields: np.ndarray, power: float = 1.0) -> np.ndarray:
        rest = beyond**power
        gains = np.einsum("lik,lk,ljk->lij", vectors, values**power, vectors) - np.diag(rest)
        harmonics = np.stack([healpy.map2alm(one, lmax=last, iter=0) for one in fields])
        harmonics = np.einsum("mij,jm->im", gains[multipole], harmonics)
        whole = np.stack([healpy.alm2map(one, nside, lmax=last) for one in harmonics])
        return whole + rest[:, None] * fields

    def preconditioned(fields: np.ndarray) -> np.ndarray:
        return filtered(filtered(fields, -0.5), -0.5)

    ringed = np.stack([healpy.reorder(map, n2r=True) for map in maps])
    found, error = solve_precisely(
        filtered, preconditioned, ringed, _TOLERANCE, refinements=2, iterations=_MIXING_ITERATIONS
    )
    return np.stack([healpy.reorder(one, r2n=True) for one in found]), error
