"""Noise that is given as maps, and what is refused as noise."""

import healpy
import jax
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import (
    Noise,
    NoiseMaps,
    as_noise,
    check_realizations,
    draw_realization,
    mean_levels,
)

MAPS = np.random.default_rng(0).standard_normal((9, 48))
TRACES = []


@jax.jit
def draw(noise, seed, number):
    TRACES.append(1)
    return noise.draw(seed, number)


@jax.jit
def draw_set(noise, seed):
    return jax.vmap(lambda number: noise.draw(seed, number))(np.arange(9))


def order(drawn, maps=MAPS):
    """Which of the maps each of those drawn is."""
    return [int(np.flatnonzero((maps == map).all(axis=1))[0]) for map in np.asarray(drawn)]


@pytest.fixture(scope="module")
def noise():
    return NoiseMaps(MAPS)


def test_a_set_has_every_map_once_in_an_order_of_its_seed(noise):
    assert isinstance(noise, Noise) and (noise.npix, noise.available) == (48, 9)
    orders = [order(draw_set(noise, np.uint32(seed))) for seed in range(20)]
    assert all(sorted(found) == list(range(9)) for found in orders)
    # Twenty of 362880 orders are different, and begin with each of nine maps about twice.
    assert len(set(map(tuple, orders))) == 20
    assert len({found[0] for found in orders}) > 5


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_draw_is_the_same_alone_in_a_set_and_on_the_host(noise, seed):
    together = np.asarray(draw_set(noise, np.uint32(seed)))
    for number in (0, 3, 8):
        np.testing.assert_array_equal(draw(noise, np.uint32(seed), number), together[number])
        np.testing.assert_array_equal(draw_realization(noise, seed, number), together[number])
    np.testing.assert_array_equal(noise.draw(seed, 3), together[3])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 5),
        ("jax_enable_x64", False),
    ],
)
def test_the_order_does_not_depend_on_settings_of_jax(setting, value):
    noise = NoiseMaps(np.random.default_rng(1).standard_normal((30, 12)).astype(np.float32))
    # Not compiled: a program would be used again.
    expected = [noise.draw(5, number) for number in (0, 1, 29)]
    before = getattr(jax.config, setting)
    jax.config.update(setting, value)
    try:
        found = [noise.draw(5, number) for number in (0, 1, 29)]
    finally:
        jax.config.update(setting, before)
    np.testing.assert_array_equal(found, expected)


def test_other_maps_seeds_and_numbers_need_no_other_program(noise):
    draw(noise, np.uint32(0), np.int32(0))
    before = len(TRACES)
    for seed, number in ((1, 0), (2**32 - 1, 8)):
        found = draw(NoiseMaps(MAPS + seed), np.uint32(seed), np.int32(number))
        np.testing.assert_array_equal(found, draw_realization(noise, seed, number) + seed)
    assert len(TRACES) == before


def test_levels_are_the_mean_spectrum_and_what_the_variance_leaves(noise):
    """Mean, spectrum and variance of maps by healpy alone."""
    ring = healpy.reorder(MAPS - MAPS.mean(axis=1, keepdims=True), n2r=True)
    spectrum = np.mean([healpy.anafast(map, iter=3) for map in ring], axis=0)
    within = np.sum((2 * np.arange(1, 6) + 1) * spectrum[1:]) / (4 * np.pi)
    beyond = (ring.var(axis=1).mean() - within) * 4 * np.pi / 12
    assert beyond > 0
    # The mean of a map is the monopole and nothing else.
    found = NoiseMaps(MAPS + 3).levels()
    assert found.dtype == np.float64 and found.shape == (7,)
    np.testing.assert_allclose(found[1:], np.append(spectrum[1:], beyond), rtol=1e-10)
    monopole = 4 * np.pi * np.mean((3 + MAPS.mean(axis=1)) ** 2)
    assert found[0] == pytest.approx(monopole, rel=0.01)
    np.testing.assert_array_equal(mean_levels(MAPS), noise.levels())


def test_models_stay_and_arrays_become_maps(noise):
    white = GaussianNoise.white(1.0, 2)
    assert as_noise(white, 48) is white and as_noise(noise, 48) is noise
    found = as_noise(MAPS, 48)
    assert isinstance(found, NoiseMaps)
    np.testing.assert_array_equal(found.maps, MAPS)
    assert as_noise(MAPS.astype(np.float32).tolist(), 48).npix == 48


