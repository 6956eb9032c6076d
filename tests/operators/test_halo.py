"""Neighbours in faces with a halo are those of HEALPix."""

from functools import cache

import healpy
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.halo import (
    beyond_corners,
    corner_pixels,
    corner_squares,
    pad_faces,
)
from jaxscat.operators.symmetry import fold

# In the order of healpy: south-west, west, north-west and on; x grows to the north-east.
STEPS = [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)]
GRIDS = [(nside, sectors) for nside in (4, 8, 16) for sectors in (1, 2, 4)]


@cache
def faces(nside, sectors):
    """NESTED pixels of the faces, `[sectors, face rows, faces, y, x]`."""
    return fold(np.arange(12 * nside**2), sectors, True).reshape(
        sectors, 3, 4 // sectors, nside, nside
    )


@cache
def neighbours(nside):
    return healpy.get_all_neighbours(nside, np.arange(12 * nside**2), nest=True)


@cache
def surrounded(nside, sectors, halo):
    """The faces with their halo, -1 in corners where only three faces meet."""
    pixels = faces(nside, sectors)
    near, beyond = corner_pixels(pixels[None], halo)[0], beyond_corners(pixels, halo)
    place = np.full(12 * nside**2, 0)
    place[near] = np.arange(near.size)
    corners = place[np.maximum(beyond, 0)].ravel()
    padded = pad_faces(pixels[None], halo, corners)[0]
    for number, square in enumerate(corner_squares(halo)):
        assert np.array_equal(
            padded[..., *square][beyond[..., number, :, :] >= 0],
            beyond[..., number, :, :][beyond[..., number, :, :] >= 0],
        )
        padded[..., *square] = beyond[..., number, :, :]
    return padded


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
def test_first_ring_of_the_halo_is_the_neighbours_of_healpix(nside, sectors):
    padded, inner = surrounded(nside, sectors, 2), faces(nside, sectors)
    for (y, x), expected in zip(STEPS, neighbours(nside), strict=True):
        found = padded[..., 2 + y : 2 + y + nside, 2 + x : 2 + x + nside]
        assert np.array_equal(found, expected[inner])


def test_corners_where_three_faces_meet_are_eight():
    missing = (surrounded(8, 4, 1) < 0).sum()
    # Every such corner is one of three faces.
    assert missing == 24 == (neighbours(8) < 0).sum()


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
@pytest.mark.parametrize("halo", [3, 4])
def test_neighbours_across_a_wide_halo_are_neighbours_in_healpix(nside, sectors, halo):
    padded = surrounded(nside, sectors, halo)
    beside = neighbours(nside)
    for along in (-1, -2):
        moved = np.moveaxis(padded, along, 0)
        one, other = moved[:-1].ravel(), moved[1:].ravel()
        there = (one >= 0) & (other >= 0)
        assert (beside[:, one[there]] == other[there]).any(0).all()


@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_no_pixel_stands_twice_around_a_face(sectors):
    for face in surrounded(8, sectors, 4).reshape(12, 16, 16):
        found = face[face >= 0]
        assert np.unique(found).size == found.size
        assert (face < 0).sum() == 32  # two of the four corners of every face


@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_chosen_pixels_stand_in_the_corners(sectors):
    pixels, halo = faces(4, sectors), 2
    near = corner_pixels(pixels[None], halo)
    assert near.shape == (1, 12 * 4 * 9)
    # Squares one wider than the halo, at the corners of every face.
    assert near[0, :9].tolist() == pixels[0, 0, 0, :3, :3].ravel().tolist()
    assert near[0, -9:].tolist() == pixels[-1, 2, -1, -3:, -3:].ravel().tolist()
    choice = np.random.default_rng(0).integers(0, near.size, 12 * 4 * halo**2)
    padded = pad_faces(pixels[None], halo, choice)[0]
    chosen = near[0, choice].reshape(sectors, 3, 4 // sectors, 4, halo, halo)
    for number, square in enumerate(corner_squares(halo)):
        assert np.array_equal(padded[..., *square], chosen[..., number, :, :])


@pytest.mark.parametrize("sectors", [1, 2, 4])
def test_fields_of_jax_are_padded_alike_to_the_last_bit(sectors):
    shape = 2, sectors, 3, 4 // sectors, 4, 4
    fields = np.random.default_rng(1).standard_normal(shape)
    corners = np.random.default_rng(2).integers(0, 12 * 4 * 9, 12 * 4 * 4)
    found = pad_faces(jnp.asarray(fields), 2, jnp.asarray(corners))
    assert np.array_equal(found, pad_faces(fields, 2, corners))
