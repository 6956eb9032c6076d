"""Masks: thresholds, several at once, weight that is lost, and how far a mask sees."""

from functools import partial

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics import errors, power, scattering

# Masks that weight means only, as FOSCAT's do: what they hide is read by the stencils.
measure, standard_error, wavelet_power = (
    partial(function, hidden="include")
    for function in (scattering.measure, errors.standard_error, power.wavelet_power)
)

BOUND = 1e-12  # relative rms over a group


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids


def skewed_map(nside: int) -> np.ndarray:
    return np.random.default_rng(nside).gamma(2.0, size=12 * nside**2)


def two_masks(nside: int) -> np.ndarray:
    """Fractions, and a cap with a soft edge."""
    z = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True))[2]
    fractions = np.random.default_rng(3).random(12 * nside**2)
    return np.stack([fractions * (fractions > 0.3), np.clip(2 * z, 0, 1)])


def oracle(reference, map, masks, spec, reduction, **options) -> dict[str, np.ndarray]:
    return reference.reduce_fields(
        map,
        masks,
        spec.orientations,
        spec.scales,
        reduction,
        kernel_size=spec.kernel_size,
        **options,
    )


def assert_match(statistics, expected, bound: float = BOUND) -> None:
    away = {}
    for name, group in statistics.groups().items():
        value, other = np.asarray(group), np.asarray(expected[name.lower()])
        assert value.shape == other.shape
        away[name] = np.linalg.norm(value - other) / np.linalg.norm(other)
    assert max(away.values()) <= bound, away


# Thresholds.

THRESHOLDS = {
    "one number": 0.35,
    "finest too": [0.5, 0.3, 0.35, 0.2],
    "coarsest only": [0, 0, 0, 0.3],
}


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_threshold(reference, pyramid, kind):
    operators, map, masks = pyramid(8, orientations=3), skewed_map(8), two_masks(8)
    threshold = THRESHOLDS[kind]
    expected = oracle(
        reference, map, masks, operators.spec, reference.masked_mean, threshold=threshold
    )
    found = measure(map, operators, mask=masks, mask_threshold=threshold)
    assert_match(found, expected)
    alone = wavelet_power(map, operators, mask=masks, mask_threshold=threshold)
    np.testing.assert_allclose(alone, expected["s2"], rtol=1e-12)
    without = measure(map, operators, mask=masks)
    changed = [np.abs(found.s2[:, j] / without.s2[:, j] - 1).max() > 1e-4 for j in range(4)]
    assert (
        changed
        == {
            "one number": [False, True, True, True],
            "finest too": [True, True, True, True],
            "coarsest only": [False, False, False, True],
        }[kind]
    )


def test_threshold_of_raised_masks_and_of_errors(reference, pyramid):
    """The finest scale is that of the raised mask, which a single number leaves alone."""
    operators, map, masks = pyramid(2, kernel_size=5, orientations=2), skewed_map(2), two_masks(2)
    for function, reduction in (
        (measure, reference.masked_mean),
        (standard_error, reference.pixel_error),
    ):
        expected = oracle(reference, map, masks, operators.spec, reduction, threshold=0.4)
        if function is standard_error:
            expected["s0"][..., 0] = expected["s0"][..., 1]
        assert_match(function(map, operators, mask=masks, mask_threshold=0.4), expected)


def test_threshold_keeps_what_is_above_it_only(pyramid):
    """A weight that is equal to the threshold is not above it."""
    operators = pyramid(1, orientations=1)
    map, mask = np.random.default_rng(0).random(12), np.where(np.arange(12) < 6, 0.5, 0.75)
    found = measure(map, operators, mask=mask, mask_threshold=[0.5])
    assert found.s0[0] == pytest.approx(map[6:].mean(), rel=1e-14)
    zero = measure(map, operators, mask=mask, mask_threshold=0.0)
    assert zero.s0[0] == pytest.approx(np.average(map, weights=mask), rel=1e-14)


