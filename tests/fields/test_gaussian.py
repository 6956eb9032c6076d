"""Gaussian noise: white, of a spectrum, and as half missions differ."""

from functools import partial

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import draw_realization
from jaxscat.harmonics.spectra import angular_power_spectrum, smooth_spectrum

NSIDE, NPIX, COUNT = 8, 768, 400
RED = 1 / (np.arange(24) + 2.0) ** 2
DEVIATION = 1 + np.arange(NPIX) / NPIX
TRACES = []


@partial(jax.jit, static_argnames="count")
def draw_set(noise, seed, count):
    """The first maps of a set."""
    TRACES.append(1)
    return jax.vmap(lambda number: noise.draw(seed, number))(jnp.arange(count))


def drawn(noise, seed, count=COUNT):
    return np.asarray(draw_set(noise, np.uint32(seed), count))


def half_missions(noise, signal=0.0):
    """Two maps whose mean has noise of a model."""
    first, second = np.sqrt(2) * drawn(noise, 3, 2)
    return signal + first, signal + second


def models(dtype):
    """One of each kind: white, of a spectrum alone, and with power beyond it."""
    white = GaussianNoise.white(DEVIATION, NSIDE, dtype=dtype)
    return {
        "white": white,
        "spectrum": GaussianNoise.of_spectrum(RED, NSIDE, dtype=dtype),
        "beyond": GaussianNoise.of_realizations(drawn(white, 9, 1), dtype=dtype),
    }


@pytest.fixture(scope="module")
def kinds():
    return models(np.float64)


KINDS = ["white", "spectrum", "beyond"]


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_of_their_seed_and_number_alone(kinds, kind):
    noise = kinds[kind]
    assert (noise.npix, noise.available) == (NPIX, None)
    sets = [drawn(noise, seed, 3) for seed in (0, 1, 2**32 - 1)]
    scale = np.std(sets)
    for seed, maps in zip((0, 1, 2**32 - 1), sets, strict=True):
        for number in (0, 2):
            alone = draw_realization(noise, seed, number)
            assert alone.dtype == np.float64
            np.testing.assert_allclose(maps[number], alone, atol=1e-13 * scale)
    nine = np.concatenate(sets)
    apart = np.std(nine[:, None] - nine, axis=-1)[~np.eye(9, dtype=bool)]
    assert apart.min() > 0.5 * scale


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 5),
    ],
)
def test_draws_do_not_depend_on_the_generator_of_jax(kinds, setting, value):
    # Not compiled: a program would be used again.
    noise = kinds["white"]
    expected = noise.draw(7, 11)
    before = getattr(jax.config, setting)
    jax.config.update(setting, value)
    try:
        found = noise.draw(7, 11)
    finally:
        jax.config.update(setting, before)
    np.testing.assert_array_equal(found, expected)


def test_draws_in_single_precision_do_not_depend_on_the_precision_of_jax():
    noise = GaussianNoise.white(DEVIATION, NSIDE)
    expected = draw_realization(noise, 7, 1)
    with jax.enable_x64(False):
        found = draw_realization(GaussianNoise.white(DEVIATION, NSIDE), 7, 1)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_models_are_operands(kinds):
    """Other numbers need no other program, and a model that a program returns is as it was."""
    white = [GaussianNoise.white(factor * DEVIATION, NSIDE, dtype=float) for factor in (1, 2)]
    coloured = [GaussianNoise.of_spectrum(factor**2 * RED, NSIDE, dtype=float) for factor in (1, 2)]
    for one, other in (white, coloured):
        drawn(one, 0, 2)
        before = len(TRACES)
        np.testing.assert_allclose(drawn(other, 5, 2), 2 * drawn(one, 5, 2), rtol=1e-13)
        assert len(TRACES) == before
    for noise in kinds.values():
        returned = jax.jit(lambda model: model)(noise)
        np.testing.assert_array_equal(returned.levels(), noise.levels())
        assert isinstance(noise.levels(), np.ndarray) and returned.is_uniform == noise.is_uniform
        placed = jax.tree.map(jnp.asarray, noise)
        np.testing.assert_array_equal(drawn(placed, 2, 2), drawn(noise, 2, 2))


def test_no_number_of_a_model_is_a_constant_of_a_program(kinds):
    for noise in kinds.values():
        traced = jax.make_jaxpr(lambda model: model.draw(np.uint32(1), 0))(noise)
        assert max([np.size(constant) for constant in traced.consts], default=0) < 100


