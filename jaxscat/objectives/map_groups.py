"""Functions of one map that `jax.vmap` takes to many in groups: few maps at once are in the cache.

A group is folded into the channels of the operators (see `jaxscat.operators.linear_primitive`), so
that one gathered row serves all of it; on a CPU one group follows the other.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

# Most pixels of a group on a CPU, measured by `experiments/benchmarks`; at least two maps.
_PIXELS = 24576


def scalar_function(function: Callable[..., Array]) -> Callable[..., Array]:
    """Let a real function of a map and other operands be batched in groups, and its gradient too.

    Args:
        function: from a real map `[p]` and any pytrees to a real scalar.

    Returns:
        the same function. Its derivative by the map comes from its gradient, which is computed
        beside the value; those by other operands are as ever.
    """
    both = jax.value_and_grad(function)
    grouped, grouped_both = in_groups(function), in_groups(both)

    @jax.custom_jvp
    def call(map: Array, *others: Any) -> Array:
        return grouped(map, *others)

    # Further derivatives are those of the plain function: a grouped one has none backwards.
    @jax.custom_jvp
    def sloped(map: Array, *others: Any) -> tuple[Array, Array]:
        return grouped_both(map, *others)

    @sloped.defjvp
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return jax.jvp(both, tuple(primals), tuple(tangents))

    @partial(call.defjvp, symbolic_zeros=True)
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Array, Array]:
        change, *rest = tangents
        if not all(isinstance(tangent, SymbolicZero) for tangent in jax.tree.leaves(rest)):
            return jax.jvp(function, tuple(primals), jax.tree.map(_instantiated, tuple(tangents)))
        value, gradient = sloped(*primals)
        return value, jnp.sum(gradient * _instantiated(change))

    return call


def in_groups(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `jax.vmap` over the first operand, a map, evaluate a function group by group on a CPU."""
    call = jax.custom_batching.custom_vmap(function)

    @call.def_vmap
    def _(size: int, batched: Sequence[Any], maps: Array, *others: Any) -> tuple[Any, Any]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        folded = jax.vmap(function, axes)
        group = group_size(size, maps.shape[-1])
        if group == size or axes[0] is None or any(axis == 0 for axis in jax.tree.leaves(axes[1:])):
            out = folded(maps, *others)
        else:

            def one_by_one(maps: Array, *others: Any) -> Any:
                groups = maps.reshape(-1, group, *maps.shape[1:])
                found = jax.lax.map(lambda few: folded(few, *others), groups)
                return jax.tree.map(lambda leaf: leaf.reshape(size, *leaf.shape[2:]), found)

            out = jax.lax.platform_dependent(maps, *others, cpu=one_by_one, default=folded)
        return out, jax.tree.map(lambda _: True, out)

    return call


def group_size(size: int, npix: int) -> int:
    """Return how many of a number of maps are evaluated at once on a CPU; a divisor of it.

    Those that no group of two or more divides are evaluated all at once.
    """
    most = max(2, _PIXELS // npix)
    group = max(count for count in range(1, min(most, size) + 1) if size % count == 0)
    return size if group == 1 else group


def _instantiated(tangent: Any) -> Any:
    if not isinstance(tangent, SymbolicZero):
        return tangent
    aval: Any = tangent.aval
    return jnp.zeros(aval.shape, aval.dtype)
