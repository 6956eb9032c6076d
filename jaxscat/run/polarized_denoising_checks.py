"""What the sections of a config must have in common for denoising E and B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxscat.reconstruction.field_term import check_unknown_pairs

if TYPE_CHECKING:
    from jaxscat.run.config import Config

UNKNOWN = ("E", "B")
_KINDS = ("white", "halves", "maps")
# Settings that only serve other tasks, with the only value that they may have, and why.
_OF_OTHER_TASKS: dict[tuple[str, str], tuple[Any, str]] = {
    ("polarization", "parity"): ("all", "data are not from a sky and its mirror image alike"),
    ("data", "field"): (None, "I, Q and U are found by their names"),
    ("data", "transform"): ("none", "Q and U are no scalars"),
    ("data", "unseen"): ("refuse", "E and B of a cut sky mix"),
    ("noise", "fields"): (None, "each of noise.paths has one realization, with Q and U"),
    ("reconstruction", "weights"): (None, "all pairs have the same share of the loss"),
    ("reconstruction", "levels"): (None, "the level of all pairs is one"),
    ("reconstruction", "template"): (None, "T is a template if it is in polarization.fields"),
}


def check_polarized_denoising(config: Config) -> None:
    """Check the fields, pairs and noise of polarized data, and settings that they cannot have.

    Raises:
        ValueError: they do not fit; the message says what is expected.
    """
    kind = f"task.kind = {config.task.kind!r}"
    fields = config.polarization.fields
    if set(fields) - {"T"} != set(UNKNOWN) or len(set(fields)) < len(fields):
        more = "; the intensity I is called T" if "I" in fields else ""
        raise ValueError(
            f"polarization.fields of E and B, with T (without noise) or without it, with {kind}, "
            f"not {list(fields)}{more}"
        )
    for (section, name), (only, reason) in _OF_OTHER_TASKS.items():
        if getattr(getattr(config, section), name) != only:
            expected = "unset" if only is None else f"= {only!r}"
            raise ValueError(f"{section}.{name} {expected} with {kind}: {reason}")
    known = dict.fromkeys(field for field in fields if field not in UNKNOWN)
    try:
        check_unknown_pairs(config.polarization.pairs, UNKNOWN, known)
    except ValueError as error:
        said = str(error).removeprefix("pairs: ")
        raise ValueError(f"polarization.pairs that fit ({said})") from None
    if config.noise.kind not in _KINDS:
        raise ValueError(
            f"noise.kind = 'white', 'halves' or 'maps' with {kind}, which says what the noise of Q "
            "and U is"
        )
    if config.noise.field is not None and config.noise.kind != "white":
        raise ValueError(
            f"noise.field only with noise.kind = 'white': Q and U are found by their names ({kind})"
        )
    if config.truth.field is not None:
        raise ValueError(f"truth.field unset with {kind}: Q and U are found by their names")
