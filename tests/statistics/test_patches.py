"""Pyramids of a part of the sky: against dense matrices, and against the full sky."""

import healpy
import numpy as np
import pytest

from jaxscat.operators.apply import convolve_map, downsample_map, upsample_map
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

BOUND = 1e-12  # relative rms over a group


def random_map(nside: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, size=12 * nside**2)


def disc(nside: int, centre: tuple[float, float, float], count: int) -> np.ndarray:
    """The pixels nearest to a direction, ascending."""
    vectors = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T
    return np.sort(np.argsort(-vectors @ np.array(centre), kind="stable")[:count])


PATCHES = {
    "disc": (8, disc(8, (0.2, -0.4, 0.6), 301)),  # across face edges and corners
    "scattered": (8, np.sort(np.random.default_rng(2).permutation(768)[:370])),
    "small": (4, disc(4, (1, 0.1, -0.9), 90)),
    "other": (4, disc(4, (-0.5, 0.3, 0.2), 90)),
}


@pytest.fixture(scope="module")
def patch():
    """Makes pyramids of the patches above in float64, each once."""
    built = {}

    def get(name, **options):
        key = (name, *options.items())
        if key not in built:
            nside, cells = PATCHES[name]
            built[key] = build_pyramid(nside, cell_ids=cells, dtype="float64", **options)
        return built[key]

    return get


def some_mask(name: str, masks: int | None) -> np.ndarray | None:
    if masks == 0:
        return None
    weights = np.random.default_rng(5).random((2, PATCHES[name][1].size))
    weights[:, ::4] = 0
    return weights[0] if masks is None else weights[:masks]


def expected_groups(reference, name, spec, mask, reduction, second=None, **options):
    nside, cells = PATCHES[name]
    groups = reference.reduce_fields(
        random_map(nside)[cells],
        np.ones((1, cells.size)) if mask is None else np.atleast_2d(mask),
        spec.orientations,
        spec.scales,
        reduction,
        second=None if second is None else second[cells],
        nside=nside,
        kernel_size=spec.kernel_size,
        cells=tuple(cells.tolist()),
        **options,
    )
    several = mask is not None and mask.ndim == 2
    return groups if several else {name: group[0] for name, group in groups.items()}


def assert_match(statistics, expected, bound: float = BOUND) -> None:
    errors = {}
    for name, group in statistics.groups().items():
        value, other = np.asarray(group), np.asarray(expected[name.lower()])
        assert value.shape == other.shape
        errors[name] = np.linalg.norm(value - other) / np.linalg.norm(other)
    assert max(errors.values()) <= bound, errors


@pytest.mark.parametrize(
    ("name", "options", "masks", "cross"),
    [
        ("disc", {"orientations": 3}, 0, False),
        ("scattered", {}, 2, True),
        ("small", {"kernel_size": 5, "orientations": 2}, None, False),
        ("other", {"kernel_size": 7, "orientations": 1}, 2, True),
    ],
)
def test_coefficients(reference, patch, name, options, masks, cross):
    operators, mask = patch(name, **options), some_mask(name, masks)
    nside, cells = PATCHES[name]
    second = random_map(nside, 1) - random_map(nside) if cross else None
    expected = expected_groups(
        reference, name, operators.spec, mask, reference.masked_mean, second, both_triangles=cross
    )
    found = measure(
        random_map(nside)[cells],
        operators,
        second=None if second is None else second[cells],
        mask=mask,
        hidden="include",
        both_triangles=cross,
    )
    assert_match(found, expected)


@pytest.mark.parametrize(
    ("name", "masks", "cross", "formula"),
    [("small", None, False, "pixels"), ("small", 2, True, "foscat")],
)
def test_standard_errors(reference, patch, name, masks, cross, formula):
    operators, mask = patch(name), some_mask(name, masks)
    nside, cells = PATCHES[name]
    second = random_map(nside, 1) - random_map(nside) if cross else None
    reduction = {"pixels": reference.pixel_error, "foscat": reference.foscat_error}[formula]
    expected = expected_groups(reference, name, operators.spec, mask, reduction, second)
    expected["s0"][..., 0] = expected["s0"][..., 1]
    found = standard_error(
        random_map(nside)[cells],
        operators,
        second=None if second is None else second[cells],
        mask=mask,
        hidden="include",
        formula=formula,
    )
    assert_match(found, expected)


