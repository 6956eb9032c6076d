"""Reading and combining of masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxscat.io.maps import load_mask


def read_mask(path: Path, nside: int | None, order: str | None) -> np.ndarray:
    """Read a mask [p] or masks [M p]; `order` is used for `.npy` files only, not for FITS.

    Raises `ValueError` as `load_mask`.
    """
    return load_mask(path, nside, order=order if path.name.lower().endswith(".npy") else None)


def joint_mask(mask: np.ndarray | None, other: np.ndarray | None, name: str) -> np.ndarray | None:
    """Return the product of two masks [..., p], either of which may be None.

    Raises `ValueError`, which begins with `name`, if the product is zero everywhere.
    """
    if mask is None or other is None:
        return other if mask is None else mask
    both = mask * other
    if (both.sum(axis=-1) == 0).any():
        raise ValueError(f"{name}: got no pixel with data that has weight, expected at least one")
    return both


def build_footprint(mask: np.ndarray | None) -> np.ndarray | None:
    """Return the union of all masks: the footprint of power spectra and Gaussian controls."""
    return None if mask is None else np.atleast_2d(mask).max(axis=0)
