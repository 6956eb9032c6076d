"""The loss that is minimized: a weighted sum of named terms."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxscat.objectives.term import FunctionTerm, Maps, Term
from jaxscat.reasons import kind_and_reason


class Objective(eqx.Module):
    """The weighted sum of several terms.

    Args:
        terms: functions of the maps with a scalar value, by names that results and figures use:
            subclasses of `Term`, other callable pytrees, or plain functions.
        weights: positive numbers by the names of terms; 1 where a name is missing.

    Attributes:
        terms: as given, in the order of their names.
        weights: those that were given; the others are not even compiled.

    Raises:
        ValueError: no terms, one that cannot be called, or a weight that is not a positive finite
            number or names no term.

    Source: `docs/conventions.md`, "Terms and objectives".
    """

    terms: dict[str, Callable[[Maps], Array]]
    weights: dict[str, Any]

    def __init__(
        self,
        terms: Mapping[str, Callable[[Maps], Array]],
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(terms, Mapping) or not terms:
            raise ValueError(
                f"terms: got {terms!r}, expected a dictionary with at least one term, such as "
                "{'scattering': Scattering.of(target, pyramid)}"
            )
        for name, term in terms.items():
            if not isinstance(name, str):
                raise ValueError(f"terms: got the name {name!r}, expected a string")
            if isinstance(term, type) or not callable(term):
                raise ValueError(
                    f"terms[{name!r}]: got {term!r}, expected a Term: an equinox.Module that is "
                    "called with the maps and returns a scalar"
                )
        weights = {} if weights is None else weights
        if not isinstance(weights, Mapping):
            raise ValueError(f"weights: got {weights!r}, expected a dictionary of numbers")
        for name, weight in weights.items():
            if name not in terms:
                raise ValueError(
                    f"weights: got {name!r}, expected names of terms: {', '.join(sorted(terms))}"
                )
            _check_weight(name, weight)
        self.terms = {name: _as_pytree(terms[name]) for name in sorted(terms)}
        self.weights = dict(sorted(weights.items()))

    def values(self, maps: Maps) -> dict[str, Float[Array, ""]]:
        """Return the value of every term by its name, without the weights.

        Args:
            maps: one map `[p]`, or the pytree of maps of the parametrization.
        """
        return {name: term(maps) for name, term in self.terms.items()}

    def total(self, values: Mapping[str, Float[Array, ""]]) -> Float[Array, ""]:
        """Return the weighted sum of values from `values`."""
        weighted = [
            jnp.asarray(self.weights[name], value.dtype) * value if name in self.weights else value
            for name, value in values.items()
        ]
        return sum(weighted[1:], start=weighted[0])

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the loss of maps, a real scalar."""
        return self.total(self.values(maps))


def _as_pytree(term: Any) -> Callable[[Maps], Array]:
    """Return a term as it is, and a function, which is a leaf of no type, as a term."""
    leaves = jax.tree.leaves(term)
    return FunctionTerm(term) if len(leaves) == 1 and leaves[0] is term else term


def as_objective(objective: Objective | Term | Callable[[Maps], Array]) -> Objective:
    """Return an objective as it is, and a single term as an objective with its name.

    Raises:
        ValueError: neither an objective nor a term.
    """
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, type) or not callable(objective):
        raise ValueError(
            f"objective: got {objective!r}, expected an Objective or a Term of the maps"
        )
    name = type(objective).__name__.lower() if isinstance(objective, eqx.Module) else "loss"
    terms: dict[str, Any] = {name: objective}
    return Objective(terms)


def check_objective(objective: Objective, maps: Any) -> None:
    """Refuse terms that do not return a real scalar for maps of given shapes; nothing is compiled.

    Args:
        objective: the loss.
        maps: pytree of `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: a term that fails for such maps, or returns no real scalar; it is named.
    """
    described = describe_maps(maps)
    for name, term in objective.terms.items():
        try:
            found = jax.eval_shape(lambda term, maps: term(maps), term, maps)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(
                f"terms[{name!r}]: expected a term of maps of {described}, but it fails for them: "
                f"{kind_and_reason(error)}"
            ) from error
        shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
        if shape != () or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            got = type(found).__name__ if dtype is None else f"{dtype} of shape {shape}"
            raise ValueError(
                f"terms[{name!r}]: got {got} for maps of {described}, expected a real scalar of "
                "shape ()"
            )


def describe_maps(maps: Any) -> str:
    """Return the structure of a pytree of maps for a message, such as `{'a': (192,)}`."""
    return str(jax.tree.map(lambda leaf: np.shape(leaf), maps, is_leaf=lambda leaf: leaf is None))


def _check_weight(name: str, weight: Any) -> None:
    if isinstance(weight, Tracer):
        return
    number = np.asarray(weight)
    real = number.dtype.kind in "fiu" and number.shape == ()
    if not real or not np.isfinite(number) or not number > 0:
        raise ValueError(
            f"weights[{name!r}]: got {weight!r}, expected a positive number (leave the term out "
            "instead of a weight of zero)"
        )
