"""Whether new maps are new or copy the original, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxscat.validation.line import Line, listed
from jaxscat.validation.rows import format_multipoles
from jaxscat.validation.verdict import is_aligned, strength

# Of correlations that cannot be told from chance those beyond so many times are named: chance alone
# has them once in eighty.
_LARGE = 2.5

Ranges = Sequence[Mapping[str, Any]]


def novelty_line(
    copies: Ranges, count: int, *, pixel_correlation: float | None = None, crowded: str = ""
) -> Line:
    """Say whether new maps are new, or copy the original at some scales.

    Args:
        copies: result of `copy_test`.
        count: number of maps.
        pixel_correlation: correlation of a map with the original over all pixels, the mean.
        crowded: why large scales may be copied although the test cannot tell, in words.
    """
    if pixel_correlation is not None and abs(pixel_correlation) > 0.999:
        sign = " with the sign reversed" if pixel_correlation < 0 else ""
        return Line("New or copy", "bad", f"the original itself{sign}.")
    copied = [part for part in copies if part["copied"]]
    aligned = [part for part in copies if is_aligned(part)]
    if copied:
        reverse = " with the sign reversed" if all(part["mean"] < 0 for part in copied) else ""
        where = listed([f"{format_multipoles(part)} ({part['mean']:+.2f})" for part in copied])
        text = f"a copy{reverse} at {where}, by the correlation with the original."
        return Line("New or copy", "bad", text)
    if aligned:
        where = listed(
            [
                f"{format_multipoles(part)} ({strength(part['rms'])}, {part['rms']:.2f})"
                for part in aligned
            ]
        )
        text = f"new only in sign: apart from the sign, the maps follow the original at {where}."
        return Line("New or copy", "bad", text)
    open_ = [part for part in copies if part["copied"] is None]
    free = [part for part in copies if part["copied"] is False]
    if not free:
        return Line("New or copy", "uncertain", "too few modes or maps to tell.")
    if not open_:
        return Line("New or copy", "good", "new: no copy at any scale.")
    correlations = listed([f"{part['mean']:+.2f}" for part in open_ if part["mean"] is not None])
    found = f" (correlation {correlations})" if correlations else ""
    maps = "one map cannot" if count == 1 else f"{count} maps cannot"
    told = f"no copy at {_span(free)}; {maps} tell at {_span(open_)}{found}"
    if crowded:
        text = f"likely a copy of large scales: {crowded}. Measured: {told}."
        return Line("New or copy", "uncertain", text)
    large = [part for part in open_ if _is_large(part)]
    if large:
        text = f"new as far as it can be told: {told}, more than 2.5 times what chance gives there."
        return Line("New or copy", "uncertain", text)
    return Line("New or copy", "good", f"new: {told}.")


def _is_large(part: Mapping[str, Any]) -> bool:
    """Return whether a correlation that cannot be told from chance is large all the same."""
    mean, chance = part.get("mean"), part.get("by_chance")
    return mean is not None and chance is not None and abs(mean) > _LARGE * chance


def _span(parts: Ranges) -> str:
    """Name the multipoles of ranges, joined where they follow one another."""
    joined: list[dict[str, int]] = []
    for part in parts:
        if joined and joined[-1]["l_max"] + 1 == part["l_min"]:
            joined[-1]["l_max"] = part["l_max"]
        else:
            joined.append({"l_min": part["l_min"], "l_max": part["l_max"]})
    return listed([format_multipoles(part) for part in joined])
