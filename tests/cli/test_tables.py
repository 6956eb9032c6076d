import copy
import io

import numpy as np
from rich.console import Console

from jaxscat.cli.tables import (
    describe_copies,
    describe_independence,
    ensemble_table,
    outcome_table,
    result_tables,
    validation_table,
)
from jaxscat.validation.ensemble import copy_test, ensemble_report


def shown(table):
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


def values(value, control, scatter, **others):
    controls = {"gaussian": control, "gaussian_std": scatter}
    controls |= {"filtered": control, "filtered_std": scatter}
    return others | {"start": 0.5} | controls | {"synthesized": value}


REPORT = {
    "distribution": {
        "mean": values(1.125, 1.25, 1e-16, original=1.0),
        "skewness": values(None, 0.0, 0.25, original=2.0),
    },
    "pixel_correlation": values(0.03, 0.02, 0.01),
    "correlation_ranges": [
        {"l_min": 1, "l_max": 3, "chance": 0.25, "correlation": values(0.5, 0.0, 0.125)}
    ],
    "power_spectrum_ratio": values(0.99, 1.01, 0.03),
    "power_spectrum_bins": [
        {"l_min": 2, "l_max": last, "ratio": values(0.75, 0.5, 0.25)} for last in (2, 5)
    ],
    "distances": {
        "wasserstein": values(0.1, 0.5, 0.05),
        "peaks": values(0.1, None, None),
    },
    "scattering": {"S1": values(0.001, 0.2, 0.1)},
    "scattering_error": values(0.002, 0.1, 0.05),
    "scattering_improvement_pct": 99.75,
}


def test_validation_table_has_every_row_and_number():
    table = validation_table(REPORT, title="a map")
    assert [column.header for column in table.columns[1:]] == [
        "original", "start", "Gaussian controls", "filtered controls", "synthesized"
    ]  # fmt: skip
    assert "a map" in shown(table)
    assert list(cells(table).items()) == [
        ("mean", ["1", "0.5", "1.25", "1.25", "1.125"]),
        ("skewness", ["2.0000", "0.5000", "0.0000 ± 0.2500", "0.0000 ± 0.2500", "none"]),
        ("pixel correlation", ["", "+0.5000", *["+0.0200 ± 0.0100"] * 2, "+0.0300"]),
        (
            "correlation, l = 1 to 3 (chance 0.25)",
            ["", "+0.500", *["+0.000 ± 0.125"] * 2, "+0.500"],
        ),
        ("C_l ratio, mean over l >= 2", ["", "0.5000", *["1.0100 ± 0.0300"] * 2, "0.9900"]),
        ("C_l ratio, l = 2", ["", "0.5000", *["0.5000 ± 0.2500"] * 2, "0.7500"]),
        ("C_l ratio, l = 2 to 5", ["", "0.5000", *["0.5000 ± 0.2500"] * 2, "0.7500"]),
        ("Wasserstein distance, in std", ["", "0.5000", *["0.5000 ± 0.0500"] * 2, "0.1000"]),
        ("peaks, largest relative difference", ["", "0.5000", "none", "none", "0.1000"]),
        ("S1 relative error", ["", "0.50000", *["0.20000 ± 0.10000"] * 2, "0.00100"]),
        (
            "scattering coefficient error (S1, squared)",
            ["", "0.50000", *["0.10000 ± 0.05000"] * 2, "0.00200"],
        ),
        ("improvement of S1 on the start, percent", ["", "", "", "", "99.750"]),
    ]


def without_controls(report):
    """The report of a validation that has drawn none."""
    if isinstance(report, dict):
        return {
            name: without_controls(value)
            for name, value in report.items()
            if not name.startswith(("gaussian", "filtered"))
        }
    return [without_controls(part) for part in report] if isinstance(report, list) else report


def test_tables_of_a_validation_without_controls_have_no_columns_for_them():
    alone = without_controls(REPORT)
    headers = [column.header for column in validation_table(alone, title="").columns]
    assert headers == ["quantity", "original", "start", "synthesized"]
    together = ensemble_report([7, 3], [alone, alone], np.eye(3))
    headers = [column.header for column in ensemble_table(together, title="").columns]
    assert headers == ["quantity", "original", "mean", "scatter", "16 to 84 %"]
    assert cells(ensemble_table(together, title=""))["mean"][:2] == ["1", "1.125"]


ROW = {
    "seed": 1234,
    "status": "step limit",
    "nsteps": 300,
    "evaluations": 307,
    "start_loss": 208.43,
    "final_loss": None,
    "compile_seconds": 8.04,
    "run_seconds": 3.0,
}


def test_outcome_table_names_status_and_losses():
    text = shown(outcome_table([ROW]))
    for word in ("1234", "step limit", "300", "307", "208.43", "none", "8.0"):
        assert word in text


