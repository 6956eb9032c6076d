"""JAX primitives that are linear in a field and take constant tables, with their transposes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def _linear_jvp(primitive, primals, tangents, **parameters):
    out = primitive.bind(*primals, **parameters)
    if type(tangents[0]) is ad.Zero:
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, primitive.bind(tangents[0], *primals[1:], **parameters)


def _linear_transpose(transposed, cotangent, field, *tables, **parameters):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(field.aval)] + [None] * len(tables)
    return [transposed().bind(cotangent, *tables, **parameters)] + [None] * len(tables)


def _fold_batch(primitive, axes, args, dims, **parameters):
    """Fold a batch into the axis of channels, which share all tables."""
    if any(dim is not None for dim in dims[1:]):
        moved = [
            arg if dim is None else jnp.moveaxis(arg, dim, 0)
            for arg, dim in zip(args, dims, strict=True)
        ]
        mapped = [dim is not None for dim in dims]

        def one(index):
            operands = (
                a[index] if is_mapped else a for a, is_mapped in zip(moved, mapped, strict=True)
            )
            return primitive.bind(*operands, **parameters)

        size = next(a.shape[0] for a, is_mapped in zip(moved, mapped, strict=True) if is_mapped)
        return jax.lax.map(one, jnp.arange(size)), 0
    before, after = axes
    field = jnp.moveaxis(args[0], dims[0], before)
    batch, channels = field.shape[before : before + 2]
    folded = field.reshape(*field.shape[:before], batch * channels, *field.shape[before + 2 :])
    out = primitive.bind(folded, *args[1:], **parameters)
    return out.reshape(*out.shape[:after], batch, channels, *out.shape[after + 1 :]), after


def linear_primitive(
    name: str,
    apply: Callable[..., Array],
    shape: Callable[..., Any],
    transposed: Callable[[], Primitive],
    axes: tuple[int, int],
    on_cpu: Callable[..., Array] | None = None,
) -> Primitive:
    """Define a primitive that is linear in its first operand, a field.

    The others are the leaves of a pytree, its table, whose treedef is the parameter `structure`.

    It is differentiable in forward and reverse mode; `jax.vmap` folds a batch into the channels.

    Args:
        name: name in a jaxpr.
        apply: implementation, a function of the field, the leaves of a table, and its `structure`.
        shape: abstract evaluation: abstract field and tables to the abstract result.
        transposed: returns the primitive of the transpose, which may be defined later.
        axes: which axis holds the channels, before and after.
        on_cpu: a faster implementation for CPUs.
    """
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(apply, static_argnames="structure"))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(apply, multiple_results=False))
    if on_cpu is not None:
        mlir.register_lowering(
            primitive, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu"
        )
    ad.primitive_jvps[primitive] = partial(_linear_jvp, primitive)
    ad.primitive_transposes[primitive] = partial(_linear_transpose, transposed)
    batching.primitive_batchers[primitive] = partial(_fold_batch, primitive, axes)
    return primitive
