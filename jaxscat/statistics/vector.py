"""Coefficients as one real vector of independent numbers, and back."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from jaxscat.maps import to_numpy
from jaxscat.statistics.independent import Dependence


class VectorLayout(NamedTuple):
    """Where the numbers of all groups stand in a vector of those that are independent.

    Attributes:
        kept: positions of the vector's numbers among all numbers of all groups.
        source: positions in the vector from which each of all numbers follows.
        weight: with these weights.
    """

    kept: Int[np.ndarray, " n"]
    source: Int[np.ndarray, "k m"]
    weight: Float[np.ndarray, "k m"]


def lay_out(groups: Sequence[Dependence]) -> VectorLayout:
    """Return the layout of the vector of all groups, one after the other."""
    starts = np.cumsum([0, *(len(one.source) for one in groups)])
    terms = max(one.source.shape[1] for one in groups)

    def padded(array: np.ndarray) -> np.ndarray:
        return np.pad(array, ((0, 0), (0, terms - array.shape[1])))

    shifted = [start + one.kept for start, one in zip(starts, groups, strict=False)]
    kept = np.concatenate(shifted)
    source = np.concatenate(
        [padded(start + one.source) for start, one in zip(starts, groups, strict=False)]
    )
    weight = np.concatenate([padded(one.weight) for one in groups])
    # What has no weight may stand anywhere.
    source = np.where(weight != 0, source, kept[0])
    return VectorLayout(kept, np.searchsorted(kept, source), weight)


def join_numbers(groups: Mapping[str, Array], leading: int) -> Float[Array, "*leading k"]:
    """Return all numbers of all groups: of complex ones, real and imaginary parts in turn.

    Args:
        groups: by name.
        leading: number of leading axes, which stay.
    """

    def numbers(group: Array) -> Array:
        if jnp.iscomplexobj(group):
            group = jnp.stack([jnp.real(group), jnp.imag(group)], axis=-1)
        return jnp.reshape(group, (*group.shape[:leading], -1))

    parts = [numbers(group) for group in groups.values()]
    kind = np.result_type(*[part.dtype for part in parts])
    return jnp.concatenate([part.astype(kind) for part in parts], axis=-1)


def number_count(group: Array, leading: int) -> int:
    """Return how many real numbers a group has after its leading axes."""
    return int(np.prod(group.shape[leading:])) * (2 if jnp.iscomplexobj(group) else 1)


def number_names(groups: Mapping[str, Array], names: Sequence[str], leading: int) -> list[str]:
    """Return the names of all numbers of all groups, from those of the coefficients."""
    found: list[str] = []
    left = iter(names)
    for group in groups.values():
        parts = ("Re ", "Im ") if jnp.iscomplexobj(group) else ("",)
        for name in islice(left, number_count(group, leading) // len(parts)):
            found += [part + name for part in parts]
    return found


def split_numbers(
    numbers: Float[Array, "*leading k"], like: Mapping[str, Array], leading: int
) -> dict[str, Array]:
    """Return the groups of `join_numbers`.

    Args:
        numbers: all of them.
        like: groups of the same shapes (but for leading axes) and of the same kinds.
        leading: number of leading axes of `like`.
    """
    found, start = {}, 0
    for name, group in like.items():
        size = number_count(group, leading)
        part = numbers[..., start : start + size]
        start += size
        if jnp.iscomplexobj(group):
            part = jax.lax.complex(part[..., 0::2], part[..., 1::2])
        found[name] = part.reshape(*numbers.shape[:-1], *group.shape[leading:])
    return found


def restore_numbers(
    vector: Float[Array, "*leading n"], layout: VectorLayout
) -> Float[Array, "*leading k"]:
    """Return all numbers of all groups from the independent ones."""
    weight = layout.weight.astype(vector.dtype)
    # Chosen before it is weighted: 0 times NaN is NaN.
    terms = jnp.where(weight != 0, vector[..., layout.source], 0) * weight
    return terms.sum(-1)


def check_vector(vector: ArrayLike, size: int) -> Float[Array, "*leading n"]:
    """Return a vector of coefficients as an array of JAX.

    Raises:
        ValueError: it has another length or is not real.
    """
    found = vector if isinstance(vector, Tracer) else to_numpy(vector, name="vector")
    is_real = jnp.issubdtype(found.dtype, jnp.floating) or jnp.issubdtype(found.dtype, jnp.integer)
    if not is_real or found.ndim == 0 or found.shape[-1] != size:
        raise ValueError(
            f"vector: got {found.dtype} of shape {tuple(found.shape)}, expected {size} real "
            "numbers on the last axis, as to_vector returns"
        )
    found = jnp.asarray(found)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(float)
