"""The distance of a map's scattering covariance from a target, as a term of a loss."""

from collections.abc import Callable, Hashable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import to_numpy
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.chi_square import Comparable, compare, weighted_distance
from jaxscat.objectives.target import Target, check_target
from jaxscat.objectives.term import Maps, select_maps
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.power import measure_power
from jaxscat.statistics.scattering import measure_coefficients


class Scattering(CalibratedTerm):
    """The chi-square of one map, without computing what the target does not use.

    Attributes:
        pyramid: operators for the nside of the map.
        target: coefficients, their uncertainties, and how maps are measured.
        selection: which of several maps is measured: None for the only one, a key, or a function
            of the pytree of maps (one that is defined once: another one is compiled anew).

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Objective".
    """

    pyramid: Pyramid
    target: Target
    selection: Hashable | Callable[[Maps], Array] = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_target(self.target, self.pyramid)

    @classmethod
    def of(
        cls,
        target: Target,
        pyramid: Pyramid,
        *,
        selection: Hashable | Callable[[Maps], Array] = None,
    ) -> "Scattering":
        """Build the term of a target.

        Args:
            target: from `make_target`.
            pyramid: operators of the target.
            selection: which of several maps is measured (see the class).

        Raises:
            ValueError: the target is not of this pyramid.
        """
        return cls(pyramid, target, selection)

    def measure(self, maps: Maps) -> Comparable:
        """Return the coefficients of a map in the form of the target's.

        Raises:
            ValueError: as `jaxscat.measure`.
        """
        map = select_maps(maps, self.selection)
        return _measure(map, self.pyramid, self.target)

    def distance(self, quantities: Comparable) -> Float[Array, ""]:
        """Return the chi-square of coefficients from `measure`, a real scalar."""
        return weighted_distance(quantities, self.target)

    @property
    def calibration(self) -> tuple[Comparable, Comparable]:
        """The coefficients of the target, and their uncertainties."""
        return self.target.mean, self.target.sigma

    def calibrated(self, mean: Comparable, sigma: Comparable) -> "Scattering":
        """Return the term of other coefficients, measured in the same way."""
        # Not built anew: with an axis of seeds, the shapes are not those of one target.
        return eqx.tree_at(lambda term: (term.target.mean, term.target.sigma), self, (mean, sigma))


class MeanScattering(Scattering):
    """The chi-square of the mean coefficients of several maps, `[n p]`.

    It constrains the maps on average only: each of them may differ from the target as long as the
    others make up for it, and their scatter about the mean is free.

    Attributes:
        pyramid, target, selection: as for `Scattering`.

    Source: FOSCAT's loss of a batch; Campeti et al. 2025; `docs/conventions.md`, "Ensembles".
    """

    def measure(self, maps: Maps) -> Comparable:
        """Return the mean coefficients of the maps in the form of the target's.

        Raises:
            ValueError: as `jaxscat.measure`.
        """
        several = select_maps(maps, self.selection)
        if not isinstance(several, jax.Array):
            several = to_numpy(several, name="maps")
        if several.ndim != 2 or several.shape[-1] != self.pyramid.spec.npix:
            raise ValueError(
                f"maps: got {several.dtype} of shape {several.shape}, expected several maps "
                f"(n, {self.pyramid.spec.npix})"
            )
        each = jax.vmap(lambda map: _measure(map, self.pyramid, self.target))(several)
        return jax.tree.map(lambda group: jnp.mean(group, axis=0), each)


def map_loss(map: Float[ArrayLike, " p"], pyramid: Pyramid, target: Target) -> Float[Array, ""]:
    """Return the chi-square of a map, without computing what the target does not use.

    `jax.vmap` works on it; `grouped_vmap` takes many maps in the groups that a CPU does best.

    Args:
        map: real NESTED map; measured together with the target's second map, if it has one.
        pyramid: operators for its nside.
        target: coefficients to compare with.

    Returns:
        real scalar.

    Raises:
        ValueError: as `measure`.

    Examples:
        >>> import jax, jaxscat, numpy as np
        >>> original = np.random.default_rng(0).gamma(2.0, size=192)  # any NESTED map
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> target = jaxscat.make_target(original, pyramid)
        >>> start = jaxscat.gaussian_noise(original, seed=0)
        >>> loss, gradient = jax.value_and_grad(jaxscat.map_loss)(start, pyramid, target)
        >>> bool(loss > jaxscat.map_loss(original, pyramid, target)), gradient.shape
        (True, (192,))

    Source: `docs/conventions.md`, "Objective".
    """
    return Scattering(pyramid, target)(map)


def mean_loss(maps: Float[ArrayLike, "n p"], pyramid: Pyramid, target: Target) -> Float[Array, ""]:
    """Return the chi-square of the mean coefficients of several maps.

    It constrains the maps on average only: each of them may differ from the target as long as the
    others make up for it, and their scatter about the mean is free.

    Args:
        maps: real NESTED maps; each is measured as for `map_loss`, and normalized and reduced by
            itself before the mean is taken.
        pyramid, target: as for `map_loss`.

    Returns:
        real scalar.

    Raises:
        ValueError: as `measure`.

    Source: FOSCAT's loss of a batch; Campeti et al. 2025; `docs/conventions.md`, "Ensembles".
    """
    return MeanScattering(pyramid, target)(maps)


def _measure(map: Float[Array, " p"], pyramid: Pyramid, target: Target) -> Comparable:
    """Measure a map in the form of the target's coefficients."""
    measurement = target.measurement(pyramid)
    statistics = measure_coefficients(map, measurement, target.covariance_scales)
    power = None
    if target.normalization is not None and target.normalization.power is None:
        power = measure_power(map, measurement)
    return compare(statistics, target, power)
