"""Maps and masks as a run reads them."""

import healpy
import numpy as np
import pytest

from jaxscat.run.config import config_from_tree
from jaxscat.run.inputs import read_inputs

NSIDE = 4
NPIX = 12 * NSIDE**2


def settings(path, **sections):
    data = {"path": str(path)} | sections.get("data", {})
    return config_from_tree(sections | {"data": data})


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.random.default_rng(0).gamma(2.0, size=NPIX).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def second_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("second") / "second.npy"
    np.save(path, np.random.default_rng(1).gamma(2.0, size=4 * NPIX))  # of twice the nside
    return path


def test_standardised_map_has_mean_zero_and_unit_spread(map_file):
    inputs = read_inputs(settings(map_file, data={"transform": "standardise"}))
    assert inputs.original.mean() == pytest.approx(0.0, abs=1e-12)
    assert inputs.original.std() == pytest.approx(1.0)


def test_exp_of_the_standardised_map(map_file, tmp_path):
    def original(transform, **target):
        return read_inputs(
            settings(map_file, data={"transform": transform}, target=target)
        ).original

    np.testing.assert_allclose(original("exp"), np.exp(original("standardise")), rtol=1e-12)
    mask = np.random.default_rng(4).random(NPIX) * (np.arange(NPIX) < 150)
    np.save(tmp_path / "mask.npy", mask)
    masked = original("exp", mask=str(tmp_path / "mask.npy"))
    logarithm, given = np.log(masked), np.load(map_file).astype(np.float64)
    mean = np.average(given, weights=mask)
    spread = np.sqrt(np.average((given - mean) ** 2, weights=mask))
    seen = mask > 0
    expected = (given - mean) / spread
    np.testing.assert_allclose(logarithm[seen], expected[seen], rtol=1e-6, atol=1e-7)
    hidden = given[seen].mean()  # what stands in hidden pixels before the exponential
    np.testing.assert_allclose(logarithm[~seen], (hidden - mean) / spread, rtol=1e-6)
    assert not np.allclose(masked, original("exp"), rtol=1e-2)


def test_exp_of_what_a_mask_hides_is_within_what_it_shows(tmp_path):
    map, mask = np.random.default_rng(0).gamma(2.0, size=NPIX), np.ones(NPIX)
    map[[3, 50, 51]] = [map.mean() + 200 * map.std(), -1e30, 1e30]
    mask[[3, 50, 51]], mask[100:] = 0.0, 0.5
    np.save(tmp_path / "map.npy", map)
    np.save(tmp_path / "mask.npy", mask)
    config = settings(
        tmp_path / "map.npy",
        data={"transform": "exp"},
        target={"mask": str(tmp_path / "mask.npy"), "hidden": "include"},
    )
    found, seen = read_inputs(config).original, mask > 0
    mean = np.average(map, weights=mask)
    expected = (map - mean) / np.sqrt(np.average((map - mean) ** 2, weights=mask))
    np.testing.assert_allclose(found[seen], np.exp(expected[seen]), rtol=1e-12)
    shown = found[seen]
    np.testing.assert_allclose(found[~seen], [shown.max(), shown.min(), shown.max()], rtol=1e-12)
    assert shown.min() > 0.02 and shown.max() < 1e3


def test_mask_file_and_missing_pixels_make_one_mask(tmp_path):
    map, given = np.arange(NPIX, dtype=float), np.ones(NPIX)
    map[:10] = healpy.UNSEEN
    given[5:20] = 0.5
    np.save(tmp_path / "map.npy", map)
    np.save(tmp_path / "mask.npy", given)
    inputs = read_inputs(
        settings(
            tmp_path / "map.npy",
            data={"unseen": "mask"},
            target={"mask": str(tmp_path / "mask.npy")},
        )
    )
    np.testing.assert_array_equal(inputs.mask, given * (np.arange(NPIX) >= 10))
    assert inputs.original.min() >= 10
    assert set(inputs.checksums) == {"map", "map_file", "mask_file"}


def test_mask_of_another_size_is_refused(map_file, tmp_path):
    np.save(tmp_path / "mask.npy", np.ones(48))
    with pytest.raises(ValueError, match="48.*192"):
        read_inputs(settings(map_file, target={"mask": str(tmp_path / "mask.npy")}))


