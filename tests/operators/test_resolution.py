from functools import cache
from pathlib import Path

import healpy
import jax
import numpy as np
import pytest

from jaxscat.operators import face_table, resolution, table
from jaxscat.operators.apply import downsample_map, upsample_map
from jaxscat.operators.entries import Grid
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.symmetry import fold, unfold

OWN = Path(__file__).parents[1] / "golden"
ROUNDING = 36 * np.finfo(float).eps  # of a sum over the 36 entries of a row
SCALES = range(4)  # from nside 16, 8, 4 and 2 to half of it


@cache
def pyramid(geometry="exact", orientations=4):
    return build_pyramid(16, orientations=orientations, dtype="float64", geometry=geometry)


def matrices(operators, scale):
    """Downsampling `[coarse, fine]` and upsampling `[fine, coarse]` as dense matrices."""
    npix = 12 * operators.levels[scale].nside ** 2
    down = np.asarray(downsample_map(np.eye(npix), operators, scale)).T
    return down, np.asarray(upsample_map(np.eye(npix // 4), operators, scale)).T


@cache
def dense_downsampling(nside, rounded=False):
    """The mean over a pixel and its neighbours, entry by entry, as it is defined."""
    coarse = nside // 2
    matrix = np.zeros((12 * coarse**2, 12 * nside**2))
    for pixel in range(12 * coarse**2):
        parents = [pixel]
        for neighbour in healpy.get_all_neighbours(coarse, pixel, nest=True):
            parents.append(parents[-1] if neighbour < 0 else int(neighbour))
        children = (4 * np.array(parents)[:, None] + np.arange(4)).ravel()
        to = np.stack(healpy.pix2vec(nside, children, nest=True))
        centre = np.array(healpy.pix2vec(coarse, pixel, nest=True))[:, None]
        angle = 2 * np.arcsin(np.linalg.norm(to - centre, axis=0) / 2)
        weights = np.exp(-2 * (angle / healpy.nside2resol(coarse)) ** 2)
        weights /= weights.sum()
        if rounded:
            weights = weights.astype(np.float32)
        np.add.at(matrix[pixel], children, weights)
    return matrix


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: f"nside {16 >> scale}")
@pytest.mark.parametrize("orientations", [3, 4])
def test_resolution_changes_are_the_dense_matrix(scale, orientations):
    down, up = matrices(pyramid("exact", orientations), scale)
    expected = dense_downsampling(16 >> scale)
    assert np.abs(down - expected).max() <= 1e-14
    assert np.abs(up - expected.T / expected.T.sum(1, keepdims=True)).max() <= 1e-14


def test_neighbour_that_repeats_counts_twice():
    # Parents without an eighth neighbour: their children do not all have different weights.
    missing = (healpy.get_all_neighbours(4, np.arange(192), nest=True) < 0).any(0)
    down, _ = matrices(pyramid(), 1)
    entries = (down != 0).sum(1)
    assert missing.sum() == 24
    assert np.all(entries[missing] == 32) and np.all(entries[~missing] == 36)


def test_dense_matrix_is_that_of_foscat():
    numbers = np.load(OWN / "foscat_operators.npz")
    expected = np.zeros(numbers["downsampling_shape"])
    expected[tuple(numbers["downsampling_indices"].astype(int))] = numbers["downsampling_values"]
    assert np.abs(dense_downsampling(8) - expected).max() <= 1e-12


def test_dense_matrix_is_that_of_foscat_in_float64(foscat_numbers):
    numbers = np.load(foscat_numbers / "exact64_ops.npz")
    expected = np.zeros(numbers["down8_shape"])
    expected[numbers["down8_row"], numbers["down8_col"]] = numbers["down8_val"]
    assert np.abs(dense_downsampling(8) - expected).max() <= 1e-12
    assert np.abs(matrices(pyramid(), 1)[0] - expected).max() <= 1e-12


@pytest.mark.parametrize("nside", [4, 8])
def test_rounded_weights_are_those_of_foscat_as_it_is_shipped(foscat_numbers, nside):
    numbers = np.load(foscat_numbers / f"downop_nside{nside}.npz")
    down = np.zeros(numbers["shape"])
    down[numbers["row"], numbers["col"]] = numbers["val"]
    up = np.zeros(numbers["up_shape"])
    up[numbers["up_row"], numbers["up_col"]] = numbers["up_val"]
    found = matrices(pyramid("foscat"), int(np.log2(16 // nside)))
    assert np.abs(found[0] - down).max() <= 1e-16
    assert np.abs(found[1] - up).max() <= 1e-15


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: f"nside {16 >> scale}")
def test_rounded_weights_are_float32(scale):
    down, _ = matrices(pyramid("foscat"), scale)
    expected = dense_downsampling(16 >> scale, rounded=True)
    # A weight that sits on a rounding edge may fall to either side.
    assert np.abs(down - expected).max() <= 1e-8
    assert np.mean(down == expected) > 0.999
    assert np.abs(down - dense_downsampling(16 >> scale)).max() > 1e-9


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: f"nside {16 >> scale}")
def test_rows_sum_to_one_and_constants_stay(scale):
    operators = pyramid()
    for matrix in matrices(operators, scale):
        assert np.abs(matrix.sum(1) - 1).max() <= ROUNDING
        assert matrix.min() >= 0
    fine = 12 * (16 >> scale) ** 2
    down = downsample_map(np.full(fine, 7.0), operators, scale)
    assert np.abs(down - 7.0).max() <= 7 * ROUNDING
    up = upsample_map(np.full(fine // 4, 7.0), operators, scale)
    assert np.abs(up - 7.0).max() <= 7 * ROUNDING


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: f"nside {16 >> scale}")
def test_upsampling_is_the_transpose_with_rows_made_to_sum_to_one(scale):
    down, up = matrices(pyramid(), scale)
    np.testing.assert_allclose(up, down.T / down.T.sum(1, keepdims=True), rtol=0, atol=1e-15)


# A hemisphere, whose border is smooth; pixels here and there; two that stand alone.
PATCHES = {
    "hemisphere": np.flatnonzero(healpy.pix2vec(8, np.arange(768), nest=True)[1] > 0.05),
    "ragged": np.flatnonzero(np.random.default_rng(0).random(768) < 0.3),
    "two": np.array([9, 600]),
}


@cache
def patch_pyramid(patch, kernel_size=3):
    return build_pyramid(
        8,
        orientations=1,
        scales=3,
        kernel_size=kernel_size,
        cell_ids=PATCHES[patch],
        dtype="float64",
    )


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("patch", PATCHES)
def test_constants_stay_on_a_patch(patch, kernel_size):
    operators = patch_pyramid(patch, kernel_size)
    for scale in (0, 1):
        fine, coarse = (operators.pixels(scale + k).size for k in (0, 1))
        down = downsample_map(np.full(fine, 7.0), operators, scale)
        up = upsample_map(np.full(coarse, 7.0), operators, scale)
        assert down.shape == (coarse,) and up.shape == (fine,)
        assert np.abs(down - 7.0).max() <= 7 * ROUNDING
        assert np.abs(up - 7.0).max() <= 7 * ROUNDING


@pytest.mark.parametrize("patch", PATCHES)
def test_children_outside_a_patch_leave_their_weight_to_the_others(patch):
    operators = patch_pyramid(patch)
    ids, above = operators.pixels(0), operators.pixels(1)
    assert np.array_equal(above, np.unique(ids // 4))
    down = np.asarray(downsample_map(np.eye(ids.size), operators)).T
    up = np.asarray(upsample_map(np.eye(above.size), operators)).T
    expected = dense_downsampling(8)[above][:, ids]
    changed = expected.sum(1) < 1 - 1e-12
    assert changed.any()
    assert (~changed).any() == (patch == "hemisphere")
    expected /= expected.sum(1, keepdims=True)
    assert np.abs(down - expected).max() <= 1e-14
    assert np.abs(up - expected.T / expected.T.sum(1, keepdims=True)).max() <= 1e-14


@pytest.mark.parametrize(
    ("nside", "sectors", "row_major", "cells"),
    [
        (8, 4, False, None),
        (16, 4, False, None),
        (8, 1, False, PATCHES["ragged"]),
        (16, 2, True, None),
    ],
)
def test_table_made_piece_by_piece_is_the_same(monkeypatch, nside, sectors, row_major, cells):
    grid = Grid(nside, sectors, row_major, cells)
    whole = resolution.build_downsampling(grid, dtype=np.float64)
    for module in (face_table, table):
        monkeypatch.setattr(module, "ROWS_AT_A_TIME", 8)
    pieces = resolution.build_downsampling(grid, dtype=np.float64)
    assert jax.tree.structure(whole) == jax.tree.structure(pieces)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(pieces), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_folded_fields_are_downsampled_and_upsampled_channel_by_channel(sectors, row_major):
    down = resolution.build_downsampling(Grid(16, sectors, row_major), dtype=np.float64)
    fine = np.random.default_rng(1).standard_normal((3, 3072))
    coarse = np.random.default_rng(2).standard_normal((3, 768))
    found = resolution.downsample(fold(fine, sectors, row_major), down)
    assert found.shape == (3, sectors, 768 // sectors)
    matrix = dense_downsampling(16)
    found = unfold(np.asarray(found), row_major)
    assert np.abs(found - fine @ matrix.T).max() <= 1e-13
    found = resolution.upsample(fold(coarse, sectors, row_major), down)
    assert found.shape == (3, sectors, 3072 // sectors)
    found = unfold(np.asarray(found), row_major)
    assert np.abs(found - coarse @ (matrix / matrix.sum(0))).max() <= 1e-13