def test_integers_become_floats_with_a_warning():
    whole = np.round(10 * MAPS).astype(int)
    with pytest.warns(UserWarning, match=r"^maps: integer values \(int64\)"):
        found = NoiseMaps(whole)
    np.testing.assert_array_equal(found.maps, whole.astype(float))
    with pytest.warns(UserWarning, match="^noise: integer values"):
        as_noise(whole, 48)


def changed(place, value):
    maps = MAPS.copy()
    maps[place] = value
    return maps


BAD = {
    "one map": (MAPS[0], r"got .*of shape \(48,\)"),
    "a cube": (MAPS[None], r"got .*of shape \(1, 9, 48\)"),
    "seven": (MAPS[:7], "got 7 realizations, expected at least 8"),
    "pixels": (MAPS[:, :40], "got 40 pixels, expected 12 nside"),
    "NaN": (changed((3, 5), np.nan), "got 1 of 432 pixels NaN"),
    "infinite": (changed((3, 5), np.inf), "got 1 of 432 pixels infinite"),
    "unseen": (changed(3, -1.6375e30), "got 48 of 432 pixels UNSEEN"),
    "zero": (0 * MAPS, "got 9 of 9 realizations with the same value in every pixel"),
    "one zero": (changed(2, 0.1), "got 1 of 9 realizations with the same value in every pixel"),
    "alike": (MAPS[[0] * 9], "got 8 of 9 realizations that are the first one again"),
    "one alike": (changed(4, MAPS[0]), "got 1 of 9 realizations that are the first one again"),
    "rounded": (changed(4, MAPS[0].astype(np.float32)), "got 1 of 9 realizations that are the"),
    "complex": (MAPS + 0j, "got complex values"),
    "boolean": (MAPS > 0, "got boolean values"),
    "ragged": ([[1.0, 2.0], [3.0]], "got list, which NumPy cannot convert"),
    "masked": (np.ma.masked_less(MAPS, 0), "got a masked array"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_realizations_are_refused(name):
    maps, message = BAD[name]
    with pytest.raises(ValueError, match=f"^noise: {message}"):
        as_noise(maps, 48)
    message = message.replace("got .*of shape", "got shape")
    with pytest.raises(ValueError, match=f"^maps: {message}"):
        NoiseMaps(maps)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (None, "noise: got NoneType, expected a noise model such as"),
        (0.3, r"noise: got float of shape \(\), expected a noise model such as"),
        ("white", "noise: got str"),
        (NoiseMaps, r"noise: got .*expected a noise model"),
        (GaussianNoise.white(1.0, 4), "noise: got maps of 192 pixels, expected 48 as the data"),
        (np.tile(MAPS, 4), "noise: got maps of 192 pixels, expected 48 as the data"),
    ],
    ids=str,
)
def test_what_is_no_noise_of_the_data_is_refused(noise, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        as_noise(noise, 48)
    with pytest.raises(ValueError, match=f"^{message.replace('noise', 'of the other', 1)}"):
        as_noise(noise, 48, name="of the other")


def test_realizations_are_64_or_all_unless_a_number_is_given(noise):
    white = GaussianNoise.white(1.0, 1)
    assert check_realizations(None, white) == 64 and check_realizations(None, noise) == 9
    many = NoiseMaps(np.random.default_rng(2).standard_normal((70, 12)))
    assert check_realizations(None, many) == 64
    for count in (8, np.int64(9)):
        found = check_realizations(count, noise)
        assert found == count and type(found) is int
    assert check_realizations(1000, white) == 1000


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (7, "got 7, expected at least 8: with fewer"),
        (-1, "got -1, expected at least 8"),
        (True, "got True, expected at least 8"),
        (9.0, "got 9.0, expected an integer of at least 8, or None"),
        ("9", "got '9', expected an integer"),
        (10, "got 10, expected at most the 9 noise maps given"),
    ],
)
def test_bad_numbers_of_realizations_are_refused(noise, count, message):
    with pytest.raises(ValueError, match=f"^realizations: {message}"):
        check_realizations(count, noise)


@pytest.mark.parametrize("number", [-1, 9, 1.0, True, None])
def test_numbers_beyond_a_set_are_refused_on_the_host(noise, number):
    with pytest.raises(ValueError, match="^number: got .*, expected an integer from 0 to 8"):
        draw_realization(noise, 0, number)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None, True])
def test_seeds_out_of_range_are_refused(noise, seed):
    with pytest.raises(ValueError, match="^seed: got .*expected an integer from 0"):
        draw_realization(noise, seed, 0)
