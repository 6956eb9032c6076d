"""Treatments of hidden pixels that the package does not have, to compare them with its own."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import healpy
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import splu

from jaxscat.objectives.scattering import Scattering


class Treated(Scattering):
    """The chi-square of a map whose hidden pixels a linear operator has replaced."""

    treatment: Any = None

    def __call__(self, maps: Any) -> Array:
        """Return the chi-square of a map."""
        return super().__call__(self.treatment(maps))


class Taper(eqx.Module):
    """The map without its mean, times weights that fall to zero towards hidden pixels."""

    weights: Float[Array, " p"]

    def __call__(self, map: Float[Array, " p"]) -> Float[Array, " p"]:
        """Return the treated map."""
        seen = self.weights > 0
        mean = jnp.sum(jnp.where(seen, self.weights * map, 0)) / jnp.sum(self.weights)
        return jnp.where(seen, self.weights * (map - mean), 0)


class Membrane(eqx.Module):
    """Hidden pixels as the mean of their neighbours: the smoothest surface through the edge."""

    seen: Bool[Array, " p"]
    hidden: Int[Array, " h"]
    edge: Int[Array, " e"]
    matrix: Float[Array, "h e"]

    def __call__(self, map: Float[Array, " p"]) -> Float[Array, " p"]:
        """Return the map with other values in hidden pixels."""
        return jnp.where(self.seen, map, 0).at[self.hidden].set(self.matrix @ map[self.edge])


def build_taper(seen: Bool[np.ndarray, " p"], degrees: float = 6.0) -> Taper:
    """Build a cosine taper over an angle from the nearest hidden pixel."""
    nside = healpy.npix2nside(seen.size)
    vectors = np.array(healpy.pix2vec(nside, np.arange(seen.size), nest=True)).T
    cosine = np.concatenate(
        [(part @ vectors[~seen].T).max(axis=1) for part in np.array_split(vectors, 16)]
    )
    distance = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / degrees
    weights = 0.5 - 0.5 * np.cos(np.pi * np.clip(distance, 0, 1))
    return Taper(jnp.asarray(np.where(seen, weights, 0), jnp.float32))


def build_membrane(seen: Bool[np.ndarray, " p"]) -> Membrane:
    """Build the solution of Laplace's equation in hidden pixels, with four neighbours each."""
    nside = healpy.npix2nside(seen.size)
    # South-west, north-west, north-east and south-east of every pixel.
    neighbours = healpy.get_all_neighbours(nside, np.arange(seen.size), nest=True)[::2]
    rows, columns = np.tile(np.arange(seen.size), 4), neighbours.ravel()
    known = columns >= 0
    adjacent = sparse.csr_matrix(
        (np.ones(known.sum()), (rows[known], columns[known])), shape=(seen.size, seen.size)
    )
    laplacian = sparse.csr_matrix(sparse.diags(np.asarray(adjacent.sum(1)).ravel()) - adjacent)
    hidden, shown = np.flatnonzero(~seen), np.flatnonzero(seen)
    across = -laplacian[hidden][:, shown]
    used = np.flatnonzero(np.asarray(abs(across).sum(0)).ravel())
    matrix = splu(sparse.csc_matrix(laplacian[hidden][:, hidden])).solve(across[:, used].toarray())
    return Membrane(
        jnp.asarray(seen),
        jnp.asarray(hidden),
        jnp.asarray(shown[used]),
        jnp.asarray(matrix, jnp.float32),
    )
