"""Summaries: the numbers of a map from which parameters are inferred, and their names."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import check_callable, is_integer, plain_integer
from jaxscat.operators.batching import map_in_groups
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.statistics.coefficients import AbstractCoefficients
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import build_measurement
from jaxscat.statistics.reduction import Reduction
from jaxscat.statistics.scattering import measure_coefficients

GROUPS = ("S0", "S1", "S2", "S3", "S4")
_EXPECTED = "a function of a map and a pyramid that returns coefficients or one vector"

# A function of a map and a pyramid.
SummaryFunction = Callable[[Any, Pyramid], Any]


def _as_tuple(groups: Any) -> Any:
    return tuple(groups) if isinstance(groups, list) else groups


class Summary(eqx.Module):
    """The vector of some groups of coefficients of a map, by default reduced over orientations.

    Attributes:
        groups: names of the groups, of "S0" to "S4". Without S3 and S4 it costs far less.
        reduction: angular reduction; None for all orientations.
        pair_scales: number of scales, from the finest, at which S3 and S4 are measured; None for
            all.
        mask: weights of the pixels, `[p]`, or None. Where they are zero maps may hold anything,
            UNSEEN and NaN included.
        hidden: what becomes of pixels of weight zero: "exclude" or "include", which reads them
            after all (see `jaxscat.measure`). Which scales "interior" leaves is not known while
            many maps are measured together.

    Examples:
        >>> import jaxscat, numpy as np
        >>> from jaxscat.inference import Summary
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> summary = Summary(groups=("S1", "S2"))
        >>> summary.names(pyramid)
        ['S1 j=0', 'S1 j=1', 'S1 j=2', 'S2 j=0', 'S2 j=1', 'S2 j=2']
        >>> summary(np.random.default_rng(0).normal(size=192), pyramid).shape
        (6,)

    Source: `docs/inference.md`, "Simulations".
    """

    groups: tuple[str, ...] = eqx.field(static=True, converter=_as_tuple, default=GROUPS[1:])
    reduction: Reduction | None = eqx.field(static=True, default_factory=IsotropicMean)
    pair_scales: int | None = eqx.field(static=True, converter=plain_integer, default=None)
    mask: Float[Array, " p"] | None = None
    hidden: Hidden = eqx.field(static=True, default="exclude")

    def __check_init__(self):
        known = isinstance(self.groups, tuple) and self.groups and set(self.groups) <= set(GROUPS)
        if not known or len(set(self.groups)) != len(self.groups):
            raise ValueError(f"groups: got {self.groups!r}, expected some of {', '.join(GROUPS)}")
        if not isinstance(self.reduction, Reduction | None):
            raise ValueError(
                f"reduction: got {self.reduction!r}, expected an angular reduction such as "
                "IsotropicMean(), or None"
            )
        scales = self.pair_scales
        if scales is not None and (not is_integer(scales) or scales < 1):
            raise ValueError(f"pair_scales: got {scales!r}, expected an integer from 1 up, or None")
        if self.hidden not in ("exclude", "include"):
            raise ValueError(
                f"hidden: got {self.hidden!r}, expected 'exclude' or 'include' for many maps"
            )
        if self.mask is not None and np.ndim(self.mask) != 1:
            raise ValueError(
                f"mask: got shape {np.shape(self.mask)}, expected one mask of shape (npix,)"
            )

    def __call__(self, map: ArrayLike, pyramid: Pyramid) -> Float[Array, " coefficient"]:
        """Return the numbers of the groups, in the order of `names`.

        Raises:
            ValueError: as `jaxscat.measure`, or more scales of pairs than there are.
        """
        coefficients = self._measure(map, pyramid)
        return coefficients.to_vector()[..., self._chosen(coefficients)]

    def names(self, pyramid: Pyramid) -> list[str]:
        """Return the names of the numbers, in the order in which a call returns them.

        Raises:
            ValueError: as a call.

        Source: `docs/inference.md`, "Simulations".
        """
        coefficients = _shape_of(self._measure, pyramid)
        names = coefficients.vector_names()
        return [names[at] for at in self._chosen(coefficients)]

    def _measure(self, map: ArrayLike, pyramid: Pyramid) -> AbstractCoefficients:
        measurement = build_measurement(pyramid, mask=self.mask, hidden=self.hidden)
        pairs = self.pair_scales
        if pairs is not None and pairs > measurement.covariances:
            raise ValueError(
                f"pair_scales: got {pairs}, expected at most {measurement.covariances}, the number "
                "of scales"
            )
        if not {"S3", "S4"} & set(self.groups):
            pairs = 1  # the fewest that there can be; what is not used is not computed
        coefficients = measure_coefficients(map, measurement, pairs)
        return coefficients if self.reduction is None else self.reduction.mean(coefficients)

    def _chosen(self, coefficients: AbstractCoefficients) -> np.ndarray:
        names = coefficients.vector_names()
        of = [name.removeprefix("Re ").removeprefix("Im ").split()[0] for name in names]
        return np.flatnonzero(np.isin(of, self.groups))


def check_summary(summary: Any) -> SummaryFunction:
    """Return a summary, `Summary()` for None.

    Raises:
        ValueError: it is no function of a map and a pyramid.
    """
    if summary is None:
        return Summary()
    check_callable(summary, 2, "summary", _EXPECTED)
    return summary


def hiding_mask(summary: SummaryFunction) -> np.ndarray | None:
    """Return the mask whose pixels of weight zero a summary does not read, or None."""
    if not isinstance(summary, Summary) or summary.mask is None or summary.hidden == "include":
        return None
    return np.asarray(summary.mask)


def summary_names(summary: SummaryFunction, pyramid: Pyramid) -> tuple[str, ...]:
    """Return the names of the numbers of a summary; plain vectors have their positions as names.

    Raises:
        ValueError: what it returns is no vector.
    """
    if isinstance(summary, Summary):
        # Of a mask, too, only what is known outside a transformation can be checked.
        build_measurement(pyramid, mask=summary.mask, hidden=summary.hidden)
        return tuple(summary.names(pyramid))
    found = _shape_of(summary, pyramid)
    if isinstance(found, AbstractCoefficients | FieldCovariances):
        return tuple(found.vector_names())
    size = _shape_of(lambda map, pyramid: as_vector(summary(map, pyramid)), pyramid).size
    return tuple(str(at) for at in range(size))


def as_vector(found: Any) -> Float[Array, " coefficient"]:
    """Return what a summary has returned as one vector.

    Raises:
        ValueError: it is neither coefficients of one mask nor a real vector.
    """
    if isinstance(found, AbstractCoefficients | FieldCovariances):
        found = found.to_vector()
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape is None or dtype is None or len(shape) != 1 or not shape[0]:
        got = type(found).__name__ if shape is None else f"an array of shape {shape}"
        raise ValueError(f"summary: got {got} from it, expected coefficients or one vector")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"summary: got {dtype} from it, expected real floating-point numbers")
    return found


@eqx.filter_jit
def summarize(
    summary: SummaryFunction, maps: Float[Array, "simulation p"], pyramid: Pyramid
) -> Float[Array, "simulation coefficient"]:
    """Return the vectors of checked maps; compiled once for a summary and a number of maps."""
    arrays, rest = eqx.partition(summary, eqx.is_array)

    def vector(map: Array, arrays: Any, pyramid: Pyramid) -> Array:
        return as_vector(eqx.combine(arrays, rest)(map, pyramid))

    return map_in_groups(vector, maps, arrays, pyramid)


def _shape_of(function: Callable[[Any, Pyramid], Any], pyramid: Pyramid) -> Any:
    """Return what a function of a map and a pyramid returns, with shapes in place of arrays."""
    map = jax.ShapeDtypeStruct((pyramid.spec.npix,), pyramid.spec.dtype)
    return eqx.filter_eval_shape(function, map, pyramid)
