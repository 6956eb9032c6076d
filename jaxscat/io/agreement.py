"""What files that are used together must have in common."""

from __future__ import annotations

import warnings

from jaxscat.io.units import read_temperature, same_unit


def check_same_frame(frame: str | None, other: str | None, what: str) -> None:
    """Check that maps are in one coordinate frame, as far as their files state it.

    Raises ValueError, which begins with `what` (of the other one), if they are not.
    """
    if None not in (frame, other) and frame != other:
        raise ValueError(
            f"{what} in the frame {other} (COORDSYS), expected {frame} as the map has; rotate one "
            "of them first"
        )


def check_same_unit(unit: str | None, other: str | None, what: str) -> None:
    """Check that two maps that are measured together are in one unit, as far as it is stated.

    Raises ValueError, which begins with `what` (of the other one), if both are temperatures in
    different units. Maps of different quantities can be measured together: a UserWarning says so.
    """
    if same_unit(unit, other) or unit is None or other is None:
        return
    said = f"{what} in {other!r} beside a map in {unit!r}"
    if read_temperature(unit) is not None and read_temperature(other) is not None:
        raise ValueError(f"{said}, expected one unit (unit = converts K, mK and uK)")
    warnings.warn(f"{said}: coefficients of both together mix these units", stacklevel=3)