@pytest.mark.parametrize("deviation", [3, 0.5, np.float32(2), DEVIATION, DEVIATION.astype("f4")])
def test_white_noise_has_the_deviation_of_every_pixel(deviation):
    noise = GaussianNoise.white(deviation, NSIDE, dtype=np.float64)
    assert noise.is_uniform == (np.ndim(deviation) == 0)
    scaled = drawn(noise, 1) / np.asarray(deviation, float)
    # Chi-squares of 400 numbers in each of 768 pixels; one of three million is beyond 5 deviations.
    assert (np.abs((scaled**2).sum(axis=0) - COUNT) < 6 * np.sqrt(2 * COUNT)).all()
    total = scaled.size
    assert abs((scaled**2).mean() - 1) < 5 * np.sqrt(2 / total)
    assert abs(scaled.mean()) < 5 / np.sqrt(total)
    assert abs((scaled**4).mean() - 3) < 5 * np.sqrt(96 / total)
    # Pixels, and maps, have nothing in common.
    assert abs((scaled[:, 1:] * scaled[:, :-1]).mean()) < 5 / np.sqrt(total)
    assert abs((scaled[1:] * scaled[:-1]).mean()) < 5 / np.sqrt(total)
    levels = np.mean(np.asarray(deviation, float) ** 2) * 4 * np.pi / NPIX
    np.testing.assert_allclose(noise.levels(), np.full(25, levels), rtol=1e-12)


def ratios(maps, levels):
    """Mean C_l of maps over the expected ones, in units of the error of their mean."""
    spectra = np.stack([angular_power_spectrum(map) for map in maps])
    multipole = np.arange(levels.size)
    error = np.sqrt(2 / (2 * multipole + 1) / len(maps))
    return (spectra.mean(axis=0) / levels - 1) / error


def test_draws_have_the_spectrum_and_nothing_beyond():
    # Up to twice the nside, where pixels sample harmonics well.
    cut = np.where(np.arange(24) <= 16, RED, 0)
    noise = GaussianNoise.of_spectrum(cut, NSIDE, dtype=np.float64)
    np.testing.assert_array_equal(noise.levels(), np.append(cut, 0))
    maps = drawn(noise, 2)
    assert (np.abs(ratios(maps, np.where(cut > 0, cut, 1))[:17]) < 5).all()
    # The variance of a pixel has 289 modes a map, of which the first ones count most.
    modes = 2 * np.arange(24) + 1
    variance = np.sum(modes * cut) / (4 * np.pi)
    error = np.sqrt(2 * np.sum(modes * cut**2) / COUNT) / np.sum(modes * cut)
    assert abs(np.mean(maps**2) / variance - 1) < 5 * error
    # All directions are alike: orders of a multipole have the same power.
    alm = np.stack([healpy.map2alm(healpy.reorder(map, n2r=True), iter=3) for map in maps])
    for order in (0, 1, 5, 8):
        index = healpy.Alm.getidx(23, 8, order)
        power, parts = np.mean(np.abs(alm[:, index]) ** 2), 1 if order == 0 else 2
        assert abs(power / cut[8] - 1) < 5 * np.sqrt(2 / parts / COUNT)
    np.testing.assert_allclose(alm[:, healpy.Alm.getidx(23, 20, 4)], 0, atol=1e-2 * np.sqrt(cut[4]))


def test_a_spectrum_may_end_early_or_late():
    short = GaussianNoise.of_spectrum(RED[:10], NSIDE)
    np.testing.assert_array_equal(short.levels(), np.append(RED[:10], np.zeros(15)))
    late = GaussianNoise.of_spectrum(np.append(RED, np.ones(50)), NSIDE)
    np.testing.assert_array_equal(late.levels(), np.append(RED, 0))
    with pytest.warns(UserWarning, match="^spectrum: integer values"):
        whole = GaussianNoise.of_spectrum([0, 1, 2], NSIDE)
    np.testing.assert_array_equal(whole.levels()[:4], [0, 1, 2, 0])


@pytest.fixture(scope="module")
def uneven():
    """White noise of nside 32, three times as strong in the north as in the south; its factor."""
    height = healpy.pix2vec(32, np.arange(12288), nest=True)[2]
    base = GaussianNoise.of_spectrum(np.full(96, 0.01), 32, dtype=np.float64)
    return (2 + height) * drawn(base, 4, 16), 2 + height


