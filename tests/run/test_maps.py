import healpy
import numpy as np
import pytest
from astropy.io import fits

from jaxscat.io.maps import save_maps
from jaxscat.minimization.result import Result
from jaxscat.run.maps import find_run_maps, read_run_unit, save_run_maps

NPIX = 48


def field(seed):
    return np.random.default_rng(seed).gamma(2.0, size=NPIX).astype(np.float32)


def made(seeds):
    """Hand-made results: the status of an even seed is another than that of an odd one."""
    return {
        seed: Result(
            map=field(seed),
            loss=1.0,
            losses=np.array([2.0, 1.0]),
            evaluations=np.array([1, 2]),
            status="step limit" if seed % 2 else "converged",
            steps=1,
            compile_seconds=0.0,
            run_seconds=0.0,
        )
        for seed in seeds
    }


ORIGINAL, START = field(1000), field(2000)
MASKS = np.stack([np.arange(NPIX) < 30, np.arange(NPIX) > 20]).astype(float)
HIDDEN = np.arange(NPIX) >= 30  # of the first mask; both together hide nothing


def stored(map):
    return np.where(HIDDEN, np.float32(healpy.UNSEEN), map)


def test_up_to_64_seeds_are_in_one_file_that_healpy_reads(tmp_path):
    seeds = list(range(10, 74))
    assert save_run_maps(tmp_path, ORIGINAL, START, made(seeds), MASKS) == [tmp_path / "maps.fits"]
    maps, header = healpy.read_map(tmp_path / "maps.fits", field=None, nest=True, h=True)
    header = dict(header)
    names = [header[f"TTYPE{column}"] for column in range(1, len(maps) + 1)]
    assert names == ["ORIGINAL", "START", *(f"SEED_{n}" for n in seeds), "MASK_1", "MASK_2"]
    expected = [ORIGINAL, START, *map(field, seeds), *MASKS]
    np.testing.assert_array_equal(maps, np.array(expected, dtype=np.float32))


def test_header_says_seed_and_status_of_every_column(tmp_path):
    (path,) = save_run_maps(tmp_path, ORIGINAL, START, made([5, 4]), MASKS)
    header = fits.getheader(path, 1)
    found = {
        header[f"TTYPE{column}"]: (header.get(f"SEED{column}"), header.get(f"STATUS{column}"))
        for column in range(1, header["TFIELDS"] + 1)
    }
    assert found == {
        "ORIGINAL": (None, None),
        "START": (5, "start"),
        "SEED_5": (5, "step limit"),
        "SEED_4": (4, "converged"),
        "MASK_1": (None, None),
        "MASK_2": (None, None),
    }


def test_unit_and_frame_of_the_original_are_in_every_file(tmp_path):
    assert read_run_unit(tmp_path) is None
    known = {"unit": "uK_CMB", "frame": "G"}
    for path in save_run_maps(tmp_path, ORIGINAL, START, made(range(65)), MASKS, **known):
        header = fits.getheader(path, 1)
        assert header["COORDSYS"] == "G"
        for column in range(1, header["TFIELDS"] + 1):
            mask = header[f"TTYPE{column}"].startswith("MASK_")
            assert header.get(f"TUNIT{column}") == (None if mask else "uK_CMB")
    assert read_run_unit(tmp_path) == "uK_CMB"


def test_more_seeds_are_in_files_that_stand_alone(tmp_path):
    seeds = [*range(4294967295, 4294967295 - 65, -1), *range(64)]
    paths = save_run_maps(tmp_path, ORIGINAL, START, made(seeds), MASKS[0])
    assert [path.name for path in paths] == ["maps_001.fits", "maps_002.fits", "maps_003.fits"]
    parts = [seeds[:64], seeds[64:128], seeds[128:]]
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        with fits.open(path) as units:
            header, table = units[1].header, units[1].data
            columns = [f"SEED_{seed}" for seed in part]
            first = ["ORIGINAL", "START"] if number == 0 else ["ORIGINAL"]
            last = ["MASK_1"] if number == 0 else []
            assert table.names == [*first, *columns, *last]
            np.testing.assert_array_equal(table["ORIGINAL"], stored(ORIGINAL))
            for at, seed in enumerate(part, start=len(first) + 1):
                assert header[f"TTYPE{at}"] == f"SEED_{seed}" and header[f"SEED{at}"] == seed
                assert header[f"STATUS{at}"] == ("step limit" if seed % 2 else "converged")
                np.testing.assert_array_equal(table[f"SEED_{seed}"], stored(field(seed)))


