"""Hidden pixels, those without data or weight, and how they are kept out of everything."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat.maps import cover_hidden, seen_pixels
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.checks import PreparedMap, is_known, prepare_map

Hidden = Literal["exclude", "include", "interior"]
HIDDEN = get_args(Hidden)

# With fewer pixels in sight there is nothing to average over.
LEAST_PIXELS = 100


def check_hidden(hidden: object, mask: ArrayLike | None) -> None:
    """Refuse an unknown treatment of hidden pixels, and a known mask that hides nearly all.

    Raises:
        ValueError: no treatment of this name, or fewer than 100 pixels in sight of a mask that
            hides others.
    """
    if hidden not in HIDDEN:
        patch = "; a patch is measured by a pyramid of its pixels, build_pyramid(cell_ids=...)"
        raise ValueError(
            f"hidden: got {hidden!r}, expected one of {list(HIDDEN)}"
            f"{patch if hidden == 'patch' else ''}"
        )
    if hidden == "include" or mask is None or not is_known(mask):
        return
    seen = seen_pixels(mask)
    # Maps that have hardly more are trials.
    if seen.sum() < LEAST_PIXELS and seen.size > 2 * LEAST_PIXELS:
        raise ValueError(
            f"mask: got {seen.sum()} of {seen.size} pixels with weight, expected at least "
            f"{LEAST_PIXELS} (or hidden='include', if the map is known in the others)"
        )


def footprint(mask: Float[Array, "*M p"]) -> Float[Array, " p"]:
    """Return the largest of several weights of every pixel; zero where a pixel is hidden."""
    return mask if mask.ndim == 1 else jnp.max(mask, axis=0)


@jax.jit
def cover(maps: Float[Array, "*m p"], mask: Float[Array, "*M p"]) -> Float[Array, "*m p"]:
    """Replace the hidden pixels of maps by the weighted mean of the others.

    Wavelets have zero mean, so their coefficients are those of the map without its mean, times
    zeros and ones. Derivatives by hidden pixels are exactly zero.

    Args:
        maps: maps whose hidden pixels may hold anything, NaN included.
        mask: weights of one mask or of several; hidden is what has weight zero in all of them.

    Source: `docs/conventions.md`, "Hidden pixels".
    """
    weights = footprint(mask)
    seen = weights > 0
    maps = jnp.where(seen, maps, 0)
    # Scaled first: sums of very large numbers overflow.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(maps), axis=-1, keepdims=True))
    scale = jnp.where(largest > 0, largest, jnp.ones_like(largest))
    weights = weights / jnp.max(weights)
    total = jnp.sum(weights)

    def mean(values: Array) -> Array:
        return jnp.sum(weights * values, axis=-1, keepdims=True) / total

    # In two steps: the first mean of a map with a large offset has lost digits.
    scaled = maps / scale
    first = jax.lax.stop_gradient(mean(scaled))
    centre = first + mean(jnp.where(seen, scaled - first, 0))
    return jnp.where(seen, maps, scale * centre)


def prepare_shown(
    map: ArrayLike, mask: Array | None, spec: PyramidSpec, hidden: Hidden, *, name: str = "map"
) -> PreparedMap:
    """Return a map in the type of the pyramid, with hidden pixels kept out unless included.

    Under a transformation of JAX only shape and type are known and checked.

    Raises:
        ValueError: as `jaxscat.measure` says.
    """
    if mask is None or hidden == "include":
        return prepare_map(map, spec, name=name)
    if is_known(map, mask):
        map = cover_hidden(map, mask, name=name)
    prepared = prepare_map(map, spec, name=name)
    return prepared._replace(pixels=cover(prepared.pixels, mask))
