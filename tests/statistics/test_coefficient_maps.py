"""Maps of coefficients: their means are the coefficients, and coarser pixels average finer ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.apply import convolve_map, downsample_map
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.coefficient_maps import coefficient_maps
from jaxscat.statistics.scattering import measure

IDS = np.random.default_rng(5).permutation(768)[:300]
PYRAMIDS = {
    "full sky": {"nside": 8, "orientations": 2, "scales": 2},
    "three orientations": {"nside": 4, "orientations": 3},
    "kernel 5": {"nside": 4, "kernel_size": 5, "orientations": 2},
    "unsorted patch": {"nside": 8, "cell_ids": IDS, "orientations": 2},
}


@pytest.fixture(scope="module", params=PYRAMIDS)
def pyramid(request):
    return build_pyramid(**PYRAMIDS[request.param], dtype="float64")


def two_maps(pyramid):
    return np.random.default_rng(1).gamma(2.0, size=(2, pyramid.spec.npix))


def mean_over_pixels(fields):
    """Every group of coefficient maps with its scales joined, averaged over pixels."""

    def joined(scales, axis):
        means = [np.asarray(scale).mean(-1) for scale in scales]
        return np.stack(means) if axis is None else np.concatenate(means, axis)

    return {
        "s1": joined(fields.s1, None),
        "s2": joined(fields.s2, None),
        "s3": joined(fields.s3, 0),
        "s4": joined(fields.s4, 0),
        **({} if fields.s3p is None else {"s3p": joined(fields.s3p, 0)}),
    }


@pytest.mark.parametrize("cross", [False, True])
def test_means_are_the_coefficients(pyramid, cross):
    first, other = two_maps(pyramid)
    second = other if cross else None
    fields = coefficient_maps(first, pyramid, second=second)
    expected = measure(first, pyramid, second=second)
    assert float(np.mean(fields.s0)) == pytest.approx(float(expected.s0[0]), rel=1e-12)
    means = mean_over_pixels(fields)
    assert ("s3p" in means) == cross
    for name, mean in means.items():
        group = np.asarray(getattr(expected, name))
        assert mean.shape == group.shape
        assert np.linalg.norm(mean - group) <= 1e-12 * np.linalg.norm(group), name


def test_means_under_a_mask_are_the_coefficients_under_it():
    pyramid = build_pyramid(8, dtype="float64", orientations=2, scales=2)
    map, _ = two_maps(pyramid)
    mask = np.random.default_rng(2).random(768)
    fields, expected = coefficient_maps(map, pyramid), measure(map, pyramid, mask=mask)
    coarse = np.asarray(downsample_map(mask, pyramid))
    for scale, weights in enumerate((mask, coarse)):
        means = np.average(fields.s3[scale], axis=-1, weights=weights)
        pairs = slice(scale, 2 * scale + 1)  # (0, 0), then (0, 1) and (1, 1)
        np.testing.assert_allclose(means, expected.s3[pairs], rtol=1e-10, atol=1e-14)


def test_a_pixel_holds_the_products_of_its_coefficients():
    pyramid = build_pyramid(4, dtype="float64")
    map = np.random.default_rng(3).standard_normal(192)
    fields = coefficient_maps(map, pyramid)
    c = np.asarray(convolve_map(map, pyramid))
    again = np.asarray(convolve_map(np.abs(c), pyramid))  # l2, l3, pixel
    np.testing.assert_allclose(fields.s2[0], np.abs(c) ** 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fields.s3[0][0], c * again.conj(), rtol=1e-6, atol=1e-9)
    products = again[None, :] * again[:, None].conj()
    np.testing.assert_allclose(fields.s4[0][0], products, rtol=1e-6, atol=1e-9)


def test_fields_of_a_patch_stand_in_the_order_of_its_cell_ids():
    order = np.random.default_rng(4).permutation(IDS.size)
    shuffled = IDS[order]
    map = np.random.default_rng(3).standard_normal(768)
    one, other = (
        coefficient_maps(map[ids], build_pyramid(8, dtype="float64", orientations=2, cell_ids=ids))
        for ids in (IDS, shuffled)
    )
    np.testing.assert_allclose(other.s2[0], np.asarray(one.s2[0])[:, order], rtol=1e-12)
    np.testing.assert_allclose(other.s2[1], one.s2[1], rtol=1e-12)


def test_coarser_pixels_average_the_finer_ones_in_them(pyramid):
    map, _ = two_maps(pyramid)
    out_nside = pyramid.levels[1].nside
    fine = coefficient_maps(map, pyramid)
    coarse = coefficient_maps(map, pyramid, out_nside=out_nside)
    factor = (pyramid.levels[0].nside // out_nside) ** 2
    inside = pyramid.pixels(0)[None] // factor == pyramid.pixels(1)[:, None]
    shares = inside / inside.sum(1, keepdims=True)
    for one, other in (
        (fine.s0, coarse.s0),
        (fine.s3[0], coarse.s3[0]),
        (fine.s4[0], coarse.s4[0]),
    ):
        np.testing.assert_allclose(other, np.asarray(one) @ shares.T, rtol=1e-10, atol=1e-14)
    assert all(np.array_equal(a, b) for a, b in zip(fine.s4[1:], coarse.s4[1:], strict=True))


def test_derivative_is_that_of_the_means():
    pyramid = build_pyramid(4, dtype="float64", orientations=2)
    map = jnp.asarray(np.random.default_rng(6).standard_normal(192))

    def by_fields(x):
        return sum(jnp.abs(field.mean(-1)).sum() for field in coefficient_maps(x, pyramid).s4)

    gradient = jax.jit(jax.grad(by_fields))(map)
    expected = jax.jit(jax.grad(lambda x: jnp.abs(measure(x, pyramid).s4).sum()))(map)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("out_nside", [0, 3, 1.0, True, "8"])
def test_nside_that_is_no_power_of_two_is_refused(out_nside):
    with pytest.raises(ValueError, match=r"^out_nside: got "):
        coefficient_maps(np.arange(12.0), build_pyramid(1, dtype="float64"), out_nside=out_nside)


def test_nside_of_no_scale_is_refused_on_a_patch():
    pyramid = build_pyramid(8, cell_ids=IDS, scales=2, dtype="float64")
    with pytest.raises(ValueError, match=r"^out_nside: got 2, expected one of \[8, 4\]"):
        coefficient_maps(np.arange(300.0), pyramid, out_nside=2)


def test_bad_maps_are_refused():
    pyramid = build_pyramid(1, dtype="float64")
    with pytest.raises(ValueError, match=r"^map: got 1 of 12 pixels NaN"):
        coefficient_maps(np.where(np.arange(12) == 3, np.nan, 1.0), pyramid)
    with pytest.raises(ValueError, match=r"^second: got 48 pixels"):
        coefficient_maps(np.arange(12.0), pyramid, second=np.arange(48.0))
