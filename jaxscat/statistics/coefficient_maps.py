"""Coefficient maps: the fields whose means over pixels are S0 to S4."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from jaxscat import maps
from jaxscat.operators.apply import convolve_level, downsample_level, restore_order
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.checks import prepare_map, stack_maps
from jaxscat.statistics.moments import modulus, signed_root
from jaxscat.statistics.scales import enter_flat, standardization, standardize


class CoefficientMaps(eqx.Module):
    """Maps of all coefficients, scale by scale; their means over pixels are the coefficients.

    Every tuple has one entry per scale `j3`. The last axis is the pixels of that scale,
    `pyramid.pixels(j3)`, or those of `out_nside`.

    Attributes:
        s0: the map (cross: signed root of the product of both) at the finest scale.
        s1, s2: axes `l3`.
        s3: axes `j2`, `l2`, `l3`.
        s4: axes `(j1, j2)`, `l2`, `l1`, `l3`, with j1 <= j2 and j1 varying fastest.
        s3p: two maps only: as S3, with the maps exchanged.

    Source: `docs/conventions.md`, "Coefficient maps".
    """

    s0: Float[Array, " q"]
    s1: tuple[Float[Array, "L q"], ...]
    s2: tuple[Float[Array, "L q"], ...]
    s3: tuple[Complex[Array, "j2 L L q"], ...]
    s4: tuple[Complex[Array, "pairs L L L q"], ...]
    s3p: tuple[Complex[Array, "j2 L L q"], ...] | None = None


def coefficient_maps(
    map: Float[ArrayLike, " p"],
    pyramid: Pyramid,
    *,
    second: Float[ArrayLike, " p"] | None = None,
    out_nside: int | None = None,
) -> CoefficientMaps:
    """Compute the coefficients of every pixel: the fields that `measure` averages.

    Works under `jax.jit` and `jax.grad`. S4 of scale `j` holds `(j + 1) (j + 2) / 2 * L^3` complex
    maps of that scale.

    Args:
        map, pyramid, second: as for `measure`.
        out_nside: fields of finer scales are averaged over the pixels of this nside; coarser
            fields are unchanged. On a patch it has to be the nside of a scale, and the averages
            are over the pixels inside the patch.

    Raises:
        ValueError: as `measure`; or `out_nside` is not a power of two or, on a patch, not the
            nside of a scale.

    Source: `docs/conventions.md`, "Coefficient maps".
    """
    spec = check_pyramid(pyramid)
    if out_nside is not None:
        out_nside = maps.check_nside(out_nside, name="out_nside")
        of_scales = [level.nside for level in pyramid.levels]
        if spec.cell_count is not None and out_nside not in of_scales:
            raise ValueError(f"out_nside: got {out_nside}, expected one of {of_scales} on a patch")
    given = [prepare_map(map, spec)]
    if second is not None:
        given.append(prepare_map(second, spec, name="second"))
    stacked, offsets = stack_maps(given)
    return _compute(stacked, pyramid, out_nside, offsets)


@partial(jax.jit, static_argnames="out_nside")
def _compute(
    given: Float[Array, "m p"],
    pyramid: Pyramid,
    out_nside: int | None,
    offsets: Float[Array, " m"] | None,
) -> CoefficientMaps:
    spec = pyramid.spec
    cross = given.shape[0] == 2
    _, unit = standardization(given)
    raw = enter_flat(given, pyramid)
    raw = raw if offsets is None else raw + offsets[:, None]
    field = enter_flat(standardize(given), pyramid)
    common = jnp.sqrt(unit[0] * unit[-1])
    s0 = raw[0] if not cross else common * signed_root((raw[0] / unit[0]) * (raw[1] / unit[1]))
    moduli = jnp.zeros((field.shape[0], 0, spec.orientations, field.shape[-1]), field.dtype)
    s1, s2, s3, s3p, s4 = [], [], [], [], []
    for scale, level in enumerate(pyramid.levels):
        average = partial(_average, scale=scale, pyramid=pyramid, out_nside=out_nside)
        c = convolve_level(field, level, spec)
        newest = modulus(c.real, c.imag)
        moduli = jnp.concatenate([moduli, newest[:, None]], axis=1)
        again = convolve_level(moduli, level, spec)  # map, j, l of the modulus, l3, pixel
        one, other = c[0], c[-1]
        product = (one * other.conj()).real
        s1.append(average(common * (signed_root(product) if cross else newest[0])))
        s2.append(average(common**2 * product))
        square = (common**2).astype(c.dtype)
        s3.append(average(square * one[None, None] * again[-1].conj()))
        s3p.append(average(square * other[None, None] * again[0].conj()))
        pairs = [
            again[0, : j2 + 1, None] * again[-1, None, j2, :, None].conj()
            for j2 in range(scale + 1)
        ]
        s4.append(average(square * jnp.concatenate(pairs)))
        if scale + 1 < len(pyramid.levels):
            field = downsample_level(field, level, spec)
            moduli = downsample_level(moduli, level, spec)
    return CoefficientMaps(
        s0=_average(s0, 0, pyramid, out_nside),
        s1=tuple(s1),
        s2=tuple(s2),
        s3=tuple(s3),
        s4=tuple(s4),
        s3p=tuple(s3p) if cross else None,
    )


def _average(fields: Array, scale: int, pyramid: Pyramid, out_nside: int | None) -> Array:
    """Average fields of one scale over a coarser grid, if any, and restore the pixel order."""
    level = pyramid.levels[scale]
    if out_nside is None or out_nside >= level.nside:
        return restore_order(fields, level.nside, pyramid)
    children = (level.nside // out_nside) ** 2
    if level.cells is None:  # NESTED children are adjacent
        averaged = fields.reshape(*fields.shape[:-1], -1, children).mean(-1)
    else:
        coarse = next(other.cells for other in pyramid.levels if other.nside == out_nside)
        assert coarse is not None
        parent = jnp.searchsorted(coarse, level.cells // children)
        count = jnp.zeros(coarse.shape, fields.real.dtype).at[parent].add(1)
        sums = jnp.zeros((*fields.shape[:-1], coarse.size), fields.dtype)
        averaged = sums.at[..., parent].add(fields) / count
    return restore_order(averaged, out_nside, pyramid)