def test_threshold_of_zero_changes_nothing(pyramid):
    operators, map, masks = pyramid(8, orientations=3), skewed_map(8), two_masks(8)
    expected = measure(map, operators, mask=masks)
    found = measure(map, operators, mask=masks, mask_threshold=0.0)
    np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-13)


def test_threshold_under_jit_is_the_same(pyramid):
    operators, map, mask = pyramid(1, orientations=1), skewed_map(1), np.arange(1.0, 13.0)
    compiled = jax.jit(
        lambda mask, threshold: measure(map, operators, mask=mask, mask_threshold=threshold)
    )
    for threshold in (4.0, 7.5):
        expected = measure(map, operators, mask=mask, mask_threshold=[threshold])
        np.testing.assert_array_equal(
            compiled(mask, jnp.array([threshold])).ravel(), expected.ravel()
        )
    # A single number leaves the finest scale, here the only one, alone.
    np.testing.assert_array_equal(
        compiled(mask, 4.0).ravel(), measure(map, operators, mask=mask).ravel()
    )
    assert np.isnan(compiled(mask, jnp.array([12.0])).s1).all()


@pytest.mark.parametrize(
    ("masks", "scale", "which"),
    [("first", 2, "the mask"), ("both", 2, "mask 0"), ("both small", 2, "mask 0, 1")],
)
def test_mask_that_loses_its_weight_at_a_coarse_scale_is_refused(pyramid, masks, scale, which):
    operators, map = pyramid(8, orientations=3), skewed_map(8)
    small = (np.arange(768) < 16).astype(float)  # one pixel of nside 2
    mask = {
        "first": small,
        "both": np.stack([small, np.ones(768)]),
        "both small": np.stack([small, small[::-1]]),
    }[masks]
    message = (
        rf"^mask_threshold: got 0\.7, which leaves {which} without weight at scale 2 \(nside 2\)"
    )
    with pytest.raises(ValueError, match=message):
        measure(map, operators, mask=mask, mask_threshold=0.7)
    with pytest.raises(ValueError, match=message):
        standard_error(map, operators, mask=mask, mask_threshold=[0, 0, 0.7, 0.1])
    with pytest.raises(ValueError, match=message):
        wavelet_power(map, operators, mask=mask, mask_threshold=[0, 0, 0.7, 0.1])
    assert scale == 2


def test_weight_lost_at_the_finest_scale_is_refused(pyramid):
    operators = pyramid(8, orientations=3)
    with pytest.raises(ValueError, match=r"^mask_threshold: got 2, .* at scale 0 \(nside 8\)"):
        measure(skewed_map(8), operators, mask=np.ones(768), mask_threshold=[2.0, 0, 0, 0])


def test_threshold_without_a_mask_is_refused(pyramid):
    for function in (measure, standard_error, wavelet_power):
        with pytest.raises(ValueError, match=r"^mask_threshold: got a threshold without a mask"):
            function(np.ones(768), pyramid(8, orientations=3), mask_threshold=0.1)


@pytest.mark.parametrize(
    "bad",
    [-0.1, np.nan, np.inf, [0.1, 0.2], [0.1] * 5, [0, 0, -1, 0], "0.1", True, 1j, [[0.1] * 4]],
    ids=str,
)
def test_bad_thresholds_are_refused_by_name(pyramid, bad):
    with pytest.raises(ValueError, match=r"^mask_threshold: got "):
        measure(np.ones(768), pyramid(8, orientations=3), mask=np.ones(768), mask_threshold=bad)


# Several masks.


def test_masks_at_once_are_masks_one_by_one(pyramid):
    operators, map = pyramid(8, orientations=3), skewed_map(8)
    masks = two_masks(8)
    for function in (measure, standard_error):
        together = function(map, operators, mask=masks, mask_threshold=0.2)
        assert together.masks == 2
        for position, mask in enumerate(masks):
            alone = function(map, operators, mask=mask, mask_threshold=0.2)
            for name, group in alone.groups().items():
                error = np.linalg.norm(together.groups()[name][position] - group)
                assert error <= 1e-13 * np.linalg.norm(group), (name, position)


