"""The distance of the scattering covariances of several fields from a target, as a term."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import describe
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.chi_square import mean_square_distance
from jaxscat.objectives.field_target import FieldTarget, check_field_target
from jaxscat.objectives.term import Maps
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.fields import measure_pairs, prepare_fields


class FieldScattering(CalibratedTerm):
    """The mean chi-square of the pairs of several fields, of which each is convolved once.

    Attributes:
        pyramid: operators for the nside of the fields.
        target: coefficients, their uncertainties, and how fields are measured.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/polarization.md`, "Loss".
    """

    pyramid: Pyramid
    target: FieldTarget

    def __check_init__(self) -> None:
        check_field_target(self.target, self.pyramid)

    def measure(self, maps: Maps) -> FieldCovariances:
        """Return the coefficients of fields in the form of the target's.

        Args:
            maps: dictionary of maps with the fields of the target; others may be there.

        Raises:
            ValueError: as `jaxscat.measure_fields`, or fields are missing.
        """
        fields = self.target.fields
        if not isinstance(maps, Mapping) or any(field not in maps for field in fields):
            got = ", ".join(map(str, maps)) if isinstance(maps, Mapping) else describe(maps)
            raise ValueError(
                f"maps: got {got}, expected maps of the fields {', '.join(fields)} as in the target"
            )
        measurement = self.target.measurement(self.pyramid)
        prepared = prepare_fields({field: maps[field] for field in fields}, measurement)
        scales = self.target.covariance_scales
        found = measure_pairs(prepared, measurement, self.target.pairs, scales)
        return self.target.comparable(found)

    def distance(self, quantities: FieldCovariances) -> Float[Array, ""]:
        """Return the mean chi-square over the pairs of coefficients from `measure`."""
        return jnp.mean(jnp.stack(list(self.distances(quantities).values())))

    def distances(self, quantities: FieldCovariances) -> dict[str, Float[Array, ""]]:
        """Return the chi-square of every pair of coefficients from `measure`, by name."""
        target = self.target
        return {
            name: mean_square_distance(found, mean, sigma, target.weights)
            for (name, found), mean, sigma in zip(
                quantities.items(), target.mean.statistics, target.sigma.statistics, strict=True
            )
        }

    @property
    def calibration(self) -> tuple[FieldCovariances, FieldCovariances]:
        """The coefficients of the target, and their uncertainties."""
        return self.target.mean, self.target.sigma

    def calibrated(self, mean: FieldCovariances, sigma: FieldCovariances) -> "FieldScattering":
        """Return the term of other coefficients, measured in the same way."""
        return eqx.tree_at(lambda term: (term.target.mean, term.target.sigma), self, (mean, sigma))


def fields_loss(
    maps: Mapping[str, Float[ArrayLike, " p"]], pyramid: Pyramid, target: FieldTarget
) -> Float[Array, ""]:
    """Return the mean chi-square over the pairs of several fields, a real scalar.

    Args:
        maps: real NESTED maps by field, those of the target.
        pyramid: operators for their nside.
        target: from `make_field_target`.

    Raises:
        ValueError: as `measure_fields`; fields of the target that are missing.

    Examples:
        >>> import jax, jaxscat, numpy as np
        >>> t, e = np.random.default_rng(0).gamma(2.0, size=(2, 192))  # any NESTED maps
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> target = jaxscat.make_field_target({"T": t, "E": e}, pyramid)
        >>> bool(jaxscat.fields_loss({"T": t, "E": e}, pyramid, target) < 1e-6)
        True
        >>> start = {"T": e, "E": t}
        >>> loss, gradient = jax.value_and_grad(jaxscat.fields_loss)(start, pyramid, target)
        >>> bool(loss > 0), gradient["T"].shape
        (True, (192,))

    Source: `docs/polarization.md`, "Loss".
    """
    return FieldScattering(pyramid, target)(maps)
