"""Warnings of a run, kept for its report while they are shown as ever."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Of the machine rather than of the maps.
_ELSEWHERE = "compilation cache"


@contextmanager
def keep_warnings() -> Iterator[list[str]]:
    """Collect the texts of warnings about data and estimates, each once, and show them as before.

    Yields a list that grows with every warning.
    """
    kept: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *place: Any) -> None:
            text = str(message)
            if category is UserWarning and _ELSEWHERE not in text and text not in kept:
                kept.append(text)
            show(message, category, *place)

        warnings.showwarning = keep
        yield kept
