"""Runs that go from one nside to the next: what each level is made of, and what comes out."""

from contextlib import nullcontext

import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.make_target import make_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.progress import Observer
from jaxscat.run import resolution_levels
from jaxscat.run.config import config_from_tree
from jaxscat.run.execute import run_experiment
from jaxscat.run.folder import RunFolder
from jaxscat.run.processes import Processes
from jaxscat.run.provenance import Clock
from jaxscat.run.resolution_levels import build_coarser_levels
from jaxscat.run.synthesis import synthesize_run
from jaxscat.run.targets import build_run_pyramid

NSIDE = 8
NPIX = 12 * NSIDE**2


def settings(path="map.npy", **sections):
    tree = {
        "data": {"path": str(path)},
        "pyramid": {"orientations": 2, "scales": 3},
        "synthesis": {"first_nside": 2},
        "run": {"name": "trial", "precision": "float64"},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def original():
    return np.random.default_rng(0).gamma(2.0, size=NPIX)


@pytest.fixture(scope="module")
def pyramid():
    return build_run_pyramid(settings(), NSIDE)


def assert_same_target(found, expected):
    for one, other in ((found.mean, expected.mean), (found.sigma, expected.sigma)):
        assert one.groups().keys() == other.groups().keys()
        for name, group in one.groups().items():
            np.testing.assert_allclose(group, other.groups()[name], rtol=1e-9, atol=1e-12)


def test_progress_of_the_wavelets_of_every_level_is_told(original, pyramid, parts):
    observer = parts
    build_coarser_levels(settings(), original, pyramid, observer=observer)
    # Two scales at nside 4 and one at nside 2.
    assert observer.stages == {
        "building the wavelets of nside 4": (240, 240),
        "measuring the map at nside 4": None,
        "building the wavelets of nside 2": (48, 48),
        "measuring the map at nside 2": None,
    }


def halved(reference, map, nside):
    """A map of half the nside, by the dense matrix."""
    return np.asarray(map) @ reference.downsampling_matrix(nside).T


def test_targets_are_those_of_the_downsampled_original(reference, original, pyramid):
    targets, pyramids = build_coarser_levels(settings(), original, pyramid)
    assert [level.spec.nside for level in pyramids] == [2, 4]
    assert [level.spec.scales for level in pyramids] == [1, 2]
    four = halved(reference, original, 8)
    two = halved(reference, four, 4)
    for target, level, map in zip(targets, pyramids, (two, four), strict=True):
        own = build_pyramid(
            level.spec.nside, orientations=2, scales=level.spec.scales, dtype="float64"
        )
        assert own.spec == level.spec
        assert_same_target(target, make_target(jnp.asarray(map), own))


@pytest.mark.parametrize("hidden", ["exclude", "include"])
def test_masks_thresholds_and_the_second_map_go_down_with_it(reference, original, pyramid, hidden):
    """Hidden pixels have no weight in the averages, unless they are included."""
    generator = np.random.default_rng(1)
    second = generator.gamma(2.0, size=NPIX)
    masks = generator.random((2, NPIX)) * (np.arange(NPIX) < 600)
    thresholds = (0.1, 0.05, 0.01)
    config = settings(
        target={
            "mask": "mask.npy",
            "mask_threshold": list(thresholds),
            "second": "second.npy",
            "hidden": hidden,
        },
        synthesis={"first_nside": 4},
    )
    (target,), (coarse,) = build_coarser_levels(
        config, original, pyramid, mask=masks, second=second
    )
    assert coarse.spec.nside == 4
    seen = np.ones(NPIX) if hidden == "include" else (masks.max(axis=0) > 0).astype(float)
    maps = [
        halved(reference, seen * map, 8) / np.maximum(halved(reference, seen, 8), 1e-300)
        for map in (original, second)
    ]
    expected = make_target(
        jnp.asarray(maps[0]),
        coarse,
        second=jnp.asarray(maps[1]),
        mask=jnp.asarray(halved(reference, masks, 8)),
        mask_threshold=np.array(thresholds[1:]),
        hidden=hidden,
    )
    assert_same_target(target, expected)


def test_one_threshold_holds_at_every_level(reference, original, pyramid):
    mask = np.random.default_rng(1).random(NPIX)
    config = settings(
        target={"mask": "mask.npy", "mask_threshold": 0.2}, synthesis={"first_nside": 4}
    )
    (target,), (coarse,) = build_coarser_levels(config, original, pyramid, mask=mask)
    four, mask = halved(reference, original, 8), halved(reference, mask, 8)
    assert_same_target(
        target, make_target(jnp.asarray(four), coarse, mask=jnp.asarray(mask), mask_threshold=0.2)
    )


def test_coarsest_nside_is_at_most_that_of_the_level(reference, original, pyramid):
    config = settings(target={"coarsest_nside": 4})
    targets, pyramids = build_coarser_levels(config, original, pyramid)
    assert [level.spec.nside for level in pyramids] == [2, 4]
    four = halved(reference, original, 8)
    two = halved(reference, four, 4)
    for target, level, map, coarsest in zip(targets, pyramids, (two, four), (2, 4), strict=True):
        assert_same_target(target, make_target(jnp.asarray(map), level, coarsest_nside=coarsest))
        assert target.covariance_scales == 1
    assert pyramids[1].spec.scales == 2  # the second is below the limit


def test_without_a_first_nside_there_are_no_levels(original, pyramid, monkeypatch):
    config = settings(synthesis={"first_nside": None})
    monkeypatch.setattr(resolution_levels, "build_run_pyramid", lambda *_: pytest.fail("built"))
    assert build_coarser_levels(config, original, pyramid) == ([], [])


@pytest.mark.parametrize("first", [8, 16])
def test_first_nside_that_is_not_coarser_is_refused(original, pyramid, first):
    config = settings(synthesis={"first_nside": first})
    with pytest.raises(ValueError, match=rf"^synthesis.first_nside: got {first}, .* the map, 8$"):
        build_coarser_levels(config, original, pyramid)


def test_first_nside_that_is_no_scale_of_the_pyramid_is_refused(original):
    config = settings(pyramid={"scales": 1}, synthesis={"first_nside": 2})
    pyramid = build_run_pyramid(config, NSIDE)
    coarsest = pyramid.levels[-1].nside
    assert coarsest > 2
    message = rf"^synthesis.first_nside: got 2, .* whose coarsest grid has nside {coarsest}$"
    with pytest.raises(ValueError, match=message):
        build_coarser_levels(config, original, pyramid)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_default_scales_reach_every_coarser_nside(reference, original, kernel_size):
    """The larger kernel has its finest scale at twice the nside."""
    config = settings(
        pyramid={"scales": None, "kernel_size": kernel_size}, synthesis={"first_nside": 4}
    )
    pyramid = build_run_pyramid(config, NSIDE)
    (target,), (coarse,) = build_coarser_levels(config, original, pyramid)
    assert coarse.spec.nside == 4 and coarse.spec.upsampled == pyramid.spec.upsampled
    assert_same_target(target, make_target(jnp.asarray(halved(reference, original, 8)), coarse))


def run_settings(path, **entries):
    return settings(
        path,
        pyramid={"scales": 2},
        synthesis={"seeds": [3, 4, 5], "max_steps": 8, "first_nside": 2} | entries,
    )


@pytest.fixture(scope="module")
def map_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.random.default_rng(0).gamma(2.0, size=192))
    return path


