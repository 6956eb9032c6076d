"""The form of several fields that holds their spectra, against healpy and differences."""

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.field_starts import gaussian_fields
from jaxscat.harmonics.cross_spectra import spectrum_matrices
from jaxscat.parametrizations.harmonic_fields import harmonic_fields_form

NSIDE, LMAX = 8, 16


def drawn(seed, *, last_of_t=LMAX):
    """T, E and B with a slope; E is correlated with T, B with E, and E and B end at LMAX."""
    generator = np.random.default_rng(seed)
    white = [healpy.map2alm(one) for one in generator.normal(size=(3, 12 * NSIDE**2))]
    ell = np.maximum(np.arange(3 * NSIDE), 1)
    slope = ell**-1.0
    inside = (ell <= LMAX) & (ell >= 2)
    t = healpy.almxfl(white[0], slope * (ell <= last_of_t))
    e = healpy.almxfl(white[0] + white[1], slope * inside)
    b = healpy.almxfl(0.5 * white[1] + white[2], 0.3 * slope * inside)
    maps = {"T": t, "E": e, "B": b}
    return {
        name: healpy.reorder(healpy.alm2map(alm, NSIDE), r2n=True) + 5 * (name == "T")
        for name, alm in maps.items()
    }


@pytest.fixture(scope="module")
def originals():
    return drawn(0)


@pytest.fixture(scope="module")
def form(originals):
    return harmonic_fields_form(originals, dtype=np.float64)


@pytest.fixture(scope="module")
def made(form):
    """Maps of fields that are neither white nor independent."""
    fields = np.random.default_rng(1).normal(size=(3, 12 * NSIDE**2))
    fields[1] += 0.7 * fields[0]
    fields[2] *= np.linspace(0.2, 2.0, fields.shape[1])
    maps = jax.jit(lambda form, parameters: form.maps(parameters))
    return {name: np.asarray(map) for name, map in maps(form, fields.ravel()).items()}


def spectra(maps):
    return spectrum_matrices(np.stack([maps[name] for name in "TEB"]))


def relative(found, expected):
    power = np.sqrt(np.einsum("lii->li", expected))
    return np.abs(found - expected) / (power[:, :, None] * power[:, None])


def test_all_spectra_are_those_of_the_originals_whatever_the_fields(originals, made):
    found = relative(spectra(made), spectra(originals))
    # The transposed synthesis is no exact analysis.
    assert found[4:LMAX].max() < 0.03
    assert np.einsum("lii->li", found)[2:4].max() < 0.03  # few modes: power alone
    assert found[2:4].max() > 0.1


def test_means_and_spreads(originals, made):
    for name, original in originals.items():
        assert made[name].std() == pytest.approx(original.std(), rel=0.02)
    assert made.keys() == {"T", "E", "B"}


def test_other_pairs_have_no_common_power(originals):
    even, named = (
        harmonic_fields_form(originals, dtype=np.float64, **options)
        for options in ({"parity": "even"}, {"pairs": ["TT", "EE", "BB", "TE"]})
    )
    np.testing.assert_array_equal(even.roots, named.roots)
    assert np.abs(np.asarray(even.roots)[:, :2, 2]).max() == 0
    assert np.abs(np.asarray(even.roots)[4:LMAX, 0, 1]).min() > 0


@pytest.mark.parametrize("last_of_t", [LMAX, 3 * NSIDE - 1])
def test_fields_of_maps_have_these_maps(last_of_t):
    """Also where T goes on beyond the band limit of E and B."""
    originals = drawn(2, last_of_t=last_of_t)
    form = harmonic_fields_form(originals, dtype=np.float64)
    start = gaussian_fields(originals, 3)
    fields = form.parameters(start)
    assert fields.shape == (form.size,) and np.isfinite(fields).all()
    # By the linear filter, without holding the spectra.
    white = fields.reshape(3, -1)
    expected = np.stack([start[name] for name in form.names]).astype(np.float64)
    expected = (expected - np.asarray(form.mean)[:, None]) / np.asarray(form.spread)[:, None]
    found = filtered(form, white)
    assert (
        np.std(found - expected) < 1e-3
    )  # of their spreads; holding the spectra changes them more


