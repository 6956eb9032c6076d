"""Sums over sectors, with the orientations of every sector rotated to the gauge of the sphere.

All are products with small constant matrices: fast to compile and to transpose.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.operators.symmetry import true_orientations


def combine_orientations(values: Float[Array, "*batch L sectors"]) -> Float[Array, "*batch L"]:
    """Sum over sectors values per orientation that are even under a rotation by half a turn."""
    orientations, sectors = values.shape[-2:]
    if sectors == 1:
        return values[..., 0]
    turn, _ = _turns(orientations, sectors)
    turn = jnp.asarray(turn, values.dtype)
    return jnp.einsum("skl,...ls->...k", turn, values, precision="highest")


def combine_products(
    sums: Float[Array, "*batch L sectors 2X 2Y"],
) -> Float[Array, "*batch 2 L X Y"]:
    """Sum products of convolved fields over sectors, as real and imaginary part of `a conj(b)`.

    Of the fields, the real parts stand before the imaginary parts. The axis `L` is the orientation
    of the convolution; half a turn conjugates both factors.
    """
    orientations, sectors = sums.shape[-4:-2]
    left, right = sums.shape[-2] // 2, sums.shape[-1] // 2
    if sectors == 1:
        sums = sums[..., 0, :, :]
        real = sums[..., :left, :right] + sums[..., left:, right:]
        imaginary = sums[..., left:, :right] - sums[..., :left, right:]
        return jnp.stack([real, imaginary], axis=-4)
    turn, parity = _turns(orientations, sectors)
    # a conj(b) from the real (0) and imaginary (1) parts of a and b, conjugated by parity.
    product = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]]])
    signs = np.stack([np.ones_like(parity), parity])
    combine = np.einsum("csk,skl,cij->cklsij", signs, turn, product)
    split = sums.reshape(*sums.shape[:-2], 2, left, 2, right)
    combine = jnp.asarray(combine, sums.dtype)
    return jnp.einsum("cklsij,...lsixjy->...ckxy", combine, split, precision="highest")


def _turns(orientations: int, sectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one-hot matrices `[sector, true, inside]` and parities `[sector, true]`."""
    source, parity = true_orientations(orientations, sectors)
    return np.eye(orientations)[source], parity
