"""A config becomes a problem once, for runs and for whoever wants its maps in memory."""

import dataclasses

import numpy as np
import pytest

from jaxscat.fields.gaussianization import gaussianize
from jaxscat.fields.starts import gaussian_noise
from jaxscat.progress import Observer
from jaxscat.run.config import config_from_tree
from jaxscat.run.problem import prepare
from jaxscat.run.provenance import Clock
from jaxscat.run.synthesis import synthesize_seeds

NPIX = 192


class Stages(Observer):
    def __init__(self):
        self.names = []

    def stage(self, name):
        self.names.append(name)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    np.save(folder / "map.npy", generator.gamma(2.0, size=NPIX))
    np.save(folder / "second.npy", generator.gamma(2.0, size=NPIX))
    np.save(folder / "mask.npy", generator.uniform(size=(2, NPIX)) * (np.arange(NPIX) < 150))
    return folder


def settings(files, **sections):
    tree = {
        "data": {"path": str(files / "map.npy")},
        "pyramid": {"scales": 2, "orientations": 2},
        "synthesis": {"seeds": [3, 4], "max_steps": 6},
    }
    for name, entries in sections.items():
        tree[name] = tree.get(name, {}) | entries
    return config_from_tree(tree)


@pytest.fixture(scope="module")
def plain(files):
    return prepare(settings(files))


def test_it_is_read_built_and_measured_in_this_order(files):
    observer, clock = Stages(), Clock()
    prepared = prepare(settings(files), observer=observer, clock=clock)
    path = str(files / "map.npy")
    assert observer.names == [f"reading {path}", "building the wavelets", "measuring the map"]
    assert set(clock.seconds) == {"load", "pyramid", "target"}
    assert prepared.inputs.source == path
    assert set(prepared.inputs.checksums) == {"map", "map_file"}


def test_without_more_settings_the_original_is_the_working_map(files, plain):
    original = np.load(files / "map.npy").astype(np.float32)
    np.testing.assert_array_equal(plain.original, original)
    np.testing.assert_array_equal(plain.working.values, original)
    np.testing.assert_array_equal(plain.restore(original), original)
    start = plain.start(3)
    assert start.dtype == np.float32
    np.testing.assert_array_equal(start, gaussian_noise(original, 3).astype(np.float32))
    assert plain.form is None and plain.working.footprint is None
    assert plain.pyramids == [plain.pyramid] and len(plain.targets) == 1


def test_levels_go_from_the_coarsest_to_that_of_the_map(files):
    prepared = prepare(settings(files, synthesis={"first_nside": 2, "form": "harmonic"}))
    assert [pyramid.spec.nside for pyramid in prepared.pyramids] == [2, 4]
    assert [target.mean.s2.shape[-2] for target in prepared.targets] == [1, 2]
    assert prepared.pyramid.spec.nside == 4 and prepared.form is not None


def test_gaussianized_maps_are_restored_within_the_footprint(files):
    target = {"mask": str(files / "mask.npy"), "second": str(files / "second.npy")}
    prepared = prepare(settings(files, target=target, synthesis={"gaussianize": True}))
    for map in (prepared.original, prepared.inputs.mask, prepared.inputs.second):
        assert map.dtype == np.float32
    footprint = prepared.inputs.mask.max(axis=0)
    np.testing.assert_array_equal(prepared.working.footprint, footprint)
    normal, _ = gaussianize(prepared.original, weights=footprint)
    np.testing.assert_array_equal(prepared.working.values, normal)
    restored = prepared.restore(prepared.working.values)
    np.testing.assert_allclose(restored[:150], prepared.original[:150], rtol=1e-5)
    np.testing.assert_array_equal(
        prepared.working.restored_start(3), prepared.restore(prepared.start(3))
    )
    assert prepared.targets[0].mean.kind == "cross"


