import healpy
import numpy as np
import pytest
import scipy.stats

from jaxscat.harmonics.spectra import multipole_bins
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation.coupling import octave_bands
from jaxscat.validation.description import describe, distances
from jaxscat.validation.distribution import pixel_moments
from jaxscat.validation.morphology import LEVELS, minkowski_functionals
from jaxscat.validation.peaks import PEAK_LEVELS
from jaxscat.validation.reference import build_reference

NSIDE = 16
NPIX = 12 * NSIDE**2


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=1, orientations=1, dtype=np.float64)


@pytest.fixture(scope="module")
def original():
    """Skewed, with a few hundred peaks and minima, and with scales that follow each other."""
    generator = np.random.default_rng(0)
    alm = generator.standard_normal((healpy.Alm.getsize(3 * NSIDE - 1), 2)) @ [1.0, 1.0j]
    ring = healpy.alm2map(healpy.almxfl(alm, 1 / (5.0 + np.arange(3 * NSIDE))), NSIDE)
    return 2.0 + np.exp(0.5 * healpy.reorder(ring / ring.std(), r2n=True))


@pytest.fixture(scope="module")
def reference(original, pyramid):
    return build_reference(original, pyramid)


@pytest.fixture(scope="module")
def of_original(original, reference):
    return describe(original, reference)


def harmonics_of(map):
    return healpy.map2alm(healpy.reorder(map - map.mean(), n2r=True), iter=3)


def cross_skewness(map):
    """<b_i^2 b_j> of all pairs of octave bands, in units of their powers."""
    alm = harmonics_of(map)
    bands = []
    for low, high in octave_bands(NSIDE):
        window = (np.arange(3 * NSIDE) >= low) & (np.arange(3 * NSIDE) <= high)
        bands.append(healpy.alm2map(healpy.almxfl(alm, window.astype(float)), NSIDE))
    return np.array([[np.mean(a**2 * b) / (np.mean(a**2) * b.std()) for b in bands] for a in bands])


def heights_of_maxima(map):
    neighbours = healpy.get_all_neighbours(NSIDE, np.arange(NPIX), nest=True)
    around = np.where(neighbours >= 0, map[neighbours], -np.inf)
    return map[map > around.max(axis=0)]


def test_original_is_nowhere_away_from_itself(of_original, reference):
    found = distances(of_original, of_original, reference)
    assert len(found) == 10
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-12)
    assert of_original.correlations == pytest.approx([1.0] * len(reference.ranges), rel=1e-12)
    assert of_original.ratios == pytest.approx([1.0] * len(reference.bins), rel=1e-12)
    assert of_original.pixel_correlation == pytest.approx(1.0, rel=1e-12)


def test_description_has_what_is_measured_of_the_original(original, of_original, reference):
    assert of_original.moments == pixel_moments(original)
    spectrum = healpy.alm2cl(harmonics_of(original))
    np.testing.assert_allclose(of_original.spectrum[1:], spectrum[1:], rtol=1e-9)
    np.testing.assert_allclose(of_original.coupling, cross_skewness(original), atol=1e-8)
    assert np.sum(of_original.density * np.diff(reference.edges)) == pytest.approx(1.0)
    counts, _ = np.histogram(original, reference.edges)
    np.testing.assert_allclose(
        of_original.density, counts / NPIX / np.diff(reference.edges), rtol=1e-12
    )
    assert of_original.statistics.s1.shape == (1, 1)


def test_distances_of_a_stronger_map_by_hand(original, of_original, reference):
    mean, std = original.mean(), original.std()
    stronger = mean + 1.1 * (original - mean)
    found = distances(describe(stronger, reference), of_original, reference)
    assert found["power_spectrum"] == pytest.approx(0.21)
    assert found["wasserstein"] == pytest.approx(0.1 * np.mean(np.abs(original - mean)) / std)
    for name in ("skewness", "kurtosis", "cross_skewness"):
        assert found[name] == pytest.approx(0.0, abs=1e-8)
    # What is above t in the one is above t / 1.1 in the other.
    moved, shape = (
        minkowski_functionals(original, mean + std * levels) for levels in (LEVELS / 1.1, LEVELS)
    )
    area = [np.mean(original > mean + std * level / 1.1) for level in LEVELS]
    before = [np.mean(original > mean + std * level) for level in LEVELS]
    assert found["V0"] == pytest.approx(np.abs(np.subtract(area, before)).max(), rel=1e-12)
    for name, curve, old in (("V1", moved[1], shape[1]), ("V2", moved[2], shape[2])):
        assert found[name] == pytest.approx(np.abs(curve - old).max() / np.abs(old).max())
        assert found[name] > 0.01
    for name, sign in (("peaks", 1), ("minima", -1)):
        heights = (heights_of_maxima(sign * original) - sign * mean) / std
        counts, old = (
            np.array([np.sum(heights > level) for level in PEAK_LEVELS / factor])
            for factor in (1.1, 1.0)
        )
        enough = old >= 40
        assert enough.sum() >= 2
        expected = (np.abs(counts - old) / np.maximum(old, 1))[enough].max()
        assert found[name] == pytest.approx(expected) and expected > 0


