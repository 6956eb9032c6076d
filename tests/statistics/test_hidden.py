"""Hidden pixels have no say: not in coefficients, errors, targets or losses, to the last bit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscat
from jaxscat.statistics.hidden import cover

NSIDE, NPIX = 8, 768
GENERATOR = np.random.default_rng(7)
MAP, SECOND = GENERATOR.gamma(2.0, size=(2, NPIX))
MASK = GENERATOR.random(NPIX) * (np.arange(NPIX) < 500)
SEVERAL = np.stack([MASK, np.roll(MASK > 0.4, 40)])


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(NSIDE, orientations=3)


def without(map, mask, value):
    """Put other values into hidden pixels."""
    hidden = np.atleast_2d(mask).max(axis=0) == 0
    assert 0 < hidden.sum() < NPIX
    return np.where(hidden, value, map)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.6375e30, 1e6, MAP[::-1]], ids=str)
@pytest.mark.parametrize("mask", [MASK, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("hidden", ["exclude", "interior"])
def test_what_hidden_pixels_hold_changes_no_bit(pyramid, value, mask, hidden):
    how = {"mask": mask, "hidden": hidden}
    pyramid = pyramid.finest(1)  # what is left of the others is too little for "interior"
    for function in (jaxscat.measure, jaxscat.standard_error):
        of_two = partial(function, second=without(SECOND, mask, value))
        expected = partial(function, second=SECOND)(MAP, pyramid, **how)
        found = of_two(without(MAP, mask, value), pyramid, **how)
        assert np.isfinite(expected.ravel()).all()
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
    power = partial(jaxscat.wavelet_power, pyramid=pyramid, **how)
    np.testing.assert_array_equal(power(without(MAP, mask, value)), power(MAP))


def test_coefficients_are_those_of_the_map_without_its_mean_times_zeros_and_ones(pyramid):
    seen = MASK > 0
    mean = np.average(MAP, weights=MASK)
    explicit = np.where(seen, MAP - mean, 0.0)
    for function in (jaxscat.measure, jaxscat.standard_error):
        found = function(MAP, pyramid, mask=MASK)
        expected = function(explicit, pyramid, mask=MASK, hidden="include")
        for name, group in expected.groups().items():
            if name != "S0":
                error = np.linalg.norm(found.groups()[name] - group)
                # Coefficients of the mean in the hole are zero or rounding, of which the floor of
                # the modulus makes 1e-8.
                assert error <= 1e-7 * np.linalg.norm(group), name
    known = jaxscat.measure(MAP, pyramid, mask=MASK, hidden="include")
    np.testing.assert_allclose(found_s0 := jaxscat.measure(MAP, pyramid, mask=MASK).s0, known.s0)
    assert found_s0[0] == pytest.approx(mean)


def test_a_mask_that_hides_nothing_changes_nothing(pyramid):
    weights = MASK + 0.1
    excluded, included = (
        jaxscat.measure(MAP, pyramid, mask=weights, hidden=hidden)
        for hidden in ("exclude", "include")
    )
    np.testing.assert_array_equal(excluded.ravel(), included.ravel())
    np.testing.assert_array_equal(
        jaxscat.measure(MAP, pyramid, hidden="exclude").ravel(),
        jaxscat.measure(MAP, pyramid).ravel(),
    )


def test_a_patch_of_the_pixels_with_data_is_another_way(pyramids):
    """Both keep hidden pixels out; far from the edge they agree."""
    patch = jaxscat.build_pyramid(16, scales=1, dtype="float64", cell_ids=np.arange(2000))
    whole = pyramids(16, scales=1)
    map = np.random.default_rng(0).gamma(2.0, size=3072)
    mask = (np.arange(3072) < 2000).astype(float)
    left = jaxscat.measure(map, whole, mask=mask, hidden="interior")
    one_sided = jaxscat.measure(map[:2000], patch)
    np.testing.assert_allclose(left.s2, one_sided.s2, rtol=0.1)
    assert not np.allclose(left.s2, one_sided.s2, rtol=1e-6)


def test_gradients_by_hidden_pixels_are_zero_and_the_others_right(pyramid):
    target = jaxscat.make_target(without(MAP, MASK, np.nan), pyramid, mask=MASK)
    other = without(SECOND, MASK, 3.0)
    gradient = np.asarray(jax.grad(jaxscat.map_loss)(jnp.asarray(other), pyramid, target))
    hidden = MASK == 0
    np.testing.assert_array_equal(gradient[hidden], 0.0)
    assert np.abs(gradient[~hidden]).min() > 0
    loss = jax.jit(jaxscat.map_loss)
    for pixel in (3, 250, 499):
        step = np.zeros(NPIX)
        step[pixel] = 1e-6
        slope = (loss(other + step, pyramid, target) - loss(other - step, pyramid, target)) / 2e-6
        assert gradient[pixel] == pytest.approx(float(slope), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("hidden", ["exclude", "interior"])
def test_loss_of_the_original_is_zero_whatever_it_hides(pyramid, hidden):
    pyramid = pyramid.finest(1)
    target = jaxscat.make_target(
        without(MAP, MASK, np.nan), pyramid, mask=MASK, hidden=hidden, second=SECOND
    )
    assert float(jaxscat.map_loss(without(MAP, MASK, 1e4), pyramid, target)) == 0.0


def test_masks_inside_jit_hide_as_outside(pyramid):
    @jax.jit
    def inside(map, mask):
        return jaxscat.measure(map, pyramid, mask=mask)

    for mask in (MASK, np.roll(MASK, 100)):
        found = inside(without(MAP, mask, np.nan), mask)
        expected = jaxscat.measure(MAP, pyramid, mask=mask)
        np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-12, atol=1e-15)
    assert inside._cache_size() == 1


def test_orientations_are_aligned_to_what_is_seen(pyramid):
    expected, found = (
        jaxscat.align_orientations(map, pyramid, mask=MASK)
        for map in (MAP, without(MAP, MASK, np.nan))
    )
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"^map: got 268 of 768 pixels NaN"):
        jaxscat.align_orientations(without(MAP, MASK, np.nan), pyramid)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_mean_of_large_numbers_in_float32(scale):
    """It is that of the pixels that are seen, without overflow, with all digits of an offset."""
    map = np.float32(scale) * (1000 + np.random.default_rng(0).standard_normal(NPIX))
    map = map.astype(np.float32)
    covered = np.asarray(cover(jnp.asarray(map), jnp.asarray(MASK, jnp.float32)))
    mean = np.average(map.astype(np.float64), weights=MASK)
    np.testing.assert_array_equal(covered[MASK > 0], map[MASK > 0])
    np.testing.assert_allclose(covered[MASK == 0], mean, rtol=3e-7)


@pytest.mark.parametrize("bad", ["ignore", None, True, 3])
def test_unknown_treatments_are_refused(pyramid, bad):
    message = r"^hidden: got .*, expected one of \['exclude', 'include', 'interior'\]$"
    for function in (jaxscat.measure, jaxscat.standard_error, jaxscat.make_target):
        with pytest.raises(ValueError, match=message):
            function(MAP, pyramid, mask=MASK, hidden=bad)


def test_masks_that_hide_nearly_all_are_refused(pyramid):
    few = (np.arange(NPIX) < 99).astype(float)
    message = r"^mask: got 99 of 768 pixels with weight, expected at least 100 \(or hidden="
    for function in (jaxscat.measure, jaxscat.make_target, jaxscat.align_orientations):
        with pytest.raises(ValueError, match=message):
            function(MAP, pyramid, mask=few)
    assert jaxscat.measure(MAP, pyramid, mask=few, hidden="include").s0[0] == pytest.approx(
        MAP[:99].mean()
    )
    jaxscat.measure(MAP, pyramid, mask=np.stack([few, 1 - few]))  # together they hide nothing


def test_pixels_with_weight_must_have_data(pyramid):
    map = without(MAP, MASK, np.nan)
    map[np.flatnonzero(MASK)[:2]] = [np.nan, -1.6375e30]
    with pytest.raises(ValueError, match=r"^map: got 1 of 768 pixels NaN"):
        jaxscat.measure(map, pyramid, mask=MASK)
    with pytest.raises(ValueError, match=r"^map: got 2.. of 768 pixels NaN"):
        jaxscat.measure(map, pyramid, mask=MASK, hidden="include")


def test_starts_and_transforms_see_only_what_is_seen():
    mask = (MASK > 0).astype(float)
    for function in (jaxscat.gaussian_noise, jaxscat.white_noise, jaxscat.reference_noise):
        expected, found = (
            function(map, 3, footprint=mask) for map in (MAP, without(MAP, MASK, np.nan))
        )
        np.testing.assert_array_equal(found, expected)
    normal, _ = jaxscat.gaussianize(without(MAP, MASK, np.nan), weights=mask)
    expected, _ = jaxscat.gaussianize(MAP, weights=mask)
    np.testing.assert_array_equal(normal[mask > 0], expected[mask > 0])
    assert np.isfinite(normal).all()
    forms = [
        jaxscat.harmonic_form(map, dtype=np.float64, footprint=mask)
        for map in (MAP, without(MAP, MASK, np.nan))
    ]
    np.testing.assert_array_equal(*(form.gains for form in forms))


def test_validation_sees_only_what_is_seen(pyramid):
    made = np.stack([np.roll(MAP, 64), SECOND])
    expected = jaxscat.validate(MAP, made, pyramid=pyramid, mask=MASK, controls=1)
    found = jaxscat.validate(
        without(MAP, MASK, np.nan),
        [without(map, MASK, value) for map, value in zip(made, (np.inf, 1e7), strict=True)],
        pyramid=pyramid,
        mask=MASK,
        controls=1,
    )
    assert found == expected


@pytest.mark.parametrize("factor", [3e38, 1e-50])
def test_weights_that_float32_cannot_hold_are_refused(pyramids, factor):
    single = jaxscat.build_pyramid(NSIDE, scales=1, orientations=1)
    with pytest.raises(ValueError, match=r"^mask: got weights from .* which float32 cannot hold"):
        jaxscat.measure(MAP, single, mask=MASK * factor)


def test_a_map_that_is_constant_where_it_is_seen_is_refused(pyramid):
    with pytest.raises(ValueError, match=r"^map: got the same value 1 in every pixel with weight"):
        jaxscat.make_target(np.where(MASK > 0, 1.0, MAP), pyramid, mask=MASK)


def test_a_patch_is_another_pyramid(pyramid):
    with pytest.raises(ValueError, match=r"expected one of .*; a patch is measured by a pyramid"):
        jaxscat.measure(MAP, pyramid, mask=MASK, hidden="patch")
