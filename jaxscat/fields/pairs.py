"""Fields of one sky and pairs of them: their order, their names, and how a mirror changes them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxscat.maps import describe

Pair = tuple[str, str]  # a field with itself, or two fields

# Fields that come first, in this order; others follow by name.
_ORDER = ("I", "T", "E", "B", "Q", "U", "V")
# Those that a mirror image of the sky has with the other sign.
ODD_FIELDS = frozenset({"B", "U", "V"})


def order_fields(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of fields in their order: I, T, E, B, Q, U, V, then all others by name."""
    rank = {name: place for place, name in enumerate(_ORDER)}
    return tuple(sorted(names, key=lambda name: (rank.get(name, len(_ORDER)), name)))


def check_fields(maps: Any, name: str = "maps") -> tuple[str, ...]:
    """Return the names of the fields of a dictionary of maps, in their order.

    Raises:
        ValueError: no dictionary, an empty one, or a name that is no text or has a blank.
    """
    if not isinstance(maps, Mapping) or not maps:
        raise ValueError(
            f"{name}: got {describe(maps)}, expected a dictionary of maps by field such as "
            "{'T': t, 'E': e, 'B': b}"
        )
    for field in maps:
        if not isinstance(field, str) or not field or field.split() != [field]:
            raise ValueError(
                f"{name}: got the field {field!r}, expected a name without blanks such as 'T'"
            )
    return order_fields(maps)


def pair_name(pair: Pair) -> str:
    """Return the name of a pair: "TE" for ("T", "E"), and "dust x cmb" for longer names."""
    first, second = pair
    return first + second if len(first) == len(second) == 1 else f"{first} x {second}"


def all_pairs(fields: Sequence[str]) -> tuple[Pair, ...]:
    """Return every field with itself, then every two fields: TT, EE, BB, TE, TB, EB."""
    return (*((field, field) for field in fields), *combinations(fields, 2))


def check_pairs(pairs: Any, fields: Sequence[str]) -> tuple[Pair, ...]:
    """Return pairs of fields, given by their names or as tuples; None stands for all.

    Args:
        pairs: such as `["TT", "EE", "TE"]` or `[("dust", "cmb")]`.
        fields: names of the fields that there are.

    Raises:
        ValueError: no pairs, one of unknown fields, or one that is named twice (in either order).
    """
    if pairs is None:
        return all_pairs(fields)
    named = {pair_name((one, other)): (one, other) for one in fields for other in fields}
    expected = f"expected names such as {', '.join(map(pair_name, all_pairs(fields)))}"
    if isinstance(pairs, str) or not isinstance(pairs, Iterable) or not (listed := list(pairs)):
        raise ValueError(f"pairs: got {pairs!r}, {expected} in a list")
    found: list[Pair] = []
    for given in listed:
        pair = given if isinstance(given, str) else tuple(given) if _is_two(given) else None
        pair = named.get(pair) if isinstance(pair, str) else pair
        if pair is None or pair not in named.values():
            raise ValueError(f"pairs: got {given!r}, {expected} of the fields {', '.join(fields)}")
        if pair in found or pair[::-1] in found:
            raise ValueError(f"pairs: got {pair_name(pair)} twice (in one order or the other)")
        found.append(pair)
    return tuple(found)


def _is_two(given: Any) -> bool:
    return isinstance(given, Sequence) and len(given) == 2


def changes_sign(pair: Pair, group: str) -> bool:
    """Return whether a mirror image of the sky changes the sign of a group of a pair.

    A modulus never does; a map, a wavelet coefficient of it or a product of such does once for
    every odd field in it.

    Args:
        pair: of fields.
        group: "S0" to "S4", or "S3P".

    Source: `docs/polarization.md`, "Parity".
    """
    first, second = (field in ODD_FIELDS for field in pair)
    if group == "S4":
        return False
    if group in ("S3", "S3P"):
        return first if group == "S3" else second
    if pair[0] == pair[1]:
        return group == "S0" and first
    return first != second


def check_parity(parity: Any, fields: Sequence[str]) -> None:
    """Refuse a parity that is neither "all" nor "even", or "even" for fields of unknown parity.

    Raises:
        ValueError: it is another, or a field has another name than I, T, E, B, Q, U and V.
    """
    if not isinstance(parity, str) or parity not in ("all", "even"):
        raise ValueError(f"parity: got {parity!r}, expected one of ['all', 'even']")
    unknown = [field for field in fields if field not in _ORDER]
    if parity == "even" and unknown:
        raise ValueError(
            f"parity: got 'even' for the field {unknown[0]!r}, of which a mirror image is not "
            f"known, expected fields among {', '.join(_ORDER)}"
        )


def common_spectra(
    fields: Sequence[str], pairs: Iterable[Pair] | None, parity: str
) -> Bool[np.ndarray, "f f"]:
    """Return which fields have a cross spectrum with which: those of given pairs, or all.

    Args:
        fields: their names.
        pairs: of which spectra count; None for all. Power spectra always do.
        parity: "even" for none that a mirror changes.
    """
    found = np.eye(len(fields), dtype=bool)
    for i, one in enumerate(fields):
        for j, other in enumerate(fields):
            named = pairs is None or (one, other) in pairs or (other, one) in pairs
            odd = (one in ODD_FIELDS) != (other in ODD_FIELDS)
            found[i, j] |= named and not (parity == "even" and odd)
    return found
