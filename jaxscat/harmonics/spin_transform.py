"""Transforms between Q, U maps and E, B harmonic coefficients, as products with real tables."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.harmonics.spin_tables import SpinTables
from jaxscat.harmonics.transform import (
    contract,
    ring_analysis,
    ring_overlap,
    ring_synthesis,
)


def spin_synthesis(
    tables: SpinTables,
    e_coefficients: Float[Array, "k 2 rows 2 2"],
    b_coefficients: Float[Array, "k 2 rows 2 2"],
) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Return the NESTED maps Q and U, in the COSMO convention, of E and B coefficients.

    Args:
        tables: harmonic tables for the nside of the maps.
        e_coefficients: axes as from `analysis` of a scalar map; zero where a row belongs to an
            order of the other parity.
        b_coefficients: the same of B. Monopoles and dipoles have no effect.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    rings = _rings(tables, jnp.stack([e_coefficients, b_coefficients]))
    q, u = jax.vmap(lambda each: ring_synthesis(tables.scalar, each))(rings)
    return q, u


def spin_analysis(
    tables: SpinTables, q: Float[Array, " p"], u: Float[Array, " p"]
) -> tuple[Float[Array, "k 2 rows 2 2"], Float[Array, "k 2 rows 2 2"]]:
    """Return the scalar products of Q, U with all E and all B harmonics.

    It is the exact transpose of `spin_synthesis`. There are no weights: the coefficients of E and B
    are about 4 pi / npix times these products.

    Args:
        tables: harmonic tables for the nside of the maps.
        q: NESTED map of the whole sphere, in the precision of the tables.
        u: the same, in the COSMO convention.

    Returns:
        scalar products with E and with B, with axes as from `analysis` of a scalar map;
        meaningless where a row belongs to an order of the other parity.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    rings = jax.vmap(lambda map: ring_analysis(tables.scalar, map))(jnp.stack([q, u]))
    e, b = _products(tables, rings)
    return e, b


def spin_overlap(
    tables: SpinTables, coefficients: Float[Array, "2 k 2 rows 2 2"]
) -> Float[Array, "2 k 2 rows 2 2"]:
    """Return `spin_analysis` of `spin_synthesis` of E and B, without the pixels in between.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    overlap = jax.vmap(lambda rings: ring_overlap(tables.scalar, rings))
    return _products(tables, overlap(_rings(tables, coefficients)))


def _rings(
    tables: SpinTables, coefficients: Float[Array, "2 k 2 rows 2 2"]
) -> Float[Array, "2 k 2 rings 2 2"]:
    """Return the waves of Q and U on all rings from E and B."""
    e, b = coefficients
    crossed = jnp.stack([_advanced(b), -_advanced(e)])
    alike = contract("fkhloc,khlr->khfocr", coefficients, tables.plus)
    # Of the other parity between the hemispheres.
    unlike = contract("fkhloc,khlr->khfocr", crossed, tables.minus)[:, ::-1]
    return (alike + unlike).transpose(2, 0, 1, 5, 3, 4)


def _products(
    tables: SpinTables, rings: Float[Array, "2 k 2 rings 2 2"]
) -> Float[Array, "2 k 2 rows 2 2"]:
    """Return E and B from the waves of Q and U: the transpose of `_rings`."""
    # With the axis of Q and U first, the products would take up to five times as long on a CPU.
    rings = jnp.moveaxis(rings, 0, 3)
    alike = contract("khlr,khrfoc->khlfoc", tables.plus, rings)
    unlike = contract("khlr,khrfoc->khlfoc", tables.minus, rings[:, ::-1])
    crossed = jnp.stack([_advanced(unlike[:, :, :, 1]), -_advanced(unlike[:, :, :, 0])])
    return jnp.moveaxis(alike, 3, 0) + crossed


def _advanced(waves: Float[Array, "*axes 2"]) -> Float[Array, "*axes 2"]:
    """Return cosines and sines of waves times i, which are a quarter of a period ahead."""
    return jnp.stack([waves[..., 1], -waves[..., 0]], axis=-1)
