"""The histogram of a map made Gaussian, and maps with a Gaussian histogram brought back to it."""

from __future__ import annotations

from statistics import NormalDist

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from jaxscat.maps import check_finite, to_real


class Gaussianization(eqx.Module):
    """The increasing relation between the values of one map and standard normal values.

    It is one monotone cubic spline, from normal values to map values. Beyond its outermost knots
    it goes on as a straight line with the slope it has there: a map that leaves the range of the
    original meets no wall, and gradients do not vanish. Both methods are compiled, once per shape,
    and can be mapped and differentiated.

    Attributes:
        values: distinct values of the map, ascending, in its unit.
        normals: the normal value of each, ascending, without unit.
        slopes: derivative of the value with respect to the normal value at each, positive.

    Source: Fritsch & Carlson 1980, SIAM Journal on Numerical Analysis 17, 238;
    `docs/conventions.md`, "Gaussianization".
    """

    values: Float[Array, " knots"]
    normals: Float[Array, " knots"]
    slopes: Float[Array, " knots"]

    @eqx.filter_jit
    def inverse(self, normal: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
        """Return the map values of normal values: the spline itself.

        NaN stays NaN. The result has the unit of the map and the type of the knots.

        Source: `docs/conventions.md`, "Gaussianization".
        """
        normal = jnp.asarray(normal, self.normals.dtype)
        within = _nearest_within(self.normals, normal)
        piece = _piece(self.normals, within)
        start, width = self.normals[piece], self.normals[piece + 1] - self.normals[piece]
        increase = _increase((within - start) / width, *self._rises(piece))
        beyond = self._outer_slope(normal < self.normals[0]) * (normal - within)
        # Inside, the line is chosen away: its steep slope would drown the gradient in rounding.
        return self.values[piece] + increase + jnp.where(normal == within, 0, beyond)

    @eqx.filter_jit
    def forward(self, map: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
        """Return the normal values of map values: the solution of `inverse(normal) = map`.

        NaN stays NaN. The result has no unit and the type of the knots. Each value is found by
        bisection between two knots; derivatives are those of the implicit function.

        Source: `docs/conventions.md`, "Gaussianization".
        """
        map = jnp.asarray(map, self.values.dtype)
        within = _nearest_within(self.values, map)
        piece = _piece(self.values, within)
        start, width = self.normals[piece], self.normals[piece + 1] - self.normals[piece]
        rises, wanted = self._rises(piece), within - self.values[piece]
        fraction = jax.lax.custom_root(
            # Differences to the knot below keep the digits that values close to it would lose.
            lambda trial: _increase(trial, *rises) - wanted,
            jnp.full_like(within, 0.5),
            _bisect,
            # Every pixel is an equation of its own, so the Jacobian is its action on ones.
            lambda jacobian, right: right / jacobian(jnp.ones_like(right)),
        )
        beyond = (map - within) / self._outer_slope(map < self.values[0])
        return start + fraction * width + jnp.where(map == within, 0, beyond)

    def _rises(self, piece):
        """How far pieces of the spline rise, and would rise by the slope at either end."""
        width = self.normals[piece + 1] - self.normals[piece]
        rise = self.values[piece + 1] - self.values[piece]
        return rise, self.slopes[piece] * width, self.slopes[piece + 1] * width

    def _outer_slope(self, low):
        return jnp.where(low, self.slopes[0], self.slopes[-1])


def gaussianize(
    map: ArrayLike, *, weights: ArrayLike | None = None
) -> tuple[Float[Array, " p"], Gaussianization]:
    """Give a map the histogram of standard normal numbers, the order of its pixels kept.

    The pixel of rank i among N gets the normal quantile of (i - 1/2) / N; equal pixels get that
    of their mean rank. Works on the host, in float64; the result has the type of the map (float32
    where JAX has no 64-bit mode).

    Args:
        map: [p], at least two pixels, any unit and any part of the sky; not constant.
        weights: [p], how much each pixel counts in ranks, such as a mask. A pixel of weight zero
            takes part in no rank; the relation of the others maps it too.

    Returns:
        the normal map, without unit, and the relation that made it: `relation.forward(map)` is
        the normal map, `relation.inverse(normal)` the map.

    Raises:
        ValueError: complex, boolean or non-numeric values; other than one dimension; less than
            two pixels; NaN, infinite or UNSEEN pixels; less than two distinct values of positive
            weight; values too large or too close for their type; weights of another shape, not
            finite, negative or all zero.

    Source: `docs/conventions.md`, "Gaussianization".
    """
    array = to_real(map)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(
            f"map: got an array of shape {array.shape}, expected one map of at least two pixels"
        )
    check_finite(array, name="map")
    # Pixels that are equal in the type of the result are equal here.
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    check_finite(array, name="map")
    mass = np.ones(array.size) if weights is None else _check_weights(weights, array.size)
    inside = mass > 0
    values, group = np.unique(array[inside], return_inverse=True)
    if values.size < 2:
        where = "" if inside.all() else " of positive weight"
        raise ValueError(
            f"map: got the same value {values[0]:g} in every pixel{where}, "
            "expected a map that varies"
        )
    normals = _normal_quantiles(np.bincount(group.ravel(), mass[inside])).astype(dtype)
    # Quantiles closer than the type resolves, and the knots there, become one.
    normals, kept = np.unique(normals, return_index=True)
    relation = _through(normals, values[kept])
    return relation.forward(jnp.asarray(array)), relation


def _check_weights(weights: ArrayLike, npix: int) -> np.ndarray:
    array = np.asarray(weights)
    # Weights of 0 and 1 lose nothing as float, so this needs no warning.
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
    """Normal quantiles of the middles of adjacent shares of probability, not decreasing."""
    below = np.cumsum(mass) - mass / 2
    above = np.cumsum(mass[::-1])[::-1] - mass / 2
    # Counted from the nearer end, the upper tail is as exact as the lower one.
    tail = np.minimum(below, above) / (below + above)
    quantile = NormalDist().inv_cdf
    lower = np.array([quantile(share) for share in np.clip(tail, 1e-300, 0.5).tolist()])
    return np.maximum.accumulate(np.where(below <= above, lower, -lower))


def _through(normals: np.ndarray, values: np.ndarray) -> Gaussianization:
    """The spline through ascending knots; its slopes are worked out in float64.

    Source: weighted harmonic means inside, Fritsch & Butland 1984, SIAM Journal on Scientific and
    Statistical Computing 5, 300.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        width = np.diff(normals.astype(np.float64))
        secant = np.diff(values.astype(np.float64)) / width
        before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        inner = (before + after) / (before / secant[:-1] + after / secant[1:])
        # The usual one-sided formula can make an outer slope zero, and the line beyond it a wall.
        slopes = np.concatenate([secant[:1], inner, secant[-1:]]).astype(values.dtype)
    limits = np.finfo(values.dtype)
    if not ((slopes >= limits.tiny) & (slopes <= limits.max)).all():
        raise ValueError(
            f"map: got values from {values[0]:g} to {values[-1]:g}, whose differences "
            f"{values.dtype} cannot hold, expected a map in another unit"
        )
    return Gaussianization(jnp.asarray(values), jnp.asarray(normals), jnp.asarray(slopes))


def _piece(knots: Float[Array, " knots"], points: Float[Array, "*batch p"]):
    """Number of the knot below each point; the last knot belongs to the last piece."""
    return jnp.clip(jnp.searchsorted(knots, points, side="right") - 1, 0, knots.size - 2)


def _nearest_within(knots: Float[Array, " knots"], points: Float[Array, "*batch p"]):
    """The points, moved to the outermost knots from beyond them; NaN stays.

    Unlike `jnp.clip` this leaves the gradient at the outermost knots whole.
    """
    return jnp.where(points < knots[0], knots[0], jnp.where(points > knots[-1], knots[-1], points))


def _increase(fraction, rise, rise_first, rise_last):
    """The cubic of Hermite on [0, 1] that is 0 at 0 and `rise` at 1."""
    t, rest = fraction, 1 - fraction
    return rise * t**2 * (3 - 2 * t) + rise_first * t * rest**2 - rise_last * t**2 * rest


def _bisect(function, guess):
    """Zeros in [0, 1] of an increasing function, one for each entry, to the last bit."""

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        above = function(middle) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    steps = jnp.finfo(guess.dtype).nmant + 4
    bracket = (jnp.zeros_like(guess), jnp.ones_like(guess))
    return jax.lax.fori_loop(0, steps, halve, bracket)[0]
