"""Every setting of the target arrives where it belongs, and changes the loss."""

import jax
import numpy as np
import pytest

from jaxscat import (
    FourierHarmonics,
    IsotropicMean,
    align_orientations,
    build_pyramid,
    make_target,
    map_loss,
    white_noise,
)
from jaxscat.run.config import config_from_tree
from jaxscat.run.targets import build_run_target

NSIDE = 4
NPIX = 12 * NSIDE**2
ORIGINAL = np.random.default_rng(0).gamma(2.0, size=NPIX).astype(np.float32)
SECOND = np.random.default_rng(1).gamma(2.0, size=NPIX).astype(np.float32)
MASK = np.repeat(np.random.default_rng(2).uniform(size=NPIX // 2), 2).astype(np.float32)
compiled_loss = jax.jit(map_loss)


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=2)


def made(pyramid, target, **maps):
    config = config_from_tree({"data": {"path": "map.npy"}, "target": target})
    return build_run_target(config, ORIGINAL, pyramid, **maps)


def expect(pyramid, **options):
    return make_target(jax.numpy.asarray(ORIGINAL), pyramid, **options)


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"sigma": "foscat"}, {"sigma": "foscat"}),
        ({"sigma_floor": 0.9}, {"sigma_floor": 0.9}),
        ({"coarsest_nside": 2}, {"coarsest_nside": 2}),
        ({"weights": "plain"}, {"weights": "plain"}),
        (
            {"sigma": "foscat", "sigma_floor": 0.0, "coarsest_nside": 1, "weights": "plain"},
            {"sigma": "foscat", "sigma_floor": 0.0, "coarsest_nside": 1, "weights": "plain"},
        ),
        ({"normalization": "own"}, {"normalization": "own"}),
        ({"reduction": "isotropic"}, {"reduction": IsotropicMean()}),
        ({"reduction": "harmonics"}, {"reduction": FourierHarmonics(1)}),
        ({"reduction": "harmonics", "harmonics": 2}, {"reduction": FourierHarmonics(2)}),
    ],
    ids=str,
)
def test_setting_is_an_option_of_the_target_that_changes_its_loss(pyramid, settings, options):
    target = made(pyramid, settings)
    assert_same(target, expect(pyramid, **options))
    assert_loss_differs(pyramid, target, expect(pyramid))


def loss_of_noise(pyramid, target):
    return float(compiled_loss(white_noise(ORIGINAL, 5), pyramid, target))


def assert_loss_differs(pyramid, target, other):
    loss, before = (loss_of_noise(pyramid, each) for each in (target, other))
    assert np.isfinite(loss) and loss != pytest.approx(before, rel=1e-3)


def test_normalization_by_the_target_changes_units_and_not_the_loss(pyramid):
    target, plain = made(pyramid, {"normalization": "target"}), expect(pyramid)
    assert_same(target, expect(pyramid, normalization="target"))
    np.testing.assert_allclose(target.mean.s2, 1.0, rtol=1e-5)
    assert loss_of_noise(pyramid, target) == pytest.approx(loss_of_noise(pyramid, plain), rel=1e-4)


def test_settings_that_say_none_are_the_plain_target(pyramid):
    nothing = dict.fromkeys(("normalization", "reduction", "alignment"), "none")
    assert_same(made(pyramid, nothing), expect(pyramid))


def test_alignment_is_that_of_the_original(pyramid):
    target = made(pyramid, {"alignment": "target"})
    assert_same(target, expect(pyramid, alignment=align_orientations(ORIGINAL, pyramid)))
    assert_loss_differs(pyramid, target, expect(pyramid))


def test_second_map_makes_a_target_of_two(pyramid):
    target = made(pyramid, {"second": "second.npy"}, second=SECOND)
    assert_same(target, expect(pyramid, second=SECOND))
    assert target.mean.kind == "cross"
    assert_loss_differs(pyramid, target, expect(pyramid))


@pytest.mark.parametrize("threshold", [0.5, [0.2, 0.4]])
def test_threshold_goes_with_the_mask(pyramid, threshold):
    settings = {"mask": "mask.npy", "mask_threshold": threshold}
    target = made(pyramid, settings, mask=MASK)
    assert_same(target, expect(pyramid, mask=MASK, mask_threshold=np.asarray(threshold)))
    assert_loss_differs(pyramid, target, expect(pyramid, mask=MASK))


def test_all_together_have_a_loss(pyramid):
    settings = {
        "mask": "mask.npy",
        "mask_threshold": 0.5,
        "normalization": "own",
        "reduction": "harmonics",
        "second": "second.npy",
        "alignment": "target",
    }
    target = made(pyramid, settings, mask=MASK, second=SECOND)
    assert float(compiled_loss(ORIGINAL, pyramid, target)) == pytest.approx(0.0, abs=1e-6)
    assert loss_of_noise(pyramid, target) > 0.1


def test_thresholds_of_another_number_of_scales_are_refused(pyramid):
    settings = {"mask": "mask.npy", "mask_threshold": [0.1, 0.1, 0.1]}
    with pytest.raises(ValueError, match="mask_threshold.*2 scales"):
        made(pyramid, settings, mask=MASK)
