"""All settings of a config, with their kinds, defaults and meanings, as the config classes say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jaxscat.run.config import Config
from jaxscat.run.config_types import Kind

# What limits are called in the metadata of pydantic, and in words.
_LIMITS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


@dataclass(frozen=True)
class Setting:
    """One setting of a config.

    Attributes:
        section, key: its place, `[section]` and `key =`.
        kind: what it may be, in words.
        choices: the values that it may have, if they are few, else empty.
        default: the value that it has where a config does not say; None if it is then unset.
        meaning: what it does, in one or two sentences.
    """

    section: str
    key: str
    kind: str
    choices: tuple[str | int, ...]
    default: Any
    meaning: str

    @property
    def name(self) -> str:
        """The name by which messages and the command line know it."""
        return f"{self.section}.{self.key}"


def list_settings() -> list[Setting]:
    """List the settings of all sections, in the order of the sections and their entries."""
    return [
        _describe(section, key, field)
        for section, model in _sections()
        for key, field in model.model_fields.items()
    ]


def describe_sections() -> dict[str, str]:
    """Return what each section is about, in one or a few sentences, by its name."""
    return {section: " ".join((model.__doc__ or "").split()) for section, model in _sections()}


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for section, field in Config.model_fields.items():
        model = field.annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        yield section, model


def _describe(section: str, key: str, field: FieldInfo) -> Setting:
    kind = next((part.words for part in field.metadata if isinstance(part, Kind)), None)
    return Setting(
        section,
        key,
        kind or _kind_of(field.annotation) + _limits(field.metadata),
        tuple(_choices_of(field.annotation)),
        field.get_default(),
        " ".join((field.description or "").split()),
    )


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the plain types and the `Annotated` ones that an entry may have, but None."""
    if get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _parts(option)
    elif annotation is not type(None):
        yield annotation


def _kind_of(annotation: Any) -> str:
    return " or ".join(dict.fromkeys(map(_kind_of_part, _parts(annotation))))


def _kind_of_part(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        plain, *metadata = get_args(annotation)
        words = next((part.words for part in metadata if isinstance(part, Kind)), None)
        return words or _kind_of(plain) + _limits(metadata)
    if origin is Literal:
        return "choice"
    if origin is tuple:
        of = get_args(annotation)[0]
        return "list of choices" if get_origin(of) is Literal else f"list of {_kind_of(of)}"
    names: dict[Any, str] = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        str: "text",
    }
    return names[annotation]


def _limits(metadata: list[Any]) -> str:
    """Return what is said of the least and the largest value, as " from 0 to 90"."""
    found = ""
    for part in metadata:
        for name, word in _LIMITS.items():
            limit = getattr(part, name, None)
            if limit is not None and limit < float("inf"):
                found += f" {word} {limit:g}"
    return found


def _choices_of(annotation: Any) -> Iterator[str | int]:
    for part in _parts(annotation):
        origin = get_origin(part)
        if origin is Literal:
            yield from get_args(part)
        elif origin in (Annotated, tuple):
            yield from _choices_of(get_args(part)[0])
