"""The verdict of a validation: whether maps copy the original, or are no better than Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxscat.validation.rows import format_multipoles

# Significance threshold of a separation, in standard deviations of the controls.
SEPARATED = 3.0


def copy_verdict(ranges: Sequence[Mapping[str, Any]]) -> str:
    """Write one or two sentences on the result of `copy_test`."""
    copied = [part for part in ranges if part["copied"]]
    unclear = [part for part in ranges if part["copied"] is None]
    sentences = []
    if copied:
        where = ", ".join(f"{format_multipoles(part)} ({part['mean']:+.2f})" for part in copied)
        sentences.append(f"The new maps copy the original at {where}.")
    elif len(unclear) < len(ranges):
        sentences.append(
            "Where it can be told, the maps are no copies: correlations with the original are "
            "within three times what chance gives, or below 0.1."
        )
    if unclear:
        where = ", ".join(format_multipoles(part) for part in unclear)
        sentences.append(f"At {where} there are too few modes or too few seeds to tell.")
    aligned = [describe_alignment(part) for part in ranges if is_aligned(part)]
    if aligned:
        where = ", ".join(aligned)
        sentences.append(f"Up to their sign, the new maps are like the original at {where}.")
    return " ".join(sentences)


def is_aligned(part: Mapping[str, Any]) -> bool:
    """Return whether maps follow the original up to their sign, and are no copies beside that."""
    return bool(part["aligned"]) and not part["copied"]


def describe_alignment(part: Mapping[str, Any]) -> str:
    """Return the range of `copy_test` with the size of the correlation, whatever its sign."""
    return (
        f"{format_multipoles(part)} ({strength(part['rms'])}: root mean square correlation "
        f"{part['rms']:.2f}, by chance {part['chance']:.2f})"
    )


def strength(correlation: float) -> str:
    """Return how alike two maps are, by the magnitude of their correlation."""
    if abs(correlation) >= 0.8:
        return "nearly the same"
    return "in good part" if abs(correlation) >= 0.4 else "a little"


def classify_distances(
    quantities: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Classify distances (see `quantity_scatter`) by comparison with the Gaussian controls.

    `nearer`: nearer to the original than the controls of every kind, by more than three standard
    deviations of a control; `farther`: farther than the controls of some kind, by as much;
    `alike`: the others. Distances without a separation are omitted.
    """
    found: dict[str, list[Mapping[str, Any]]] = {"nearer": [], "farther": [], "alike": []}
    for entry in quantities:
        apart = list((entry.get("separation") or {}).values())
        if not apart or None in apart:
            continue
        if min(apart) > SEPARATED:
            found["nearer"].append(entry)
        elif min(apart) < -SEPARATED:
            found["farther"].append(entry)
        else:
            found["alike"].append(entry)
    return found
