import dataclasses
import warnings

import jax
import numpy as np
import pytest

from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.comparison import choose_errors, common_scales, compare_statistics
from jaxscat.statistics.storage import StoredStatistics

SPEC = PyramidSpec(2, 2, 3, 2, "exact", "float64")


def stored(value=1.0, *, errors=None, masks=(), spec=SPEC, **changes):
    shapes = [(2,), (2, 2), (2, 2), (3, 2, 2), (4, 2, 2, 2)]
    types = [float, float, float, complex, complex]
    groups = [
        np.full(masks + shape, value, kind) for shape, kind in zip(shapes, types, strict=True)
    ]
    statistics = dataclasses.replace(ScatteringCovariance(*groups), **changes)
    if errors is not None:
        errors = jax.tree.map(lambda group: np.full(group.shape, errors), statistics)
    return StoredStatistics(statistics, errors, spec, None)


def test_numbers_of_every_group():
    rows = compare_statistics(stored(2.0, errors=0.5), stored(2.5))
    assert [row.group for row in rows] == ["S0", "S1", "S2", "S3", "S4"]
    assert [row.number for row in rows] == [2, 4, 4, 12, 32]
    for row in rows:
        assert row.relative_rms == pytest.approx(0.25)
        assert row.chi_square == pytest.approx(1.0)
        assert row.largest == pytest.approx(1.0)


@pytest.mark.parametrize("masks", [(), (3,)])
def test_largest_is_found_and_named(masks):
    one, other = stored(errors=1.0, masks=masks), stored(masks=masks)
    at = ((2,) if masks else ()) + (1, 1, 0)  # (j2, j3) = (0, 1), l2 = 1, l3 = 0
    other.statistics.s3[at] += 3 - 4j
    rows = {row.group: row for row in compare_statistics(one, other)}
    assert rows["S3"].largest == pytest.approx(5.0)
    assert rows["S3"].name == "S3 j2=0 j3=1 l2=1 l3=0" + (" (mask 2)" if masks else "")
    assert rows["S3"].chi_square == pytest.approx(25 / rows["S3"].number)
    assert rows["S4"].chi_square == 0


def test_errors_of_the_first_come_first():
    one, other = stored(1.0, errors=1.0), stored(2.0, errors=0.1)
    assert compare_statistics(one, other)[1].largest == pytest.approx(1.0)
    assert compare_statistics(one._replace(errors=None), other)[1].largest == pytest.approx(10.0)
    assert choose_errors(one, other) is one.errors
    rows = compare_statistics(one._replace(errors=None), other._replace(errors=None))
    assert all(row.chi_square is row.largest is row.name is None for row in rows)


def test_errors_that_are_zero_are_left_out():
    one, other = stored(1.0, errors=1.0), stored(2.0)
    one.errors.s1[0] = 0.0
    other.statistics.s1[0] = 50.0
    one.errors.s2[:] = 0.0
    rows = {row.group: row for row in compare_statistics(one, other)}
    assert (rows["S1"].chi_square, rows["S1"].name) == (1.0, "S1 j=1 l=0")
    assert (rows["S2"].chi_square, rows["S2"].largest) == (None, None)


def test_group_that_is_zero_has_no_relative_difference():
    assert compare_statistics(stored(0.0), stored(1.0))[1].relative_rms is None


def test_small_differences_of_float32_and_float64_are_seen():
    single = dataclasses.replace(SPEC, dtype="float32")
    small = stored(spec=single)._replace(
        statistics=jax.tree.map(
            lambda group: group.astype(np.complex64 if group.dtype == complex else np.float32),
            stored(1.0 + 1e-6).statistics,
        )
    )
    row = compare_statistics(stored(), small)[1]
    assert row.relative_rms == pytest.approx(1e-6, rel=0.2)


@pytest.mark.parametrize("fewer", ["pairs", "scales"])
def test_scales_that_both_have_are_compared(fewer):
    """Hidden pixels leave out coarse scales, of S3 and S4 more."""
    other = stored(3.0)
    cut = other.statistics.finest(1 if fewer == "scales" else 2, 1)
    spec = dataclasses.replace(SPEC, scales=cut.scales)
    short = other._replace(statistics=cut, errors=None, spec=spec)
    for one, two in (
        (stored(), short),
        (short._replace(errors=jax.tree.map(abs, cut)), stored(3.0)),
    ):
        rows = {row.group: row for row in compare_statistics(one, two)}
        assert [rows[name].number for name in ("S1", "S3", "S4")] == [2 * cut.scales, 4, 8]
        assert [part.spec for part in common_scales(one, two)] == [spec, spec]
    rows = {row.group: row for row in compare_statistics(stored(), short)}
    whole = {row.group: row for row in compare_statistics(stored(), other)}
    assert rows["S3"].chi_square == whole["S3"].chi_square


REFUSED = {
    "spec": (
        stored(spec=dataclasses.replace(SPEC, nside=4, geometry="foscat")),
        "got nside 2 and 4; geometry 'exact' and 'foscat', expected the same in both files",
    ),
    "kind": (stored(s3p=np.zeros((3, 2, 2))), "got kind 'auto' and 'cross'"),
    "triangles": (stored(both_triangles=True), "got both_triangles False and True"),
    "masks": (stored(masks=(2,)), "got masks None and 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_not_measured_alike_is_refused(case):
    other, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        compare_statistics(stored(), other)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("exclude", "interior", "treated differently: 'exclude' and 'interior'"),
        ("exclude", None, "treated differently: 'exclude' and none are hidden"),
        ("exclude", "exclude", "of their own, which leave their mark with 'exclude'"),
        ("interior", "interior", None),
    ],
)
def test_differences_that_hidden_pixels_make_are_warned_of(first, second, message):
    skies = [
        None if hidden is None else {"hidden": hidden, "sky_fraction": 0.5 + 0.1 * n}
        for n, hidden in enumerate((first, second))
    ]
    one, other = (stored()._replace(sky=sky) for sky in skies)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compare_statistics(one, other)
    assert [message in str(one.message) for one in caught] == ([True] if message else [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_statistics(one, one)
