"""A command has the fields of a dataclass as its arguments and options."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from jaxscat.cli.options import with_options


@dataclass(frozen=True)
class Options:
    source: Annotated[str, typer.Argument(help="Where from.")]
    output: Annotated[str, typer.Option("--output", "-o")]
    scales: Annotated[int | None, typer.Option(help="Number of scales.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False


def invoke(*words):
    app, seen = typer.Typer(), []

    @app.command()
    @with_options(Options)
    def command(options: Options) -> None:
        """Do something."""
        seen.append(options)

    return CliRunner().invoke(app, words), seen


def test_options_arrive_as_one():
    result, seen = invoke("a", "-o", "b", "--scales", "3", "--overwrite")
    assert result.exit_code == 0 and seen == [Options("a", "b", 3, True)]
    result, seen = invoke("a", "--output", "b")
    assert result.exit_code == 0 and seen == [Options("a", "b")]


def test_fields_without_a_default_are_required():
    for words in (["a"], ["-o", "b"], ["a", "-o", "b", "--scales", "many"]):
        result, seen = invoke(*words)
        assert result.exit_code == 2 and seen == []


def test_help_is_that_of_the_fields():
    shown = invoke("--help")[0].output
    for words in ("Do something.", "Usage", "Where from.", "Number of scales.", "--overwrite"):
        assert words in shown
