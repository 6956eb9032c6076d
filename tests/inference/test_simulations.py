"""Maps measured in bulk have the coefficients of each alone, however often it is interrupted."""

import numpy as np
import pytest

import jaxscat
from jaxscat.inference import (
    Summary,
    load_simulations,
    measure_many,
    save_simulations,
    simulations,
)
from jaxscat.maps import UNSEEN

SUMMARY = Summary(groups=("S1", "S2"))
MAPS = np.random.default_rng(0).gamma(2.0, size=(11, 192))


def draw(seed):
    return MAPS[seed]


def scaled(parameters, seed):
    return parameters[0] * MAPS[seed]


def run(maps=draw, pyramid=None, **options):
    seeds = {"seeds": len(MAPS)} if callable(maps) else {}
    return measure_many(maps, pyramid, **{"chunk_size": 4, "summary": SUMMARY, **seeds, **options})


def test_vectors_are_those_of_each_map_alone(pyramid):
    found = run(pyramid=pyramid)
    alone = [jaxscat.IsotropicMean().mean(jaxscat.measure(map, pyramid)) for map in MAPS]
    wanted = [np.concatenate([one.s1, one.s2]) for one in alone]
    np.testing.assert_allclose(found.vectors, wanted, rtol=1e-12)
    names = alone[0].vector_names()
    assert list(found.names) == [name for name in names if name.startswith(("S1", "S2"))]
    assert found.seeds.tolist() == list(range(11)) and found.parameters is None


def test_arrays_lists_iterators_and_simulators_are_alike(pyramid):
    wanted = run(pyramid=pyramid).vectors
    for maps in (MAPS, list(MAPS), iter(MAPS), (map for map in MAPS)):
        np.testing.assert_array_equal(run(maps, pyramid).vectors, wanted)
    same = run(scaled, pyramid, parameters=[2.0])
    np.testing.assert_allclose(same.vectors[:, :3], 2 * wanted[:, :3], rtol=1e-10)
    assert same.parameters.tolist() == [[2.0]] * 11
    rows = np.linspace(1, 2, 11)[:, None]
    each = run(scaled, pyramid, parameters=rows)
    np.testing.assert_allclose(each.vectors[:, :3], rows * wanted[:, :3], rtol=1e-10)


def test_all_orientations_masks_and_functions_of_the_user(pyramid):
    mask = np.r_[np.zeros(20), np.ones(172)]
    summary = Summary(groups=["S2", "S3"], reduction=None, pair_scales=2, mask=mask)
    found = measure_many(MAPS[:2], pyramid, summary=summary, chunk_size=2)
    one = jaxscat.measure(MAPS[1], pyramid, mask=mask).finest(3, 2)
    names = one.vector_names()
    chosen = [at for at, name in enumerate(names) if "S2" in name or "S3" in name]
    wanted = np.asarray(one.to_vector())[chosen]
    np.testing.assert_allclose(found.vectors[1], wanted, rtol=1e-10, atol=1e-12)
    assert list(found.names) == [names[at] for at in chosen]
    plain = measure_many(MAPS[:2], pyramid, summary=lambda map, _: map[:3] ** 2, chunk_size=2)
    np.testing.assert_allclose(plain.vectors, MAPS[:2, :3] ** 2)
    assert plain.names == ("0", "1", "2")


def test_chunks_and_calls_share_one_program(pyramid, compilations):
    run(pyramid=pyramid)
    before = len(compilations)
    run(MAPS[:9], pyramid)
    assert len(compilations) == before


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
def test_interrupted_work_continues_with_equal_results(pyramid, tmp_path, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr", reason="zarr is not installed (extra `xarray`)")
        pytest.importorskip("xarray", reason="xarray is not installed (extra `xarray`)")
    path, calls = tmp_path / f"maps{suffix}", []
    wanted = run(pyramid=pyramid).vectors

    def interrupted(seed):
        calls.append(seed)
        if seed == 9 and calls.count(9) == 1:
            raise KeyboardInterrupt
        return MAPS[seed]

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, pyramid, path=path)
    stored = load_simulations(path)
    np.testing.assert_array_equal(stored.vectors, wanted[:8])
    assert stored.seeds.tolist() == list(range(8))
    calls[:] = [9]
    shown = []
    found = run(interrupted, pyramid, path=path, progress=lambda *at: shown.append(at))
    np.testing.assert_array_equal(found.vectors, wanted)
    assert calls[1:] == [0, 8, 9, 10]  # the first once more, to see that it is the same
    assert shown == [(11, 11)]
    np.testing.assert_array_equal(load_simulations(path).vectors, wanted)
    assert load_simulations(path).names == found.names
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_iterators_and_longer_lists_continue(pyramid, tmp_path):
    path, wanted = tmp_path / "maps.npz", run(pyramid=pyramid).vectors

    def broken():
        yield from MAPS[:6]
        yield np.full(192, np.nan)

    with pytest.raises(ValueError, match=r"^maps\[6\]: got 192 of 192 pixels NaN"):
        run(broken(), pyramid, path=path)
    assert len(load_simulations(path).vectors) == 4
    np.testing.assert_array_equal(run(iter(MAPS), pyramid, path=path).vectors, wanted)
    other = tmp_path / "seeds.npz"
    run(pyramid=pyramid, path=other, seeds=5)
    np.testing.assert_allclose(run(pyramid=pyramid, path=other).vectors, wanted, rtol=1e-12)


