"""Headless line segments of polarization, in the coordinates of a picture of the sky."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.io.degrade import average_polarization
from jaxscat.plotting.zoom import Patch

Map = Float[np.ndarray, " p"]
Points = Float[np.ndarray, "n 2"]
Vectors = Float[np.ndarray, "n 3"]

# Segments are drawn within this part of the half axes of the Mollweide ellipse.
_INSIDE = 0.97


class Segments(NamedTuple):
    """Orientations of polarization at points of a picture.

    Attributes:
        places: coordinates of the middles in the picture, to the right and upwards.
        directions: unit vectors along the polarization in the picture; their opposites mean the
            same.
        strengths: polarized intensity P, in map units.
        spacing: distance between neighbouring points in the picture.
        degrees: side of the pixels over which Q and U are averaged, degrees.
    """

    places: Points
    directions: Points
    strengths: Float[np.ndarray, " n"]
    spacing: float
    degrees: float

    def lines(self, longest: float) -> Float[np.ndarray, "n 2 2"]:
        """Return both ends of every segment, with a length proportional to its strength.

        Strengths of `longest` and more have a length of 0.9 times the spacing.
        """
        share = np.minimum(self.strengths / longest, 1.0) if longest > 0 else self.strengths * 0.0
        half = 0.45 * self.spacing * share[:, None] * self.directions
        return np.stack([self.places - half, self.places + half], axis=1)


def sky_segments(q: Map, u: Map, *, across: int = 30) -> Segments:
    """Return segments on a grid over the Mollweide picture of the whole sky.

    The picture is an ellipse from -2 to 2 and from -1 to 1, with longitude zero in its middle and
    longitudes growing to the left, as in `mollweide_image`; meridians and parallels are drawn as
    they are there, so that Q > 0 lies along the meridian.

    Args:
        q, u: NESTED maps of the Stokes parameters, with the sign of U of COSMO: the angle of
            polarization, atan2(U, Q) / 2, grows from south through east. They are NaN in pixels
            without data, where there are no segments.
        across: number of segments along the equator; half as many from pole to pole.

    Source: Snyder 1987, "Map Projections: A Working Manual", USGS Professional Paper 1395 (the
    Mollweide projection); `docs/map-files.md`, "Frame and polarization convention".
    """
    spacing = 4.0 / across
    x, y = _grid(across, across // 2, spacing)
    inside = (x / 2.0) ** 2 + y**2 < _INSIDE**2
    x, y = x[inside], y[inside]
    auxiliary = np.arcsin(y)
    latitude = np.arcsin((2.0 * auxiliary + np.sin(2.0 * auxiliary)) / np.pi)
    longitude = -np.pi / 2.0 * x / np.cos(auxiliary)
    theta = np.pi / 2.0 - latitude
    at_q, at_u, degrees = _stokes_at(q, u, theta, longitude, 360.0 / across)
    # What a step to the south, and one to the east, is in the picture.
    turned = -np.pi * np.cos(latitude) / (4.0 * np.cos(auxiliary) ** 2)
    south = np.stack(
        [2.0 / np.pi * longitude * np.sin(auxiliary) * turned, np.cos(auxiliary) * turned], axis=1
    )
    east = np.stack(
        [-2.0 / np.pi * np.cos(auxiliary) / np.cos(latitude), np.zeros_like(latitude)], axis=1
    )
    return _segments(np.stack([x, y], axis=1), south, east, at_q, at_u, spacing, degrees)


def patch_segments(q: Map, u: Map, patch: Patch, *, across: int = 15) -> Segments:
    """Return segments on a grid over the gnomonic picture of a patch, from -1 to 1 either way.

    Args:
        q, u: NESTED maps as for `sky_segments`.
        patch: the patch, as for `gnomonic_image`.
        across: number of segments from side to side.

    Source: Snyder 1987, "Map Projections: A Working Manual", USGS Professional Paper 1395 (the
    gnomonic projection); `docs/map-files.md`, "Frame and polarization convention".
    """
    spacing = 2.0 / across
    x, y = _grid(across, across, spacing)
    half = np.tan(np.radians(patch.size_degrees) / 2.0)
    theta, phi = np.radians([90.0 - patch.lat, patch.lon])
    to_south, to_east = (one[0] for one in _frames(np.array([theta]), np.array([phi])))
    towards = np.cross(to_south, to_east)
    vectors = towards - half * (x[:, None] * to_east + y[:, None] * to_south)
    at_theta = np.arctan2(np.hypot(vectors[:, 0], vectors[:, 1]), vectors[:, 2])
    at_phi = np.arctan2(vectors[:, 1], vectors[:, 0])
    at_q, at_u, degrees = _stokes_at(q, u, at_theta, at_phi, patch.size_degrees / across)

    def drawn(steps: Vectors) -> Points:
        """Steps along the sphere, as they are in the picture, but for a common factor."""
        right, up = -(steps @ to_east), -(steps @ to_south)
        outwards = half * (steps @ towards)
        return np.stack([right - x * outwards, up - y * outwards], axis=1)

    south, east = _frames(at_theta, at_phi)
    places = np.stack([x, y], axis=1)
    return _segments(places, drawn(south), drawn(east), at_q, at_u, spacing, degrees)


def _segments(
    places: Points,
    south: Points,
    east: Points,
    q: Float[np.ndarray, " n"],
    u: Float[np.ndarray, " n"],
    spacing: float,
    degrees: float,
) -> Segments:
    """Return the segments at angles atan2(u, q) / 2 from south through east in the picture.

    Those of points where Q and U are NaN are left out.
    """
    angle = 0.5 * np.arctan2(u, q)[:, None]
    along = np.cos(angle) * south + np.sin(angle) * east
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    seen = np.isfinite(angle[:, 0])
    return Segments(places[seen], along[seen], np.hypot(q, u)[seen], spacing, degrees)


def _grid(columns: int, rows: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of a grid around the middle of a picture."""
    x = spacing * (np.arange(columns) - (columns - 1) / 2.0)
    y = spacing * (np.arange(rows) - (rows - 1) / 2.0)
    across, up = np.meshgrid(x, y)
    return across.ravel(), up.ravel()


