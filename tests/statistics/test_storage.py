import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.io.archive import write_archive
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.abstract_coefficients import AbstractCoefficients
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_triples
from jaxscat.statistics.storage import load_statistics, save_statistics, spec_differences

SPEC = PyramidSpec(4, 2, 3, 3, "exact", "float64")
AXES = {"s0": "2", "s1": "JL", "s2": "JL", "s3": "PLL", "s3p": "PLL", "s4": "TLLL"}


def coefficients(*, cross=False, both=False, masks=(), single=False, real=False, kept=3):
    rng = np.random.default_rng(0)
    lengths = {"2": 2, "J": 3, "L": 2, "P": kept * (kept + 1) // 2}
    lengths["T"] = len(scale_triples(kept, both))
    groups = {}
    for name, axes in AXES.items():
        if name == "s3p" and not cross:
            continue
        shape = masks + tuple(lengths[axis] for axis in axes)
        values = rng.standard_normal(shape)
        if name in ("s3", "s3p", "s4") and not real:
            values = values + 1j * rng.standard_normal(shape)
            groups[name] = values.astype(np.complex64) if single else values
        else:
            groups[name] = values.astype(np.float32) if single else values
    return ScatteringCovariance(**groups, both_triangles=both)


def assert_same(one, other):
    assert type(one) is type(other)
    assert one.both_triangles == other.both_triangles and one.kind == other.kind
    for name, array in one.groups().items():
        found = other.groups()[name]
        assert found.dtype == array.dtype and np.array_equal(found, array)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "stats.npz"
    save_statistics(path, coefficients(), SPEC, errors=coefficients(real=True), description="web")
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cross": True},
        {"cross": True, "both": True},
        {"masks": (3,)},
        {"single": True},
        {"real": True},
        {"kept": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("with_errors", [True, False])
def test_coefficients_come_back_to_the_last_bit(tmp_path, options, with_errors):
    made = coefficients(**options)
    errors = coefficients(**options | {"real": True}) if with_errors else None
    save_statistics(tmp_path / "stats.npz", made, SPEC, errors=errors, description="a ± b")
    found = load_statistics(tmp_path / "stats.npz")
    assert_same(found.statistics, made)
    if errors is None:
        assert found.errors is None
    else:
        assert_same(found.errors, errors)
    assert found.spec == SPEC and hash(found.spec) == hash(SPEC)
    assert found.description == "a ± b"
    assert [file.name for file in tmp_path.iterdir()] == ["stats.npz"]


def test_errors_are_not_taken_for_coefficients(path):
    found = load_statistics(path)
    assert_same(found.errors, coefficients(real=True))
    assert not np.array_equal(found.errors.s3, found.statistics.s3)


def test_float64_survives_while_x64_is_off(path):
    jax.config.update("jax_enable_x64", False)
    try:
        found = load_statistics(path).statistics
        assert isinstance(found.s1, np.ndarray) and found.s1.dtype == np.float64
        assert found.s4.dtype == np.complex128
    finally:
        jax.config.update("jax_enable_x64", True)
    assert_same(found, coefficients())


def test_arrays_of_jax_can_be_saved_and_names_stand_as_before(tmp_path):
    made = jax.tree.map(jnp.asarray, coefficients(cross=True))
    save_statistics(tmp_path / "stats", made, SPEC)
    found = load_statistics(tmp_path / "stats").statistics
    assert found.names() == made.names()
    assert np.array_equal(found.ravel(), made.ravel())


def test_the_spec_that_is_expected_is_accepted(path):
    assert load_statistics(path, SPEC).spec == SPEC


def test_another_spec_is_refused_with_every_field_that_differs(path):
    other = dataclasses.replace(SPEC, nside=8, geometry="foscat")
    with pytest.raises(ValueError) as caught:
        load_statistics(path, other)
    assert str(caught.value) == (
        f"path: got {path}, measured with nside 4, geometry 'exact'; "
        "expected nside 8, geometry 'foscat'"
    )


FIELDS = [field.name for field in dataclasses.fields(PyramidSpec) if field.name != "layout"]


def test_coefficients_belong_to_pyramids_of_both_layouts(path):
    other = dataclasses.replace(SPEC, layout="faces")
    assert load_statistics(path, other).spec == SPEC
    assert spec_differences(SPEC, other) == {}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_spec_is_stored_and_compared(path, field):
    other = dataclasses.replace(SPEC, **{field: "other"})
    assert spec_differences(SPEC, other) == {field: (getattr(SPEC, field), "other")}
    with pytest.raises(ValueError, match=f"measured with {field} .*; expected {field} 'other'"):
        load_statistics(path, other)


class Other(AbstractCoefficients):
    s0: jax.Array
    s1: jax.Array
    s2: jax.Array
    s3: jax.Array
    s4: jax.Array
    s3p: jax.Array | None = None
    both_triangles: bool = False
    kind: str = eqx.field(static=True, init=False)

    def _indices(self, group):
        return iter(())

    def _dependence(self, group):
        raise AssertionError("statistics of an unknown kind are refused before this is asked")


def test_other_coefficients_are_refused(tmp_path):
    other = Other(*[jnp.zeros(2)] * 5)
    with pytest.raises(ValueError, match="statistics: got Other, expected a ScatteringCovariance"):
        save_statistics(tmp_path / "stats.npz", other, SPEC)  # pyright: ignore
    assert list(tmp_path.iterdir()) == []


SMALLER = dataclasses.replace(SPEC, scales=2)
BAD = {
    "scales": ({"spec": SMALLER}, r"statistics: got S1 of shape \(3, 2\), expected \(2, 2\)"),
    "orientations": (
        {"spec": dataclasses.replace(SPEC, orientations=4)},
        r"statistics: got S1 of shape \(3, 2\), expected \(3, 4\)",
    ),
    "no spec": ({"spec": None}, "spec: got None, expected the spec of a pyramid"),
    "pairs": (
        {"statistics": dataclasses.replace(coefficients(), s3=np.zeros((5, 2, 2), complex))},
        r"statistics: got S3 of shape \(5, 2, 2\), expected \(6, 2, 2\)",
    ),
    "triples": (
        {"statistics": dataclasses.replace(coefficients(), both_triangles=True)},
        r"statistics: got S4 of shape \(10, 2, 2, 2\), expected \(14, 2, 2, 2\)",
    ),
    "half precision": (
        {"statistics": dataclasses.replace(coefficients(), s1=np.zeros((3, 2), np.float16))},
        "statistics.s1: got float16, expected one of",
    ),
    "errors are complex": ({"errors": coefficients()}, "errors.s3: got complex128, expected real"),
    "errors of two": (
        {"errors": coefficients(cross=True, real=True)},
        "errors: got cross coefficients .*, expected auto coefficients .* as the statistics",
    ),
    "errors of masks": (
        {"errors": coefficients(masks=(2,), real=True)},
        r"errors: got auto .*S0 \(2, 2\).*, expected auto .*S0 \(2,\)",
    ),
    "description": ({"description": 3}, "description: got int, expected text or None"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, case):
    changes, message = BAD[case]
    arguments = {"statistics": coefficients(), "spec": SPEC, **changes}
    with pytest.raises(ValueError, match=message):
        save_statistics(tmp_path / "stats.npz", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    before = path.read_bytes()

    def fail(file, **_):
        file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_statistics(path, coefficients(), SPEC)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.npz"):
        load_statistics(tmp_path / "none.npz")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="path: got .*stats.npz, which is no whole scattering cov"):
        load_statistics(path)


def test_flipped_bits_are_noticed(path):
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    expected, refused = coefficients(), 0
    for place in generator.integers(0, len(content), 100):
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(changed)
        try:
            found = load_statistics(path)
        except ValueError as error:
            assert str(error).startswith(f"path: got {path}")
            refused += 1
        else:
            assert_same(found.statistics, expected)  # bits that mean nothing, such as the date
    assert refused > 60


def header_of(path):
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("header"))), arrays


@pytest.mark.parametrize("found", [0, 2, "1"])
def test_another_version_is_refused_with_its_number(path, found):
    header, arrays = header_of(path)
    header["format"] = found
    np.savez(path, header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(ValueError, match=f"path: got .* of format {found}, expected format 1"):
        load_statistics(path)


def test_file_of_a_pyramid_is_refused(tmp_path):
    write_archive(tmp_path / "p.npz", "pyramid", 1, {"spec": {}}, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="a pyramid file, expected a scattering covariance file"):
        load_statistics(tmp_path / "p.npz")


CHANGES = {
    "no spec": lambda header, _: header.pop("spec"),
    "spec lacks nside": lambda header, _: header["spec"].pop("nside"),
    "spec has more": lambda header, _: header["spec"].update(gauge="cosmo"),
    "spec is a number": lambda header, _: header.update(spec=8),
    "fewer scales": lambda header, _: header["spec"].update(scales=2),
    "other kind": lambda header, _: header.update(kind="cross"),
    "no kind": lambda header, _: header.pop("kind"),
    "both triangles": lambda header, _: header.update(both_triangles=True),
    "no S4": lambda _, arrays: arrays.pop("s4"),
    "unknown group": lambda _, arrays: arrays.update(s5=np.zeros(3)),
    "part of the errors": lambda _, arrays: arrays.pop("error_s2"),
    "S3 of another shape": lambda _, arrays: arrays.update(s3=arrays["s3"][:-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_header_that_does_not_fit_is_refused_though_its_checksum_is_right(path, change):
    header, arrays = header_of(path)
    rest = {name: header[name] for name in header if name not in ("content", "format", "sha256")}
    write_archive(path, header["content"], 1, rest, arrays)
    load_statistics(path)
    CHANGES[change](rest, arrays)
    write_archive(path, header["content"], 1, rest, arrays)
    with pytest.raises(ValueError, match="path: got .*stats.npz, whose header and arrays do not"):
        load_statistics(path)


def test_a_name_of_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^path: got .*, expected a name that ends in .npz"):
        save_statistics(tmp_path / "stats.h5", coefficients(), SPEC)
    assert list(tmp_path.iterdir()) == []
