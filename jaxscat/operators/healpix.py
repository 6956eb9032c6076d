"""Geometry of the HEALPix sphere on the host, by healpy.

healpy is imported where it is used, because it loads matplotlib.

Everything here is NumPy in float64 (except `stencil_points` in single precision) and runs once,
when operators are built. Pixels are NESTED throughout.
"""

import numpy as np
from jaxtyping import Float, Int

from jaxscat.operators.wavelet import gauge_angle, stencil_offsets

# Smaller weights are rounding noise of points on a pixel centre or ring.
_NEGLIGIBLE_WEIGHT = 1e-12

PixelArray = Int[np.ndarray, " p"]


def resolution(nside: int) -> float:
    """Return the side of a square with the area of one pixel, in radians."""
    return np.sqrt(np.pi / 3.0) / nside


def stencil_points(
    nside: int,
    pixels: PixelArray,
    orientation: int,
    orientations: int,
    kernel_size: int,
    single_precision: bool = False,
) -> tuple[Float[np.ndarray, "p points"], Float[np.ndarray, "p points"]]:
    """Return the positions on the sphere of the points of an oriented stencil.

    Point `(a, b)` of the kernel lies at geodesic distance `resolution * sqrt(a^2 + b^2)` from the
    pixel centre, in the direction `atan2(b, a)` measured from the axis of the wave.

    Args:
        nside: resolution of the pixels.
        pixels: NESTED indices of the centres.
        orientation: index of the orientation.
        orientations: number of orientations in half a turn.
        kernel_size: side of the kernel.
        single_precision: round every step to float32, as the FOSCAT package does.

    Returns:
        colatitude and longitude of every point, radians; float64 arrays holding float32 values
        with `single_precision`.

    Source: `docs/conventions.md`, "Stencil".
    """
    import healpy

    theta, phi = healpy.pix2ang(nside, pixels, nest=True)
    along, across = stencil_offsets(kernel_size)
    distance = resolution(nside) * np.hypot(along, across)
    direction = np.arctan2(across, along)
    # The stencil around the north pole, its axis along x.
    stencil = np.stack(
        [
            np.sin(distance) * np.cos(direction),
            np.sin(distance) * np.sin(direction),
            np.cos(distance),
        ]
    )
    if single_precision:
        return _rounded_points(theta, phi, stencil, orientation, orientations)
    angle = gauge_angle(theta, phi, orientation, orientations)
    x, y, z = stencil
    sin_theta, cos_theta = np.sin(theta)[:, None], np.cos(theta)[:, None]
    sin_angle, cos_angle = np.sin(angle)[:, None], np.cos(angle)[:, None]
    # Turn in the tangent plane, then tilt to the colatitude; the longitude is added at the end.
    south = cos_angle * x - sin_angle * y
    east = sin_angle * x + cos_angle * y
    tilted = cos_theta * south + sin_theta * z
    height = cos_theta * z - sin_theta * south
    point_theta = np.arctan2(np.hypot(tilted, east), height)
    return point_theta, np.mod(np.arctan2(east, tilted) + phi[:, None], 2 * np.pi)


