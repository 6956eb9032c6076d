"""Sums over sectors against sums over whole fields, whose orientations were turned by hand."""

import numpy as np
import pytest

from jaxscat.statistics.sectors import combine_orientations, combine_products

CASES = [(4, 4), (8, 4), (3, 2), (5, 2), (4, 1)]


def inside(orientation: int, sector: int, orientations: int, sectors: int) -> tuple[int, bool]:
    """The true orientation of one that a sector counts, and whether it is conjugated."""
    half_turns, true = divmod(orientation + 2 * orientations * sector // sectors, orientations)
    return true, half_turns % 2 == 1


@pytest.mark.parametrize(("orientations", "sectors"), CASES)
def test_orientations_are_summed_in_the_gauge_of_the_sphere(orientations, sectors):
    values = np.random.default_rng(0).standard_normal((2, orientations, sectors))
    expected = np.zeros((2, orientations))
    for sector in range(sectors):
        for orientation in range(orientations):
            true, _ = inside(orientation, sector, orientations, sectors)
            expected[:, true] += values[:, orientation, sector]
    np.testing.assert_allclose(combine_orientations(values), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("orientations", "sectors"), CASES)
def test_products_are_those_of_whole_complex_fields(orientations, sectors):
    generator = np.random.default_rng(1)
    rows, size = 6, 5
    # Whole fields `[sector, row, orientation l3, field]`.
    shape = (2, sectors, rows, orientations, size)
    whole = np.array([1, 1j]) @ generator.standard_normal(shape).reshape(2, -1)
    whole = whole.reshape(shape[1:])
    expected = np.einsum("srkx,srky->kxy", whole, whole.conj())

    seen = np.zeros_like(whole)
    for sector in range(sectors):
        turned = [inside(k, sector, orientations, sectors) for k in range(orientations)]
        for orientation, (true, conjugated) in enumerate(turned):
            field = whole[sector, :, true]
            seen[sector, :, orientation] = field.conj() if conjugated else field
    parts = np.concatenate([seen.real, seen.imag], axis=-1)
    sums = np.einsum("srkx,srky->ksxy", parts, parts)

    real, imaginary = combine_products(sums[None])[0]
    np.testing.assert_allclose(real, expected.real, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(imaginary, expected.imag, rtol=1e-13, atol=1e-13)
