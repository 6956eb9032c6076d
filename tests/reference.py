"""Scattering covariances with dense matrices, in NumPy and healpy: an oracle, slow and short.

Written from `docs/conventions.md`; nothing here comes from the package. Fields have pixels on their
last axis. A patch of the sky is named by `cells`, a tuple of ascending NESTED pixels; None is the
full sky.
"""

from functools import cache

import healpy
import numpy as np

KERNEL_CONSTANTS = {3: (1 / np.sqrt(2), 1.0), 5: (0.75, 0.5), 7: (0.5, 0.25)}  # kappa, beta


def kernel_points(size: int) -> list[tuple[int, int]]:
    """Steps along the wave and across it, in pixels; the centre stands in the middle."""
    steps = range(-(size // 2), size // 2 + 1)
    return [(a, b) for b in steps for a in steps]


def kernel(size: int = 3) -> np.ndarray:
    """The values of the wavelet, in the order of `kernel_points`."""
    along, across = np.array(kernel_points(size)).T
    frequency, sharpness = KERNEL_CONSTANTS[size]
    wave = np.exp(-sharpness * (along**2 + across**2) + 1j * np.pi * frequency * along)
    wave -= wave.mean()
    return wave / np.abs(wave).sum()


def all_cells(nside: int, cells: tuple[int, ...] | None) -> np.ndarray:
    return np.arange(12 * nside**2) if cells is None else np.array(cells)


def parent_cells(cells: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if cells is None else tuple(sorted({cell // 4 for cell in cells}))


def child_cells(cells: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if cells is None else tuple(4 * cell + k for cell in cells for k in range(4))


@cache
def wavelet_matrix(nside, orientations, kernel_size=3, cells=None) -> np.ndarray:
    """The wavelet as `[orientation, output pixel, input pixel]`."""
    centres = all_cells(nside, cells)
    place = np.full(12 * nside**2, -1)
    place[centres] = np.arange(centres.size)
    normal = np.array(healpy.pix2vec(nside, centres, nest=True))
    theta, phi = healpy.pix2ang(nside, centres, nest=True)
    south = np.array([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)])
    east = np.array([-np.sin(phi), np.cos(phi), np.zeros(centres.size)])
    hemisphere = np.where(theta <= np.pi / 2 + 1e-9, 1, -1)
    rows = np.arange(centres.size)
    matrix = np.zeros((orientations, centres.size, centres.size), complex)
    for orientation in range(orientations):
        angle = hemisphere * (orientation * np.pi / orientations - phi)
        along = np.cos(angle) * south + np.sin(angle) * east
        across = -np.sin(angle) * south + np.cos(angle) * east
        for (a, b), value in zip(kernel_points(kernel_size), kernel(kernel_size), strict=True):
            distance = np.sqrt(np.pi / 3) / nside * np.hypot(a, b)
            turn = np.arctan2(b, a)
            direction = np.cos(turn) * along + np.sin(turn) * across
            x, y, z = np.cos(distance) * normal + np.sin(distance) * direction
            pixels, weights = healpy.get_interp_weights(
                nside, np.arctan2(np.hypot(x, y), z), np.arctan2(y, x) % (2 * np.pi), nest=True
            )
            weights[np.abs(weights) < 1e-12] = 0
            weights[place[pixels] < 0] = 0
            total = weights.sum(axis=0)
            # A point that sees no pixel of the patch falls on the centre of the stencil.
            matrix[orientation][rows[total == 0], rows[total == 0]] += value
            weights = value * weights / np.where(total == 0, 1, total)
            np.add.at(matrix[orientation], (rows, place[pixels]), weights)
    return matrix


@cache
def downsampling_matrix(nside, cells=None) -> np.ndarray:
    """The step from `nside` to half of it as `[coarse pixel, fine pixel]`."""
    coarse = nside // 2
    centres = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True))
    present = all_cells(nside, cells)
    rows = []
    for pixel in all_cells(coarse, parent_cells(cells)):
        row = np.zeros(12 * nside**2)
        parents = [pixel]
        for neighbour in healpy.get_all_neighbours(coarse, pixel, nest=True):
            parents.append(parents[-1] if neighbour < 0 else neighbour)
        centre = healpy.pix2vec(coarse, pixel, nest=True)
        for child in (4 * parent + quarter for parent in parents for quarter in range(4)):
            cross = np.cross(centre, centres[:, child])
            separation = np.arctan2(np.linalg.norm(cross), np.dot(centre, centres[:, child]))
            row[child] += np.exp(-2 * (separation / (np.sqrt(np.pi / 3) / coarse)) ** 2)
        rows.append(row[present] / row[present].sum())
    return np.array(rows)


def upsampling_matrix(nside, cells=None) -> np.ndarray:
    """The step to `nside`, whose pixels are given, from half of it, `[fine, coarse pixel]`."""
    transpose = downsampling_matrix(nside, cells).T
    return transpose / transpose.sum(axis=1, keepdims=True)


def signed_root(x):
    return np.sign(x) * np.sqrt(np.abs(x) + 1e-16)


def prepare(fields, nside, kernel_size=3, cells=None):
    """Take maps or masks to the grid of the finest scale; return it too."""
    if kernel_size == 3:
        return fields, nside, cells
    cells = child_cells(cells)
    return fields @ upsampling_matrix(2 * nside, cells).T, 2 * nside, cells


def turns(strength, axis):
    """The matrices `[..., in, out, ...]` that count orientations on an axis from the dominant."""
    strength = np.moveaxis(strength, axis, 0)
    size = strength.shape[0]
    phase = np.arctan2(
        np.tensordot(np.sin(2 * np.pi * np.arange(size) / size), strength, axes=1),
        np.tensordot(np.cos(2 * np.pi * np.arange(size) / size), strength, axes=1),
    )
    place = size * (phase % (2 * np.pi)) / (2 * np.pi)
    whole = np.floor(place).astype(int)
    share = np.sin(np.pi / 2 * (place - whole)) ** 2
    matrix = np.zeros((size, size, *whole.shape))
    for out in range(size):
        for source in range(size):
            matrix[source, out] += np.where((out + whole) % size == source, 1 - share, 0)
            matrix[source, out] += np.where((out + whole + 1) % size == source, share, 0)
    return matrix


def find_turns(map, orientations, scales, *, nside=None, kernel_size=3, cells=None, foscat=False):
    """The outer `[in, out, pixel]` and inner turns `[in, out, j2, l3, pixel]` of every scale.

    With `foscat` there is one inner turn for all j2, found in the turned modulus of the scale.
    """
    nside = int(np.sqrt(map.size / 12)) if nside is None else nside
    map, nside, cells = prepare(map, nside, kernel_size, cells)
    outer, inner, moduli = [], [], np.zeros((0, orientations, map.size))
    for _ in range(scales):
        wavelet = wavelet_matrix(nside, orientations, kernel_size, cells)
        c = wavelet @ map
        outer.append(turns(np.abs(c), 0))
        if foscat:
            seen = np.einsum("iop,ip->op", outer[-1], np.abs(c))[None]
        else:
            turned = np.einsum("iop,ip->op", outer[-1], c)
            seen = moduli = np.concatenate([moduli, np.abs(turned)[None]])
        again = np.abs(np.einsum("lpq,jmq->jmlp", wavelet, seen, optimize=True))
        inner.append(turns(again, 1))
        if nside > 1:
            step = downsampling_matrix(nside, cells)
            map, moduli = map @ step.T, moduli @ step.T
            nside, cells = nside // 2, parent_cells(cells)
    return outer, inner


def scattering_fields(
    maps, masks, orientations, scales, nside, kernel_size, cells, thresholds, both, alignment
):
    """Yield for every scale the masks and the fields whose means are S1 to S4.

    `maps` is `[map, pixel]` on the finest grid, with one map or two, and `masks` is
    `[mask, pixel]`. S2 is complex for two maps, and its real part is meant. S3 is
    `[j2, l2, l3, pixel]`, S4 `[(j1, j2), l2, l1, l3, pixel]`.
    """
    moduli = np.zeros((len(maps), 0, orientations, maps.shape[1]))
    for scale in range(scales):
        masks = np.where(masks > thresholds[scale], masks, 0)
        wavelet = wavelet_matrix(nside, orientations, kernel_size, cells)
        c = np.einsum("lpq,xq->xlp", wavelet, maps)
        if alignment is not None:
            c = np.einsum("iop,xip->xop", alignment[0][scale], c)
        newest = np.sqrt(np.abs(c) ** 2 + 1e-16)
        moduli = np.concatenate([moduli, newest[:, None]], axis=1)
        again = np.einsum("lpq,xjmq->xjmlp", wavelet, moduli, optimize=True)
        if alignment is not None:
            inner = np.broadcast_to(
                alignment[1][scale], (*[orientations] * 2, *again.shape[1:2], *again.shape[3:])
            )
            again = np.einsum("iojlp,xjilp->xjolp", inner, again)
        power = c[0] * c[-1].conj()
        s4 = [
            again[0, j1][None, :] * again[-1, j2].conj()[:, None]
            for j2 in range(scale + 1)
            for j1 in range((scale if both else j2) + 1)
        ]
        fields = {
            "s1": newest[0] if len(maps) == 1 else signed_root(power.real),
            "s2": power.real if len(maps) == 1 else power,
            "s3": c[0] * again[-1].conj(),
            "s4": np.array(s4),
        }
        yield masks, fields if len(maps) == 1 else fields | {"s3p": c[1] * again[0].conj()}
        if scale + 1 < scales:
            step = downsampling_matrix(nside, cells)
            maps, moduli, masks = maps @ step.T, moduli @ step.T, masks @ step.T
            nside, cells = nside // 2, parent_cells(cells)


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


def reduce_fields(
    map,
    masks,
    orientations,
    scales,
    reduction,
    *,
    second=None,
    nside=None,
    kernel_size=3,
    cells=None,
    threshold=0,
    both_triangles=False,
    alignment=None,
):
    """Reduce every field by one of the three functions above, scales on one axis as in the package.

    The first entry of S0 is the reduction of the map, the second the error of its mean. A
    threshold of the masks is one number for all scales but the finest, or one for each. Patches
    need `nside`, and `alignment` comes from `find_turns`.
    """
    nside = int(np.sqrt(map.size / 12)) if nside is None else nside
    thresholds = [0, *[threshold] * (scales - 1)] if np.ndim(threshold) == 0 else threshold
    maps = np.array([map] if second is None else [map, second])
    (maps, fine, fine_cells), (masks, *_) = (
        prepare(fields, nside, kernel_size, cells) for fields in (maps, masks)
    )
    groups = {"s1": [], "s2": [], "s3": [], "s4": []} | ({} if second is None else {"s3p": []})
    for scale_masks, fields in scattering_fields(
        maps,
        masks,
        orientations,
        scales,
        fine,
        kernel_size,
        fine_cells,
        thresholds,
        both_triangles,
        alignment,
    ):
        for name, parts in groups.items():
            field = fields[name]
            if name == "s2" and reduction is not foscat_error:  # which takes the complex product
                field = field.real
            reduced = reduction(field, scale_masks)
            parts.append(reduced[:, None] if name in ("s1", "s2") else reduced)
    finest = np.where(masks > thresholds[0], masks, 0)
    pixels = maps[0] if second is None else signed_root(maps[0] * maps[1])
    s0 = np.stack([reduction(pixels, finest), pixel_error(pixels, finest)], axis=-1)
    return {"s0": s0} | {name: np.concatenate(parts, axis=1) for name, parts in groups.items()}
