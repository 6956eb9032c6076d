"""Starts of several fields: their spectra over many seeds, and what they depend on."""

import healpy
import numpy as np
import pytest

from jaxscat.fields.field_starts import gaussian_fields, white_fields
from jaxscat.fields.starts import gaussian_noise, white_noise

NSIDE, NPIX, LAST = 8, 768, 23
KINDS = [gaussian_fields, white_fields]


@pytest.fixture(scope="module")
def originals():
    """Correlated maps of different units and slopes, T with a mean and B of no power in EB."""
    np.random.seed(1)
    multipole = np.arange(LAST + 1)
    tt = np.append([0.0, 0.0], multipole[2:] ** -2.0)
    spectra = (100 * tt, tt**1.2, 0.3 * tt, 6 * tt**1.1, 0.2 * tt**1.1, 2.0 * tt)
    t, e, b = healpy.synalm(spectra, lmax=LAST, new=True)
    maps = (healpy.alm2map(one, NSIDE, lmax=LAST) for one in (t, e, b))
    maps = dict(zip("TEB", (healpy.reorder(map, r2n=True) for map in maps), strict=True))
    return maps | {"T": maps["T"] + 50}


def all_spectra(maps):
    """TT, EE, BB, TE, TB and EB as `[field, field, l]`."""
    harmonics = [
        healpy.map2alm(healpy.reorder(np.asarray(map, float) - np.mean(map), n2r=True), iter=3)
        for map in maps.values()
    ]
    return np.array([[healpy.alm2cl(one, other) for one in harmonics] for other in harmonics])


def test_all_spectra_are_those_of_the_originals(originals):
    count = 300
    expected = all_spectra(originals)
    found = np.array([all_spectra(gaussian_fields(originals, seed)) for seed in range(count)])
    # Beyond twice the nside, pixels do not sample harmonics well.
    for multipole in range(2, 2 * NSIDE + 1):
        spectra = expected[..., multipole]
        auto = np.diagonal(spectra)
        scatter = np.sqrt((spectra**2 + np.outer(auto, auto)) / (2 * multipole + 1) / count)
        difference = found[..., multipole].mean(axis=0) - spectra
        allowed = 4 * scatter + 0.01 * np.sqrt(np.outer(auto, auto))
        assert (np.abs(difference) <= allowed).all(), multipole
    # Single seeds scatter about them as Gaussian skies do.
    some = slice(4, 2 * NSIDE)
    ratio = found[:, 0, 1, some].std(axis=0) / np.sqrt(
        (expected[0, 1] ** 2 + expected[0, 0] * expected[1, 1])[some]
        / (2 * np.arange(LAST + 1)[some] + 1)
    )
    np.testing.assert_allclose(ratio, 1, atol=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_starts_are_float32_maps_of_their_seed_alone(originals, kind):
    first = kind(originals, 3)
    assert {(map.dtype.name, map.shape) for map in first.values()} == {("float32", (NPIX,))}
    turned = kind(dict(reversed(originals.items())), 3)
    assert (list(first), list(turned)) == (["T", "E", "B"], ["B", "E", "T"])
    other = kind(originals, 4)
    for name in "TEB":
        np.testing.assert_array_equal(turned[name], first[name])
        assert abs(np.corrcoef(other[name], first[name])[0, 1]) < 0.5
        assert not np.array_equal(other[name], first[name])
        mean = originals[name].mean()
        spread = originals[name].std()
        assert abs(first[name].mean() - mean) < (1e-4 if kind is gaussian_fields else 0.2) * spread
        assert first[name].std() == pytest.approx(spread, rel=0.6)


def test_white_fields_are_independent(originals):
    maps = white_fields(originals, 5)
    correlation = np.corrcoef([maps[name] for name in "TEB"])
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.15)
    for name, map in maps.items():
        assert map.std() == pytest.approx(originals[name].std(), rel=0.1)


def test_one_field_is_that_of_a_single_map(originals):
    for fields, single in ((gaussian_fields, gaussian_noise), (white_fields, white_noise)):
        found = fields({"T": originals["T"]}, 7)["T"]
        expected = single(originals["T"], 7)
        spread = originals["T"].std()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * spread)


@pytest.mark.parametrize("kind", KINDS)
def test_a_footprint_gives_means_and_spectra_inside(kind):
    generator = np.random.default_rng(0)
    t, e = generator.normal(5.0, 2.0, size=(2, NPIX))
    e = 0.6 * t + 0.8 * e
    footprint = np.where(np.arange(NPIX) < 400, 0.25 + generator.random(NPIX) / 2, 0.0)
    # What is hidden does not matter.
    hidden = {"T": np.where(footprint == 0, np.nan, t), "E": np.where(footprint == 0, 1e6, e)}
    maps = [kind(hidden, seed, footprint=footprint) for seed in range(40)]
    first, same = maps[0], kind({"T": t, "E": e}, 0, footprint=footprint)
    for name, original in (("T", t), ("E", e)):
        np.testing.assert_allclose(first[name], same[name], rtol=1e-5)
        inside = np.average(original, weights=footprint)
        spread = np.sqrt(np.average((original - inside) ** 2, weights=footprint))
        means = [np.average(map[name], weights=footprint) for map in maps]
        np.testing.assert_allclose(means, inside, atol=1e-4 if kind is gaussian_fields else 0.6)
        assert np.std([map[name] for map in maps]) == pytest.approx(spread, rel=0.1)
    expected = np.corrcoef(t[:400], e[:400])[0, 1] if kind is gaussian_fields else 0
    found = np.mean([np.corrcoef(map["T"], map["E"])[0, 1] for map in maps])
    # Pixels beyond the last multipole are not correlated.
    assert 0.6 * expected - 0.05 <= found <= expected + 0.05


