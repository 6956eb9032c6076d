import io

from rich.console import Console

from jaxscat.cli.progress import COMPILING, ProgressBar, ProgressLines, show_progress
from jaxscat.progress import Progress


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


def test_lines_are_sparse_and_always_have_the_last_step():
    console = Console(file=io.StringIO())
    with ProgressLines(console, every_seconds=1000.0) as observer:
        observer.stage("synthesizing seed 1")
        observer.compiling()
        for step in range(10, 101, 10):
            observer.step(progress(step))
    lines = console.file.getvalue().splitlines()
    assert lines == [
        "synthesizing seed 1",
        "  compiling, or loading what was compiled before",
        "  step 10/100  loss 12.35  4.0 steps/s",
        "  step 100/100  loss 12.35  4.0 steps/s",
    ]


def test_lines_of_many_maps_say_losses_speed_and_time_left():
    console = Console(file=io.StringIO())
    with ProgressLines(console) as observer:
        observer.step(progress(0, maps=4))
        observer.step(progress(100, maps=4))
    assert console.file.getvalue().splitlines() == [
        "  step 0/100 of 4 maps  0/4 maps done  loss best/median/worst 11 / 12.35 / 13.5  "
        "0 maps/min  ? left",
        "  step 100/100 of 4 maps  4/4 maps done  loss best/median/worst 11 / 12.35 / 13.5  "
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
    assert written == [[], ["  25% done", "  100% done"]]


def test_bar_shows_stages_loss_and_speed():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with ProgressBar(console) as observer:
        observer.stage("building the wavelets")
        observer.building(3, 6)
        observer.stage("measuring the map")
        observer.compiling()
        observer.stage("synthesizing seed 1")
        observer.compiling()
        observer._progress.refresh()
        assert COMPILING in console.file.getvalue()
        observer.step(progress(50))
        console.file.seek(0)
        console.file.truncate()
    text = console.file.getvalue()
    for word in ("building the wavelets", "synthesizing seed 1", "50/100", "12.35", "4.0 steps/s"):
        assert word in text
    assert COMPILING not in text


def test_observer_suits_the_console():
    assert isinstance(show_progress(Console(file=io.StringIO())), ProgressLines)
    assert isinstance(show_progress(Console(file=io.StringIO(), force_terminal=True)), ProgressBar)