def filtered(form, fields):
    roots, beyond = np.asarray(form.roots), np.asarray(form.beyond)
    last = len(roots) - 1
    ell = healpy.Alm.getlm(last)[0]
    ringed = [healpy.reorder(one, n2r=True) for one in fields]
    alm = np.stack([healpy.map2alm(one, lmax=last, iter=0) for one in ringed])
    gains = roots - np.diag(beyond)
    mixed = np.einsum("mij,jm->im", gains[ell], alm)
    maps = [healpy.alm2map(one, NSIDE, lmax=last) for one in mixed]
    whole = np.stack(maps) + beyond[:, None] * np.stack(ringed)
    return np.stack([healpy.reorder(one, r2n=True) for one in whole])


def test_derivatives_agree_with_differences(form):
    generator = np.random.default_rng(4)
    weights = {name: generator.normal(size=12 * NSIDE**2) for name in "TEB"}
    fields, direction = generator.normal(size=(2, form.size))

    @jax.jit
    def value(parameters, form):
        maps = form.maps(parameters)
        return sum(jnp.sum(weights[name] * maps[name] ** 2) for name in "TEB")

    gradient = jax.jit(jax.grad(value))(fields, form)
    step = 1e-4
    ends = [float(value(fields + sign * step * direction, form)) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    assert float(gradient @ direction) == pytest.approx(expected, rel=1e-6)


MAP = np.random.default_rng(5).normal(size=12 * NSIDE**2)
BAD = {
    "no dictionary": ({"originals": MAP}, "^originals: got"),
    "constant": ({"originals": {"T": MAP, "E": 0 * MAP}}, r"^originals\['E'\]: got"),
    "nside": ({"originals": {"T": MAP, "E": MAP[:192]}}, r"^originals\['E'\]: got 192 pixels"),
    "parity": ({"parity": "odd"}, "^parity: got 'odd'"),
    "unknown parity": (
        {"originals": {"E1": MAP, "B1": MAP}, "parity": "even"},
        "^parity: got 'even' for the field 'B1'",
    ),
    "pairs": ({"pairs": ["TX"]}, "^pairs: got 'TX'"),
    "dtype": ({"dtype": np.int32}, "^dtype: got"),
    "footprint": ({"footprint": np.ones((2, MAP.size))}, "^footprint: got shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    options, message = BAD[case]
    arguments = {"originals": {"T": MAP, "E": MAP[::-1]}, "dtype": np.float64} | options
    with pytest.raises(ValueError, match=message):
        harmonic_fields_form(**arguments)


def test_maps_without_a_field_are_refused(form, originals):
    with pytest.raises(ValueError, match="^maps: got .*, expected maps of T, E, B"):
        form.parameters({"T": originals["T"]})


def test_fields_are_found_where_one_run_of_conjugate_gradients_does_not_find_them():
    """E and B end at 2 nside, so that the filter is nearly singular beyond; healpy's seed 24."""
    ell = np.arange(2, 3 * NSIDE)
    spectra = np.zeros((4, 3 * NSIDE))
    spectra[:, 2:] = np.array([[1.0], [0.1], [0.05], [0.5 * 0.1**0.5]]) * ell**-1.5
    np.random.seed(24)
    sky = healpy.synfast(spectra, NSIDE, lmax=3 * NSIDE - 1, new=True)
    _, e, b = (healpy.alm2map(alm, NSIDE) for alm in healpy.map2alm(sky, lmax=LMAX, iter=3))
    maps = dict(zip("TEB", (healpy.reorder(map, r2n=True) for map in (sky[0], e, b)), strict=True))
    form, start = harmonic_fields_form(maps, dtype=np.float64), gaussian_fields(maps, 24)
    fields = form.parameters(start).reshape(3, -1)
    for made, name, level, spread in zip(
        filtered(form, fields), form.names, form.mean, form.spread, strict=True
    ):
        given = (start[name] - level) / spread
        assert np.std(made - given) < 1e-5 * np.std(given)
