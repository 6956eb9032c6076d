from functools import cache

import healpy
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import stencil, symmetry
from jaxscat.operators.apply import convolve_map
from jaxscat.operators.pyramid import build_pyramid

GRIDS = [(nside, sectors) for nside in (1, 2, 8) for sectors in (1, 2, 4)]


@cache
def pyramid(orientations):
    return build_pyramid(8, orientations=orientations, dtype="float64")


def turned(nside, angle):
    """For every NESTED pixel, the one that lies further east by an angle."""
    theta, phi = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True)
    return healpy.ang2pix(nside, theta, phi + angle, nest=True)


@pytest.mark.parametrize(
    ("orientations", "sectors"), [(1, 2), (2, 4), (3, 2), (4, 4), (5, 2), (8, 4)]
)
def test_sectors_exist_where_a_turn_is_a_whole_number_of_orientations(orientations, sectors):
    assert symmetry.sector_count(orientations, exact=True) == sectors
    assert 2 * orientations % sectors == 0
    assert symmetry.sector_count(orientations, exact=False) == 1


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
@pytest.mark.parametrize("row_major", [False, True])
def test_unfold_undoes_fold(nside, sectors, row_major):
    maps = np.random.default_rng(0).standard_normal((2, 3, 12 * nside**2))
    folded = symmetry.fold(jnp.asarray(maps), sectors, row_major)
    assert folded.shape == (2, 3, sectors, 12 * nside**2 // sectors)
    assert np.array_equal(folded, symmetry.fold(maps, sectors, row_major))
    assert np.array_equal(symmetry.unfold(folded, row_major), maps)


def test_patch_of_any_size_is_one_sector():
    maps = np.random.default_rng(0).standard_normal((2, 7))
    folded = symmetry.fold(maps, 1)
    assert np.array_equal(folded, maps[:, None])
    assert np.array_equal(symmetry.unfold(folded), maps)


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
@pytest.mark.parametrize("row_major", [False, True])
def test_locate_finds_pixels_where_fold_puts_them(nside, sectors, row_major):
    pixels = np.arange(12 * nside**2)
    folded = symmetry.fold(pixels, sectors, row_major)
    rows, found = symmetry.locate(nside, pixels, sectors, row_major)
    assert np.array_equal(folded[found, rows], pixels)
    assert np.array_equal(symmetry.sector_pixels(nside, sectors, row_major), folded[0])


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
@pytest.mark.parametrize("row_major", [False, True])
def test_pixels_of_a_row_are_turns_of_each_other(nside, sectors, row_major):
    folded = symmetry.fold(np.arange(12 * nside**2), sectors, row_major)
    for sector in range(sectors):
        to = turned(nside, sector * 2 * np.pi / sectors)
        assert np.array_equal(folded[sector], to[folded[0]])


@pytest.mark.parametrize("nside", [1, 2, 8])
def test_rows_and_columns_of_faces_are_those_of_healpy(nside):
    x, y, face = healpy.pix2xyf(nside, np.arange(12 * nside**2), nest=True)
    ordered = symmetry.to_row_major(np.arange(12 * nside**2), nside)
    assert np.array_equal(ordered[(face * nside + y) * nside + x], np.arange(12 * nside**2))
    fields = np.random.default_rng(0).standard_normal((2, 3, 2 * nside**2))
    assert np.array_equal(
        symmetry.from_row_major(symmetry.to_row_major(fields, nside), nside), fields
    )


@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_sectors_hold_whole_faces_row_after_row(sectors):
    folded = symmetry.fold(np.arange(12 * 64), sectors, True)
    x, y, face = healpy.pix2xyf(8, folded.reshape(sectors, 3, -1, 8, 8), nest=True)
    assert np.array_equal(x, np.broadcast_to(np.arange(8), x.shape))
    assert np.array_equal(y, np.broadcast_to(np.arange(8)[:, None], y.shape))
    expected = np.arange(12).reshape(3, sectors, -1).swapaxes(0, 1)
    assert np.array_equal(face[..., 0, 0], expected)


@pytest.mark.parametrize("orientations", [2, 4, 8])
def test_quarter_turn_of_the_map_turns_the_orientations(orientations):
    map = np.random.default_rng(1).standard_normal(768)
    to = turned(8, np.pi / 2)
    moved = np.empty_like(map)
    moved[to] = map
    before = np.asarray(convolve_map(map, pyramid(orientations)))
    after = np.asarray(convolve_map(moved, pyramid(orientations)))[:, to]
    half = orientations // 2
    expected = np.concatenate([before[half:].conj(), before[:half]])
    assert np.abs(after - expected).max() < 1e-14


@pytest.mark.parametrize("orientations", [3, 4])
def test_half_turn_of_the_map_conjugates(orientations):
    map = np.random.default_rng(2).standard_normal(768)
    to = turned(8, np.pi)
    moved = np.empty_like(map)
    moved[to] = map
    before = np.asarray(convolve_map(map, pyramid(orientations)))
    after = np.asarray(convolve_map(moved, pyramid(orientations)))[:, to]
    assert np.abs(after - before.conj()).max() < 1e-14


def test_true_orientations_of_four():
    source, parity = symmetry.true_orientations(4, 4)
    assert source.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1], [0, 1, 2, 3], [2, 3, 0, 1]]
    # After one, two and three quarter turns.
    assert parity.tolist() == [[1, 1, 1, 1], [-1, -1, 1, 1], [-1] * 4, [1, 1, -1, -1]]


