"""Gaussian maps as differentiable functions of their power spectrum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.harmonics.tables import (
    LARGEST_NSIDE,
    HarmonicTables,
    check_precision,
    harmonic_tables,
    multipole_rows,
    orders,
)
from jaxscat.harmonics.transform import synthesis
from jaxscat.maps import check_nside, is_integer
from jaxscat.statistics.moments import safe_sqrt


class GaussianMaps(eqx.Module):
    """Draws full-sky Gaussian maps of a power spectrum: a simulator, or the core of one.

    There is nothing beyond the last multipole: no noise floor, no beam and no pixel window.

    Attributes:
        tables: of the harmonics.
        multipoles: l of every harmonic coefficient, or `lmax` + 1 if there is none.
        lmax: last multipole.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxscat.inference import GaussianMaps
        >>> draw = GaussianMaps.of(4)
        >>> draw.lmax
        7
        >>> l = jnp.arange(draw.lmax + 1)
        >>> spectrum = jnp.where(l < 2, 0.0, 1.0 / jnp.maximum(l, 1) ** 2)
        >>> draw(spectrum, 0).shape
        (192,)

    Source: `docs/inference.md`, "Simulations".
    """

    tables: HarmonicTables
    multipoles: Int[Array, "k 2 rows 2 2"]
    lmax: int = eqx.field(static=True)

    @classmethod
    def of(
        cls, nside: int, *, lmax: int | None = None, dtype: DTypeLike = np.float32
    ) -> "GaussianMaps":
        """Build the tables with which maps of an nside are drawn, once for all spectra and seeds.

        Args:
            nside: of the maps, 2 to 256.
            lmax: last multipole, odd, up to 3 nside - 1; None for 2 nside - 1, up to which pixels
                represent harmonics well.
            dtype: float32 or float64.

        Raises:
            ValueError: an nside or a last multipole without tables, or another type.

        Source: `docs/inference.md`, "Simulations".
        """
        nside = check_nside(nside)
        if not 2 <= nside <= LARGEST_NSIDE:
            raise ValueError(f"nside: got {nside}, expected 2 to {LARGEST_NSIDE}")
        last = 2 * nside - 1 if lmax is None else lmax
        if not is_integer(last) or last % 2 == 0 or not 1 <= last <= 3 * nside - 1:
            raise ValueError(
                f"lmax: got {lmax!r}, expected an odd multipole up to {3 * nside - 1}, or None"
            )
        last, precision = int(last), check_precision(dtype)
        rows = np.moveaxis(multipole_rows(nside, last), 0, -1)
        multipoles = np.stack([rows, rows], axis=-1)
        # The order m = 0 has no sine.
        multipoles[..., 1][np.broadcast_to((orders(last).T == 0)[:, None, None], rows.shape)] = -1
        return cls(
            tables=harmonic_tables(nside, precision, last),
            multipoles=jnp.asarray(np.where(multipoles < 0, last + 1, multipoles), jnp.int32),
            lmax=last,
        )

    def __call__(self, spectrum: Float[ArrayLike, " l"], seed: ArrayLike) -> Float[Array, " p"]:
        """Draw a Gaussian map of a spectrum, differentiable by it.

        Args:
            spectrum: C_l for l = 0 to `lmax`, in map units squared (sr), from 0 up.
            seed: an integer, or a key of JAX; the same one gives the same random numbers for every
                spectrum.

        Returns:
            NESTED map, in the type of the tables and the unit whose square the spectrum has.

        Raises:
            ValueError: a spectrum of another length.

        Source: `docs/inference.md`, "Simulations".
        """
        powers = jnp.asarray(spectrum, self.tables.legendre.dtype)
        if powers.shape != (self.lmax + 1,):
            raise ValueError(
                f"spectrum: got shape {powers.shape}, expected C_l for l = 0 to {self.lmax}"
            )
        key = jnp.asarray(seed)
        if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
            key = jax.random.key(key)
        return _draw(self, powers, key)


@jax.jit
def _draw(maps: GaussianMaps, powers: Float[Array, " l"], key: Array) -> Float[Array, " p"]:
    white = jax.random.normal(key, maps.multipoles.shape, powers.dtype)
    # Where there is no coefficient, the amplitude is zero.
    amplitudes = jnp.append(safe_sqrt(powers), 0)[maps.multipoles]
    return synthesis(maps.tables, amplitudes * white)
