"""The operators on NESTED maps; the statistics use the folded forms directly."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float, Int

from jaxscat.maps import describe, is_integer, to_numpy
from jaxscat.operators import resolution, stencil
from jaxscat.operators.pyramid import Level, Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.operators.symmetry import fold, turn_coefficients, unfold


def convolve_map(
    maps: Float[ArrayLike, "*batch p"], pyramid: Pyramid, scale: int = 0
) -> Complex[Array, "*batch L p"]:
    """Correlate maps with the wavelet in every orientation.

    Args:
        maps: real NESTED maps at the nside of the scale. Of a patch, they hold its pixels in the
            order of `pyramid.pixels(scale)`.
        pyramid: operators.
        scale: index of the scale, 0 is the finest.

    Returns:
        complex wavelet coefficients in the precision of the pyramid, with the orientations on the
        axis before the pixels.

    Raises:
        ValueError: the pyramid has no such scale, or the maps are not of its nside.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(8)
        >>> maps = np.random.default_rng(0).normal(size=(2, 768))
        >>> jaxscat.convolve_map(maps, pyramid).shape  # map, orientation, pixel
        (2, 4, 768)
        >>> coarse = jaxscat.downsample_map(maps, pyramid)  # to nside 4
        >>> jaxscat.convolve_map(coarse, pyramid, scale=1).shape
        (2, 4, 192)

    Source: Delouis et al. 2022, A&A 668, A122, section 2; `docs/conventions.md`, "Stencil".
    """
    spec = check_pyramid(pyramid)
    scale = _check_scale(scale, len(pyramid.levels) - 1)
    return _convolve(_checked(maps, pyramid.levels[scale].npix, spec), pyramid, scale)


@partial(jax.jit, static_argnames="scale")
def _convolve(
    maps: Float[Array, "*batch p"], pyramid: Pyramid, scale: int
) -> Complex[Array, "*batch L p"]:
    level = pyramid.levels[scale]
    maps = _ascending(maps, level.nside, pyramid)
    return restore_order(convolve_level(maps, level, pyramid.spec), level.nside, pyramid)


def convolve_level(
    maps: Float[Array, "*batch p"], level: Level, spec: PyramidSpec
) -> Complex[Array, "*batch L p"]:
    """Correlate maps of ascending pixels with the wavelets of one level, without checks."""
    out = stencil.convolve(_folded(maps, spec), level.stencil)
    if stencil.counts_by_sector(level.stencil):
        out = turn_coefficients(out)
    out = unfold(out.transpose(1, 2, 0, 3, 4), spec.row_major)
    return jax.lax.complex(out[0], out[1]).reshape(*maps.shape[:-1], *out.shape[2:])


def downsample_map(
    maps: Float[ArrayLike, "*batch p"], pyramid: Pyramid, scale: int = 0
) -> Float[Array, "*batch q"]:
    """Downsample maps from the nside of one scale to half of it.

    Args:
        maps: real NESTED maps at the nside of the scale; of a patch as for `convolve_map`.
        pyramid: operators.
        scale: the finer of the two scales.

    Returns:
        NESTED maps with a quarter of the pixels (of a patch: all parents of its pixels).

    Raises:
        ValueError: the pyramid has no coarser scale, or the maps are not of the scale's nside.

    Source: `docs/conventions.md`, "Downsampling".
    """
    spec = check_pyramid(pyramid)
    scale = _scale_with_downsampling(pyramid, scale)
    return _downsample(_checked(maps, pyramid.levels[scale].npix, spec), pyramid, scale)


@partial(jax.jit, static_argnames="scale")
def _downsample(
    maps: Float[Array, "*batch p"], pyramid: Pyramid, scale: int
) -> Float[Array, "*batch q"]:
    level = pyramid.levels[scale]
    maps = _ascending(maps, level.nside, pyramid)
    coarse = downsample_level(maps, level, pyramid.spec)
    return restore_order(coarse, level.nside // 2, pyramid)


def downsample_level(
    maps: Float[Array, "*batch p"], level: Level, spec: PyramidSpec
) -> Float[Array, "*batch q"]:
    """Downsample maps of ascending pixels to half the nside of a level, without checks."""
    assert level.downsampling is not None
    field = resolution.downsample(_folded(maps, spec), level.downsampling)
    return _unfolded(field, maps.shape[:-1], spec)


def upsample_map(
    maps: Float[ArrayLike, "*batch q"], pyramid: Pyramid, scale: int = 0
) -> Float[Array, "*batch p"]:
    """Upsample maps to the nside of one scale from half of it.

    Args:
        maps: real NESTED maps at half the nside of the scale; of a patch as for `convolve_map`.
        pyramid: operators.
        scale: the finer of the two scales.

    Returns:
        NESTED maps with four times the pixels (of a patch: its pixels at the scale).

    Raises:
        ValueError: the pyramid has no coarser scale, or the maps are not of half its nside.

    Source: `docs/conventions.md`, "Upsampling".
    """
    spec = check_pyramid(pyramid)
    scale = _scale_with_downsampling(pyramid, scale)
    downsampling = pyramid.levels[scale].downsampling
    assert downsampling is not None
    return _upsample(_checked(maps, downsampling.rows * spec.sectors, spec), pyramid, scale)


@partial(jax.jit, static_argnames="scale")
def _upsample(
    maps: Float[Array, "*batch q"], pyramid: Pyramid, scale: int
) -> Float[Array, "*batch p"]:
    level = pyramid.levels[scale]
    maps = _ascending(maps, level.nside // 2, pyramid)
    fine = upsample_level(maps, level, pyramid.spec)
    return restore_order(fine, level.nside, pyramid)


def upsample_level(
    maps: Float[Array, "*batch q"], level: Level, spec: PyramidSpec
) -> Float[Array, "*batch p"]:
    """Upsample maps of ascending pixels to the nside of a level, without checks."""
    assert level.downsampling is not None
    field = resolution.upsample(_folded(maps, spec), level.downsampling)
    return _unfolded(field, maps.shape[:-1], spec)


def downsample_to(
    maps: Float[Array, "*batch p"], pyramid: Pyramid, nside: int
) -> Float[Array, "*batch q"]:
    """Downsample maps from the nside of the pyramid to that of one of its coarser scales.

    Args:
        maps: real NESTED maps of the pyramid.
        pyramid: operators.
        nside: that of the maps that are wanted.

    Raises:
        ValueError: as `downsample_map`, or the pyramid has no coarser scale of this nside.
    """
    for scale in _scales_down_to(nside, pyramid):
        maps = downsample_map(maps, pyramid, scale)
    return maps


def upsample_from(
    maps: Float[Array, "*batch q"], pyramid: Pyramid, nside: int
) -> Float[Array, "*batch p"]:
    """Upsample maps to the nside of the pyramid from that of one of its coarser scales.

    Args:
        maps: real NESTED maps of the coarser scale.
        pyramid: operators.
        nside: that of the maps that are given.

    Raises:
        ValueError: as `upsample_map`, or the pyramid has no coarser scale of this nside.
    """
    for scale in reversed(_scales_down_to(nside, pyramid)):
        maps = upsample_map(maps, pyramid, scale)
    return maps


def _scales_down_to(nside: int, pyramid: Pyramid) -> range:
    """Return the scales from whose nside maps are taken down, one after the other."""
    own = pyramid.spec.own_scale
    coarser = [level.nside for level in pyramid.levels[own + 1 :]]
    if nside not in coarser:
        raise ValueError(f"nside: got {nside}, expected that of a coarser scale, one of {coarser}")
    return range(own, own + coarser.index(nside) + 1)


def _check_scale(scale: int, last: int) -> int:
    if not is_integer(scale) or not 0 <= scale <= last:
        raise ValueError(f"scale: got {describe(scale)}, expected 0 to {last} in this pyramid")
    return int(scale)


def _scale_with_downsampling(pyramid: Pyramid, scale: int) -> int:
    levels = [level for level in pyramid.levels if level.downsampling is not None]
    if not levels:
        raise ValueError(f"scale: got {describe(scale)}, expected a pyramid of two scales or more")
    return _check_scale(scale, len(levels) - 1)


def _checked(maps: ArrayLike, npix: int, spec: PyramidSpec) -> Float[Array, "*batch p"]:
    if not isinstance(maps, jax.Array):
        maps = to_numpy(maps, name="maps")
    if maps.ndim < 1 or maps.shape[-1] != npix or not jnp.issubdtype(maps.dtype, jnp.floating):
        raise ValueError(
            f"maps: got {maps.dtype} of shape {maps.shape}, expected real floats of shape "
            f"(..., {npix})"
        )
    return jnp.asarray(maps, spec.dtype)


def _order(pyramid: Pyramid, nside: int) -> Int[Array, " p"] | None:
    """Return the order of the pixels of maps; only at the pyramid's nside can it be unsorted."""
    return pyramid.order if nside == pyramid.spec.nside else None


def _ascending(maps: Array, nside: int, pyramid: Pyramid) -> Float[Array, "*batch p"]:
    order = _order(pyramid, nside)
    return maps if order is None else maps[..., order]


def restore_order(
    maps: Float[Array, "*batch p"], nside: int, pyramid: Pyramid
) -> Float[Array, "*batch p"]:
    """Reorder maps of ascending pixels to the order of `pyramid.pixels`."""
    order = _order(pyramid, nside)
    if order is None:
        return maps
    return jnp.zeros_like(maps).at[..., order].set(maps, unique_indices=True)


def _folded(
    maps: Float[Array, "*batch p"], spec: PyramidSpec
) -> Float[Array, "channels sectors rows"]:
    maps = maps.reshape(-1, maps.shape[-1])
    return fold(maps, spec.sectors, spec.row_major)


def _unfolded(
    field: Float[Array, "channels sectors rows"], batch: tuple[int, ...], spec: PyramidSpec
) -> Array:
    maps = unfold(field, spec.row_major)
    return maps.reshape(*batch, maps.shape[-1])
