import copy
import io

import numpy as np
from rich.console import Console

from jaxscat.synthesis.results import Progress
from jaxscat.terminal import (
    ProgressBar,
    ProgressLines,
    ensemble_table,
    independence,
    observer_for,
    outcome_table,
    result_tables,
    validation_table,
)
from jaxscat.validation.ensemble import ensemble_report


def shown(table):
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    return console.file.getvalue()


def progress(step, maps=1):
    return Progress(
        step=step,
        max_steps=100,
        loss=12.345,
        evaluations=step,
        seconds=step / 4,
        best=11.0,
        worst=13.5,
        finished=step * maps // 100,
        maps=maps,
    )


REPORT = {
    "distribution": {
        "mean": {"original": 1.0, "start": 1.5, "gaussian": 1.25, "synthesized": 1.125},
        "skewness": {"original": 2.0, "start": 0.0, "gaussian": 0.0, "synthesized": None},
    },
    "pixel_correlation": {"start": 0.01, "gaussian": 0.02, "synthesized": 0.03},
    "power_spectrum_ratio": {"start": 3.0, "gaussian": 1.01, "synthesized": 0.99},
    "power_spectrum_bins": [
        {
            "l_min": 2,
            "l_max": low_high,
            "ratio": dict.fromkeys(("start", "gaussian", "synthesized"), 0.5),
            "correlation": dict.fromkeys(("start", "gaussian", "synthesized"), -0.25),
        }
        for low_high in (2, 5)
    ],
    "scattering": {"S1": {"start": 0.9, "gaussian": 0.2, "synthesized": 0.001}},
    "scattering_error": {"start": 0.8, "gaussian": 0.1, "synthesized": 0.002},
    "scattering_improvement_pct": 99.75,
}


def test_validation_table_has_every_row_and_number():
    text = shown(validation_table(REPORT, title="a map"))
    for word in (
        "a map", "Gaussian control", "1.125", "none", "+0.0300", "0.9900", "l = 2 ", "l = 2 to 5",
        "-0.250", "S1 relative error", "0.00100", "0.00200", "99.750",
    ):  # fmt: skip
        assert word in text


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
    found = cells(ensemble_table(ensemble(), title="two maps"))
    # Of two numbers a distance d apart: scatter d / sqrt(2), the band from 0.16 d to 0.84 d.
    assert found["mean"] == ["1", "1.25", "2.125", "1.4142", "1.445 to 2.805"]
    assert found["pixel correlation"] == [
        "", "+0.0200", "-0.2200", "0.3536", "-0.3900 to -0.0500"
    ]  # fmt: skip
    assert found["skewness"] == ["2.0000", "0.0000", "none", "none", "none to none"]
    assert found["correlation, l = 2 to 5"][1:4] == ["-0.250", "-0.250", "0.000"]
    assert found["its improvement on the start [%]"][:3] == ["", "", "99.750"]
    assert list(found) == list(cells(validation_table(REPORT, title="")))


def test_tables_have_a_line_between_pixels_spectra_and_scattering():
    for table in (validation_table(REPORT, title=""), ensemble_table(ensemble(), title="")):
        names = list(table.columns[0].cells)
        ends = [name for name, row in zip(names, table.rows, strict=True) if row.end_section]
        assert ends == ["pixel correlation", "correlation, l = 2 to 5"]


def test_independence_is_told_by_the_largest_correlations():
    assert independence(ensemble()) == (
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


def test_lines_are_sparse_and_always_have_the_last_step():
    console = Console(file=io.StringIO())
    with ProgressLines(console, every_seconds=1000.0) as observer:
        observer.stage("synthesizing seed 1")
        for step in range(10, 101, 10):
            observer.step(progress(step))
    lines = console.file.getvalue().splitlines()
    assert lines == [
        "synthesizing seed 1",
        "  step 10/100  loss 12.35  4.0 steps/s",
        "  step 100/100  loss 12.35  4.0 steps/s",
    ]


def test_lines_of_many_maps_say_losses_speed_and_time_left():
    console = Console(file=io.StringIO())
    with ProgressLines(console) as observer:
        observer.step(progress(0, maps=4))
        observer.step(progress(100, maps=4))
    assert console.file.getvalue().splitlines() == [
        "  step 0/100  0/4 maps done  loss best/median/worst 11 / 12.35 / 13.5  0 maps/min  ? left",
        "  step 100/100  4/4 maps done  loss best/median/worst 11 / 12.35 / 13.5  "
        "9.6 maps/min  0:00 left",
    ]


def test_lines_tell_of_a_long_building_only():
    written = []
    for seconds in (1000.0, 0.0):
        console = Console(file=io.StringIO())
        with ProgressLines(console, every_seconds=seconds) as observer:
            observer.stage("building the wavelets")
            observer.building(1, 4)
            observer.building(4, 4)
        written.append(console.file.getvalue().splitlines()[1:])
    assert written == [[], ["  25% of the pixels", "  100% of the pixels"]]


def test_bar_shows_stages_loss_and_speed():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with ProgressBar(console) as observer:
        observer.stage("building the wavelets")
        observer.building(3, 6)
        observer.stage("synthesizing seed 1")
        observer.step(progress(50))
    text = console.file.getvalue()
    for word in ("building the wavelets", "synthesizing seed 1", "50/100", "12.35", "4.0 steps/s"):
        assert word in text


def test_observer_suits_the_console():
    assert isinstance(observer_for(Console(file=io.StringIO())), ProgressLines)
    assert isinstance(observer_for(Console(file=io.StringIO(), force_terminal=True)), ProgressBar)
