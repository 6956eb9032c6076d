"""How much memory the operator tables take, known before they are built."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxscat.operators.pyramid import PyramidSpec

# Most pixels that one stencil row touches, and that touch one pixel, for a 3 x 3 kernel; measured
# over nside 1 to 128 and 1 to 8 orientations.
_STENCIL_WIDTH = 23
_TRANSPOSED_WIDTH = 26


def table_bytes(spec: PyramidSpec) -> int:
    """Return about how many bytes the tables of a pyramid take, in plain integers.

    A few percent too many at nside 64 and more, too few for small pyramids.

    Source: measured widths of the tables; `docs/conventions.md`, "Memory".
    """
    real = np.dtype(spec.dtype).itemsize
    entry = 4 + 2 * spec.orientations * real
    total = 0
    for j in range(spec.scales):
        rows = 12 * (spec.nside >> j) ** 2 // spec.sectors
        total += rows * (_STENCIL_WIDTH + _TRANSPOSED_WIDTH) * entry
        total += (rows // 4) * 20 * (4 + 4 * real)
    return total


def available_bytes() -> int:
    """Return how many bytes of this machine's memory are free for the host."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require(needed: int, what: str) -> None:
    """Refuse work whose tables cannot fit.

    Raises:
        ValueError: less is free than `needed` and what building takes beside it.
    """
    free = available_bytes()
    if 2 * needed > free:
        raise ValueError(
            f"{what}: its tables take {needed / 2**30:.1f} GiB and building them up to twice "
            f"that, but {free / 2**30:.1f} GiB are free; take a smaller nside or fewer orientations"
        )
