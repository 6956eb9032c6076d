import io

from rich.console import Console

from jaxscat.synthesis.results import Progress
from jaxscat.terminal import (
    ProgressBar,
    ProgressLines,
    observer_for,
    outcome_table,
    validation_table,
)


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


def test_outcome_table_names_status_and_losses():
    row = {
        "seed": 1234,
        "status": "step limit",
        "nsteps": 300,
        "evaluations": 307,
        "start_loss": 208.43,
        "final_loss": None,
        "compile_seconds": 8.04,
        "run_seconds": 3.0,
    }
    text = shown(outcome_table([row]))
    for word in ("1234", "step limit", "300", "307", "208.43", "none", "8.0"):
        assert word in text


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
