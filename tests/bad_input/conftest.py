"""A folder of maps, masks, coefficients and configs, whole and damaged, and its digest."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import jaxscat

NPIX = 192
CONFIG = '[data]\npath = "map.fits"\n[pyramid]\nscales = 2\n[synthesis]\nmax_steps = 2\n'
CONFIGS = {
    "tiny": CONFIG,
    "mark": "\ufeff" + CONFIG,  # as some editors begin a file in UTF-8
    "empty": "",
    "null": "\0",
    "twice": "[data]\n[data]\n",
    "number": "data = 3\n",
    "rows": '[[data]]\npath = "map.fits"\n',
    "date": "[data]\npath = 1979-05-27\n",
    "nan": CONFIG + "stagnation = nan\n[target]\nsigma_floor = nan\n",
    "infinite": CONFIG + "[checkpoints]\nevery_minutes = inf\n",
    "digits": f"[data]\nnside = {'9' * 5000}\n",
    "hexadecimal": f"[data]\nnside = 0x{'f' * 5000}\n",
    "brackets": f"a = {'[' * 5000}{']' * 5000}\n",
    "braces": f"a = {'{a=' * 3000}1{'}' * 3000}\n",
    "dots": f"[data]\nselect.{'.'.join('a' * 3000)} = 1\n",
    "key": '[data]\n"a\\nb" = 1\n',
    "long": f'[data]\npath = ["{"x" * 100_000}"]\n',
    "wrong": f"{CONFIG}seeds = [{'-1, ' * 1000}]\n",
    "null_path": '[data]\npath = "a\\u0000.fits"\n',
    "large": CONFIG + "memory = 100000000000\n",
    "absent_map": '[data]\npath = "absent.fits"\n',
    "channels": '[task]\nkind = "separate"\n[channels]\npaths = ["map.fits"]\n',
    "denoise": CONFIG + '[task]\nkind = "denoise"\n',
    "task": CONFIG + '[task]\nkind = "invert"\n',
}


def random_map(seed=0, npix=NPIX):
    return np.random.default_rng(seed).gamma(2.0, size=npix)


def write_maps():
    one, other = random_map(), random_map(1)
    jaxscat.save_maps("map.fits", {"I": one})
    jaxscat.save_maps("two.fits", {"A": one, "B": other})
    jaxscat.save_maps("coarse.fits", {"I": random_map(npix=48)})
    jaxscat.save_maps("holes.fits", {"I": np.where(np.arange(NPIX) < 9, np.nan, one)})
    jaxscat.save_maps("nothing.fits", {"I": np.full(NPIX, np.nan)})
    jaxscat.save_maps("negative.fits", {"I": one - 5.0})
    jaxscat.save_maps("map.nc", {"I": one})
    arrays = {"constant": np.ones(NPIX), "zero": np.zeros(NPIX), "negative": one - 5.0}
    arrays |= {"odd": one[:100], "complex": one + 1j, "text": np.array(["a"] * NPIX), "map": one}
    arrays |= {"infinite": np.where(np.arange(NPIX) == 3, np.inf, one), "masks": np.ones((2, 48))}
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)


def write_coefficients():
    for name, orientations in (("one", 2), ("other", 3)):
        pyramid = jaxscat.build_pyramid(4, scales=2, orientations=orientations, dtype="float64")
        coefficients = jaxscat.measure(random_map(), pyramid)
        jaxscat.save_statistics(f"{name}.npz", coefficients, pyramid.spec)
    jaxscat.save_pyramid("pyramid.npz", pyramid)
    np.savez("plain.npz", a=np.arange(3))


def write_damaged():
    for whole, suffix in (("map.fits", "fits"), ("one.npz", "npz"), ("map.nc", "nc")):
        content = Path(whole).read_bytes()
        for percent in (1, 30, 60, 90, 99):
            Path(f"cut{percent}.{suffix}").write_bytes(content[: len(content) * percent // 100])
        Path(f"empty.{suffix}").touch()
        Path(f"words.{suffix}").write_text("no map\n" * 999)
    changed = bytearray(Path("one.npz").read_bytes())
    changed[changed.rindex(b"\x93NUMPY") + 130] ^= 255  # a number of the last array
    Path("changed.npz").write_bytes(changed)


def write_configs():
    for name, text in CONFIGS.items():
        Path(f"{name}.toml").write_text(text, encoding="utf-8")
    Path("latin.toml").write_bytes('[data]\npath = "mäp.fits"\n'.encode("latin-1"))


def write_folders():
    for name in ("folder.fits", "folder.toml", "folder.npz", "kept", "damaged", "unnamed"):
        Path(name).mkdir()
    Path("kept/letter.txt").write_text("mine")
    for name in ("config.toml", "results.json", "run.json"):
        Path("damaged", name).write_text("{")
    Path("unnamed/config.toml").write_text(CONFIG)
    os.mkfifo("pipe.npz")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The folder, made once in a process."""
    folder, before = tmp_path_factory.mktemp("bad"), Path.cwd()
    os.chdir(folder)
    try:
        for write in (write_maps, write_coefficients, write_damaged, write_configs, write_folders):
            write()
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(prepared, monkeypatch):
    """The folder as the working directory; what a test leaves there is removed after it."""
    monkeypatch.chdir(prepared)
    yield prepared
    for path in prepared.iterdir():
        if path.name.startswith(("new", "runs", ".")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def digest_of(folder):
    """Names and kinds of all that a folder holds, and the checksums of files."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (path.lstat().st_mode, content)
    return found


@pytest.fixture(scope="session")
def digest():
    return digest_of
