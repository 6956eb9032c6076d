"""Maps of parameters and back: all pixels, free pixels, several maps."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.parametrizations.components import Components, Stacked, build_pixels
from jaxscat.parametrizations.parametrization import check_parameters, check_parametrization
from jaxscat.parametrizations.pixels import FreePixels, Pixels, power_of_two_near

NPIX = 48


@pytest.fixture(scope="module")
def map():
    return np.random.default_rng(0).normal(3.0, 20.0, size=NPIX)


@pytest.fixture(scope="module")
def free():
    return np.random.default_rng(1).uniform(size=NPIX) < 0.3


def kinds(map, free):
    pair = Components({"b": Pixels(NPIX, 16.0), "a": FreePixels(map, free)})
    return {
        "pixels": (Pixels(NPIX, 16.0), map),
        "free": (FreePixels(map, free), map),
        "components": (pair, {"b": 2 * map, "a": map}),
        "list": (Components([Pixels(NPIX), Pixels(NPIX, 2.0)]), [map, -map]),
        "stacked": (Stacked(Pixels(NPIX, 4.0), 3), np.stack([map, 2 * map, -map])),
    }


@pytest.mark.parametrize("kind", ["pixels", "free", "components", "list", "stacked"])
def test_maps_and_parameters_are_inverse_of_each_other(map, free, kind):
    parametrization, maps = kinds(map, free)[kind]
    found = check_parameters(parametrization, maps, "start")
    assert found.shape == (parametrization.size,) and found.dtype == np.float64
    jax.tree.map(np.testing.assert_array_equal, parametrization.maps(jnp.asarray(found)), maps)
    shapes = check_parametrization(parametrization, np.float64)
    assert jax.tree.map(lambda leaf: leaf.shape, shapes) == jax.tree.map(np.shape, maps)
    # Another vector is another map, and comes back too.
    other = np.random.default_rng(2).normal(size=found.size)
    again = parametrization.parameters(jax.tree.map(np.asarray, parametrization.maps(other)))
    np.testing.assert_allclose(again, other, rtol=1e-14)


def test_fixed_pixels_are_no_variables(map, free):
    fixed = FreePixels(map, free)
    assert fixed.size == free.sum()
    slopes = jax.jacobian(fixed.maps)(jnp.ones(fixed.size))
    assert not slopes[~free].any()
    np.testing.assert_array_equal(slopes[free], fixed.unit * np.eye(fixed.size))
    unseen = np.where(free, np.nan, map)
    found = FreePixels(unseen, np.flatnonzero(free)[::-1])
    np.testing.assert_array_equal(found.maps(np.zeros(found.size))[~free], map[~free])
    assert found.unit == fixed.unit == 16.0


def test_numbers_of_numpy_are_pythons():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of fields that are not static
        several = Stacked(Pixels(np.int64(192)), np.int32(3))
    assert several == Stacked(Pixels(192), 3) and several.size == 576


def test_units_are_powers_of_two(map):
    assert [power_of_two_near(x) for x in (20.0, 0.3, 1.0, 0.0, np.inf, np.nan)] == [
        16.0,
        0.25,
        1.0,
        1.0,
        1.0,
        1.0,
    ]
    assert build_pixels(map).unit == 16.0
    several = build_pixels({"x": map, "y": np.ones(12)})
    assert (several.parts["x"].unit, several.parts["y"].unit) == (16.0, 1.0)
    assert several.size == NPIX + 12


@pytest.mark.parametrize(
    ("known", "free", "message"),
    [
        (np.ones((2, 12)), np.ones(12, bool), r"known: got float64 of shape \(2, 12\)"),
        (np.ones(12, int), np.ones(12, bool), "known: got int64"),
        (np.full(12, np.nan), np.arange(12) < 3, "known: got 9 fixed pixels that are not finite"),
        (np.ones(12), np.zeros(12, bool), "free: got no free pixel"),
        (np.ones(12), np.ones(48, bool), r"free: got bool of shape \(48,\)"),
        (np.ones(12), [3, 3], "free: got a pixel twice"),
        (np.ones(12), [3, 12], "free: got pixels up to 12, expected 0 to 11"),
        (np.ones(12), [-1], "free: got pixel"),
        (np.ones(12), np.ones(12), "free: got float64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_free_pixels_are_refused(known, free, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        FreePixels(known, free)


@pytest.mark.parametrize("parts", [{}, {"a": 3}, [None], 3.0])
def test_components_are_parametrizations(parts):
    with pytest.raises(ValueError, match=r"^parts: got .*, expected a pytree of Parametrizations"):
        Components(parts)
