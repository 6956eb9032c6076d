"""Several maps as unknowns: components with names, or many maps of one kind."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from jaxscat.maps import check_kind, describe, is_integer, plain_integer, to_numpy
from jaxscat.parametrizations.parametrization import Maps, Parametrization
from jaxscat.parametrizations.pixels import Pixels, power_of_two_near


class Components(Parametrization):
    """A pytree of several maps, each with a parametrization of its own.

    Attributes:
        parts: parametrizations in the structure of the maps, such as
            `{"cmb": Pixels(npix), "dust": FreePixels(known, free)}`.

    Source: `docs/conventions.md`, "Parametrizations".
    """

    parts: PyTree[Parametrization]

    def __check_init__(self) -> None:
        parts = self._flatten()[0]
        if not parts or not all(isinstance(part, Parametrization) for part in parts):
            raise ValueError(
                f"parts: got {self.parts!r}, expected a pytree of Parametrizations such as "
                "{'cmb': Pixels(npix), 'dust': Pixels(npix)}"
            )

    @property
    def size(self) -> int:
        """Number of parameters of all maps together."""
        return sum(part.size for part in self._flatten()[0])

    def maps(self, parameters: Float[Array, " n"]) -> Maps:
        """Return the pytree of maps, whose parameters stand one after the other."""
        parts, structure = self._flatten()
        ends = np.cumsum([part.size for part in parts])[:-1]
        pieces = jnp.split(parameters, ends)
        return structure.unflatten(
            [part.maps(piece) for part, piece in zip(parts, pieces, strict=True)]
        )

    def parameters(self, maps: Maps) -> Float[np.ndarray, " n"]:
        """Return the parameters of all maps; on the host.

        Raises:
            ValueError: maps of another structure.
        """
        parts, structure = self._flatten()
        given = structure.flatten_up_to(maps)
        return np.concatenate(
            [part.parameters(map) for part, map in zip(parts, given, strict=True)]
        )

    def _flatten(self) -> tuple[list[Any], Any]:
        return jax.tree.flatten(self.parts, is_leaf=lambda part: isinstance(part, Parametrization))


class Stacked(Parametrization):
    """Several maps of one kind, `[n p]`, each with the same parametrization.

    Attributes:
        part: parametrization of one map.
        count: number of maps.

    Source: `docs/conventions.md`, "Parametrizations".
    """

    part: Parametrization
    count: int = eqx.field(static=True, converter=plain_integer)

    def __check_init__(self) -> None:
        check_kind(self.part, Parametrization, "part", "a Parametrization such as Pixels(npix)")
        if not is_integer(self.count) or self.count < 1:
            raise ValueError(f"count: got {describe(self.count)}, expected a positive integer")

    @property
    def size(self) -> int:
        """Number of parameters of all maps together."""
        return self.count * self.part.size

    def maps(self, parameters: Float[Array, " n"]) -> Float[Array, "count p"]:
        """Return the maps, whose parameters stand one after the other."""
        return jax.vmap(self.part.maps)(parameters.reshape(self.count, -1))

    def parameters(self, maps: Any) -> Float[np.ndarray, " n"]:
        """Return the parameters of all maps; on the host."""
        return np.concatenate([self.part.parameters(map) for map in maps])


def build_pixels(maps: Maps) -> Parametrization:
    """Build the parametrization by all pixels of one map, or of all maps of a pytree.

    Args:
        maps: real maps; the unit of each is the power of two next to its standard deviation.
    """

    def build(map: ArrayLike) -> Pixels:
        values = to_numpy(map, name="map")
        return Pixels(values.size, power_of_two_near(float(np.std(values))))

    leaves, structure = jax.tree.flatten(maps)
    if len(leaves) == 1 and structure == jax.tree.structure(0):
        return build(leaves[0])
    return Components(jax.tree.map(build, maps))