def test_second_map_is_read_like_the_original(map_file, second_file):
    inputs = read_inputs(settings(map_file, target={"second": str(second_file)}))
    assert inputs.second is not None
    np.testing.assert_allclose(inputs.second, np.load(second_file).reshape(-1, 4).mean(-1))
    assert set(inputs.checksums) == {"map", "map_file", "second", "second_file"}
    assert inputs.checksums["second_file"] != inputs.checksums["map_file"]
    standardised = read_inputs(
        settings(map_file, data={"transform": "standardise"}, target={"second": str(second_file)})
    )
    assert standardised.second is not None
    assert standardised.second.mean() == pytest.approx(0.0, abs=1e-12)
    assert standardised.second.std() == pytest.approx(1.0)


def test_second_map_may_be_a_dataset_beside_a_file_in_ring_order(map_file, monkeypatch):
    dataset = np.arange(4.0 * NPIX)
    monkeypatch.setattr("jaxscat.io.formats.load_dataset", {"cosmic-web": dataset}.__getitem__)
    inputs = read_inputs(
        settings(map_file, data={"order": "RING"}, target={"second": "cosmic-web"})
    )
    np.testing.assert_array_equal(inputs.second, dataset.reshape(-1, 4).mean(-1))
    assert set(inputs.checksums) == {"map", "map_file", "second"}  # it comes from no file


def test_second_map_may_be_a_field_of_a_dataset(map_file, monkeypatch):
    stokes = np.arange(3.0 * NPIX).reshape(3, -1) ** 2
    monkeypatch.setattr("jaxscat.io.formats.load_dataset", lambda name: stokes)
    for field, row in ((None, 0), ("U", 2)):
        target = {"second": "polarized-dust", "second_field": field}
        inputs = read_inputs(settings(map_file, target=target))
        np.testing.assert_array_equal(inputs.second, stokes[row])


def test_pixels_that_either_map_lacks_are_masked(tmp_path):
    first, second = np.arange(NPIX, dtype=float), np.arange(NPIX, dtype=float)
    first[:10], second[5:20] = healpy.UNSEEN, healpy.UNSEEN
    np.save(tmp_path / "first.npy", first)
    np.save(tmp_path / "second.npy", second)
    target = {"second": str(tmp_path / "second.npy")}
    inputs = read_inputs(settings(tmp_path / "first.npy", data={"unseen": "mask"}, target=target))
    np.testing.assert_array_equal(inputs.mask, np.arange(NPIX) >= 20)
    with pytest.raises(ValueError, match="first.npy.*UNSEEN"):
        read_inputs(settings(tmp_path / "first.npy", target=target))
    first[10:] = healpy.UNSEEN
    first[:10] = np.arange(10)
    second[:10] = healpy.UNSEEN
    np.save(tmp_path / "first.npy", first)
    np.save(tmp_path / "second.npy", second)
    with pytest.raises(ValueError, match="target.second.*no pixel"):
        read_inputs(settings(tmp_path / "first.npy", data={"unseen": "mask"}, target=target))


def test_second_map_that_is_coarser_or_missing_is_refused(map_file, tmp_path):
    np.save(tmp_path / "coarse.npy", np.arange(48.0))
    with pytest.raises(ValueError, match="at most 2.*coarse.npy"):
        read_inputs(settings(map_file, target={"second": str(tmp_path / "coarse.npy")}))
    with pytest.raises((ValueError, FileNotFoundError), match="nowhere.npy"):
        read_inputs(settings(map_file, target={"second": str(tmp_path / "nowhere.npy")}))


def test_npy_mask_is_in_the_order_of_the_map(map_file, tmp_path):
    mask = np.random.default_rng(4).random(NPIX)
    np.save(tmp_path / "mask.npy", mask)
    inputs = [
        read_inputs(
            settings(
                map_file,
                data={"order": order, "nside": 2},
                target={"mask": str(tmp_path / "mask.npy")},
            )
        )
        for order in ("NESTED", "RING")
    ]
    expected = healpy.ud_grade(mask, 2, order_in="RING", order_out="NESTED")
    np.testing.assert_allclose(inputs[1].mask, expected)
    assert not np.allclose(inputs[0].mask, expected)


@pytest.mark.parametrize("transform", ["standardise", "exp"])
def test_map_with_one_value_under_the_mask_cannot_be_standardised(tmp_path, transform):
    mask = np.arange(NPIX) < NPIX // 2
    np.save(tmp_path / "map.npy", np.where(mask, 2.0, np.arange(NPIX)))
    np.save(tmp_path / "mask.npy", mask.astype(float))
    config = settings(
        tmp_path / "map.npy",
        data={"transform": transform},
        target={"mask": str(tmp_path / "mask.npy")},
    )
    with pytest.raises(ValueError, match=rf"^data.transform: got '{transform}' for a map with one"):
        read_inputs(config)
