"""Bad values in Python: one line that begins with the argument, before anything is compiled."""

import functools
import re
from types import SimpleNamespace

import numpy as np
import pytest

import jaxscat
from jaxscat import load_map, load_mask, load_statistics, measure, save_maps, save_statistics

rng = np.random.default_rng(0)
MAP, OTHER, ONES = *rng.gamma(2.0, size=(2, 192)), np.ones(192)
PYRAMID = jaxscat.build_pyramid(4, scales=2, orientations=2, dtype="float64")
build = functools.partial(jaxscat.build_pyramid, 4)


def put(value, into=MAP):
    """An array with one other entry."""
    changed = np.array(into)
    changed[3] = value
    return changed


@pytest.fixture(scope="module")
def given():
    """Coefficients and a target, which have to be compiled."""
    statistics = measure(MAP, PYRAMID)
    target = jaxscat.make_target(MAP, PYRAMID, coarsest_nside=1)
    many = functools.partial(
        jaxscat.synthesize_many, target, PYRAMID, start=lambda seed: OTHER, max_steps=1
    )
    return SimpleNamespace(statistics=statistics, target=target, many=many)


# A call, and how its message begins.
ARGUMENTS = [
    (lambda: jaxscat.build_pyramid(3), "nside: got 3, expected a power of two"),
    (lambda: jaxscat.build_pyramid(-4), "nside: got -4, expected a power of two"),
    (lambda: jaxscat.build_pyramid(10**30), "nside: got 1000000"),
    (lambda: jaxscat.build_pyramid(float("nan")), "nside: got nan, expected a power of two"),
    (lambda: jaxscat.build_pyramid("4"), "nside: got '4', expected a power of two"),
    (lambda: jaxscat.build_pyramid(2**20), "build_pyramid(nside=1048576): its tables take"),
    (lambda: build(orientations=0), "orientations: got 0, expected an integer of at least 1"),
    (lambda: build(orientations=10**12), "build_pyramid(nside=4): its tables take"),
    (lambda: build(kernel_size=4), "kernel_size: got 4, expected one of [3, 5, 7]"),
    (lambda: build(scales=9), "scales: got 9, expected 1 to 3"),
    (lambda: build(dtype="half"), "dtype: got float16, expected float32 or float64"),
    (lambda: build(dtype="no such"), "dtype: got 'no such', expected float32 or float64"),
    (lambda: build(geometry="flat"), "geometry: got 'flat', expected 'exact' or 'foscat'"),
    (lambda: build(cell_ids=[1, 1]), "cell_ids: got pixel 1 twice, expected each once"),
    (lambda: build(cell_ids=[192]), "cell_ids: got 192, expected 0 to 191 at nside 4"),
    (lambda: build(cell_ids=[]), "cell_ids: got float64 of shape (0,), expected one row"),
    (lambda: jaxscat.LBFGS(memory=0), "memory: got 0, expected an integer from 1 to 10000"),
    (lambda: jaxscat.LBFGS(memory=10**11), "memory: got 100000000000, expected an integer"),
    (lambda: jaxscat.Renewals(memory=10**11), "memory: got 100000000000, expected an integer"),
    (lambda: jaxscat.LBFGS(stagnation=2), "stagnation: got 2.0, expected a number from 0 up to 1"),
    (lambda: jaxscat.Checkpoints("new", every_steps=0), "every_steps: got 0, expected a positive"),
    (lambda: jaxscat.gaussian_noise(MAP, seed=-1), "seed: got -1, expected an integer from 0"),
    (lambda: jaxscat.white_noise(MAP, seed=2**64), "seed: got 18446744073709551616, expected"),
    (lambda: jaxscat.gaussianize(ONES), "map: got the same value 1 in every pixel, expected a map"),
    (
        lambda: jaxscat.validate(MAP, MAP[:48], pyramid=PYRAMID),
        "synthesized: got 48 pixels (nside 2), expected 192",
    ),
]
MAPS = [
    (lambda: measure(MAP[:100], PYRAMID), "map: got 100 pixels, expected 12 nside^2"),
    (lambda: measure(MAP[:48], PYRAMID), "map: got 48 pixels (nside 2), expected 192 (nside 4)"),
    (lambda: measure(MAP[:0], PYRAMID), "map: got 0 pixels, expected 12 nside^2"),
    (lambda: measure(MAP[None], PYRAMID), "map: got an array of shape (1, 192), expected one map"),
    (lambda: measure(put(np.nan), PYRAMID), "map: got 1 of 192 pixels NaN, expected finite"),
    (lambda: measure(put(-np.inf), PYRAMID), "map: got 1 of 192 pixels infinite, expected finite"),
    (lambda: measure(put(-1.6375e30), PYRAMID), "map: got 1 of 192 pixels UNSEEN (without data)"),
    (lambda: measure(MAP + 1j, PYRAMID), "map: got complex values (complex128), expected real"),
    (lambda: measure(MAP > 1, PYRAMID), "map: got boolean values (bool), expected real"),
    (lambda: measure(MAP.astype(str), PYRAMID), "map: got unsuitable values (<U32), expected real"),
    (lambda: measure([[1, 2], [3]], PYRAMID), "map: got list, which NumPy cannot convert"),
    (lambda: measure(MAP, PYRAMID, second=OTHER[:48]), "second: got 48 pixels (nside 2), expected"),
    (lambda: measure(MAP, PYRAMID, mask=put(-1, ONES)), "mask: got 1 negative weights (least -1)"),
    (lambda: measure(MAP, PYRAMID, mask=put(np.nan, ONES)), "mask: got 1 of 192 pixels NaN"),
    (lambda: measure(MAP, PYRAMID, mask=0 * ONES), "mask: got zero in every pixel, expected at le"),
    (lambda: measure(MAP, PYRAMID, mask=ONES[:48]), "mask: got 48 pixels, expected 192"),
    (lambda: measure(MAP, PYRAMID, mask_threshold=0.1), "mask_threshold: got a threshold without"),
    (lambda: measure(MAP, PYRAMID, hidden="no"), "hidden: got 'no', expected one of"),
]
TARGETS = [
    (
        lambda g: measure(MAP, PYRAMID, mask=ONES, mask_threshold=[0.1] * 3),
        "mask_threshold: got [0.1, 0.1, 0.1], expected one number or one for each of the 2 scales",
    ),
    (lambda g: jaxscat.make_target(MAP, PYRAMID, coarsest_nside=3), "coarsest_nside: got 3, expec"),
    (lambda g: jaxscat.make_target(MAP, PYRAMID, sigma_floor=np.nan), "sigma_floor: got nan, expe"),
    (lambda g: jaxscat.make_target(MAP, PYRAMID, weights="no"), "weights: got 'no', expected one"),
    (lambda g: g.many([1, 1]), "seeds: got 1 twice, expected different ones"),
    (lambda g: g.many([-1]), "seeds: got -1, expected an integer from 0 to 4294967295"),
    (lambda g: g.many([]), "seeds: got none, expected at least one"),
    (lambda g: g.many(10**12), "seeds: got 1000000000000, expected 1 up to 1000000 of them"),
    (lambda g: g.many([1], max_steps=0), "max_steps: got 0, expected an integer of at least 1"),
    (lambda g: g.many([1], batch_size=0), "batch_size: got 0, expected an integer of at least 1"),
    (
        lambda g: g.many([1], start=put(np.nan)[None]),
        "start of seed 1: got 1 of 192 pixels",
    ),
    (
        lambda g: g.many([1], checkpoints=jaxscat.Checkpoints("new\0")),
        "folder: got 'new\\x00', expected a name without null characters",
    ),
    (
        lambda g: save_statistics("new.fits", g.statistics, PYRAMID.spec),
        "path: got 'new.fits', expected a name that ends in .npz",
    ),
    (
        lambda g: save_statistics("new\0.npz", g.statistics, PYRAMID.spec),
        "path: got 'new\\x00.npz', expected a name without null characters",
    ),
    (
        lambda g: save_statistics("folder.npz", g.statistics, PYRAMID.spec),
        "path: got 'folder.npz', which is a folder, expected a regular file",
    ),
    (
        lambda g: save_statistics("pipe.npz", g.statistics, PYRAMID.spec),
        "path: got 'pipe.npz', which is a named pipe, expected a regular file",
    ),
    (
        lambda g: save_statistics("new.npz", g.statistics, jaxscat.build_pyramid(2).spec),
        "statistics: got",
    ),
]
FILES = [
    (lambda: load_map("absent.fits"), "map 'absent.fits': there is no such file"),
    (lambda: load_map("a\nb\0.fits"), "map 'a\\nb\\x00.fits': there is no such file"),
    (lambda: load_map("kept"), "source: got 'kept', expected a file that ends in .npy, .fits"),
    (lambda: load_map("map.fits", nside=8), "nside: got 8, expected at most 4 as map 'map.fits'"),
    (lambda: load_map("map.fits", nside="4"), "nside: got '4', expected a power of two"),
    (lambda: load_map("map.fits", order="UP"), "order: got 'UP', expected 'RING' or 'NESTED'"),
    (lambda: load_map("map.fits", order="RING"), "order: got 'RING', but the header of map 'map"),
    (lambda: load_map("map.fits", field="Q"), "field: got 'Q', expected a name or a number"),
    (lambda: load_map("map.fits", bad_data="x"), "bad_data: got 'x', expected a number or None"),
    (lambda: load_map("map.fits", unseen="no"), "unseen: got 'no', expected 'refuse' or 'mean'"),
    (lambda: load_map("map.nc", hdu=1), "hdu: got one, but map 'map.nc' has no tables, expected"),
    (lambda: load_map("odd.npy"), "map 'odd.npy': got 100 pixels, expected 12 nside^2"),
    (lambda: load_map("masks.npy"), "map 'masks.npy': got an array of shape (2, 48), expected one"),
    (lambda: load_mask("negative.npy"), "mask 'negative.npy': got 185 negative weights"),
    (lambda: load_mask("zero.npy"), "mask 'zero.npy': got zero in every pixel, expected at least"),
    (lambda: load_mask("two.fits"), "field: mask 'two.fits' has 2 columns (A, B), state one"),
    (lambda: load_mask("cosmic-web"), "source: got 'cosmic-web', expected a file that ends in"),
    (lambda: load_statistics("absent.npz"), "path: got absent.npz, which is no file, expected"),
    (lambda: load_statistics("empty.npz"), "path: got empty.npz, which is no whole scattering"),
    (lambda: load_statistics("plain.npz"), "path: got plain.npz, which is no whole scattering"),
    (lambda: load_statistics("changed.npz"), "path: got changed.npz, "),
    (lambda: load_statistics("pyramid.npz"), "path: got pyramid.npz, a pyramid file, expected a"),
    (lambda: jaxscat.load_pyramid("one.npz"), "path: got one.npz, a scattering covariance file"),
    (lambda: save_maps("new.txt", {"a": MAP}), "path: got 'new.txt', expected a name that ends in"),
    (lambda: save_maps("new\0.fits", {"a": MAP}), "path: got 'new\\x00.fits', expected a name wit"),
    (lambda: save_maps("no/new.fits", {"a": MAP}), "path: got 'no/new.fits', but there is no fol"),
    (lambda: save_maps("map.fits", {"a": MAP}), "path: 'map.fits' exists, expected a new file"),
    (lambda: save_maps("new.fits", {}), "maps: got the names [], expected one or more"),
    (lambda: save_maps("new.fits", {"a": MAP, "b": MAP[:48]}), "maps['b']: got shape (48,), expe"),
    (lambda: save_maps("new.fits", {"a\n": MAP}), "maps, units, header: got 'a\\n', expected up"),
    *(
        (lambda name=f"cut{percent}.{kind}": load_map(name), f"map 'cut{percent}.{kind}': ")
        for kind in ("fits", "nc")
        for percent in (1, 30, 60, 90, 99)
    ),
    *(
        (
            lambda name=f"cut{percent}.npz": load_statistics(name),
            f"path: got cut{percent}.npz, which",
        )
        for percent in (1, 30, 60, 90, 99)
    ),
]
CASES = [*ARGUMENTS, *MAPS, *FILES]


def refused(call, message):
    with pytest.raises(ValueError if "which is no file" not in message else OSError) as caught:
        call()
    said = str(caught.value)
    assert said.startswith(message)
    assert re.match(r"[a-z_]+[\w' ().=\[\]]*", said) and said.isprintable() and len(said) < 600


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[:50] for _, message in CASES])
def test_the_argument_is_named_and_nothing_written(here, digest, compilations, call, message):
    before, count = digest(here), len(compilations)
    refused(call, message)
    assert digest(here) == before and len(compilations) == count


@pytest.mark.parametrize(("call", "message"), TARGETS, ids=[message[:50] for _, message in TARGETS])
def test_targets_seeds_and_coefficients(here, digest, given, call, message):
    before = digest(here)
    refused(lambda: call(given), message)
    assert digest(here) == before


def test_the_matrix_is_large():
    assert len(CASES) + len(TARGETS) >= 60
