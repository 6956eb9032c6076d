"""The groups S2, S3 and S4, cut from the product matrices of every scale."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.statistics.coefficients import ScatteringCovariance

ScaleGroups = dict[str, Array]  # s2, s3, s4 and, for two maps, s3p of one scale


def cut_products(
    products: Float[Array, "M parts L X X"],
    exchanged: Float[Array, "M parts L 1 X"] | None,
    both_triangles: bool,
    covariances: bool,
) -> ScaleGroups:
    """Cut the products `a conj(b)` of one scale `j3` into the entries of S2, S3 (S3P) and S4.

    Args:
        products: real and imaginary part on axis 1, or real numbers only; the fields are the map,
            followed by one modulus per scale and orientation.
        exchanged: for two maps, the products of the second map with the fields of the first, for
            S3P.
        both_triangles: whether S4 includes j1 > j2.
        covariances: whether to include S3 and S4.

    Returns:
        arrays with an axis of masks, then (S3, S4) an axis of scales; complex if there are two
        parts.
    """
    groups = {"s2": products[:, 0, :, 0, 0]}
    if not covariances:
        return groups
    masks, parts, orientations, size, _ = products.shape
    scales = (size - 1) // orientations

    def with_modulus(part: Array) -> Array:
        # Axes l3, (j2, l2) become j2, l2, l3.
        part = part.reshape(masks, parts, orientations, scales, orientations)
        return part.transpose(0, 1, 3, 4, 2)

    groups["s3"] = with_modulus(products[..., 0, 1:])
    if exchanged is not None:
        groups["s3p"] = with_modulus(exchanged[..., 0, 1:])
    s4 = products[..., 1:, 1:].reshape(masks, parts, orientations, *(scales, orientations) * 2)
    # Axes l3, j1, l1, j2, l2 become j1, l2, l1, l3 at every j2 in turn.
    s4 = [
        s4[..., : scales if both_triangles else j2 + 1, :, j2, :].transpose(0, 1, 3, 5, 4, 2)
        for j2 in range(scales)
    ]
    groups["s4"] = jnp.concatenate(s4, axis=2)
    return groups | {name: as_complex(groups[name]) for name in groups if name != "s2"}


def as_complex(parts: Float[Array, "M parts *rest"]) -> Array:
    """Combine real and imaginary parts on axis 1 to complex numbers; a single part stays real."""
    return jax.lax.complex(parts[:, 0], parts[:, 1]) if parts.shape[1] == 2 else parts[:, 0]


def gather_scales(
    s0: Float[Array, "M 2"],
    s1: list[Float[Array, "M L"]],
    scales: list[ScaleGroups],
    both_triangles: bool,
    unit: Float[Array, ""],
) -> ScatteringCovariance:
    """Concatenate the scales of every group, and multiply S1 by `unit` and S2 to S4 by its square.

    S0 is in map units already.
    """

    def in_units(name: str) -> Array:
        joined = jnp.concatenate([scale[name] for scale in scales if name in scale], axis=1)
        return (unit**2).astype(joined.dtype) * joined

    groups = {name: in_units(name) for name in scales[0] if name != "s2"}
    s2 = unit**2 * jnp.stack([scale["s2"] for scale in scales], axis=1)
    return ScatteringCovariance(
        s0=s0, s1=unit * jnp.stack(s1, axis=1), s2=s2, both_triangles=both_triangles, **groups
    )