def _rounded_points(
    theta: Float[np.ndarray, " p"],
    phi: Float[np.ndarray, " p"],
    stencil: Float[np.ndarray, "3 points"],
    orientation: int,
    orientations: int,
) -> tuple[Float[np.ndarray, "p points"], Float[np.ndarray, "p points"]]:
    """Place the stencil in float32, by the same chain of rotations as FOSCAT 2026.6.1.

    The rounding is not symmetric noise: it moves points off the pixel centre and biases S1 and S2.
    Only the same chain (tilt, rotation to the longitude, Rodrigues' rotation about the normal)
    reproduces the package.
    """
    real = np.float32
    hemisphere = np.where(theta <= np.pi / 2, 1, -1)
    theta32, phi32 = theta.astype(real), phi.astype(real)
    step = real(orientation) * real(np.pi / orientations)
    angle = (-hemisphere * phi).astype(real) + hemisphere.astype(real) * step
    sin_theta, cos_theta = np.sin(theta32), np.cos(theta32)
    sin_phi, cos_phi = np.sin(phi32), np.cos(phi32)
    zero = np.zeros_like(theta32)
    place = np.array(
        [
            [cos_phi * cos_theta, -sin_phi, cos_phi * sin_theta],
            [sin_phi * cos_theta, cos_phi, sin_phi * sin_theta],
            [-sin_theta, zero, cos_theta],
        ]
    ).transpose(2, 0, 1)
    normal = place[:, :, 2]
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    x, y, z = normal.T
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    sin_angle, cos_angle = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turn = (
        np.eye(3, dtype=real) * cos_angle
        + cross * sin_angle
        + normal[:, :, None] * normal[:, None, :] * (real(1) - cos_angle)
    )
    points = (turn @ place) @ stencil.astype(real)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    point_theta = np.arccos(np.clip(points[:, 2], -1, 1))
    point_phi = np.mod(np.arctan2(points[:, 1], points[:, 0]), real(2 * np.pi))
    return point_theta.astype(np.float64), point_phi.astype(np.float64)


def interpolation(
    nside: int,
    theta: Float[np.ndarray, "*shape"],
    phi: Float[np.ndarray, "*shape"],
    single_precision: bool = False,
) -> tuple[Int[np.ndarray, "4 *shape"], Float[np.ndarray, "4 *shape"]]:
    """Return the pixels and weights of the bilinear interpolation of a map at given points.

    Args:
        nside: resolution of the map.
        theta: colatitudes, radians.
        phi: longitudes, radians.
        single_precision: round the weights to float32 before they are normalised, as FOSCAT does.

    Returns:
        NESTED pixel indices (int64) and weights (float64) that sum to one over the first axis.

    Source: `healpy.get_interp_weights`.
    """
    import healpy

    pixels, weights = healpy.get_interp_weights(nside, theta.ravel(), phi.ravel(), nest=True)
    if single_precision:
        weights = weights.astype(np.float32).astype(np.float64)
    else:
        weights = np.where(np.abs(weights) < _NEGLIGIBLE_WEIGHT, 0.0, weights)
    weights = weights / weights.sum(axis=0)
    shape = (4, *theta.shape)
    return np.asarray(pixels).reshape(shape), weights.reshape(shape)


def parents_with_neighbours(nside: int, pixels: PixelArray) -> Int[np.ndarray, "p 9"]:
    """Return every pixel and its eight neighbours; a missing neighbour repeats the one before it.

    Args:
        nside: resolution of the pixels.
        pixels: NESTED indices.

    Returns:
        int64 indices: the pixel, then SW, W, NW, N, NE, E, SE, S.

    Source: `healpy.get_all_neighbours`; the repetition is FOSCAT's, `docs/conventions.md`,
    "Downsampling".
    """
    import healpy

    table = np.concatenate([pixels[None], healpy.get_all_neighbours(nside, pixels, nest=True)])
    for row in range(1, 9):
        table[row] = np.where(table[row] < 0, table[row - 1], table[row])
    return table.T


def angular_distance(
    nside_from: int, pixels_from: np.ndarray, nside_to: int, pixels_to: np.ndarray
) -> Float[np.ndarray, "*shape"]:
    """Return the angles between pixel centres of two grids, radians; the indices broadcast."""
    import healpy

    vectors_from = np.stack(healpy.pix2vec(nside_from, pixels_from, nest=True), -1)
    vectors_to = np.stack(healpy.pix2vec(nside_to, pixels_to, nest=True), -1)
    across = np.linalg.norm(np.cross(vectors_from, vectors_to), axis=-1)
    return np.arctan2(across, np.sum(vectors_from * vectors_to, axis=-1))
