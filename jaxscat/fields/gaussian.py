"""Gaussian noise: white, of a power spectrum, or as two half missions differ."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Bool, Float

from jaxscat.fields.local_variance import local_variance
from jaxscat.fields.noise import Noise, draw_realization, mean_levels, random_key
from jaxscat.harmonics.spectra import smooth_spectrum
from jaxscat.harmonics.tables import LARGEST_NSIDE, HarmonicTables, expand_gains, harmonic_tables
from jaxscat.harmonics.transform import isotropic_filter, synthesis
from jaxscat.maps import (
    check_finite,
    check_map,
    check_mask,
    check_nside,
    npix_to_nside,
    to_real,
)

# Local variances of uniform noise scatter, too, most where it is red. Less than one of a hundred
# exceeds the largest scatter of so many draws by this factor.
_UNEVEN, _SURROGATES = 1.5, 8


class GaussianNoise(Noise):
    """Gaussian noise: an isotropic field times an amplitude that may differ from pixel to pixel.

    Build it by `white`, `of_spectrum` or `of_halves`.

    Attributes:
        amplitude: factor of every pixel, `[p]`, or of all, in the unit of the signal.
        spectrum: C_l of the isotropic field for l = 0 to 3 nside - 1, and last the level beyond;
            None for white noise of unit variance.
        tables: harmonics of the field; None for white noise.
        gains: of the coefficients of the field, from `expand_gains`; None for white noise.
        beyond: factor of white noise beyond the last multipole; None where there is none.
        pixels: number of pixels.

    Source: `docs/reconstruction.md`, "Noise".
    """

    amplitude: Float[Array, "*p"]
    spectrum: Float[np.ndarray, " l"] | None
    tables: HarmonicTables | None
    gains: Float[Array, "k 2 rows 2"] | None
    beyond: Float[Array, ""] | None
    pixels: int = eqx.field(static=True)

    @classmethod
    def white(
        cls, standard_deviation: float | ArrayLike, nside: int, *, dtype: DTypeLike = np.float32
    ) -> "GaussianNoise":
        """Build white noise, which may be stronger in some pixels than in others.

        Args:
            standard_deviation: one number, or a NESTED map of it, `[p]`; in the unit of the signal.
            nside: of the maps.
            dtype: float32 or float64, that of the pyramid.

        Raises:
            ValueError: numbers that are not positive and finite, or a map of another nside.
        """
        nside = check_nside(nside)
        return cls(
            amplitude=jnp.asarray(_check_deviation(standard_deviation, nside), dtype),
            spectrum=None,
            tables=None,
            gains=None,
            beyond=None,
            pixels=12 * nside**2,
        )

    @classmethod
    def of_spectrum(
        cls, spectrum: ArrayLike, nside: int, *, dtype: DTypeLike = np.float32
    ) -> "GaussianNoise":
        """Build isotropic noise of a power spectrum; there is nothing beyond l = 3 nside - 1.

        Args:
            spectrum: C_l from l = 0 on, in map units squared (sr); zero after its end.
            nside: of the maps, up to 256.
            dtype: float32 or float64, that of the pyramid.

        Raises:
            ValueError: numbers that are negative, not finite or all zero, or an nside beyond 256.
        """
        nside = _check_table_nside(check_nside(nside))
        levels = np.zeros(3 * nside + 1)
        given = _check_spectrum(spectrum)[: 3 * nside]
        levels[: given.size] = given
        if not levels.any():
            raise ValueError(f"spectrum: got zero up to l = {3 * nside - 1}, expected some power")
        return _isotropic(levels, nside, np.ones(()), dtype)

    @classmethod
    def of_halves(
        cls,
        first: ArrayLike,
        second: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        dtype: DTypeLike = np.float32,
    ) -> "GaussianNoise":
        """Build the noise of the mean of two half missions, which differ by noise alone.

        Half of their difference has the spectrum of that noise, and its local mean square the
        variance: where that differs over the sky by more than chance, so does the amplitude.

        Args:
            first, second: real NESTED maps `[p]` of one sky, with independent noise.
            mask: zero in the pixels `[p]` that one of them lacks, which may hold anything; None
                if both have data everywhere.
            dtype: float32 or float64, that of the pyramid.

        Raises:
            ValueError: bad maps, of different nsides or beyond nside 256, or equal ones.
        """
        if mask is not None:
            seen = _check_seen(mask, np.size(first), "first")
            first, second = (_without_unseen(map, seen) for map in (first, second))
        one = check_map(first, name="first")
        nside = _check_table_nside(npix_to_nside(one.size, name="first"), name="first: nside")
        other = check_map(second, name="second", nside=nside)
        half = (one.astype(np.float64) - other) / 2
        if np.ptp(half) == 0:
            raise ValueError("second: got the first map again, expected one with other noise")
        return cls.of_realizations(half[None], mask=mask, dtype=dtype)

    @classmethod
    def of_realizations(
        cls, maps: ArrayLike, *, mask: ArrayLike | None = None, dtype: DTypeLike = np.float32
    ) -> "GaussianNoise":
        """Build Gaussian noise with the mean spectrum and the local variance of realizations.

        Args:
            maps: real NESTED maps of noise `[n p]`, one or more.
            mask: zero in the pixels `[p]` that say nothing of the noise; None for none.
            dtype: float32 or float64, that of the pyramid.

        Raises:
            ValueError: bad maps, or of an nside beyond 256.
        """
        values = to_real(maps, name="maps").astype(np.float64)
        if values.ndim != 2 or not len(values):
            raise ValueError(f"maps: got shape {values.shape}, expected realizations (n, npix)")
        seen = None if mask is None else _check_seen(mask, values.shape[1], "maps")
        if seen is not None:
            values = np.where(seen, values, 0.0)
        check_finite(values, name="maps")
        nside = _check_table_nside(npix_to_nside(values.shape[1], name="maps"), name="maps: nside")
        inside = values if seen is None else values[:, seen]
        if not np.ptp(inside, axis=1).all():
            raise ValueError("maps: got the same value in every pixel, expected maps of noise")
        footprint = None if seen is None else seen.astype(np.float64)
        levels = smooth_spectrum(mean_levels(values, footprint))
        uniform = _isotropic(levels, nside, np.ones(()), dtype)
        variance = local_variance(values, nside, seen)
        drawn = np.stack([draw_realization(uniform, 0, number) for number in range(_SURROGATES)])
        by_chance = [np.std(local_variance(map[None], nside, seen)) for map in drawn]
        expected = np.max(by_chance) / np.sqrt(len(values))
        if np.std(variance) <= _UNEVEN * expected:
            return uniform
        return _isotropic(levels, nside, np.sqrt(variance), dtype)

    @property
    def npix(self) -> int:
        """Number of pixels of a realization."""
        return self.pixels

    @property
    def available(self) -> None:
        """As many realizations as are wanted."""
        return None

    @property
    def is_uniform(self) -> bool:
        """Whether all pixels have the same amplitude."""
        return self.amplitude.ndim == 0

    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, " p"]:
        """Return one realization, by functions of JAX (see `Noise.draw`)."""
        key = jax.random.fold_in(random_key(seed), number)
        dtype = self.amplitude.dtype

        def normal(shape: tuple[int, ...]) -> Array:
            with jax.threefry_partitionable(True):
                return jax.random.normal(key, shape, dtype)

        if self.tables is None or self.gains is None:
            return self.amplitude * normal((self.pixels,))
        if self.beyond is None:
            coefficients = normal((*self.gains.shape, 2))
            return self.amplitude * synthesis(self.tables, self.gains[..., None] * coefficients)
        white = normal((self.pixels,))
        filtered = isotropic_filter(self.tables, self.gains, white)
        return self.amplitude * (filtered + self.beyond * white)

    def levels(self) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum: that of the field times the mean square amplitude."""
        square = float(np.mean(np.asarray(self.amplitude, np.float64) ** 2))
        if self.spectrum is None:
            nside = npix_to_nside(self.pixels)
            return np.full(3 * nside + 1, square * 4 * np.pi / self.pixels)
        return square * np.asarray(self.spectrum, np.float64)


