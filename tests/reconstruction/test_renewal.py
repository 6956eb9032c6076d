"""Renewals share their programs, and go on from checkpoints as if never interrupted."""

import shutil

import numpy as np
import pytest

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.lanes import advance
from jaxscat.minimization.minimize import Batching
from jaxscat.reconstruction import realizations
from jaxscat.reconstruction.denoise import denoise
from jaxscat.reconstruction.inpaint import inpaint
from jaxscat.reconstruction.options import Renewals, TermOptions

OPTIONS = {"seeds": (4, 0), "batching": Batching(chunk_steps=2)}


def test_all_renewals_data_noise_levels_and_seeds_share_their_programs(example):
    # Programs of earlier tests may be gone: some clear the caches.
    denoise(example.data, example.pyramid, example.noise, renewals=Renewals(number=2))
    sizes = (realizations._measure._cache_size(), advance._cache_size())
    other = example.data[::-1].copy()
    for data, level, seeds in ((other, 1.0, None), (other + 1, 1.1, None), (3 * other, 3.0, [7])):
        noise = GaussianNoise.white(level, 8, dtype=np.float64)
        denoise(data, example.pyramid, noise, seeds=seeds, renewals=Renewals(number=2))
    assert (realizations._measure._cache_size(), advance._cache_size()) == sizes
    found = denoise(example.data, example.pyramid, example.noise, terms=["residual"], start="data")
    assert found.status == "converged" and found.chi2["residual"][-1] <= 1.05
    # A residual is measured by the program of the map.
    assert realizations._measure._cache_size() == sizes[0]
    assert advance._cache_size() == sizes[1] + 1


def test_gaps_share_their_programs_too(example, compilations):
    gaps = np.arange(768) < 150
    inpaint(example.truth, example.pyramid, gaps)
    size = advance._cache_size()
    compilations.clear()
    inpaint(example.data, example.pyramid, gaps[::-1].copy(), renewals=Renewals(number=2))
    assert advance._cache_size() == size and compilations == []


@pytest.fixture
def whole(several):
    return several


def run(example, folder, callback=None, **changes):
    checkpoints = Checkpoints(folder, every_steps=2, every_minutes=None)
    arguments = {"data": example.data, "pyramid": example.pyramid, "noise": example.noise}
    return denoise(**arguments | OPTIONS | changes, checkpoints=checkpoints, callback=callback)


def assert_same(found, expected):
    assert found.status == expected.status and found.seeds == expected.seeds
    assert not found.interrupted
    np.testing.assert_array_equal(found.map, expected.map)
    np.testing.assert_array_equal(found.evaluations, expected.evaluations)
    assert found.chi2.keys() == expected.chi2.keys()
    for name, values in expected.chi2.items():
        np.testing.assert_array_equal(found.chi2[name], values)
    for name, kept in expected.statistics.items():
        np.testing.assert_array_equal(found.statistics[name]["sigma"].s4, kept["sigma"].s4)


def stops_at(count, error):
    seen = []

    def callback(progress):
        seen.append(progress)
        if len(seen) == count:
            raise error

    return callback, seen


def test_progress_is_over_all_renewals(example, whole):
    callback, seen = stops_at(0, None)
    denoise(example.data, example.pyramid, example.noise, **OPTIONS, callback=callback)
    evaluations = [progress.evaluations for progress in seen]
    assert evaluations == sorted(evaluations) and len(seen) >= 4
    assert {progress.max_steps for progress in seen} == {5 * 20 * 2}
    # The first trial of a line search may not lower the loss.
    assert all(0 <= progress.step <= 200 for progress in seen) and seen[-1].step > 0
    # The last evaluation of a seed that has ended is not counted as its own.
    assert evaluations[-1] >= whole.evaluations.sum()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_interrupted_reconstruction_goes_on_bit_for_bit(example, whole, tmp_path, count):
    callback, seen = stops_at(count, KeyboardInterrupt)
    part = run(example, tmp_path, callback)
    assert len(seen) == count and part.interrupted and "interrupted" in part.status
    assert np.isfinite(part.map).all() and part.map.shape == whole.map.shape
    assert_same(run(example, tmp_path), whole)
    # Once more from what the whole run has left.
    assert_same(run(example, tmp_path), whole)