def synthesized(config, folder, processes):
    opened = RunFolder.open(folder, config, processes=processes)
    with opened.begin() if processes.index == 0 else nullcontext() as run:
        run = run or opened.join()
        if processes.count > 1 and processes.index == 0:
            # The other process has to be there; these do not wait for each other.
            synthesized(config, folder, Processes(1, processes.count, failed=True))
        return synthesize_run(config, Observer(), run, processes, Clock())


@pytest.fixture(scope="module")
def whole(map_file, tmp_path_factory):
    config = run_settings(map_file)
    return synthesized(config, tmp_path_factory.mktemp("whole") / "run", Processes())


def test_levels_have_new_maps_of_the_nside_of_the_run(whole, map_file, tmp_path):
    plain = synthesized(run_settings(map_file, first_nside=None), tmp_path / "run", Processes())
    for seed, result in whole.made.items():
        assert result.status == "step limit" and result.map.shape == (192,)
        assert result.losses.size == 9  # those of the last level alone
        assert result.loss < result.losses[0] < plain.made[seed].losses[0]
        np.testing.assert_array_equal(whole.starts[seed], plain.starts[seed])
    assert whole.made[3].evaluations[0] == 1


def test_two_processes_make_the_levels_that_one_makes(whole, map_file, tmp_path):
    two = synthesized(run_settings(map_file), tmp_path / "run", Processes(0, 2, failed=True))
    assert list(two.made) == [3, 4, 5]
    for seed, result in whole.made.items():
        np.testing.assert_allclose(two.made[seed].losses, result.losses, rtol=1e-7)
        np.testing.assert_allclose(two.made[seed].map, result.map, rtol=0, atol=1e-5)


def test_ctrl_c_before_the_last_level_leaves_nothing(map_file, tmp_path):
    class Impatient(Observer):
        def step(self, progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(run_settings(map_file), tmp_path / "run", observer=Impatient())
    assert list(tmp_path.iterdir()) == []
