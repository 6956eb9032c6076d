"""S0 to S4 of one map, and their standard errors."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxscat import maps
from jaxscat.operators.pyramid import Pyramid, PyramidSpec
from jaxscat.operators.symmetry import fold
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.moments import (
    ERROR_FORMULAS,
    ErrorFormula,
    safe_sqrt,
    standard_error_of_mean,
)
from jaxscat.statistics.scales import Weights, in_own_unit, walk_scales
from jaxscat.statistics.sectors import combine_orientations, combine_products


def measure(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    *,
    mask: Float[Array, " p"] | Float[Array, "M p"] | None = None,
) -> ScatteringCovariance:
    """Measure the scattering covariance of one map.

    The function is pure and works under `jax.jit`, `jax.grad`, `jax.jvp` and `jax.vmap`; called
    on concrete arrays it compiles itself once per shape.

    Args:
        map: real NESTED map in the type of the pyramid.
        pyramid: operators for its nside.
        mask: weights of the pixels in all means, none negative; with a leading axis `M`, several
            masks whose results stand on a leading axis of every coefficient.

    Returns:
        coefficients in the unit of the map (S0, S1) or its square (S2, S3, S4); S0[1] is the
        standard error of the mean.

    Raises:
        ValueError: wrong shape or type, values that are not finite, a mask without weight.

    Source: Delouis et al. 2022, A&A 668, A122, section 3; `docs/conventions.md`, "Statistics".
    """
    map, mask = prepare(map, mask, pyramid.spec)
    return squeeze_masks(measure_scales(map, pyramid, mask, pyramid.spec.scales), mask)


def standard_error(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    *,
    mask: Float[Array, " p"] | Float[Array, "M p"] | None = None,
    formula: ErrorFormula = "pixels",
) -> ScatteringCovariance:
    """Return the standard error of every coefficient of one map, taking pixels as independent.

    Args:
        map, pyramid, mask: as for `measure`.
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
    map, mask = prepare(map, mask, pyramid.spec)
    return squeeze_masks(_standard_error(map, pyramid, mask, formula), mask)


def prepare(map: Array, mask: Array | None, spec: PyramidSpec) -> tuple[Array, Array | None]:
    """Check a map and a mask as far as their values are known, in the type of the pyramid.

    Under a transformation of JAX only shapes and types are known and checked.

    Raises:
        ValueError: as `measure` says.
    """
    return _prepare_map(map, spec), None if mask is None else _prepare_mask(mask, spec)


def _prepare_map(map: Array, spec: PyramidSpec) -> Array:
    if isinstance(map, Tracer):
        _check_traced("map", map, [(spec.npix,)])
        return jnp.asarray(map, spec.dtype)
    checked = maps.check_map(map, name="map", nside=spec.nside, allow_constant=True)
    return jnp.asarray(checked, spec.dtype)


def _prepare_mask(mask: Array, spec: PyramidSpec) -> Array:
    if isinstance(mask, Tracer):
        _check_traced("mask", mask, [(spec.npix,), ("M", spec.npix)])
        return jnp.asarray(mask, spec.dtype)
    return jnp.asarray(maps.check_mask(mask, spec.npix, name="mask"), spec.dtype)


def _check_traced(name: str, array: Array, shapes: list[tuple]) -> None:
    fits = any(len(shape) == array.ndim and array.shape[-1] == shape[-1] for shape in shapes)
    if not fits or not jnp.issubdtype(array.dtype, jnp.floating):
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"{name}: got {array.dtype} of shape {array.shape}, expected real floats of shape "
            f"{expected}"
        )


def squeeze_masks(statistics: ScatteringCovariance, mask: Array | None) -> ScatteringCovariance:
    """Drop the axis of masks unless the mask has one."""
    if mask is not None and mask.ndim == 2:
        return statistics
    return jax.tree.map(lambda group: group[0], statistics)


def _select_scales(products: Float[Array, "M parts L X X"]) -> tuple[Array, Array]:
    """Cut the products of one scale `j3` into its parts of S3 and S4; axis 2 becomes that of j."""
    masks, parts, orientations, size, _ = products.shape
    scales = (size - 1) // orientations
    s3 = products[..., 0, 1:].reshape(masks, parts, orientations, scales, orientations)
    s4 = products[..., 1:, 1:].reshape(masks, parts, orientations, *(scales, orientations) * 2)
    # Axes l3, j1, l1, j2, l2 become j1, l2, l1, l3 at every j2 in turn.
    s4 = [s4[..., : j2 + 1, :, j2, :].transpose(0, 1, 3, 5, 4, 2) for j2 in range(scales)]
    return s3.transpose(0, 1, 3, 4, 2), jnp.concatenate(s4, axis=2)


