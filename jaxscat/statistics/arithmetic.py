"""Sums, differences and multiples of sets of coefficients."""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array


class Arithmetic(eqx.Module):
    """A set of arrays that can be added, subtracted, and multiplied or divided by a real number.

    Sets of another kind or other shapes are refused with a `ValueError`, anything else with a
    `TypeError`.
    """

    __array_ufunc__ = None  # a number of NumPy leaves the product to us

    def __add__(self, other: Self) -> Self:
        """Return the sum of two sets, array by array."""
        return self._with(other, operator.add)

    def __radd__(self, other: Any) -> Self:
        """Return the set itself for 0, with which `sum` begins."""
        if isinstance(other, int) and other == 0:
            return self
        return NotImplemented

    def __sub__(self, other: Self) -> Self:
        """Return the difference of two sets, array by array."""
        return self._with(other, operator.sub)

    def __neg__(self) -> Self:
        """Return the set with the other sign."""
        return jax.tree.map(operator.neg, self)

    def __mul__(self, number: ArrayLike) -> Self:
        """Return the set with all arrays multiplied by a real number."""
        return self._scaled(number, operator.mul)

    __rmul__ = __mul__

    def __truediv__(self, number: ArrayLike) -> Self:
        """Return the set with all arrays divided by a real number."""
        return self._scaled(number, operator.truediv)

    def _with(self, other: Any, function: Callable[[Any, Any], Any]) -> Self:
        if not isinstance(other, Arithmetic):
            return NotImplemented
        check_alike(self, other)
        return jax.tree.map(function, self, other)

    def _scaled(self, number: Any, function: Callable[[Any, Any], Any]) -> Self:
        if isinstance(number, bool) or not _is_real(number):
            return NotImplemented
        if not isinstance(number, jax.Array):
            number = float(number)

        def scaled(array: Array) -> Array:
            # The number does not change the type of the array.
            of = number if isinstance(number, float) else number.astype(jnp.real(array).dtype)
            return function(array, of)

        return jax.tree.map(scaled, self)


def check_alike(one: Arithmetic, other: Arithmetic) -> None:
    """Refuse two sets of different kinds or shapes with a `ValueError` that says how they differ.

    Raises:
        ValueError: they differ in type, in what is not an array, or in the shape of an array.
    """
    if type(one) is not type(other):
        raise ValueError(
            f"statistics: got {type(one).__name__} and {type(other).__name__}, expected two of "
            "one kind"
        )
    if jax.tree.structure(one) != jax.tree.structure(other):
        names = ("kind", "both_triangles", "reduction", "pairs")
        both = [{name: getattr(of, name, None) for name in names} for of in (one, other)]
        different = [name for name in names if both[0][name] != both[1][name]]
        listed = [", ".join(f"{name} {of[name]!r}" for name in different) for of in both]
        said = f"{listed[0]} and {listed[1]}" if different else "other structures"
        raise ValueError(f"statistics: got coefficients of {said}, expected two of one kind")
    for (path, array), beside in zip(
        jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True
    ):
        if np.shape(array) != np.shape(beside):
            name = jax.tree_util.keystr(path).lstrip(".")
            raise ValueError(
                f"statistics: got {name} of shapes {np.shape(array)} and {np.shape(beside)}, "
                "expected the same scales, orientations and masks"
            )


def _is_real(number: Any) -> bool:
    if isinstance(number, Real):
        return True
    if not isinstance(number, jax.Array | np.ndarray | np.generic) or np.shape(number) != ():
        return False
    return jnp.issubdtype(number.dtype, jnp.floating) or jnp.issubdtype(number.dtype, jnp.integer)
