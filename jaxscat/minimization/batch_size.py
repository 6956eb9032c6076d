"""The number of lanes of a batch: as many as are wanted and as the memory of a device holds."""

from collections.abc import Callable
from functools import cache
from math import ceil, log

# Fraction of the free memory that a batch may take: the host needs some between two chunks.
_SHARE = 0.85
# The search for a larger batch ends when less than this fraction of the one that fits is to be won.
_CLOSE = 1 / 8
# Default: eight on a CPU, and as many pixels as this elsewhere, chosen by what the benchmark of
# seeds in `experiments/benchmarks` has measured (see `docs/performance.md`).
_LANES, _MAX_LANES, _PIXELS = 8, 64, 1 << 21


def default_lanes(platform: str, npix: int) -> int:
    """Return the default maximum number of lanes of a device.

    Args:
        platform: kind of the device: "cpu", "gpu" or "tpu".
        npix: number of parameters of a lane.

    Source: `docs/conventions.md`, "Batches and memory".
    """
    return _LANES if platform == "cpu" else max(_LANES, min(_MAX_LANES, _PIXELS // npix))


def choose_batch(
    wanted: int, free: int | None, bytes_of: Callable[[int], int | None], *, asked: int | None
) -> int:
    """Return the number of lanes of each device: the wanted number, or the largest that fits.

    The step is compiled for the wanted number, and for others only where that does not fit.

    Args:
        wanted: number of lanes on each device.
        free: number of free bytes on each device, None if it is not known.
        bytes_of: bytes that a number of lanes takes on each device, from the compiled step; None
            if the compiler does not say.
        asked: the number that the caller has asked for, at least the wanted one, which is refused
            if it does not fit; None takes a smaller one instead.

    Raises:
        ValueError: what was asked for does not fit, or not even one lane does.

    Source: `docs/conventions.md`, "Batches and memory".
    """
    bytes_of = cache(bytes_of)
    needed = bytes_of(wanted)
    if free is None or needed is None:
        return wanted
    limit = int(_SHARE * free)
    size = _largest(wanted, limit, bytes_of, closely=asked is not None)
    if size == wanted or (size > 0 and asked is None):
        return size
    takes = f"{_mebibytes(needed)} on each device, where {_mebibytes(limit)} can be used"
    if size == 0:
        raise ValueError(
            f"pyramid: not even one map fits: {wanted} at once take {takes}; expected "
            f"{_describe_fitting(bytes_of(1), limit)}, fewer corrections (memory), or with "
            "coupled=True fewer seeds"
        )
    raise ValueError(
        f"batch_size: got {asked}, but {wanted} maps take {takes}; expected at most {size}"
    )


def _largest(wanted: int, limit: int, bytes_of: Callable[[int], int | None], closely: bool) -> int:
    """Return the largest number found, at most the wanted one, that takes no more than a limit.

    It is even, or one: odd numbers may have no groups of two maps (see `group_size`). `closely`
    looks for the very largest, odd or even.
    """
    fits, over = 1, wanted
    sizes = {over: bytes_of(over) or 0}
    if sizes[over] <= limit:
        return over
    sizes[fits] = bytes_of(fits) or 0
    if sizes[fits] > limit:
        return 0
    straight = True
    apart = 0 if closely else _CLOSE
    while (least := fits + 2 - fits % 2) < over and over - fits > apart * fits:
        # By turns on a straight line through both, and in the middle.
        slope = (over - fits) / (sizes[over] - sizes[fits])
        guess = int(fits + slope * (limit - sizes[fits])) if straight else (fits + over) // 2
        size = min(max(guess - guess % 2, least), over - 2 + over % 2)
        sizes[size] = bytes_of(size) or 0
        fits, over = (size, over) if sizes[size] <= limit else (fits, size)
        straight = not straight
    if closely and fits + 1 < over and (bytes_of(fits + 1) or 0) <= limit:
        return fits + 1
    return fits


def _describe_fitting(needed: int | None, limit: int) -> str:
    """Say which nside would do where one map takes more than the limit: half takes a quarter."""
    if not needed or limit <= 0:
        return "a smaller nside"
    return f"an nside {2 ** ceil(log(needed / limit, 4))} times smaller"


def _mebibytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"
