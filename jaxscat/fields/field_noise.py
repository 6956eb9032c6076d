"""Noise of several fields of one sky, drawn together."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.noise import Noise, NoiseMaps

# Seeds of the fields of one realization are so far from each other.
_NEXT_FIELD = 0x9E3779B9


class FieldNoise(eqx.Module):
    """Random maps that are added to several fields of one sky, such as E and B.

    A pytree, so that it is an operand of functions.

    Source: `docs/polarization.md`, "Denoising".
    """

    @property
    @abstractmethod
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order of `draw`."""

    @property
    @abstractmethod
    def npix(self) -> int:
        """Number of pixels of a map."""

    @property
    @abstractmethod
    def available(self) -> int | None:
        """Number of different realizations; None for as many as are wanted."""

    @abstractmethod
    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, "f p"]:
        """Return one realization of all fields, by functions of JAX.

        Args:
            seed: integer from 0 to 2^32 - 1, which names a set of realizations.
            number: number of the realization in the set, from 0.

        Returns:
            NESTED maps, in the unit of the fields.
        """

    @abstractmethod
    def levels_of(self, field: str) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum of the noise of one field, as `Noise.levels`."""


class SeparateNoise(FieldNoise):
    """A noise model for every field.

    The first field has the realizations of its model, the others those of other seeds: models are
    independent. Realizations that were given as maps belong together by their number: those of
    all fields are drawn in the same order.

    Attributes:
        names: of the fields.
        parts: noise of every field.

    Source: `docs/polarization.md`, "Denoising".
    """

    names: tuple[str, ...] = eqx.field(static=True)
    parts: tuple[Noise, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields."""
        return self.names

    @property
    def npix(self) -> int:
        """Number of pixels of a map."""
        return self.parts[0].npix

    @property
    def available(self) -> int | None:
        """Number of realizations, that of the part with the fewest."""
        known = [part.available for part in self.parts if part.available is not None]
        return min(known) if known else None

    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, "f p"]:
        """Return one realization of every field."""
        drawn = []
        for place, part in enumerate(self.parts):
            place = 0 if isinstance(part, NoiseMaps) else place
            own = jnp.asarray(seed, jnp.uint32) + jnp.uint32(_NEXT_FIELD) * jnp.uint32(place)
            drawn.append(part.draw(own, number))
        kind = np.result_type(*[map.dtype for map in drawn])
        return jnp.stack([map.astype(kind) for map in drawn])

    def levels_of(self, field: str) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum of the noise of one field."""
        return self.parts[self.names.index(field)].levels()