def test_noise_of_half_missions_has_the_spectrum_of_their_mean():
    """Half the difference of maps with twice the power each; the sky is in neither."""
    levels = np.append(1e-4 + 1 / (np.arange(48) + 2.0) ** 3, 0)
    base = GaussianNoise.of_spectrum(levels[:-1], 16, dtype=np.float64)
    sky = 100 + 10 * np.random.default_rng(0).gamma(2.0, size=3072)
    first, second = half_missions(base, sky)
    noise = GaussianNoise.of_halves(first, second, dtype=np.float64)
    assert noise.is_uniform and noise.npix == 3072
    # Every window holds so many modes; from 33 on, pixels do not sample harmonics well.
    multipole = np.arange(1, 33)
    reach = 2 ** (1 / 8)
    modes = np.array(
        [
            sum(2 * at + 1 for at in range(1, 48) if center / reach <= at <= center * reach)
            for center in multipole
        ]
    )
    expected = smooth_spectrum(levels)[multipole]
    assert (np.abs(noise.levels()[multipole] / expected - 1) < 5 * np.sqrt(2 / modes)).all()
    # Of one realization, the power of all of it is known better than by windows.
    half = (first - second) / 2
    variance = np.sum((2 * np.arange(1, 48) + 1) * noise.levels()[1:48]) / (4 * np.pi)
    variance += noise.levels()[-1] * 3 * 256 / (4 * np.pi)
    assert variance == pytest.approx(half.var(), rel=0.02)


def test_draws_of_estimated_noise_have_its_spectrum_and_level_beyond():
    white = GaussianNoise.white(0.7, NSIDE, dtype=np.float64)
    first, second = half_missions(white)
    noise = GaussianNoise.of_halves(first, second, dtype=np.float64)
    assert noise.is_uniform and noise.beyond is not None
    maps = drawn(noise, 5)
    assert (np.abs(ratios(maps, noise.levels()[:24])[:17]) < 5).all()
    # All but the monopole, of 768 numbers in every map; a few percent are lost below l = 24.
    assert np.var(maps, axis=1).mean() == pytest.approx(((first - second) / 2).var(), rel=0.03)


def test_uniform_noise_stays_uniform_and_offsets_do_not_matter():
    base = GaussianNoise.of_spectrum(1 / (np.arange(48) + 2.0) ** 2, 16, dtype=np.float64)
    pairs = np.sqrt(2) * drawn(base, 6, 20).reshape(10, 2, -1)
    found = [GaussianNoise.of_halves(*pair) for pair in pairs]
    # Less than one of a hundred is not.
    assert all(noise.is_uniform for noise in found)
    assert found[0].amplitude.dtype == found[0].gains.dtype == np.float32
    first, second = pairs[0]
    shifted = GaussianNoise.of_halves(first, second + 5)
    np.testing.assert_allclose(shifted.levels()[1:], found[0].levels()[1:], rtol=1e-8)
    assert shifted.levels()[0] == pytest.approx(
        np.pi * (np.mean(first - second) - 5) ** 2, rel=1e-2
    )


def test_uneven_noise_has_the_local_deviation(uneven):
    maps, factor = uneven
    noise = GaussianNoise.of_halves(20 + maps[0], 20 - maps[0], dtype=np.float64)
    assert not noise.is_uniform
    amplitude = np.asarray(noise.amplitude)
    assert np.mean(amplitude**2) == pytest.approx(1, rel=1e-12)
    # At the centre of a cell of 256 pixels it is what the cell says, which has 192 free numbers a
    # map; within half a pixel the variance changes by less than three percent.
    cells = (factor**2).reshape(48, 256).mean(axis=1)
    centres = healpy.ang2pix(32, *healpy.pix2ang(2, np.arange(48), nest=True), nest=True)
    many = np.asarray(GaussianNoise.of_realizations(maps, dtype=np.float64).amplitude)
    for found, count in ((amplitude, 1), (many, 16)):
        local = found[centres] ** 2
        error = 0.03 + 5 * np.sqrt(2 / 192 / count)
        assert (np.abs(local / local.mean() / (cells / cells.mean()) - 1) < error).all()
    assert np.corrcoef(many, factor)[0, 1] > 0.97
    # Its draws are as uneven as it is, and have its spectrum.
    drawn_maps = drawn(noise, 8, 100)
    north = np.mean(drawn_maps[:, factor > 2] ** 2) / np.mean(drawn_maps[:, factor < 2] ** 2)
    expected = np.mean(amplitude[factor > 2] ** 2) / np.mean(amplitude[factor < 2] ** 2)
    assert expected > 1.8 and north == pytest.approx(expected, rel=0.05)


