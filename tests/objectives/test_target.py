from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.objectives.target import covariance_scales, finest_covariances, floored
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.spec import check_spec
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

NPIX = 192


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4)


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
    target = make_target(map, pyramid, mask=mask, sigma=sigma, sigma_floor=0.0, coarsest_nside=1)
    assert_same(target.mean, measure(map, pyramid, mask=mask))
    assert_same(target.sigma, standard_error(map, pyramid, mask=mask, formula=sigma))
    assert target.covariance_scales == 3
    assert (target.mask is None) if mask is None else (np.asarray(target.mask) == mask).all()


def test_sigma_of_pixels_is_the_default_and_not_that_of_foscat(pyramid, map):
    default, pixels, foscat = (
        make_target(map, pyramid, coarsest_nside=1, **choice).sigma
        for choice in ({}, {"sigma": "pixels"}, {"sigma": "foscat"})
    )
    assert_same(default, pixels)
    assert not np.allclose(default.s4, foscat.s4, rtol=0.1)
    np.testing.assert_allclose(default.s2, foscat.s2, rtol=1e-12)


@pytest.mark.parametrize(("coarsest", "scales"), [(1, 3), (2, 2), (4, 1)])
def test_coarse_covariances_are_left_out(pyramid, map, masks, coarsest, scales):
    target = make_target(map, pyramid, mask=masks, coarsest_nside=coarsest)
    full = make_target(map, pyramid, mask=masks, coarsest_nside=1)
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


@pytest.mark.parametrize(
    ("nside", "kernel_size", "expected"),
    [(1, 3, 1), (4, 3, 1), (8, 3, 1), (16, 3, 2), (32, 3, 3), (256, 3, 6), (4, 5, 1), (8, 5, 2)],
)
def test_by_default_scales_count_down_to_nside_8(nside, kernel_size, expected):
    assert covariance_scales(check_spec(nside, kernel_size=kernel_size), None) == expected


@pytest.mark.parametrize(("nside", "all_scales", "scales"), [(4, 3, 1), (8, 4, 1), (32, 6, 3)])
def test_target_leaves_out_the_coarse_scales_and_measure_does_not(nside, all_scales, scales):
    pyramid = build_pyramid(nside, orientations=1)
    map = np.random.default_rng(nside).gamma(2.0, size=12 * nside**2)
    target = make_target(map, pyramid)
    assert target.covariance_scales == scales and target.weights == "balanced"
    triples = {1: 1, 3: 10, 4: 20, 6: 56}
    assert target.mean.s1.shape == (all_scales, 1)
    assert target.mean.s4.shape == (triples[scales], 1, 1, 1)
    whole = jax.eval_shape(lambda map: measure(map, pyramid), map)
    assert whole.s4.shape == (triples[all_scales], 1, 1, 1)


def test_loss_of_the_fine_scales_does_not_compute_the_coarse_ones():
    pyramid = build_pyramid(16, orientations=2)
    map = np.random.default_rng(0).gamma(2.0, size=3072).astype(np.float32)
    targets = {
        coarsest: make_target(map, pyramid, coarsest_nside=coarsest) for coarsest in (1, 8, None)
    }
    cost = {
        coarsest: jax.jit(jax.value_and_grad(map_loss))
        .lower(map, pyramid, target)
        .cost_analysis()["flops"]
        for coarsest, target in targets.items()
    }
    # The coarsest grids are dense products, which count many zeros.
    assert cost[None] == cost[8] < 0.7 * cost[1]


@pytest.mark.parametrize("coarsest", [8, 3, 0, -1, 1.0, True, "1"])
def test_bad_coarsest_nside_is_refused(pyramid, map, coarsest):
    with pytest.raises(ValueError, match=r"^coarsest_nside: got "):
        make_target(map, pyramid, coarsest_nside=coarsest)


@pytest.mark.parametrize("sigma", ["maps", "", None, 1.0])
def test_unknown_sigma_is_refused(pyramid, map, sigma):
    with pytest.raises(ValueError, match=r"^sigma: got "):
        make_target(map, pyramid, sigma=sigma)


