"""The commands that settle the order of a file's pixels, for those who have to choose."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxscat.cli.console import BAD_INPUT, Commands, fail, show_line
from jaxscat.run.pixel_orders import UnknownOrder


class _OrderToChoose(Exception):
    """Ends a command; the group of commands, which knows the words, says by which others."""

    def __init__(self, error: UnknownOrder) -> None:
        super().__init__(str(error))
        self.option = error.option


class CommandsWithWords(Commands):
    """A group of commands that know the words of the command line: the `obj` of their context."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words, and parse them."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; where it is left to choose an order, show the two that say it."""
        try:
            return super().invoke(ctx)
        except _OrderToChoose as choice:
            show_line(f"error: {choice}, by one of these:")
            for command in commands_with_orders(ctx.obj, choice.option):
                show_line(f"  {command}")
        fail("", BAD_INPUT)


@contextmanager
def orders_to_choose() -> Iterator[None]:
    """End the command, where the order of a file is not known, with the two that say it."""
    try:
        yield
    except UnknownOrder as error:
        raise _OrderToChoose(error) from None


def commands_with_orders(words: Sequence[str], option: str) -> list[str]:
    """Return a command twice, with either order of the pixels of a file."""
    flag = option if "." in option else option.replace("_", "-")
    return [f"{shlex.join(['jaxscat', *words])} --{flag} {order}" for order in ("RING", "NESTED")]