def test_a_mask_of_ones_is_no_mask(pyramid):
    operators, map = pyramid(8, orientations=3), skewed_map(8)
    expected = measure(map, operators)
    found = measure(map, operators, mask=np.ones(768))
    for name, group in expected.groups().items():
        error = np.linalg.norm(found.groups()[name] - group)
        assert error <= 1e-12 * np.linalg.norm(group), name


# Which pixels of a map have a say under a mask.


def distance_to(nside: int, mask: np.ndarray) -> np.ndarray:
    """Angles from all pixels to the nearest pixel of a mask, in radians."""
    vectors = np.array(healpy.pix2vec(nside, np.arange(mask.size), nest=True)).T
    nearest = (vectors @ vectors[mask > 0].T).max(axis=1)
    return np.arccos(np.clip(nearest, -1, 1))


def disc(nside: int, centre: tuple[float, float, float]) -> np.ndarray:
    """A mask of zeros and ones around a direction."""
    vectors = np.array(healpy.pix2vec(nside, np.arange(12 * nside**2), nest=True)).T
    return (vectors @ np.array(centre) / np.linalg.norm(centre) > np.cos(0.3)).astype(float)


# Distances in sides of a pixel of the coarsest scale, by kernel size and number of scales.
REACH = {(3, 1): 5.0, (3, 2): 9.0, (3, 3): 11.0, (5, 1): 16.0, (5, 2): 16.0, (7, 1): 19.0}
CENTRES = [(0.0, 0.0, 1.0), (0.2, -0.4, 0.6), (1.0, 0.3, -0.1)]


@pytest.mark.parametrize(("kernel_size", "scales"), REACH)
def test_pixels_far_from_the_mask_have_no_say(pyramid, kernel_size, scales):
    nside = 32 if scales == 3 else 16
    operators = pyramid(nside, kernel_size=kernel_size, scales=scales, orientations=1)
    side = np.sqrt(np.pi / 3) / operators.levels[-1].nside
    map = skewed_map(nside)
    generator = np.random.default_rng(1)

    @jax.jit
    def value_and_gradient(map, mask, weights):
        def projection(map):
            raveled = measure(map, operators, mask=mask).ravel()
            return jnp.sum(jnp.real(weights * raveled)), raveled

        return jax.grad(projection, has_aux=True)(map)

    size = jax.eval_shape(lambda map: measure(map, operators).ravel(), map).size
    weights = generator.standard_normal(size) + 1j * generator.standard_normal(size)
    farthest = []
    for centre in CENTRES:
        mask = disc(nside, centre)
        gradient, expected = value_and_gradient(map, mask, weights)
        distance = distance_to(nside, mask) / side
        far = distance > REACH[kernel_size, scales]
        assert far.sum() > 100
        np.testing.assert_array_equal(np.asarray(gradient)[far], 0)
        farthest.append(distance[np.asarray(gradient) != 0].max())
        # Other values there, of the same spread, change nothing.
        other = np.where(far, generator.permutation(map), map)
        _, found = value_and_gradient(other, mask, weights)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    assert max(farthest) > REACH[kernel_size, scales] - 2.5, "the reach could be shorter"


@pytest.mark.parametrize("change", [1e3, -1e6])
def test_large_values_far_from_the_mask_change_the_unit_only(pyramid, change):
    """They enter the mean and the unit of the map, whose effect is that of the floor of moduli."""
    operators, map = pyramid(16, kernel_size=3, scales=1, orientations=2), skewed_map(16)
    mask = disc(16, CENTRES[1])
    far = distance_to(16, mask) > REACH[3, 1] * np.sqrt(np.pi / 3) / 16
    expected = measure(map, operators, mask=mask).ravel()
    found = measure(np.where(far, map + change, map), operators, mask=mask).ravel()
    floor = 1e-16 * change**2
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=(1e-12 + 10 * floor) * np.abs(expected).max()
    )