def ensemble():
    """Seeds 7 and 3, the second with a mean larger by 2 and a correlation smaller by 0.5."""
    other = copy.deepcopy(REPORT)
    other["distribution"]["mean"]["synthesized"] += 2.0
    other["pixel_correlation"]["synthesized"] -= 0.5
    matrix = np.array([[1.0, 0.03, -0.47], [0.03, 1.0, -0.123], [-0.47, -0.123, 1.0]])
    return ensemble_report([7, 3], [REPORT, other], matrix)


def cells(table):
    lines = [line.split("│")[1:-1] for line in shown(table).splitlines() if "│" in line]
    return {name.strip(): [cell.strip() for cell in rest] for name, *rest in lines}


def test_ensemble_table_has_mean_scatter_and_band_of_every_row():
    table = ensemble_table(ensemble(), title="two maps")
    assert [column.header for column in table.columns] == [
        "quantity", "original", "Gaussian controls", "filtered controls", "mean", "scatter",
        "16 to 84 %", "controls worse by",
    ]  # fmt: skip
    found = cells(table)
    # Of two numbers a distance d apart: scatter d / sqrt(2), the band from 0.16 d to 0.84 d.
    assert found["mean"] == ["1", "1.25", "1.25", "2.125", "1.4142", "1.445 to 2.805", ""]
    assert found["pixel correlation"] == [
        "", *["+0.0200 ± 0.0100"] * 2, "-0.2200", "0.3536", "-0.3900 to -0.0500", ""
    ]  # fmt: skip
    assert found["skewness"] == [
        "2.0000", *["0.0000 ± 0.2500"] * 2, "none", "none", "none to none", ""
    ]  # fmt: skip
    assert found["C_l ratio, l = 2 to 5"][3:5] == ["0.7500", "0.0000"]
    # Controls are (0.5 - 0.1) / 0.05 of their standard deviations farther away.
    assert found["Wasserstein distance, in std"][-1] == "8.0 / 8.0 std"
    assert found["peaks, largest relative difference"][-1] == ""
    assert found["improvement of S1 on the start, percent"][:4] == ["", "", "", "99.750"]
    assert list(found) == list(cells(validation_table(REPORT, title="")))


def test_tables_have_a_line_between_pixels_spectra_distances_and_scattering():
    for table in (validation_table(REPORT, title=""), ensemble_table(ensemble(), title="")):
        names = list(table.columns[0].cells)
        ends = [name for name, row in zip(names, table.rows, strict=True) if row.end_section]
        assert ends == [
            "correlation, l = 1 to 3 (chance 0.25)",
            "C_l ratio, l = 2 to 5",
            "peaks, largest relative difference",
        ]


def test_copies_are_told_range_by_range():
    ranges = copy_test([REPORT, REPORT])
    assert describe_copies(ranges) == (
        "correlation with the original: +0.50 (chance 0.18) at l = 1 to 3. "
        "At l = 1 to 3 there are too few modes or too few seeds to tell."
    )
    copied = {
        "l_min": 4,
        "l_max": 7,
        "mean": 0.9,
        "by_chance": 0.1,
        "copied": True,
        "aligned": True,
    }
    unknown = {
        "l_min": 8,
        "l_max": 9,
        "mean": None,
        "by_chance": None,
        "copied": None,
        "aligned": None,
    }
    assert describe_copies([*ranges, copied, unknown]) == (
        "correlation with the original: +0.50 (chance 0.18) at l = 1 to 3, "
        "+0.90 (chance 0.1) at l = 4 to 7, none (chance none) at l = 8 to 9. "
        "The new maps copy the original at l = 4 to 7 (+0.90). "
        "At l = 1 to 3, l = 8 to 9 there are too few modes or too few seeds to tell."
    )


def test_independence_is_told_by_the_largest_correlations():
    assert describe_independence(ensemble()) == (
        "largest |correlation| between two maps: 0.12 (seeds 7 and 3), "
        "with the original: 0.47 (seed 3)"
    )


def test_one_seed_has_its_validation_and_several_have_their_ensemble():
    one = {"data": "a map", "nside": 4, "seeds": [ROW | {"validation": REPORT}]}
    validation, outcome = map(shown, result_tables(one))
    assert "a map, nside 4, seed 1234" in validation and "99.750" in validation
    assert "208.43" in outcome
    rows = [ROW | {"validation": REPORT, "seed": seed} for seed in (7, 3)]
    several = one | {"seeds": rows, "ensemble": ensemble()}
    together, outcome = map(shown, result_tables(several))
    assert "a map, nside 4, 2 seeds" in together and "16 to 84 %" in together
    assert outcome.count("208.43") == 2
