"""Whether arrays are RING or NESTED: told of smooth maps, and never of independent pixels."""

import warnings

import healpy
import numpy as np
import pytest

import jaxscat
from jaxscat.io.pixel_order import compare_orders
from jaxscat.io.writing import save_maps

SEEMS = "its order seems to be"


def field(nside, slope=-3.0, seed=0):
    """A Gaussian map, RING, of a power law."""
    np.random.seed(seed)
    multipoles = np.arange(3 * nside, dtype=float)
    spectrum = np.where(multipoles < 2, 0, np.maximum(multipoles, 1) ** slope)
    return healpy.synfast(spectrum, nside)


def orders_of(ring):
    """The same map in both orders, by the name of the order."""
    return {"RING": ring, "NESTED": healpy.reorder(ring, r2n=True)}


@pytest.mark.parametrize("nside", [4, 8, 16, 32])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "few values"])
def test_independent_pixels_never_alarm(nside, draw):
    """The largest difference of all maps is far below the six errors that are asked for."""
    rng = np.random.default_rng(nside)
    count = 1000 if nside < 16 else 150
    apart = []
    for _ in range(count):
        map = rng.normal(size=12 * nside**2)
        if draw != "normal":
            map = np.exp(3 * map) if draw == "lognormal" else map > 1
        found = compare_orders(map)
        assert found is not None and found.clearly is None
        apart.append(abs(found.nested - found.ring) / found.error)
    assert max(apart) < 4.5
    assert 0.5 < np.mean(np.square(apart)) < 1.3  # the error is what it should be


@pytest.mark.parametrize("nside", [4, 8, 32, 128])
@pytest.mark.parametrize("slope", [-3.0, -4.0])
def test_smooth_maps_are_known_in_both_orders(nside, slope):
    for order, map in orders_of(field(nside, slope)).items():
        assert compare_orders(map).clearly == order
        assert compare_orders(np.exp(3 * map / map.std())).clearly == order  # ranks have no tails


@pytest.mark.parametrize("nside", [8, 32])
@pytest.mark.parametrize("slope", [-0.5, 0.0, 1.0, 2.0])
def test_rough_maps_of_either_order_do_not_alarm(nside, slope):
    for order, map in orders_of(field(nside, slope)).items():
        assert compare_orders(map).clearly in (None, order if slope < 0 else None)


@pytest.mark.parametrize("part", [0.7, 0.2])
def test_masked_maps_are_known_and_masked_noise_does_not_alarm(part):
    ring = field(32)
    rng = np.random.default_rng(0)
    height = healpy.pix2vec(32, np.arange(ring.size))[2]
    cap = height > 1 - 2 * part
    for mask in (cap, rng.uniform(size=ring.size) < part):
        for order, seen in orders_of(mask.astype(float)).items():
            map = orders_of(ring)[order]
            assert compare_orders(np.where(seen > 0, map, np.nan), seen > 0).clearly == order
            noise = rng.normal(size=ring.size)
            assert compare_orders(np.where(seen > 0, noise, 0), seen > 0).clearly is None


def test_what_is_too_small_or_constant_is_not_judged():
    assert compare_orders(np.arange(48.0)) is None
    assert compare_orders(np.ones(768)) is None
    seen = np.zeros(768, bool)
    seen[:20] = True
    assert compare_orders(field(8), seen) is None


def test_a_map_that_was_reordered_is_judged_as_its_file_has_it():
    ring = field(8)
    nested = healpy.reorder(ring, r2n=True)
    assert compare_orders(nested, stored="RING") == compare_orders(ring)
    # A NESTED map, wrongly reordered as if it were RING.
    wrong = healpy.reorder(nested, r2n=True)
    assert compare_orders(wrong, stored="RING").clearly == "NESTED"


@pytest.mark.parametrize("nside", [16, 64])
def test_files_in_the_other_order_are_warned_of_and_right_ones_are_not(tmp_path, nside):
    maps = orders_of(field(nside))
    np.save(tmp_path / "ring.npy", maps["RING"])
    save_maps(tmp_path / "right.fits", {"a": maps["NESTED"]})
    save_maps(tmp_path / "wrong.fits", {"a": maps["RING"]})
    np.save(tmp_path / "mask.npy", (maps["RING"] > 0).astype(float))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jaxscat.load_map(tmp_path / "right.fits")
        jaxscat.load_map(tmp_path / "ring.npy", order="RING")
        jaxscat.load_mask(tmp_path / "mask.npy", order="RING")
        jaxscat.from_healpy(maps["RING"])
        jaxscat.from_healpy(maps["NESTED"], nest=True)
    times = r"as RING neighbouring pixels differ \d+\.\d times less than as NESTED"
    for name in ("ring.npy", "wrong.fits"):
        with pytest.warns(
            jaxscat.PixelOrderWarning, match=rf"{name}': read as NESTED, but {times}, so that"
        ):
            jaxscat.load_map(tmp_path / name, 8)
    with pytest.warns(UserWarning, match=f"mask .*{SEEMS} RING"):
        jaxscat.load_mask(tmp_path / "mask.npy")
    with pytest.warns(UserWarning, match=f"map: read as RING, .*{SEEMS} NESTED"):
        jaxscat.from_healpy(maps["NESTED"])


