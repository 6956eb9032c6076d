"""Terms that compare what is measured of a map with numbers that can be measured anew."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.objectives.term import Maps, Term


class CalibratedTerm(Term):
    """A chi-square: squared distances of measured quantities from a mean, in units of a sigma.

    Mean and sigma can be replaced by others of the same shapes without compiling anything.

    Source: `docs/reconstruction.md`, "Calibration".
    """

    @abstractmethod
    def measure(self, maps: Maps) -> Any:
        """Return the quantities of maps, as a pytree of arrays of the shapes of the mean."""

    @abstractmethod
    def distance(self, quantities: Any) -> Float[Array, ""]:
        """Return the mean squared distance of quantities from the mean, in units of sigma."""

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the distance of the quantities of maps, a real scalar."""
        return self.distance(self.measure(maps))

    @property
    @abstractmethod
    def calibration(self) -> tuple[Any, Any]:
        """Mean and sigma, pytrees of the quantities."""

    @abstractmethod
    def calibrated(self, mean: Any, sigma: Any) -> "CalibratedTerm":
        """Return the same term with another mean and sigma, which may have more leading axes."""


class Hinge(Term):
    """Another term as far as it is above a level: nothing is gained by going below.

    Attributes:
        term: the other term.
        level: a chi-square of independent errors is one on average, which the truth has, too.

    Source: `docs/reconstruction.md`, "Calibration".
    """

    term: Term
    level: Any = eqx.field(default=1.0)

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the distance from the level, zero below it."""
        value = self.term(maps)
        return jnp.maximum(value - jnp.asarray(self.level, value.dtype), 0)


class Residual(Term):
    """A term of what a map leaves of the data.

    Attributes:
        term: the term of the residual, the data less the map.
        data: map of the data, `[p]`.

    Source: `docs/reconstruction.md`, "Terms".
    """

    term: CalibratedTerm
    data: Float[Array, " p"]

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the value for the residual."""
        return self.term(self.data - maps)


class Fidelity(Term):
    """The mean squared distance of a map from the data, in units of the noise of every pixel.

    Attributes:
        data: map of the data, `[p]`.
        precision: one over the variance of the noise, `[p]` or one number; zero where there are no
            data.

    Source: `docs/reconstruction.md`, "Terms".
    """

    data: Float[Array, " p"]
    precision: Float[Array, "*p"]

    def __call__(self, maps: Maps) -> Float[Array, ""]:
        """Return the mean over the pixels that have data."""
        precision = jnp.broadcast_to(self.precision, self.data.shape)
        # Where there are no data, not even NaN or UNSEEN counts.
        difference = jnp.where(precision > 0, self.data - maps, 0)
        square = precision * difference**2
        return jnp.sum(square) / jnp.sum(precision > 0)
