"""Functions of one map, evaluated for many: in groups that stay in the cache of a CPU.

The operators fold the maps of a group into their channels (see `linear_primitive`), so that one
gathered row serves all of them. On a CPU one group follows the other; on other devices all maps
are one group.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxscat.maps import describe

# Maximum number of pixels of a group on a CPU, measured by `experiments/benchmarks`; at least two
# maps make a group.
_GROUP_PIXELS = 24576


def grouped_vmap(function: Callable[..., Any]) -> Callable[..., Any]:
    """Vectorize a function of one map over many, in groups of the size that the device does best.

    Like `jax.vmap` over the first argument alone, and compiled. On a CPU `jax.vmap` itself folds
    all maps at once, whose intermediate fields leave the cache.

    Args:
        function: pure function of a map (or a pytree of maps) and other operands, such as
            `jax.value_and_grad(loss)`. Gradients are best taken inside of it: through the loop
            over groups, all intermediate fields of all maps are kept.

    Returns:
        function of the maps with a leading axis, and the same other operands, which all maps share.

    Examples:
        >>> import jax, jaxscat
        >>> maps = jax.random.normal(jax.random.key(0), (6, 192))
        >>> pyramid = jaxscat.build_pyramid(4)
        >>> jaxscat.grouped_vmap(jaxscat.measure)(maps, pyramid).s1.shape
        (6, 3, 4)

    Source: `docs/conventions.md`, "Batches and memory".
    """

    if not callable(function):
        raise ValueError(f"function: got {describe(function)}, expected a function of a map")

    def call(maps: Any, *operands: Any) -> Any:
        return map_in_groups(function, maps, *operands)

    return jax.jit(call)


def map_in_groups(
    function: Callable[..., Any], maps: Any, *operands: Any, npix: int | None = None
) -> Any:
    """Evaluate a function for each of many maps, inside another jitted function.

    Args:
        function, maps, operands: as for `grouped_vmap`.
        npix: number of pixels of a map, by which groups are chosen; None counts all numbers of
            `maps`.
    """
    leaves = jax.tree.leaves(maps)
    if not leaves or any(np.ndim(leaf) == 0 for leaf in leaves):
        raise ValueError("maps: got no arrays with a leading axis, expected one for many maps")
    size = leaves[0].shape[0]
    if npix is None:
        npix = sum(int(np.prod(leaf.shape[1:])) for leaf in leaves)
    group = group_size(size, npix)

    def folded(maps: Any, *operands: Any) -> Any:
        return jax.vmap(lambda map: function(map, *operands))(maps)

    if group == size:
        return folded(maps, *operands)

    def one_after_another(maps: Any, *operands: Any) -> Any:
        return jax.lax.map(lambda map: function(map, *operands), maps, batch_size=group)

    return jax.lax.platform_dependent(maps, *operands, cpu=one_after_another, default=folded)


def fill_rows(rows: np.ndarray, size: int) -> np.ndarray:
    """Return rows with the last one repeated up to a number of them, so that one program serves.

    Args:
        rows: one or more, on the first axis.
        size: number of rows to return, no less than there are.
    """
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows


def group_size(size: int, npix: int) -> int:
    """Return how many maps are evaluated at once on a CPU: a divisor of their number.

    Args:
        size: number of maps. If no group of two or more divides it, all are evaluated at once.
        npix: number of pixels of a map.
    """
    maximum = max(2, _GROUP_PIXELS // npix)
    group = max(count for count in range(1, min(maximum, size) + 1) if size % count == 0)
    return size if group == 1 else group
