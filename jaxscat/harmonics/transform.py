"""Spherical harmonic transforms of NESTED maps, as products with real tables."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.harmonics.tables import HarmonicTables

# By default, GPUs and TPUs would round the factors to fewer bits.
contract = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def analysis(tables: HarmonicTables, map: Float[Array, " p"]) -> Float[Array, "k 2 rows 2 2"]:
    """Return the scalar products of a map with all harmonics: the exact transpose of `synthesis`.

    There are no weights: harmonic coefficients are about 4 pi / npix times these products.

    Args:
        tables: harmonic tables for the nside of the map.
        map: NESTED map of the whole sphere, in the precision of the tables.

    Returns:
        scalar products, with axes k, parity of l + m, row, parity of m, and cosine or sine;
        meaningless where a row belongs to an order of the other parity.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    return contract("khlr,khroc->khloc", tables.legendre, ring_analysis(tables, map))


def synthesis(
    tables: HarmonicTables, coefficients: Float[Array, "k 2 rows 2 2"]
) -> Float[Array, " p"]:
    """Return the NESTED map of harmonic coefficients: the sum of coefficients times harmonics.

    Args:
        tables: harmonic tables for the nside of the map.
        coefficients: axes as from `analysis`; zero where a row belongs to an order of the other
            parity.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    return ring_synthesis(tables, _ring_waves(tables, coefficients))


def harmonic_overlap(
    tables: HarmonicTables, coefficients: Float[Array, "k 2 rows 2 2"]
) -> Float[Array, "k 2 rows 2 2"]:
    """Return `analysis` of `synthesis`, without the pixels in between.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    rings = ring_overlap(tables, _ring_waves(tables, coefficients))
    return contract("khlr,khroc->khloc", tables.legendre, rings)


def ring_analysis(tables: HarmonicTables, map: Float[Array, " p"]) -> Float[Array, "k 2 rings 2 2"]:
    """Return the scalar products of every ring with cosines and sines: half of `analysis`.

    Args:
        tables: harmonic tables for the nside of the map.
        map: NESTED map of the whole sphere, in the precision of the tables.

    Returns:
        scalar products, with axes k, even or odd between the hemispheres, northern ring in the
        order of the slots, parity of m, and cosine or sine.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    images = map[tables.pixels]
    images = jnp.concatenate([images[:4], images[4:] * tables.southern[None]])
    return _from_folded(tables, contract("fi,is->fs", tables.signs, images))


def ring_synthesis(
    tables: HarmonicTables, rings: Float[Array, "k 2 rings 2 2"]
) -> Float[Array, " p"]:
    """Return the NESTED map of cosines and sines of every ring: the transpose of `ring_analysis`.

    It is that transpose where odd parts vanish on the equator.

    Source: `docs/conventions.md`, "Harmonic form".
    """
    images = contract("fi,fs->is", tables.signs, _to_folded(tables, rings))
    return images.reshape(-1)[tables.places]


def ring_overlap(
    tables: HarmonicTables, rings: Float[Array, "k 2 rings 2 2"]
) -> Float[Array, "k 2 rings 2 2"]:
    """Return `ring_analysis` of `ring_synthesis`, without the pixels in between.

    It differs in odd parts of the equator, which no harmonic has.

    Source: `docs/polarization.md`, "Spin-2 transform".
    """
    # The rows of the signs are orthogonal, over eight images or the four of the equator.
    images = 4 * (1 + tables.southern)
    return _from_folded(tables, images * _to_folded(tables, rings))


def isotropic_filter(
    tables: HarmonicTables, gains: Float[Array, "k 2 rows 2"], map: Float[Array, " p"]
) -> Float[Array, " p"]:
    """Filter a map by multiplying its harmonic coefficients by gains, a symmetric operator.

    Differentiable in the map, in forward and reverse mode; tables and gains are constants.

    Args:
        tables: harmonic tables for the nside of the map.
        gains: factor of every coefficient, from `expand_gains`.
        map: NESTED map of the whole sphere, in the precision of the tables.

    Source: `docs/conventions.md`, "Harmonic form".
    """

    def solve(_: Any, values: Array) -> Array:
        return synthesis(tables, gains[..., None] * analysis(tables, values))

    # Declared as the solution of a symmetric system, so that JAX transposes the filter to itself,
    # instead of transposing the program, which takes two to three times as long.
    return jax.lax.custom_linear_solve(lambda values: values, map, solve, symmetric=True)


def _ring_waves(
    tables: HarmonicTables, coefficients: Float[Array, "k 2 rows 2 2"]
) -> Float[Array, "k 2 rings 2 2"]:
    """Return the cosines and sines of every ring of harmonic coefficients."""
    rings = contract("khloc,khlr->khocr", coefficients, tables.legendre)
    return rings.transpose(0, 1, 4, 2, 3)


def _from_folded(
    tables: HarmonicTables, folded: Float[Array, "8 slots"]
) -> Float[Array, "k 2 rings 2 2"]:
    """Return the products of symmetry classes in the slots with cosines and sines."""
    pairs, nside, _ = tables.owner.shape
    cap = folded[:, : pairs * nside].reshape(2, 2, 2, pairs, nside)
    belt = folded[:, pairs * nside :].reshape(2, 2, 2, nside, nside)
    # Tables are left factors here and right factors in `_to_folded`, so that neither transposes
    # them.
    owned = cap[..., None] * tables.owner[None, None, None]
    cap = contract("qocks,hocqsr->qockhr", tables.polar, owned)
    belt = contract("ocks,hocrs->ockhr", tables.equatorial, belt)
    cap = cap.transpose(3, 4, 0, 5, 1, 2).reshape(-1, 2, 2 * pairs, 2, 2)
    belt = _turned(tables, belt.transpose(2, 3, 4, 0, 1), -1)
    return jnp.concatenate([cap, belt], axis=2)


def _to_folded(
    tables: HarmonicTables, rings: Float[Array, "k 2 rings 2 2"]
) -> Float[Array, "8 slots"]:
    """Return the symmetry classes in the slots of cosines and sines of every ring."""
    pairs = tables.owner.shape[0]
    cap = rings[:, :, : 2 * pairs].reshape(-1, 2, pairs, 2, 2, 2)
    belt = _turned(tables, rings[:, :, 2 * pairs :], 1)
    cap = contract("khqroc,qocks->qochrs", cap, tables.polar).transpose(3, 1, 2, 0, 5, 4)
    cap = (cap * tables.owner[None, None, None]).sum(-1)
    belt = contract("khroc,ocks->ochrs", belt, tables.equatorial).transpose(2, 0, 1, 3, 4)
    return jnp.concatenate([cap.reshape(8, -1), belt.reshape(8, -1)], axis=1)


def _turned(
    tables: HarmonicTables, belt: Float[Array, "k 2 rings 2 2"], way: int
) -> Float[Array, "k 2 rings 2 2"]:
    """Rotate equatorial rings about the axis, to (1) or from (-1) their true longitudes."""
    cosine, sine = belt[..., 0], belt[..., 1]
    cos, sin = tables.turn[:, :, None]
    sin = way * sin
    return jnp.stack([cos * cosine - sin * sine, cos * sine + sin * cosine], axis=-1)
