"""The pixels themselves as unknowns: all of them, or those that are free."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxscat.maps import describe, is_integer, plain_integer, to_numpy, to_real
from jaxscat.parametrizations.parametrization import Parametrization


class Pixels(Parametrization):
    """All pixels of a map, in a unit.

    Attributes:
        npix: number of pixels.
        unit: number by which parameters are multiplied, in the unit of the map; a power of two
            rounds nothing.

    Source: `docs/conventions.md`, "Parametrizations".
    """

    npix: int = eqx.field(static=True, converter=plain_integer)
    unit: Any = 1.0

    def __check_init__(self) -> None:
        if not is_integer(self.npix) or self.npix < 1:
            raise ValueError(f"npix: got {describe(self.npix)}, expected a positive integer")
        _check_unit(self.unit)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.npix

    def maps(self, parameters: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the map of parameters."""
        return self.unit * parameters

    def parameters(self, maps: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the parameters of a map; on the host."""
        map = _checked(maps, self.npix)
        return map / np.asarray(self.unit, map.dtype)


class FreePixels(Parametrization):
    """Some pixels of a map; the others are held fixed, and are no unknowns at all.

    Args:
        known: real map `[p]` with the values of the fixed pixels; at free ones it may be anything.
        free: boolean map `[p]`, true where a pixel is free; or the numbers of the free pixels.
        unit: number by which parameters are multiplied; None takes the power of two next to the
            standard deviation of the fixed pixels.

    Attributes:
        known: the map, zero at free pixels.
        free: numbers of the free pixels, ascending.
        unit: as given, or as chosen.

    Raises:
        ValueError: `known` is no real map or not finite at fixed pixels, or `free` names no pixel,
            or one that the map does not have.

    Source: `docs/conventions.md`, "Parametrizations".
    """

    known: Float[Array, " p"]
    free: Int[Array, " n"]
    unit: Any

    def __init__(self, known: ArrayLike, free: ArrayLike, unit: float | None = None) -> None:
        values = np.array(to_numpy(known, name="known"))
        if values.ndim != 1 or values.dtype.kind != "f":
            raise ValueError(
                f"known: got {values.dtype} of shape {values.shape}, expected a real map (npix,)"
            )
        numbers = _pixel_numbers(free, values.size)
        values[numbers] = 0
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise ValueError(
                f"known: got {bad} fixed pixels that are not finite, expected finite numbers "
                "wherever a pixel is not free"
            )
        if unit is not None:
            _check_unit(unit)
        else:
            fixed = np.delete(values, numbers)
            unit = power_of_two_near(float(np.std(fixed)) if fixed.size else 0.0)
        self.known = jnp.asarray(values)
        self.free = jnp.asarray(numbers, jnp.int32)
        self.unit = unit

    @property
    def size(self) -> int:
        """Number of free pixels."""
        return self.free.shape[0]

    def maps(self, parameters: Float[Array, " n"]) -> Float[Array, " p"]:
        """Return the map of parameters: known pixels, and free ones in their places."""
        values = (self.unit * parameters).astype(self.known.dtype)
        return self.known.at[self.free].set(values, unique_indices=True, indices_are_sorted=True)

    def parameters(self, maps: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the parameters of a map, of which the fixed pixels do not matter; on the host."""
        map = _checked(maps, self.known.shape[0])
        return map[np.asarray(self.free)] / np.asarray(self.unit, map.dtype)


def power_of_two_near(number: float) -> float:
    """Return the power of two nearest to a number, and one if it is not positive and finite."""
    return 2.0 ** round(np.log2(number)) if np.isfinite(number) and number > 0 else 1.0


def _checked(map: ArrayLike, npix: int) -> Float[np.ndarray, " p"]:
    values = to_real(map, name="map")
    if values.shape != (npix,):
        raise ValueError(f"map: got shape {values.shape}, expected one map of shape ({npix},)")
    return values


def _check_unit(unit: Any) -> None:
    """Refuse a unit that is no number; one that is traced or a shape alone passes."""
    number = isinstance(unit, int | float) and not isinstance(unit, bool)
    if not number and getattr(unit, "shape", None) != ():
        raise ValueError(f"unit: got {describe(unit)}, expected a positive number")


def _pixel_numbers(free: ArrayLike, npix: int) -> Int[np.ndarray, " n"]:
    given = to_numpy(free, name="free")
    if given.dtype == bool and given.shape == (npix,):
        numbers = np.flatnonzero(given)
    elif given.ndim == 1 and given.dtype.kind in "iu":
        numbers = np.unique(given)
        if numbers.size < given.size:
            raise ValueError("free: got a pixel twice, expected different ones")
        if numbers.size and not 0 <= numbers[0] <= numbers[-1] < npix:
            raise ValueError(f"free: got pixels up to {numbers[-1]}, expected 0 to {npix - 1}")
    else:
        raise ValueError(
            f"free: got {given.dtype} of shape {given.shape}, expected a boolean map ({npix},) or "
            "numbers of pixels"
        )
    if not numbers.size:
        raise ValueError("free: got no free pixel, expected at least one")
    return numbers
