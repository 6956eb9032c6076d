"""Gaussianization: a monotone map between pixel values and standard normal values."""

from __future__ import annotations

from statistics import NormalDist

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import check_finite, to_numpy, to_real, unseen_pixels


class Gaussianization(eqx.Module):
    """Monotone relation between the pixel values of a map and standard normal values.

    A monotone cubic spline from normal values to map values, extrapolated linearly beyond the
    outermost knots, so that maps may leave the range of the original without gradients vanishing.
    Both methods are jitted and work under `jax.vmap` and `jax.grad`.

    Attributes:
        values: distinct values of the map, ascending, in its unit.
        normals: normal value of each, ascending, dimensionless.
        slopes: derivative of the value with respect to the normal value at each knot, positive.

    Source: Fritsch & Carlson 1980, SIAM Journal on Numerical Analysis 17, 238;
    `docs/conventions.md`, "Gaussianization".
    """

    values: Float[Array, " knots"]
    normals: Float[Array, " knots"]
    slopes: Float[Array, " knots"]

    def inverse(self, normal: Float[ArrayLike, "*batch p"]) -> Float[Array, "*batch p"]:
        """Transform normal values to map values, by evaluating the spline.

        NaN stays NaN. The result has the unit of the map and the dtype of the knots. Raises
        ValueError for what is no array of real numbers.
        """
        return self._inverse(_as_floats(normal, self.normals.dtype, "normal"))

    @eqx.filter_jit
    def _inverse(self, normal: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
        within = _nearest_within(self.normals, normal)
        piece = _piece(self.normals, within)
        start, width = self.normals[piece], self.normals[piece + 1] - self.normals[piece]
        increase = _increase((within - start) / width, *self._rises(piece))
        beyond = self._outer_slope(normal < self.normals[0]) * (normal - within)
        # Inside, the line must not enter: its steep slope would drown the gradient in rounding.
        return self.values[piece] + increase + jnp.where(normal == within, 0, beyond)

    def forward(self, map: Float[ArrayLike, "*batch p"]) -> Float[Array, "*batch p"]:
        """Transform map values to normal values, by solving `inverse(normal) = map`.

        NaN stays NaN. The result is dimensionless and has the dtype of the knots. The equation is
        solved by bisection between two knots, and differentiated implicitly. Raises ValueError as
        `inverse`.
        """
        return self._forward(_as_floats(map, self.values.dtype, "map"))

    @eqx.filter_jit
    def _forward(self, map: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
        within = _nearest_within(self.values, map)
        piece = _piece(self.values, within)
        start, width = self.normals[piece], self.normals[piece + 1] - self.normals[piece]
        rises, increase = self._rises(piece), within - self.values[piece]
        fraction = jax.lax.custom_root(
            # Differences to the knot below keep the digits of values close to it.
            lambda trial: _increase(trial, *rises) - increase,
            jnp.full_like(within, 0.5),
            _bisect,
            # The equations of the pixels are independent: the Jacobian is diagonal.
            lambda jacobian, right: right / jacobian(jnp.ones_like(right)),
        )
        beyond = (map - within) / self._outer_slope(map < self.values[0])
        return start + fraction * width + jnp.where(map == within, 0, beyond)

    def _rises(self, piece):
        """Return the rise of pieces of the spline, and their rise by the slope at either end."""
        width = self.normals[piece + 1] - self.normals[piece]
        rise = self.values[piece + 1] - self.values[piece]
        return rise, self.slopes[piece] * width, self.slopes[piece + 1] * width

    def _outer_slope(self, low):
        return jnp.where(low, self.slopes[0], self.slopes[-1])


def gaussianize(
    map: ArrayLike, *, weights: ArrayLike | None = None
) -> tuple[Float[Array, " p"], Gaussianization]:
    """Transform a map to a standard normal histogram, keeping the order of its pixel values.

    The pixel of rank i among N gets the normal quantile of (i - 1/2) / N; equal pixels get the
    quantile of their mean rank. Runs on the host in float64; the result has the dtype of the map
    (float32 while x64 is off).

    Args:
        map: [p], at least two pixels, in any unit and of any part of the sky; not constant.
        weights: [p], weights of the pixels in ranks, such as a mask. Pixels of zero weight do not
            count in ranks; they are transformed by the relation of the others, and may hold NaN
            or UNSEEN.

    Returns:
        the dimensionless normal map, and the relation: `relation.forward(map)` is the normal map,
        `relation.inverse(normal)` is the map.

    Raises:
        ValueError: complex, boolean or non-numeric values; more or less than one dimension; fewer
            than two pixels; NaN, infinite or UNSEEN pixels of positive weight; fewer than two
            distinct values of positive weight; values too large or too close for their dtype;
            weights of another shape, not finite, negative or all zero.

    Examples:
        >>> import jaxscat, numpy as np
        >>> map = np.exp(np.random.default_rng(0).normal(size=192))  # a skewed histogram
        >>> normal, relation = jaxscat.gaussianize(map)
        >>> f"{float(normal.std()):.1f}"
        '1.0'
        >>> bool(np.allclose(relation.inverse(normal), map, rtol=1e-4))
        True

    Source: `docs/conventions.md`, "Gaussianization".
    """
    array = to_real(map)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(
            f"map: got an array of shape {array.shape}, expected one map of at least two pixels"
        )
    mass = np.ones(array.size) if weights is None else _check_weights(weights, array.size)
    # Without weight and without a value: any number will do.
    absent = (mass == 0) & (~np.isfinite(array) | unseen_pixels(array))
    array = np.where(absent, array[np.argmax(mass > 0)], array)
    check_finite(array, name="map")
    # Rounded first: pixels that are equal in the dtype of the result share a rank.
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    check_finite(array, name="map")
    inside = mass > 0
    values, group = np.unique(array[inside], return_inverse=True)
    if values.size < 2:
        where = "" if inside.all() else " of positive weight"
        raise ValueError(
            f"map: got the same value {values[0]:g} in every pixel{where}, "
            "expected a map that varies"
        )
    normals = _normal_quantiles(np.bincount(group.ravel(), mass[inside])).astype(dtype)
    # Knots whose quantiles are equal in this dtype are merged.
    normals, kept = np.unique(normals, return_index=True)
    relation = _fit_spline(normals, values[kept])
    return relation.forward(jnp.asarray(array)), relation


def _as_floats(values: ArrayLike, dtype: np.dtype, name: str) -> Float[Array, "*batch p"]:
    """Return numbers in the type of the knots; NaN passes."""
    given = values if isinstance(values, jax.Array) else to_numpy(values, name=name)
    if given.dtype.kind not in "fiu":
        raise ValueError(f"{name}: got {given.dtype} of shape {given.shape}, expected real numbers")
    return jnp.asarray(given, dtype)


def _check_weights(weights: ArrayLike, npix: int) -> np.ndarray:
    array = to_numpy(weights, name="weights")
    # No warning: weights of 0 and 1 are exact as floats.
    array = array.astype(float) if array.dtype.kind in "biu" else to_real(array, name="weights")
    if array.shape != (npix,):
        raise ValueError(f"weights: got an array of shape {array.shape}, expected ({npix},)")
    check_finite(array, name="weights")
    if (array < 0).any() or not array.any():
        raise ValueError(
            f"weights: got values from {array.min():g} to {array.max():g}, expected weights from "
            "0 up and at least one positive"
        )
    return array.astype(np.float64) / array.max()


def _normal_quantiles(mass: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return the normal quantiles of the midpoints of adjacent probability masses, ascending."""
    below = np.cumsum(mass) - mass / 2
    above = np.cumsum(mass[::-1])[::-1] - mass / 2
    # Measured from the nearer end, so that the upper tail is as precise as the lower one.
    tail = np.minimum(below, above) / (below + above)
    quantile = NormalDist().inv_cdf
    lower = np.array([quantile(share) for share in np.clip(tail, 1e-300, 0.5).tolist()])
    return np.maximum.accumulate(np.where(below <= above, lower, -lower))


def _fit_spline(normals: np.ndarray, values: np.ndarray) -> Gaussianization:
    """Build the spline through ascending knots, with slopes computed in float64.

    Inner slopes are the weighted harmonic means of Fritsch & Butland 1984, SIAM Journal on
    Scientific and Statistical Computing 5, 300.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        width = np.diff(normals.astype(np.float64))
        secant = np.diff(values.astype(np.float64)) / width
        before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        inner = (before + after) / (before / secant[:-1] + after / secant[1:])
        # Secants at the ends: the usual one-sided formula can give a slope of zero there.
        slopes = np.concatenate([secant[:1], inner, secant[-1:]]).astype(values.dtype)
    limits = np.finfo(values.dtype)
    if not ((slopes >= limits.tiny) & (slopes <= limits.max)).all():
        raise ValueError(
            f"map: got values from {values[0]:g} to {values[-1]:g}, whose differences "
            f"{values.dtype} cannot hold, expected a map in another unit"
        )
    return Gaussianization(jnp.asarray(values), jnp.asarray(normals), jnp.asarray(slopes))


def _piece(knots: Float[Array, " knots"], points: Float[Array, "*batch p"]):
    """Return the index of the spline piece of each point; the last knot is in the last piece."""
    return jnp.clip(jnp.searchsorted(knots, points, side="right") - 1, 0, knots.size - 2)


def _nearest_within(knots: Float[Array, " knots"], points: Float[Array, "*batch p"]):
    """Clip points to the range of the knots; NaN stays NaN.

    Unlike with `jnp.clip`, the gradient at the outermost knots is one.
    """
    return jnp.where(points < knots[0], knots[0], jnp.where(points > knots[-1], knots[-1], points))


def _increase(fraction, rise, rise_first, rise_last):
    """Evaluate the cubic Hermite polynomial on [0, 1] from 0 to `rise`."""
    t, rest = fraction, 1 - fraction
    return rise * t**2 * (3 - 2 * t) + rise_first * t * rest**2 - rise_last * t**2 * rest


def _bisect(function, guess):
    """Find the zeros in [0, 1] of an increasing function, elementwise, to the last bit."""

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        above = function(middle) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    steps = jnp.finfo(guess.dtype).nmant + 4
    bracket = (jnp.zeros_like(guess), jnp.ones_like(guess))
    return jax.lax.fori_loop(0, steps, halve, bracket)[0]
