"""What is refused as a map or a mask, and with which words."""

import healpy
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.maps import check_map, check_mask, check_nside, npix_to_nside, unseen_pixels

NPIX = 192


@pytest.fixture
def good():
    return np.random.default_rng(0).standard_normal(NPIX)


def spoiled(values, value, count=3):
    values = values.copy()
    values[:count] = value
    return values


@pytest.mark.parametrize("nside", [1, 2, 8, 512, 2**20])
def test_nside_of_agrees_with_healpy(nside):
    assert npix_to_nside(healpy.nside2npix(nside)) == nside


@pytest.mark.parametrize("npix", [0, 1, 13, 12 * 3**2, 12 * 24**2, 768 + 12])
def test_nside_of_refuses_other_lengths(npix):
    with pytest.raises(ValueError, match=f"map: got {npix} pixels, expected 12 nside"):
        npix_to_nside(npix)


@pytest.mark.parametrize("nside", [0, -4, 3, 24, 8.0, True, "8", None])
def test_check_nside_refuses(nside):
    with pytest.raises(ValueError, match=r"^nside: got .*, expected a power of two"):
        check_nside(nside)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_map_keeps_values_and_precision(good, dtype):
    values = check_map(good.astype(dtype), nside=4)
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, good.astype(dtype))


def test_check_map_takes_jax_arrays_lists_and_big_endian(good):
    single = good.astype(np.float32)
    np.testing.assert_array_equal(check_map(jnp.asarray(single)), single)
    np.testing.assert_array_equal(check_map(list(good)), good)
    swapped = check_map(good.astype(">f8"))
    assert swapped.dtype.isnative
    np.testing.assert_array_equal(swapped, good)
    assert check_map(good.astype(np.float16)).dtype == np.float64


def test_check_map_converts_integers_and_says_so():
    with pytest.warns(UserWarning, match=r"map: integer values \(int64\) are converted"):
        values = check_map(np.arange(NPIX))
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, np.arange(NPIX))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:-1], r"got 191 pixels, expected 12 nside\^2 with nside a power of two"),
        (lambda m: np.resize(m, 108), r"got 108 pixels"),
        (lambda m: m[None], r"shape \(1, 192\), expected one map"),
        (lambda m: m[0], r"shape \(\), expected one map"),
        (lambda m: spoiled(m, np.nan), "got 3 of 192 pixels NaN"),
        (lambda m: spoiled(m, np.inf, 2), "got 2 of 192 pixels infinite"),
        (lambda m: spoiled(m, -np.inf, 1), "got 1 of 192 pixels infinite"),
        (lambda m: spoiled(m, healpy.UNSEEN), "got 3 of 192 pixels UNSEEN"),
        (lambda m: spoiled(m, healpy.UNSEEN).astype(np.float32), "got 3 of 192 pixels UNSEEN"),
        (lambda m: m + 0j, r"complex values \(complex128\), expected real"),
        (lambda m: m > 0, r"boolean values \(bool\), expected real"),
        (lambda m: m.astype(str), "unsuitable values"),
        (lambda m: m.astype(object), "unsuitable values"),
        (lambda m: np.full(NPIX, 2.5), r"the same value 2.5 in every pixel"),
    ],
)
def test_check_map_refuses(good, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_map(change(good), name="target")
    assert str(caught.value).startswith("target: ")


def test_check_map_refuses_another_nside(good):
    with pytest.raises(ValueError, match=r"192 pixels \(nside 4\), expected 768 \(nside 8\)"):
        check_map(good, nside=8)


def test_check_map_lets_a_constant_map_pass_on_request():
    assert check_map(np.ones(NPIX), allow_constant=True).sum() == NPIX


def test_unseen_pixels_also_if_rounded(good):
    values = spoiled(good, healpy.UNSEEN)
    values[5:8] = healpy.UNSEEN * (1 + 2e-5), -1.637e30, -1.6e30
    values[8:11] = -1.4e30, 1.6375e30, np.nan
    expected = healpy.mask_bad(values)
    expected[5:8] = True
    np.testing.assert_array_equal(unseen_pixels(values), expected)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64])
def test_check_mask_takes_zeros_and_ones(recwarn, dtype):
    mask = (np.arange(NPIX) % 3 > 0).astype(dtype)
    weights = check_mask(mask, NPIX)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, mask)
    assert not len(recwarn)


def test_check_mask_takes_fractions_and_several():
    mask = np.random.default_rng(1).uniform(size=(3, NPIX)).astype(np.float32)
    weights = check_mask(mask, NPIX)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(NPIX), "got zero in every pixel, expected at least one positive weight"),
        (np.zeros(NPIX, bool), "got zero in every pixel"),
        (np.stack([np.ones(NPIX), np.zeros(NPIX)]), r"zero in every pixel \(mask 1 of 2\)"),
        (spoiled(np.ones(NPIX), -0.5, 2), r"got 2 negative weights \(least -0.5\)"),
        (-np.ones(NPIX, int), "got 192 negative weights"),
        (spoiled(np.ones(NPIX), np.nan), "got 3 of 192 pixels NaN"),
        (spoiled(np.ones(NPIX), np.inf), "got 3 of 192 pixels infinite"),
        (spoiled(np.ones(NPIX), healpy.UNSEEN), "got 3 of 192 pixels UNSEEN"),
        (np.ones(768), "got 768 pixels, expected 192 as the map has"),
        (np.ones((1, 1, NPIX)), r"shape \(1, 1, 192\), expected \(npix,\) or \(masks, npix\)"),
        (np.ones((0, NPIX)), r"shape \(0, 192\)"),
        (np.ones(NPIX) * 1j, "complex values"),
    ],
)
def test_check_mask_refuses(mask, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_mask(mask, NPIX, name="weights")
    assert str(caught.value).startswith("weights: ")


def test_check_mask_without_a_map_needs_a_healpix_length():
    with pytest.raises(ValueError, match="mask: got 100 pixels, expected 12 nside"):
        check_mask(np.ones(100))


class NoArray:
    """As a torch tensor that requires gradients."""

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse detach")


@pytest.mark.parametrize("check", [check_map, check_mask])
@pytest.mark.parametrize(
    ("values", "kind"), [(NoArray(), r".*\.NoArray"), ([[1.0], [1.0, 2.0]], "list")]
)
def test_what_numpy_cannot_take_is_one_sentence(check, values, kind):
    with pytest.raises(
        ValueError, match=f"^mine: got {kind}, which NumPy cannot convert"
    ) as caught:
        check(values, name="mine")
    assert "\n" not in str(caught.value) and "detach().cpu().numpy()" in str(caught.value)