def _isotropic(
    levels: Float[np.ndarray, " l"],
    nside: int,
    amplitude: Float[np.ndarray, "*p"],
    dtype: DTypeLike,
) -> GaussianNoise:
    """Build the field of a spectrum and a level beyond, times an amplitude."""
    # Beyond the multipoles white noise is filtered, of which a coefficient has 4 pi / npix.
    orthonormal = 4 * np.pi / (12 * nside**2)
    factors = np.sqrt(levels)
    beyond = None
    if levels[-1] > 0:
        beyond = jnp.asarray(factors[-1] / np.sqrt(orthonormal), dtype)
        factors = (factors - factors[-1]) * np.sqrt(orthonormal)
    return GaussianNoise(
        amplitude=jnp.asarray(amplitude, dtype),
        spectrum=levels,
        tables=harmonic_tables(nside, dtype),
        gains=jnp.asarray(expand_gains(nside, factors[:-1]), dtype),
        beyond=beyond,
        pixels=12 * nside**2,
    )


def _check_seen(mask: ArrayLike, npix: int, of: str) -> Bool[np.ndarray, " p"]:
    """Return the pixels in which a mask is not zero; refuse one of others than the maps have."""
    seen = check_mask(mask) > 0
    if seen.shape != (npix,):
        raise ValueError(f"mask: got shape {seen.shape}, expected ({npix},) as {of}")
    return seen


def _without_unseen(map: ArrayLike, seen: Bool[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Return a map `[p]` with the mean of the seen pixels in all others, which may be NaN there."""
    values = np.asarray(map)
    if values.shape != seen.shape or values.dtype.kind != "f":
        return values  # refused with its name later
    return np.where(seen, values, np.mean(values[seen], dtype=np.float64)).astype(values.dtype)


def _check_table_nside(nside: int, *, name: str = "nside") -> int:
    if nside < 2 or nside > LARGEST_NSIDE:
        raise ValueError(
            f"{name}: got {nside}, expected 2 to {LARGEST_NSIDE} for noise of a power spectrum "
            "(beyond, give realizations of it)"
        )
    return nside


def _check_deviation(deviation: Any, nside: int) -> Float[np.ndarray, "*p"]:
    name = "standard_deviation"
    number = isinstance(deviation, int | np.integer) and not isinstance(deviation, bool)
    values = to_real(float(deviation) if number else deviation, name=name)
    if values.ndim:
        values = check_map(values, name=name, nside=nside, allow_constant=True)
    check_finite(values, name=name)
    if not (values > 0).all():
        raise ValueError(
            f"{name}: got {int(np.sum(~(values > 0)))} of {values.size} that are not positive, "
            "expected positive numbers (and a mask for pixels without data)"
        )
    return values


def _check_spectrum(spectrum: ArrayLike) -> Float[np.ndarray, " l"]:
    values = to_real(spectrum, name="spectrum").astype(np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"spectrum: got shape {values.shape}, expected C_l from l = 0 on, (l,)")
    if not np.isfinite(values).all() or (values < 0).any():
        bad = int(np.sum(~np.isfinite(values) | (values < 0)))
        raise ValueError(
            f"spectrum: got {bad} of {values.size} that are negative or not finite, expected "
            "numbers from 0 up"
        )
    return values
