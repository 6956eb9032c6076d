"""Random configs, maps, coefficients and checkpoints: one line or a result, and soon.

Set JAXSCAT_FUZZ_SECONDS to look longer, and with other examples every time; with a number in
JAXSCAT_FUZZ_SEED they are the same every time. `pytest -s` shows how many there were.
"""

import contextlib
import gzip
import itertools
import json
import os
import re
import shutil
import signal
import time
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from astropy.io import fits
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import jaxscat
from jaxscat.io.archive import read_archive, write_archive
from jaxscat.run.config import Config, config_from_tree, load_config
from jaxscat.run.folder import RunFolder
from jaxscat.run.maps import find_run_maps
from jaxscat.run.overrides import parse_overrides

SECONDS, SEED = os.environ.get("JAXSCAT_FUZZ_SECONDS"), os.environ.get("JAXSCAT_FUZZ_SEED")
HANG_SECONDS, EXAMPLES = 20, 60
CONFIGS = Path(__file__).parents[2] / "configs"


class Hang(BaseException):
    """An example takes so long that it may never end; no library catches this."""


def hung(*_):
    raise Hang


@contextlib.contextmanager
def one_line_at_most():
    """Accept a `ValueError` or `OSError` of one line, which comes soon and writes nothing."""
    before = sorted(os.listdir())
    former = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANG_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ValueError, OSError) as error:
        said = str(error)
        assert said and len(said.splitlines()) == 1 and len(said) < 8000, said
        assert re.match(r"\S", said), said
    except Hang:
        raise AssertionError(f"no end after {HANG_SECONDS} s") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    assert sorted(os.listdir()) == before


def fuzz(check: Callable[[st.DataObject], None]) -> None:
    """Check examples for a fixed number, or until a sixth of the time given is over."""
    count = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=SECONDS is None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.data())
    def of_all(data):
        nonlocal count
        count += 1
        check(data)

    end = time.monotonic() + float(SECONDS or 0) / 6
    for round in itertools.count():
        if SECONDS is not None:
            seed(int.from_bytes(os.urandom(8)) if SEED is None else int(SEED) + round)(of_all)
        of_all()
        if time.monotonic() >= end:
            break
    print(f"\n{check.__name__}: {count} examples")