@pytest.mark.parametrize("name", ["small", "scattered"])
def test_default_scales_keep_about_sixteen_pixels(patch, name):
    operators = patch(name)
    assert operators.spec.scales == {"small": 2, "scattered": 3}[name]
    cells = PATCHES[name][1]
    for scale in range(operators.spec.scales):
        np.testing.assert_array_equal(operators.pixels(scale), cells)
        cells = np.unique(cells // 4)


def test_patches_of_equal_size_have_operators_of_their_own(reference, patch):
    """What one patch has compiled or stored does not serve another."""
    maps = []
    for name in ("small", "other"):
        operators, (nside, cells) = patch(name), PATCHES[name]
        found = np.asarray(convolve_map(random_map(4)[:90], operators))
        matrix = reference.wavelet_matrix(nside, 4, cells=tuple(cells.tolist()))
        np.testing.assert_allclose(found, matrix @ random_map(4)[:90], rtol=0, atol=1e-13)
        maps.append(found)
    assert np.abs(maps[0] - maps[1]).max() > 0.1
    one, other = (patch(name).spec for name in ("small", "other"))
    assert one.cell_count == other.cell_count and one.cells != other.cells and one != other
    expected = expected_groups(reference, "other", other, None, reference.masked_mean)
    found = measure(random_map(4)[PATCHES["other"][1]], patch("other"))
    assert_match(found, expected)
    measure(random_map(4)[PATCHES["small"][1]], patch("small"))
    assert_match(measure(random_map(4)[PATCHES["other"][1]], patch("other")), expected)


# The order of pixels.


def test_order_of_the_pixels_does_not_change_coefficients(patch):
    options = {"kernel_size": 5, "orientations": 2}
    operators, (nside, cells) = patch("small", **options), PATCHES["small"]
    mask, second = some_mask("small", 2), random_map(nside, 1)[cells]
    order = np.random.default_rng(3).permutation(cells.size)
    shuffled = build_pyramid(nside, cell_ids=cells[order], dtype="float64", **options)
    assert shuffled.spec == operators.spec
    first = random_map(nside)[cells]
    expected = measure(first, operators, second=second, mask=mask, hidden="include")
    found = measure(
        first[order], shuffled, second=second[order], mask=mask[:, order], hidden="include"
    )
    assert_match(found, {name.lower(): group for name, group in expected.groups().items()}, 1e-14)
    # A map in another order is another map.
    wrong = measure(first, shuffled, second=second, mask=mask, hidden="include")
    assert np.linalg.norm(wrong.s2 - expected.s2) > 1e-2 * np.linalg.norm(expected.s2)


def test_operators_take_and_give_maps_in_the_named_order(patch):
    nside, cells = PATCHES["small"]
    order = np.random.default_rng(4).permutation(cells.size)
    sorted_, shuffled = patch("small"), build_pyramid(4, cell_ids=cells[order], dtype="float64")
    map = random_map(nside)[cells]
    np.testing.assert_array_equal(shuffled.pixels(), cells[order])
    np.testing.assert_array_equal(
        convolve_map(map[order], shuffled), np.asarray(convolve_map(map, sorted_))[:, order]
    )
    coarse = downsample_map(map, sorted_)
    np.testing.assert_array_equal(downsample_map(map[order], shuffled), coarse)
    np.testing.assert_array_equal(shuffled.pixels(1), sorted_.pixels(1))
    np.testing.assert_array_equal(
        upsample_map(coarse, shuffled), np.asarray(upsample_map(coarse, sorted_))[order]
    )


def test_all_pixels_in_any_order_are_the_full_sky():
    nside, options = 2, {"orientations": 3, "dtype": "float64", "kernel_size": 5}
    order = np.random.default_rng(6).permutation(12 * nside**2)
    whole, shuffled = (build_pyramid(nside, cell_ids=ids, **options) for ids in (None, order))
    assert shuffled.spec == whole.spec and shuffled.spec.cells is None
    assert shuffled.spec.scales == 3
    map, mask = random_map(nside), np.random.default_rng(7).random(12 * nside**2)
    expected = measure(map, whole, mask=mask, hidden="include")
    found = measure(map[order], shuffled, mask=mask[order], hidden="include")
    assert_match(found, {name.lower(): group for name, group in expected.groups().items()}, 1e-14)


# Agreement with the full sky. Distances are between centres of pixels, in sides of a pixel.


def distance_to(nside: int, pixels: np.ndarray, others: np.ndarray, of: int | None = None):
    """Angles from pixels to the nearest of the others (of another nside), in radians."""
    here = np.array(healpy.pix2vec(nside, pixels, nest=True)).T
    there = np.array(healpy.pix2vec(of or nside, others, nest=True)).T
    chord = 2 - 2 * (here @ there.T).max(axis=1)
    return 2 * np.arcsin(np.sqrt(np.maximum(chord, 0)) / 2)


def side(nside: int) -> float:
    return np.sqrt(np.pi / 3) / nside


def outside(nside: int, cells: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(12 * nside**2), cells)


BORDERS = [(0.2, -0.4, 0.6), (0.01, 0.02, 1.0), (1.0, 0.7, -0.1)]
CONVOLUTION_REACH = {3: 3.0, 5: 4.5, 7: 6.0}  # 3 (K + 1) / 4
DOWNSAMPLING_REACH = 5.5  # in sides of a fine pixel


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_operators_are_those_of_the_full_sky_away_from_the_border(kernel_size):
    """Rows that read nothing outside are the same; those that do are not."""
    upsampled = kernel_size > 3
    nside = 8 if upsampled else 16
    options = {"kernel_size": kernel_size, "scales": 2, "dtype": "float64", "orientations": 4}
    whole = build_pyramid(nside, **options)
    fine = whole.spec.finest_nside
    map = np.random.default_rng(8).standard_normal(12 * fine**2)
    found_far = False
    for centre in BORDERS:
        cells = disc(nside, centre, 6 * nside**2)
        operators = build_pyramid(nside, cell_ids=cells, **options)
        pixels = operators.pixels(0)
        distance = distance_to(fine, pixels, outside(fine, pixels)) / side(fine)
        change = np.abs(
            np.asarray(convolve_map(map[pixels], operators))
            - np.asarray(convolve_map(map, whole))[:, pixels]
        ).max(axis=0)
        reach = CONVOLUTION_REACH[kernel_size]
        assert (distance > reach).sum() > 100
        assert change[distance > reach].max() <= 1e-13
        assert change[distance < kernel_size // 2 + 0.5].min() > 1e-6
        found_far |= bool((change[distance > reach - 0.6] > 1e-6).any())

        coarse = operators.pixels(1)
        distance = distance_to(fine // 2, coarse, outside(fine, pixels), fine) / side(fine)
        change = np.abs(
            np.asarray(downsample_map(map[pixels], operators))
            - np.asarray(downsample_map(map, whole))[coarse]
        )
        assert change[distance > DOWNSAMPLING_REACH].max() <= 1e-13
        assert change[distance < 2.5].min() > 1e-9
    assert found_far, "the reach could be shorter"


REACH_OF_MASKS = {1: 5.0, 2: 9.0, 3: 11.0}  # in sides of a pixel of the coarsest scale


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_coefficients_under_a_mask_far_from_the_border_are_those_of_the_full_sky(scales):
    nside = {1: 8, 2: 16, 3: 32}[scales]
    options = {"scales": scales, "dtype": "float64", "orientations": 1}
    map = random_map(nside)
    whole = build_pyramid(nside, **options)
    inner = disc(nside, (0.3, -0.5, 0.66), nside**2 // 4)
    mask = np.zeros(12 * nside**2)
    mask[inner] = np.random.default_rng(9).random(inner.size)
    expected = measure(map, whole, mask=mask, hidden="include")
    distance = distance_to(nside, np.arange(mask.size), inner) / side(nside >> (scales - 1))
    size = np.linalg.norm(expected.ravel())
    for reach, near in ((REACH_OF_MASKS[scales], False), (0.5 * REACH_OF_MASKS[scales], True)):
        cells = np.flatnonzero(distance <= reach)
        assert cells.size < 0.8 * mask.size
        operators = build_pyramid(nside, cell_ids=cells, **options)
        found = measure(map[cells], operators, mask=mask[cells], hidden="include")
        error = np.linalg.norm(found.ravel() - expected.ravel())
        assert error > 1e-9 * size if near else error <= 1e-13 * size
        if scales > 1:
            break


# What is refused.


@pytest.mark.parametrize(
    "cells",
    [
        np.array([3, 48]),
        np.array([-1, 3]),
        np.array([3, 5, 3]),
        np.array([3.0, 5.0]),
        np.array([[3, 5]]),
        np.array([], int),
        np.ones(48, bool),
        np.array([3, 2**63 + 5], np.uint64),
    ],
)
def test_bad_pixels_are_refused_by_name(cells):
    with pytest.raises(ValueError, match=r"^cell_ids: got "):
        build_pyramid(2, cell_ids=cells)


def test_maps_and_masks_of_other_pixels_are_refused(patch):
    operators = patch("small")
    for bad in (np.ones(192), np.ones(89), np.ones((2, 90))):
        with pytest.raises(ValueError, match=r"^map: got "):
            measure(bad, operators)
        with pytest.raises(ValueError, match=r"^second: got "):
            measure(np.arange(90.0), operators, second=bad)
    for bad in (np.ones(192), np.ones((2, 89)), np.zeros(90), -np.ones(90)):
        with pytest.raises(ValueError, match=r"^mask: got "):
            measure(np.arange(90.0), operators, mask=bad)


@pytest.mark.parametrize("scales", [0, 4, 1.5])
def test_scales_that_a_patch_cannot_have_are_refused(scales):
    with pytest.raises(ValueError, match=r"^scales: got "):
        build_pyramid(4, cell_ids=np.arange(20), scales=scales)
    assert build_pyramid(4, cell_ids=np.arange(20), scales=3).spec.scales == 3
