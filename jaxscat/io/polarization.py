"""I, Q and U among maps with names: their scalar fields T, E and B, and their names in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.degrade import degrade_scalar
from jaxscat.harmonics.polarization import ITERATIONS, eb_from_qu
from jaxscat.io.column_names import stokes_of
from jaxscat.io.units import same_unit
from jaxscat.maps import is_integer, npix_to_nside


def temperature_and_eb(
    maps: Mapping[str, Float[np.ndarray, " p"]],
    coverage: Float[np.ndarray, " p"],
    lmax: int | None,
    *,
    name: str,
) -> dict[str, Float[np.ndarray, " p"]]:
    """Return "T" (if there is I), "E" and "B" of maps by name, as `Sky.teb`."""
    places = find_stokes_parameters(maps, name)
    nside = npix_to_nside(coverage.size)
    whole = is_integer(lmax) and 2 <= int(lmax or 0) <= 3 * nside - 1
    if lmax is not None and not whole:
        raise ValueError(
            f"lmax: got {lmax!r}, expected a whole number from 2 to {3 * nside - 1} (3 nside - 1)"
        )
    lacking = int(np.count_nonzero(coverage < 1))
    if lacking:
        raise ValueError(
            f"{name}: got {lacking} of {coverage.size} pixels without data or with a part of them, "
            "expected the whole sky: E and B of a cut sky mix. Fill these pixels first, or take Q "
            f"and U as scalar fields: maps[{places['Q']!r}] and maps[{places['U']!r}]"
        )
    lmax = 2 * nside if lmax is None else int(lmax)
    e, b = eb_from_qu(maps[places["Q"]], maps[places["U"]], lmax=lmax)
    fields = {"E": e, "B": b}
    if "I" in places:
        intensity = maps[places["I"]]
        t = degrade_scalar(intensity, nside, lmax=lmax, iterations=ITERATIONS)
        fields = {"T": t} | fields
    return fields


def find_stokes_parameters(names: Iterable[str], what: str) -> dict[str, str]:
    """Return the names of "I" (if there is one), "Q" and "U" among the names of maps.

    Raises ValueError, which begins with `what`, if Q or U is not there, or one of the three is
    there several times.
    """
    found = {letter: [key for key in names if stokes_of(key) == letter] for letter in "IQU"}
    if len(found["Q"]) != 1 or len(found["U"]) != 1 or len(found["I"]) > 1:
        lacking = [letter for letter in "QU" if not found[letter]]
        said = ", but not both Q and U" if len(lacking) == 2 else f", but no {''.join(lacking)}"
        said = said if lacking else ""
        raise ValueError(
            f"{what}: got the maps {', '.join(names)}{said}, expected one Q and one U, and one I "
            "at most"
        )
    return {letter: keys[0] for letter, keys in found.items() if keys}


def name_stokes_columns(names: Iterable[str], units: Mapping[str, str | None]) -> dict[str, str]:
    """Return the name of every map in a file of polarization, with I, Q and U in front.

    Raises ValueError for other maps than one Q, one U and at most one I, and for different units
    of them.
    """
    names = list(names)
    places = find_stokes_parameters(names, "maps")
    for one, other in combinations(places.values(), 2):
        if not same_unit(units.get(one), units.get(other)):
            raise ValueError(
                f"units: got {units.get(one)!r} for {one} and {units.get(other)!r} for {other}, "
                "expected one unit of I, Q and U"
            )
    columns = {key: f"{letter}_STOKES" for letter, key in places.items()}
    return columns | {key: key for key in names if key not in columns}