def test_maps_of_a_config_in_memory(plain):
    result = synthesize_seeds(plain)
    assert result.seeds == (3, 4) and result.map.shape == (2, NPIX)
    config = plain.config
    changed = config.synthesis.model_copy(update={"max_steps": 2})
    short = dataclasses.replace(plain, config=config.model_copy(update={"synthesis": changed}))
    fewer = synthesize_seeds(short, [4])
    assert fewer.seeds == (4,) and fewer.steps.tolist() == [2]
    np.testing.assert_allclose(fewer.losses[0], result.losses[1, :3], rtol=1e-5)


@pytest.mark.parametrize("gaussianize", [False, True])
def test_a_logarithm_is_taken_and_taken_back(files, gaussianize):
    how = {"transform": "log"}, {"gaussianize": gaussianize, "form": "harmonic"}
    target = {"second": str(files / "second.npy")}
    prepared = prepare(settings(files, data=how[0], synthesis=how[1], target=target))
    original = np.load(files / "map.npy")
    np.testing.assert_allclose(prepared.original, original, rtol=1e-6)
    if not gaussianize:
        np.testing.assert_allclose(prepared.working.values, np.log(original), atol=1e-5)
    np.testing.assert_allclose(prepared.restore(prepared.working.values), original, rtol=1e-4)
    second = np.log(np.load(files / "second.npy"))
    np.testing.assert_allclose(prepared.targets[0].second, second, atol=1e-5)
    made = prepared.restore(synthesize_seeds(prepared, [3]).map)
    assert made.min() > 0 and prepared.working.restored_start(3).min() > 0
    assert made.dtype == prepared.original.dtype


def test_a_logarithm_of_what_is_not_positive_is_refused_and_a_mask_leaves_it_out(files, tmp_path):
    map = np.load(files / "map.npy")
    map[160:170] = [0.0, *np.linspace(-1, -0.25, 9)]
    np.save(tmp_path / "map.npy", map)
    data = {"path": str(tmp_path / "map.npy"), "transform": "log"}
    message = (
        r"^data.transform: got 'log' for a map with 10 of 192 pixels that are not positive \(the "
        r"smallest is -1\), expected positive values"
    )
    with pytest.raises(ValueError, match=message):
        prepare(settings(files, data=data))
    masked = prepare(settings(files, data=data, target={"mask": str(files / "mask.npy")}))
    assert np.isfinite(masked.working.values).all()
    second = {"second": str(tmp_path / "map.npy")}
    with pytest.raises(ValueError, match=r"^target.second: got 'log' for a map with 10"):
        prepare(settings(files, data={"transform": "log"}, target=second))


@pytest.mark.parametrize("gaussianize", [False, True])
def test_a_large_mean_is_taken_off_and_added_back_in_float64(files, tmp_path, gaussianize):
    map = np.load(files / "map.npy")
    np.save(tmp_path / "map.npy", map + 1e6 * map.std())
    settled = settings(files, synthesis={"gaussianize": gaussianize})
    data = settled.data.model_copy(update={"path": str(tmp_path / "map.npy")})
    raised = prepare(settled.model_copy(update={"data": data}))
    assert raised.original.dtype == np.float64  # float32 would round it to a sixteenth
    np.testing.assert_array_equal(raised.original, np.load(tmp_path / "map.npy"))
    assert raised.working.values.dtype == np.float32
    assert abs(raised.working.values.mean()) < 16 * raised.working.values.std()
    plain = prepare(settled)
    for name in ("s1", "s2", "s3", "s4"):
        found, expected = (getattr(one.targets[0].mean, name) for one in (raised, plain))
        assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
    back = raised.restore(raised.working.values)
    assert back.dtype == np.float64
    assert np.abs(back - raised.original).max() < 1e-5 * map.std()
    assert abs(raised.working.restored_start(3).mean() - raised.original.mean()) < map.std()


def test_a_large_mean_of_the_second_map_is_left_to_the_target(files, tmp_path):
    second = np.load(files / "second.npy")
    np.save(tmp_path / "second.npy", second + 1e6)
    prepared = prepare(settings(files, target={"second": str(tmp_path / "second.npy")}))
    assert prepared.targets[0].second_offset is not None
    np.testing.assert_array_equal(prepared.inputs.second, np.load(tmp_path / "second.npy"))
