"""Messages on the terminal, and errors in one line with an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import jax
import typer
from rich.console import Console
from rich.table import Table

BAD_INPUT, INTERRUPTED, DIVERGED = 2, 130, 1


@contextmanager
def errors_in_one_line(interrupted: str = "interrupted; nothing is written") -> Iterator[None]:
    """End the command with one line for an error that its user can mend, or for an interrupt."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        fail("error: " + " ".join(str(error).split()), BAD_INPUT)
    except jax.errors.JaxRuntimeError as error:  # out of memory, mostly
        fail("error: JAX: " + str(error).splitlines()[0], BAD_INPUT)
    except KeyboardInterrupt:
        fail(interrupted, INTERRUPTED)


def error_console() -> Console:
    """Open the console of errors and progress."""
    return Console(stderr=True)


def print_table(table: Table) -> None:
    """Print a table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a pipe has no width: rich would cut tables at 80 columns
    console.print(table)


def say(text: str) -> None:
    """Print a line."""
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def fail(text: str, code: int) -> NoReturn:
    """Print a line on stderr, unless it is empty, and end the command with an exit code."""
    if text:
        error_console().print(text, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def show_warning(message: Warning | str, *_: object) -> None:
    """Print a warning in one line."""
    print(f"warning: {message}", file=sys.stderr)
