"""Masked means of products of fields, and their standard errors."""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

ErrorFormula = Literal["pixels", "foscat"]
ERROR_FORMULAS = ("pixels", "foscat")

# Added under the square root of a squared modulus: FOSCAT's value.
_MODULUS_FLOOR = 1e-16

# Of sums of products that are made step by step, at least.
_ROWS_OF_A_STEP = 256
# The same on CPUs, and the number of matrices up to which each has products of its own.
_ROWS_IN_CACHE, _MATRICES = 2048, 16


def modulus(real: Float[Array, "*shape"], imaginary: Float[Array, "*shape"]) -> Array:
    """Return the modulus of a complex field, with a finite gradient at zero.

    Source: FOSCAT's absolute value; `docs/conventions.md`, "Modulus".
    """
    power = real**2 + imaginary**2
    zero = power == 0  # not "> 0", which would make zero of NaN
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, power) + _MODULUS_FLOOR))


def signed_root(value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return `sign(x) sqrt(|x|)` of a real field, with a finite gradient (zero at zero).

    Source: FOSCAT's absolute value; `docs/conventions.md`, "Two maps".
    """
    nonzero = value != 0
    root = jnp.sqrt(jnp.where(nonzero, jnp.abs(value), 1.0) + _MODULUS_FLOOR)
    return jnp.where(nonzero, jnp.sign(value) * root, 0.0)


def signed_root_change(
    centre: Float[Array, ""], change: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Return `signed_root(centre + change) - signed_root(centre)`, precise for small changes."""
    value = centre + change
    alike = value * centre > 0
    # The difference of two roots is that of their squares over their sum.
    roots = jnp.sqrt(jnp.where(alike, jnp.abs(value), 1.0)) + jnp.sqrt(jnp.abs(centre))
    return jnp.where(alike, change / roots, signed_root(value) - signed_root(centre))


def safe_sqrt(value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the square root of positive values, and zero with a zero gradient of others.

    NaN stays NaN.
    """
    others = value <= 0
    return jnp.where(others, 0.0, jnp.sqrt(jnp.where(others, 1.0, value)))


@jax.custom_jvp
def gram(
    fields: Float[Array, "*batch x rows"], weights: Float[Array, "*#batch rows"] | None
) -> Float[Array, "*batch x x"]:
    """Return the Gram matrix of fields: weighted sums over rows of all pairwise products.

    Its symmetry halves the work of the reverse pass.
    """
    return _sum_products(fields, fields, weights)


@partial(gram.defjvp, symbolic_zeros=True)
def _gram_jvp(primals, tangents):
    fields, weights = primals
    sums = gram(fields, weights)
    tangent = jnp.zeros_like(sums)
    if not isinstance(tangents[0], SymbolicZero):
        half = products_at_once(tangents[0], fields, weights)
        tangent = half + half.mT
    if weights is not None and not isinstance(tangents[1], SymbolicZero):
        tangent = tangent + products_at_once(fields, fields, tangents[1])
    return sums, tangent


@jax.custom_jvp
def products(
    left: Float[Array, "*batch x rows"],
    right: Float[Array, "*batch y rows"],
    weights: Float[Array, "*#batch rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return the weighted sums over rows of the products of every `left` with every `right`."""
    return _sum_products(left, right, weights)


@partial(products.defjvp, symbolic_zeros=True)
def _products_jvp(primals, tangents):
    sums = products(*primals)
    tangent = jnp.zeros_like(sums)
    for number, change in enumerate(tangents):
        if primals[number] is not None and not isinstance(change, SymbolicZero):
            operands = (*primals[:number], change, *primals[number + 1 :])
            tangent = tangent + products_at_once(*operands)
    return sums, tangent


def products_at_once(
    left: Float[Array, "*batch x rows"],
    right: Float[Array, "*batch y rows"],
    weights: Float[Array, "*#batch rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return `products` as a single product of matrices, which several devices can share."""
    if weights is not None:
        missing = tuple(range(right.ndim - 1 - weights.ndim))
        right = jnp.expand_dims(weights, (*missing, -2)) * right
    return jnp.einsum("...xr,...yr->...xy", left, right, precision="highest")


def products_in_steps(
    left: Float[Array, "*batch x rows"],
    right: Float[Array, "*batch y rows"],
    weights: Float[Array, "*#batch rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return `products`, summed step by step in the reverse pass, too.

    Errors of rounding do not grow with the number of pixels, and TPUs compile it fast.
    """
    rows = left.shape[-1]
    size = _rows_of_a_step(rows)
    steps = -(-rows // size)

    def split(operand: Array) -> Float[Array, "steps *rest some"]:
        unused = [(0, 0)] * (operand.ndim - 1) + [(0, steps * size - rows)]
        padded = jnp.pad(operand, unused)
        return jnp.moveaxis(padded.reshape(*operand.shape[:-1], -1, size), -2, 0)

    def add(total: Array, step: tuple[Array, ...]) -> tuple[Array, None]:
        one, other, weights = step
        part = gram(one, weights) if other is None else products(one, other, weights)
        return total + part, None

    shape = jax.eval_shape(products_at_once, left, right, weights)
    total = jnp.zeros(shape.shape, shape.dtype)
    operands = left, None if right is left else right, weights
    return jax.lax.scan(add, total, jax.tree.map(split, operands))[0]


def precise_products(
    left: Float[Array, "*batch x rows"],
    right: Float[Array, "*batch y rows"],
    weights: Float[Array, "*#batch rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return `products`, summed step by step on all devices."""
    return jax.lax.platform_dependent(
        left, right, weights, cpu=_products_in_cache, default=products_in_steps
    )


def _sum_products(left: Array, right: Array, weights: Array | None) -> Array:
    if not _in_steps(left.shape[-1]):  # the same on all devices
        return products_at_once(left, right, weights)
    return jax.lax.platform_dependent(
        left, right, weights, cpu=_products_in_cache, default=products_at_once
    )


def _products_in_cache(left: Array, right: Array, weights: Array | None) -> Array:
    """Return `products` of some pixels after the others: up to ten times faster on CPUs."""
    operands, rows = (left, right, weights), left.shape[-1]
    if not _in_steps(rows):
        return products_at_once(*operands)
    size = _ROWS_IN_CACHE

    def of_rows(start: Array | int, size: int) -> Array:
        def cut(operand: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(operand, start, size, -1)

        return _products_one_by_one(*jax.tree.map(cut, operands))

    steps = rows // size
    rest = of_rows(steps * size, rows - steps * size)  # may be none
    return jax.lax.fori_loop(0, steps, lambda i, total: total + of_rows(i * size, size), rest)


def _in_steps(rows: int) -> bool:
    """Return whether sums over some rows are worth longer compilation on CPUs."""
    return rows >= 2 * _ROWS_IN_CACHE or rows == _ROWS_IN_CACHE


def _products_one_by_one(left: Array, right: Array, weights: Array | None) -> Array:
    """Return `products` as one product of matrices after the other, if they are not too many."""
    *batch, _, rows = left.shape
    count = math.prod(batch)
    if not 1 < count <= _MATRICES:
        return products_at_once(left, right, weights)
    if weights is not None:
        weights = jnp.broadcast_to(weights, (*batch, rows)).reshape(count, rows)
    ones, others = (fields.reshape(count, *fields.shape[-2:]) for fields in (left, right))
    found = [
        products_at_once(ones[i], others[i], None if weights is None else weights[i])
        for i in range(count)
    ]
    return jnp.stack(found).reshape(*batch, *found[0].shape)


def _rows_of_a_step(rows: int) -> int:
    # More than some hundred steps would round more than the sums of one step do.
    return _ROWS_OF_A_STEP * -(-rows // (_ROWS_OF_A_STEP << 8))


@partial(jax.jit, static_argnames="formula")
def standard_error_of_mean(
    mean: Array, square: Array, weight: Float[Array, ""], formula: ErrorFormula = "pixels"
) -> Float[Array, "*shape"]:
    """Return the standard error of a mean, treating pixels as independent.

    Args:
        mean: real or complex mean.
        square: mean of the squared modulus; with "foscat" and a complex mean, the complex mean of
            the square.
        weight: sum of the mask.
        formula: "pixels", or "foscat" for the FOSCAT package's formula for complex means.

    Source: `docs/conventions.md`, "Standard errors".
    """
    if formula == "pixels" or not jnp.iscomplexobj(mean):
        return safe_sqrt((jnp.real(square) - jnp.real(mean) ** 2 - jnp.imag(mean) ** 2) / weight)
    spread = square.real - mean.real**2 + square.imag - mean.imag**2
    return safe_sqrt(jnp.abs(spread) / weight)
