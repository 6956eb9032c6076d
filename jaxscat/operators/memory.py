"""The memory of the operator tables, estimated before they are built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxscat.operators.rows import BLOCK
from jaxscat.operators.spec import PyramidSpec
from jaxscat.operators.table import DENSE_PIXELS, DENSE_PIXELS_OF_FACES
from jaxscat.operators.windows import BLOCKS_OF_A_GROUP

# Number of pixels that a block of a stencil reads, and of blocks that read a pixel, for every
# kernel size: of 1, 2 and 4 orientations, and the maximum of others up to 8. Measured at nside 8
# to 64.
_WIDTHS = {
    3: ((33, 9), (36, 10)),
    5: ((69, 19), (72, 19)),
    7: ((112, 30), (118, 31)),
}
# The same of downsampling.
_DOWNSAMPLING_WIDTHS = (64, 4)
# Number of shifts of face tables, which have kernels of 3 pixels only.
_SHIFTS, _DOWNSAMPLING_SHIFTS = 30, 36

# Linux only.
_MEMORY_FIGURES = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_PAGES = Path("/proc/self/statm")
# Version 1 has no word for it: the largest whole number of pages.
_UNLIMITED = 1 << 60
# Names of the limits, of what is used and of the file cache in it, by version of control groups.
_NAMES = {
    1: (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    2: (("memory.max", "memory.high"), "memory.current", "inactive_file"),
}


def table_bytes(spec: PyramidSpec) -> int:
    """Estimate the memory of the tables of a pyramid, in bytes.

    On the full sky the estimate is right within a tenth for 3 to 8 orientations, and higher for
    fewer.

    Source: measured widths of the tables; `docs/conventions.md`, "Memory".
    """
    real = np.dtype(spec.dtype).itemsize
    outputs = 2 * spec.orientations
    finest = spec.npix * (4 if spec.upsampled else 1)
    dense_pixels = DENSE_PIXELS_OF_FACES if spec.row_major else DENSE_PIXELS
    total = 0.0
    for j in range(spec.scales):
        pixels = finest >> 2 * j
        rows = pixels // spec.sectors
        if pixels <= dense_pixels:
            total += (outputs + 1 / 4) * real * pixels**2
        elif spec.row_major:
            # Rows of faces go on into the halo.
            wide = 1 + 6 / (spec.finest_nside >> j)
            total += rows * wide * real * (_SHIFTS * outputs + _DOWNSAMPLING_SHIFTS / 4)
        else:
            union, reads = _WIDTHS[spec.kernel_size][spec.orientations not in (1, 2, 4)]
            # Large stencils number what blocks read twice: among all rows, and in their window.
            indices = 2 if rows >= 2 * BLOCK * BLOCKS_OF_A_GROUP else 1
            total += rows * (union * (outputs * real + indices) + 4 * reads)
            union, reads = _DOWNSAMPLING_WIDTHS
            total += rows * (union * (real + 1) / 4 + 4 * reads)
    return int(total)


def available_bytes() -> int | None:
    """Return the memory that this process can still take in bytes, or None where it is unknown.

    It is what the machine has left, or less where a limit of a container or a batch system (a
    control group of Linux, version 1 or 2) or of the process itself (`ulimit -v`) leaves less.
    """
    found = [_machine_bytes(), *_group_bytes(), _process_bytes()]
    return min((free for free in found if free is not None), default=None)


def _machine_bytes() -> int | None:
    figures = _read_figures(_MEMORY_FIGURES)
    # MemAvailable rather than MemFree: file caches can be dropped.
    return figures["MemAvailable:"] * 1024 if "MemAvailable:" in figures else None


def _group_bytes() -> Iterator[int]:
    """Yield what every control group of this process leaves that has a limit."""
    for line in _read(_OWN_GROUPS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        version, root = (1, _GROUPS / "memory") if controllers else (2, _GROUPS)
        group = root / path.lstrip("/")
        # A container may see its own group at the root, under another path or none.
        for folder in (group, *group.parents):
            limits, used, cache = _NAMES[version]
            most = [_read(folder / name).strip() for name in limits]
            numbers = [int(limit) for limit in most if limit.isdecimal()]
            numbers = [limit for limit in numbers if limit < _UNLIMITED]
            taken = _read(folder / used).strip()
            if numbers and taken.isdecimal():
                dropped = _read_figures(folder / "memory.stat").get(cache, 0)
                yield max(0, min(numbers) - max(0, int(taken) - dropped))
            if folder == root:
                break


def _process_bytes() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit, pages = resource.getrlimit(resource.RLIMIT_AS)[0], _read(_OWN_PAGES).split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, limit - int(pages[0]) * resource.getpagesize())


def _read(path: Path) -> str:
    """Read a file of the system, empty where it has none."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_figures(path: Path) -> dict[str, int]:
    """Read the numbers of a file with a name and a number in every line."""
    lines = (line.split() for line in _read(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def require(spec: PyramidSpec) -> None:
    """Check that the tables of a pyramid fit into the available memory, where it is known.

    Raises:
        ValueError: less is available than twice their size, the peak while tables are built; the
            message says which nside, or how many pixels of a patch, would fit.
    """
    needed, free = table_bytes(spec), available_bytes()
    if free is not None and 2 * needed > free:
        raise ValueError(
            f"build_pyramid(nside={spec.nside}): its tables take {needed / 2**30:.1f} GiB and "
            f"building them up to twice that, but {free / 2**30:.1f} GiB are free; expected "
            f"{_describe_fitting(spec, free)}"
        )


def _describe_fitting(spec: PyramidSpec, free: int) -> str:
    """Say what would fit into some free bytes with the other arguments of a pyramid."""

    def fits(smaller: PyramidSpec) -> bool:
        return 2 * table_bytes(smaller) <= free

    if spec.cell_count is not None:
        # Nearly proportional to the number of pixels.
        count = spec.cell_count * free // (2 * table_bytes(spec))
        while count and not fits(dataclasses.replace(spec, cell_count=count)):
            count = count * 9 // 10
        most = f"a patch of at most {count} pixels, " if count else ""
        return f"{most}fewer orientations or a smaller kernel"
    smaller = spec
    while smaller.nside > 1:
        halved = smaller.nside // 2
        most = halved.bit_length() + spec.upsampled
        smaller = dataclasses.replace(spec, nside=halved, scales=min(spec.scales, most))
        if fits(smaller):
            return f"at most nside {halved}, fewer orientations or a smaller kernel"
    return "more memory: not even nside 1 fits"
