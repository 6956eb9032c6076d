"""What the names of columns and tables say: Stokes parameters, hits, pixel numbers, frames."""

from __future__ import annotations

import re
from collections.abc import Sequence

_STOKES = {
    "I": r"I|T|TEMP|TEMPERATURE|INTENSITY|I_?STOKES|STOKES_?I|I_?MEAN|T_?MEAN",
    "Q": r"Q|Q_?STOKES|STOKES_?Q|Q_?POL(ARI[SZ]ATION)?|POL(ARI[SZ]ATION)?_?Q|Q_?MEAN",
    "U": r"U|U_?STOKES|STOKES_?U|U_?POL(ARI[SZ]ATION)?|POL(ARI[SZ]ATION)?_?U|U_?MEAN",
}
_ODD_IN_U = re.compile(r"[ITQ]_?U(_?COV(AR(IANCE)?)?)?")
_NUMBERED = re.compile(r"((COLUMN|COL|FIELD|MAP)?_*\d+)?")
_HITS = {
    "HITS",
    "HIT",
    "NHITS",
    "NHIT",
    "N_HITS",
    "N_HIT",
    "N_OBS",
    "NOBS",
    "HITCOUNT",
    "HIT_COUNT",
}
PIXEL = "PIXEL"
_FRAMES = {
    "G": ("G", "GALACTIC", "GAL"),
    "C": ("C", "Q", "CELESTIAL", "EQUATORIAL", "ICRS", "J2000"),
    "E": ("E", "ECLIPTIC", "ECL"),
}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def stokes_of(name: str) -> str | None:
    """Return the Stokes parameter "I", "Q" or "U" that a column of this name holds, or None."""
    plain = _plain(name)
    return next((key for key, form in _STOKES.items() if re.fullmatch(form, plain)), None)


def is_odd_in_u(name: str) -> bool:
    """Return whether a column changes its sign with U: U itself, its covariance with I or Q."""
    return stokes_of(name) == "U" or _ODD_IN_U.fullmatch(_plain(name)) is not None


def are_numbered(names: Sequence[str]) -> bool:
    """Return whether columns are told apart by numbers at most, as COLUMN_1 or without names."""
    return all(_NUMBERED.fullmatch(_plain(name)) for name in names)


def is_hits(name: str) -> bool:
    """Return whether a column of this name counts the observations of every pixel."""
    return _plain(name) in _HITS


def read_frame(stated: object) -> str | None:
    """Return "G" (galactic), "C" (celestial, equatorial) or "E" (ecliptic) of COORDSYS, or None."""
    word = str(stated).strip().upper()
    return next((frame for frame, names in _FRAMES.items() if word in names), None)
