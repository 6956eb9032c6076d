"""Coefficients of the parts of a sky, against those that are measured under each part alone."""

import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.scattering import measure
from jaxscat.validation.part_statistics import statistics_of_halves
from jaxscat.validation.parts import design, sky_parts
from jaxscat.validation.reference import build_reference

NSIDE = 8


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=2, orientations=2, dtype="float64")


@pytest.mark.parametrize("masked", [False, True])
def test_a_half_is_the_mean_of_its_six_parts(pyramid, masked):
    map = np.random.default_rng(0).normal(size=12 * NSIDE**2)
    mask = np.where(np.arange(map.size) % 5 == 0, 0.0, 1.0) if masked else None
    reference = build_reference(map, pyramid, mask)
    halves = statistics_of_halves(reference)
    assert len(halves) == 11
    part = sky_parts(map.size, mask)
    share = np.ones(map.size) if mask is None else mask
    alone = [
        np.asarray(
            measure(reference.original, pyramid, mask=share * (part == k), hidden="include").s4
        )
        for k in range(12)
    ]
    for way, (first, second) in zip(design(), halves, strict=True):
        for half, chosen in ((first, way), (second, ~way)):
            expected = np.mean([of for of, here in zip(alone, chosen, strict=True) if here], axis=0)
            np.testing.assert_allclose(half.s4, expected, rtol=1e-10, atol=1e-12)


def test_parts_of_a_footprint_of_few_pixels_have_no_halves(pyramid):
    map = np.random.default_rng(0).normal(size=12 * NSIDE**2)
    mask = np.zeros(map.size)
    mask[:40] = 1.0
    mask[0] = 100.0  # all of the weight is in the first parts
    assert statistics_of_halves(build_reference(map, pyramid, mask, "include")) == []
