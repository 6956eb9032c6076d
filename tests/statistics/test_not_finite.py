"""NaN, infinite and UNSEEN pixels inside jitted functions, where values cannot be refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.maps import UNSEEN
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss, mean_loss
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean, isotropic_spread
from jaxscat.statistics.coefficient_maps import coefficient_maps
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.moments import modulus, safe_sqrt, signed_root
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.power import wavelet_power
from jaxscat.statistics.scattering import measure

PYRAMID = build_pyramid(2, orientations=2, dtype="float64")
MAP, OTHER = np.random.default_rng(0).gamma(2.0, size=(2, 48))
MASK = np.random.default_rng(1).uniform(0.1, 1, 48)
WITH = {"mask": MASK, "mask_threshold": 0.1, "hidden": "include"}

FUNCTIONS = {
    "measure": lambda map: measure(map, PYRAMID),
    "measure under a mask": lambda map: measure(map, PYRAMID, **WITH),
    "measure with another": lambda map: measure(map, PYRAMID, second=OTHER),
    "measure as the second": lambda map: measure(jnp.asarray(MAP), PYRAMID, second=map),
    "measure aligned": lambda map: measure(
        map, PYRAMID, alignment=align_orientations(MAP, PYRAMID)
    ),
    "standard_error": lambda map: standard_error(map, PYRAMID),
    "standard_error of foscat": lambda map: standard_error(
        map, PYRAMID, second=OTHER, formula="foscat"
    ),
    "wavelet_power": lambda map: wavelet_power(map, PYRAMID),
    "normalize": lambda map: normalize(measure(map, PYRAMID), measure(MAP, PYRAMID).s2),
    "IsotropicMean": lambda map: IsotropicMean().mean(measure(map, PYRAMID)),
    "FourierHarmonics": lambda map: FourierHarmonics(1).sigma(standard_error(map, PYRAMID)),
    "isotropic_spread": lambda map: _without_s0(isotropic_spread(measure(map, PYRAMID))),
    "isotropic_spread of foscat": lambda map: _without_s0(
        isotropic_spread(measure(map, PYRAMID), "foscat")
    ),
    "align_orientations": lambda map: [
        (turn.near, turn.far)
        for turns in jax.tree.leaves(align_orientations(map, PYRAMID), is_leaf=_is_turn)
        for turn in [turns]
    ],
    "coefficient_maps": lambda map: _without_s0(coefficient_maps(map, PYRAMID)),
    "map_loss": lambda map: map_loss(map, PYRAMID, TARGET),
    "mean_loss": lambda map: mean_loss(jnp.stack([map, map]), PYRAMID, TARGET),
}
TARGET = make_target(MAP, PYRAMID, coarsest_nside=1)
BAD = {"one NaN": np.nan, "one infinite": np.inf, "one UNSEEN": UNSEEN}


def _without_s0(groups):
    """S0 is zero by definition, or the map itself."""
    return [group for name, group in vars(groups).items() if name in ("s1", "s2", "s3", "s4")]


def _is_turn(node):
    return hasattr(node, "near")


def spoiled(value, pixels):
    map = MAP.copy()
    map[pixels] = value
    return map


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_enters_comes_out_as_nan(name):
    function = jax.jit(FUNCTIONS[name])
    for leaf in jax.tree.leaves(function(MAP)):
        assert np.isfinite(leaf).all()
    for what, value in BAD.items():
        for pixels in ([7], slice(None)):
            for leaf in jax.tree.leaves(function(spoiled(value, pixels))):
                assert np.isnan(leaf).all(), what


def test_the_map_of_s0_has_nan_in_its_place():
    found = jax.jit(lambda map: coefficient_maps(map, PYRAMID).s0)(spoiled(np.inf, [7]))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [7])


@pytest.mark.parametrize("group", ["s1", "s2", "s3", "s4"])
def test_gradients_of_what_is_not_finite_are_not_finite(group):
    def total(map):
        return jnp.sum(jnp.abs(getattr(measure(map, PYRAMID, **WITH), group)))

    gradient = jax.jit(jax.grad(total))
    assert np.isfinite(gradient(MAP)).all()
    assert np.isfinite(gradient(np.full(48, 3.0))).all()  # of a constant map, too
    for value in BAD.values():
        others = np.delete(gradient(spoiled(value, [7])), 7)
        assert not np.isfinite(others).any()


def test_a_mask_of_nan_is_not_taken_for_zero_by_a_threshold():
    function = jax.jit(lambda mask: measure(MAP, PYRAMID, mask=mask, mask_threshold=0.1))
    mask = MASK.copy()
    mask[7] = np.nan
    assert np.isnan(function(mask).s1[0]).any()


def test_hidden_pixels_may_hold_anything():
    mask = MASK.copy()
    mask[7] = 0
    function = jax.jit(lambda map: measure(map, PYRAMID, mask=mask))
    for value in BAD.values():
        np.testing.assert_array_equal(function(spoiled(value, [7])).s4, function(MAP).s4)


@pytest.mark.parametrize("root", [safe_sqrt, signed_root, lambda x: modulus(x, x)])
def test_roots_keep_nan_and_have_a_gradient_at_zero(root):
    assert np.isnan(root(jnp.array([np.nan]))).all()
    assert root(jnp.array([np.inf])) == np.inf
    assert root(jnp.zeros(1)) == 0
    np.testing.assert_array_equal(jax.grad(lambda x: root(x).sum())(jnp.zeros(2)), 0)


def test_negative_numbers_that_rounding_leaves_have_the_root_zero():
    np.testing.assert_array_equal(safe_sqrt(jnp.array([-1e-20, 4.0])), [0, 2])
