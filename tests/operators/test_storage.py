import dataclasses
import hashlib
import inspect
import json

import jax
import numpy as np
import pytest

from jaxscat.io.archive import write_archive
from jaxscat.operators import apply, windows
from jaxscat.operators.apply import convolve_map
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.storage import FORMAT, load_pyramid, save_pyramid


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8)


@pytest.fixture
def path(tmp_path, pyramid):
    path = tmp_path / "operators.npz"
    save_pyramid(path, pyramid)
    return path


def assert_same(one, other):
    assert one.spec == other.spec
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


def rewrite(path, change):
    """Change the arrays of a file, and its header as a dictionary."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    change(arrays, header)
    if "header" in arrays:
        arrays["header"] = np.array(json.dumps(header))
    np.savez(path, **arrays)


def rewrite_header(path, change):
    """Change the header of a file and give it the checksum that belongs to it."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    for name in ("content", "format", "sha256"):
        del header[name]
    if "arrays" in inspect.signature(change).parameters:
        change(arrays, header)
    else:
        change(header)
    write_archive(path, "pyramid", FORMAT, header, arrays)


RAGGED = np.random.default_rng(0).permutation(768)[:300]


@pytest.mark.parametrize(
    "arguments",
    [
        {"nside": 16, "dtype": "float64"},
        {"nside": 16, "orientations": 3, "scales": 2},
        {"nside": 8, "geometry": "foscat"},
        {"nside": 1},
        {"nside": 4, "kernel_size": 5},
        {"nside": 2, "kernel_size": 7, "scales": 1, "dtype": "float64"},
        {"nside": 8, "cell_ids": RAGGED, "dtype": "float64"},
        {"nside": 8, "cell_ids": np.arange(300)},
        {"nside": 8, "kernel_size": 5, "scales": 5, "cell_ids": RAGGED},
        {"nside": 8, "cell_ids": np.arange(768)[::-1]},
        {"nside": 16, "layout": "faces", "dtype": "float64"},
        {"nside": 16, "layout": "faces", "orientations": 1, "geometry": "foscat", "scales": 2},
        {"nside": 1, "layout": "faces"},
    ],
    ids=lambda arguments: " ".join(
        f"{name} {np.size(of) if name == 'cell_ids' else of}" for name, of in arguments.items()
    ),
)
def test_a_pyramid_comes_back_to_the_last_bit(tmp_path, arguments):
    made = build_pyramid(**arguments)
    save_pyramid(tmp_path / "operators.npz", made)
    loaded = load_pyramid(tmp_path / "operators.npz")
    assert_same(loaded, made)
    for scale, level in enumerate(made.levels):
        assert np.array_equal(loaded.pixels(scale), made.pixels(scale))
        assert loaded.levels[scale].nside == level.nside


def test_ragged_patch_comes_back_with_its_pixels_and_their_order(tmp_path):
    save_pyramid(tmp_path / "operators.npz", build_pyramid(8, cell_ids=RAGGED))
    loaded = load_pyramid(tmp_path / "operators.npz")
    ascending = np.sort(RAGGED)
    assert np.array_equal(loaded.pixels(), RAGGED)
    assert np.array_equal(RAGGED[loaded.order], ascending)
    blocks = 4 * np.unique(RAGGED // 4)[:, None] + np.arange(4)
    assert np.array_equal(blocks.ravel()[loaded.levels[0].stencil.slots], ascending)
    assert np.array_equal(loaded.levels[0].cells, ascending)


def test_loaded_pyramid_shares_the_compiled_functions(path, pyramid):
    map = np.random.default_rng(0).standard_normal(768).astype(np.float32)
    expected = convolve_map(map, pyramid)
    before = apply._convolve._cache_size()
    assert np.array_equal(convolve_map(map, load_pyramid(path)), expected)
    assert apply._convolve._cache_size() == before


def test_path_may_be_a_string_and_needs_no_suffix(tmp_path, pyramid, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pyramid("operators", pyramid)
    assert [file.name for file in tmp_path.iterdir()] == ["operators"]
    assert_same(load_pyramid("operators"), pyramid)


def test_saving_replaces_what_was_there(path):
    other = build_pyramid(2)
    save_pyramid(path, other)
    assert_same(load_pyramid(path), other)
    assert list(path.parent.iterdir()) == [path]


def test_saved_file_is_as_readable_as_any_other(path):
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_saving_to_a_folder_that_is_not_there_is_an_os_error(tmp_path, pyramid):
    with pytest.raises(OSError):
        save_pyramid(tmp_path / "none" / "operators.npz", pyramid)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_writing_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, error):
    before = path.read_bytes()

    def fail(file, **_):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(type(error)):
        save_pyramid(path, build_pyramid(2))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_first_writing_that_fails_leaves_nothing(tmp_path, pyramid, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("read-only")))
    with pytest.raises(OSError, match="read-only"):
        save_pyramid(tmp_path / "operators.npz", pyramid)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.npz"):
        load_pyramid(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="path: got .*operators.npz, which is no whole pyramid"):
        load_pyramid(path)


