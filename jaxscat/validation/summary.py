"""The verdict on new maps in three or four lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxscat.validation.ending import Ending, synthesis_line
from jaxscat.validation.ensemble import copy_test
from jaxscat.validation.histogram_words import values_line
from jaxscat.validation.line import Line, capital, mean_of
from jaxscat.validation.novelty import novelty_line
from jaxscat.validation.rows import format_multipoles
from jaxscat.validation.texture_words import texture_line

# More coefficients for each pixel of a grid than that bind a map to the original there. The default
# has up to 1.9 at nside 256; FOSCAT's 3.7 at nside 32, where copies were found.
_CROWDED = 3


@dataclass(frozen=True)
class VerdictContext:
    """What is known of new maps beside their validation.

    Attributes:
        imposed: number of scales, from the finest, at which S3 and S4 are held; None if unknown.
        gaussianized: whether the histogram is imposed (`synthesis.gaussianize`).
        transform: the transform of the data (`data.transform`); None if there are no settings.
        form: how maps are written in unknowns (`synthesis.form`); None if there are no settings.
        endings: how the synthesis of each map has ended; empty if unknown.
    """

    imposed: int | None = None
    gaussianized: bool = False
    transform: str | None = None
    form: str | None = None
    endings: Sequence[Ending] = field(default=())


def verdict_lines(
    reports: Sequence[Mapping[str, Any]], context: VerdictContext | None = None
) -> list[Line]:
    """Return the verdict on one or more new maps: new or a copy, its texture, what is wrong.

    Args:
        reports: what `validate` found of each map.
        context: what else is known; with endings there is a fourth line, on the synthesis.

    Returns:
        the lines, each with its mark "good", "uncertain" or "bad".

    Source: `docs/conventions.md`, "Verdict".
    """
    known = context or VerdictContext()
    pixels = mean_of([report["pixel_correlation"] for report in reports])
    lines = [
        novelty_line(
            copy_test(reports),
            len(reports),
            pixel_correlation=pixels,
            crowded=_crowded(reports, known),
        ),
        texture_line(reports, known.imposed),
        values_line(
            reports,
            gaussianized=known.gaussianized,
            transform=known.transform,
            form=known.form,
        ),
    ]
    if known.endings:
        ending = synthesis_line(known.endings)
        if ending.mark == "bad":
            lines = [_of_an_unfinished_map(line) for line in lines]
        lines.append(ending)
    return [line._replace(text=capital(line.text)) for line in lines]


def _of_an_unfinished_map(line: Line) -> Line:
    """Return a line without the mark "good", which more steps may still change."""
    return line._replace(mark="uncertain") if line.mark == "good" else line


def _crowded(reports: Sequence[Mapping[str, Any]], known: VerdictContext) -> str:
    """Say that more coefficients are held than a coarse grid has pixels; empty if it is not so."""
    if known.imposed is None:
        return ""
    scales = reports[0]["scattering_scales"][: known.imposed]
    crowded = [
        scale for scale in scales if scale["coefficients"] > _CROWDED * 12 * scale["nside"] ** 2
    ]
    if not crowded:
        return ""
    first = crowded[0]
    pixels, held = 12 * first["nside"] ** 2, first["coefficients"]
    where = format_multipoles(reports[0]["correlation_ranges"][0])
    return (
        f"S3 and S4 are held down to nside {crowded[-1]['nside']} ({held} numbers for the {pixels} "
        f"pixels of nside {first['nside']}), which can make copies there (the largest "
        f"correlation of one at {where} is {_largest(reports):+.2f}); raise "
        "`target.coarsest_nside`, or make more seeds to tell"
    )


def _largest(reports: Sequence[Mapping[str, Any]]) -> float:
    """Return the largest correlation of a map with the original at the largest scales."""
    rows = [report["correlation_ranges"][0]["correlation"] for report in reports]
    return max((mean_of([row]) for row in rows), key=abs)
