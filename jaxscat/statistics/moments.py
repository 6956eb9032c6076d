"""Masked means of products of fields, and their standard errors."""

from collections.abc import Callable
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

# Of one sum of products that is made step by step.
_PIXELS_OF_A_STEP = 256


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
    fields: Float[Array, "*batch x sectors rows"], weights: Float[Array, "sectors rows"] | None
) -> Float[Array, "*batch x x"]:
    """Return the Gram matrix of fields: weighted sums over pixels of all pairwise products.

    Its symmetry halves the work of the reverse pass.
    """
    return products(fields, fields, weights)


@partial(gram.defjvp, symbolic_zeros=True)
def _gram_jvp(primals, tangents):
    fields, weights = primals
    sums = gram(fields, weights)
    tangent = jnp.zeros_like(sums)
    if not isinstance(tangents[0], SymbolicZero):
        half = products(tangents[0], fields, weights)
        tangent = half + half.mT
    if weights is not None and not isinstance(tangents[1], SymbolicZero):
        tangent = tangent + products(fields, fields, tangents[1])
    return sums, tangent


def products(
    left: Float[Array, "*batch x sectors rows"],
    right: Float[Array, "*batch y sectors rows"],
    weights: Float[Array, "sectors rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return the weighted sums over pixels of the products of every `left` with every `right`."""
    if weights is not None:
        right = weights * right
    return jnp.einsum("...xsr,...ysr->...xy", left, right, precision="highest")


def gram_in_steps(
    fields: Float[Array, "*batch x sectors rows"], weights: Float[Array, "sectors rows"] | None
) -> Float[Array, "*batch x x"]:
    """Return `gram`, summed step by step (see `products_in_steps`)."""
    return _in_steps(gram, fields, weights=weights)


def products_in_steps(
    left: Float[Array, "*batch x sectors rows"],
    right: Float[Array, "*batch y sectors rows"],
    weights: Float[Array, "sectors rows"] | None,
) -> Float[Array, "*batch x y"]:
    """Return `products`, summed over some pixels at a time.

    Errors of rounding do not grow with the number of pixels, and TPUs compile it fast.
    """
    return _in_steps(products, left, right, weights=weights)


def _in_steps(
    sums: Callable[..., Array],
    *fields: Float[Array, "*batch x sectors rows"],
    weights: Array | None,
) -> Array:
    operands = (*fields, weights)
    pixels = fields[0].shape[-2] * fields[0].shape[-1]
    if pixels <= _PIXELS_OF_A_STEP:
        return sums(*operands)
    # More than a thousand steps would round more than the sums of one step do.
    size = _PIXELS_OF_A_STEP * -(-pixels // (_PIXELS_OF_A_STEP << 10))
    missing = -pixels % size

    def split(operand: Array) -> Float[Array, "steps *batch x some"]:
        flat = operand.reshape(*operand.shape[:-2], -1)
        flat = jnp.pad(flat, [(0, 0)] * (flat.ndim - 1) + [(0, missing)])
        return jnp.moveaxis(flat.reshape(*flat.shape[:-1], -1, size), -2, 0)

    def add(total: Array, step: tuple[Array, ...]) -> tuple[Array, None]:
        return total + sums(*jax.tree.map(lambda some: some[..., None, :], step)), None

    shape = jax.eval_shape(sums, *operands)
    return jax.lax.scan(add, jnp.zeros(shape.shape, shape.dtype), jax.tree.map(split, operands))[0]


def combine_parts(sums: Float[Array, "M L 2X 2Y"]) -> Float[Array, "M 2 L X Y"]:
    """Return sums of products of convolved fields as real and imaginary part of `a conj(b)`.

    Of the fields, the real parts stand before the imaginary parts.
    """
    left, right = (size // 2 for size in sums.shape[-2:])
    real = sums[..., :left, :right] + sums[..., left:, right:]
    imaginary = sums[..., left:, :right] - sums[..., :left, right:]
    return jnp.stack([real, imaginary], axis=1)


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
