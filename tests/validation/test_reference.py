import numpy as np
import pytest

from jaxscat.harmonics.spectra import harmonic_coefficients
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation.reference import build_reference

NPIX = 768


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, scales=1, orientations=1, dtype=np.float64)


@pytest.fixture(scope="module")
def original():
    return np.random.default_rng(0).gamma(2.0, size=NPIX)


def test_scales_are_those_of_the_nside_and_the_pixels(original, pyramid):
    reference = build_reference(original, pyramid)
    assert reference.nside == 8 and reference.measurement.mask is reference.footprint is None
    assert reference.ranges == [(1, 3), (4, 7), (8, 23)]
    assert reference.bands == [(2, 3), (4, 7), (8, 15)]
    assert (reference.bins[0][0], reference.bins[-1][1]) == (2, 23)
    mean, std = original.mean(), original.std()
    np.testing.assert_allclose(
        reference.thresholds([-1.0, 0.0, 2.5]), mean + std * np.array([-1, 0, 2.5])
    )
    edges = reference.edges
    assert edges.size == 61
    assert edges[[0, -1]] == pytest.approx([original.min() - std / 2, original.max() + std / 2])
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])


def test_footprint_is_the_largest_of_the_masks_and_weighs_pixels(original, pyramid):
    masks = np.zeros((2, NPIX))
    masks[0, :300], masks[1, 200:500] = 1.0, 0.5
    footprint = np.concatenate([np.ones(300), np.full(200, 0.5), np.zeros(268)])
    reference = build_reference(original, pyramid, masks)
    np.testing.assert_array_equal(reference.footprint, footprint)
    mean = np.average(original, weights=footprint)
    spread = np.sqrt(np.average((original - mean) ** 2, weights=footprint))
    assert reference.thresholds([1.0])[0] == pytest.approx(mean + spread)
    np.testing.assert_allclose(reference.harmonics, harmonic_coefficients(original, footprint))
    assert reference.statistics.s0.shape == (2, 2)
    one = build_reference(original, pyramid, masks[0])
    np.testing.assert_array_equal(one.footprint, masks[0])
    assert one.statistics.s0.shape == (2,)
