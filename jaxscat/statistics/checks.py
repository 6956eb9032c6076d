"""What `measure` is given: maps, masks and thresholds, checked as far as their values are known."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxscat import maps
from jaxscat.io.precision import large_mean
from jaxscat.operators.spec import PyramidSpec


def check_map_of(
    map: ArrayLike, spec: PyramidSpec, *, name: str = "map", allow_constant: bool = True
) -> Float[np.ndarray, " p"]:
    """Return a map of the pixels of a pyramid as a NumPy array, or refuse it as `check_map` does.

    Raises:
        ValueError: as `check_map`.
    """
    return maps.check_map(
        map, name=name, nside=spec.nside, cells=spec.cell_count, allow_constant=allow_constant
    )


class PreparedMap(NamedTuple):
    """A map in the type of the pyramid.

    Attributes:
        pixels: the map, without `offset`.
        offset: its mean, where that is so large that rounding the map to float32 would lose digits
            of everything else; None where nothing was taken off.
    """

    pixels: Float[Array, " p"]
    offset: Float[Array, ""] | None = None


def prepare_map(map: ArrayLike, spec: PyramidSpec, *, name: str = "map") -> PreparedMap:
    """Check a map and bring it into the type of the pyramid.

    Under a transformation of JAX only shape and type are known and checked. There UNSEEN and
    infinite pixels become NaN, which all coefficients show.

    Args:
        map, spec, name: as for `check_map_of`.

    Raises:
        ValueError: as `measure` says.

    Source: `docs/conventions.md`, "Modulus".
    """
    if isinstance(map, Tracer):
        _check_traced(name, map, [(spec.npix,)], kinds="f")
        values = jnp.asarray(map, spec.dtype)
        near = maps.UNSEEN_TOLERANCE * abs(maps.UNSEEN)
        missing = jnp.abs(values - maps.UNSEEN) < near
        return PreparedMap(jnp.where(missing | jnp.isinf(values), jnp.nan, values))
    values = check_map_of(map, spec, name=name)
    if values.dtype == np.dtype(spec.dtype) or spec.dtype != "float32":
        return PreparedMap(jnp.asarray(values, spec.dtype))
    offset = large_mean(values)
    if offset == 0:
        return PreparedMap(_rounded(values, spec, name))
    return PreparedMap(_rounded(values - offset, spec, name), jnp.asarray(offset, spec.dtype))


def _rounded(values: np.ndarray, spec: PyramidSpec, name: str) -> Float[Array, " p"]:
    with np.errstate(over="ignore"):
        rounded = values.astype(spec.dtype)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"{name}: got values up to {np.abs(values).max():.3g}, which {spec.dtype} cannot hold, "
            "expected smaller numbers (a larger unit)"
        )
    return jnp.asarray(rounded)


def prepare_mask(
    mask: ArrayLike | None, spec: PyramidSpec
) -> Float[Array, " p"] | Float[Array, "M p"] | None:
    """Return a mask or several in the type of the pyramid; None stays None.

    Raises:
        ValueError: as `measure` says.
    """
    if mask is None:
        return None
    if isinstance(mask, Tracer):
        _check_traced("mask", mask, [(spec.npix,), ("M", spec.npix)])
        return jnp.asarray(mask, spec.dtype)
    checked = maps.check_mask(mask, spec.npix, patch=spec.cell_count is not None)
    with np.errstate(over="ignore"):
        rounded = checked.astype(spec.dtype)
        held = np.isfinite(rounded.sum()) and not ((rounded == 0) & (checked > 0)).any()
    if not held:
        raise ValueError(
            f"mask: got weights from {checked[checked > 0].min():.3g} to {checked.max():.3g}, "
            f"which {spec.dtype} cannot hold, expected them divided by the largest (only ratios "
            "matter), and zeros for the smallest"
        )
    return jnp.asarray(rounded)


def prepare_threshold(
    threshold: ArrayLike | None, mask: Array | None, spec: PyramidSpec
) -> Float[Array, " J"] | None:
    """Return one threshold of the masks for every scale; None stays None.

    A single number counts at all scales but the finest, where the mask is as the user made it.

    Raises:
        ValueError: a threshold without a mask, of another shape, negative or not finite.
    """
    if threshold is None:
        return None
    if mask is None:
        raise ValueError("mask_threshold: got a threshold without a mask, expected both")
    if isinstance(threshold, Tracer):
        _check_traced("mask_threshold", threshold, [(), (spec.scales,)], kinds="iuf")
        values = jnp.asarray(threshold, spec.dtype)
        return values if values.ndim else jnp.full(spec.scales, values).at[0].set(0)
    values = maps.to_numpy(threshold, name="mask_threshold")
    if values.dtype.kind not in "iuf" or values.shape not in ((), (spec.scales,)):
        raise ValueError(
            f"mask_threshold: got {threshold!r}, expected one number or one for each of the "
            f"{spec.scales} scales"
        )
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"mask_threshold: got {threshold!r}, expected finite numbers from 0 up")
    if values.ndim == 0:
        values = np.where(np.arange(spec.scales) > 0, values, 0.0)
    return jnp.asarray(values, spec.dtype)


def stack_maps(
    prepared: list[PreparedMap],
) -> tuple[Float[Array, "m p"], Float[Array, " m"] | None]:
    """Return maps as one array, and their offsets if any of them has one."""
    pixels = jnp.stack([map.pixels for map in prepared])
    if all(map.offset is None for map in prepared):
        return pixels, None
    none = jnp.zeros((), pixels.dtype)
    return pixels, jnp.stack([none if map.offset is None else map.offset for map in prepared])


def is_known(*values: Any) -> bool:
    """Say whether no value is traced by a transformation of JAX."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def _check_traced(name: str, array: Array, shapes: list[tuple], kinds: str = "biuf") -> None:
    fits = any(
        len(shape) == array.ndim and array.shape[-1:] == tuple(shape[-1:]) for shape in shapes
    )
    # By JAX: NumPy does not know bfloat16 for a float.
    kind = "f" if jnp.issubdtype(array.dtype, jnp.floating) else np.dtype(array.dtype).kind
    if not fits or kind not in kinds:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(
            f"{name}: got {array.dtype} of shape {array.shape}, expected real numbers of shape "
            f"{expected}"
        )
