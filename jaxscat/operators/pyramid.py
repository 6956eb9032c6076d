"""The pyramid of operators: a stencil for every nside and the steps between them."""

import dataclasses
from collections.abc import Callable
from math import log2
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxscat import maps
from jaxscat.operators import memory, symmetry
from jaxscat.operators.resolution import build_downsampling
from jaxscat.operators.stencil import build_stencil
from jaxscat.operators.table import DenseTable, SparseTable
from jaxscat.operators.wavelet import wavelet_kernel

Geometry = Literal["exact", "foscat"]


@dataclasses.dataclass(frozen=True)
class PyramidSpec:
    """What a pyramid was built for; two pyramids of one spec share their compiled functions.

    Attributes:
        nside: resolution of the maps.
        orientations: number of wavelet orientations `L` in half a turn.
        kernel_size: side of the wavelet kernel, pixels.
        scales: number of scales `J`; scale `j` works at `nside / 2^j`.
        geometry: "exact" (float64) or "foscat" (rounded to float32 as the FOSCAT package does).
        dtype: name of the type of the weights.
    """

    nside: int
    orientations: int
    kernel_size: int
    scales: int
    geometry: Geometry
    dtype: str

    @property
    def npix(self) -> int:
        """Number of pixels of the maps."""
        return 12 * self.nside**2

    @property
    def sectors(self) -> int:
        """Number of sectors into which maps are folded."""
        return symmetry.sector_count(self.orientations, self.geometry == "exact")


class Level(eqx.Module):
    """Operators of one nside.

    Attributes:
        stencil: the oriented wavelet.
        downsampling: the step to half the nside; None at the coarsest scale.
        nside: resolution of the level.
    """

    stencil: SparseTable | DenseTable
    downsampling: SparseTable | DenseTable | None
    nside: int = eqx.field(static=True)


class Pyramid(eqx.Module):
    """Operators of all scales, from fine to coarse; an argument of every jitted function.

    Attributes:
        levels: one for each scale.
        spec: what the pyramid was built for.
    """

    levels: tuple[Level, ...]
    spec: PyramidSpec = eqx.field(static=True)


def build_pyramid(
    nside: int,
    *,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
    progress: Callable[[int, int], None] | None = None,
) -> Pyramid:
    """Build the wavelet operators of all scales of maps with a given nside.

    Args:
        nside: resolution of the maps, a power of two.
        orientations: number of wavelet orientations in half a turn.
        kernel_size: side of the wavelet kernel, pixels.
        scales: number of scales, at most (and by default) `log2(nside) + 1`.
        dtype: float32 or float64 weights; float64 needs JAX's x64 mode.
        geometry: "exact", or "foscat" to reproduce the float32 rounding of the FOSCAT package.
        progress: called with the number of pixels done and their total.

    Returns:
        pyramid whose arrays lie on the default device.

    Raises:
        ValueError: an argument is outside its range, float64 is asked for without x64, or the
            tables cannot fit into this machine's memory (the figure is given).

    Source: Delouis et al. 2022, A&A 668, A122, section 2; `docs/conventions.md`, "Wavelet" to
    "Downsampling".
    """
    spec = check_spec(nside, orientations, kernel_size, scales, dtype, geometry)
    memory.require(memory.table_bytes(spec), f"build_pyramid(nside={spec.nside})")
    exact = spec.geometry == "exact"
    weights_type = np.dtype(spec.dtype)
    total = sum(12 * (spec.nside >> j) ** 2 for j in range(spec.scales))
    done = 0

    def advance(pixels: int) -> None:
        nonlocal done
        done += pixels
        if progress is not None:
            progress(done, total)

    levels = []
    for j in range(spec.scales):
        level_nside = spec.nside >> j
        stencil = build_stencil(
            level_nside, spec.orientations, spec.kernel_size, exact, weights_type, advance
        )
        downsampling = None
        if j + 1 < spec.scales:
            downsampling = build_downsampling(level_nside, spec.sectors, exact, weights_type)
        levels.append(Level(stencil=stencil, downsampling=downsampling, nside=level_nside))
    return Pyramid(levels=tuple(levels), spec=spec)


def check_spec(
    nside: int,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
) -> PyramidSpec:
    """Return the spec of a pyramid after checking every argument of `build_pyramid`.

    Raises:
        ValueError: an argument is outside its range, or float64 is asked for without x64.
    """
    nside = maps.check_nside(nside)
    if not _is_integer(orientations) or orientations < 1:
        raise ValueError(f"orientations: got {orientations!r}, expected an integer of at least 1")
    wavelet_kernel(kernel_size)
    most = int(log2(nside)) + 1
    if scales is None:
        scales = most
    if not _is_integer(scales) or not 1 <= scales <= most:
        raise ValueError(
            f"scales: got {scales!r}, expected 1 to {most} (log2(nside) + 1 at nside {nside})"
        )
    if geometry not in ("exact", "foscat"):
        raise ValueError(f"geometry: got {geometry!r}, expected 'exact' or 'foscat'")
    name = _dtype_name(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype: got {name}, expected float32 or float64")
    if jax.dtypes.canonicalize_dtype(name) != np.dtype(name):
        raise ValueError("dtype: got float64, expected float32 unless jax_enable_x64 is set")
    return PyramidSpec(nside, int(orientations), int(kernel_size), int(scales), geometry, name)


def _dtype_name(dtype: DTypeLike) -> str:
    try:
        return "None" if dtype is None else np.dtype(dtype).name  # NumPy takes None for float64
    except TypeError:
        return repr(dtype)


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
