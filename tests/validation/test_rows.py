import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation import validate
from jaxscat.validation.rows import SEES, finite_or_none, iterate_rows


@pytest.fixture(scope="module")
def report():
    pyramid = build_pyramid(4, scales=1, orientations=1, dtype=np.float64)
    generator = np.random.default_rng(0)
    original, made = generator.gamma(2.0, size=(2, 192))
    start = generator.standard_normal(192)
    return validate(original, made, start=start, pyramid=pyramid, controls=2)


def test_every_row_has_its_own_name_and_says_what_it_sees(report):
    rows = list(iterate_rows(report))
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.sees[0].isupper() and row.sees.endswith(".") and len(row.sees) > 20
        assert row.sees in SEES.values()
    assert {row.sees for row in rows} == set(SEES.values())


def test_rows_are_all_numbers_of_the_report_in_its_order(report):
    rows = list(iterate_rows(report))
    groups = list(dict.fromkeys(row.group for row in rows))
    no_rows = ["verdict", "scattering_scales"]
    assert groups == [group for group in report if group not in no_rows]
    counts = {group: sum(row.group == group for row in rows) for group in groups}
    singles = {name: 1 for name in groups if name not in ("distribution", "scattering")}
    assert counts == singles | {
        "distribution": 6,
        "extremes": 4,
        "scattering": 4,
        "distances": 10,
        "correlation_ranges": 2,  # l = 1 to 3 and 4 to 11
        "power_spectrum_bins": len(report["power_spectrum_bins"]),
    }
    by_name = {row.name: row for row in rows}
    assert by_name["skewness"].values == report["distribution"]["skewness"]
    range = report["correlation_ranges"][1]
    expected = range["correlation"] | {"chance": range["chance"]}
    assert by_name["correlation, l = 4 to 11"].values == expected
    assert [row.name for row in rows if "chance" in row.values] == [
        "correlation, l = 1 to 3",
        "correlation, l = 4 to 11",
    ]
    assert by_name["C_l ratio, l = 2"].values == report["power_spectrum_bins"][0]["ratio"]
    assert by_name["S4 relative error"].values == report["scattering"]["S4"]
    gain = by_name["improvement of S1 on the start, percent"].values
    assert gain == {"synthesized": report["scattering_improvement_pct"]}
    distances = [row.values for row in rows if row.group == "distances"]
    assert distances == list(report["distances"].values())


def test_without_a_start_there_is_no_improvement(report):
    without = {key: value for key, value in report.items() if "improvement" not in key}
    assert list(iterate_rows(without)) == list(iterate_rows(report))[:-1]


def test_finite_or_none_reaches_every_level():
    tree = {"a": [1.0, float("nan"), {"b": float("inf")}], "c": 3, "d": "text"}
    assert finite_or_none(tree) == {"a": [1.0, None, {"b": None}], "c": 3, "d": "text"}
