"""Coefficients of a map that is turned about the polar axis, as `docs/conventions.md` says."""

import jax
import numpy as np
import pytest

from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.scattering import measure

healpy = pytest.importorskip("healpy")

BOUND = 1e-10


def turned_east(map: np.ndarray, quarters: int = 1) -> np.ndarray:
    """The map whose value at every longitude is that of the given one so far to the west."""
    nside = healpy.npix2nside(map.size)
    theta, phi = healpy.pix2ang(nside, np.arange(map.size), nest=True)
    return map[healpy.ang2pix(nside, theta, phi - quarters * np.pi / 2, nest=True)]


def expected_after_quarter_turn(groups: dict) -> dict[str, np.ndarray]:
    """One coefficient after the other: orientations move up by L/2, and some are conjugated."""
    orientations = np.asarray(groups["S1"]).shape[-1]
    half = orientations // 2
    expected = {"S0": np.asarray(groups["S0"])}
    for name, group in groups.items():
        group = np.asarray(group)
        if name == "S0":
            continue
        axes = {"S1": 1, "S2": 1, "S3": 2, "S3P": 2, "S4": 3}[name]
        new = np.empty_like(group)
        for index in np.ndindex(*group.shape[-axes:]):
            source = tuple((position - half) % orientations for position in index)
            value = group[(..., *source)]
            new[(..., *index)] = value.conj() if axes > 1 and index[-1] < half else value
        expected[name] = new
    return expected


def assert_groups(found, expected: dict[str, np.ndarray], bound: float = BOUND) -> None:
    for name, group in found.groups().items():
        error = np.linalg.norm(group - expected[name]) / np.linalg.norm(expected[name])
        assert error <= bound, (name, error)


@pytest.fixture(scope="module")
def maps():
    """Two maps of nside 8 without any symmetry."""
    return np.random.default_rng(0).gamma(2.0, size=(2, 768))


@pytest.fixture(scope="module")
def pyramid(pyramids):
    def get(nside, orientations, kernel_size=3):
        return pyramids(nside, orientations=orientations, kernel_size=kernel_size)

    return get


def test_the_turn_goes_east():
    map = np.zeros(768)
    map[healpy.ang2pix(8, 1.0, 0.3, nest=True)] = 1
    assert turned_east(map)[healpy.ang2pix(8, 1.0, 0.3 + np.pi / 2, nest=True)] == 1


CASES = [(8, 2, 3), (8, 4, 3), (8, 8, 3), (4, 2, 5), (4, 4, 5)]


@pytest.mark.parametrize(("nside", "orientations", "kernel_size"), CASES)
def test_quarter_turn_moves_orientations_by_half_of_them(
    maps, pyramid, nside, orientations, kernel_size
):
    map = maps[0, : 12 * nside**2]
    operators = pyramid(nside, orientations, kernel_size)
    before, after = (measure(x, operators) for x in (map, turned_east(map)))
    assert_groups(after, expected_after_quarter_turn(before.groups()))
    # The other way round would be seen.
    for name, axis in (("S1", 1), ("S3", 1), ("S4", 1)):
        group = before.groups()[name]
        assert np.linalg.norm(after.groups()[name] - group) > 1e-3 * np.linalg.norm(group), axis


def test_turn_to_the_west_undoes_it(maps, pyramid):
    operators = pyramid(8, 4)
    before, west = (measure(x, operators) for x in (maps[0], turned_east(maps[0], -1)))
    expected = {name: np.asarray(group) for name, group in before.groups().items()}
    assert_groups_after_turn = expected_after_quarter_turn(west.groups())
    assert_groups(before, assert_groups_after_turn)
    # S3 is conjugated where l3 is in the lower half after an eastward turn, the upper half here.
    s3, other = np.roll(expected["S3"], (-2, -2), axis=(1, 2)), np.asarray(west.s3)
    np.testing.assert_allclose(other[..., 2:], s3[..., 2:].conj(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(other[..., :2], s3[..., :2], rtol=0, atol=1e-12)


def test_four_quarter_turns_are_none(maps, pyramid):
    groups = {
        name: np.asarray(group) for name, group in measure(maps[0], pyramid(8, 4)).groups().items()
    }
    turned = groups
    for _ in range(4):
        turned = expected_after_quarter_turn(turned)
    for name, group in groups.items():
        np.testing.assert_array_equal(turned[name], group)


@pytest.mark.parametrize("orientations", [3, 4])
def test_half_turn_conjugates(maps, pyramid, orientations):
    operators = pyramid(8, orientations)
    before, after = (measure(x, operators) for x in (maps[0], turned_east(maps[0], 2)))
    expected = {name: np.conj(group) for name, group in before.groups().items()}
    assert_groups(after, expected)
    assert np.linalg.norm(after.s3 - before.s3) > 1e-2 * np.linalg.norm(before.s3)


def test_two_maps_turn_alike(maps, pyramid):
    operators = pyramid(8, 4)
    before = measure(maps[0], operators, second=maps[1], both_triangles=True)
    after = measure(
        turned_east(maps[0]), operators, second=turned_east(maps[1]), both_triangles=True
    )
    assert_groups(after, expected_after_quarter_turn(before.groups()))


def test_masks_turn_with_the_map(maps, pyramid):
    masks = np.random.default_rng(1).random((2, 768))
    before = measure(maps[0], pyramid(8, 4), mask=masks)
    turned = np.stack([turned_east(mask) for mask in masks])
    after = measure(turned_east(maps[0]), pyramid(8, 4), mask=turned)
    assert_groups(after, expected_after_quarter_turn(before.groups()))


def test_normalized_coefficients_follow_the_same_rule(maps, pyramid):
    operators = pyramid(8, 4)
    before, after = (measure(x, operators) for x in (maps[0], turned_east(maps[0])))
    before, after = (normalize(x, x.s2) for x in (before, after))
    assert_groups(after, expected_after_quarter_turn(before.groups()))


@pytest.mark.parametrize("orientations", [2, 4, 8])
def test_real_parts_of_isotropic_means_do_not_change(maps, pyramid, orientations):
    operators = pyramid(8, orientations)
    before, after = (
        IsotropicMean().mean(measure(x, operators)) for x in (maps[0], turned_east(maps[0]))
    )
    real_parts = [jax.tree.map(np.real, x).groups() for x in (before, after)]
    for name, group in real_parts[0].items():
        np.testing.assert_allclose(real_parts[1][name], group, rtol=0, atol=1e-13, err_msg=name)
    # Imaginary parts do: an orientation and its opposite are conjugates.
    change = np.imag(after.s4 - before.s4)
    assert np.linalg.norm(change) > 1e-3 * np.linalg.norm(np.imag(before.s4))
