"""Averages of maps over coarser pixels, with pixels without data left out."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Complex, Float

from jaxscat.io.fields import blocks


def average_children(
    values: Float[np.ndarray, " p"], missing: Bool[np.ndarray, " p"], nside: int
) -> Float[np.ndarray, " q"]:
    """Average a NESTED map over the children with data of every pixel of a lower nside.

    Pixels of `values` without data become zeros in place; a coarse pixel without any is zero, too.
    """
    values[missing] = 0.0
    children = values.size // (12 * nside**2)
    if children == 1:
        return values
    sums = values.reshape(-1, children).sum(axis=1)
    counts = children - np.count_nonzero(missing.reshape(-1, children), axis=1)
    return np.divide(sums, counts, out=sums, where=counts > 0)


def average_polarization(
    q: Float[np.ndarray, " p"],
    u: Float[np.ndarray, " p"],
    missing: Bool[np.ndarray, " p"],
    nside: int,
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Average Q and U (COSMO) over the children with data of every pixel of a lower nside.

    Q and U refer to the meridian through each pixel, and near the poles those of the children
    differ from their parent's. Every child is therefore carried along the great circle to the
    centre of its parent, which turns it by twice the angle between both meridians. Otherwise like
    `average_children`.

    Source: parallel transport of a spin-2 quantity, e.g. Challinor, Fosalba, Mortlock, Ashdown,
    Wandelt & Gorski 2000, Phys. Rev. D 62, 123002, appendix.
    """
    own = math.isqrt(q.size // 12)
    children = (own // nside) ** 2
    if children == 1:
        return average_children(q, missing, nside), average_children(u, missing, nside)
    parts = []
    for part in blocks(q.size, children):
        spin = np.where(missing[part], 0.0, q[part] + 1j * u[part])
        pixels = np.arange(part.start, part.stop)
        spin *= _turn(pixels, own, pixels // children, nside)
        counts = (~missing[part]).reshape(-1, children).sum(axis=1)
        parts.append(spin.reshape(-1, children).sum(axis=1) / np.maximum(counts, 1))
    whole = np.concatenate(parts)
    return np.real(whole).copy(), np.imag(whole).copy()


def _turn(
    child: np.ndarray, nside: int, parent: np.ndarray, coarse: int
) -> Complex[np.ndarray, " n"]:
    """Return the phase that Q + iU gets on its way from each child to its parent."""
    import healpy

    theta, phi = healpy.pix2ang(nside, child, nest=True)
    theta_p, phi_p = healpy.pix2ang(coarse, parent, nest=True)
    leaving = _direction(theta, phi, theta_p, phi_p)
    arriving = -_direction(theta_p, phi_p, theta, phi)
    turn = arriving * leaving.conj()
    return (turn / np.abs(turn)) ** 2


def _direction(
    theta: np.ndarray, phi: np.ndarray, theta_to: np.ndarray, phi_to: np.ndarray
) -> Complex[np.ndarray, " n"]:
    """Return the direction from one point to another: south as real part, east as imaginary."""
    across = phi_to - phi
    south = np.cos(theta) * np.sin(theta_to) * np.cos(across) - np.sin(theta) * np.cos(theta_to)
    return south + 1j * np.sin(theta_to) * np.sin(across)
