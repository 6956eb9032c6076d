"""Maps as a function of the unknowns of a minimization."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxscat.reasons import reason_of

Maps = PyTree[Float[Array, "..."]]


class Parametrization(eqx.Module):
    """Maps as a function of one flat vector of parameters; a pytree of arrays.

    L-BFGS works on the parameters. It does best with numbers of order one, of which each is as free
    as any other.

    Examples:
        A positive map, whatever its parameters are:

        >>> import equinox as eqx, jax.numpy as jnp, jaxscat, numpy as np
        >>> class Positive(jaxscat.Parametrization):
        ...     npix: int = eqx.field(static=True)
        ...
        ...     @property
        ...     def size(self):
        ...         return self.npix
        ...
        ...     def maps(self, parameters):
        ...         return jnp.exp(parameters)
        ...
        ...     def parameters(self, maps):
        ...         return np.log(np.asarray(maps))
        >>> unknowns = Positive(192)
        >>> bool((unknowns.maps(-np.ones(192)) > 0).all())
        True

    Source: `docs/conventions.md`, "Parametrizations".
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of parameters."""

    @abstractmethod
    def maps(self, parameters: Float[Array, " n"]) -> Maps:
        """Return the maps of parameters, by functions of JAX that have derivatives.

        Args:
            parameters: vector of `size` numbers.

        Returns:
            one map, or a pytree of maps.
        """

    @abstractmethod
    def parameters(self, maps: Maps) -> Float[np.ndarray, " n"]:
        """Return parameters whose maps are the given ones, or next to them; on the host.

        Args:
            maps: as `maps` returns them.
        """


def check_parametrization(parametrization: Any, dtype: Any, name: str = "parametrization") -> Any:
    """Refuse an object that does not make maps of parameters; nothing is compiled.

    Args:
        parametrization: object to check.
        dtype: type of the parameters.
        name: of the argument, for messages.

    Returns:
        shapes and types of its maps, as a pytree of `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: no `Parametrization`, a leaf that is no array, no parameters, or maps that are
            not real arrays.
    """
    if not isinstance(parametrization, Parametrization):
        raise ValueError(
            f"{name}: got {type(parametrization).__name__}, expected a Parametrization such as "
            "Pixels, Harmonic, FreePixels or Components"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(parametrization):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | int | float):
            where = jax.tree_util.keystr(path)
            raise ValueError(
                f"{name}{where}: got {type(leaf).__name__}, expected an array (or a static field)"
            )
    size = parametrization.size
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"{name}.size: got {size!r}, expected a positive number of parameters")
    expected = f"expected real maps of {size} parameters"
    try:
        found = jax.eval_shape(
            lambda unknowns, parameters: unknowns.maps(parameters),
            parametrization,
            jax.ShapeDtypeStruct((size,), np.dtype(dtype)),
        )
    except (TypeError, ValueError) as error:
        reason = reason_of(error)
        raise ValueError(f"{name}: {expected}, but its maps fail there ({reason})") from error
    for leaf in jax.tree.leaves(found):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"{name}: got maps of {leaf.dtype} of shape {leaf.shape}, {expected}")
    if not jax.tree.leaves(found):
        raise ValueError(f"{name}: got no map, {expected}")
    return found


def check_parameters(
    parametrization: Parametrization, maps: Maps, name: str
) -> Float[np.ndarray, " n"]:
    """Return the parameters of checked maps.

    Args:
        parametrization: has `parameters`.
        maps: one map or a pytree of them.
        name: of the maps, for messages.

    Raises:
        ValueError: the parametrization gives no vector of its size, or numbers that are not finite.
    """
    found = np.asarray(parametrization.parameters(maps))
    expected = (parametrization.size,)
    if found.shape != expected or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise ValueError(
            f"parametrization: got parameters of {found.dtype} of shape {found.shape} for the "
            f"{name}, expected finite real numbers of shape {expected}"
        )
    return found
