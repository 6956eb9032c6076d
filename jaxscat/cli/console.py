"""Messages on the terminal, and errors in one line with an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

import jax
import typer
import typer.core
from rich.console import Console
from rich.table import Table

from jaxscat.cli.interrupts import INTERRUPTED as INTERRUPTED
from jaxscat.reasons import reason_of

BAD_INPUT, DIVERGED = 2, 1
_WARNED: set[str] = set()  # a command is one process


@contextmanager
def errors_in_one_line(interrupted: str = "interrupted; nothing is written") -> Iterator[None]:
    """End the command with one line for an error that its user can mend, or for an interrupt."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        fail("error: " + _describe(error), BAD_INPUT)
    except jax.errors.JaxRuntimeError as error:  # out of memory, mostly
        fail("error: JAX: " + reason_of(error), BAD_INPUT)
    except KeyboardInterrupt:
        fail(interrupted, INTERRUPTED)


def _describe(error: Exception) -> str:
    """Write an error in one line; one of the system as the file and what is wrong with it."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)!r}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


class Commands(typer.core.TyperGroup):
    """Commands whose wrong options are told in one line, as all bad input is."""

    def main(self, *arguments: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command and end the process with its exit code."""
        try:
            code = super().main(*arguments, standalone_mode=False, **options)
        except Exception as error:
            # Classes of click, of which typer may have a copy of its own.
            said, kind = getattr(error, "format_message", None), type(error).__name__
            if not standalone_mode or said is None:
                raise
            context = getattr(error, "ctx", None)
            if kind == "NoArgsIsHelpError" and context is not None:
                print(context.get_help())
                raise SystemExit(BAD_INPUT) from None
            command = "jaxscat" if context is None else context.command_path
            text = " ".join(f"{said()}".split()).removesuffix(".")
            show_line(f"error: {text} (see {command} --help)")
            raise SystemExit(BAD_INPUT) from None
        if not standalone_mode:
            return code
        raise SystemExit(code or 0)


class _Reader:
    """A stream whose reader may go away: a closed pipe or terminal takes no result with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or nothing once the reader is gone."""
        with self._perhaps_gone():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        with self._perhaps_gone():
            self._stream.flush()

    @contextmanager
    def _perhaps_gone(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            # What is in the buffer, or is written later, goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Open a console on which every text stands as it is: brackets and colons are no markup."""
    stream = sys.stderr if stderr else sys.stdout
    file: Any = None if stream is None else _Reader(stream)
    return Console(
        file=file, stderr=stderr, width=width, markup=False, emoji=False, highlight=False
    )


def error_console() -> Console:
    """Open the console of errors and progress."""
    return plain_console(stderr=True)


def print_table(table: Table) -> None:
    """Print a table."""
    console = plain_console()
    if not console.is_terminal:
        # A pipe has no width: rich would cut tables at 80 columns.
        console = plain_console(width=240)
    console.print(table)


def say(text: str) -> None:
    """Print a line."""
    plain_console().print(text, soft_wrap=True)


def fail(text: str, code: int) -> NoReturn:
    """Print a line on stderr, unless it is empty, and end the command with an exit code."""
    if text:
        show_line(text)
    raise typer.Exit(code)


def show_warning(message: Warning | str, *_: object) -> None:
    """Print a warning in one line, each once: the parts of a run may give the same one."""
    if (text := str(message)) not in _WARNED:
        _WARNED.add(text)
        show_line(f"warning: {text}")


def show_line(text: str) -> None:
    """Print a line on stderr."""
    error_console().print(text, soft_wrap=True)