@pytest.mark.parametrize("count", [1, 64, 65, 200])
@pytest.mark.parametrize("mask", [None, MASKS[0], MASKS], ids=["none", "one", "two"])
def test_maps_are_found_again(tmp_path, count, mask):
    seeds = list(range(count, 0, -1))
    save_run_maps(tmp_path, ORIGINAL, START, made(seeds), mask)
    found = find_run_maps(tmp_path)
    seen = ~HIDDEN if mask is not None and mask.ndim == 1 else np.ones(NPIX, bool)
    of_seeds = {seed: found.of_seed(seed) for seed in (seeds[0], seeds[-1], seeds[count // 2])}
    assert list(found.files) == seeds
    for map, given in [
        (found.original, ORIGINAL),
        *((map, field(seed)) for seed, map in of_seeds.items()),
    ]:
        np.testing.assert_array_equal(map[seen], given[seen])
        np.testing.assert_allclose(map[~seen], given[seen].mean(), rtol=1e-6)
    if mask is None:
        assert found.mask is None
    else:
        np.testing.assert_array_equal(found.mask, np.atleast_2d(mask))


@pytest.mark.parametrize("hidden", ["unseen", "free", None])
def test_hidden_pixels_have_no_data_unless_they_are_free_or_included(tmp_path, hidden):
    (path,) = save_run_maps(tmp_path, ORIGINAL, START, made([5]), MASKS[0], hidden=hidden)
    columns = fits.getdata(path, 1)
    for name, map in (("ORIGINAL", ORIGINAL), ("START", START), ("SEED_5", field(5))):
        lost = hidden == "unseen" or (hidden == "free" and name == "ORIGINAL")
        np.testing.assert_array_equal(columns[name], stored(map) if lost else map)
    np.testing.assert_array_equal(columns["MASK_1"], MASKS[0])


def test_a_file_of_several_that_is_missing_is_named(tmp_path):
    paths = save_run_maps(tmp_path, ORIGINAL, START, made(range(200)))
    paths[1].unlink()
    (tmp_path / "maps_mine.fits").touch()
    with pytest.raises(FileNotFoundError, match=r"it has no maps_002\.fits"):
        find_run_maps(tmp_path)
    for path in paths[2:]:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no maps_002\.fits"):
        find_run_maps(tmp_path)


def test_files_that_no_run_has_written_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not the folder of a run: it has no maps\.fits"):
        find_run_maps(tmp_path)
    save_maps(tmp_path / "maps.fits", {"ORIGINAL": ORIGINAL, "SEED_x": START})
    with pytest.raises(ValueError, match=r"columns ORIGINAL, SEED_x; expected ORIGINAL and SEED_"):
        find_run_maps(tmp_path)
    (tmp_path / "maps.fits").unlink()
    for number in (1, 2):
        save_maps(tmp_path / f"maps_00{number}.fits", {"ORIGINAL": ORIGINAL, "SEED_7": START})
    with pytest.raises(ValueError, match=r"maps_002.*seed 7, expected it only in .*maps_001"):
        find_run_maps(tmp_path)


def test_maps_with_a_large_mean_are_kept_in_float64(tmp_path):
    raised = {
        seed: result._replace(map=result.map.astype(float) + 1e6)
        for seed, result in made([3]).items()
    }
    original = ORIGINAL.astype(float) + 1e6
    save_run_maps(tmp_path, original, START.astype(float) + 1e6, raised)
    stored = find_run_maps(tmp_path)
    np.testing.assert_array_equal(stored.original, original)
    np.testing.assert_array_equal(stored.of_seed(3), raised[3].map)
