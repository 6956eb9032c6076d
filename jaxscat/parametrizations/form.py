"""What a synthesis changes in the place of a map: a field from which the map follows."""

import hashlib
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.operators.spec import PyramidSpec


@runtime_checkable
class Form(Protocol):
    """A parametrization of maps: a pytree of arrays (such as an `equinox.Module`).

    L-BFGS works on the field, in which steps of one length should matter alike: a field with
    numbers of order one, each as free as any other. The map has the unit of the target's.
    """

    def map(self, field: Float[Array, " p"], /) -> Float[Array, " p"]:
        """Return the map of a field, in functions of JAX that have derivatives."""
        ...

    def field(self, map: Float[np.ndarray, " p"], /) -> Float[np.ndarray, " p"]:
        """Return a field whose map is the given one, or next to it; on the host."""
        ...


def check_form(form: object, spec: PyramidSpec) -> None:
    """Refuse what is no parametrization of the maps of a pyramid; nothing is compiled.

    Raises:
        ValueError: no pytree of arrays with both methods, or one whose maps are not real and of
            the pixels of the pyramid.
    """
    if form is None:
        return
    if not isinstance(form, Form):
        raise ValueError(
            f"form: got {type(form).__name__}, expected an object with the methods map and field"
        )
    leaves = jax.tree.leaves(form)
    if any(leaf is form for leaf in leaves) or not all(
        isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves
    ):
        raise ValueError(
            f"form: got {type(form).__name__}, expected a pytree of arrays such as an "
            "equinox.Module"
        )
    expected = f"expected real fields and maps of shape ({spec.npix},) as in the pyramid"
    field = jax.ShapeDtypeStruct((spec.npix,), np.dtype(spec.dtype))
    try:
        found: Any = jax.eval_shape(lambda form, field: form.map(field), form, field)
    except (TypeError, ValueError) as error:
        raise ValueError(f"form: {expected}, but its map fails there ({error})") from error
    if found.shape != field.shape or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"form: got a map of {found.dtype} of shape {found.shape}, {expected}")


def map_of(field: Float[Array, "*n p"], form: Form) -> Float[Array, "*n p"]:
    """Return the map of a field, or the maps of several, in the type of the fields."""
    each = form.map if field.ndim == 1 else jax.vmap(form.map)
    return each(field).astype(field.dtype)


@jax.jit
def maps_of_lanes(fields: Float[Array, "B *shape"], form: Form) -> Float[Array, "B *shape"]:
    """Return the map or the maps of every lane."""
    return jax.vmap(lambda field: map_of(field, form))(fields)


def field_of(map: Float[np.ndarray, " p"], form: Form, *, name: str) -> Float[np.ndarray, " p"]:
    """Return the field of a start as a NumPy array in the start's type.

    Raises:
        ValueError: the form gives something else, or numbers that are not finite.
    """
    field = np.asarray(form.field(map))
    if field.shape != map.shape or field.dtype.kind != "f" or not np.isfinite(field).all():
        raise ValueError(
            f"form: got a field of {field.dtype} of shape {field.shape} for the {name}, expected "
            f"finite real numbers of shape {map.shape}"
        )
    return field.astype(map.dtype)


def identity_of(form: Form | None) -> dict[str, str] | None:
    """Return what distinguishes a form from others: its class, and a digest of its arrays."""
    if form is None:
        return None
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(form):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    kind = type(form)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "sha256": digest.hexdigest()}