def test_a_kill_at_any_moment_goes_on_bit_for_bit(example, whole, tmp_path):
    """Copies of the folder at every look stand for what a kill leaves."""
    copies = []

    def copy(progress):
        copies.append(tmp_path / f"copy {len(copies)}")
        shutil.copytree(tmp_path / "kept", copies[-1])

    assert_same(run(example, tmp_path / "kept", copy), whole)
    assert len(copies) >= 4
    for folder in copies[1::2]:
        assert sorted(path.name for path in folder.iterdir())[-1] == "renewals.npz"
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
        assert_same(run(example, folder), whole)


def test_a_kill_between_two_files_goes_on_bit_for_bit(example, whole, tmp_path):
    callback, _ = stops_at(3, RuntimeError("killed"))
    with pytest.raises(RuntimeError, match="killed"):
        run(example, tmp_path, callback)
    for folder in tmp_path.glob("renewal-*"):
        shutil.rmtree(folder)
    assert_same(run(example, tmp_path), whole)


def test_an_interrupt_before_the_first_map_keeps_the_starts(example, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxscat.reconstruction.solve.calibrate", interrupted)
    found = run(example, tmp_path)
    assert found.status == ("interrupted",) * 2 and found.interrupted
    assert found.chi2 == {} and found.statistics == {}


def test_checkpoints_of_another_reconstruction_are_refused_by_name(example, tmp_path, small):
    callback, _ = stops_at(2, KeyboardInterrupt)
    run(example, tmp_path, callback)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    template = {"cross": TermOptions(template=example.truth)}
    loud = GaussianNoise.white(1.01, 8, dtype=np.float64)
    for changes, name in [
        ({"data": example.data + np.eye(1, 768)[0]}, "data"),
        ({"noise": loud}, "noise"),
        ({"seeds": (0, 4)}, "seeds"),
        ({"seeds": 2, "start": "wiener"}, "seeds"),
        ({"start": "wiener"}, "starts of seeds"),
        ({"terms": {"scattering": TermOptions(weight=2)}}, "terms"),
        ({"terms": {"scattering": TermOptions(), **template}}, "terms"),
        ({"renewals": Renewals(steps=30)}, "renewals"),
        ({"renewals": Renewals(realizations=32)}, "renewals"),
        ({"pyramid": small}, "pyramid"),
        ({"mask": np.arange(768) > 5}, "data"),
    ]:
        with pytest.raises(ValueError, match=rf"^checkpoint in .*: got {name} = "):
            run(example, tmp_path, **changes)
    assert kept == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_numbers_of_numpy_can_be_kept(example, tmp_path):
    options = {
        "terms": {"scattering": TermOptions(weight=np.float32(1), level=np.int64(1))},
        "renewals": Renewals(number=np.int64(5), realizations=np.int64(64)),
    }
    assert_same(run(example, tmp_path, **options), run(example, tmp_path, **options))


def test_templates_belong_to_the_identity(example, tmp_path, small, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def crossed(template):
        terms = {"cross": TermOptions(template=template)}
        return run(example, tmp_path, pyramid=small, terms=terms, seeds=None, start="wiener")

    # The state is kept before anything is measured.
    monkeypatch.setattr("jaxscat.reconstruction.solve.calibrate", interrupted)
    assert crossed(example.truth).status == "interrupted"
    with pytest.raises(ValueError, match="got measurement of cross = "):
        crossed(example.truth**2)


def test_a_damaged_file_is_named(example, tmp_path):
    callback, _ = stops_at(2, KeyboardInterrupt)
    run(example, tmp_path, callback)
    path = tmp_path / "renewals.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"renewals\.npz"):
        run(example, tmp_path)
