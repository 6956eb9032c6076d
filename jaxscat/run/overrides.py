"""Settings from the command line, and messages about settings that cannot be used."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from jaxscat.reasons import one_line

# A config has tables of tables and lists of numbers: three levels.
_DEEPEST = 8
_LONGEST, _LONGEST_TEXT, _MOST_PROBLEMS = 80, 800, 8


class ConfigError(ValueError):
    """A config that cannot be used; the message says where, what came and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, 4000))


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML into nested dictionaries.

    Raises `ConfigError` for what is no TOML, and for nesting or numbers that no config has and that
    Python cannot show.
    """
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise ConfigError("it is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise ConfigError(one_line(str(error).split("; use sys.")[0], _LONGEST_TEXT)) from None
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise ConfigError(f"it is nested more than {_DEEPEST} deep")
    return tree


def parse_overrides(words: Sequence[str]) -> dict[str, list[str]]:
    """Sort command-line words `--section.key value ...` (or `--section.key=value`) by key.

    Raises `ConfigError` for a word that belongs to no key, for one that is no text in UTF-8 and for
    a key without a value.
    """
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            location, separator, value = word[2:].partition("=")
            current = found[location] = [value] if separator else []
        elif current is None:
            raise ConfigError(f"unexpected {word!r}; expected --section.key value")
        else:
            current.append(word)
    for location, values in found.items():
        if not values:
            raise ConfigError(f"--{location} has no value; expected --{location} value")
        for value in values:
            # Names of files may hold such bytes, but config.toml can not.
            if value.encode(errors="replace").decode() != value:
                raise ConfigError(f"--{location}: got {value!r}, expected text in UTF-8")
    return found


def override_entry(
    tree: dict[str, Any], location: str, words: Sequence[str], config: type[BaseModel]
) -> None:
    """Set one entry of the tree of a config from its command-line words, read by its type.

    The words of a list are its entries, one word, too: `--synthesis.seeds 4` is the seed 4.

    `config` is the type of the config. Raises `ConfigError` for an unknown entry and for more words
    than it takes.
    """
    section, _, key = location.partition(".")
    if section in config.model_fields and not key:
        expected = f"expected --{section}.key value"
        raise ConfigError(f"--{location} is not a setting but a section; {expected}")
    if section not in config.model_fields:
        raise ConfigError(_describe_unknown(f"--{location}", section, list(config.model_fields)))
    model = config.model_fields[section].annotation
    assert isinstance(model, type) and issubclass(model, BaseModel)
    if key not in model.model_fields:
        raise ConfigError(_describe_unknown(f"--{location}", key, list(model.model_fields)))
    kinds = _find_kinds(model.model_fields[key].annotation)
    values = [_parse_word(word, kinds) for word in words]
    table = tree.setdefault(section, {})
    if not isinstance(table, dict):
        return  # the wrong type of the section itself is reported by the validation
    listed = tuple in kinds and kinds <= {tuple, type(None)}  # a list of one, too
    if tuple in kinds and (len(values) > 1 or (listed and values != [None])):
        table[key] = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    elif len(values) > 1:
        raise ConfigError(f"--{location} {' '.join(words)}: expected one value")
    elif values[0] is None:
        table.pop(key, None)
    else:
        table[key] = values[0]
        if key in ("path", "dataset"):  # of data or truth, one in place of the other
            table.pop("dataset" if key == "path" else "path", None)


def _find_kinds(annotation: Any) -> set[type]:
    """Return the plain types that an annotation accepts."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _find_kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return set().union(*(_find_kinds(option) for option in get_args(annotation)))
    if origin is Literal:
        return {type(option) for option in get_args(annotation)}
    return {origin or annotation}


def _parse_word(word: str, kinds: set[type]) -> Any:
    """Parse a word of the command line as a value of one of some types, or leave it as it is."""
    if type(None) in kinds and word.lower() == "none":
        return None
    if str in kinds and not (int in kinds and word.isdigit()):
        return word
    try:
        return parse_toml(f"value = {word}")["value"]
    except ConfigError:
        return word


def merge_alternatives(
    problems: Sequence[Mapping[str, Any]], tree: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Merge what pydantic says of every type that an entry may have into one problem of the entry.

    Its inner names for these types stand behind the entry's own in the location.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for problem in problems:
        parts: list[Any] = [*problem["loc"], None, None, None]
        section, key, kind = parts[:3]
        alternative = isinstance(kind, str)
        place = (section, key) if alternative else tuple(problem["loc"])
        if place not in merged:
            value = tree[section][key] if alternative else problem["input"]
            merged[place] = {**problem, "loc": place, "input": value}
        elif alternative:
            said = problem["msg"].removeprefix("Input should be ")
            if said not in merged[place]["msg"]:
                merged[place]["msg"] += f" or {said}"
    return list(merged.values())


def describe_problem(problem: Mapping[str, Any], config: type[BaseModel]) -> str:
    """Describe a problem that pydantic has found, as `section.key = value: expected ...`."""
    *parents, last = [one_line(str(part), _LONGEST_TEXT) for part in problem["loc"]] or ["config"]
    location = ".".join([*parents, last])
    if problem["type"] == "extra_forbidden":
        model: Any = config.model_fields[parents[0]].annotation if parents else config
        return _describe_unknown(location, last, list(model.model_fields))
    if problem["type"] == "missing":
        return f"{location} is missing"
    expected = one_line(problem["msg"], _LONGEST_TEXT)
    for opening in ("Input should be ", "Value error, ", "String should "):
        expected = expected.removeprefix(opening)
    whole = len(problem["loc"]) < 2 and isinstance(problem["input"], dict | BaseModel)
    if problem["type"] == "value_error" and whole:
        return f"expected {expected}"  # entries contradict each other
    if problem["type"] == "model_type":
        expected = f"a table [{location}]"
    return f"{location} = {_show(problem['input'])}: expected {expected}"


def describe_problems(problems: Sequence[Mapping[str, Any]], config: type[BaseModel]) -> str:
    """Describe all problems in one line, but not hundreds of them."""
    said = [describe_problem(problem, config) for problem in problems[:_MOST_PROBLEMS]]
    left = len(problems) - len(said)
    return "; ".join([*said, f"and {left} more of this kind"] if left else said)


def _show(value: object) -> str:
    """Write a value as Python does, but not thousands of characters."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _describe_unknown(location: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    if key == "output":
        hint = "the folder is the option --output, or runs/NAME by run.name"
    return f"{location} is not a setting; {hint}"
