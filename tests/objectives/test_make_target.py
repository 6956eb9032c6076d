"""Targets of several maps; those of one map are tested beside `Target`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.scattering import measure

NPIX = 192
# Every number as it was measured.
MEASURED = {"sigma_floor": 0.0, "coarsest_nside": 1}


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4, scales=2)


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(0).gamma(2.0, size=(5, NPIX))


@pytest.fixture(scope="module")
def measured(pyramid, maps):
    return jax.vmap(lambda map: measure(map, pyramid))(jnp.asarray(maps))


def assert_close(found, expected):
    found, expected = found.groups(), expected.groups()
    assert found.keys() == expected.keys()
    for name, group in found.items():
        np.testing.assert_allclose(group, expected[name], rtol=1e-10, atol=1e-14)


def over_maps(function, measured):
    """A function of NumPy along the axis of maps of every group."""
    return jax.tree.map(lambda group: function(np.asarray(group), axis=0), measured)


def test_mean_and_scatter_are_those_of_numpy(pyramid, maps, measured):
    target = make_target(maps, pyramid, sigma="ensemble", **MEASURED)
    assert_close(target.mean, over_maps(np.mean, measured))
    # NumPy's standard deviation of complex numbers is that of their modulus about the mean.
    spread = over_maps(lambda group, axis: np.std(group, axis=axis, ddof=1), measured)
    assert_close(target.sigma, spread)
    assert all(jnp.isrealobj(group) for group in target.sigma.groups().values())


@pytest.mark.parametrize("weights", ["plain", "balanced"])
def test_chi_square_of_the_maps_is_what_their_scatter_makes_it(pyramid, maps, weights):
    """The mean over n maps of |s - t|^2 / sigma^2 is (n - 1) / n for every coefficient."""
    target = make_target(maps, pyramid, sigma="ensemble", weights=weights, **MEASURED)
    losses = [float(map_loss(map, pyramid, target)) for map in maps]
    assert np.mean(losses) == pytest.approx(4 / 5, rel=1e-10)


@pytest.mark.parametrize("sigma", ["pixels", "foscat"])
def test_errors_of_single_maps_are_combined_by_their_mean_square(pyramid, maps, measured, sigma):
    target = make_target(maps, pyramid, sigma=sigma, **MEASURED)
    assert_close(target.mean, over_maps(np.mean, measured))
    each = [make_target(map, pyramid, sigma=sigma, **MEASURED).sigma for map in maps]
    expected = jax.tree.map(lambda *groups: np.sqrt(np.mean(np.square(groups), axis=0)), *each)
    assert_close(target.sigma, expected)


@pytest.mark.parametrize("sigma", ["ensemble", "pixels"])
def test_floor_of_several_maps_is_that_of_their_scatter_or_of_each(pyramid, maps, sigma):
    floor = {"sigma_floor": 0.8, "coarsest_nside": 1, "sigma": sigma}
    found = make_target(maps, pyramid, **floor).sigma
    plain = make_target(maps, pyramid, sigma=sigma, **MEASURED).sigma
    if sigma == "pixels":
        each = [make_target(map, pyramid, **floor).sigma for map in maps]
        expected = jax.tree.map(lambda *groups: np.sqrt(np.mean(np.square(groups), 0)), *each)
        assert_close(found, expected)
    else:
        np.testing.assert_array_equal(found.s0, plain.s0)
        for name in ("s1", "s2", "s3", "s4"):
            group = np.asarray(getattr(plain, name))
            for block, raised in zip(group, np.asarray(getattr(found, name)), strict=True):
                least = 0.8 * np.sqrt(np.mean(block**2))
                np.testing.assert_allclose(raised, np.maximum(block, least), rtol=1e-12)
    assert np.mean(np.asarray(found.s4 > plain.s4 * (1 + 1e-9))) > 0.1


def test_each_map_is_normalized_and_reduced_for_itself(pyramid, maps, measured):
    target = make_target(
        maps,
        pyramid,
        sigma="ensemble",
        normalization="own",
        reduction=IsotropicMean(),
        **MEASURED,
    )
    each = [
        IsotropicMean().mean(normalize(one, one.s2))
        for one in (measure(map, pyramid) for map in maps)
    ]
    mean = jax.tree.map(lambda *groups: np.mean(groups, axis=0), *each)
    groups, expected = target.mean.groups(), mean.groups()
    for name in groups:
        np.testing.assert_allclose(groups[name], expected[name], rtol=1e-10)
    # The loss of a map is of the same form.
    assert np.isfinite(float(map_loss(maps[0], pyramid, target)))


def test_normalization_by_the_target_takes_the_mean_power(pyramid, maps, measured):
    target = make_target(maps, pyramid, sigma="ensemble", normalization="target")
    power = np.mean(measured.s2, axis=0)
    np.testing.assert_allclose(target.normalization.power, power, rtol=1e-12)
    np.testing.assert_allclose(target.mean.s2, 1.0, rtol=1e-12)


def test_masks_and_a_second_map_hold_for_all_maps(pyramid, maps):
    mask, second = np.random.default_rng(1).random((2, NPIX))
    target = make_target(maps, pyramid, sigma="ensemble", mask=mask, second=second, **MEASURED)
    each = [measure(map, pyramid, second=second, mask=mask).s3 for map in maps]
    np.testing.assert_allclose(target.mean.s3, np.mean(each, axis=0), rtol=1e-10)


def test_one_map_in_an_ensemble_is_that_map(pyramid, maps):
    assert_close(make_target(maps[:1], pyramid).sigma, make_target(maps[0], pyramid).sigma)


def test_float32_holds_the_scatter_of_maps_in_a_small_unit(maps):
    pyramid = build_pyramid(4, scales=2, dtype="float32")
    plain = make_target(maps, pyramid, sigma="ensemble").sigma.s2
    small = make_target(1e-15 * maps, pyramid, sigma="ensemble").sigma.s2
    np.testing.assert_allclose(small / 1e-30, plain, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda maps: maps[0], r"map: got 1 map, expected two or more, of shape \(n, 192\)"),
        (lambda maps: maps[:1], "map: got 1 map, expected two or more"),
        (lambda maps: maps[:0], "map: got 0 maps, expected two or more"),
        (lambda maps: maps[:, :48], r"map\[0\]: got"),
        (lambda maps: np.where(np.eye(5, NPIX), np.nan, maps), r"map\[0\]: got"),
        (lambda maps: np.stack([maps[0], np.ones(NPIX)]), r"map\[1\]: got"),
        (lambda maps: np.stack([maps[0], maps[0]]), "map: got .* whose standard error is zero"),
    ],
)
def test_bad_ensembles_are_refused(pyramid, maps, given, message):
    with pytest.raises(ValueError, match=rf"^{message}"):
        make_target(given(maps), pyramid, sigma="ensemble")