def test_more_realizations_tell_more(uneven):
    """Variances that differ by six percent are within the scatter of one map, not of sixteen."""
    maps, factor = uneven
    weak = maps / factor * (1 + 0.05 * (factor - 2))
    assert GaussianNoise.of_realizations(weak[:1]).is_uniform
    found = GaussianNoise.of_realizations(weak)
    assert not found.is_uniform and np.corrcoef(found.amplitude, factor)[0, 1] > 0.8


def test_an_offset_does_not_hide_that_noise_is_uneven(uneven):
    maps, _ = uneven
    plain = GaussianNoise.of_halves(maps[0], -maps[0])
    shifted = GaussianNoise.of_halves(maps[0] + 100, -maps[0])
    assert not shifted.is_uniform
    np.testing.assert_allclose(shifted.amplitude, plain.amplitude, rtol=1e-5)


MAP = np.random.default_rng(0).standard_normal(NPIX)


@pytest.mark.parametrize(
    ("deviation", "message"),
    [
        (0.0, "got 1 of 1 that are not positive, expected positive numbers"),
        (-1, "got 1 of 1 that are not positive"),
        (np.maximum(MAP, 0), r"got \d+ of 768 that are not positive"),
        (np.nan, "got 1 of 1 pixels NaN"),
        (np.where(MAP > 2, np.inf, 1), r"got \d+ of 768 pixels infinite"),
        (np.ones(192), r"got 192 pixels \(nside 4\), expected 768 \(nside 8\)"),
        (np.ones(100), "got 100 pixels, expected 12 nside"),
        (np.ones((2, NPIX)), r"got an array of shape \(2, 768\), expected one map"),
        (1 + 0j, "got complex values"),
        (DEVIATION + 0j, "got complex values"),
        (True, "got boolean values"),
        ("a", "got unsuitable values"),
        (None, "got unsuitable values"),
        ([[1.0, 2.0], [3.0]], "got list, which NumPy cannot convert"),
    ],
    ids=str,
)
def test_bad_deviations_are_refused(deviation, message):
    with pytest.raises(ValueError, match=f"^standard_deviation: {message}"):
        GaussianNoise.white(deviation, NSIDE)


def test_a_map_of_integers_becomes_floats_with_a_warning():
    with pytest.warns(UserWarning, match="^standard_deviation: integer values"):
        noise = GaussianNoise.white(np.full(NPIX, 2), NSIDE)
    assert noise.amplitude.dtype == np.float32 and (noise.amplitude == 2).all()


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (-RED, "spectrum: got 24 of 24 that are negative or not finite"),
        (np.append(RED, np.nan), "spectrum: got 1 of 25 that are negative or not finite"),
        (np.append(RED, np.inf), "spectrum: got 1 of 25 that are negative or not finite"),
        (0 * RED, "spectrum: got zero up to l = 23, expected some power"),
        (np.append(0 * RED, 1), "spectrum: got zero up to l = 23"),
        (np.ones((2, 24)), r"spectrum: got shape \(2, 24\), expected C_l from l = 0 on"),
        ([], r"spectrum: got shape \(0,\)"),
        (1.0, r"spectrum: got shape \(\)"),
        (RED + 0j, "spectrum: got complex values"),
        (None, "spectrum: got unsuitable values"),
        ([[1.0, 2.0], [3.0]], "spectrum: got list, which NumPy cannot convert"),
    ],
    ids=str,
)
def test_bad_spectra_are_refused(spectrum, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        GaussianNoise.of_spectrum(spectrum, NSIDE)


@pytest.mark.parametrize("nside", [3, 0, 2.0, None])
def test_what_is_no_nside_is_refused(nside):
    for build in (GaussianNoise.white, GaussianNoise.of_spectrum):
        with pytest.raises(ValueError, match="^nside: got .*, expected a power of two"):
            build(np.ones(24), nside)


@pytest.mark.parametrize("nside", [1, 512])
def test_noise_of_a_spectrum_has_an_nside_up_to_256(nside):
    message = rf"nside: got {nside}, expected 2 to 256 for noise of a power spectrum \(beyond,"
    maps = np.arange(12.0 * nside**2)
    with pytest.raises(ValueError, match=f"^{message}"):
        GaussianNoise.of_spectrum(RED, nside)
    with pytest.raises(ValueError, match=f"^first: {message}"):
        GaussianNoise.of_halves(maps, -maps)
    with pytest.raises(ValueError, match=f"^maps: {message}"):
        GaussianNoise.of_realizations(maps[None])
    assert GaussianNoise.white(1.0, nside).npix == maps.size


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (MAP, MAP, "second: got the first map again, expected one with other noise"),
        (MAP, None, "second: got unsuitable values"),
        (None, MAP, "first: got unsuitable values"),
        (MAP, np.arange(192.0), r"second: got 192 pixels \(nside 4\), expected 768"),
        (MAP[:100], MAP, "first: got 100 pixels"),
        (MAP, np.where(MAP > 2, np.nan, MAP), r"second: got \d+ of 768 pixels NaN"),
        (np.where(MAP > 2, -1.6375e30, MAP), MAP, r"first: got \d+ of 768 pixels UNSEEN"),
        (MAP, 0 * MAP, "second: got the same value 0 in every pixel"),
        (MAP + 0j, MAP, "first: got complex values"),
        (MAP, [[1.0, 2.0], [3.0]], "second: got list, which NumPy cannot convert"),
        (MAP, MAP[None], r"second: got an array of shape \(1, 768\)"),
    ],
    ids=str,
)
def test_bad_half_missions_are_refused(first, second, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        GaussianNoise.of_halves(first, second)


def test_half_missions_of_integers_become_floats_with_a_warning():
    whole = np.round(100 * MAP).astype(int)
    with pytest.warns(UserWarning, match="^second: integer values"):
        found = GaussianNoise.of_halves(-whole.astype(float), whole)
    np.testing.assert_array_equal(
        found.levels(), GaussianNoise.of_halves(-whole.astype(float), whole + 0.0).levels()
    )


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (MAP, r"got shape \(768,\), expected realizations \(n, npix\)"),
        (np.empty((0, NPIX)), r"got shape \(0, 768\)"),
        (np.stack([MAP, 0 * MAP]), "got the same value in every pixel"),
        (np.stack([MAP, np.nan * MAP]), "got 768 of 1536 pixels NaN"),
        (MAP[None, :100], "got 100 pixels"),
        (MAP[None] + 0j, "got complex values"),
    ],
    ids=str,
)
def test_bad_realizations_are_refused(maps, message):
    with pytest.raises(ValueError, match=f"^maps: {message}"):
        GaussianNoise.of_realizations(maps)


