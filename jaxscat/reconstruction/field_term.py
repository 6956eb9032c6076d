"""Several unknown fields beside known ones: their term of the loss, and their parametrization."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.fields.pairs import Pair, check_pairs, order_fields, pair_name
from jaxscat.objectives.calibrated import CalibratedTerm
from jaxscat.objectives.chi_square import hinged_distance
from jaxscat.objectives.field_scattering import FieldScattering
from jaxscat.objectives.field_target import FieldTarget
from jaxscat.objectives.target import covariance_scales
from jaxscat.operators.pyramid import Pyramid
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.fields import measure_pairs, prepare_fields
from jaxscat.statistics.measurement import build_measurement


class StackScattering(CalibratedTerm):
    """The chi-square of pairs of fields, of which some are unknown and others known.

    It is one where no group of coefficients is further from its target than noise explains.

    Attributes:
        term: of all fields by name.
        known: maps of the known fields.
        fields: names of the unknown ones, in the order of their maps.

    Source: `docs/polarization.md`, "Denoising".
    """

    term: FieldScattering
    known: dict[str, Float[Array, " p"]]
    fields: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        fields: tuple[str, ...],
        known: Mapping[str, Float[np.ndarray, " p"]],
        pairs: tuple[Pair, ...],
        pyramid: Pyramid,
    ) -> "StackScattering":
        """Build the term with targets of the right shapes, but no meaning yet.

        Args:
            fields: names of the unknown fields.
            known: maps of the others.
            pairs: of fields, each with an unknown one.
            pyramid: operators of the whole sphere.
        """
        spec = pyramid.spec
        measurement = replace(build_measurement(pyramid), constant_mask=True)
        names = order_fields([*fields, *known])
        scales = covariance_scales(spec, None)

        def measured(maps: Any) -> FieldCovariances:
            return measure_pairs(prepare_fields(maps, measurement), measurement, pairs, scales)

        maps = {name: jax.ShapeDtypeStruct((spec.npix,), np.dtype(spec.dtype)) for name in names}
        shapes = jax.eval_shape(measured, maps)
        target = FieldTarget(
            mean=jax.tree.map(lambda of: np.zeros(of.shape, of.dtype), shapes),
            sigma=jax.tree.map(lambda of: np.ones(of.shape, spec.dtype), shapes),
            levels={name: jnp.asarray([0, 1], spec.dtype) for name in names},
            weights="balanced",
        )
        kept = {name: jnp.asarray(map, spec.dtype) for name, map in known.items()}
        return cls(FieldScattering(pyramid, target), kept, fields)

    def measure(self, maps: Float[Array, "f p"]) -> FieldCovariances:
        """Return the coefficients of the unknown fields, alone and with one another and others."""
        unknown = dict(zip(self.fields, maps, strict=True))
        return self.term.measure({**unknown, **self.known})

    def distance(self, quantities: FieldCovariances) -> Float[Array, ""]:
        """Return the mean chi-square over the pairs and their groups, each at least one.

        No group makes up for another one by fitting the noise in it.
        """
        mean, sigma = self.term.calibration
        each = zip(quantities.statistics, mean.statistics, sigma.statistics, strict=True)
        return jnp.mean(jnp.stack([hinged_distance(*of) for of in each]))

    @property
    def calibration(self) -> tuple[FieldCovariances, FieldCovariances]:
        """The coefficients of the target, and their uncertainties."""
        return self.term.calibration

    def calibrated(self, mean: FieldCovariances, sigma: FieldCovariances) -> "StackScattering":
        """Return the term of other coefficients, measured in the same way."""
        return eqx.tree_at(lambda stack: stack.term, self, self.term.calibrated(mean, sigma))


class StackPixels(Parametrization):
    """All pixels of several fields, each field in a unit of its own.

    Attributes:
        units: standard deviation of every field, about.
        npix: number of pixels of a map.

    Source: `docs/conventions.md`, "Parametrizations".
    """

    units: Float[np.ndarray, " f"]
    npix: int = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of pixels of all fields."""
        return self.npix * self.units.shape[0]

    def maps(self, parameters: Float[Array, " n"]) -> Float[Array, "f p"]:
        """Return the maps of parameters, which stand one field after the other."""
        return jnp.asarray(self.units)[:, None] * parameters.reshape(-1, self.npix)

    def parameters(self, maps: Any) -> Float[np.ndarray, " n"]:
        """Return the parameters of maps; on the host."""
        stacked: np.ndarray = np.asarray(maps)
        return np.ravel(stacked / np.asarray(self.units)[:, None])


def check_unknown_pairs(
    pairs: Sequence[str | Pair] | None, fields: tuple[str, ...], known: Mapping[str, Any]
) -> tuple[Pair, ...]:
    """Return pairs of fields of which one at least is unknown; None stands for all of them.

    Args:
        pairs: as for `denoise_fields`.
        fields: names of the unknown fields.
        known: the others.

    Raises:
        ValueError: as `check_pairs`; a pair of known fields alone; an unknown field without a pair.
    """
    chosen = check_pairs(pairs, order_fields([*fields, *known]))
    asked = tuple(pair for pair in chosen if any(field in fields for field in pair))
    if pairs is not None and len(asked) < len(chosen):
        (alone, *_) = (pair for pair in chosen if pair not in asked)
        raise ValueError(
            f"pairs: got {pair_name(alone)} of templates alone, expected pairs with one of the "
            f"fields {', '.join(fields)}"
        )
    for field in fields:
        if not any(field in pair for pair in asked):
            raise ValueError(f"pairs: got none with the field {field}, expected one for each field")
    return asked
