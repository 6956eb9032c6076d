import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.starts import gaussian_noise
from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.parametrizations.harmonic import check_form_nside, harmonic_form

# One compiled function for all forms; the tests of gradients use the method itself.
map_of = jax.jit(lambda form, field: form.maps(field))

NSIDE = 16
NPIX = 12 * NSIDE**2


def original(slope):
    """A skewed map of mean 3 whose power falls with the multipole as a power law."""
    import healpy

    multipoles = np.arange(3 * NSIDE)
    generator = np.random.default_rng(0)
    harmonics = healpy.map2alm(generator.gamma(2.0, size=NPIX), iter=3)
    harmonics = healpy.almxfl(harmonics, (1.0 + multipoles) ** (-slope / 2) * (multipoles > 0))
    return healpy.reorder(healpy.alm2map(harmonics, NSIDE), r2n=True) + 3.0


@pytest.fixture(scope="module")
def red():
    return harmonic_form(original(2.0), dtype=np.float64, hold_spectrum=False)


def white(seed):
    return np.random.default_rng(seed).standard_normal(NPIX)


@pytest.mark.parametrize("slope", [-2.0, 6.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_field_is_the_inverse_of_map(slope, dtype, tolerance):
    map = original(slope)
    form = harmonic_form(map, dtype=dtype, hold_spectrum=False)
    # The start's spectrum would hold what the mean leaks, more than the map itself has.
    for target in (map, gaussian_noise(map - 3, 1) + 3.0):
        field = form.parameters(target)
        assert field.dtype == dtype and 0.3 < field.std() < 1.3
        np.testing.assert_allclose(map_of(form, field), target, atol=tolerance * target.std())
    np.testing.assert_array_equal(form.parameters(np.full(NPIX, float(form.mean))), 0)


def test_map_of_white_noise_has_the_spectrum_and_the_mean_of_the_original(red):
    spectrum = angular_power_spectrum(original(2.0))
    apply = jax.jit(jax.vmap(red.maps))
    fields = np.stack([white(seed) for seed in range(30)])
    maps = np.asarray(apply(jnp.asarray(fields - fields.mean(axis=1, keepdims=True))))
    np.testing.assert_allclose(maps.mean(axis=1), 3.0, atol=1e-3 * maps.std())
    found = np.mean([angular_power_spectrum(map) for map in maps], axis=0)
    for first, end in [(1, 3), (3, 6), (6, 12), (12, 24), (24, 48)]:
        modes = 2 * np.arange(first, end) + 1
        ratio = np.average((found / spectrum)[first:end], weights=modes)
        assert abs(ratio - 1) < 4 * np.sqrt(2 / modes.sum() / 30) + 0.01


def test_map_is_linear_symmetric_and_differentiates(red):
    one, other = jnp.asarray(white(0)), jnp.asarray(white(1))

    def linear(field):
        return map_of(red, field) - red.mean

    expected = linear(other)
    left, right = np.vdot(linear(one), other), np.vdot(one, expected)
    assert left == pytest.approx(right, abs=1e-10 * NPIX)
    np.testing.assert_allclose(jax.vjp(red.maps, one)[1](other)[0], expected, atol=1e-10)
    np.testing.assert_allclose(jax.jvp(red.maps, (one,), (other,))[1], expected, atol=1e-10)


def test_form_passes_through_jit_and_vmap(red):
    fields = jnp.stack([white(seed) for seed in range(2)])
    found = jax.jit(lambda form, fields: jax.vmap(form.maps)(fields))(red, fields)
    np.testing.assert_allclose(found, [map_of(red, field) for field in fields], atol=1e-11)


def test_constant_field_moves_the_mean_alone(red):
    shift = map_of(red, jnp.ones(NPIX)) - red.mean
    np.testing.assert_allclose(shift.mean(), red.amplitudes[0], rtol=1e-3)
    assert red.amplitudes[0] >= red.amplitudes[1]


def test_multipoles_without_power_keep_the_floor():
    import healpy

    # Odd multipoles vanish, and so does everything beyond l = 10.
    harmonics = healpy.map2alm(white(0), iter=3)
    multipoles = np.arange(3 * NSIDE)
    harmonics = healpy.almxfl(harmonics, (multipoles % 2 == 0) & (multipoles <= 10))
    map = healpy.reorder(healpy.alm2map(harmonics, NSIDE), r2n=True)
    form = harmonic_form(map, dtype=np.float64, floor=1e-3, hold_spectrum=False)
    assert np.min(form.amplitudes) == pytest.approx(1e-3 * map.std())
    assert form.amplitudes[0] == pytest.approx(map.std())
    np.testing.assert_allclose(map_of(form, form.parameters(map)), map, atol=1e-10 * map.std())


def test_footprint_alone_sets_mean_and_amplitudes():
    map, footprint = original(2.0), (np.arange(NPIX) < NPIX // 2).astype(float)
    inside = harmonic_form(map, dtype=np.float64, footprint=footprint)
    map[NPIX // 2 :] = 1e6
    again = harmonic_form(map, dtype=np.float64, footprint=footprint)
    np.testing.assert_allclose(again.mean, inside.mean)
    np.testing.assert_allclose(again.amplitudes, inside.amplitudes, rtol=1e-6)
    assert inside.mean == pytest.approx(map[: NPIX // 2].mean())


@pytest.mark.parametrize(
    ("map", "arguments", "message"),
    [
        (np.ones(NPIX), {}, "original: got the same value 1 in every pixel, expected a map that"),
        (np.full(NPIX, np.nan), {}, "original: got 3072 of 3072 pixels NaN"),
        (np.arange(100.0), {}, "original: got 100 pixels, expected 12 nside"),
        (np.arange(12.0), {}, "^original: nside: got 1, expected 2 to 256$"),
        (white(0), {"dtype": np.int32}, r"^dtype: got <class 'numpy.int32'>, expected float32 or"),
        (white(0), {"dtype": "half a float"}, "^dtype: got 'half a float', expected float32 or"),
        (white(0), {"dtype": None}, "^dtype: got None, expected float32 or float64"),
        (white(0), {"dtype": np.float16}, r"^dtype: got <class 'numpy.float16'>, expected"),
        (white(0), {"floor": 0.0}, "floor: got 0.0, expected a number above 0"),
        *(
            (
                white(0),
                {"floor": floor},
                f"^floor: got {re.escape(repr(floor))}, expected a number above 0 and",
            )
            for floor in ("0.1", None, True, float("nan"), 1.1, -0.1, np.complex64(0.5))
        ),
        (white(0), {"footprint": np.ones((2, NPIX))}, "footprint: got shape .*expected one mask"),
        (white(0), {"footprint": np.ones(48)}, "footprint: got 48 pixels, expected 3072"),
        (
            np.arange(NPIX) // 100,
            {"footprint": np.arange(NPIX) < 50},
            "original: got the same value 0 in every pixel",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:original. integer values")
def test_bad_input_is_refused(map, arguments, message):
    with pytest.raises(ValueError, match=message):
        harmonic_form(map, **{"dtype": np.float64, **arguments})


@pytest.mark.parametrize("nside", [1, 512])
def test_nsides_without_a_form_are_refused(nside):
    for allowed in (2, 256):
        check_form_nside(allowed, name="map")
    with pytest.raises(ValueError, match=rf"^map: got {nside}, expected 2 to 256$"):
        check_form_nside(nside, name="map")


def test_float64_needs_the_64_bit_mode():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match=r"^dtype: got float64 while JAX is in 32-bit mode"):
            harmonic_form(white(0), dtype=np.float64)
        assert harmonic_form(white(0), dtype=np.float32).amplitudes.dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", before)


def test_field_refuses_what_is_no_map_of_the_form(red):
    with pytest.raises(ValueError, match="map: got 768 pixels .*expected 3072"):
        red.parameters(np.arange(768.0))
    with pytest.raises(ValueError, match="map: got 1 of 3072 pixels NaN"):
        red.parameters(np.where(np.arange(NPIX) == 0, np.nan, 1.0))


@pytest.fixture(scope="module")
def held():
    return harmonic_form(original(2.0), dtype=np.float64)


def test_held_spectrum_is_that_of_the_original_whatever_the_field(held):
    wanted = angular_power_spectrum(original(2.0))
    # Beyond, 4 pi / npix times the transpose is no good inverse of the harmonics.
    low = slice(1, int(1.5 * NSIDE))
    tilted = gaussian_noise(original(-1.0), 5).astype(float)
    for field in (white(3), 0.01 * white(4) + 0.2, tilted / tilted.std()):
        found = angular_power_spectrum(map_of(held, jnp.asarray(field)))
        np.testing.assert_allclose(found[low], wanted[low], rtol=0.01)


def test_held_field_of_a_map_gives_the_map_with_the_power_of_the_original(held):
    map = gaussian_noise(original(2.0), 1).astype(float)
    made = np.asarray(map_of(held, jnp.asarray(held.parameters(map))))
    import healpy

    ours, theirs = (healpy.map2alm(healpy.reorder(m - m.mean(), n2r=True)) for m in (made, map))
    for multipole in (1, 2, 5, 12):
        at = [healpy.Alm.getidx(3 * NSIDE - 1, multipole, m) for m in range(multipole + 1)]
        weight = np.where(np.arange(multipole + 1) == 0, 1.0, 2.0)
        cross = np.sum(weight * np.real(ours[at] * np.conj(theirs[at])))
        powers = [np.sum(weight * np.abs(a[at]) ** 2) for a in (ours, theirs)]
        assert cross / np.sqrt(powers[0] * powers[1]) > 0.999
    # The original itself has that power already, but for what quadrature on pixels adds.
    same = np.asarray(map_of(held, jnp.asarray(held.parameters(original(2.0)))))
    assert np.std(same - original(2.0)) < 0.01 * np.std(original(2.0))


def test_held_form_has_the_derivative_of_finite_differences(held):
    field, change, weights = (jnp.asarray(white(seed)) for seed in (6, 7, 8))

    def value(field):
        return jnp.vdot(weights, map_of(held, field) ** 2)

    slope = jnp.vdot(jax.grad(value)(field), change)
    step = 1e-5
    expected = (value(field + step * change) - value(field - step * change)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-7)
    assert np.isfinite(jax.grad(value)(jnp.zeros(NPIX))).all()


def test_held_form_under_vmap_is_a_loop(held):
    fields = jnp.asarray(np.stack([white(seed) for seed in range(3)]))
    together = jax.jit(jax.vmap(held.maps))(fields)
    for map, field in zip(together, fields, strict=True):
        np.testing.assert_allclose(map, map_of(held, field), rtol=1e-12)
