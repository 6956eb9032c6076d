"""The operators on plain NESTED maps; the statistics use their folded forms directly."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from jaxscat.operators import resolution, stencil
from jaxscat.operators.pyramid import Level, Pyramid, PyramidSpec
from jaxscat.operators.symmetry import fold, true_orientations, unfold
from jaxscat.operators.table import DenseTable, SparseTable


@partial(jax.jit, static_argnames="scale")
def convolve_map(
    maps: Float[Array, "*batch p"], pyramid: Pyramid, scale: int = 0
) -> Complex[Array, "*batch L p"]:
    """Correlate maps with the wavelet in every orientation.

    Args:
        maps: real NESTED maps with the nside of the scale.
        pyramid: operators.
        scale: which of its levels to use.

    Returns:
        complex wavelet coefficients in the precision of the pyramid, the orientations before the
        pixels.

    Raises:
        ValueError: the pyramid has no such scale, or the maps are not of its nside.

    Source: Delouis et al. 2022, A&A 668, A122, section 2; `docs/conventions.md`, "Stencil".
    """
    _check_scale(scale, len(pyramid.levels) - 1)
    level = pyramid.levels[scale]
    field = _folded(maps, level, pyramid.spec)
    out = stencil.convolve(field, level.stencil)[:, :, :, :, 0]
    source, parity = true_orientations(pyramid.spec.orientations, pyramid.spec.sectors)
    sectors = jnp.arange(pyramid.spec.sectors)[:, None]
    # From orientations inside each sector to the gauge of the sphere, with conjugates.
    out = out.transpose(1, 2, 4, 3, 0)[:, source, sectors]
    out = out.at[1].multiply(jnp.asarray(parity, out.dtype)[:, :, None, None])
    out = unfold(out.transpose(0, 3, 2, 4, 1))
    return jax.lax.complex(out[0], out[1]).reshape(*maps.shape[:-1], *out.shape[2:])


@partial(jax.jit, static_argnames="scale")
def downsample_map(
    maps: Float[Array, "*batch p"], pyramid: Pyramid, scale: int = 0
) -> Float[Array, "*batch q"]:
    """Take maps from the nside of one scale to half of it.

    Args:
        maps: real NESTED maps with the nside of the scale.
        pyramid: operators.
        scale: the finer of the two scales.

    Returns:
        NESTED maps of a quarter of the pixels.

    Raises:
        ValueError: the pyramid has no coarser scale, or the maps are not of the scale's nside.

    Source: `docs/conventions.md`, "Downsampling".
    """
    downsampling = _downsampling(pyramid, scale)
    field = _folded(maps, pyramid.levels[scale], pyramid.spec)
    return _unfolded(resolution.downsample(field, downsampling), maps.shape[:-1])


@partial(jax.jit, static_argnames="scale")
def upsample_map(
    maps: Float[Array, "*batch q"], pyramid: Pyramid, scale: int = 0
) -> Float[Array, "*batch p"]:
    """Take maps to the nside of one scale from half of it.

    Args:
        maps: real NESTED maps with half the nside of the scale.
        pyramid: operators.
        scale: the finer of the two scales.

    Returns:
        NESTED maps of four times the pixels.

    Raises:
        ValueError: the pyramid has no coarser scale, or the maps are not of its nside.

    Source: `docs/conventions.md`, "Upsampling".
    """
    downsampling = _downsampling(pyramid, scale)
    field = _folded(maps, pyramid.levels[scale + 1], pyramid.spec)
    return _unfolded(resolution.upsample(field, downsampling), maps.shape[:-1])


def _check_scale(scale: int, last: int) -> None:
    if not 0 <= scale <= last:
        raise ValueError(f"scale: got {scale}, expected 0 to {last} in this pyramid")


def _downsampling(pyramid: Pyramid, scale: int) -> SparseTable | DenseTable:
    steps = [level.downsampling for level in pyramid.levels if level.downsampling is not None]
    if not steps:
        raise ValueError(f"scale: got {scale}, expected a pyramid of two scales or more")
    _check_scale(scale, len(steps) - 1)
    return steps[scale]


def _folded(maps: Array, level: Level, spec: PyramidSpec) -> Float[Array, "rows fields 1 sectors"]:
    npix = 12 * level.nside**2
    if maps.ndim < 1 or maps.shape[-1] != npix or not jnp.issubdtype(maps.dtype, jnp.floating):
        raise ValueError(
            f"maps: got {maps.dtype} of shape {maps.shape}, expected real floats of shape "
            f"(..., {npix})"
        )
    maps = maps.reshape(-1, npix).astype(spec.dtype)
    return fold(maps, spec.sectors).transpose(1, 0, 2)[:, :, None, :]


def _unfolded(field: Float[Array, "rows fields 1 sectors"], batch: tuple[int, ...]) -> Array:
    maps = unfold(field[:, :, 0].transpose(1, 0, 2))
    return maps.reshape(*batch, maps.shape[-1])
