"""Combining of masks."""

from __future__ import annotations

import numpy as np


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


def joint_coverage(
    mask: np.ndarray | None, other: np.ndarray | None, name: str
) -> np.ndarray | None:
    """Return the smaller of two coverages [..., p] by data, either of which may be None.

    Maps of one survey lack the same parts of a pixel: their product would count these twice.
    Raises `ValueError` as `joint_mask`.
    """
    if mask is None or other is None:
        return other if mask is None else mask
    joint_mask(mask, other, name)
    return np.minimum(mask, other)


def build_footprint(mask: np.ndarray | None) -> np.ndarray | None:
    """Return the union of all masks: the footprint of power spectra and Gaussian controls."""
    return None if mask is None else np.atleast_2d(mask).max(axis=0)