# Configs.
ENTRIES = {
    section: list(field.annotation.model_fields) for section, field in Config.model_fields.items()
}
WORDS = st.sampled_from(
    "none map.fits cosmic-web RING mask denoise inpaint separate polarization harmonic exact own "
    "free patch interior gpu float64 white_noise standardise K_CMB TE E data".split()
)
LARGE = st.sampled_from([0, 1, 2, 3, 4, 8, 64, -1, 2**31, 2**63, 2**64, 10**30, 10**4000])
VALUES = st.recursive(
    WORDS | LARGE | st.integers(-5, 20) | st.floats() | st.booleans() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def trees(draw):
    tree = {}
    for section in draw(st.lists(st.sampled_from([*ENTRIES, "sythesis"]), max_size=6)):
        keys = st.sampled_from(ENTRIES.get(section, ["a"])) | st.text(max_size=5)
        tree[section] = draw(st.dictionaries(keys, VALUES, max_size=5) | VALUES)
    if draw(st.booleans()):
        tree["data"] = {"path": "map.fits"}
    return tree


@st.composite
def mutated(draw, content: bytes):
    """Change bytes at random places: overwrite, insert, remove, repeat, cut off."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        if draw(st.booleans()):  # headers are short, and say most
            place = min(place, draw(st.integers(0, 400)))
        piece = draw(st.binary(max_size=8))
        length = draw(st.sampled_from([0, 1, 8, 80, 2880]))
        content = draw(
            st.sampled_from(
                [
                    content[:place] + piece + content[place + len(piece) :],
                    content[:place] + piece + content[place + length :],
                    content[: place + length] + content[place:],
                    content[:place],
                ]
            )
        )
    return content


def as_toml(tree):
    try:
        return tomli_w.dumps(tree).encode()
    except UnicodeEncodeError:  # half a character
        return b"a = 1"


@pytest.fixture
def folder(prepared, tmp_path, monkeypatch):
    """A folder of its own, with the prepared files in `whole`."""
    os.symlink(prepared, tmp_path / "whole")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "whole"


def write(name, content):
    Path(name).write_bytes(content)
    return name


def test_configs(folder):
    shipped = [path.read_bytes() for path in sorted(CONFIGS.glob("*.toml"))]

    def configs(data):
        some = trees().map(as_toml) | st.sampled_from(shipped).flatmap(mutated)
        words = st.lists(
            st.sampled_from(
                ["--data.nside", "--synthesis.seeds", "--data.path", "--noise.spectrum"]
            )
            | st.text(max_size=8)
            | VALUES.map(str),
            max_size=4,
        )
        write("a.toml", data.draw(some))
        with one_line_at_most():
            overrides = parse_overrides(data.draw(words)) if data.draw(st.booleans()) else None
            config = load_config("a.toml", overrides)
            text = config.to_toml()
            again = config_from_tree(tomllib.loads(text))
            assert again.to_toml() == text

    fuzz(configs)


# Maps and masks.
CARDS = st.sampled_from(
    "NSIDE ORDERING TFORM1 TTYPE1 TUNIT1 NAXIS1 NAXIS2 TFIELDS PCOUNT BITPIX GCOUNT NAXIS XTENSION "
    "INDXSCHM OBJECT FIRSTPIX BAD_DATA TSCAL1 TZERO1 TNULL1 COORDSYS POLCCONV EXTNAME THEAP TDIM1 "
    "END".split()
)
TEXTS = st.sampled_from(
    "RING NESTED nuniq EXPLICIT PARTIAL E D 4E 1024E J K A X L PE(3) 0E -1E 99999999999D C Q PIXEL "
    "UNIQ U_STOKES (2,2)".split()
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 8, -4, 16, 2**20, 2**31, 2**62, 10**30, 4.0, 0.5, 1e300])
CARD_VALUES = TEXTS | NUMBERS | st.sampled_from(["", True])


@st.composite
def with_other_cards(draw, content: bytes):
    """Change cards of the last header of a FITS file, as no library would write them."""
    begin = content.rindex(b"XTENSION") if b"XTENSION" in content else 0
    for _ in range(draw(st.integers(1, 3))):
        key, value = draw(CARDS), draw(CARD_VALUES)
        text = f"'{value:<8}'" if isinstance(value, str) else str(value).replace("True", "T")
        card = f"{key:<8}= {text:>20}"[:80].ljust(80).encode()
        place = content.find(f"{key:<8}".encode(), begin)
        if place < 0:  # in place of one that is not needed
            place = max(content.find(b"EXTNAME", begin), content.find(b"LASTPIX", begin))
        content = content[:place] + card + content[place + 80 :]
    return content


def map_files(folder):
    """Files of maps of all kinds, by name."""
    found = {
        name: (folder / name).read_bytes()
        for name in ("map.fits", "two.fits", "holes.fits", "map.nc", "map.npy", "masks.npy")
    }
    pixels = np.arange(0, 192, 3, dtype=np.int32)
    columns = [("PIXEL", "J", pixels), ("I", "I", pixels.astype(">i2")), ("HITS", "K", pixels)]
    table = fits.BinTableHDU.from_columns([fits.Column(n, f, array=a) for n, f, a in columns])
    table.header.update(
        {"PIXTYPE": "HEALPIX", "ORDERING": "RING", "NSIDE": 4, "INDXSCHM": "EXPLICIT"}
        | {"TSCAL2": 0.5, "TZERO2": 3.0, "TNULL2": 9, "OBJECT": "PARTIAL", "EXTNAME": "CUT"}
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto("cut.fits")
    found["cut.fits"] = Path("cut.fits").read_bytes()
    found["map.fits.gz"] = gzip.compress(found["map.fits"], mtime=0)
    return found


def read_as_map(name, options):
    map = jaxscat.load_map(name, unseen="mean", **options)
    assert map.dtype == np.float64 and map.ndim == 1 and np.isfinite(map).all()


def read_as_map_and_mask(name, options):
    map, mask = jaxscat.load_map_and_mask(name, **options)
    assert map.shape == mask.shape and np.isfinite(map).all() and mask.min() >= 0


def read_as_sky(name, options):
    options = {key: value for key, value in options.items() if key != "field"}
    assert len(jaxscat.load_sky(name, **options).maps) >= 1


def read_as_mask(name, options):
    options = {key: value for key, value in options.items() if key != "zero_hits"}
    mask = jaxscat.load_mask(name, unseen="zero", **options)
    assert np.isfinite(mask).all() and mask.min() >= 0


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "nside": st.sampled_from([1, 2, 4, 8]),
        "order": st.sampled_from(["RING", "NESTED"]),
        "field": st.sampled_from([0, 1, 2, 9, "I", "Q", "B", "HITS", ""]),
        "hdu": st.sampled_from([0, 1, 2, "MAPS", "CUT"]),
        "bad_data": st.sampled_from([0.0, -9.0, float("nan")]),
        "zero_hits": st.sampled_from(["data", "bad"]),
    },
)
READERS = st.sampled_from([read_as_map, read_as_map_and_mask, read_as_sky, read_as_mask])


def test_maps_and_masks(folder):
    files = map_files(folder)

    def maps_and_masks(data):
        name = data.draw(st.sampled_from(sorted(files)))
        cards = name.endswith(".fits") and data.draw(st.booleans())
        content = data.draw((with_other_cards if cards else mutated)(files[name]))
        # The options that fit are tried as well, or most examples would fail by them alone.
        options = data.draw(OPTIONS) if data.draw(st.booleans()) else {}
        read = data.draw(READERS)
        write(name, content)
        try:
            with one_line_at_most():
                read(name, options)
        finally:
            Path(name).unlink()

    Path("cut.fits").unlink()
    fuzz(maps_and_masks)


def test_stores(folder):
    jaxscat.save_maps("whole.zarr", {"I": np.random.default_rng(0).normal(size=192)})
    parts = [path for path in sorted(Path("whole.zarr").rglob("*")) if path.is_file()]

    def stores(data):
        shutil.rmtree("map.zarr", ignore_errors=True)
        shutil.copytree("whole.zarr", "map.zarr")
        part = data.draw(st.sampled_from(parts))
        content = data.draw(mutated(part.read_bytes()))
        write(Path("map.zarr") / part.relative_to("whole.zarr"), content)
        with one_line_at_most():
            data.draw(READERS)("map.zarr", {})

    fuzz(stores)


def test_a_negative_number_of_groups_has_an_end(folder):
    """Found by `test_maps_and_masks`: astropy read the same table again, for ever."""
    content = (folder / "map.fits").read_bytes()
    place = content.index(b"GCOUNT  =")
    card = f"{'GCOUNT  = ':<10}{-4:>20}".ljust(80).encode()
    write("map.fits", content[:place] + card + content[place + 80 :])
    with pytest.raises(ValueError, match="a size below zero"):
        jaxscat.load_map("map.fits")


# Coefficients, pyramids, checkpoints and folders of runs.
def changed_archive(data, path, content, version):
    """Change the header or the arrays of an archive, whose checksum is right all the same."""
    header, arrays = read_archive(path, content, version)
    header = {key: value for key, value in header.items() if key not in ("content", "format")}
    key = data.draw(st.sampled_from([*header, *arrays]))
    if key in header:
        header[key] = data.draw(VALUES | st.dictionaries(st.sampled_from(["nside"]), LARGE))
    else:
        array = arrays.pop(key)
        shapes = [array[..., :-1], array[None], array.astype("i2"), array.astype("U3"), array * 1j]
        change = data.draw(st.sampled_from([None, "name", *range(len(shapes))]))
        if change is not None:
            other = data.draw(st.sampled_from(["s9", "error_", "0_s1", "x_y", ""]))
            arrays[other if change == "name" else key] = (
                array if change == "name" else shapes[change]
            )
    write_archive("a.npz", content, version, header, arrays)


def test_coefficients_and_pyramids(folder):
    files = [("one.npz", jaxscat.load_statistics), ("pyramid.npz", jaxscat.load_pyramid)]
    if (load_target := getattr(jaxscat, "load_target", None)) is not None:
        pyramid = jaxscat.build_pyramid(4, scales=1, orientations=2, dtype="float64")
        target = jaxscat.make_target(np.random.default_rng(0).gamma(2.0, size=192), pyramid)
        jaxscat.save_target("target.npz", target, pyramid.spec)
        files.append((str(Path("target.npz").absolute()), load_target))
    one = jaxscat.load_statistics(folder / "one.npz")
    write("a.npz", b"")

    def coefficients(data):
        name, load = data.draw(st.sampled_from(files))
        if name == "one.npz" and data.draw(st.booleans()):
            changed_archive(data, folder / name, "scattering covariance", 1)
        else:
            write("a.npz", data.draw(mutated((folder / name).read_bytes())))
        with one_line_at_most():
            found = load("a.npz")
            if name == "one.npz":
                jaxscat.compare_statistics(one, found)

    fuzz(coefficients)


class Square(jaxscat.Term):
    """A loss that compiles at once."""

    def __call__(self, maps):
        return (maps**2).sum()


def test_checkpoints(folder):
    kept = jaxscat.Checkpoints("kept", every_steps=1, every_minutes=None, identity={"a": 1})
    minimizer = jaxscat.LBFGS()
    jaxscat.minimize(
        Square(),
        np.arange(12.0),
        parametrization=jaxscat.Pixels(12),
        minimizer=minimizer,
        max_steps=3,
        checkpoints=kept,
    )
    newest = sorted(Path("kept").iterdir())[-1]
    whole = {name: newest.read_bytes() for name in (newest.name, "000000001.npz")}
    identity = json.loads(str(np.load(newest)["header"]))["identity"]

    def checkpoints(data):
        for name, content in whole.items():
            write(Path("kept") / name, content)
        damaged = data.draw(st.sampled_from(sorted(whole)))
        write(Path("kept") / damaged, data.draw(mutated(whole[damaged])))
        again = jaxscat.Checkpoints("kept", every_steps=1, identity=identity)
        with one_line_at_most():
            state = again.latest(minimizer)
            assert state is not None and state.evaluations > 0

    fuzz(checkpoints)


def test_folders_of_runs(folder):
    config = config_from_tree({"data": {"path": "map.fits"}, "run": {"name": "a"}})
    ended = {"status": "step limit", "final_loss": 1.0, "seeds": [{"seed": 1}]}
    original = np.random.default_rng(0).gamma(2.0, size=192)
    jaxscat.save_maps("maps.fits", {"ORIGINAL": original, "START": original, "SEED_1234": original})
    whole = {
        "config.toml": config.to_toml().encode(),
        "results.json": json.dumps(ended).encode(),
        "run.json": json.dumps({"run": "abc"}).encode(),
        "maps.fits": Path("maps.fits").read_bytes(),
    }
    note = json.dumps({"run": "abc", "overwrite": False, "version": "0"}).encode()
    some_json = VALUES.map(lambda value: json.dumps(value).encode())

    def folders(data):
        shutil.rmtree("a", ignore_errors=True)
        shutil.rmtree("a.unfinished", ignore_errors=True)
        Path("a").mkdir()
        files = {Path("a") / name: content for name, content in whole.items()}
        if data.draw(st.booleans()):
            Path("a.unfinished").mkdir()
            files[Path("a.unfinished/note.json")] = note
            files[Path("a.unfinished/config.toml")] = whole["config.toml"]
        damaged = data.draw(st.sampled_from(sorted(files)))
        change = mutated(files[damaged])
        files[damaged] = data.draw(change | some_json if damaged.suffix == ".json" else change)
        for path, content in files.items():
            write(path, content)
        with one_line_at_most():
            RunFolder.open("a", config, resume=True)
        with one_line_at_most():
            find_run_maps(Path("a"))

    fuzz(folders)


# What random examples have found, besides the endless file above.
def test_a_few_pixels_of_an_nside_beyond_all_memory(folder):
    map_files(folder)
    content = Path("cut.fits").read_bytes()
    place = content.index(b"NSIDE   =")
    card = f"{'NSIDE   = ':<10}{2**20:>20}".ljust(80).encode()
    write("cut.fits", content[:place] + card + content[place + 80 :])
    for load in (jaxscat.load_map, jaxscat.load_mask, jaxscat.load_map_and_mask):
        with pytest.raises(ValueError, match="its maps do not fit into memory"):
            load("cut.fits", field="I")


def test_a_message_does_not_quote_a_whole_file(folder):
    """The zip archive's own message has the name of a member as the damaged file has it."""
    content = bytearray((folder / "one.npz").read_bytes())
    content[26:28] = (60_000).to_bytes(2, "little")  # length of the first name
    write("a.npz", bytes(content))
    with pytest.raises(ValueError, match="no whole scattering covariance file") as caught:
        jaxscat.load_statistics("a.npz")
    assert len(str(caught.value)) < 500


def test_a_line_break_in_a_word_stays_in_one_line(folder):
    write("a.toml", b"")
    with pytest.raises(ValueError, match=r"^--data.nside 1 \\r: expected one value$"):
        load_config("a.toml", parse_overrides(["--data.nside", "1", "\r"]))


def test_a_line_break_in_the_name_of_an_entry_stays_in_one_line(folder):
    header, arrays = read_archive(folder / "one.npz", "scattering covariance", 1)
    header = {"nside": 4, "spec": {"\r": "none"}} | {
        key: value for key, value in header.items() if key not in ("content", "format", "spec")
    }
    write_archive("a.npz", "scattering covariance", 1, header, arrays)
    with pytest.raises(ValueError, match=r"do not fit this version of jaxscat \(.*\\r") as caught:
        jaxscat.load_statistics("a.npz")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"status": 3}', b"[" * 100_000])
def test_results_without_a_status_are_damaged(folder, content):
    Path("a").mkdir()
    write("a/results.json", content)
    config = config_from_tree({"data": {"path": "map.fits"}})
    with pytest.raises(ValueError, match=r"results.json' is damaged: "):
        RunFolder.open("a", config, resume=True)


def test_maps_of_a_run_without_a_table_are_told(folder):
    Path("a").mkdir()
    fits.PrimaryHDU(np.zeros((3, 4))).writeto("a/maps.fits")
    with pytest.raises(ValueError, match=r"maps.fits': cannot be read, expected the maps of a run"):
        find_run_maps(Path("a"))