def raised(statistics, floor: float) -> dict[str, np.ndarray]:
    """Errors that are at least `floor` of the rms of their block, one block after the other."""
    masks = statistics.s0.ndim - 1
    groups = {name: np.array(group) for name, group in statistics.groups().items()}
    for name, group in groups.items():
        if name != "S0":
            for block in np.ndindex(group.shape[: masks + 1]):
                least = floor * np.sqrt(np.mean(group[block] ** 2))
                group[block] = np.where(group[block] < least, least, group[block])
    return groups


@pytest.mark.parametrize("kind", ["one map", "two masks", "two maps", "reduced"])
def test_floor_raises_only_what_is_below_it_in_its_block(pyramid, map, masks, kind):
    options = {
        "one map": {},
        "two masks": {"mask": masks},
        "two maps": {"second": np.random.default_rng(3).random(NPIX)},
        "reduced": {"mask": masks},
    }[kind]
    reduction = IsotropicMean() if kind == "reduced" else None
    plain = standard_error(map, pyramid, **options)
    for floor in (0.0, 0.01, 0.9):
        target = make_target(
            map, pyramid, sigma_floor=floor, coarsest_nside=1, reduction=reduction, **options
        )
        by_hand = raised(plain, floor)
        expected = replace(plain, **{name.lower(): group for name, group in by_hand.items()})
        if reduction is not None:
            expected = reduction.sigma(jax.tree.map(jnp.asarray, expected))
        for name, group in target.sigma.groups().items():
            np.testing.assert_allclose(group, expected.groups()[name], rtol=1e-13, err_msg=name)
        changed = {
            name: np.mean(np.asarray(group) != by_hand[name])
            for name, group in plain.groups().items()
        }
        assert changed.pop("S0") == 0
        assert all(0 < share < 1 for share in changed.values()) if floor == 0.9 else True
        assert not any(changed.values()) if floor == 0 else True


def test_default_floor_is_a_hundredth(pyramid, map):
    default, hundredth, other = (
        make_target(map, pyramid, **choice).sigma
        for choice in ({}, {"sigma_floor": 0.01}, {"sigma_floor": 0.9})
    )
    assert_same(default, hundredth)
    assert not np.allclose(default.s4, other.s4, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_error_near_zero_is_raised_in_any_unit(pyramid, map, dtype):
    plain = standard_error(map, pyramid)
    for unit in (1.0, 1e-25):
        sigma = jax.tree.map(
            lambda group, unit=unit: jnp.asarray((unit * np.asarray(group)).astype(dtype)), plain
        )
        tiny = replace(sigma, s4=sigma.s4.at[2, 1, 0, 3].set(unit * 1e-12))
        found = floored(tiny, 0.01)
        block = np.asarray(tiny.s4, np.float64)[2]
        least = 0.01 * np.sqrt(np.mean((block / unit) ** 2))
        assert found.s4[2, 1, 0, 3] / unit == pytest.approx(least, rel=1e-5)
        assert_same(replace(found, s4=found.s4.at[2, 1, 0, 3].set(unit * 1e-12)), tiny)
        assert floored(tiny, 0.0) is tiny


@pytest.mark.parametrize("weights", ["equal", "", None, 1.0, True])
def test_unknown_weights_are_refused(pyramid, map, weights):
    message = r"^weights: got .*, expected one of \['plain', 'balanced'\]$"
    with pytest.raises(ValueError, match=message):
        make_target(map, pyramid, weights=weights)


@pytest.mark.parametrize("floor", [-0.1, 1, 1.0, True, False, np.nan, np.inf])
def test_bad_floors_are_refused(pyramid, map, floor):
    message = r"^sigma_floor: got .*, expected a number from 0 up to 1$"
    for maps in (map, np.stack([map, 2 * map[::-1]])):
        with pytest.raises(ValueError, match=message):
            make_target(maps, pyramid, sigma_floor=floor)


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
        make_target(map, pyramid, mask=one, hidden="include")
    with pytest.raises(ValueError, match=r"^map: got the same value .* in every pixel"):
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
def test_original_meets_its_target_whatever_is_asked_for(pyramids, map, masks, normalization, two):
    """The power that normalizes aligned coefficients is that of the aligned map."""
    pyramid = pyramids(4, scales=2)
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