@pytest.mark.parametrize("content", [b"not a pyramid", b"PK\x03\x04 nor an archive"])
def test_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "operators.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="path: got .*operators.npz, which is no whole pyramid"):
        load_pyramid(path)


def test_single_array_is_refused(tmp_path):
    np.save(tmp_path / "map.npy", np.zeros(12))
    with pytest.raises(ValueError, match="path: got .*map.npy, which is no whole pyramid"):
        load_pyramid(tmp_path / "map.npy")


def test_pickled_objects_are_never_opened(path):
    rewrite(path, lambda arrays, _: arrays.update({"0/stencil/weights": np.array([{}])}))
    with pytest.raises(ValueError, match="path: got .*, which is no whole pyramid .*pickle"):
        load_pyramid(path)


def test_changed_bits_are_noticed(tmp_path):
    small, path = build_pyramid(2), tmp_path / "operators.npz"
    save_pyramid(path, small)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    # Anywhere, and at the end, where the table of contents stands.
    places = [*generator.integers(0, len(content), 60), *-generator.integers(1, 1500, 60)]
    refused = 0
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(changed)
        try:
            loaded = load_pyramid(path)
        except ValueError as error:
            assert str(error).startswith(f"path: got {path}")
            refused += 1
        else:
            assert_same(loaded, small)  # bits that mean nothing, such as the date
    assert refused > 100


def unknown_compression(content):
    content[content.rindex(b"PK\x01\x02") + 10] = 99


def unclosed_header(content):
    # Of an array so large that its header is read before its check sum.
    content[content.index(b"}", content.index(b"0/stencil/weights"))] = ord(" ")


@pytest.mark.parametrize("damage", [unknown_compression, unclosed_header])
def test_damaged_headers_inside_are_refused(path, damage):
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="path: got .*operators.npz, which is no whole pyramid"):
        load_pyramid(path)


@pytest.mark.parametrize("found", [0, 1, 2, 3, 4, 6, "5", None])
def test_another_format_is_refused_with_its_number(path, found):
    rewrite(path, lambda _, header: header.update(format=found))
    with pytest.raises(ValueError, match=f"path: got .* of format {found}, expected format 5"):
        load_pyramid(path)