def test_fields_without_small_scales_have_none():
    """Of maps of l <= nside, beyond which nothing is drawn but what quadrature leaves."""
    np.random.seed(2)
    spectrum = np.append([0, 0], np.arange(2, NSIDE + 1) ** -2.0)
    t, e = (healpy.synfast(spectrum, NSIDE, lmax=NSIDE) for _ in range(2))
    maps = {"T": healpy.reorder(t, r2n=True), "E": healpy.reorder(t + 0.5 * e, r2n=True)}
    found = all_spectra(gaussian_fields(maps, 1))
    for i in range(2):
        assert found[i, i, NSIDE + 1 :].max() < 1e-4 * found[i, i, 2 : NSIDE + 1].min()


def test_a_field_that_is_another_stays_so(originals):
    """The matrix of the spectra is singular then."""
    made = gaussian_fields({"T": originals["T"], "E": -2 * originals["T"], "B": originals["B"]}, 1)
    t, e = (made[name] - made[name].mean() for name in "TE")
    smooth = [healpy.alm2cl(healpy.map2alm(healpy.reorder(m, n2r=True), lmax=16)) for m in (t, e)]
    np.testing.assert_allclose(smooth[1][2:], 4 * smooth[0][2:], rtol=1e-3)
    assert np.corrcoef(t, e)[0, 1] < -0.99


def test_a_constant_field_stays_constant(originals):
    made = gaussian_fields({"T": originals["T"], "B": np.full(NPIX, 3.0)}, 1)
    np.testing.assert_allclose(made["B"], 3.0, rtol=1e-6)


MAP = np.random.default_rng(0).normal(size=NPIX)
BAD = {
    "array": ({"originals": MAP}, r"^originals: got an array .*, expected maps by field such as"),
    "empty": ({"originals": {}}, "^originals: got {}, expected maps by field"),
    "a number": ({"originals": {1: MAP, "E": MAP}}, "^originals: got the field 1, expected a name"),
    "nside": ({"originals": {"T": MAP, "E": MAP[:192]}}, r"^originals\['T'\]: got 768 pixels"),
    "npix": ({"originals": {"T": MAP[:700]}}, r"^originals\['T'\]: got 700 pixels"),
    "NaN": ({"originals": {"E": MAP * np.nan}}, r"^originals\['E'\]: got 768 of 768 pixels NaN"),
    "complex": ({"originals": {"E": MAP * 1j}}, r"^originals\['E'\]: got complex values"),
    "axes": ({"originals": {"E": MAP.reshape(2, -1)}}, r"^originals\['E'\]: got an array of shape"),
    "seed": ({"seed": -1}, "^seed: got -1, expected an integer from 0"),
    "footprint": ({"footprint": np.ones(48)}, "^footprint: got 48 pixels, expected 768"),
    "footprints": (
        {"footprint": np.ones((2, NPIX))},
        r"^footprint: got shape \(2, 768\), expected",
    ),
    "no weight": ({"footprint": np.zeros(NPIX)}, "^footprint: got zero in every pixel"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(kind, case):
    changes, message = BAD[case]
    arguments = {"originals": {"T": MAP, "E": MAP}, "seed": 1, **changes}
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


@pytest.mark.parametrize("options", [{"parity": "even"}, {"pairs": ["TT", "TE"]}])
def test_pairs_that_do_not_count_have_nothing_in_common(originals, options):
    """A loss that does not see TB and EB would leave them as those of the originals."""
    found = np.mean(
        [all_spectra(gaussian_fields(originals, seed, **options)) for seed in range(60)], axis=0
    )
    some = slice(4, 2 * NSIDE)
    power = np.sqrt(np.einsum("iil->il", found))[:, some]
    correlation = found[..., some].sum(-1) / (power @ power.T)
    expected = all_spectra(originals)[..., some]
    assert abs(correlation[0, 2]) < 0.03 and abs(correlation[1, 2]) < 0.03
    te = expected[0, 1].sum() / np.sqrt(expected[0, 0].sum() * expected[1, 1].sum())
    assert correlation[0, 1] == pytest.approx(te, abs=0.15)
    for field in range(3):
        ratio = found[field, field, some].sum() / expected[field, field].sum()
        assert ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parity": "odd"}, "^parity: got 'odd'"),
        ({"pairs": ["TX"]}, "^pairs: got 'TX'"),
        ({"pairs": ["TE", "ET"]}, "^pairs: got ET twice"),
    ],
)
def test_bad_pairs_and_parities_are_named(originals, options, message):
    with pytest.raises(ValueError, match=message):
        gaussian_fields(originals, 0, **options)
