"""Standard errors of S0 to S4, taking pixels as independent."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.groups import as_complex, cut_products, gather_scales
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import MaskLike, Measurement, build_measurement
from jaxscat.statistics.moments import (
    ERROR_FORMULAS,
    ErrorFormula,
    precise_products,
    standard_error_of_mean,
)
from jaxscat.statistics.scales import Scale
from jaxscat.statistics.scattering import (
    combine_pairs,
    common_unit,
    mean_and_error,
    newest_modulus,
    real_product,
    sum_pairs,
)
from jaxscat.statistics.sectors import combine_orientations
from jaxscat.statistics.weights import Weights


def standard_error(
    map: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    *,
    second: Float[ArrayLike, " p"] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
    alignment: Alignment | None = None,
    formula: ErrorFormula = "pixels",
) -> ScatteringCovariance:
    """Return the standard error of every coefficient, taking pixels as independent.

    Args:
        map, pyramid, second, mask, mask_threshold, hidden, both_triangles, alignment: as for
            `measure`.
        formula: "pixels", the right one; "foscat", the one of the FOSCAT package for complex
            means, which can come out near zero.

    Returns:
        real arrays of the shapes that `measure` returns; both entries of S0 hold the error of
        the mean.

    Raises:
        ValueError: as `measure`, or the formula is unknown.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> map, other = np.random.default_rng(0).normal(size=(2, 192))  # any NESTED maps
        >>> errors = jaxscat.standard_error(map, pyramid)
        >>> errors.s4.shape, errors.s4.dtype.name
        ((10, 4, 4, 4), 'float32')
        >>> difference = jaxscat.measure(other, pyramid).s1 - jaxscat.measure(map, pyramid).s1
        >>> bool((abs(difference / errors.s1) < 10).all())  # two maps of the same white noise
        True

    Source: `docs/conventions.md`, "Standard errors".
    """
    if formula not in ERROR_FORMULAS:
        raise ValueError(f"formula: got {formula!r}, expected one of {list(ERROR_FORMULAS)}")
    measurement = build_measurement(
        pyramid,
        second=second,
        mask=mask,
        mask_threshold=mask_threshold,
        hidden=hidden,
        both_triangles=both_triangles,
        alignment=alignment,
    )
    return measure_errors(map, measurement, formula)


def measure_errors(
    map: ArrayLike, measurement: Measurement, formula: ErrorFormula
) -> ScatteringCovariance:
    """Return the standard errors of a map under a checked measurement (see `standard_error`)."""
    maps, offsets = measurement.stack(map)
    return measurement.squeeze(_standard_error(maps, measurement, formula, offsets))


@partial(jax.jit, static_argnames="formula")
def _standard_error(
    maps: Float[Array, "m p"],
    measurement: Measurement,
    formula: ErrorFormula,
    offsets: Float[Array, " m"] | None,
) -> ScatteringCovariance:
    s1, groups = [], []
    pyramid, both_triangles = measurement.pyramid, measurement.both_triangles
    for scale in measurement.walk(maps, measurement.covariances):
        weights, covariances = scale.convolved.weights, len(groups) < measurement.covariances
        s1.append(_error_of_real(newest_modulus(scale), scale.weights))
        means, squares = scale.convolved.sum(partial(_sum_pairs_and_squares, formula=formula))
        means, squares = combine_pairs(means), combine_pairs(squares)
        if formula == "pixels":  # real, without parity: combined as real parts
            pairs, exchanged = squares
            squares = pairs[:, :1], None if exchanged is None else exchanged[:, :1]
        mean_groups = cut_products(*means, both_triangles, covariances)
        square_groups = cut_products(*squares, both_triangles, covariances)
        errors = {
            name: standard_error_of_mean(mean, square_groups[name], weights.divisor(mean), formula)
            for name, mean in mean_groups.items()
            if name != "s2"
        }
        if measurement.hidden == "interior":
            errors["s2"] = _error_of_real(real_product(scale), scale.weights)
        else:
            both = as_complex(means[0]), as_complex(squares[0])
            errors["s2"] = _error_of_s2(scale, *both, formula)
        groups.append(errors)
    error = mean_and_error(maps, pyramid, measurement.finest_weights(), offsets)[:, 1]
    s0 = jnp.stack([error, error], axis=-1)
    return gather_scales(s0, s1, groups, both_triangles, common_unit(maps))


def _error_of_real(field: Float[Array, "L sectors rows"], weights: Weights) -> Float[Array, "M L"]:
    mean = combine_orientations(weights.mean(field))
    square = combine_orientations(weights.mean(field**2))
    return standard_error_of_mean(mean, square, weights.divisor(mean))


def _error_of_s2(
    scale: Scale, means: Array, squares: Array, formula: ErrorFormula
) -> Float[Array, "M L"]:
    """Return the error of S2; FOSCAT takes the complex product of two maps for it.

    Source: `docs/conventions.md`, "Two maps".
    """
    mean, square = means[:, :, 0, 0], squares[:, :, 0, 0]
    if scale.newest.shape[0] == 1:
        return standard_error_of_mean(mean.real, square.real, scale.weights.divisor(mean))
    if formula == "foscat":
        return standard_error_of_mean(mean, square, scale.weights.divisor(mean), formula)
    return _error_of_real(real_product(scale), scale.weights)


def _sum_pairs_and_squares(
    fields: Float[Array, "m L sectors 2X rows"], weights: Weights, formula: ErrorFormula
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return the sums of `sum_pairs`, and those for the mean squares of the products."""
    squared = _plain_squares if formula == "foscat" else _squared_moduli
    # Precise: errors are differences of sums.
    means, squares = (sum_pairs(of, weights, precise_products) for of in (fields, squared(fields)))
    return means, squares


def _squared_moduli(
    fields: Float[Array, "m L sectors 2X rows"],
) -> Float[Array, "m L sectors 2X rows"]:
    real, imaginary = jnp.split(fields, 2, axis=-2)
    return jnp.concatenate([real**2 + imaginary**2, jnp.zeros_like(real)], axis=-2)


def _plain_squares(
    fields: Float[Array, "m L sectors 2X rows"],
) -> Float[Array, "m L sectors 2X rows"]:
    real, imaginary = jnp.split(fields, 2, axis=-2)
    return jnp.concatenate([real**2 - imaginary**2, 2 * real * imaginary], axis=-2)
