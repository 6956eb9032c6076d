"""E and B come out of noise together, with what they have in common with a known map."""

import equinox as eqx
import healpy
import jax
import numpy as np
import pytest

from jaxscat.fields.field_noise import SeparateNoise
from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import NoiseMaps
from jaxscat.fields.polarization_noise import PolarizationNoise
from jaxscat.harmonics.polarization import eb_from_qu
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.reconstruction.calibration import calibrate
from jaxscat.reconstruction.denoise_fields import denoise_fields
from jaxscat.reconstruction.field_term import StackPixels, StackScattering, check_unknown_pairs
from jaxscat.reconstruction.observed_fields import observe_fields
from jaxscat.reconstruction.options import Renewals, TermOptions
from jaxscat.reconstruction.template_filter import template_weights, template_wiener_filter
from jaxscat.reconstruction.terms import build_terms
from jaxscat.reconstruction.wiener import wiener_filter
from jaxscat.statistics.fields import measure_fields

FEW = Renewals(number=2, steps=8, realizations=16)


@pytest.fixture(scope="module")
def sky(draw_field):
    """T, and E and B of which E shares its structures; data of signal-to-noise one."""
    structure, other, third = (np.exp(draw_field(seed)) for seed in (1, 2, 3))
    maps = {"T": structure, "E": structure + 0.7 * other, "B": third}
    return {field: (map - map.mean()) / map.std() for field, map in maps.items()}


@pytest.fixture(scope="module")
def draw_field():
    """A function that draws a red Gaussian NESTED map of variance one."""
    multipole = np.arange(24)

    def drawn(seed):
        generator = np.random.default_rng(seed)
        size = healpy.Alm.getsize(23)
        harmonics = generator.normal(size=size) + 1j * generator.normal(size=size)
        map = healpy.alm2map(healpy.almxfl(harmonics, 1 / (multipole + 2.0)), 8, lmax=23)
        return healpy.reorder(map / map.std(), r2n=True)

    return drawn


@pytest.fixture(scope="module")
def data(sky):
    generator = np.random.default_rng(7)
    return {field: sky[field] + generator.normal(size=768) for field in "EB"}


@pytest.fixture(scope="module")
def white():
    return GaussianNoise.white(1.0, 8, dtype=np.float64)


@pytest.fixture(scope="module")
def together(sky, data, small, white):
    noise = {"E": white, "B": white}
    return denoise_fields(data, small, noise, templates={"T": sky["T"]}, renewals=FEW)


def test_fields_come_nearer_to_the_truth_with_and_without_a_template(sky, data, small, together):
    assert together.status in ("converged", "renewal limit")
    assert together.chi2["scattering"][-1] < together.chi2["scattering"][0]
    for field in "EB":
        assert together.maps[field].shape == (768,)
        errors = [np.std(maps[field] - sky[field]) for maps in (together.maps, data)]
        assert errors[0] < 0.8 * errors[1], field
        np.testing.assert_allclose(together.maps[field].mean(), data[field].mean(), atol=0.05)
    known = {"T": sky["T"]}
    found, noisy, wanted = (
        measure_fields({**maps, **known}, small) for maps in (together.maps, data, sky)
    )
    for pair in ("EE", "BB", "TE"):
        errors = [np.linalg.norm(of[pair].s4 - wanted[pair].s4) for of in (found, noisy)]
        assert errors[0] < errors[1], pair


def test_the_result_names_fields_and_baselines(sky, data, together):
    assert together.fields == ("E", "B") and together.seeds is None
    names = ["data", "wiener", "square-root wiener"]
    used = ["wiener with templates", "square-root wiener with templates"]
    assert list(together.baselines) == [*names, *used]
    np.testing.assert_allclose(together.baselines["data"]["B"], data["B"], rtol=1e-12)
    kept = together.statistics["scattering"]
    assert kept["target"].keys() == ("EE", "BB", "TE", "TB", "EB")
    errors = {name: np.std(maps["E"] - sky["E"]) for name, maps in together.baselines.items()}
    assert errors["wiener with templates"] < 0.9 * errors["wiener"]
    assert together.meaning and not together.interrupted and together.evaluations > 1


