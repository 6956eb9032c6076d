"""Coefficients of several fields on disk, and their comparison pair by pair."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jaxscat.cli.tables import comparison_table
from jaxscat.io.archive import write_archive
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.comparison import common_scales, compare_statistics
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.indices import scale_triples
from jaxscat.statistics.storage import StoredStatistics, load_statistics, save_statistics

SPEC = PyramidSpec(4, 2, 3, 3, "exact", "float64")
PAIRS = (("T", "T"), ("dust", "dust"), ("T", "dust"))
NAMES = ("TT", "dust x dust", "T x dust")


def of_pair(seed, *, cross=False, both=False, masks=(), real=False, kept=3):
    generator = np.random.default_rng(seed)
    pairs, triples = kept * (kept + 1) // 2, len(scale_triples(kept, both))
    shapes = {"s0": (2,), "s1": (3, 2), "s2": (3, 2), "s3": (pairs, 2, 2)}
    shapes |= {"s3p": (pairs, 2, 2)} if cross else {}
    shapes |= {"s4": (triples, 2, 2, 2)}
    groups = {name: generator.uniform(1, 2, masks + shape) for name, shape in shapes.items()}
    if not real:
        for name in groups.keys() & {"s3", "s3p", "s4"}:
            groups[name] = groups[name] * np.exp(1j * generator.uniform(0, 6, groups[name].shape))
    return ScatteringCovariance(**groups, both_triangles=both)


def coefficients(*, both=False, real=False, pairs=PAIRS, **options):
    parts = (
        of_pair(n, cross=one != other, both=both and one != other, real=real, **options)
        for n, (one, other) in enumerate(pairs)
    )
    return FieldCovariances(tuple(parts), pairs)


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for found, array in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert isinstance(found, np.ndarray) and found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "fields.npz"
    errors = coefficients(real=True)
    save_statistics(path, coefficients(), SPEC, errors=errors, description="dust")
    return path


@pytest.mark.parametrize("options", [{}, {"both": True}, {"masks": (2,)}, {"kept": 2}], ids=str)
@pytest.mark.parametrize("with_errors", [True, False])
def test_coefficients_come_back_to_the_last_bit(tmp_path, options, with_errors):
    made = coefficients(**options)
    errors = coefficients(**options, real=True) if with_errors else None
    sky = {"hidden": "exclude"}
    save_statistics(tmp_path / "f", made, SPEC, errors=errors, description="a ± b", sky=sky)
    found = load_statistics(tmp_path / "f", SPEC)
    assert found.statistics.keys() == NAMES
    assert_same(found.statistics, made)
    assert found.errors is None if errors is None else found.errors.keys() == NAMES
    if errors is not None:
        assert_same(found.errors, errors)
    assert (found.spec, found.description, found.sky) == (SPEC, "a ± b", sky)


def test_arrays_stand_under_the_number_of_their_pair(path):
    with np.load(path) as file:
        header, names = json.loads(str(file["header"])), set(file.files)
    assert header["pairs"] == [list(pair) for pair in PAIRS] and header["kind"] == "fields"
    assert header["both_triangles"] == [False] * 3 and header["format"] == 1
    groups = {f"{n}_s{group}" for n in range(3) for group in range(5)} | {"2_s3p"}
    assert names == {"header"} | groups | {f"error_{name}" for name in groups}


def test_what_was_measured_is_stored(tmp_path, pyramid):
    import jaxscat

    t, e = np.random.default_rng(0).normal(size=(2, 192))
    found = jaxscat.measure_fields({"T": t, "E": e}, pyramid, pairs=["ET"], both_triangles=True)
    jaxscat.save_statistics(tmp_path / "m.npz", found, pyramid.spec)
    stored = jaxscat.load_statistics(tmp_path / "m.npz").statistics
    assert stored.pairs == (("E", "T"),) and stored["ET"].both_triangles
    np.testing.assert_array_equal(stored.ravel(), found.ravel())


REFUSED = {
    "reduced": (
        {"statistics": coefficients().reduced(IsotropicMean())},
        r"^statistics\['TT'\]: got ReducedCovariance, expected a ScatteringCovariance",
    ),
    "scales": (
        {"spec": dataclasses.replace(SPEC, scales=2)},
        r"^statistics\['TT'\]: got S1 of shape \(3, 2\), expected \(2, 2\)",
    ),
    "complex errors": (
        {"errors": coefficients()},
        r"^errors\['TT'\].s3: got complex128, expected real numbers",
    ),
    "errors of other pairs": (
        {"errors": coefficients(real=True, pairs=PAIRS[:2])},
        "^errors: got coefficients of TT, dust x dust, expected coefficients of TT, dust x dust, T",
    ),
    "errors of a map": (
        {"errors": of_pair(0, real=True)},
        "^errors: got ScatteringCovariance, expected coefficients of TT",
    ),
    "errors of masks": (
        {"errors": coefficients(real=True, masks=(2,))},
        r"^errors\['TT'\]: got auto .*S0 \(2, 2\).*, expected auto .*S0 \(2,\)",
    ),
    "errors of fields": (
        {"statistics": of_pair(0), "errors": coefficients(real=True)},
        "^errors: got coefficients of TT, .*, expected ScatteringCovariance as the statistics",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, case):
    changes, message = REFUSED[case]
    arguments = {"statistics": coefficients(), "spec": SPEC, **changes}
    with pytest.raises(ValueError, match=message):
        save_statistics(tmp_path / "f.npz", **arguments)
    assert list(tmp_path.iterdir()) == []


def header_of(path):
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("header"))), arrays


CHANGES = {
    "no pairs": lambda header, _: header.pop("pairs"),
    "fewer pairs": lambda header, _: header["pairs"].pop(),
    "more pairs": lambda header, _: header["pairs"].append(["T", "E"]),
    "pairs of one": lambda header, _: header.update(pairs=[["T"]] * 3),
    "pairs are a number": lambda header, _: header.update(pairs=3),
    "another kind of pair": lambda header, _: header.update(pairs=[["T", "E"]] * 3),
    "triangles": lambda header, _: header.update(both_triangles=[True] * 3),
    "one triangle": lambda header, _: header.update(both_triangles=False),
    "other kind": lambda header, _: header.update(kind="auto"),
    "no S4": lambda _, arrays: arrays.pop("1_s4"),
    "unknown group": lambda _, arrays: arrays.update({"1_s5": np.zeros(3)}),
    "unknown pair": lambda _, arrays: arrays.update({"3_s1": np.zeros(3)}),
    "no number": lambda _, arrays: arrays.update({"TE_s1": np.zeros(3)}),
    "errors of some pairs": lambda _, arrays: [
        arrays.pop(name) for name in list(arrays) if name.startswith("error_1")
    ],
    "S3 of another shape": lambda _, arrays: arrays.update({"0_s3": arrays["0_s3"][:-1]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_header_that_does_not_fit_is_refused_though_its_checksum_is_right(path, change):
    header, arrays = header_of(path)
    rest = {name: header[name] for name in header if name not in ("content", "format", "sha256")}
    CHANGES[change](rest, arrays)
    write_archive(path, header["content"], 1, rest, arrays)
    with pytest.raises(ValueError, match="path: got .*fields.npz, whose header and arrays do not"):
        load_statistics(path)


@pytest.mark.parametrize("kept", [0.1, 0.99])
def test_truncated_file_is_refused(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="path: got .*fields.npz, which is no whole scattering"):
        load_statistics(path)


def test_changed_content_is_refused(path):
    header, arrays = header_of(path)
    header["pairs"][2] = ["dust", "T"]
    np.savez(path, header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(ValueError, match="whose content has changed since it was saved"):
        load_statistics(path)


def test_another_spec_is_refused(path):
    with pytest.raises(ValueError, match="measured with nside 4; expected nside 8"):
        load_statistics(path, dataclasses.replace(SPEC, nside=8))


# Comparison.


def stored(statistics=None, errors=None, spec=SPEC):
    return StoredStatistics(statistics or coefficients(), errors, spec, None)


def test_rows_of_every_pair():
    one, errors = coefficients(), coefficients(real=True)
    other = jax.tree.map(lambda group: 1.5 * group, one)
    rows = compare_statistics(stored(one, errors), stored(other))
    groups = ["S0", "S1", "S2", "S3", "S4"]
    cross = [*groups[:4], "S3P", "S4"]
    expected = [(pair, group) for pair in NAMES[:2] for group in groups]
    assert [(row.pair, row.group) for row in rows] == [*expected, *((NAMES[2], g) for g in cross)]
    for row in rows:
        assert row.relative_rms == pytest.approx(0.5)
        alone = StoredStatistics(one[row.pair], errors[row.pair], SPEC, None)
        same = compare_statistics(alone, alone._replace(statistics=other[row.pair]))
        same = next(of for of in same if of.group == row.group)
        assert row == same._replace(pair=row.pair) and same.pair is None
    table = comparison_table(rows, title="")
    assert [column.header for column in table.columns][:2] == ["pair", "group"]
    assert table.row_count == len(rows)


def test_scales_that_both_have_are_compared():
    spec = dataclasses.replace(SPEC, scales=2)
    parts = tuple(one.finest(2, 1) for one in coefficients().statistics)
    short = stored(FieldCovariances(parts, PAIRS), spec=spec)
    errors = coefficients(real=True)
    rows = compare_statistics(stored(errors=errors), short)
    assert {row.relative_rms for row in rows} == {0.0}
    assert [row.number for row in rows if row.pair == "TT"] == [2, 4, 4, 4, 8]
    one, other = common_scales(stored(errors=errors), short)
    assert one.spec == other.spec == spec and one.errors["TT"].s1.shape == (2, 2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (coefficients(pairs=PAIRS[:2]), "got pairs TT, .*, T x dust and pairs TT, dust x dust, e"),
        (of_pair(0), "got pairs TT, .* and no pairs of fields, expected the same in both files"),
        (coefficients(both=True), "got both_triangles False and True"),
        (coefficients(masks=(2,)), "got masks None and 2"),
    ],
    ids=["pairs", "a map", "triangles", "masks"],
)
def test_what_was_not_measured_alike_is_refused(other, message):
    with pytest.raises(ValueError, match=f"^coefficients: {message}"):
        compare_statistics(stored(), stored(other))
