"""Options of a command as the fields of a dataclass."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import TypeVar, get_type_hints

Options = TypeVar("Options")


def with_options(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Give a command the fields of a dataclass as its arguments and options.

    Every field is `Annotated` with a `typer.Argument` or `typer.Option`; those without a default
    are required.
    """
    hints = get_type_hints(kind, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if field.default is dataclasses.MISSING
            else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    ]

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def command_with_options(**given: object) -> None:
            command(kind(**given))

        command_with_options.__signature__ = inspect.Signature(parameters)  # pyright: ignore
        command_with_options.__annotations__ = {part.name: part.annotation for part in parameters}
        return command_with_options

    return decorate