def test_make_target_warns_of_an_array_that_seems_to_be_ring():
    maps = orders_of(field(8))
    pyramid = jaxscat.build_pyramid(8, scales=1, orientations=1)
    assert issubclass(jaxscat.PixelOrderWarning, UserWarning)
    with pytest.warns(
        jaxscat.PixelOrderWarning, match=rf"map: read as NESTED, .*{SEEMS} RING \(jaxscat.from_h"
    ):
        jaxscat.make_target(maps["RING"], pyramid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jaxscat.make_target(maps["NESTED"], pyramid)
        warnings.simplefilter("ignore", jaxscat.PixelOrderWarning)
        jaxscat.make_target(maps["RING"], pyramid)


def test_to_healpy_is_the_way_back():
    maps = orders_of(field(8))
    np.testing.assert_array_equal(jaxscat.to_healpy(maps["NESTED"]), maps["RING"])
    np.testing.assert_array_equal(jaxscat.to_healpy(maps["NESTED"], nest=True), maps["NESTED"])
    several = np.stack([maps["NESTED"], -maps["NESTED"]]).astype(np.float32)
    back = jaxscat.to_healpy(several)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back[1], np.float32(-maps["RING"]))
    with pytest.raises(ValueError, match="map: got an array of shape"):
        jaxscat.to_healpy(np.zeros((1, 1, 12)))


def test_measure_warns_of_a_ring_array():
    maps = orders_of(field(8))
    pyramid = jaxscat.build_pyramid(8, scales=1, orientations=1)
    with pytest.warns(UserWarning, match="map: read as NESTED, but as RING neighbouring pixels"):
        jaxscat.measure(maps["RING"], pyramid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jaxscat.measure(maps["NESTED"], pyramid)
        jaxscat.measure(np.random.default_rng(0).normal(size=768), pyramid)


def test_from_healpy_takes_either_order_averages_and_fills():
    maps = orders_of(field(8))
    np.testing.assert_array_equal(jaxscat.from_healpy(maps["RING"]), maps["NESTED"])
    np.testing.assert_array_equal(jaxscat.from_healpy(maps["NESTED"], nest=True), maps["NESTED"])
    several = jaxscat.from_healpy(np.stack([maps["RING"], -maps["RING"]]), nside=4)
    expected = healpy.ud_grade(maps["RING"], 4, order_in="RING", order_out="NESTED")
    np.testing.assert_allclose(several, [expected, -expected], rtol=1e-12)
    holes = maps["RING"].astype(np.float32)
    holes[:20] = healpy.UNSEEN
    with pytest.raises(ValueError, match="map: got 20 of 768 pixels UNSEEN .*unseen='mean' fills"):
        jaxscat.from_healpy(holes)
    filled = jaxscat.from_healpy(holes, unseen="mean")
    mask = jaxscat.from_healpy(holes > -1e30)
    assert (mask == 0).sum() == 20 and filled.dtype == np.float64
    assert set(filled[mask == 0]) == {holes[20:].astype(float).mean()}
    coarse = jaxscat.from_healpy(holes, nside=4, unseen="mean")
    seen = jaxscat.from_healpy(holes > -1e30, nside=4) > 0
    marked = np.where(mask > 0, filled, healpy.UNSEEN)
    expected = healpy.ud_grade(marked, 4, order_in="NESTED", order_out="NESTED")
    np.testing.assert_allclose(coarse[seen], expected[seen], rtol=1e-6)
    assert set(coarse[~seen]) <= set(filled[mask == 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"map": np.ones(100)}, "map: got 100 pixels, expected 12 nside"),
        ({"map": np.ones((1, 2, 48))}, r"map: got an array of shape \(1, 2, 48\)"),
        ({"map": np.ones(48) * 1j}, "map: got complex values"),
        ({"map": np.full(48, np.inf)}, "map: got 48 of 48 pixels infinite"),
        ({"map": np.full(48, np.nan)}, "map: got 48 of 48 pixels NaN"),
        ({"map": np.full(48, np.nan), "unseen": "mean"}, "map: got no pixel with data"),
        ({"map": np.ones(48), "nside": 4}, "nside: got 4, expected at most 2 as the map has"),
        ({"map": np.ones(48), "nest": "RING"}, "nest: got 'RING', expected True or False"),
        ({"map": np.ones(48), "unseen": "mask"}, "unseen: got 'mask', expected 'refuse'"),
    ],
)
def test_from_healpy_refuses_what_is_no_map(arguments, message):
    with pytest.raises(ValueError, match=message):
        jaxscat.from_healpy(**arguments)
