"""Noise and other contaminants of a map, as random maps of which realizations can be drawn."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.fields.seeds import check_seed
from jaxscat.harmonics.spectra import angular_power_spectrum, power_beyond
from jaxscat.maps import (
    check_finite,
    check_kind,
    is_integer,
    npix_to_nside,
    to_numpy,
    to_real,
)

# Fewer leave the scatter of coefficients unknown to more than a quarter.
LEAST_REALIZATIONS = 8
# The scatter is known to a fifth of a percent then.
MOST_REALIZATIONS = 100_000
# Twice as many change results by less than their own scatter.
_REALIZATIONS = 64
# Of the spread of a realization: differences below it are rounding.
_ALIKE = 1e-6


class Noise(eqx.Module):
    """A random map that is added to a signal; a pytree, so that it is an operand of functions.

    Source: `docs/reconstruction.md`, "Noise".
    """

    @property
    @abstractmethod
    def npix(self) -> int:
        """Number of pixels of a realization."""

    @property
    @abstractmethod
    def available(self) -> int | None:
        """Number of different realizations; None for as many as are wanted."""

    @abstractmethod
    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, " p"]:
        """Return one realization, by functions of JAX.

        Args:
            seed: integer from 0 to 2^32 - 1, which names a set of realizations.
            number: number of the realization in the set, from 0.

        Returns:
            NESTED map, in the unit of the signal.
        """

    @abstractmethod
    def levels(self) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum, on the host in float64.

        Returns:
            C_l for l = 0 to 3 nside - 1, and last the level beyond, in map units squared (sr).
        """


class NoiseMaps(Noise):
    """Realizations that are given as maps.

    Every seed has the maps in an order of its own: seeds share maps where there are fewer than
    they ask for together.

    Args:
        maps: different real NESTED maps `[n p]`, finite and none of them constant, at least 8.

    Attributes:
        maps: as given.

    Raises:
        ValueError: bad maps, fewer than 8, or maps that are all alike.

    Source: `docs/reconstruction.md`, "Noise".
    """

    maps: Float[Array, "n p"]

    def __init__(self, maps: ArrayLike) -> None:
        values = _check_realizations(maps)
        self.maps = jnp.asarray(values)

    @property
    def npix(self) -> int:
        """Number of pixels of a realization."""
        return self.maps.shape[-1]

    @property
    def available(self) -> int:
        """Number of maps."""
        return self.maps.shape[0]

    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, " p"]:
        """Return one of the maps."""
        with jax.threefry_partitionable(True):
            order = jax.random.permutation(random_key(seed), self.available)
        return self.maps[order[number]]

    def levels(self) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum of the maps."""
        return mean_levels(np.asarray(self.maps))


def as_noise(noise: Any, npix: int, *, name: str = "noise") -> Noise:
    """Return a noise model as it is, and an array of realizations `[n p]` as `NoiseMaps`.

    Raises:
        ValueError: neither of them, realizations that `NoiseMaps` refuses, or of another number
            of pixels than the data.
    """
    if not isinstance(noise, Noise):
        values = to_numpy(noise, name=name)
        if values.ndim != 2:
            shape = "" if noise is None else f" of shape {values.shape}"
            raise ValueError(
                f"{name}: got {type(noise).__name__}{shape}, expected a noise model such as "
                "jaxscat.GaussianNoise.white(standard_deviation, nside), or realizations of the "
                f"noise (n, {npix})"
            )
        noise = NoiseMaps(_check_realizations(values, name=name))
    if noise.npix != npix:
        raise ValueError(f"{name}: got maps of {noise.npix} pixels, expected {npix} as the data")
    return noise


def check_realizations(count: Any, noise: Any, *, name: str = "realizations") -> int:
    """Return how many realizations are drawn: the given number, or 64, or all there are.

    Raises:
        ValueError: no integer from 8 to 100000, or more than there are.
    """
    available = noise.available
    if count is None:
        return _REALIZATIONS if available is None else min(_REALIZATIONS, available)
    check_kind(count, int | np.integer, name, "an integer of at least 8, or None")
    if isinstance(count, bool) or count < LEAST_REALIZATIONS:
        raise ValueError(
            f"{name}: got {count}, expected at least {LEAST_REALIZATIONS}: with fewer the mean and "
            "the scatter of coefficients are not known (64 is a good number)"
        )
    if count > MOST_REALIZATIONS:
        raise ValueError(f"{name}: got {count}, expected at most {MOST_REALIZATIONS}")
    if available is not None and count > available:
        raise ValueError(f"{name}: got {count}, expected at most the {available} noise maps given")
    return int(count)


def draw_realization(noise: Noise, seed: int, number: int) -> Float[np.ndarray, " p"]:
    """Return one realization on the host (see `Noise.draw`).

    Raises:
        ValueError: the seed is out of range, or the number beyond the realizations that there are.
    """
    check_seed(seed)
    last = (2**31 if noise.available is None else noise.available) - 1
    if not is_integer(number) or not 0 <= number <= last:
        raise ValueError(f"number: got {number!r}, expected an integer from 0 to {last}")
    return np.asarray(_draw(noise, np.uint32(seed), np.int32(number)))


def mean_levels(
    maps: Float[np.ndarray, "n p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, " l"]:
    """Return the mean C_l of maps for l = 0 to 3 nside - 1, and last the level beyond.

    With a `footprint` of weights, they are the levels of the whole sky that it samples.
    """
    spectra = [angular_power_spectrum(map, footprint) for map in maps]
    spectrum = np.mean(spectra, axis=0)
    weights = np.ones(maps.shape[1]) if footprint is None else np.square(footprint, dtype=float)
    centres = [np.average(map, weights=footprint) for map in maps]
    variances = [
        np.average((map - centre) ** 2, weights=weights)
        for map, centre in zip(maps.astype(np.float64), centres, strict=True)
    ]
    return np.append(spectrum, power_beyond(spectrum, float(np.mean(variances))))


@jax.jit
def _draw(noise: Noise, seed: Array, number: Array) -> Float[Array, " p"]:
    return noise.draw(seed, number)


def random_key(seed: ArrayLike) -> Any:
    """Return the key of a seed, whatever JAX's settings of generators are."""
    zero = jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32), impl="threefry2x32")
    return jax.random.fold_in(zero, seed)


def _check_realizations(maps: ArrayLike, *, name: str = "maps") -> Float[np.ndarray, "n p"]:
    values = to_real(maps, name=name)
    if values.ndim != 2:
        raise ValueError(f"{name}: got shape {values.shape}, expected realizations (n, npix)")
    npix_to_nside(values.shape[1], name=name)
    if len(values) < LEAST_REALIZATIONS:
        raise ValueError(
            f"{name}: got {len(values)} realizations, expected at least {LEAST_REALIZATIONS} (32 "
            "is a good number)"
        )
    check_finite(values, name=name)
    constant = int(np.sum(np.ptp(values, axis=1) == 0))
    if constant:
        raise ValueError(
            f"{name}: got {constant} of {len(values)} realizations with the same value in every "
            "pixel, expected maps of noise"
        )
    spread = float(np.max(np.std(values, axis=1, dtype=np.float64)))
    apart = np.max(np.abs(values[1:] - values[0]), axis=1)
    if not (apart > _ALIKE * spread).all():
        alike = int(np.sum(~(apart > _ALIKE * spread)))
        raise ValueError(
            f"{name}: got {alike} of {len(values)} realizations that are the first one again, "
            "expected different ones"
        )
    return values
