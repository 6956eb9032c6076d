"""Maps that are arrays already, as healpy has them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxscat.io.degrade import average_children
from jaxscat.io.fields import Field, mark_bad_pixels
from jaxscat.io.formats import to_nested
from jaxscat.io.pixel_order import warn_of_other_order
from jaxscat.io.sky import working_nside
from jaxscat.maps import check_flag, npix_to_nside, to_numpy, to_real


def from_healpy(
    map: ArrayLike,
    nest: bool = False,
    *,
    nside: int | None = None,
    unseen: Literal["refuse", "mean", "zero"] = "refuse",
) -> Float[np.ndarray, "*maps p"]:
    """Return an array in healpy's order as the NESTED map that all of jaxscat works on.

    Args:
        map: real numbers, `[npix]` or several maps `[n npix]`; a boolean mask becomes 0 and 1.
        nest: whether it is in NESTED order, as in healpy; by default it is in RING order.
        nside: working nside, a power of two up to that of the map; pixels with data are averaged.
            The default is the nside of the map.
        unseen: what becomes of pixels without data (UNSEEN, NaN): "refuse" raises an error, "mean"
            sets them to the mean of the others, as a map wants it, and "zero" to zero, as a mask
            does.

    Returns:
        float64 NESTED array of the same shape, in the same unit.

    Raises:
        ValueError: complex or non-numeric values, a number of pixels that is not 12 nside^2, more
            than two dimensions, infinite pixels, a working nside above that of the map, and pixels
            without data unless `unseen` says what becomes of them.

    Warns:
        UserWarning: integers are converted; the map would be much smoother in the other order.

    Examples:
        >>> import healpy, jaxscat, numpy as np
        >>> ring = np.random.default_rng(0).normal(size=768)  # or healpy.read_map(...)
        >>> map = jaxscat.from_healpy(ring)
        >>> bool((map == healpy.reorder(ring, r2n=True)).all())
        True
        >>> jaxscat.from_healpy(ring, nside=4).shape
        (192,)

    Source: `docs/map-files.md`, "Order of arrays and `.npy`".
    """
    check_flag(nest, "nest")
    if unseen not in ("refuse", "mean", "zero"):
        raise ValueError(f"unseen: got {unseen!r}, expected 'refuse', 'mean' or 'zero'")
    array = to_numpy(map, name="map")
    array = array if array.dtype.kind == "b" else to_real(array, name="map")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"map: got an array of shape {array.shape}, expected (npix,), or (n, npix) for several"
        )
    order = "NESTED" if nest else "RING"
    target = working_nside(nside, npix_to_nside(array.shape[-1]), "the map")
    rows = np.atleast_2d(to_nested(array, order, "map"))
    several = array.ndim == 2
    maps = [
        _settle(row, order, target, unseen, f"map[{at}]" if several else "map")
        for at, row in enumerate(rows)
    ]
    return np.stack(maps) if several else maps[0]


def to_healpy(map: ArrayLike, nest: bool = False) -> Float[np.ndarray, "*maps p"]:
    """Return a NESTED map as an array in healpy's order, the way back from `from_healpy`.

    Args:
        map: real numbers, `[npix]` or several maps `[n npix]`, in any unit.
        nest: whether it is to be in NESTED order, as in healpy; by default it is in RING order.

    Returns:
        NESTED or RING array of the same shape and precision, in the same unit.

    Raises:
        ValueError: complex or non-numeric values, a number of pixels that is not 12 nside^2, and
            more than two dimensions.

    Examples:
        >>> import healpy, jaxscat, numpy as np
        >>> ring = np.random.default_rng(0).normal(size=768)  # or healpy.read_map(...)
        >>> back = jaxscat.to_healpy(jaxscat.from_healpy(ring))  # healpy.write_map(name, back)
        >>> bool((back == ring).all())
        True

    Source: `docs/map-files.md`, "Order of arrays and `.npy`".
    """
    check_flag(nest, "nest")
    array = to_real(map, name="map")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"map: got an array of shape {array.shape}, expected (npix,), or (n, npix) for several"
        )
    nside = npix_to_nside(array.shape[-1])
    if nest:
        return array.copy()
    import healpy  # here, because importing it loads matplotlib

    return array[..., healpy.ring2nest(nside, np.arange(array.shape[-1]))]


def _settle(values: np.ndarray, order: str, nside: int, unseen: str, name: str) -> np.ndarray:
    """Return one NESTED map at its working nside, with its pixels without data settled."""
    one = Field(name, values.astype(np.float64), np.zeros(values.size, bool), "", order=order)
    mark_bad_pixels(one, bad_data=None, name=name)
    if one.marks and unseen == "refuse":
        marks = " and ".join(f"{n} of {values.size} pixels {mark}" for mark, n in one.marks.items())
        raise ValueError(
            f"{name}: got {marks} (without data), expected none; unseen='mean' fills them, "
            "and jaxscat.from_healpy(map > -1e30), with the same order, is the mask that keeps "
            "them out"
        )
    if one.missing.all():
        raise ValueError(f"{name}: got no pixel with data, expected a map")
    warn_of_other_order([one], name)
    seen = ~one.missing
    fill = float(one.values[seen].mean()) if unseen == "mean" else 0.0
    coverage = seen.reshape(12 * nside**2, -1).any(axis=1)
    return np.where(coverage, average_children(one.values, one.missing, nside), fill)