def test_distances_of_a_mirrored_map_by_hand(original, of_original, reference):
    mean, std = original.mean(), original.std()
    mirrored = 2 * mean - original
    found = distances(describe(mirrored, reference), of_original, reference)
    assert found["power_spectrum"] == pytest.approx(0.0, abs=1e-12)
    assert found["kurtosis"] == pytest.approx(0.0, abs=1e-9)
    assert found["skewness"] == pytest.approx(2 * scipy.stats.skew(original))
    expected = scipy.stats.wasserstein_distance(mirrored, original) / std
    assert found["wasserstein"] == pytest.approx(expected)
    matrix = cross_skewness(original)
    assert found["cross_skewness"] == pytest.approx(2 * np.sqrt(np.mean(matrix**2)), rel=1e-6)
    assert found["cross_skewness"] > 0.2
    heights = {sign: (heights_of_maxima(sign * original) - sign * mean) / std for sign in (1, -1)}
    ups, downs = (
        np.array([np.sum(heights[sign] > level) for level in PEAK_LEVELS]) for sign in (1, -1)
    )
    for name, old, new in (("peaks", ups, downs), ("minima", downs, ups)):
        enough = old >= 40
        assert found[name] == pytest.approx((np.abs(new - old) / np.maximum(old, 1))[enough].max())


def test_power_spectrum_counts_bins_from_multipole_9_on(original, of_original, reference):
    """One bin twice as strong as the others."""
    bins = multipole_bins(NSIDE)
    counted = sum(low >= 9 for low, _ in bins)
    for number, (low, _) in enumerate(bins):
        ratios = [1.0] * len(bins)
        ratios[number] = 2.0
        found = distances(of_original._replace(ratios=ratios), of_original, reference)
        expected = np.sqrt(1 / counted) if low >= 9 else 0.0
        assert found["power_spectrum"] == pytest.approx(expected)


def test_bins_without_power_do_not_count(of_original, reference):
    """One bin twice as strong as the others, of an original whose power ends within the bins."""
    bins = multipole_bins(NSIDE)
    modes = 2 * np.arange(3 * NSIDE) + 1
    parts = [1.0] * 5 + [0.5, 2e-4, 0.5e-4, 0.0]  # the last four begin at l = 12, 17, 24, 34
    spectrum = np.zeros(3 * NSIDE)
    for part, (low, high) in zip(parts, bins, strict=True):
        spectrum[low : high + 1] = part / modes[low : high + 1].sum()
    smooth = of_original._replace(spectrum=spectrum)
    for number in range(len(bins)):
        ratios = [1.0] * len(bins)
        ratios[number] = 2.0
        found = distances(of_original._replace(ratios=ratios), smooth, reference)
        expected = np.sqrt(1 / 2) if bins[number][0] in (12, 17) else 0.0
        assert found["power_spectrum"] == pytest.approx(expected)


def test_power_of_a_smooth_map_is_compared_where_it_has_any(original, pyramid):
    """Beyond l = 16 there is only what pixels make of the others."""
    alm = harmonics_of(original)
    generator = np.random.default_rng(3)
    for last, exists in ((16, True), (7, False)):
        kept = (np.arange(3 * NSIDE) <= last).astype(float)
        map = healpy.reorder(healpy.alm2map(healpy.almxfl(alm, kept), NSIDE), r2n=True)
        reference = build_reference(map, pyramid)
        rough = 1.1 * map + 1e-2 * map.std() * generator.standard_normal(NPIX)
        made, own = (describe(each, reference) for each in (rough, map))
        assert max(made.ratios) > 100
        found = distances(made, own, reference)["power_spectrum"]
        assert found == pytest.approx(0.21, rel=0.05) if exists else np.isnan(found)


def test_independent_maps_correlate_by_chance(original, reference):
    shuffled = np.random.default_rng(1).permutation(original)
    found = describe(shuffled, reference)
    modes = [sum(2 * ell + 1 for ell in range(low, high + 1)) for low, high in reference.ranges]
    # The spectrum of the original falls within a range, which leaves fewer modes that matter.
    assert (np.abs(found.correlations) < 6 / np.sqrt(modes)).all()


def test_garbage_outside_the_footprint_is_not_described(original, pyramid):
    masks = np.zeros((2, NPIX))
    masks[0, :1000], masks[1, 600:1700] = 1.0, 0.5
    inside = masks.max(axis=0) > 0
    generator = np.random.default_rng(2)
    made = generator.permutation(original)
    changed = [np.where(inside, map, 1e3 * generator.random(NPIX)) for map in (original, made)]
    found = []
    for one, other in ((original, made), changed):
        reference = build_reference(one, pyramid, masks)
        description = describe(other, reference)
        found.append((description, distances(description, describe(one, reference), reference)))
    (plain, away), (garbage, same) = found
    assert same == pytest.approx(away, rel=1e-9)
    assert garbage.moments == pytest.approx(plain.moments, rel=1e-9)
    for name in plain._fields:
        if name not in ("moments", "statistics"):
            one, other = (np.asarray(getattr(each, name)) for each in (plain, garbage))
            np.testing.assert_allclose(other, one, rtol=1e-8, atol=1e-10, err_msg=name)
    # Convolutions reach beyond a mask; only S0 is of its pixels alone.
    np.testing.assert_allclose(garbage.statistics.s0, plain.statistics.s0, rtol=1e-9)


def test_distances_that_do_not_exist_are_nan(pyramid):
    """At nside 2 no bin begins at l = 9, and there are no 40 peaks."""
    small = build_pyramid(2, scales=1, orientations=1, dtype=np.float64)
    map = np.random.default_rng(0).gamma(2.0, size=48)
    reference = build_reference(map, small)
    described = describe(map, reference)
    found = distances(described, described, reference)
    assert {name for name, value in found.items() if np.isnan(value)} == {
        "power_spectrum",
        "peaks",
        "minima",
    }
