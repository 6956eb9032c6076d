"""What is left of contaminant and noise when channels are combined into one map."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from jaxscat.fields.noise import Noise
from jaxscat.harmonics.tables import LARGEST_NSIDE, HarmonicTables, expand_gains, harmonic_tables
from jaxscat.harmonics.transform import isotropic_filter

# Seeds of the parts of one realization are so far from each other.
_NEXT_PART = 0x9E3779B9


class ChannelFilter(eqx.Module):
    """The sum of several channels, each multiplied by weights in every multipole.

    Weights of which the products with the mixing have the sum one keep a signal as it is, to
    rounding, because the filter is linear in them.

    Attributes:
        tables: harmonics; None where no weight depends on the multipole.
        gains: weights less those beyond, of all coefficients.
        beyond: weights of what multipoles do not describe.

    Source: `docs/reconstruction.md`, "Channels".
    """

    tables: HarmonicTables | None
    gains: Float[Array, "c k 2 rows 2"] | None
    beyond: Float[Array, " c"]

    @classmethod
    def of(cls, weights: Float[np.ndarray, "c l"], nside: int, dtype: DTypeLike) -> "ChannelFilter":
        """Build the filter of weights from `combination_weights`.

        Raises:
            ValueError: weights that depend on the multipole, at an nside beyond 256.
        """
        beyond = jnp.asarray(weights[:, -1], dtype)
        if np.ptp(weights, axis=1).max() <= 1e-12 * np.abs(weights).max():
            return cls(None, None, beyond)
        if not 2 <= nside <= LARGEST_NSIDE:
            raise ValueError(
                f"channels: got nside {nside}, expected 2 to {LARGEST_NSIDE} for weights that "
                "depend on the multipole"
            )
        orthonormal = 4 * np.pi / (12 * nside**2)
        gains = [expand_gains(nside, (of[:-1] - of[-1]) * orthonormal) for of in weights]
        return cls(harmonic_tables(nside, dtype), jnp.asarray(np.stack(gains), dtype), beyond)

    def __call__(self, channels: Float[Array, "c p"]) -> Float[Array, " p"]:
        """Return the combination, in the type of the filter."""
        channels = channels.astype(self.beyond.dtype)
        combined = self.beyond @ channels
        if self.tables is None or self.gains is None:
            return combined
        for gains, channel in zip(self.gains, channels, strict=True):
            combined = combined + isotropic_filter(self.tables, gains, channel)
        return combined


class CombinedNoise(Noise):
    """Contaminant and noise of several channels in their combination.

    Attributes:
        filter: how channels are combined.
        contaminant: the same in all channels, or None.
        noise: of every channel, or None.
        spectrum: mean power of the combination.
        pixels: number of pixels.

    Source: `docs/reconstruction.md`, "Channels".
    """

    filter: ChannelFilter
    contaminant: Noise | None
    noise: tuple[Noise | None, ...]
    spectrum: Any
    pixels: int = eqx.field(static=True)

    @property
    def npix(self) -> int:
        """Number of pixels of a realization."""
        return self.pixels

    @property
    def available(self) -> int | None:
        """Number of realizations, that of the part with the fewest."""
        parts = [part for part in (self.contaminant, *self.noise) if part is not None]
        known = [part.available for part in parts if part.available is not None]
        return min(known) if known else None

    def draw(self, seed: ArrayLike, number: ArrayLike) -> Float[Array, " p"]:
        """Return one realization: parts are drawn for themselves, and combined as the data are."""
        dtype = self.filter.beyond.dtype
        common = jnp.zeros(self.pixels, dtype)
        if self.contaminant is not None:
            common = self.contaminant.draw(seed, number).astype(dtype)
        channels = []
        for place, part in enumerate(self.noise):
            own = jnp.asarray(seed, jnp.uint32) + jnp.uint32(_NEXT_PART) * jnp.uint32(place + 1)
            drawn = 0 if part is None else part.draw(own, number).astype(dtype)
            channels.append(common + drawn)
        return self.filter(jnp.stack(channels))

    def levels(self) -> Float[np.ndarray, " l"]:
        """Return the mean power spectrum."""
        return np.asarray(self.spectrum, np.float64)
