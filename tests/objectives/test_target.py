import jax
import numpy as np
import pytest

from jaxscat.objectives.chi_square import map_loss
from jaxscat.objectives.measured_target import make_target
from jaxscat.objectives.target import covariance_scales, finest_covariances
from jaxscat.operators.pyramid import build_pyramid, check_spec
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

NPIX = 192


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(4, dtype="float64")


def test_map_that_float32_cannot_hold_is_refused():
    map = 1e25 * np.random.default_rng(0).gamma(2.0, size=192)
    with pytest.raises(ValueError, match="map: got .* that float32 cannot hold"):
        make_target(map, build_pyramid(4))


@pytest.fixture(scope="module")
def map():
    return np.random.default_rng(0).gamma(2.0, size=NPIX)


@pytest.fixture(scope="module")
def masks():
    return np.random.default_rng(1).random((2, NPIX)) + 0.1


def assert_same(statistics, expected) -> None:
    for (name, group), other in zip(
        statistics.groups().items(), expected.groups().values(), strict=True
    ):
        np.testing.assert_array_equal(group, other, err_msg=name)


@pytest.mark.parametrize("sigma", ["pixels", "foscat"])
@pytest.mark.parametrize("masked", [False, True])
def test_target_is_what_was_measured_and_its_errors(pyramid, map, masks, sigma, masked):
    mask = masks if masked else None
    target = make_target(map, pyramid, mask=mask, sigma=sigma)
    assert_same(target.mean, measure(map, pyramid, mask=mask))
    assert_same(target.sigma, standard_error(map, pyramid, mask=mask, formula=sigma))
    assert target.covariance_scales == 3
    assert (target.mask is None) if mask is None else (np.asarray(target.mask) == mask).all()


def test_sigma_of_pixels_is_the_default_and_not_that_of_foscat(pyramid, map):
    default, pixels, foscat = (
        make_target(map, pyramid, **choice).sigma
        for choice in ({}, {"sigma": "pixels"}, {"sigma": "foscat"})
    )
    assert_same(default, pixels)
    assert not np.allclose(default.s4, foscat.s4, rtol=0.1)
    np.testing.assert_allclose(default.s2, foscat.s2, rtol=1e-12)


@pytest.mark.parametrize(("coarsest", "scales"), [(1, 3), (2, 2), (4, 1)])
def test_coarse_covariances_are_left_out(pyramid, map, masks, coarsest, scales):
    target = make_target(map, pyramid, mask=masks, coarsest_nside=coarsest)
    full = make_target(map, pyramid, mask=masks)
    assert target.covariance_scales == scales
    pairs, triples = {1: (1, 1), 2: (3, 4), 3: (6, 10)}[scales]
    for part, whole in ((target.mean, full.mean), (target.sigma, full.sigma)):
        assert part.s3.shape[1] == pairs and part.s4.shape[1] == triples
        for name in ("s0", "s1", "s2"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))
        np.testing.assert_array_equal(part.s3, whole.s3[:, :pairs])
        np.testing.assert_array_equal(part.s4, whole.s4[:, :triples])


def test_finest_covariances_keep_all_when_all_are_asked_for(pyramid, map):
    statistics = measure(map, pyramid)
    assert_same(finest_covariances(statistics, 3), statistics)


@pytest.mark.parametrize(
    ("nside", "scales", "coarsest", "expected"),
    [(16, None, 1, 5), (16, None, 8, 2), (16, None, 16, 1), (16, 2, 1, 2), (16, 2, 8, 2)],
)
def test_number_of_scales_fine_enough(nside, scales, coarsest, expected):
    assert covariance_scales(check_spec(nside, scales=scales), coarsest) == expected


@pytest.mark.parametrize("coarsest", [8, 3, 0, -1, 1.0, True, "1"])
def test_bad_coarsest_nside_is_refused(pyramid, map, coarsest):
    with pytest.raises(ValueError, match=r"^coarsest_nside: got "):
        make_target(map, pyramid, coarsest_nside=coarsest)


@pytest.mark.parametrize("sigma", ["maps", "", None, 1.0])
def test_unknown_sigma_is_refused(pyramid, map, sigma):
    with pytest.raises(ValueError, match=r"^sigma: got "):
        make_target(map, pyramid, sigma=sigma)


def with_one_pixel(value: object, dtype=float) -> np.ndarray:
    map = np.arange(NPIX).astype(dtype)
    map[7] = value
    return map


@pytest.mark.parametrize(
    "bad",
    [
        np.arange(768.0),
        np.arange(2.0 * NPIX).reshape(1, 2, -1),
        with_one_pixel(np.nan),
        with_one_pixel(np.inf),
        with_one_pixel(-1.6375e30),
        with_one_pixel(1j, complex),
        np.arange(NPIX) > 4,
        np.zeros(NPIX),
        np.full(NPIX, 2.5),
    ],
    ids="nside axes NaN infinite UNSEEN complex boolean zero constant".split(),
)
def test_bad_maps_are_refused(pyramid, bad):
    with pytest.raises(ValueError, match=r"^map: got "):
        make_target(bad, pyramid)


@pytest.mark.parametrize(
    "bad", [np.zeros(NPIX), with_one_pixel(-1), with_one_pixel(np.nan), np.ones(48)]
)
def test_bad_masks_are_refused(pyramid, map, bad):
    with pytest.raises(ValueError, match=r"^mask: got "):
        make_target(map, pyramid, mask=bad)


def test_what_does_not_vary_under_its_mask_is_refused(pyramid, map):
    one = np.zeros(NPIX)
    one[5] = 1
    with pytest.raises(ValueError, match=r"^map: got 2 of 2 coefficients of S0 whose standard"):
        make_target(map, pyramid, mask=one)


def test_target_has_the_type_of_the_pyramid(map, masks):
    single = build_pyramid(4, dtype="float32")
    target = make_target(map, single, mask=masks)
    types = {leaf.dtype for leaf in jax.tree.leaves(target)}
    assert types == {np.dtype("float32"), np.dtype("complex64")}


@pytest.mark.parametrize("bad", ["isotropic", 1, IsotropicMean])
def test_reductions_that_are_none_are_refused(pyramid, map, bad):
    with pytest.raises(ValueError, match=r"^reduction: got .*, expected a Reduction"):
        make_target(map, pyramid, reduction=bad)


@pytest.mark.parametrize("bad", ["target", np.ones(3)])
def test_alignments_that_are_none_are_refused(pyramid, map, bad):
    for function in (make_target, measure, standard_error):
        with pytest.raises(ValueError, match=r"^alignment: got .*, expected what align_orient"):
            function(map, pyramid, alignment=bad)


@pytest.mark.parametrize("normalization", ["own", "target"])
@pytest.mark.parametrize("two", [False, True])
def test_original_meets_its_target_whatever_is_asked_for(pyramid, map, masks, normalization, two):
    """The power that normalizes aligned coefficients is that of the aligned map."""
    target = make_target(
        map,
        pyramid,
        second=np.random.default_rng(3).random(NPIX) if two else None,
        mask=masks,
        alignment=align_orientations(map, pyramid),
        normalization=normalization,
        reduction=FourierHarmonics(1),
    )
    assert jax.jit(map_loss)(map, pyramid, target) <= 1e-20
    if not two:
        np.testing.assert_allclose(target.mean.s2[..., 0], 1.0, rtol=1e-12)
