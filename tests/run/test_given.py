"""What a task knows of its data: footprints, gaps, and the pixels in which a truth counts."""

import numpy as np
import pytest

from jaxscat.io.maps import save_maps
from jaxscat.maps import UNSEEN
from jaxscat.reconstruction.renewal import RenewalState
from jaxscat.reconstruction.result import collect
from jaxscat.run import reconstruction_report
from jaxscat.run.config import config_from_tree
from jaxscat.run.given import read_given
from jaxscat.run.reconstruction import Reconstructed
from jaxscat.run.reconstruction_report import WIENER, best_filters
from jaxscat.run.reconstruction_results import describe_solution

NPIX, SEEN = 192, np.arange(192) >= 60
MAP = np.random.default_rng(0).gamma(2.0, size=NPIX)
WHITE = {"kind": "white", "standard_deviation": 1.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    generator = np.random.default_rng(1)
    names = ("signal", "first", "second")
    for name in names:
        map = MAP + generator.normal(size=NPIX)
        save_maps(folder / f"{name}.fits", {"T": np.where(SEEN, map, UNSEEN)})
    save_maps(folder / "whole.fits", {"T": MAP})
    fine = 5 + np.repeat(generator.normal(size=(3, NPIX)), 4, axis=1)
    fine[:, : 4 * 60][:, ::2] = UNSEEN  # half of the parts of these pixels
    for name, map in zip(names, fine, strict=True):
        save_maps(folder / f"fine_{name}.fits", {"T": map})
    gaps = np.where(np.arange(NPIX) < 20, 1.0, 0.0)
    save_maps(folder / "gaps.fits", {"T": np.where(np.arange(NPIX) > 180, UNSEEN, gaps)})
    return {path.stem: str(path) for path in folder.iterdir()}


def read(kind, path, **sections):
    data = {"path": path, "unseen": "mask"} | sections.pop("data", {})
    return read_given(config_from_tree({"task": {"kind": kind}, "data": data, **sections}))


def test_a_truth_made_of_a_map_with_holes_is_known_outside_of_them_only(files):
    given, truth = read("denoise", files["signal"], noise=WHITE | {"add_to_data": True})
    np.testing.assert_array_equal(truth.known, SEEN)
    np.testing.assert_array_equal(given.compared(), SEEN)
    _, whole = read("denoise", files["whole"], noise=WHITE | {"add_to_data": True})
    assert whole.known.all()


def test_the_spectrum_of_a_truth_with_holes_is_that_of_its_seen_pixels(files, monkeypatch):
    tree = {"task": {"kind": "denoise"}, "noise": WHITE | {"add_to_data": True}}
    config = config_from_tree(tree | {"data": {"path": files["signal"], "unseen": "mask"}})
    given, truth = read_given(config)
    monkeypatch.setattr(
        reconstruction_report, "wiener_filter", lambda data, signal, *_, **__: signal
    )
    signal = best_filters(config, Reconstructed(given, truth, None, None))[WIENER][:-1]
    # Pixels that do not depend on each other have the same level in all multipoles.
    level = np.average(signal[1:], weights=2 * np.arange(1, signal.size) + 1)
    # With the mean in the holes it would be lower by the part of the sky that they are.
    assert level * NPIX / (4 * np.pi) == pytest.approx(np.var(truth.map[SEEN]), rel=0.15)


def test_a_truth_that_lacks_all_pixels_that_are_compared_is_refused(files):
    with pytest.raises(ValueError, match=r"^truth\.path: got a map that lacks all of the gaps"):
        read("inpaint", files["signal"], truth={"path": files["first"]})
    _, truth = read("inpaint", files["signal"], truth={"path": files["whole"]})
    assert truth.known.all()


def test_what_data_and_half_missions_lack_alike_counts_once(files):
    halves = {name: files[f"fine_{name}"] for name in ("first", "second")}
    noise = {"kind": "halves", **halves}
    given, _ = read("denoise", files["fine_signal"], data={"nside": 4}, noise=noise)
    np.testing.assert_allclose(given.mask, np.where(SEEN, 1.0, 0.5))


def test_pixels_without_a_value_in_a_file_of_gaps_are_none(files):
    given, _ = read("inpaint", files["whole"], gaps={"path": files["gaps"]})
    np.testing.assert_array_equal(given.gaps, np.arange(NPIX) < 20)
    with pytest.raises(ValueError, match="^gaps.path: .*data.unseen = 'mask'"):
        read("inpaint", files["whole"], data={"unseen": "refuse"}, gaps={"path": files["gaps"]})


def test_a_run_that_ends_before_any_renewal_has_made_none():
    state = RenewalState(
        np.zeros((1, 4)), 0, ("no signal",), {"scattering": np.full((1, 1), np.nan)}, np.zeros(1)
    )
    found = describe_solution(None, collect(state, [None], state.maps, {}, None))
    assert found["renewals"] == 0 and found["status"] == "no signal"