def test_true_orientations_of_three():
    source, parity = symmetry.true_orientations(3, 2)
    assert source.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert parity.tolist() == [[1, 1, 1], [-1, -1, -1]]


@pytest.mark.parametrize("orientations", [1, 2, 3, 4, 8])
def test_turned_coefficients_are_those_of_the_sphere(orientations):
    sectors = symmetry.sector_count(orientations, exact=True)
    fields = np.random.default_rng(3).standard_normal((orientations, 2, 3, sectors, 5))
    found = np.asarray(symmetry.turn_coefficients(jnp.asarray(fields)))
    for sector in range(sectors):
        for orientation in range(orientations):
            half_turns, true = divmod(
                orientation + 2 * orientations * sector // sectors, orientations
            )
            conjugate = [1, -1 if half_turns % 2 else 1]
            expected = fields[orientation, :, :, sector] * np.reshape(conjugate, (2, 1, 1))
            assert np.array_equal(found[true, :, :, sector], expected)


@pytest.mark.parametrize("orientations", [1, 2, 3, 4, 8])
def test_turned_orientations_are_those_of_the_sphere(orientations):
    sectors = symmetry.sector_count(orientations, exact=True)
    field = np.random.default_rng(3).standard_normal((2, orientations, sectors, 5))
    found = symmetry.turn_orientations(jnp.asarray(field))
    source, _ = symmetry.true_orientations(orientations, sectors)
    for sector in range(sectors):
        assert np.array_equal(found[:, :, sector], field[:, source[sector], sector])


@pytest.mark.parametrize(("nside", "layout"), [(4, "rows"), (8, "rows"), (16, "faces")])
def test_coefficients_are_turned_to_those_of_the_whole_map(nside, layout):
    level = build_pyramid(nside, layout=layout, scales=1, dtype="float64").levels[0]
    map = np.random.default_rng(4).standard_normal(12 * nside**2)
    own = stencil.convolve(symmetry.fold(map, 4, layout == "faces")[None], level.stencil)
    assert stencil.counts_by_sector(level.stencil) == (nside == 8)
    if stencil.counts_by_sector(level.stencil):
        modulus = jnp.hypot(own[:, 0, 0], own[:, 1, 0])
        own = symmetry.turn_coefficients(own)
        expected = np.hypot(*np.asarray(own[:, :, 0]).swapaxes(0, 1))
        np.testing.assert_allclose(symmetry.turn_orientations(modulus), expected, atol=1e-14)
    found = symmetry.unfold(np.asarray(own)[:, :, 0], layout == "faces")
    expected = np.asarray(convolve_map(map, build_pyramid(nside, scales=1, dtype="float64")))
    np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], expected, rtol=0, atol=1e-14)