def test_file_of_the_first_format_is_refused_by_its_number(path, pyramid):
    # As it was written: no content is named, a spec without cells, a checksum of spec and arrays.
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "header"}
    spec = dataclasses.asdict(pyramid.spec)
    del spec["cells"], spec["cell_count"], spec["layout"]
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    header = {"format": 1, "spec": spec, "sha256": digest.hexdigest()}
    np.savez(path, header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(ValueError, match="path: got .*npz of format 1, expected format 5"):
        load_pyramid(path)


def test_archive_of_something_else_is_refused_by_name(path):
    write_archive(path, "scattering covariance", 3, {"spec": {}}, {})
    with pytest.raises(ValueError, match="a scattering covariance file, expected a pyramid file"):
        load_pyramid(path)


DAMAGED = {
    "no header": lambda arrays, _: arrays.pop("header"),
    "no format": lambda _, header: header.pop("format"),
}

CHANGES = {
    "no spec": lambda _, header: header.pop("spec"),
    "spec lacks nside": lambda _, header: header["spec"].pop("nside"),
    "spec has more": lambda _, header: header["spec"].update(gauge="cosmo"),
    "spec is a number": lambda _, header: header.update(spec=8),
    "no stencil": lambda arrays, _: [
        arrays.pop(name) for name in list(arrays) if name.startswith("1/stencil/")
    ],
    "no downsampling": lambda arrays, _: [
        arrays.pop(name) for name in list(arrays) if name.startswith("0/downsampling/")
    ],
    "part of a stencil": lambda arrays, _: arrays.pop("0/stencil/indices"),
    "unknown part": lambda arrays, _: arrays.update({"0/stencil/more": np.zeros(3)}),
    "slots of a patch": lambda arrays, _: arrays.update({"0/stencil/slots": np.arange(768)}),
    "cells of a patch": lambda arrays, _: arrays.update({"0/cells": np.arange(768)}),
    "an order": lambda arrays, _: arrays.update({"order": np.arange(768)}),
    "other type of weights": lambda _, header: header["spec"].update(dtype="float64"),
    "other nside": lambda _, header: header["spec"].update(nside=16),
    "other orientations": lambda _, header: header["spec"].update(orientations=2),
    "other kernel": lambda _, header: header["spec"].update(kernel_size=5),
    "other layout": lambda _, header: header["spec"].update(layout="faces"),
    "no tables": lambda _, header: header.pop("tables"),
    "table of another kind": lambda _, header: header["tables"]["0/stencil"].update(
        kind="DenseTable"
    ),
    "table of more rows": lambda _, header: header["tables"]["0/stencil"].update(in_rows=193),
    "other geometry": lambda _, header: header["spec"].update(geometry="foscat"),
    "fewer scales": lambda _, header: header["spec"].update(scales=3),
    "some patch": lambda _, header: header["spec"].update(cells="0" * 16, cell_count=768),
    "weights of another shape": lambda arrays, _: arrays.update(
        {"0/stencil/weights": arrays["0/stencil/weights"][:, :-1]}
    ),
    "index out of bounds": lambda arrays, _: arrays.update(
        {"0/stencil/indices": arrays["0/stencil/indices"] + 10**6}
    ),
}


@pytest.mark.parametrize("change", DAMAGED)
def test_file_without_its_header_is_no_whole_file(path, change):
    rewrite(path, DAMAGED[change])
    with pytest.raises(ValueError, match="path: got .*operators.npz, which is no whole pyramid"):
        load_pyramid(path)


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_header_or_tables_is_noticed(path, change):
    rewrite(path, CHANGES[change])
    message = "path: got .*operators.npz, whose content has changed since it was saved"
    with pytest.raises(ValueError, match=message):
        load_pyramid(path)


@pytest.mark.parametrize(
    "change", ["no spec", "spec lacks nside", "spec has more", "spec is a number"]
)
def test_header_of_something_else_than_a_pyramid_is_refused(path, change):
    rewrite_header(path, lambda header: CHANGES[change](None, header))
    with pytest.raises(ValueError, match="path: got .*, whose header is not that of a pyramid"):
        load_pyramid(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orientations": 0}, "orientations: got 0"),
        ({"kernel_size": 4}, "kernel_size: got 4"),
        ({"nside": 3}, "nside: got 3"),
        ({"scales": 5}, "scales: got 5, expected 1 to 4"),
    ],
)
def test_spec_out_of_range_is_refused(path, change, message):
    rewrite_header(path, lambda header: header["spec"].update(change))
    with pytest.raises(ValueError, match=message):
        load_pyramid(path)


@pytest.mark.parametrize("change", [{"cells": "0" * 16}, {"cell_count": 5}])
def test_header_that_names_a_patch_without_its_pixels_is_refused(path, change):
    rewrite_header(path, lambda header: header["spec"].update(change))
    with pytest.raises(ValueError, match="path: got .*, whose header names a patch without its"):
        load_pyramid(path)


def of_table(change, name="0/stencil"):
    return lambda header: change(header["tables"][name])


# Of a file whose checksum is right: a header that another program wrote, or one with a mistake.
TABLES = {
    "none": lambda header: header.pop("tables"),
    "a list": lambda header: header.update(tables=[]),
    "a null": lambda header: header.update(tables=None),
    "no stencil": lambda header: header["tables"].pop("1/stencil"),
    "no downsampling": lambda header: header["tables"].pop("0/downsampling"),
    "stencil is a number": lambda header: header["tables"].update({"0/stencil": 7}),
    "no kind": of_table(lambda table: table.pop("kind")),
    "unknown kind": of_table(lambda table: table.update(kind="SparseTable")),
    "kind is a list": of_table(lambda table: table.update(kind=[])),
    "no orientations": of_table(lambda table: table.pop("orientations")),
    "one field more": of_table(lambda table: table.update(width=3)),
    "parts are a word": of_table(lambda table: table.update(parts="two")),
}

# Tables that could be put together, and would not be those of the spec.
MISFITS = {
    "other orientations": of_table(lambda table: table.update(orientations=8)),
    "other rows": of_table(lambda table: table.update(in_rows=7)),
    "dense table without weights": lambda header: header["tables"].update(
        {"0/stencil": {"kind": "DenseTable"}, "0/downsampling": {"kind": "DenseTable"}}
    ),
    "no indices": lambda arrays, header: arrays.pop("0/stencil/indices"),
    "no weights": lambda arrays, header: arrays.pop("2/stencil/weights"),
    "flat weights": lambda arrays, header: arrays.update(
        {"0/stencil/weights": arrays["0/stencil/weights"].ravel()}
    ),
    "weights of another type": lambda arrays, header: arrays.update(
        {"0/stencil/weights": arrays["0/stencil/weights"].astype(np.float64)}
    ),
    "an array too many": lambda arrays, header: arrays.update({"0/stencil/more": np.zeros(3)}),
    "fewer scales than levels": lambda header: header["spec"].update(scales=3),
    "more scales than levels": lambda header: header["spec"].update(nside=16, scales=5),
    "other layout": lambda header: header["spec"].update(layout="faces"),
}


