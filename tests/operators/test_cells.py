import healpy
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import cells


def some_cells(nside, share=0.4, seed=0):
    """Ascending pixels of a ragged patch."""
    return np.flatnonzero(np.random.default_rng(seed).random(12 * nside**2) < share)


def test_ascending_pixels_need_no_order():
    ascending, order = cells.check_cells([3, 4, 90], 4)
    assert order is None
    assert ascending.dtype == np.int64
    assert ascending.tolist() == [3, 4, 90]


def test_order_brings_a_map_into_ascending_pixels():
    ids = np.random.default_rng(1).permutation(192)[:50]
    ascending, order = cells.check_cells(ids, 4)
    assert np.array_equal(ascending, sorted(ids))
    map = np.random.default_rng(2).standard_normal(192)
    assert np.array_equal(map[ids][order], map[sorted(ids)])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, ">i4", np.uint64])
def test_whole_numbers_of_any_type_are_taken(dtype):
    for given in ([100, 7, 0], jnp.array([100, 7, 0]), np.array([100, 7, 0], dtype)):
        ascending, order = cells.check_cells(given, 4)
        assert ascending.dtype == np.int64
        assert ascending.tolist() == [0, 7, 100]
        assert order.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([5, 3, 5], "got pixel 5 twice, expected each once"),
        ([0, 1, 2, 2, 1], "got pixel 1 twice"),
        (np.array([7, 7], np.uint8), "got pixel 7 twice"),
        ([0, 192], "got 192, expected 0 to 191 at nside 4"),
        ([-1, 0], "got -1, expected 0 to 191"),
        (np.array([-128], np.int8), "got -128, expected 0 to 191"),
        # Cast to int64 first, this would be pixel 1 of the sky or a negative one.
        (np.array([2**64 - 1], np.uint64), f"got {2**64 - 1}, expected 0 to 191"),
        (np.array([2**63 + 1, 1], np.uint64), f"got {2**63 + 1}, expected"),
        ([], r"got float64 of shape \(0,\), expected one row of pixel indices"),
        (np.zeros(0, int), r"got int64 of shape \(0,\)"),
        ([[0, 1], [2, 3]], r"got int64 of shape \(2, 2\)"),
        (3, r"got int64 of shape \(\)"),
        ([0.0, 1.0], r"got float64 of shape \(2,\)"),
        ([True, False], r"got bool of shape \(2,\)"),
        ([2**70], "got object of shape"),
        (["0", "1"], "got <U1 of shape"),
        (None, "got object of shape"),
    ],
)
def test_what_is_no_row_of_different_pixels_is_refused(ids, message):
    with pytest.raises(ValueError, match=f"^cell_ids: {message}"):
        cells.check_cells(ids, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16])
def test_more_pixels_than_the_type_can_count_are_no_error(dtype):
    largest = np.iinfo(dtype).max
    ascending, _ = cells.check_cells(np.array([largest, 0], dtype), 1024)
    assert ascending.tolist() == [0, largest]


def test_last_pixel_of_the_finest_grid_is_a_pixel():
    nside = 1 << 20
    ascending, _ = cells.check_cells([12 * nside**2 - 1], nside)
    assert ascending[0] == 12 * nside**2 - 1
    with pytest.raises(ValueError, match="cell_ids: got 13194139533312, expected 0 to"):
        cells.check_cells([12 * nside**2], nside)


def test_digest_tells_patches_apart():
    ids = some_cells(4)
    other = ids.copy()
    other[-1] = next(pixel for pixel in range(191, 0, -1) if pixel not in ids)
    found = [
        cells.digest(4, ids),
        cells.digest(8, ids),
        cells.digest(4, other),
        cells.digest(4, ids[:-1]),
        cells.digest(4, ids[1:]),
        # Digits that run into one another are other pixels.
        cells.digest(4, np.array([1, 23])),
        cells.digest(4, np.array([12, 3])),
        cells.digest(41, np.array([23])),
    ]
    assert len(set(found)) == len(found)
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in found)


@pytest.mark.parametrize("dtype", [np.int32, ">i8", np.uint16])
def test_digest_is_that_of_the_numbers_however_they_are_stored(dtype):
    ids = some_cells(4)
    assert cells.digest(4, ids.astype(dtype)) == cells.digest(4, ids)
    spaced = np.repeat(ids, 2)[::2]
    assert cells.digest(4, spaced) == cells.digest(4, ids)


def test_default_scales_are_those_of_foscat():
    # floor(log4 N) - 1, but no more than the sphere has and at least one.
    table = {1: 1, 15: 1, 16: 1, 63: 1, 64: 2, 255: 2, 256: 3, 1023: 3, 1024: 4, 4**8 - 1: 6}
    table |= {4**8: 7, 4**15: 14}
    assert {count: cells.default_scales(count, 30) for count in table} == table
    for count in (2, 3, 5, 100, 768, 2000, 3072, 10**6, 4**12 + 1, np.int64(4**12 - 1)):
        expected = int(np.floor(np.log(count) / np.log(4) + 1e-12)) - 1
        for most in (1, 3, 11):
            assert cells.default_scales(count, most) == max(1, min(most, expected))


@pytest.mark.parametrize("nside", [2, 8])
def test_parents_and_children_are_those_of_healpix(nside):
    ids = some_cells(nside, 0.2)
    theta, phi = healpy.pix2ang(nside, ids, nest=True)
    above = healpy.ang2pix(nside // 2, theta, phi, nest=True)
    assert np.array_equal(cells.parents(ids), sorted(set(above)))
    below = cells.children(ids)
    assert np.array_equal(below, np.sort(below))
    theta, phi = healpy.pix2ang(2 * nside, below, nest=True)
    assert np.array_equal(healpy.ang2pix(nside, theta, phi, nest=True), np.repeat(ids, 4))
    assert np.array_equal(cells.parents(below), ids)


def test_block_slots_say_where_pixels_stand_among_all_children():
    ids = some_cells(8, 0.3)
    slots = cells.block_slots(ids)
    assert np.array_equal(cells.children(cells.parents(ids))[slots], ids)
    assert np.all(np.diff(slots) > 0)


def test_whole_blocks_need_no_slots():
    whole = cells.children(some_cells(4, 0.3))
    assert cells.block_slots(whole) is None
    assert cells.block_slots(whole[1:]).tolist() == [*range(1, whole.size)]


def test_pixels_are_found_where_they_stand():
    ids = np.array([3, 5, 6, 40])
    asked = np.array([[6, 3], [40, 5], [0, 4], [41, 191]])
    position, present = cells.find(ids, asked)
    assert present.tolist() == [[True, True], [True, True], [False, False], [False, False]]
    assert position.tolist() == [[2, 0], [3, 1], [0, 0], [0, 0]]


def test_every_pixel_of_the_sky_is_found_or_not():
    ids = some_cells(4)
    position, present = cells.find(ids, np.arange(192))
    assert np.array_equal(np.flatnonzero(present), ids)
    assert np.array_equal(ids[position[present]], ids)
    assert not position[~present].any()