def _stokes_at(
    q: Map,
    u: Map,
    theta: Float[np.ndarray, " n"],
    phi: Float[np.ndarray, " n"],
    degrees: float,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], float]:
    """Return Q and U at points, averaged over pixels up to an angle, and the side of these.

    They are NaN at the points of pixels without data.
    """
    import healpy

    pixels = healpy.ang2pix(healpy.npix2nside(q.size), theta, phi, nest=True)
    hidden = np.isnan(q[pixels] + u[pixels])
    q, u, degrees = _averaged(q, u, degrees)
    found_q, found_u = _interpolated(q, u, theta, phi)
    return np.where(hidden, np.nan, found_q), np.where(hidden, np.nan, found_u), degrees


def _averaged(q: Map, u: Map, degrees: float) -> tuple[Map, Map, float]:
    """Average Q and U over the largest pixels no wider than an angle, and return their side.

    Pixels without data in any part of them are NaN.
    """
    import healpy

    nside = healpy.npix2nside(q.size)
    sides = [2**power for power in range(nside.bit_length())]
    wide = [side for side in sides if np.degrees(healpy.nside2resol(side)) <= degrees]
    coarse = min([*wide, nside])
    q, u = (np.array(map, np.float64) for map in (q, u))  # which are averaged in place
    missing = np.isnan(q + u)
    q, u = average_polarization(q, u, missing, coarse)
    q[missing.reshape(q.size, -1).all(axis=1)] = np.nan
    return q, u, float(np.degrees(healpy.nside2resol(coarse)))


def _interpolated(
    q: Map, u: Map, theta: Float[np.ndarray, " n"], phi: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Interpolate Q and U, and refer them to the meridian through every point.

    They are interpolated as tensors in space, since their meridians differ from point to point,
    between the pixels whose Q is not NaN.
    """
    import healpy

    nside = healpy.npix2nside(q.size)
    pixels, weights = healpy.get_interp_weights(nside, theta, phi, nest=True)
    empty = np.isnan(q)
    if empty.any():
        weights = np.where(empty[pixels], 0.0, weights)
        total = weights.sum(axis=0)
        weights = np.divide(weights, total, out=weights * np.nan, where=total > 0)
        q = np.where(empty, 0.0, q)
    own_south, own_east = _frames(*healpy.pix2ang(nside, pixels, nest=True))
    south, east = _frames(theta, phi)
    found_q, found_u = np.zeros(theta.shape), np.zeros(theta.shape)
    for at in range(len(pixels)):
        stokes_q, stokes_u = q[pixels[at]] * weights[at], u[pixels[at]] * weights[at]
        ss, se, es, ee = (
            np.sum(own * here, axis=-1)
            for own in (own_south[at], own_east[at])
            for here in (south, east)
        )
        found_q += 0.5 * stokes_q * (ss**2 - es**2 - se**2 + ee**2)
        found_q += stokes_u * (ss * es - se * ee)
        found_u += stokes_q * (ss * se - es * ee) + stokes_u * (ss * ee + es * se)
    return found_q, found_u


def _frames(theta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors to the south and to the east at points of the sphere."""
    south = np.stack(
        [np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)], axis=-1
    )
    east = np.stack([-np.sin(phi), np.cos(phi), np.zeros_like(phi)], axis=-1)
    return south, east
