"""The commands that settle the order of a file's pixels, for those who have to choose."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxscat.cli.console import BAD_INPUT, Commands, fail, show_line
from jaxscat.run.pixel_orders import UnknownOrder

_WORDS: list[str] = []  # a command is one process


class CommandsWithWords(Commands):
    """A group of commands that know the words of the command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words, and parse them."""
        _WORDS[:] = args
        return super().parse_args(ctx, args)


@contextmanager
def orders_to_choose() -> Iterator[None]:
    """End the command, where the order of a file is not known, with the two that say it."""
    try:
        yield
    except UnknownOrder as error:
        show_line(f"error: {error}, by one of these:")
        for command in commands_with_orders(_WORDS, error.option):
            show_line(f"  {command}")
        fail("", BAD_INPUT)


def commands_with_orders(words: Sequence[str], option: str) -> list[str]:
    """Return a command twice, with either order of the pixels of a file."""
    flag = option if "." in option else option.replace("_", "-")
    return [f"{shlex.join(['jaxscat', *words])} --{flag} {order}" for order in ("RING", "NESTED")]
