"""Validation of HEALPix maps and masks, before anything is compiled."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from jaxscat.reasons import reason_of

UNSEEN = -1.6375e30  # value of pixels without data in HEALPix
UNSEEN_TOLERANCE = 0.05  # relative: other programs round it


def is_nside(value: object) -> bool:
    """Return whether `value` is an integer power of two, as NESTED order requires."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        return False
    number = int(value)
    return number > 0 and number & (number - 1) == 0


def is_integer(value: object) -> bool:
    """Return whether `value` is an integer of Python or NumPy, and no truth value."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def plain_integer(value: Any) -> Any:
    """Return an integer of NumPy as Python's, as static fields ask, and all else as it is."""
    return int(value) if isinstance(value, np.integer) else value


def check_nside(nside: object, *, name: str = "nside") -> int:
    """Validate an nside and return it as an int.

    Raises ValueError, which begins with `name`, unless it is a power of two (see `is_nside`).
    """
    if not is_nside(nside):
        raise ValueError(f"{name}: got {nside!r}, expected a power of two (1, 2, 4, 8, ...)")
    return int(nside)  # pyright: ignore[reportArgumentType]


def npix_to_nside(npix: int, *, name: str = "map") -> int:
    """Return the nside of a full-sky map of `npix` pixels.

    Raises ValueError, which begins with `name`, unless `npix` is 12 nside^2 for an nside that is
    a power of two.
    """
    nside = round((npix / 12) ** 0.5)
    if npix != 12 * nside**2 or not is_nside(nside):
        raise ValueError(
            f"{name}: got {npix} pixels, expected 12 nside^2 with nside a power of two "
            "(12, 48, 192, 768, 3072, ...)"
        )
    return nside


def unseen_pixels(values: Float[np.ndarray, "*shape"]) -> np.ndarray:
    """Return a boolean array of the pixels that are UNSEEN, in any precision.

    That includes values which other programs have rounded, to -1.637e30 or -1.6e30: all within 5 %
    of UNSEEN.
    """
    return np.abs(values - UNSEEN) < UNSEEN_TOLERANCE * abs(UNSEEN)


def describe(value: Any) -> str:
    """Return what a value is, for messages: short values themselves, others by their type."""
    empty = isinstance(value, list | tuple | dict) and not value
    if value is None or empty or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return getattr(value, "__name__", type(value).__name__)


def check_kind(value: object, kind: Any, name: str, expected: str) -> None:
    """Refuse an object that is not of a kind, as `isinstance` says, with a `ValueError`."""
    if not isinstance(value, kind):
        raise ValueError(f"{name}: got {describe(value)}, expected {expected}")


