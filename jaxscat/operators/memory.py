"""The memory of the operator tables, estimated before they are built."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxscat.operators.spec import PyramidSpec

# Maximum number of pixels in a stencil row, and of rows that contain a pixel, for every kernel
# size; measured over nside 1 to 128 and 1 to 8 orientations.
_WIDTHS = {3: (23, 26), 5: (55, 57), 7: (94, 96)}

# Linux only.
_MEMORY_FIGURES = Path("/proc/meminfo")


def table_bytes(spec: PyramidSpec) -> int:
    """Estimate the memory of the tables of a pyramid, in bytes.

    The estimate is a few percent too high from nside 64 up, and too low for small pyramids.

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
    """Return the available memory of this machine in bytes, or None where it is unknown."""
    try:
        lines = _MEMORY_FIGURES.read_text().splitlines()
    except OSError:
        return None
    figures = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    # MemAvailable rather than MemFree: file caches can be dropped.
    return int(figures["MemAvailable"][0]) * 1024 if "MemAvailable" in figures else None


def require(needed: int, what: str) -> None:
    """Check that tables fit into the available memory, where it is known.

    Raises:
        ValueError: less is available than twice `needed`, the peak while tables are built.
    """
    free = available_bytes()
    if free is not None and 2 * needed > free:
        raise ValueError(
            f"{what}: its tables take {needed / 2**30:.1f} GiB and building them up to twice "
            f"that, but {free / 2**30:.1f} GiB are free; take a smaller nside or fewer orientations"
        )
