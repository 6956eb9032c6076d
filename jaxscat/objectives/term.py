"""One term of a loss: a function of the unknown maps with a scalar value."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from jaxscat.parametrizations.parametrization import Maps


class Term(eqx.Module):
    """A term of a loss, as a pytree whose arrays are operands of the compiled program.

    A term of one's own is a subclass (or any `equinox.Module`) with fields for its data and one
    method.

    Examples:
        >>> import equinox as eqx, jax.numpy as jnp, jaxscat
        >>> class Positive(jaxscat.Term):
        ...     scale: float = 1.0
        ...     def __call__(self, maps):
        ...         return jnp.mean(jnp.minimum(maps / self.scale, 0.0) ** 2)
        >>> float(Positive(scale=2.0)(jnp.array([1.0, -2.0])))
        0.5

    Source: `docs/conventions.md`, "Terms and objectives".
    """

    @abstractmethod
    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the value of the term, a real scalar that has derivatives.

        Args:
            maps: one map `[p]`, or the pytree of maps that the parametrization makes.
        """


class FunctionTerm(Term):
    """A plain function as a term; its data are constants, so that another function is compiled.

    Attributes:
        function: from the maps to a real scalar.
    """

    function: Callable[[Maps], Array] = eqx.field(static=True)

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the value of the function."""
        return self.function(maps)


def select_maps(maps: Maps, selection: Any) -> Any:
    """Return the part of a pytree of maps on which a term acts.

    Args:
        maps: one map, or a pytree of them.
        selection: None for all of it; a key of a dictionary, or the index of a sequence; or a
            function, such as one that adds two components.
    """
    if selection is None:
        return maps
    return selection(maps) if callable(selection) else maps[selection]
