"""Cross spectra, against healpy's and against maps whose relation is known."""

import healpy
import numpy as np
import pytest

from jaxscat.harmonics.cross_spectra import correlation, cross_spectrum, polarized_spectra
from jaxscat.harmonics.spectra import angular_power_spectrum, multipole_bins

NSIDE = 8
NPIX = 12 * NSIDE**2
PAIRS = ["TT", "EE", "BB", "TE", "TB", "EB"]


@pytest.fixture(scope="module")
def fields():
    return dict(zip("TEB", np.random.default_rng(0).standard_normal((3, NPIX)), strict=True))


def ring(map):
    return healpy.reorder(map, n2r=True)


def test_spectra_are_those_of_healpy(fields):
    found = polarized_spectra(fields)
    assert list(found) == PAIRS
    for pair, spectrum in found.items():
        first, second = (fields[name] for name in pair)
        # Without the means, whose errors would leak to all l in healpy.
        expected = healpy.anafast(*(ring(one - one.mean()) for one in (first, second)), iter=3)
        assert spectrum.shape == (3 * NSIDE,)
        np.testing.assert_allclose(spectrum[1:], expected[1:], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(cross_spectrum(first, second), spectrum, rtol=1e-12)
        np.testing.assert_allclose(cross_spectrum(second, first), spectrum, rtol=1e-12)


def test_they_are_those_of_the_polarization_of_a_sky():
    """E and B as scalar maps have the spectra that healpy finds from Q and U."""
    band = NSIDE
    multipole = np.arange(band + 1.0)
    power = np.where(multipole < 2, 0.0, 1.0 / np.maximum(multipole, 1) ** 2)
    np.random.seed(0)
    given = (power, 0.3 * power, 0.1 * power, 0.3 * power)
    harmonics = healpy.synalm(given, lmax=band, new=True)
    sky = healpy.alm2map(harmonics, NSIDE, lmax=band)
    fields = {
        name: healpy.reorder(healpy.alm2map(one, NSIDE, lmax=band), r2n=True)
        for name, one in zip("TEB", harmonics, strict=True)
    }
    names = ["TT", "EE", "BB", "TE", "EB", "TB"]  # as healpy has them
    expected = dict(zip(names, healpy.alm2cl(harmonics), strict=True))
    again = dict(zip(names, healpy.anafast(sky, lmax=band), strict=True))
    found = polarized_spectra(fields)
    for pair in PAIRS:
        # Both transforms are approximate.
        least = 1e-3 * np.sqrt(expected[2 * pair[0]] * expected[2 * pair[1]]).max()
        for other in (expected, again):
            np.testing.assert_allclose(found[pair][: band + 1], other[pair], rtol=3e-3, atol=least)


def test_a_power_spectrum_is_that_of_a_map_with_itself(fields):
    expected = angular_power_spectrum(fields["T"])
    np.testing.assert_allclose(cross_spectrum(fields["T"], fields["T"]), expected, rtol=1e-12)


def test_the_mean_is_in_the_monopole():
    found = cross_spectrum(np.full(NPIX, 3.0), np.full(NPIX, 5.0))
    assert found[0] == pytest.approx(4.0 * np.pi * 15.0, rel=1e-12)
    np.testing.assert_allclose(found[1:], 0.0, atol=1e-20)


def test_only_pairs_of_given_maps_have_spectra(fields):
    polarization = {name: fields[name] for name in "BE"} | {"Q": fields["T"]}
    assert list(polarized_spectra(polarization)) == ["EE", "BB", "EB"]
    assert list(polarized_spectra({"T": fields["T"]})) == ["TT"]


def test_other_maps_have_spectra_by_their_names(fields):
    stokes = dict(zip("UQT", fields.values(), strict=True)) | {"E": fields["E"]}
    found = polarized_spectra(stokes, names="TQU")
    assert list(found) == ["TT", "QQ", "UU", "TQ", "TU", "QU"]
    np.testing.assert_allclose(found["TU"], polarized_spectra(fields)["TB"], rtol=1e-12)
    assert list(polarized_spectra({"Q": fields["T"]}, names=["T", "Q", "U"])) == ["QQ"]


@pytest.mark.parametrize("hidden", [np.nan, 1e6, healpy.UNSEEN])
def test_spectra_under_a_footprint_are_those_of_the_cut_sky(fields, hidden):
    """Per mean square of the weights, and whatever maps hold where these are zero."""
    weights = np.clip(np.random.default_rng(2).uniform(-0.5, 1.5, NPIX), 0.0, 1.0)
    given = {name: np.where(weights > 0, map, hidden) for name, map in fields.items()}
    found = polarized_spectra(given, weights)
    cut = {
        name: ring((map - np.average(map, weights=weights)) * weights)
        for name, map in fields.items()
    }
    for pair, spectrum in found.items():
        first, second = (cut[name] for name in pair)
        expected = healpy.anafast(first - first.mean(), second - second.mean(), iter=3)
        scale = np.mean(weights**2)
        np.testing.assert_allclose(spectrum[1:], expected[1:] / scale, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [2.0, -3.0])
def test_a_multiple_of_a_map_is_wholly_correlated(fields, factor):
    spectra = polarized_spectra({"T": fields["T"], "E": factor * fields["T"]})
    found = correlation(spectra, "TE", multipole_bins(NSIDE))
    np.testing.assert_allclose(found, np.sign(factor), rtol=1e-12)
    np.testing.assert_array_equal(correlation(spectra, "ET", multipole_bins(NSIDE)), found)


def test_a_correlation_is_of_the_sums_over_all_modes_of_a_bin():
    rng = np.random.default_rng(1)
    spectra = {pair: rng.gamma(1.0, size=24) for pair in ("TT", "EE", "TE")}
    (found,) = correlation(spectra, "TE", [(3, 5)])
    sums = {pair: sum((2 * at + 1) * spectra[pair][at] for at in (3, 4, 5)) for pair in spectra}
    assert found == pytest.approx(sums["TE"] / np.sqrt(sums["TT"] * sums["EE"]), rel=1e-12)


def test_it_is_undefined_without_power():
    spectra = {"EE": np.ones(6), "BB": np.zeros(6), "EB": np.zeros(6)}
    assert np.isnan(correlation(spectra, "EB", [(2, 3), (4, 5)])).all()


def test_bad_input_is_named(fields):
    small = np.ones(12)
    with pytest.raises(ValueError, match="^second: got 12 pixels .nside 1., expected 768"):
        cross_spectrum(fields["T"], small)
    with pytest.raises(ValueError, match="^first: got 1 of 768 pixels NaN"):
        cross_spectrum(np.where(np.arange(NPIX) == 3, np.nan, 1.0), fields["T"])
    with pytest.raises(ValueError, match=r'^fields\["B"\]: got 12 pixels'):
        polarized_spectra(fields | {"B": small})
    with pytest.raises(ValueError, match=r"^fields: got the names \['Q'\], expected at least one"):
        polarized_spectra({"Q": fields["T"]})
    with pytest.raises(ValueError, match="^fields: got an array"):
        polarized_spectra(fields["T"])
    with pytest.raises(ValueError, match="^fields: got the names .*, expected at least one of Q"):
        polarized_spectra(fields, names="QU")
    with pytest.raises(ValueError, match="^footprint: got 12 pixels, expected 768"):
        polarized_spectra(fields, small)
    with pytest.raises(ValueError, match=r"^footprint: got shape \(2, 768\), expected"):
        polarized_spectra(fields, np.ones((2, NPIX)))
    for names in ((), ("T", "EB"), (1,)):
        with pytest.raises(ValueError, match="^names: got .*, expected a letter for every map"):
            polarized_spectra(fields, names=names)
    spectra = polarized_spectra({"T": fields["T"], "E": fields["E"]})
    for pair in ("TB", "T", "TEB", ""):
        with pytest.raises(ValueError, match=f"^pair: got '{pair}', expected"):
            correlation(spectra, pair, [(2, 3)])
    for low, high in [(2, 24), (-1, 3), (4, 3)]:
        with pytest.raises(ValueError, match=rf"^bins: got \({low}, {high}\), expected"):
            correlation(spectra, "TE", [(low, high)])
