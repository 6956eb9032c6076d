"""One map as it stands in a file, and the rules by which its pixels have data or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from jaxscat.maps import unseen_pixels

_BLOCK = 1 << 18  # pixels at a time, so that nothing of the size of the map is made on the way


@dataclass
class Field:
    """One map of a file, NESTED, on the full sky of its own nside.

    Attributes:
        name: name of the column or variable in the file; empty where it has none.
        values: float64 [p], also where there are no data.
        missing: bool [p], the pixels that the file marks otherwise than by a value (TNULL, an
            undefined logical value, no hits) or does not list.
        kind: type of the numbers in the file ("float32", "int16", "bool", "scaled").
        unit: unit as it is written, or None.
        marks: numbers of the `missing` pixels, by how they are marked.
        unlisted: bool [p], the pixels that a partial-sky file does not list, or None.
        sentinel: the value that the file states for pixels without data, or None.
        frame: "G", "C", "E", or None.
        convention: polarization convention as stated, or None.
        stokes: the Stokes parameter "I", "Q" or "U", or None.
        odd_in_u: whether it changes its sign with U.
        beam: what the file says about a beam, by keyword.
        notes: what is unusual about the file, in sentences.
        order: order of the pixels in the file, "RING" or "NESTED"; None for a dataset.
        hdu: number of the table in a FITS file, or None.
    """

    name: str
    values: Float[np.ndarray, " p"]
    missing: Bool[np.ndarray, " p"]
    kind: str
    unit: str | None = None
    marks: dict[str, int] = field(default_factory=dict)
    unlisted: Bool[np.ndarray, " p"] | None = None
    sentinel: float | None = None
    frame: str | None = None
    convention: str | None = None
    stokes: str | None = None
    odd_in_u: bool = False
    beam: dict[str, str | int | float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    order: str | None = None
    hdu: int | None = None

    @property
    def nside(self) -> int:
        """The nside of the file."""
        return math.isqrt(self.values.size // 12)

    def take_values(self) -> Float[np.ndarray, " p"]:
        """Return the values and keep none of them, so that their memory can be freed."""
        values, self.values = self.values, np.zeros(0)
        return values


def mark_bad_pixels(one: Field, *, bad_data: float | None, name: str) -> None:
    """Add to the `missing` pixels of a field, and its `marks`, those whose value is no datum.

    Such are UNSEEN also when it was rounded, NaN, the `sentinel` of the file, and `bad_data`.

    Raises ValueError, which begins with `name`, for infinite values, and for NaN beside one of the
    other marks: one of the two is then a fault. A `bad_data` of NaN says that both are meant.
    """
    counts = dict.fromkeys(("NaN", "UNSEEN", f"BAD_DATA {one.sentinel}", f"bad_data {bad_data}"), 0)
    infinite = 0
    stated = {f"BAD_DATA {one.sentinel}": one.sentinel, f"bad_data {bad_data}": bad_data}
    for part in blocks(one.values.size):
        values, missing = one.values[part], one.missing[part]
        found = {"NaN": np.isnan(values), "UNSEEN": unseen_pixels(values)}
        for key, value in stated.items():
            if value is not None and not math.isnan(value):
                found[key] = np.abs(values - value) <= 1e-6 * abs(value)
        infinite += int((np.isinf(values) & ~missing).sum())
        for key, bad in found.items():
            counts[key] += int((bad & ~missing).sum())
            missing |= bad  # a view: `one.missing` changes
    if infinite:
        raise ValueError(
            f"{name}: got {infinite} of {one.values.size} pixels infinite, expected finite values"
        )
    one.marks = one.marks | {key: count for key, count in counts.items() if count}
    others = [key for key in one.marks if key.split()[0] in ("UNSEEN", "BAD_DATA", "bad_data")]
    if "NaN" in one.marks and others and not (bad_data is not None and math.isnan(bad_data)):
        raise ValueError(
            f"{name}: got {one.marks['NaN']} of {one.values.size} pixels NaN together with "
            f"{one.marks[others[0]]} {others[0]}, expected one mark of pixels without data; if "
            "both are meant, state bad_data = nan, otherwise mend the file"
        )


def blocks(size: int, unit: int = 1) -> Iterator[slice]:
    """Divide `size` elements into slices of about 2^18, each a multiple of `unit`."""
    step = max(_BLOCK // unit, 1) * unit
    for first in range(0, size, step):
        yield slice(first, min(first + step, size))


def listed_pixels(numbers: np.ndarray, listed: Bool[np.ndarray, " p"], *, name: str) -> np.ndarray:
    """Return pixel numbers [n] as integers and note them in `listed`.

    Raises ValueError, which begins with `name`, unless they are distinct whole numbers from 0 to
    the number of pixels less one, none of which was listed before.
    """
    expected = f"expected different whole numbers from 0 to {listed.size - 1}"
    with np.errstate(invalid="ignore"):
        places = numbers.astype(np.int64)
    wrong = (places != numbers) | (places < 0) | (places >= listed.size)
    if wrong.any():
        raise ValueError(f"{name}: got the pixel number {numbers[wrong][0]:.17g}, {expected}")
    already = listed[places]
    counts = np.unique(places, return_counts=True)
    if already.any() or (counts[1] > 1).any():
        twice = places[already][0] if already.any() else counts[0][counts[1] > 1][0]
        raise ValueError(f"{name}: got the pixel number {twice} more than once, {expected}")
    listed[places] = True
    return places
