"""Scattering covariances with dense matrices, in NumPy and healpy: an oracle, slow and short.

Written from `docs/conventions.md`; nothing here comes from the package. Fields have pixels on their
last axis.
"""

from functools import cache

import healpy
import numpy as np

KERNEL_POINTS = [(a, b) for b in (-1, 0, 1) for a in (-1, 0, 1)]  # along the wave, across it


def kernel() -> np.ndarray:
    """The nine values of the wavelet, in the order of `KERNEL_POINTS`."""
    along, across = np.array(KERNEL_POINTS).T
    wave = np.exp(-(along**2 + across**2) + 1j * np.pi * along / np.sqrt(2))
    wave -= wave.mean()
    return wave / np.abs(wave).sum()


@cache
def wavelet_matrix(nside: int, orientations: int) -> np.ndarray:
    """The wavelet as `[orientation, output pixel, input pixel]`."""
    npix = 12 * nside**2
    normal = np.array(healpy.pix2vec(nside, np.arange(npix), nest=True))
    theta, phi = healpy.pix2ang(nside, np.arange(npix), nest=True)
    south = np.array([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)])
    east = np.array([-np.sin(phi), np.cos(phi), np.zeros(npix)])
    hemisphere = np.where(theta <= np.pi / 2 + 1e-9, 1, -1)
    matrix = np.zeros((orientations, npix, npix), complex)
    for orientation in range(orientations):
        angle = hemisphere * (orientation * np.pi / orientations - phi)
        along = np.cos(angle) * south + np.sin(angle) * east
        across = -np.sin(angle) * south + np.cos(angle) * east
        for (a, b), value in zip(KERNEL_POINTS, kernel(), strict=True):
            distance = np.sqrt(np.pi / 3) / nside * np.hypot(a, b)
            turn = np.arctan2(b, a)
            direction = np.cos(turn) * along + np.sin(turn) * across
            x, y, z = np.cos(distance) * normal + np.sin(distance) * direction
            pixels, weights = healpy.get_interp_weights(
                nside, np.arctan2(np.hypot(x, y), z), np.arctan2(y, x) % (2 * np.pi), nest=True
            )
            weights = value * weights / weights.sum(axis=0)
            np.add.at(matrix[orientation], (np.arange(npix), pixels), weights)
    return matrix


@cache
def downsampling_matrix(nside: int) -> np.ndarray:
    """The step from `nside` to half of it as `[coarse pixel, fine pixel]`."""
    coarse = nside // 2
    centres = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True))
    matrix = np.zeros((12 * coarse**2, 12 * nside**2))
    for pixel, row in enumerate(matrix):
        parents = [pixel]
        for neighbour in healpy.get_all_neighbours(coarse, pixel, nest=True):
            parents.append(parents[-1] if neighbour < 0 else neighbour)
        centre = healpy.pix2vec(coarse, pixel, nest=True)
        for child in (4 * parent + quarter for parent in parents for quarter in range(4)):
            cross = np.cross(centre, centres[:, child])
            separation = np.arctan2(np.linalg.norm(cross), np.dot(centre, centres[:, child]))
            row[child] += np.exp(-2 * (separation / (np.sqrt(np.pi / 3) / coarse)) ** 2)
        row /= row.sum()
    return matrix


def scattering_fields(map, masks, orientations, scales):
    """Yield for every scale the masks and the fields whose means are S1 to S4.

    `masks` is `[mask, pixel]`. S3 is `[j2, l2, l3, pixel]`, S4 `[(j1, j2), l2, l1, l3, pixel]`.
    """
    nside = int(np.sqrt(map.size / 12))
    moduli = np.zeros((0, orientations, map.size))
    for scale in range(scales):
        wavelet = wavelet_matrix(nside, orientations)
        c = wavelet @ map
        power = np.abs(c) ** 2
        moduli = np.concatenate([moduli, np.sqrt(power + 1e-16)[None]])
        again = np.einsum("lpq,jmq->jmlp", wavelet, moduli, optimize=True)
        s3 = c * again.conj()
        s4 = [
            again[j1][None, :] * again[j2].conj()[:, None]
            for j2 in range(scale + 1)
            for j1 in range(j2 + 1)
        ]
        yield masks, {"s1": moduli[-1], "s2": power, "s3": s3, "s4": np.array(s4)}
        if scale + 1 < scales:
            step = downsampling_matrix(nside)
            map, moduli, masks = map @ step.T, moduli @ step.T, masks @ step.T
            nside //= 2


def masked_mean(field, masks):
    """The means over pixels, with the axis of masks first."""
    totals = masks.sum(axis=1).reshape(-1, *[1] * (field.ndim - 1))
    return np.tensordot(masks, field, axes=(1, field.ndim - 1)) / totals


def pixel_error(field, masks):
    """Standard error of the mean, from the deviations themselves."""
    errors = []
    for mask, mean in zip(masks, masked_mean(field, masks), strict=True):
        deviation = np.abs(field - mean[..., None]) ** 2
        errors.append(np.sqrt(deviation @ mask) / mask.sum())
    return np.array(errors)


def foscat_error(field, masks):
    """FOSCAT's standard error, whose square is no variance for complex fields."""
    mean, square = masked_mean(field, masks), masked_mean(field**2, masks)
    spread = square.real - mean.real**2 + square.imag - mean.imag**2
    totals = masks.sum(axis=1).reshape(-1, *[1] * (field.ndim - 1))
    return np.sqrt(np.abs(spread) / totals)


def reduce_fields(map, masks, orientations, scales, reduction):
    """Reduce every field by one of the three functions above, scales on one axis as in the package.

    The first entry of S0 is the reduction of the map, the second the error of its mean.
    """
    groups = {"s1": [], "s2": [], "s3": [], "s4": []}
    for scale_masks, fields in scattering_fields(map, masks, orientations, scales):
        for name, parts in groups.items():
            reduced = reduction(fields[name], scale_masks)
            parts.append(reduced[:, None] if name in ("s1", "s2") else reduced)
    s0 = np.stack([reduction(map, masks), pixel_error(map, masks)], axis=-1)
    return {"s0": s0} | {name: np.concatenate(parts, axis=1) for name, parts in groups.items()}
