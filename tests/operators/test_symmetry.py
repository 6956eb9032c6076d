from functools import cache

import healpy
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import symmetry
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
def test_unfold_undoes_fold(nside, sectors):
    maps = np.random.default_rng(0).standard_normal((2, 3, 12 * nside**2))
    folded = symmetry.fold(jnp.asarray(maps), sectors)
    assert folded.shape == (2, 3, 12 * nside**2 // sectors, sectors)
    assert np.array_equal(symmetry.unfold(folded), maps)


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
def test_locate_finds_pixels_where_fold_puts_them(nside, sectors):
    pixels = np.arange(12 * nside**2)
    folded = symmetry.fold(pixels, sectors)
    assert np.array_equal(folded[symmetry.locate(nside, pixels, sectors)], pixels)
    assert np.array_equal(symmetry.sector_pixels(nside, sectors), folded[:, 0])


@pytest.mark.parametrize(("nside", "sectors"), GRIDS)
def test_pixels_of_a_row_are_turns_of_each_other(nside, sectors):
    folded = symmetry.fold(np.arange(12 * nside**2), sectors)
    for sector in range(sectors):
        to = turned(nside, sector * 2 * np.pi / sectors)
        assert np.array_equal(folded[:, sector], to[folded[:, 0]])


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


@pytest.mark.parametrize(("channels", "sectors"), [(1, 4), (2, 4), (4, 4), (8, 4), (3, 2), (4, 1)])
def test_row_seen_from_another_sector_has_the_true_orientations(channels, sectors):
    orientations = channels if channels > 1 else sectors  # any number of whole turns will do
    step = 2 * orientations // sectors if channels > 1 else 0
    # True orientation and sector of every column: what no observer disagrees about.
    truth = {
        channel * sectors + sector: ((channel + sector * step) % channels, sector)
        for channel in range(channels)
        for sector in range(sectors)
    }
    seen = symmetry.seen_columns(channels, sectors)
    assert seen.shape == (sectors, channels * sectors)
    for shift in range(sectors):
        for column, found in enumerate(seen[shift]):
            channel, sector = divmod(column, sectors)
            # The observer in `sector` calls the true orientation by its own number.
            true_channel = (channel + sector * step) % channels
            assert truth[found] == (true_channel, (sector + shift) % sectors)
