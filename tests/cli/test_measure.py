"""Coefficients of files, as `jaxscat measure` has them."""

import numpy as np
import pytest

from jaxscat.cli.measure import MeasureOptions, measure_files
from jaxscat.io.maps import save_maps
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.scattering import measure
from jaxscat.statistics.storage import load_statistics, save_statistics
from jaxscat.validation.sky import sky_sentence

NPIX = 3072
SEEN = np.arange(NPIX) < 2048


def test_a_large_mean_costs_no_digits(tmp_path):
    map, second = np.random.default_rng(0).gamma(2.0, size=(2, 192))
    map, second = map + 3e5, second - 2e6
    for name, values in (("map", map), ("second", second)):
        np.save(tmp_path / f"{name}.npy", values)
    options = MeasureOptions(
        str(tmp_path / "map.npy"), tmp_path / "out.npz", second=str(tmp_path / "second.npy")
    )
    found = measure_files(options)[0].statistics
    expected = measure(map, build_pyramid(4, dtype="float64"), second=second)
    assert found.s0.dtype == np.float32
    for name, group in found.groups().items():
        wanted = expected.groups()[name]
        assert np.linalg.norm(group - wanted) < 1e-5 * np.linalg.norm(wanted), name


@pytest.fixture(scope="module")
def masked_file(tmp_path_factory):
    """A map whose southern base faces are hidden."""
    map = np.random.default_rng(0).gamma(2.0, size=NPIX)
    path = tmp_path_factory.mktemp("maps") / "map.fits"
    save_maps(path, {"T": np.where(SEEN, map, np.nan)})
    return path, map


@pytest.mark.parametrize("hidden", ["exclude", "interior", "patch"])
def test_hidden_pixels_are_treated_as_asked_and_it_is_said(masked_file, tmp_path, hidden):
    path, map = masked_file
    how = {"unseen": "mask", "hidden": hidden, "scales": 2}
    stored, _ = measure_files(MeasureOptions(str(path), tmp_path / "out.npz", **how))
    cells = np.flatnonzero(SEEN) if hidden == "patch" else None
    pyramid = build_pyramid(16, scales=2, dtype="float32", cell_ids=cells)
    given = map.astype(np.float32)
    expected = (
        measure(given[cells], pyramid)
        if hidden == "patch"
        else measure(given, pyramid, mask=SEEN, hidden=hidden)
    )
    for name, group in stored.statistics.groups().items():
        np.testing.assert_allclose(group, expected.groups()[name], rtol=2e-5, atol=1e-7)
    assert stored.sky["hidden"] == hidden
    assert stored.sky["sky_fraction"] == pytest.approx(SEEN.mean())
    assert [row["nside"] for row in stored.sky["scales"]] == [16, 8]
    assert stored.errors is not None and np.isfinite(stored.errors.ravel()).all()
    exclusion = hidden == "exclude"
    assert (f"hidden pixels: {hidden}" in stored.description) != exclusion
    sentence = sky_sentence(stored.sky)
    assert sentence.startswith("67 % of the sky; ") and "nside 16: " in sentence
    save_statistics(
        tmp_path / "out.npz", stored.statistics, stored.spec, errors=stored.errors, sky=stored.sky
    )
    assert load_statistics(tmp_path / "out.npz").sky == stored.sky


def test_scales_that_are_left_out_are_neither_in_the_file_nor_in_its_spec(masked_file, tmp_path):
    options = MeasureOptions(
        str(masked_file[0]), tmp_path / "out.npz", unseen="mask", hidden="interior"
    )
    with pytest.warns(UserWarning, match=r"^mask: .*nside .* left out"):
        stored, _ = measure_files(options)
    assert stored.spec.scales == stored.statistics.scales < 5
    assert len(stored.sky["scales"]) == stored.spec.scales


def test_pixels_without_data_cannot_be_included(masked_file, tmp_path):
    options = MeasureOptions(
        str(masked_file[0]), tmp_path / "out.npz", unseen="mask", hidden="include"
    )
    with pytest.raises(ValueError, match=r"^hidden: got 'include' for maps with 1024 pixels with"):
        measure_files(options)
