"""The power of a map in bins of multipoles, as a term of a loss."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.harmonics.tables import HarmonicTables, harmonic_tables, multipole_rows
from jaxscat.harmonics.transform import analysis
from jaxscat.maps import check_nside
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.term import Maps

LARGEST_NSIDE = 256  # tables beyond take more than ten gigabytes


class BandPower(CalibratedTerm):
    """The mean squared distance of the power in bins of multipoles from a target.

    Wavelets tell octaves apart; this sees what happens inside of them.

    Attributes:
        tables: harmonics of the nside of the map.
        bins: number of the bin of every coefficient; the number of bins where it counts in none.
        modes: number of coefficients of every bin, times npix / 4 pi.
        mean: target, the mean C_l of every bin.
        sigma: its uncertainty.
        weight: pixels with data, `[p]`, or None for the whole sky.

    Source: `docs/reconstruction.md`, "Terms".
    """

    tables: HarmonicTables
    bins: Int[Array, "k 2 rows 2"]
    modes: Float[Array, " bins"]
    mean: Float[Array, "*seeds bins"]
    sigma: Float[Array, "*seeds bins"]
    weight: Float[Array, " p"] | None = None

    @classmethod
    def of(
        cls,
        nside: int,
        bins: list[tuple[int, int]],
        *,
        dtype: DTypeLike = np.float32,
        weight: Float[np.ndarray, " p"] | None = None,
    ) -> "BandPower":
        """Build the term of some bins, with a target of zero and a sigma of one.

        Args:
            nside: of the maps, 2 to 256.
            bins: first and last multipole of every bin, ascending, up to 3 nside - 1.
            dtype: float32 or float64.
            weight: weights of the pixels, or None.

        Raises:
            ValueError: an nside that has no tables, or bins that are none.
        """
        nside = check_nside(nside)
        if not 2 <= nside <= LARGEST_NSIDE:
            raise ValueError(f"nside: got {nside}, expected 2 to {LARGEST_NSIDE} for power in bins")
        rows = np.moveaxis(multipole_rows(nside), 0, -1)
        number = np.full(3 * nside + 1, len(bins))
        for place, (low, high) in enumerate(bins):
            if not 0 <= low <= high < 3 * nside or number[low : high + 1].min() < len(bins):
                raise ValueError(
                    f"bins: got {(low, high)}, expected multipoles from 0 to {3 * nside - 1} in "
                    "bins that do not overlap"
                )
            number[low : high + 1] = place
        modes = [sum(2 * multipole + 1 for multipole in range(a, b + 1)) for a, b in bins]
        orthonormal = 4 * np.pi / (12 * nside**2)
        return cls(
            tables=harmonic_tables(nside, dtype),
            bins=jnp.asarray(number[rows], jnp.int32),
            modes=jnp.asarray(np.asarray(modes) / orthonormal**2, dtype),
            mean=jnp.zeros(len(bins), dtype),
            sigma=jnp.ones(len(bins), dtype),
            weight=None if weight is None else jnp.asarray(weight, dtype),
        )

    def measure(self, maps: Maps) -> Float[Array, " bins"]:
        """Return the mean C_l of every bin, in map units squared (sr)."""
        map: Any = maps
        if self.weight is not None:
            map = self.weight * (map - jnp.sum(self.weight * map) / jnp.sum(self.weight))
        square = jnp.sum(analysis(self.tables, map) ** 2, axis=-1)
        count = self.modes.shape[0]
        sums = jax.ops.segment_sum(square.ravel(), self.bins.ravel(), count + 1)
        return sums[:count] / self.modes

    def distance(self, quantities: Float[Array, " bins"]) -> Float[Array, ""]:
        """Return the mean over the bins of the squared distance in units of sigma."""
        return jnp.mean(((quantities - self.mean) / self.sigma) ** 2)

    @property
    def calibration(self) -> tuple[Array, Array]:
        """The target power of every bin, and its uncertainty."""
        return self.mean, self.sigma

    def calibrated(self, mean: Array, sigma: Array) -> "BandPower":
        """Return the term of another target power."""
        return eqx.tree_at(lambda term: (term.mean, term.sigma), self, (mean, sigma))
