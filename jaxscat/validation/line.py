"""A line of a verdict: what was asked, how it stands, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

Mark = Literal["good", "uncertain", "bad"]

# Beyond its tolerance a quantity may be off; beyond this multiple of it (three standard deviations
# where the tolerance is two) it is.
OFF = 1.5


class Line(NamedTuple):
    """A line of a verdict.

    Attributes:
        name: what was asked, in a word or two.
        mark: "good", "bad", or "uncertain" where it cannot be told or holds in part.
        text: the answer in plain words.
    """

    name: str
    mark: Mark
    text: str

    def as_json(self) -> dict[str, str]:
        """Return the line as an entry of JSON files."""
        return self._asdict()


def mean_of(rows: Sequence[Mapping[str, Any]], column: str = "synthesized") -> float:
    """Return the mean over maps of a column of a row of their reports; NaN if undefined."""
    values = [row.get(column) for row in rows]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else np.nan


def excess(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return a distance in units of its tolerance, the mean over maps; NaN if undefined."""
    tolerance = mean_of(rows, "tolerance")
    return mean_of(rows) / tolerance if tolerance > 0 else np.nan


def told_apart(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether Gaussian controls of every kind are beyond the tolerance of a distance."""
    means = [mean_of(rows[:1], kind) for kind in ("gaussian", "filtered") if kind in rows[0]]
    return bool(means) and all(mean > mean_of(rows[:1], "tolerance") for mean in means)


def worst(marks: Sequence[Mark]) -> Mark:
    """Return the worst of some marks; good if there are none."""
    if "bad" in marks:
        return "bad"
    return "uncertain" if "uncertain" in marks else "good"


def listed(parts: Sequence[str]) -> str:
    """Join parts as a sentence does: "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def capital(text: str) -> str:
    """Begin a sentence with a capital letter."""
    return text[:1].upper() + text[1:]
