"""JAX primitives that are linear in a field and take constant tables, with their transposes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def _linear_jvp(primitive, primals, tangents):
    out = primitive.bind(*primals)
    if type(tangents[0]) is ad.Zero:
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, primitive.bind(tangents[0], *primals[1:])


def _linear_transpose(transposed, cotangent, field, *tables):
    if type(cotangent) is ad.Zero:
        return [ad.Zero(field.aval)] + [None] * len(tables)
    return [transposed().bind(cotangent, *tables)] + [None] * len(tables)


def _fold_batch(primitive, lead, args, dims):
    """Fold a batch into the axis of fields, which every gathered row carries along."""
    if any(dim is not None for dim in dims[1:]):
        moved = [
            arg if dim is None else jnp.moveaxis(arg, dim, 0)
            for arg, dim in zip(args, dims, strict=True)
        ]
        mapped = [dim is not None for dim in dims]

        def one(index):
            return primitive.bind(
                *(a[index] if is_mapped else a for a, is_mapped in zip(moved, mapped, strict=True))
            )

        size = next(a.shape[0] for a, is_mapped in zip(moved, mapped, strict=True) if is_mapped)
        return jax.lax.map(one, jnp.arange(size)), 0
    field = jnp.moveaxis(args[0], dims[0], lead)
    batch, fields = field.shape[lead], field.shape[lead + 1]
    shape = field.shape
    out = primitive.bind(
        field.reshape(*shape[:lead], batch * fields, *shape[lead + 2 :]), *args[1:]
    )
    axis = 3 - lead  # the axis of fields moves by one: later in apply_matrix, else earlier
    split = out.reshape(*out.shape[:axis], batch, fields, *out.shape[axis + 1 :])
    return split, axis


def _as_one_call(apply):
    """Prevent XLA from inlining a computation.

    Its CPU compiler would otherwise fuse the computation into every use of the result, and repeat
    all gathers there.
    """
    together = jax.jit(apply)

    def call(*operands):
        with set_xla_metadata(inlineable="false"):
            return together(*operands)

    return call


def linear_primitive(
    name: str,
    apply: Callable[..., Array],
    on_cpu: Callable[..., Array],
    shape: Callable[..., Any],
    transposed: Callable[[], Primitive],
    lead: int,
) -> Primitive:
    """Define a primitive that is linear in its first operand, a field; the others are its tables.

    It is differentiable in forward and reverse mode, and `jax.vmap` folds a batch into the fields.

    Args:
        name: name in a jaxpr.
        apply: implementation, a function of the field and the tables.
        on_cpu: a faster implementation for CPUs.
        shape: abstract evaluation: abstract field and tables to the abstract result.
        transposed: returns the primitive of the transpose, which may be defined later.
        lead: number of axes before the field's axis of fields.
    """
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(apply))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(apply, multiple_results=False))
    mlir.register_lowering(
        primitive, mlir.lower_fun(_as_one_call(on_cpu), multiple_results=False), platform="cpu"
    )
    ad.primitive_jvps[primitive] = partial(_linear_jvp, primitive)
    ad.primitive_transposes[primitive] = partial(_linear_transpose, transposed)
    batching.primitive_batchers[primitive] = partial(_fold_batch, primitive, lead)
    return primitive
