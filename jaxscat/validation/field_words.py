"""What the validation of several fields together has shown, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxscat.fields.pairs import pair_name
from jaxscat.validation.fields import FieldsValidation
from jaxscat.validation.rows import format_multipoles
from jaxscat.validation.verdict import (
    SEPARATED,
    classify_distances,
    describe_alignment,
    is_aligned,
)

# Bins of lower multipoles have too few modes to be significant.
_LOWEST_MULTIPOLE = 9
# A smaller share of the variance beyond the last multipole is not worth a sentence.
_BEYOND = 0.001
_TEXTURES = ("S3", "S3P", "S4")

Entry = Mapping[str, Any]


def describe_fields(validation: FieldsValidation) -> list[str]:
    """Say in a few plain sentences whether new maps of several fields are new and alike.

    They are on copies; on textures and on distances that are in no loss, beside Gaussian controls
    with the same spectra; on power and correlations; and on what was not imposed.

    Args:
        validation: from `validate_fields`.

    Source: `docs/conventions.md`, "Validation" and "Ensembles".
    """
    content = validation.as_json()
    sentences = [
        _copies(content),
        _textures(content),
        _distances(content),
        _spectra(content),
        _not_imposed(content),
    ]
    return [sentence for sentence in sentences if sentence]


def _copies(content: Entry) -> str:
    """Say whether a field is a copy, with the field and the range that are nearest to one."""
    tests = [
        (field, test)
        for field, one in content["fields"].items()
        for test in one["copies"]
        if test["l_min"] <= content["lmax"]
    ]
    copied = [
        f"{field} at {format_multipoles(test)} ({test['mean']:+.2f})"
        for field, test in tests
        if test["copied"]
    ]
    told = [(field, test) for field, test in tests if test["copied"] is False]
    unclear = [test for _, test in tests if test["copied"] is None]
    aligned = [
        f"{field} at {describe_alignment(test)}" for field, test in tests if is_aligned(test)
    ]
    follows = f" Up to their sign, new maps follow the original: {_join(aligned)}."
    follows = follows if aligned else ""
    if copied:
        text = f"The new maps copy the original in {_join(copied)}."
    elif told:
        field, worst = max(told, key=lambda one: abs(one[1]["mean"]))
        text = (
            "No field is a copy: where it can be told, the largest mean correlation with the "
            f"original is {abs(worst['mean']):.2g} ({field}, {format_multipoles(worst)}; by chance "
            f"{worst['by_chance']:.2g})."
        )
    else:
        text = (
            "There are too few modes or too few seeds to tell copies of the original from others."
        )
        return text + follows
    if unclear:
        where = dict.fromkeys(format_multipoles(test) for test in unclear)
        text += f" At {_join(where)} there are too few modes or too few seeds to tell."
    return text + follows


def _textures(content: Entry) -> str:
    """Say in which S3 and S4 the new maps are nearer to the original than Gaussian controls."""
    rows = [
        (f"{_group(row['name'])} of {name}{_exchanged(row['name'])}", row)
        for name, row in _coherences(content)
        if row["name"] in _TEXTURES and row["imposed"]
    ]
    rows = [(name, row) for name, row in rows if None not in (row["separation"], row["texture"])]
    if not rows:
        return "There are too few Gaussian controls to compare the textures with."
    seen = {name: row["separation"] for name, row in rows if row["texture"] > SEPARATED}
    if not seen:
        return (
            "In S3 and S4 the original is no farther from Gaussian skies with its spectra than "
            "these are from one another: it has no texture that could be told from theirs."
        )
    nearer = {name: apart for name, apart in seen.items() if apart > SEPARATED}
    text = (
        f"In {_part(len(seen), len(rows))} groups of S3 and S4 the original is no Gaussian sky. In "
        f"{_of(len(nearer), len(seen))} the new maps are nearer to it than Gaussian controls with "
        "the same spectra"
    )
    if nearer:
        least, most = (choose(nearer, key=lambda name: nearer[name]) for choose in (min, max))
        span = f"{nearer[least]:.0f} ({least})"
        span += "" if least == most else f" to {nearer[most]:.0f} ({most})"
        text += f", by {span} times the standard deviation of the controls"
    text += "."
    alike = [name for name, apart in seen.items() if abs(apart) <= SEPARATED]
    worse = [name for name, row in rows if row["separation"] < -SEPARATED]
    if nearer and alike:
        text += f" Not told apart from them: {_join(alike)}."
    if worse:
        text += f" Farther than they are: {_join(worse)}."
    return text


def _distances(content: Entry) -> str:
    """Say in how many distances that are in no loss each field is nearer than its controls."""
    nearer, worse = [], []
    for field, one in content["fields"].items():
        quantities = one["quantities"]
        if one["beyond_lmax"] is not None:  # power where the original has none is told apart
            quantities = [entry for entry in quantities if not entry["name"].startswith("C_l")]
        found = classify_distances(quantities)
        total = sum(map(len, found.values()))
        if total:
            nearer.append(f"{field} in {len(found['nearer'])} of {total}")
        worse += [f"{entry['name'].split(',')[0]} of {field}" for entry in found["farther"]]
    if not nearer:
        return ""
    text = (
        "In distances that are in no loss (histogram, topology, peaks, ...) new maps are nearer to "
        "the original than the controls of every kind, by more than three times the scatter "
        f"(standard deviation) of these: {_join(nearer)}"
    )
    return f"{text}; farther in {_join(worse)}." if worse else f"{text}, and farther in none."


def _spectra(content: Entry) -> str:
    """Say how near power and imposed correlations are, in bins that have enough modes."""
    parts, first = [], 0
    for field, one in content["fields"].items():
        chosen = significant_bins(one["power"], content["lmax"])
        away = [abs(bin["mean"] - 1.0) for bin in chosen if bin["mean"] is not None]
        if away:
            first = chosen[0]["l_min"]
            parts.append(f"{_percent(max(away))} ({pair_name((field, field))})")
    if not parts:
        return ""
    text = f"From l = {first} on, the power in every bin is within {_join(parts)} of the original's"
    near = []
    for name, one in content["pairs"].items():
        known = _known(one["correlation"], content["lmax"])
        if known and _has_imposed_power(content, name):
            away = max(abs(bin["mean"] - bin["original"]) for bin in known)
            near.append(f"{away:.2g} ({name})")
    text += f", the correlation of fields within {_join(near)}." if near else "."
    beyond = {
        field: one["beyond_lmax"]["mean"]
        for field, one in content["fields"].items()
        if one["beyond_lmax"] and (one["beyond_lmax"]["mean"] or 0) > _BEYOND
    }
    if beyond:
        shares = _join(f"{_percent(share)} ({field})" for field, share in beyond.items())
        text += f" Beyond l = {content['lmax']} new maps have {shares} of their variance."
    return text


def _not_imposed(content: Entry) -> str:
    """Say what was not imposed, and what of it the new maps and the original have."""
    names = [pair_name((field, field)) for field in content["fields"]]
    left = [name for name in [*names, *content["pairs"]] if name not in content["imposed"]]
    even = [
        name
        for name in content["pairs"]
        if name not in left and not _has_imposed_power(content, name)
    ]
    parts = [f"The target has no {_join(left, 'or')}."] if left else []
    if content["parity"] == "even":
        listed = f"{_join(even)} of the power, and " if even else ""
        parts.append(
            f"Not imposed (parity = “even”): {listed}all handedness of textures, which a mirror "
            "changes."
        )
    seen = []
    for name in [name for name in content["pairs"] if name in [*left, *even]]:
        known = _known(content["pairs"][name]["correlation"], content["lmax"])
        if known:
            new, old = (max(abs(bin[key]) for bin in known) for key in ("mean", "original"))
            seen.append(f"{new:.2g} in {name} (the original {old:.2g})")
    if seen:
        one = next(iter(content["pairs"].values()))
        first = _known(one["correlation"], content["lmax"])
        since = f"From l = {first[0]['l_min']} on, correlations" if first else "Correlations"
        parts.append(f"{since} of the new maps reach {_join(seen)} in a bin.")
    return " ".join(parts)


def _coherences(content: Entry) -> Iterable[tuple[str, Entry]]:
    for field, one in content["fields"].items():
        yield from ((field, row) for row in one["coherence"])
    for name, one in content["pairs"].items():
        yield from ((name, row) for row in one["coherence"])


def _group(name: str) -> str:
    return "S3" if name == "S3P" else name


def _exchanged(name: str) -> str:
    return " (fields exchanged)" if name == "S3P" else ""


def significant_bins(bins: Sequence[Any], lmax: int) -> list[Any]:
    """Return the bins up to a last multipole that have enough modes; all if none has.

    Args:
        bins: entries with the multipoles `l_min` and `l_max`.
        lmax: last multipole.
    """
    inside = [bin for bin in bins if bin["l_min"] <= lmax]
    return [bin for bin in inside if bin["l_min"] >= _LOWEST_MULTIPOLE] or inside


def _known(bins: Sequence[Entry], lmax: int) -> list[Entry]:
    """Return the bins of a correlation that have enough modes, where it is defined."""
    chosen = significant_bins(bins, lmax)
    return [bin for bin in chosen if None not in (bin["mean"], bin["original"])]


def _has_imposed_power(content: Entry, name: str) -> bool:
    (row,) = [row for row in content["pairs"][name]["coherence"] if row["name"] == "S2"]
    return is_power_imposed(row)


def is_power_imposed(row: Entry) -> bool:
    """Return whether the common power of two fields was in the target, from the row of S2.

    An even part of S2 that is odd as a whole has no power: orientations differ by it only.
    """
    return row["imposed"] and not ("even" in row["compared"] and row["parity"] == "odd")


def _part(count: int, total: int) -> str:
    return f"all {total}" if count == total else f"{count} of {total}"


def _of(count: int, total: int) -> str:
    return "all of these" if count == total else f"{count or 'none'} of these"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %" if fraction < 1 else f"{100 * fraction:.0f} %"


def _join(parts: Iterable[str], word: str = "and") -> str:
    listed = list(parts)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} {word} {listed[-1]}"