def test_one_field_alone_has_the_calibrated_loss_of_denoise(data, small, white):
    observed = observe_fields({"E": data["E"]}, None, small)
    (one,) = observed.each
    term = StackScattering.of(("E",), {}, (("E", "E"),), small)
    alone = build_terms({"scattering": TermOptions()}, one, small, white)["scattering"]
    noise = SeparateNoise(("E",), (white,))
    map = 0.5 * one.values
    stacked = calibrate({"scattering": term}, one.values[None], map[None], noise, 3, 16)
    plain = calibrate({"scattering": alone}, one.values, map, white, 3, 16)
    for name in ("mean", "sigma", "map", "data"):
        found, expected = (getattr(of, name)["scattering"] for of in (stacked, plain))
        for group, values in expected.groups().items():
            np.testing.assert_allclose(found["EE"].groups()[group], values, rtol=1e-9)
    placed = term.calibrated(stacked.mean["scattering"], stacked.sigma["scattering"])
    chi2 = alone.calibrated(plain.mean["scattering"], plain.sigma["scattering"])(map)
    each = placed.term.distances(stacked.map["scattering"])
    np.testing.assert_allclose(each["EE"], chi2, rtol=1e-9)
    assert placed(map[None]) >= chi2 > 1


def test_no_group_makes_up_for_another_one(sky, small):
    term = StackScattering.of(("E",), {}, (("E", "E"),), small)
    found = term.measure(sky["E"][None])
    sigma = jax.tree.map(lambda of: np.ones(of.shape), found)
    assert term.calibrated(found, sigma).distance(found) == 1
    far = eqx.tree_at(lambda of: of.statistics[0].s1, found, found["EE"].s1 + 3)
    near = term.calibrated(far, sigma).distance(found)
    np.testing.assert_allclose(near, 1 + 0.2 * (3**2 - 1), rtol=1e-12)


def test_seeds_have_starts_of_their_own_and_units_do_not_matter(sky, data, small, white, tmp_path):
    known = {"T": sky["T"]}
    options = {"templates": known, "renewals": FEW, "seeds": [5, 2]}
    found = denoise_fields(data, small, {"E": white, "B": white}, **options)
    assert found.seeds == (5, 2) and found.maps["E"].shape == found.maps["B"].shape == (2, 768)
    assert found.of_seed(2).maps["B"].shape == found.mean["B"].shape == (768,)
    for field in "EB":
        assert found.spread[field].mean() > 0.1
    # E and B in units of their own, and a checkpoint that is not used.
    units = {"E": 1e3, "B": 1e-4}
    scaled = {field: unit * data[field] + unit for field, unit in units.items()}
    noise = {field: GaussianNoise.white(unit, 8, dtype=np.float64) for field, unit in units.items()}
    options |= {"checkpoints": Checkpoints(tmp_path)}
    other = denoise_fields(scaled, small, noise, **options)
    for field, unit in units.items():
        np.testing.assert_allclose(other.maps[field] / unit - 1, found.maps[field], atol=1e-6)


def test_a_field_without_signal_is_denoised_beside_one_that_has_one(sky, data, small, white):
    loud = GaussianNoise.white(3.0, 8, dtype=np.float64)
    found = denoise_fields(data, small, {"E": white, "B": loud}, renewals=FEW)
    assert np.isfinite(found.chi2["scattering"]).all() and np.isfinite(found.maps["B"]).all()
    assert np.std(found.maps["B"]) < 0.5 * np.std(data["B"])
    assert np.std(found.maps["E"] - sky["E"]) < 0.8
    nothing = denoise_fields(data, small, {"E": loud, "B": loud}, renewals=FEW)
    assert nothing.status == "no signal" and nothing.evaluations == 0
    np.testing.assert_allclose(nothing.maps["E"], data["E"].mean(), rtol=1e-12)