@pytest.mark.parametrize("share", [0.85, 0.5, 0.25])
def test_half_missions_of_a_part_of_the_sky_tell_the_noise_of_that_part(share):
    generator = np.random.default_rng(5)
    height = healpy.pix2vec(32, np.arange(12288), nest=True)[2]
    seen = height > 1 - 2 * share
    first, second = 100 + np.sqrt(2) * generator.standard_normal((2, 12288))
    filled = [np.where(seen, map, 7.0) for map in (first, second)]
    noise = GaussianNoise.of_halves(*filled, mask=seen, dtype=np.float64)
    assert noise.is_uniform
    maps = drawn(noise, 6)
    assert np.var(maps[:, seen]) == pytest.approx(np.var((first - second)[seen] / 2), rel=0.03)
    # What stands in the other pixels does not matter.
    broken = [np.where(seen, map, np.nan) for map in (first, second)]
    again = GaussianNoise.of_halves(*broken, mask=seen, dtype=np.float64)
    np.testing.assert_allclose(again.levels(), noise.levels(), rtol=1e-6)


def test_uneven_noise_of_a_part_of_the_sky_is_recognized_up_to_its_edge():
    height = healpy.pix2vec(32, np.arange(12288), nest=True)[2]
    seen = height > 0
    deviation = 1 + 0.7 * height
    first, second = deviation * np.sqrt(2) * np.random.default_rng(6).normal(size=(2, 12288))
    noise = GaussianNoise.of_halves(first, second, mask=seen, dtype=np.float64)
    assert not noise.is_uniform
    found = np.std(drawn(noise, 12), axis=0)
    for near in (seen & (height < 0.15), seen & (height > 0.8)):
        ratio = np.sqrt(np.mean(found[near] ** 2) / np.mean(deviation[near] ** 2))
        assert ratio == pytest.approx(1.0, abs=0.1)


def test_a_mask_of_half_missions_has_their_pixels():
    maps = np.random.default_rng(7).standard_normal((2, 768))
    with pytest.raises(ValueError, match=r"^mask: got shape \(192,\), expected \(768,\)"):
        GaussianNoise.of_halves(*maps, mask=np.ones(192))
    with pytest.raises(ValueError, match="^first"):
        GaussianNoise.of_halves(maps[0] * 1j, maps[1], mask=np.ones(768))
