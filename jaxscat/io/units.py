"""Units of temperature as astronomers write them, and the factors between them."""

from __future__ import annotations

import re
from typing import NamedTuple

_PREFIX = {
    "": 1.0,
    "m": 1e-3,
    "milli": 1e-3,
    "u": 1e-6,
    "mu": 1e-6,
    "micro": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
}
_KELVIN = re.compile(r"(micro|milli|mu|[muµμ])?-?(?:Kelvin|kelvin|K)(.*)")
_THERMODYNAMIC = re.compile(r"(cmb|thermo(dynamic)?|tcmb)", re.IGNORECASE)


class Temperature(NamedTuple):
    """A scale of temperature: Kelvin in its unit, and whether it is thermodynamic (CMB)."""

    kelvin: float
    cmb: bool


def read_temperature(unit: str) -> Temperature | None:
    """Return what a unit of temperature means, or None for any other unit.

    "K_CMB", "Kcmb", "K (CMB)", "mK,thermodynamic", "uK_CMB", "µKcmb" are thermodynamic; "K", "mK"
    and "uK" do not say which temperature they are. Powers and other kinds, as "uK_RJ", are None.
    """
    plain = unit.strip().replace("\\", "").replace(" ", "")
    found = _KELVIN.fullmatch(plain)
    if found is None:
        return None
    prefix, rest = found.groups()
    kind = re.sub(r"[_,.(){}\[\]-]", "", rest)
    if kind and not _THERMODYNAMIC.fullmatch(kind):
        return None
    return Temperature(_PREFIX[prefix or ""], bool(kind))


def same_unit(one: str | None, other: str | None) -> bool:
    """Return whether two units are the same however they are written, or one is not known."""
    if one is None or other is None or one == other:
        return True
    temperature = read_temperature(one)
    return temperature is not None and temperature == read_temperature(other)


def conversion_factor(stated: str | None, wanted: str, *, name: str) -> float:
    """Return the factor from the unit that a file states to a wanted one.

    Raises ValueError, which begins with "unit", where the file states none and where both are not
    temperatures of one kind, in K, mK or uK: nothing is guessed.
    """
    if stated is None:
        raise ValueError(
            f"unit: got {wanted!r}, but {name} does not state its unit, from which it could be "
            "converted"
        )
    if stated == wanted:
        return 1.0
    have, want = read_temperature(stated), read_temperature(wanted)
    if have is None or want is None or have.cmb != want.cmb:
        raise ValueError(
            f"unit: got {wanted!r}, but {name} is in {stated!r}; only K, mK and uK are converted, "
            "and CMB (thermodynamic) temperatures into such only"
        )
    return have.kelvin / want.kelvin
