"""How much memory the operator tables take, known before they are built."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxscat.operators.spec import PyramidSpec

# Most pixels that one stencil row touches, and that touch one pixel, for every size of kernel;
# measured over nside 1 to 128 and 1 to 8 orientations.
_WIDTHS = {3: (23, 26), 5: (55, 57), 7: (94, 96)}

# Linux only.
_MEMORY_FIGURES = Path("/proc/meminfo")


def table_bytes(spec: PyramidSpec) -> int:
    """Return about how many bytes the tables of a pyramid take, in plain integers.

    A few percent too many at nside 64 and more, too few for small pyramids.

    Source: measured widths of the tables; `docs/conventions.md`, "Memory".
    """
    real = np.dtype(spec.dtype).itemsize
    entry = 4 + 2 * spec.orientations * real
    finest = spec.npix * (4 if spec.upsampled else 1)
    total = 0
    for j in range(spec.scales):
        rows = (finest >> 2 * j) // spec.sectors
        total += rows * sum(_WIDTHS[spec.kernel_size]) * entry
        total += (rows // 4) * 20 * (4 + 4 * real)
    return total


def available_bytes() -> int | None:
    """Return how many bytes of this machine's memory are free, or None where it does not tell."""
    try:
        lines = _MEMORY_FIGURES.read_text().splitlines()
    except OSError:
        return None
    figures = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    # What the system can make free counts too: file caches are no use of memory.
    return int(figures["MemAvailable"][0]) * 1024 if "MemAvailable" in figures else None


def require(needed: int, what: str) -> None:
    """Refuse work whose tables cannot fit; where free memory is unknown, nothing is refused.

    Raises:
        ValueError: less is free than `needed` and what building takes beside it.
    """
    free = available_bytes()
    if free is not None and 2 * needed > free:
        raise ValueError(
            f"{what}: its tables take {needed / 2**30:.1f} GiB and building them up to twice "
            f"that, but {free / 2**30:.1f} GiB are free; take a smaller nside or fewer orientations"
        )