def test_the_term_has_the_gradient_of_its_values(sky, data, small):
    fields, known = ("E", "B"), {"T": sky["T"]}
    pairs = check_unknown_pairs(None, fields, known)
    term = StackScattering.of(fields, known, pairs, small)
    stacked = np.stack([data["E"], data["B"]])
    term = term.calibrated(term.measure(np.stack([sky["E"], sky["B"]])), term.calibration[1])
    term = term.calibrated(
        term.calibration[0], jax.tree.map(lambda of: 1e-3 + 0.01 * np.abs(of), term.calibration[0])
    )
    value = jax.jit(term.__call__)
    gradient = jax.grad(lambda maps: term(maps))(stacked)
    direction = np.random.default_rng(3).normal(size=stacked.shape)
    step = 1e-6
    difference = (value(stacked + step * direction) - value(stacked - step * direction)) / step / 2
    np.testing.assert_allclose(np.vdot(gradient, direction), difference, rtol=1e-6)
    assert term.term.target.mean.keys() == ("EE", "BB", "TE", "TB", "EB")
    np.testing.assert_allclose(term(np.stack([sky["E"], sky["B"]])), 1)


def test_parameters_are_in_the_unit_of_every_field():
    form = StackPixels(np.array([2.0, 0.5]), 3)
    maps = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(form.parameters(maps), [0, 0.5, 1, 6, 8, 10])
    np.testing.assert_array_equal(form.maps(form.parameters(maps)), maps)
    assert form.size == 6


def test_noise_of_fields_is_that_of_each(white):
    red = GaussianNoise.of_spectrum(1 / (1.0 + np.arange(24)), 8, dtype=np.float64)
    noise = SeparateNoise(("E", "B"), (white, red))
    drawn = noise.draw(4, 2)
    np.testing.assert_array_equal(drawn[0], white.draw(4, 2))
    np.testing.assert_array_equal(drawn[1], red.draw((4 + 0x9E3779B9) % 2**32, 2))
    same = SeparateNoise(("E", "B"), (white, white)).draw(4, 2)
    assert abs(np.corrcoef(same)[0, 1]) < 0.2
    # Maps belong together by their number.
    maps = np.random.default_rng(0).normal(size=(9, 768))
    given = SeparateNoise(("E", "B"), (NoiseMaps(maps), NoiseMaps(-maps)))
    first, second = given.draw(4, 2)
    np.testing.assert_array_equal(second, -first)
    assert given.available == 9 and noise.available is None and noise.npix == 768


def test_noise_of_q_and_u_is_seen_in_e_and_b(white):
    height = healpy.pix2vec(8, np.arange(768), nest=True)[2]
    uneven = GaussianNoise.white(np.where(height > 0, 2.0, 0.5), 8, dtype=np.float64)
    noise = PolarizationNoise.of(uneven, white, dtype=np.float64)
    drawn = np.stack([noise.draw(1, number) for number in range(40)])
    qu = noise.qu.draw(1, 3)
    expected = eb_from_qu(*np.asarray(qu))
    np.testing.assert_allclose(drawn[3], np.stack(expected), atol=1e-10)
    for field, maps in zip("EB", drawn.swapaxes(0, 1), strict=True):
        variance = np.mean(maps**2, axis=0)
        assert variance[height > 0.2].mean() > 2 * variance[height < -0.2].mean()
        multipole = np.arange(24)
        levels = noise.levels_of(field)
        assert levels[-1] == 0 and not levels[:2].any() and not levels[17:-1].any()
        total = np.sum((2 * multipole + 1) * levels[:-1]) / (4 * np.pi)
        np.testing.assert_allclose(total, variance.mean(), rtol=0.1)


def test_fields_with_noise_of_q_and_u_are_denoised(sky, small):
    generator = np.random.default_rng(5)
    noise_map = eb_from_qu(*generator.normal(size=(2, 768)))
    band = dict(zip("EB", noise_map, strict=True))
    data = {field: sky[field] + band[field] for field in "EB"}
    white = GaussianNoise.white(1.0, 8, dtype=np.float64)
    noise = PolarizationNoise.of(white, white, dtype=np.float64)
    found = denoise_fields(data, small, noise, renewals=FEW)
    for field in "EB":
        assert np.std(found.maps[field] - sky[field]) < np.std(band[field])


