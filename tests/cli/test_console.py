import io
import os
import sys

import pytest
import typer
from rich.table import Table

from jaxscat.cli.console import (
    error_console,
    fail,
    print_table,
    say,
    show_warning,
)
from jaxscat.cli.progress import ProgressBar, ProgressLines
from jaxscat.datasets.download_bar import DownloadBar

NAMES = ["map[dust].npy", "p[/x].npy", "q:fire:.npy", "[bold]a[/bold]", "t$1_{a$.npy", "[red]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(capsys, name):
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    print_table(table)
    say(f"wrote {name}")
    show_warning(f"about {name}")
    with pytest.raises(typer.Exit):
        fail(f"error: {name}", 2)
    with ProgressLines(error_console()) as lines:
        lines.stage(f"reading {name}")
    shown = capsys.readouterr()
    assert shown.out.count(name) == 4
    assert shown.err.splitlines() == [
        f"warning: about {name}",
        f"error: {name}",
        f"reading {name}",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are_beside_a_bar(capsys, monkeypatch, name):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with ProgressBar(error_console()) as bar:
        bar.stage(f"reading {name}")
    with DownloadBar(name) as download:
        download.total = 10
    assert capsys.readouterr().err.count(name) >= 2


def test_a_reader_that_goes_away_takes_no_result_with_it(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        table = Table()
        table.add_row("a")
        print_table(table)
        say("b")


def test_a_terminal_that_is_closed_does_not_end_a_run(monkeypatch):
    """What follows its SIGHUP: nothing can be written to it any more."""
    primary, secondary = os.openpty()
    os.close(primary)
    with open(secondary, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with ProgressLines(error_console()) as lines:
            lines.stage("reading")
        show_warning("something")


def test_a_disk_that_is_full_is_an_error(monkeypatch):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"):
        say("a")


def test_a_warning_is_said_once(capsys):
    for _ in range(2):
        show_warning(UserWarning("nside 4 left out, where nothing is left"))
    assert capsys.readouterr().err == "warning: nside 4 left out, where nothing is left\n"