def _gather_groups(s0: Array, s1: list, s2: list, products: list) -> ScatteringCovariance:
    """Put the scales of every group on one axis.

    Products are `[M, parts, L, X, X]` for every scale: real and imaginary part, or real numbers.
    """
    groups = zip(*[_select_scales(scale) for scale in products], strict=True)
    s3, s4 = (_complex(jnp.concatenate(group, axis=2)) for group in groups)
    return ScatteringCovariance(
        s0=s0, s1=jnp.stack(s1, axis=1), s2=jnp.stack(s2, axis=1), s3=s3, s4=s4
    )


@partial(jax.jit, static_argnames="covariances")
def measure_scales(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    mask: Float[Array, " p"] | Float[Array, "M p"] | None,
    covariances: int,
) -> ScatteringCovariance:
    """Measure one map without checks, with S3 and S4 at the finest `covariances` scales only.

    Returns:
        coefficients with a leading axis of masks (of length one without a mask).

    Source: `docs/conventions.md`, "Statistics".
    """
    s0, s1, s2, products = [], [], [], []
    own, unit = in_own_unit(map)
    for scale in walk_scales(own, pyramid, mask, covariances):
        if not s0:
            s0.append(_mean_and_error(map, scale.weights, pyramid.spec))
        s1.append(combine_orientations(scale.weights.mean(scale.newest)))
        combined = combine_products(scale.weights.products(scale.convolved))
        s2.append(combined[:, 0, :, 0, 0])
        if len(products) < covariances:
            products.append(combined)
    return _in_unit(_gather_groups(s0[0], s1, s2, products), unit)


@partial(jax.jit, static_argnames="formula")
def _standard_error(
    map: Array, pyramid: Pyramid, mask: Array | None, formula: ErrorFormula
) -> ScatteringCovariance:
    s0, s1, s2, products = [], [], [], []
    own, unit = in_own_unit(map)
    for scale in walk_scales(own, pyramid, mask, pyramid.spec.scales):
        weights = scale.weights
        if not s0:
            error = _mean_and_error(map, weights, pyramid.spec)[:, 1]
            s0.append(jnp.stack([error, error], axis=-1))
        mean = combine_orientations(weights.mean(scale.newest))
        square = combine_orientations(weights.mean(scale.newest**2))
        s1.append(standard_error_of_mean(mean, square, weights.divisor(mean)))
        means = _complex(combine_products(weights.precise_products(scale.convolved)))
        real, imaginary = jnp.split(scale.convolved, 2, axis=-1)
        # Products of squared moduli are real and have no parity: they are combined as real parts.
        power = jnp.concatenate([real**2 + imaginary**2, jnp.zeros_like(real)], axis=-1)
        squares = combine_products(weights.precise_products(power))[:, 0]
        mean, square = means[:, :, 0, 0], squares[:, :, 0, 0]
        s2.append(standard_error_of_mean(mean.real, square, weights.divisor(mean)))
        if formula == "foscat":
            plain = jnp.concatenate([real**2 - imaginary**2, 2 * real * imaginary], axis=-1)
            squares = _complex(combine_products(weights.precise_products(plain)))
        products.append(
            standard_error_of_mean(means, squares, weights.divisor(means), formula)[:, None]
        )
    return _in_unit(_gather_groups(s0[0], s1, s2, products), unit)


def _in_unit(statistics: ScatteringCovariance, unit: Float[Array, ""]) -> ScatteringCovariance:
    """Give S1 to S4 of a map the unit in which it was measured; S0 has it already."""
    return ScatteringCovariance(
        s0=statistics.s0,
        s1=statistics.s1 * unit,
        s2=statistics.s2 * unit**2,
        s3=statistics.s3 * unit**2,
        s4=statistics.s4 * unit**2,
    )


def _complex(parts: Float[Array, "M parts *rest"]) -> Array:
    """Join real and imaginary parts; numbers without imaginary part stay real."""
    return jax.lax.complex(parts[:, 0], parts[:, 1]) if parts.shape[1] == 2 else parts[:, 0]


def _mean_and_error(
    map: Float[Array, " p"], weights: Weights, spec: PyramidSpec
) -> Float[Array, "M 2"]:
    folded = fold(map, spec.sectors)
    mean = weights.mean(folded).sum(-1)
    # Taken about the mean: the difference of two large squares would lose digits.
    spread = jnp.stack(
        [weights.mean((folded - centre) ** 2).sum(-1)[m] for m, centre in enumerate(mean)]
    )
    return jnp.stack([mean, safe_sqrt(spread / weights.total)], axis=-1)
