"""From sums inside sectors to sums over the sphere: orientations are put into one gauge.

Everything is a product with a small constant matrix: quick to compile, and its own reverse rule.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.operators.symmetry import true_orientations


def combine_orientations(values: Float[Array, "*batch L sectors"]) -> Float[Array, "*batch L"]:
    """Sum over sectors values that have one orientation and are the same for its opposite.

    Source: `docs/conventions.md`, "Sectors".
    """
    orientations, sectors = values.shape[-2:]
    turn, _ = _turns(orientations, sectors)
    turn = jnp.asarray(turn, values.dtype)
    return jnp.einsum("skl,...ls->...k", turn, values, precision="highest")


def combine_products(
    sums: Float[Array, "*batch L sectors 2X 2Y"],
) -> Float[Array, "*batch 2 L X Y"]:
    """Sum products of convolved fields over sectors, as real and imaginary part of `a conj(b)`.

    The fields are the map itself and then, for every scale, one modulus for each orientation:
    `X = 1 + scales * L` (one, for the map alone); their real parts stand before their imaginary
    parts. The axis `L` is the orientation of the convolution, under which both factors become
    their conjugates together.

    Source: `docs/conventions.md`, "Sectors".
    """
    orientations, sectors = sums.shape[-4:-2]
    left, right = sums.shape[-2] // 2, sums.shape[-1] // 2
    turn, parity = _turns(orientations, sectors)
    # a conj(b) from the real (0) and imaginary (1) parts of a and b; parity conjugates it.
    product = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]]])
    signs = np.stack([np.ones_like(parity), parity])
    combine = np.einsum("csk,skl,cij->cklsij", signs, turn, product)
    return jnp.einsum(
        "cklsij,sax,sby,...lsixjy->...ckab",
        jnp.asarray(combine, sums.dtype),
        jnp.asarray(_turned_fields(left, turn), sums.dtype),
        jnp.asarray(_turned_fields(right, turn), sums.dtype),
        sums.reshape(*sums.shape[:-2], 2, left, 2, right),
        precision="highest",
    )


def _turned_fields(size: int, turn: np.ndarray) -> np.ndarray:
    """Return, for every sector, the matrix that turns the moduli and leaves the map in front."""
    sectors, orientations, _ = turn.shape
    fields = np.zeros((sectors, size, size))
    fields[:, 0, 0] = 1
    for start in range(1, size, orientations):
        scale = slice(start, start + orientations)
        fields[:, scale, scale] = turn
    return fields


def _turns(orientations: int, sectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one-hot matrices `[sector, true, inside]` and the parity `[sector, true]`."""
    source, parity = true_orientations(orientations, sectors)
    return np.eye(orientations)[source], parity
