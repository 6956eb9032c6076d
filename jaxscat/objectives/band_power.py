"""The power of a map in bins of multipoles, as a term of a loss."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxscat.harmonics.tables import LARGEST_NSIDE, HarmonicTables, harmonic_tables, multipole_rows
from jaxscat.harmonics.transform import analysis
from jaxscat.maps import check_mask, check_nside, is_integer
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.term import Maps


class BandPower(CalibratedTerm):
    """The mean squared distance of the power in bins of multipoles from a target.

    Wavelets tell octaves apart; this sees what happens inside of them.

    Attributes:
        tables: harmonics of the nside of the map.
        bins: number of the bin of every coefficient; the number of bins where it counts in none.
        modes: number of coefficients of every bin, times (npix / 4 pi)^2 and the mean square of the
            weights.
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
            weight: weights of the pixels, from 0 up, or None.

        Raises:
            ValueError: an nside that has no tables, bins that are none or overlap, or bad weights.
        """
        nside = check_nside(nside)
        if not 2 <= nside <= LARGEST_NSIDE:
            raise ValueError(f"nside: got {nside}, expected 2 to {LARGEST_NSIDE} for power in bins")
        rows = np.moveaxis(multipole_rows(nside), 0, -1)
        number, modes = _number_multipoles(bins, nside)
        orthonormal = 4 * np.pi / (12 * nside**2)
        if weight is not None:
            weight = check_mask(weight, 12 * nside**2, name="weight")
            if weight.ndim != 1:
                raise ValueError(f"weight: got shape {weight.shape}, expected (npix,)")
            modes = modes * np.mean(weight**2, dtype=np.float64)
        return cls(
            tables=harmonic_tables(nside, dtype),
            bins=jnp.asarray(number[rows], jnp.int32),
            modes=jnp.asarray(modes / orthonormal**2, dtype),
            mean=jnp.zeros(modes.size, dtype),
            sigma=jnp.ones(modes.size, dtype),
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


def _number_multipoles(
    bins: Any, nside: int
) -> tuple[Int[np.ndarray, " l"], Float[np.ndarray, " bins"]]:
    """Return the number of the bin of every multipole, and of coefficients in every bin.

    Multipoles of no bin, and last what is no multipole, have the number of bins.
    """
    last = 3 * nside - 1
    if not isinstance(bins, Sequence) or not bins:
        raise ValueError(f"bins: got {bins!r}, expected at least one (first, last) multipole")
    number, modes = np.full(last + 2, len(bins)), np.zeros(len(bins))
    for place, edges in enumerate(bins):
        pair = isinstance(edges, Sequence) and len(edges) == 2 and all(map(is_integer, edges))
        low, high = edges if pair else (0, -1)
        if not 0 <= low <= high <= last or number[low : high + 1].min() < len(bins):
            raise ValueError(
                f"bins: got {edges!r}, expected (first, last) multipoles from 0 to {last} in bins "
                "that do not overlap"
            )
        number[low : high + 1] = place
        modes[place] = (high + 1) ** 2 - low**2
    return number, modes