def check_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False with a `ValueError`."""
    check_kind(value, bool | np.bool_, name, "True or False")


def check_path(path: object, name: str = "path") -> None:
    """Refuse what is no path of a file with a `ValueError`."""
    check_kind(path, str | os.PathLike, name, "the path of a file")
    if "\0" in (text := os.fsdecode(path)):  # pyright: ignore[reportArgumentType]
        raise ValueError(f"{name}: got {text!r}, expected a name without null characters")


def check_callable(function: Any, arguments: int, name: str, expected: str) -> None:
    """Refuse what cannot be called with a number of arguments with a `ValueError`."""
    if not callable(function):
        raise ValueError(f"{name}: got {describe(function)}, expected {expected}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some compiled functions do not tell
        return
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        raise ValueError(
            f"{name}: got {describe(function)}, which cannot be called so "
            f"({reason_of(error)}), expected {expected}"
        ) from None


def to_numpy(values: Any, *, name: str) -> np.ndarray:
    """Convert an array of any library to NumPy's, without losing what NumPy would drop.

    Raises ValueError, which begins with `name`, for masked arrays with masked entries, alone or in
    a list, and for what NumPy cannot convert.
    """
    parts = values if isinstance(values, list | tuple) else [values]
    for part in parts:
        if isinstance(part, np.ma.MaskedArray) and (masked := int(np.ma.count_masked(part))):
            raise ValueError(
                f"{name}: got a masked array with {masked} of {part.size} entries masked, "
                "expected plain numbers: fill them, as in map.filled(map.mean()), and give zero "
                "weight to those pixels in the mask, as in ~numpy.ma.getmaskarray(map)"
            )
    try:
        return np.asarray(values)
    except Exception as error:  # a conversion of another library can fail in any way
        kind = type(values)
        of = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        raise ValueError(
            f"{name}: got {of}{kind.__qualname__}, which NumPy cannot convert "
            f"({reason_of(error)}), expected an array of real numbers "
            "(of a torch tensor, tensor.detach().cpu().numpy())"
        ) from error


def to_real(values: ArrayLike, *, name: str = "map") -> Float[np.ndarray, "*shape"]:
    """Convert numbers to a native float array; float32 and float64 keep their precision.

    Integers become float64 with a UserWarning. Raises ValueError, which begins with `name`, for
    complex, boolean and non-numeric values, for float formats other than 16, 32 or 64 bit, and as
    `to_numpy`.
    """
    array = to_numpy(values, name=name)
    if array.dtype.kind in "iu":
        warnings.warn(
            f"{name}: integer values ({array.dtype}) are converted to float64", stacklevel=3
        )
        return array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        kind = {"c": "complex", "b": "boolean"}.get(array.dtype.kind, "unsuitable")
        raise ValueError(
            f"{name}: got {kind} values ({array.dtype}), expected real float32 or float64"
        )
    return array.astype(np.float32 if array.dtype.itemsize == 4 else np.float64, copy=False)


def check_finite(
    values: Float[np.ndarray, "*shape"], *, name: str, unseen: bool = False, hint: str = ""
) -> None:
    """Check that no pixel is NaN, infinite or (unless `unseen` is true) UNSEEN.

    Raises ValueError, which begins with `name` and gives the number of such pixels.
    """
    for count, what in (
        (np.isnan(values).sum(), "NaN"),
        (np.isinf(values).sum(), "infinite"),
        (0 if unseen else unseen_pixels(values).sum(), "UNSEEN (without data)"),
    ):
        if count:
            raise ValueError(
                f"{name}: got {count} of {values.size} pixels {what}, expected finite values{hint}"
            )


def check_map(
    map: ArrayLike,
    *,
    name: str = "map",
    nside: int | None = None,
    cells: int | None = None,
    allow_constant: bool = False,
) -> Float[np.ndarray, " p"]:
    """Validate one map and return it as a float array.

    It has `12 nside^2` pixels, or as many as a patch has `cells`. float32 and float64 keep their
    precision, float16 becomes float64, integers become float64 with a UserWarning. Raises
    ValueError, which begins with `name`, for complex, boolean or non-numeric values; more or less
    than one dimension; a length that is not 12 nside^2 (of the given `nside`, if any); NaN,
    infinite or UNSEEN pixels; and a constant map, unless `allow_constant` is true.

    Source: `docs/conventions.md`, "Maps".
    """
    array = to_real(map, name=name)
    if array.ndim != 1:
        raise ValueError(
            f"{name}: got an array of shape {array.shape}, expected one map of shape (npix,)"
        )
    if cells is not None:
        if array.size != cells:
            raise ValueError(
                f"{name}: got {array.size} pixels, expected {cells} as the pyramid's cell_ids"
            )
    elif (found := npix_to_nside(array.size, name=name)) != nside and nside is not None:
        raise ValueError(
            f"{name}: got {array.size} pixels (nside {found}), expected {12 * nside**2} "
            f"(nside {nside})"
        )
    check_finite(array, name=name, hint=" (or a mask without weight in all of these pixels)")
    if not allow_constant and np.ptp(array) == 0:
        raise ValueError(
            f"{name}: got the same value {array[0]:g} in every pixel, expected a map that varies"
        )
    return array


def check_mask(
    mask: ArrayLike, npix: int | None = None, *, name: str = "mask", patch: bool = False
) -> Float[np.ndarray, "*M p"]:
    """Validate one mask `[p]` or several `[M p]` and return them as a float array of weights.

    Weights are real numbers from 0 (ignored) up; boolean and integer masks become float64. Raises
    ValueError, which begins with `name`, for complex or non-numeric values; other than one or two
    dimensions; a length that is not 12 nside^2 (except of a `patch`) or not the `npix` of the map;
    NaN, infinite, UNSEEN or negative weights; and a mask that is zero everywhere.

    Source: `docs/conventions.md`, "Maps".
    """
    array = to_numpy(mask, name=name)
    # No warning: masks of 0 and 1 are exact as floats.
    array = array.astype(np.float64) if array.dtype.kind in "biu" else to_real(array, name=name)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"{name}: got an array of shape {array.shape}, expected (npix,) or (masks, npix)"
        )
    if npix is not None and array.shape[-1] != npix:
        raise ValueError(f"{name}: got {array.shape[-1]} pixels, expected {npix} as the map has")
    if not patch:
        npix_to_nside(array.shape[-1], name=name)
    check_finite(array, name=name)
    if (array < 0).any():
        raise ValueError(
            f"{name}: got {(array < 0).sum()} negative weights (least {array.min():g}), "
            "expected weights from 0 up"
        )
    empty = np.flatnonzero(array.reshape(-1, array.shape[-1]).sum(axis=-1) == 0)
    if empty.size:
        which = f" (mask {empty[0]} of {array.shape[0]})" if array.ndim == 2 else ""
        raise ValueError(
            f"{name}: got zero in every pixel{which}, expected at least one positive weight"
        )
    return array


def seen_pixels(mask: ArrayLike) -> Bool[np.ndarray, " p"]:
    """Return which pixels have weight in a mask `[p]`, or in any of several `[M p]`.

    The others are hidden.
    """
    return np.atleast_2d(np.asarray(mask)).max(axis=0) > 0


def cover_hidden(map: ArrayLike, mask: ArrayLike, *, name: str = "map") -> Any:
    """Replace the hidden pixels of a map by the mean of the others.

    Nothing depends on what they held after that, and checks see the other pixels only. A map of
    another shape than the mask is returned as it is, for those checks to refuse.

    Raises:
        ValueError: as `to_real`.

    Source: `docs/conventions.md`, "Hidden pixels".
    """
    values, seen = to_real(map, name=name), seen_pixels(mask)
    if values.shape != seen.shape or seen.all():
        return values
    shown = values[seen]
    shown = shown[np.isfinite(shown) & ~unseen_pixels(shown)]  # others are for the checks to count
    mean = shown.mean(dtype=np.float64) if shown.size else 0.0
    return np.where(seen, values, np.asarray(mean, values.dtype))
