"""Types of the entries of a config, and what they say of values that they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from jaxscat.fields.seeds import MAX_SEEDS


@dataclass(frozen=True)
class Kind:
    """What an entry may be, in words for people, where its type does not say enough."""

    words: str


def _power_of_two(value: int) -> int:
    if value < 1 or value & (value - 1):
        raise ValueError("a power of two: 1, 2, 4, 8, ...")
    return value


def _thresholds(value: Any) -> Any:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not given or any(type(part) not in (int, float) or not 0 <= part < inf for part in given):
        raise ValueError("a number from 0 up or a list of one for every scale")
    return given if isinstance(value, list | tuple) else value


def _column(value: Any) -> Any:
    if (type(value) is int and value >= 0) or isinstance(value, str) or value is None:
        return value
    raise ValueError("one column, table or variable, by its number from 0 or by its name")


def _place(value: Any) -> Any:
    if value is None or (
        isinstance(value, dict)
        and all(type(place) is int or isinstance(place, str) for place in value.values())
    ):
        return value
    raise ValueError("a table of dimensions with a number from 0 or a coordinate, as {time = 0}")


def _one_nan(value: float) -> float:
    return nan if isnan(value) else value  # the same object, so that equal configs are equal


def _counted(value: Any) -> Any:
    if type(value) is int and not 1 <= value <= MAX_SEEDS:
        raise ValueError(f"a list of seeds, or a number of them from 1 up to {MAX_SEEDS}")
    return tuple(range(value)) if type(value) is int else value


Nside = Annotated[int, AfterValidator(_power_of_two), Kind("power of two")]
Column = Annotated[int | str | None, BeforeValidator(_column), Kind("name, or number from 0")]
BadData = Annotated[float, AfterValidator(_one_nan)]
Select = Annotated[
    dict[str, int | str] | None, BeforeValidator(_place), Kind("table, as {time = 0}")
]
Threshold = Annotated[
    float | tuple[float, ...],
    BeforeValidator(_thresholds),
    Kind("number from 0, or a list of one for every scale"),
]
Seed = Annotated[int, Field(ge=0, lt=2**32), Kind("whole number from 0")]
Seeds = Annotated[
    tuple[Seed, ...],
    BeforeValidator(_counted),
    Field(min_length=1, strict=False),
    Kind("list of whole numbers from 0, or how many (3 for 0, 1, 2)"),
]
FileName = Annotated[str, Kind("path of a file")]
Source = Annotated[str, Kind("name of a dataset, or path of a file")]


class Section(BaseModel):
    """A table of a config: no unknown keys, no conversions, no changes.

    What stands below an entry is its meaning, in one or two sentences (see `list_settings`).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )
