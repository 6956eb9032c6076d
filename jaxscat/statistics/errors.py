"""Standard errors of S0 to S4, taking pixels as independent."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.groups import as_complex, cut_products, gather_scales
from jaxscat.statistics.moments import ERROR_FORMULAS, ErrorFormula, standard_error_of_mean
from jaxscat.statistics.scales import Scale, Weights, walk_masks
from jaxscat.statistics.scattering import (
    Mask,
    common_unit,
    mean_and_error,
    newest_modulus,
    prepare,
    products_of_pairs,
    real_product,
    squeeze_masks,
    walk_in_own_units,
)
from jaxscat.statistics.sectors import combine_orientations


def standard_error(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    *,
    second: Float[Array, " p"] | None = None,
    mask: Mask | None = None,
    mask_threshold: float | Float[Array, " J"] | None = None,
    both_triangles: bool = False,
    alignment: Alignment | None = None,
    formula: ErrorFormula = "pixels",
) -> ScatteringCovariance:
    """Return the standard error of every coefficient, taking pixels as independent.

    Args:
        map, pyramid, second, mask, mask_threshold, both_triangles, alignment: as for `measure`.
        formula: "pixels", the right one; "foscat", the one of the FOSCAT package for complex
            means, which can come out near zero.

    Returns:
        real arrays of the shapes that `measure` returns; both entries of S0 hold the error of
        the mean.

    Raises:
        ValueError: as `measure`, or the formula is unknown.

    Source: `docs/conventions.md`, "Standard errors".
    """
    if formula not in ERROR_FORMULAS:
        raise ValueError(f"formula: got {formula!r}, expected one of {list(ERROR_FORMULAS)}")
    maps, mask, threshold = prepare(
        map, pyramid, second, mask, mask_threshold, both_triangles, alignment
    )
    errors = _standard_error(maps, pyramid, mask, threshold, both_triangles, alignment, formula)
    return squeeze_masks(errors, mask)


@partial(jax.jit, static_argnames=("both_triangles", "formula"))
def _standard_error(
    maps: Float[Array, "m p"],
    pyramid: Pyramid,
    mask: Mask | None,
    threshold: Float[Array, " J"] | None,
    both_triangles: bool,
    alignment: Alignment | None,
    formula: ErrorFormula,
) -> ScatteringCovariance:
    s1, groups = [], []
    scales = pyramid.spec.scales
    for scale in walk_in_own_units(maps, pyramid, mask, threshold, scales, alignment):
        weights = scale.weights
        s1.append(_error_of_real(newest_modulus(scale), weights))
        means = products_of_pairs(scale.convolved, weights.precise_products)
        if formula == "foscat":
            squares = products_of_pairs(_plain_squares(scale.convolved), weights.precise_products)
        else:
            powers = _squared_moduli(scale.convolved)
            pairs, exchanged = products_of_pairs(powers, weights.precise_products)
            # Real, without parity: combined as real parts.
            squares = pairs[:, :1], None if exchanged is None else exchanged[:, :1]
        mean_groups = cut_products(*means, both_triangles, covariances=True)
        square_groups = cut_products(*squares, both_triangles, covariances=True)
        errors = {
            name: standard_error_of_mean(mean, square_groups[name], weights.divisor(mean), formula)
            for name, mean in mean_groups.items()
            if name != "s2"
        }
        errors["s2"] = _error_of_s2(scale, as_complex(means[0]), as_complex(squares[0]), formula)
        groups.append(errors)
    error = mean_and_error(maps, pyramid, next(walk_masks(mask, pyramid, threshold)))[:, 1]
    s0 = jnp.stack([error, error], axis=-1)
    return gather_scales(s0, s1, groups, both_triangles, common_unit(maps))


def _error_of_real(field: Float[Array, "rows L sectors"], weights: Weights) -> Float[Array, "M L"]:
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
    if scale.convolved.shape[0] == 1:
        return standard_error_of_mean(mean.real, square.real, scale.weights.divisor(mean))
    if formula == "foscat":
        return standard_error_of_mean(mean, square, scale.weights.divisor(mean), formula)
    return _error_of_real(real_product(scale), scale.weights)


def _squared_moduli(
    fields: Float[Array, "m L sectors rows 2X"],
) -> Float[Array, "m L sectors rows 2X"]:
    real, imaginary = jnp.split(fields, 2, axis=-1)
    return jnp.concatenate([real**2 + imaginary**2, jnp.zeros_like(real)], axis=-1)


def _plain_squares(
    fields: Float[Array, "m L sectors rows 2X"],
) -> Float[Array, "m L sectors rows 2X"]:
    real, imaginary = jnp.split(fields, 2, axis=-1)
    return jnp.concatenate([real**2 - imaginary**2, 2 * real * imaginary], axis=-1)