def test_weights_of_templates_are_those_of_a_regression(sky, draw_field):
    one, other = draw_field(4), draw_field(5)
    weights = template_weights(2 * one - 0.5 * other, np.stack([one, other]))
    assert weights.shape == (2, 25) and not weights[:, [0, -1]].any()
    np.testing.assert_allclose(weights[0, 1:-1], 2, atol=1e-9)
    np.testing.assert_allclose(weights[1, 1:-1], -0.5, atol=1e-9)
    # A template twice is a template once.
    twice = template_weights(one, np.stack([one, one]))
    np.testing.assert_allclose(twice.sum(axis=0)[1:-1], 1, atol=1e-9)


def test_the_filter_with_a_template_is_the_joint_wiener_filter(draw_field):
    """Of Gaussian fields with C_TE = C_EE / 2 and white noise: the 2 x 2 solution per multipole."""
    shared, own = draw_field(6), draw_field(8)
    truth, template = shared + own, shared
    data = truth + np.random.default_rng(9).normal(size=768)
    white = GaussianNoise.white(1.0, 8, dtype=np.float64)
    level = 0.5 / (np.arange(24) + 2.0) ** 2
    level *= 4 * np.pi / np.sum((2 * np.arange(24) + 1) * level)
    weights = np.append(np.ones((1, 24)), [[0.0]], axis=1)
    weights[0, 0] = 0
    found = template_wiener_filter(data, 2 * level, white, template[None], weights)
    expected = template + wiener_filter(data - template, level, white)
    assert np.std(found - expected) < 0.1 * np.std(expected)
    plain = wiener_filter(data, 2 * level, white)
    assert np.std(found - truth) < 0.9 * np.std(plain - truth)


def refused(match, data, small, noise, **options):
    with pytest.raises(ValueError, match=match):
        denoise_fields(data, small, noise, **options)


def test_bad_fields_are_named(sky, data, small, white):
    noise = {"E": white, "B": white}
    refused(r"^data: got an array of float64", data["E"], small, noise)
    refused(r"^data\['E'\]: got shape \(192,\)", {"E": data["E"][:192]}, small, {"E": white})
    bad = {**data, "B": np.where(np.arange(768) == 3, np.nan, data["B"])}
    refused(r"^data\['B'\]: got 1", bad, small, noise)
    refused(r"^templates: got E, which is a field of the data", data, small, noise, templates=sky)
    constant = {"T": np.ones(768)}
    refused(r"^templates\['T'\]: got the same value 1", data, small, noise, templates=constant)


def test_noise_of_other_fields_is_named(data, small, white):
    refused(r"^noise: got that of E, expected a noise model for each", data, small, {"E": white})
    refused(r"^noise: got GaussianNoise, expected a noise model for each", data, small, white)
    refused(r"^noise\['B'\]: got float", data, small, {"E": white, "B": 1.0})
    coarse = GaussianNoise.white(1.0, 4)
    model = PolarizationNoise.of(coarse, coarse)
    refused(r"^noise: got maps of 192 pixels, expected 768", data, small, model)
    refused(r"^noise: got that of E, B, expected that of", {"E": data["E"]}, small, model)
    with pytest.raises(ValueError, match="^u: got maps of 768 pixels, expected 192 as q"):
        PolarizationNoise.of(coarse, white)
    with pytest.raises(ValueError, match="^q: got 1.0, expected a noise model"):
        PolarizationNoise.of(1.0, white)


def test_pairs_and_starts_that_do_not_fit_are_named(sky, data, small, white):
    noise, known = {"E": white, "B": white}, {"T": sky["T"]}
    given = {"templates": known}
    refused(r"^pairs: got TT of templates", data, small, noise, pairs=["TT", "EE"], **given)
    refused(r"^pairs: got none with the field B", data, small, noise, pairs=["EE"], **given)
    refused(
        r"^pairs: got 'EX', expected names such as TT", data, small, noise, pairs=["EX"], **given
    )
    refused(r"^start: got maps of E, expected", data, small, noise, start={"E": data["E"]})
    refused(r"^start: got 'zero', expected a map or", data, small, noise, start="zero")
    short = {**data, "B": data["B"][:12]}
    refused(r"^start\['B'\]: got shape \(12,\)", data, small, noise, start=short)
    refused(r"^realizations: got 2", data, small, noise, renewals=Renewals(realizations=2))