@pytest.mark.parametrize("change", TABLES)
def test_header_whose_tables_are_not_those_of_a_pyramid_is_refused(path, change):
    rewrite_header(path, TABLES[change])
    with pytest.raises(ValueError, match="^path: got .*operators.npz, "):
        load_pyramid(path)


@pytest.mark.parametrize("change", MISFITS)
def test_tables_that_do_not_fit_the_spec_are_refused(path, change):
    rewrite_header(path, MISFITS[change])
    with pytest.raises(ValueError, match="^path: got .*operators.npz, "):
        load_pyramid(path)


FACES = {
    "no offsets": lambda table: table.pop("offsets"),
    "offsets are a number": lambda table: table.update(offsets=7),
    "an offset is a number": lambda table: table.update(offsets=[7, *table["offsets"][1:]]),
    "an offset of three": lambda table: table.update(offsets=[[0, 0, 0], *table["offsets"][1:]]),
    "one offset fewer": lambda table: table.update(offsets=table["offsets"][1:]),
    "an offset beyond the halo": lambda table: table.update(
        offsets=[[-9, 0], *table["offsets"][1:]]
    ),
    "no halo": lambda table: table.pop("halo"),
    "other halo": lambda table: table.update(halo=2),
    "other step": lambda table: table.update(step=2),
}


@pytest.fixture(scope="module")
def pyramid_of_faces():
    return build_pyramid(16, orientations=1, scales=2, layout="faces")


@pytest.mark.parametrize("change", FACES)
def test_tables_of_faces_that_do_not_fit_are_refused(tmp_path, pyramid_of_faces, change):
    path = tmp_path / "operators.npz"
    save_pyramid(path, pyramid_of_faces)
    rewrite_header(path, of_table(FACES[change]))
    with pytest.raises(ValueError, match="^path: got .*operators.npz, "):
        load_pyramid(path)


def test_loaded_faces_share_the_compiled_functions(tmp_path, pyramid_of_faces):
    map = np.random.default_rng(0).standard_normal(3072).astype(np.float32)
    expected = convolve_map(map, pyramid_of_faces)
    save_pyramid(tmp_path / "operators.npz", pyramid_of_faces)
    before = apply._convolve._cache_size()
    loaded = load_pyramid(tmp_path / "operators.npz")
    assert np.array_equal(convolve_map(map, loaded), expected)
    assert apply._convolve._cache_size() == before


def test_header_names_the_tables(path, pyramid):
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
        names = set(file.files)
    assert header["format"] == FORMAT == 5
    scales = range(4)
    assert set(header["tables"]) == {
        *(f"{scale}/stencil" for scale in scales),
        *(f"{scale}/downsampling" for scale in scales[:3]),
    }
    assert header["tables"]["0/stencil"] == {
        "kind": "RowTable", "orientations": 4, "parts": 2, "in_rows": 192,
    }  # fmt: skip
    assert header["tables"]["2/stencil"] == {"kind": "DenseTable"}
    assert {"2/stencil/weights", "0/stencil/halo", "0/downsampling/positions"} < names


def test_float64_weights_without_x64_are_refused(tmp_path):
    save_pyramid(tmp_path / "operators.npz", build_pyramid(2, dtype="float64"))
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match=r"dtype: got float64, expected float32 unless .*x64"):
            load_pyramid(tmp_path / "operators.npz")
    finally:
        jax.config.update("jax_enable_x64", True)


def test_a_name_of_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^path: got .*, expected a name that ends in .npz"):
        save_pyramid(tmp_path / "operators.fits", build_pyramid(2))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pyramid_in_groups():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCKS_OF_A_GROUP", 20)
        return build_pyramid(8)


def test_groups_of_large_stencils_come_back(tmp_path, pyramid_in_groups):
    assert pyramid_in_groups.levels[0].stencil.windows is not None
    save_pyramid(tmp_path / "operators.npz", pyramid_in_groups)
    assert_same(load_pyramid(tmp_path / "operators.npz"), pyramid_in_groups)


@pytest.mark.parametrize("cut", ["windows", "places"])
@pytest.mark.parametrize("change", ["none", "flat", "one fewer"])
def test_groups_that_do_not_fit_are_refused(tmp_path, pyramid_in_groups, cut, change):
    path, name = tmp_path / "operators.npz", f"0/stencil/{cut}"
    save_pyramid(path, pyramid_in_groups)

    def damage(arrays, header):
        found = arrays.pop(name)
        if change != "none":
            arrays[name] = found.ravel() if change == "flat" else found[:-1]

    rewrite_header(path, damage)
    with pytest.raises(ValueError, match="^path: got .*operators.npz, "):
        load_pyramid(path)