def test_a_file_of_other_simulations_is_refused_and_kept(pyramid, pyramids, tmp_path):
    path = tmp_path / "maps.npz"
    run(pyramid=pyramid, path=path, seeds=6)
    content = path.read_bytes()
    of_all = Summary(groups=("S1", "S2"), reduction=None)
    for options, message in (
        ({"seeds": [1, 2, 3, 4, 5, 6, 7]}, "path: got simulations of other seeds"),
        ({"seeds": 3}, "path: got 6 simulations, expected at most 3"),
        ({"summary": of_all}, "path: got 6 coefficients from 'S1 j=0' on, expected 24"),
        ({"maps": lambda seed: MAPS[seed] ** 2}, "path: got simulations whose first vector"),
        ({"maps": MAPS}, "path: got simulations of other seeds"),
        ({"pyramid": pyramids(4, orientations=2)}, "path: got simulations of orientations 4"),
        ({"maps": scaled, "parameters": [1.0]}, "path: got simulations of other parameters"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            run(**{"pyramid": pyramid, "path": path, **options})
        assert path.read_bytes() == content


def test_files_that_are_none_are_refused(pyramid, tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "folder.zarr").mkdir()
    for name, message in (
        ("text.npz", "path: got .*, which is no whole simulations file"),
        ("folder.zarr", "path: got .*, which is no zarr store"),
        ("maps.fits", "path: got .*, expected a name that ends in .npz"),
        ("missing/maps.npz", "path: got .*, but there is no folder"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            run(pyramid=pyramid, path=tmp_path / name)
    with pytest.raises(FileNotFoundError, match="^path: got .*, which is no file"):
        load_simulations(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match="^simulations: got 3, expected Simulations"):
        save_simulations(tmp_path / "new.npz", 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maps": "maps.fits"}, "maps: got 'maps.fits', expected an array"),
        ({"maps": MAPS[0]}, r"maps: got an array of shape \(192,\), expected an array \[sim"),
        ({"maps": MAPS[:, :48]}, r"maps\[0\]: got 48 pixels \(nside 2\), expected 192"),
        ({"maps": iter([])}, "maps: got an iterator without maps, expected one or more"),
        ({"maps": lambda: MAPS}, "maps: got .*, expected a function of a seed that returns a map"),
        ({"seeds": None}, "seeds: got None for a function, expected the seeds"),
        ({"seeds": 0}, "seeds: got 0, expected one or more"),
        ({"seeds": [1, 1]}, "seeds: got some twice or out of range"),
        ({"seeds": [0.5]}, "seeds: got an array of float64 of shape"),
        ({"maps": MAPS, "seeds": 3}, "seeds: got some for maps that are there already"),
        ({"parameters": [1.0]}, "maps: got draw, which cannot be called so"),
        ({"maps": scaled, "parameters": np.ones((3, 2))}, "parameters: got 3 rows, expected 11"),
        ({"summary": 3}, "summary: got 3, expected a function of a map and a pyramid"),
        ({"summary": lambda map, pyramid: 1.0}, "summary: got float from it, expected"),
        ({"summary": lambda map, pyramid: map[None]}, r"summary: got an array of shape \(1, 192\)"),
        ({"summary": lambda map, p: (map - 1e9) ** 0.5}, "summary: got numbers that are not fin"),
        ({"chunk_size": 0}, "chunk_size: got 0, expected an integer from 1 up"),
        ({"progress": lambda: None}, "progress: got .*, expected a function of the maps measured"),
        ({"pyramid": None}, "pyramid: got None"),
    ],
)
def test_bad_input_is_named(pyramid, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        run(**{"pyramid": pyramid, **options})


def test_a_large_mean_is_refused_in_float32_only(pyramid):
    single = jaxscat.build_pyramid(4, dtype="float32")
    with pytest.raises(ValueError, match=r"^maps\[0\]: got a mean of 1e\+03, more than 16 times"):
        run(MAPS + 1000, single)
    assert run(MAPS[:4] + 1000, pyramid).vectors.shape == (4, 6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": ("S5",)}, r"groups: got \('S5',\), expected some of S0, S1"),
        ({"groups": "S1"}, "groups: got 'S1', expected"),
        ({"reduction": 3}, "reduction: got 3, expected an angular reduction"),
        ({"pair_scales": 0}, "pair_scales: got 0, expected an integer from 1 up"),
        ({"mask": np.ones((2, 192))}, r"mask: got shape \(2, 192\), expected one mask"),
    ],
)
def test_bad_summaries_are_refused(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Summary(**given)


def test_more_scales_of_pairs_than_there_are_are_refused(pyramid):
    with pytest.raises(ValueError, match="^pair_scales: got 7, expected at most 3"):
        Summary(pair_scales=7).names(pyramid)


def test_an_iterator_that_has_fewer_maps_than_the_file_is_refused(pyramid, tmp_path):
    maps = MAPS[:3]
    path = tmp_path / "kept.npz"
    run(iter(maps), pyramid, path=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="^maps: got an iterator without maps"):
        run(iter([]), pyramid, path=path)
    with pytest.raises(ValueError, match="^path: got 3 simulations, expected at most the 2 of the"):
        run(iter(maps[:2]), pyramid, path=path)
    assert path.read_bytes() == before


def test_a_mask_is_checked_before_maps_are(pyramid):
    mask = np.ones(192)
    mask[5] = -1
    with pytest.raises(ValueError, match="^mask: "):
        measure_many(MAPS, pyramid, summary=Summary(mask=mask))
    with pytest.raises(
        ValueError, match="^hidden: got 'interior', expected 'exclude' or 'include'"
    ):
        Summary(mask=np.ones(192), hidden="interior")


@pytest.fixture
def measured(monkeypatch):
    """The number of maps of every call of the compiled program."""
    sizes, original = [], simulations.summarize

    def counted(summary, maps, pyramid):
        sizes.append(len(maps))
        return original(summary, maps, pyramid)

    monkeypatch.setattr(simulations, "summarize", counted)
    return sizes


def test_fewer_maps_than_a_chunk_are_measured_and_no_others(pyramid, measured, tmp_path):
    wanted = run(pyramid=pyramid).vectors
    assert measured == [4, 4, 4]  # eleven maps, of which the last three make a chunk of four
    path = tmp_path / "maps.npz"
    for maps, options, sizes in (
        (MAPS[:2], {}, [2]),
        (iter(MAPS[:2]), {}, [2]),
        (MAPS[:5], {}, [6]),  # an odd number has no small groups
        (iter(MAPS[:2]), {"path": path}, [2]),
        (iter(MAPS[:2]), {"path": path}, [2]),  # the first, and none that is new
        (iter(MAPS[:6]), {"path": path}, [6, 6]),
    ):
        measured.clear()
        found = run(maps, pyramid, chunk_size=64, **options).vectors
        np.testing.assert_allclose(found, wanted[: len(found)], rtol=1e-12)
        assert measured == sizes


@pytest.mark.parametrize("bad", [np.nan, UNSEEN, np.inf])
def test_pixels_without_weight_may_hold_anything(pyramid, bad):
    mask = np.r_[np.zeros(20), np.ones(172)]
    maps = np.where(mask > 0, MAPS, bad)
    summary = Summary(groups=("S1", "S2"), mask=mask)
    np.testing.assert_array_equal(
        run(maps, pyramid, summary=summary).vectors, run(MAPS, pyramid, summary=summary).vectors
    )
    included = Summary(groups=("S1", "S2"), mask=mask, hidden="include")
    maps[3, 50] = bad  # in sight
    for refused, message in (
        (summary, r"maps\[3\]: got 1 of 192"),
        (included, r"maps\[0\]: got 20 of 192"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            run(maps, pyramid, summary=refused)


def test_a_large_mean_counts_in_sight_only():
    single = jaxscat.build_pyramid(4, dtype="float32")
    mask = np.r_[np.zeros(20), np.ones(172)]
    maps = np.where(mask > 0, MAPS, 1e30)[:2]
    found = run(maps, single, summary=Summary(groups=("S1", "S2"), mask=mask)).vectors
    wanted = run(MAPS[:2], single, summary=Summary(groups=("S1", "S2"), mask=mask)).vectors
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
