"""Groups of blocks of a `RowTable`, and the rows that each of them reads: their windows."""

import numpy as np
from jaxtyping import Int

# Blocks of a group: what is made of their four rows stays in the cache of a CPU.
BLOCKS_OF_A_GROUP = 512


def number_windows(
    indices: Int[np.ndarray, "blocks union"],
) -> tuple[Int[np.ndarray, "groups window"], Int[np.ndarray, "groups own union"]] | None:
    """List the rows that every group of blocks reads, and where its blocks find them there.

    The last group has as many blocks as the others, and repeats some of the one before.

    Args:
        indices: rows that the blocks read.

    Returns:
        rows of every window, padded with the first, and the places in it of what is read; None
        for fewer than two groups.

    Source: `docs/conventions.md`, "Layouts".
    """
    blocks = indices.shape[0]
    if blocks < 2 * BLOCKS_OF_A_GROUP:
        return None
    found = [
        np.unique(indices[start : start + BLOCKS_OF_A_GROUP], return_inverse=True)
        for start in group_starts(blocks)
    ]
    width = max(rows.size for rows, _ in found)
    windows = np.stack([np.pad(rows, (0, width - rows.size)) for rows, _ in found])
    own = BLOCKS_OF_A_GROUP, indices.shape[1]
    return windows, np.stack([places.reshape(own) for _, places in found])


def group_starts(blocks: int) -> Int[np.ndarray, " groups"]:
    """Return the first block of every group."""
    starts = np.arange(0, blocks, BLOCKS_OF_A_GROUP)
    return np.minimum(starts, blocks - BLOCKS_OF_A_GROUP)
